package livekit

import (
	"errors"
	"testing"

	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"

	"echocast/echo"
	"echocast/internal/lifetime"
	"echocast/internal/testwait"
)

// fakeParticipant records its packets, and has one connection after another.
type fakeParticipant struct {
	publisher *webrtc.PeerConnection
	packets   []lksdk.DataPacket
}

func (f *fakeParticipant) PublishDataPacket(p lksdk.DataPacket, _ ...lksdk.DataPublishOption) error {
	f.packets = append(f.packets, p)
	return nil
}

func (f *fakeParticipant) GetPublisherPeerConnection() *webrtc.PeerConnection { return f.publisher }

// connection is one of two peers that are connected.
func connection(t *testing.T) *webrtc.PeerConnection {
	t.Helper()
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	api := webrtc.NewAPI(webrtc.WithSettingEngine(settings))
	var peers [2]*webrtc.PeerConnection
	up := make(chan struct{})
	for i := range peers {
		peer, err := api.NewPeerConnection(webrtc.Configuration{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = peer.Close() })
		peers[i] = peer
	}
	peers[0].OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			close(up)
		}
	})
	if _, err := peers[0].CreateDataChannel("x", nil); err != nil {
		t.Fatal(err)
	}
	offer, err := peers[0].CreateOffer(nil)
	describe(t, peers[0], offer, err)
	if err := peers[1].SetRemoteDescription(*peers[0].LocalDescription()); err != nil {
		t.Fatal(err)
	}
	answer, err := peers[1].CreateAnswer(nil)
	describe(t, peers[1], answer, err)
	if err := peers[0].SetRemoteDescription(*peers[1].LocalDescription()); err != nil {
		t.Fatal(err)
	}
	testwait.Receive(t, up)
	return peers[0]
}

// describe sets a local description with all its candidates.
func describe(t *testing.T, peer *webrtc.PeerConnection, what webrtc.SessionDescription, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(peer)
	if err := peer.SetLocalDescription(what); err != nil {
		t.Fatal(err)
	}
	testwait.Receive(t, gathered)
}

// After a reconnect, the stream of the old connection is closed over the new one, so that the
// avatar does not wait for its rest. None of its audio follows.
func TestAbandonedStreamIsClosed(t *testing.T) {
	fake := &fakeParticipant{publisher: connection(t)}
	r := &Room{options: (&Options{}).withDefaults(), speakLock: make(chan struct{}, 1),
		lifetime: lifetime.New(), sender: fake}
	if err := r.Begin(echo.Utterance{InferenceID: "u1", Rate: 24000}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Speak(testwait.Context(t), make([]float32, 100), false); err != nil {
		t.Fatal(err)
	}
	before := len(fake.packets)
	fake.publisher = connection(t)
	if _, err := r.Speak(testwait.Context(t), make([]float32, 100), false); !errors.Is(err, ErrLost) ||
		!errors.Is(err, echo.ErrLost) {
		t.Errorf("Speak: %v, want ErrLost and echo.ErrLost", err)
	}
	after := fake.packets[before:]
	if len(after) != 1 || after[0].ToProto().GetStreamTrailer().GetStreamId() != "u1" {
		t.Errorf("after the new connection came %v, want the trailer of u1 alone", after)
	}
}

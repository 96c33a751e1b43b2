package livekit

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
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
	markUp := sync.OnceFunc(func() { close(up) }) // a connection that stalls comes up again
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
			markUp()
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

// speaking returns a room in the middle of the utterance u1.
func speaking(t *testing.T) (*Room, *fakeParticipant) {
	t.Helper()
	fake := &fakeParticipant{publisher: connection(t)}
	r := &Room{options: (&Options{}).withDefaults(), speakLock: make(chan struct{}, 1),
		lifetime: lifetime.New(), sender: fake}
	if err := sayPart(testwait.Context(t), r, "u1", false); err != nil {
		t.Fatal(err)
	}
	return r, fake
}

// sayPart speaks a chunk of an utterance.
func sayPart(ctx context.Context, r *Room, id string, last bool) error {
	if err := r.Begin(echo.Utterance{InferenceID: id, Rate: 24000}); err != nil {
		return err
	}
	_, err := r.Speak(ctx, make([]float32, 100), last)
	return err
}

// After a reconnect, the stream of the old connection is closed over the new one, so that the
// avatar does not wait for its rest. None of its audio follows.
func TestAbandonedStreamIsClosed(t *testing.T) {
	r, fake := speaking(t)
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

// A worker reads one stream after the other. So a trailer that could not be sent before the
// context ended is sent before the next stream, also over another connection.
func TestTrailerIsNotLost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		interferes func(r *Room, fake *fakeParticipant)
	}{
		// A quarter of it is the limit that lets Speak continue, and must be negative too.
		{"the server is behind", func(r *Room, _ *fakeParticipant) { r.options.HighWater = -4 }},
		{"the connection is made again", func(_ *Room, fake *fakeParticipant) { fake.publisher = nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r, fake := speaking(t)
			highWater := r.options.HighWater
			c.interferes(r, fake)
			before := len(fake.packets)
			ctx, cancel := context.WithTimeout(t.Context(), 5*pollInterval)
			defer cancel()
			if err := sayPart(ctx, r, "u1", true); !errors.Is(err, context.DeadlineExceeded) || len(fake.packets) != before {
				t.Fatalf("Speak: %v, and %v was sent", err, fake.packets[before:])
			}
			r.options.HighWater, fake.publisher = highWater, connection(t)
			if err := sayPart(testwait.Context(t), r, "u2", true); err != nil {
				t.Errorf("the next utterance: %v", err)
			}
			var order []string
			for _, p := range fake.packets[before:] {
				sent := p.ToProto()
				order = append(order, cmp.Or(sent.GetStreamHeader().GetStreamId(), sent.GetStreamChunk().GetStreamId(),
					"end of "+sent.GetStreamTrailer().GetStreamId()))
			}
			if want := []string{"end of u1", "u2", "u2", "end of u2"}; !slices.Equal(order, want) {
				t.Errorf("sent %q, want %q", order, want)
			}
		})
	}
}

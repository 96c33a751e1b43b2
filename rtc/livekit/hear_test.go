//go:build cgo

package livekit

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"

	"echocast/hear"
	"echocast/internal/opusencoder"
)

// hums is a participant whose microphone hears a tone until the test ends.
func hums(t *testing.T, room, identity string, hertz float64) {
	t.Helper()
	encoder, err := opusencoder.New(48000, false)
	if err != nil {
		t.Fatal(err)
	}
	token, err := auth.NewAccessToken(testKey, testSecret).SetIdentity(identity).SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: room}).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	who, err := lksdk.ConnectToRoomWithToken(serverURL(t), token, nil, lksdk.WithAutoSubscribe(false))
	if err != nil {
		t.Fatal(err)
	}
	track, err := lksdk.NewLocalSampleTrack(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := who.LocalParticipant.PublishTrack(track, &lksdk.TrackPublicationOptions{Name: "microphone"}); err != nil {
		t.Fatal(err)
	}
	var humming sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	humming.Go(func() {
		defer encoder.Close()
		frame := make([]int16, 960)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ctx.Err() == nil; n++ {
			for i := range frame {
				frame[i] = int16(9000 * math.Sin(2*math.Pi*hertz*float64(n*960+i)/48000))
			}
			if packet, err := encoder.Encode(frame); err == nil {
				_ = track.WriteSample(media.Sample{Data: append([]byte(nil), packet...), Duration: 20 * time.Millisecond}, nil)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		humming.Wait()
		who.Disconnect()
	})
}

// The avatar, and those who are not the avatar, are heard through the server.
func TestHear(t *testing.T) {
	url := serverURL(t)
	hums(t, "hear", DefaultAvatar, 440)
	hums(t, "hear", "ann", 1000)
	for from, hertz := range map[string]float64{"replica": 440, "user": 1000} {
		room, err := Join(t.Context(), Address{URL: url, Room: "hear"}, Credentials{Key: testKey, Secret: testSecret}, &Options{Identity: DefaultEarIdentity})
		if err != nil {
			t.Fatal(err)
		}
		mixer, err := hear.NewMixer(48000, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		enough := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		var track *hear.Track
		packets := 0
		err = room.Hear(ctx, from, func(_ string, p *rtp.Packet) {
			now := time.Now()
			if track == nil {
				track = mixer.Track(now)
			}
			track.Push(hear.Packet{SSRC: p.SSRC, Sequence: p.SequenceNumber, Timestamp: p.Timestamp, Payload: p.Payload}, now)
			if packets++; packets == 200 {
				cancel(enough)
			}
		}, func(string) {})
		if !errors.Is(err, enough) {
			t.Fatalf("hear: %v", err)
		}
		_ = room.Close()
		pcm := mixer.Drain()
		waves := 0
		first, last := 0, 0
		for i := len(pcm) - 48000*2; i < len(pcm); i++ {
			if pcm[i-1] < 0 && pcm[i] >= 0 {
				if last = i; first == 0 {
					first = i
				}
				waves++
			}
		}
		if got := float64(waves-1) * 48000 / float64(last-first); math.Abs(got-hertz) > hertz/1000 {
			t.Errorf("the %s hums %v Hz, want %v (%+v)", from, got, hertz, mixer.Stats())
		}
		if s := mixer.Stats(); s.Lost != 0 {
			t.Errorf("%+v", s)
		}
	}
}

package rtc

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/pion/rtp"

	"echocast/internal/testwait"
)

// Both tracks arrive under their names, and only if they were asked for.
func TestSound(t *testing.T) {
	for name, c := range map[string]struct {
		listener *Options
		payload  uint8
	}{"Opus": {nil, opusPayload}, "mu-law": {&Options{MuLaw: true}, PayloadMuLaw}} {
		t.Run(name, func(t *testing.T) { soundArrives(t, c.listener, c.payload) })
	}
}

func soundArrives(t *testing.T, listener *Options, payload uint8) {
	to, from := pair(t, &Options{Sound: true}, listener)
	if !from.HasSound() || to.HasSound() {
		t.Fatalf("the listener sends sound: %t, the dialer: %t", from.HasSound(), to.HasSound())
	}
	ctx, cancel := context.WithCancel(testwait.Context(t))
	got := map[string]byte{}
	for sequence := uint16(1); len(got) < 2; sequence++ { // until the way is open, packets go nowhere
		for i, track := range []string{SoundReplica, SoundUser} {
			packet := &rtp.Packet{Header: rtp.Header{Version: 2, SequenceNumber: sequence, Timestamp: uint32(sequence) * 960},
				Payload: []byte{byte(i + 1)}}
			if err := from.Play(track, packet); err != nil {
				t.Fatal(err)
			}
		}
		sound, err := to.nextSound(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got[sound.Track] = sound.Packet.Payload[0]
		if p := sound.Packet; p.PayloadType != payload || p.Timestamp != 960*uint32(p.SequenceNumber) {
			t.Errorf("payload type %d, timestamp %d of packet %d", p.PayloadType, p.Timestamp, p.SequenceNumber)
		}
	}
	if got[SoundReplica] != 1 || got[SoundUser] != 2 {
		t.Errorf("%v", got)
	}
	if err := from.Play("nobody", &rtp.Packet{}); err == nil {
		t.Error("a track that there is not is played")
	}
	cancel()
	var err error
	for err == nil {
		_, err = to.nextSound(ctx)
	}
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	_ = from.Close()
	for err = nil; err == nil; _, err = to.nextSound(testwait.Context(t)) {
	}
	if !errors.Is(err, ErrPeerGone) {
		t.Errorf("after the end: %v", err)
	}
}

// Once a day the timestamps of Opus begin again at 0. Those of mu-law go on then, and also where
// the first timestamp is large.
func TestMuLawTimestampsGoOn(t *testing.T) {
	for _, first := range []uint32{0, 960, 1<<31 - 960, 1<<32 - 9600} {
		var clock muLawClock
		last := clock.convert(first)
		shift := first - last*muLawTicks
		for n := range uint32(100) {
			timestamp := first + (n+1)*960
			at := clock.convert(timestamp)
			if at-last != 160 || timestamp-at*muLawTicks != shift {
				t.Fatalf("%d becomes %d, and the one before became %d", timestamp, at, last)
			}
			last = at
		}
		if late := clock.convert(first + 960); last-late != 99*160 {
			t.Errorf("a late packet is %d before the last", last-late)
		}
	}
}

func TestNoSoundUnlessAskedFor(t *testing.T) {
	from, to := pair(t, nil, nil)
	for _, conn := range []*Conn{from, to} {
		if conn.HasSound() {
			t.Error("there is sound")
		}
		if err := conn.Play(SoundReplica, &rtp.Packet{}); err != nil {
			t.Error(err)
		}
		if _, err := conn.nextSound(testwait.Context(t)); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, hasMedia := conn.peer.link.(*mediaLink); hasMedia {
			t.Error("there is a connection for media")
		}
	}
}

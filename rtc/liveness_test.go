package rtc

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pion/webrtc/v4"

	"echocast/internal/testwait"
)

// goSilent takes away the peer's sockets: it says nothing any more, not even
// that it leaves.
func goSilent(t *testing.T, c *Conn) {
	t.Helper()
	if err := c.peer.link.(*dataLink).agent.Close(); err != nil {
		t.Fatal(err)
	}
}

// tickUntilEnded lets ping intervals pass until the connection has ended, and
// returns how many that took.
func tickUntilEnded(c *Conn, ticks chan<- time.Time) int {
	for n := 0; ; n++ {
		select {
		case ticks <- time.Time{}:
		case <-c.lifetime.Ended():
			return n
		}
	}
}

func TestSilentPeerIsLost(t *testing.T) {
	ticks := make(chan time.Time)
	c, silent := pair(t, &Options{ticks: ticks}, nil)
	testwait.Receive(t, c.answered)
	sent := fill(t, c)
	mustSend(t, silent, []byte("last words"))
	if err := silent.flush(nil); err != nil {
		t.Fatal(err)
	}
	goSilent(t, silent)

	sending, _ := sendUntilError(testwait.Context(t), c, sent)
	if n := tickUntilEnded(c, ticks); n < 3 {
		t.Errorf("lost after %d ticks, want no less than 3", n)
	}
	if err := testwait.Receive(t, sending); !errors.Is(err, ErrLost) {
		t.Errorf("the blocked Send: %v, want %v", err, ErrLost)
	}
	mustReceive(t, c, []byte("last words"))
	for range 2 {
		if _, err := c.Receive(testwait.Context(t)); !errors.Is(err, ErrLost) {
			t.Errorf("Receive: %v, want %v", err, ErrLost)
		}
	}
	if err := c.Close(); !errors.Is(err, ErrLost) {
		t.Errorf("Close with bytes not delivered: %v, want %v", err, ErrLost)
	}
}

// With the defaults, a loss is detected after at most as many silent ping intervals as make 5
// s. Real time does not count, nor do intervals in which something was still on its way.
func TestLossDetectionTime(t *testing.T) {
	o, err := (*Options)(nil).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	most := int(5 * time.Second / o.PingInterval)
	ticks := make(chan time.Time)
	c, silent := pair(t, &Options{ticks: ticks}, nil)
	testwait.Receive(t, c.answered)
	goSilent(t, silent)
	for quiet, heard := 0, uint64(0); !c.lifetime.HasEnded(); {
		select {
		case ticks <- time.Time{}:
		case <-c.lifetime.Ended():
		}
		if now := c.peer.received(); now != heard {
			quiet, heard = 0, now
		} else if quiet++; quiet > most {
			t.Fatalf("nothing was heard for %d intervals of %v, and the peer is not lost", quiet, o.PingInterval)
		}
	}
	if !errors.Is(c.lifetime.Cause(), ErrLost) {
		t.Error(c.lifetime.Cause())
	}
}

func TestSilenceEndsABlockedReceive(t *testing.T) {
	ticks := make(chan time.Time)
	c, silent := pair(t, &Options{ticks: ticks}, nil)
	testwait.Receive(t, c.answered)
	receiving := make(chan error, 1)
	go func() {
		_, err := c.Receive(testwait.Context(t))
		receiving <- err
	}()
	goSilent(t, silent)
	tickUntilEnded(c, ticks)
	if err := testwait.Receive(t, receiving); !errors.Is(err, ErrLost) {
		t.Errorf("Receive: %v, want %v", err, ErrLost)
	}
}

// Full windows in both directions hold back all pings and pongs. Nobody reads for twice the
// ping timeout, in real time.
func TestSlowReadersAreNotLost(t *testing.T) {
	t.Parallel()
	o := &Options{PingInterval: 500 * time.Millisecond, PingTimeout: 4 * time.Second}
	a, b := pair(t, o, o)
	testwait.Receive(t, a.answered)
	testwait.Receive(t, b.answered)
	sentByA, sentByB := fill(t, a), fill(t, b)
	twice := time.NewTimer(2 * o.PingTimeout)
	select {
	case <-a.lifetime.Ended():
		t.Fatal(a.lifetime.Cause())
	case <-b.lifetime.Ended():
		t.Fatal(b.lifetime.Cause())
	case <-twice.C:
	}
	for i := range sentByA {
		mustReceive(t, b, message(i))
	}
	for i := range sentByB {
		mustReceive(t, a, message(i))
	}
}

func TestPulse(t *testing.T) {
	tests := []struct {
		name  string
		heard []uint64 // bytes received, at each tick
		dead  bool     // at the last of them, and at none before
	}{
		{"always something", []uint64{1, 2, 3, 4, 5, 6}, false},
		{"two silent ticks", []uint64{1, 1, 1, 2, 2, 2, 3}, false},
		{"three silent ticks", []uint64{1, 2, 2, 2, 2}, true},
		{"never anything", []uint64{0, 0, 0}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			watch := silenceWatch{allowed: silentTicks(time.Second, 3*time.Second)}
			for i, heard := range test.heard {
				want := test.dead && i == len(test.heard)-1
				if got := watch.isDead(heard); got != want {
					t.Errorf("tick %d: dead is %v, want %v", i, got, want)
				}
			}
		})
	}
}

func TestSilentTicks(t *testing.T) {
	for timeout, want := range map[time.Duration]int{1: 1, time.Second: 1, time.Second + 1: 2, 3 * time.Second: 3} {
		if got := silentTicks(time.Second, timeout); got != want {
			t.Errorf("a timeout of %v is %d ticks, want %d", timeout, got, want)
		}
	}
}

// foreignServer answers offers as another program would: it sends back what
// arrives on the message channel, and calls other for any other channel.
func foreignServer(t *testing.T, other func(*webrtc.DataChannel)) (link *mediaLink, url string) {
	t.Helper()
	p, link := newForeignPeer(t)
	t.Cleanup(p.close)
	link.OnDataChannel(func(dc *webrtc.DataChannel) {
		if dc.Label() != messageLabel {
			other(dc)
			return
		}
		dc.OnOpen(func() { echo(dc) })
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		offer, _ := io.ReadAll(r.Body)
		answer, err := p.answer(r.Context(), string(offer))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", sdpType)
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return link, server.URL
}

// echo sends everything back until the channel ends.
func echo(dc *webrtc.DataChannel) {
	channel, err := dc.Detach()
	if err != nil {
		return
	}
	buffer := make([]byte, 1<<16)
	for {
		n, err := channel.Read(buffer)
		if err != nil {
			return
		}
		_, _ = channel.Write(buffer[:n])
	}
}

// readPing waits for the first message of a channel and does not answer it.
func readPing(dc *webrtc.DataChannel, pinged chan<- struct{}) {
	dc.OnOpen(func() {
		channel, err := dc.Detach()
		if err != nil {
			return
		}
		if n, err := channel.Read(make([]byte, 64)); err == nil && n == len(ping) {
			close(pinged)
		}
	})
}

// dialForeign connects to a foreign peer that leaves pings unanswered.
func dialForeign(t *testing.T, o *Options) (c *Conn, foreign *mediaLink) {
	t.Helper()
	pinged := make(chan struct{})
	foreign, url := foreignServer(t, func(dc *webrtc.DataChannel) { readPing(dc, pinged) })
	c, err := Dial(testwait.Context(t), url, patient(o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	testwait.Receive(t, pinged)
	return c, foreign
}

// dialStranger connects to a foreign peer that closes the ping channel.
func dialStranger(t *testing.T, o *Options) (c *Conn, foreign *mediaLink) {
	t.Helper()
	foreign, url := foreignServer(t, func(dc *webrtc.DataChannel) { _ = dc.Close() })
	c, err := Dial(testwait.Context(t), url, patient(o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	testwait.Receive(t, c.pingsEnded)
	return c, foreign
}

func TestOtherLibrariesNeedNotAnswerPings(t *testing.T) {
	for name, dial := range map[string]func(*testing.T, *Options) (*Conn, *mediaLink){
		"leaves pings unanswered": dialForeign,
		"closes the ping channel": dialStranger,
	} {
		t.Run(name, func(t *testing.T) {
			ticks := make(chan time.Time)
			c, foreign := dial(t, &Options{ticks: ticks, CloseTimeout: 50 * time.Millisecond})
			for range 20 {
				select {
				case ticks <- time.Time{}:
				case <-c.lifetime.Ended():
					t.Fatal(c.lifetime.Cause())
				}
			}
			mustSend(t, c, []byte("anybody there?"))
			mustReceive(t, c, []byte("anybody there?"))

			if err := foreign.PeerConnection.Close(); err != nil {
				t.Fatal(err)
			}
			testwait.Receive(t, c.lifetime.Ended()) // without a Send or Receive that would notice
			if c.lifetime.Cause() != ErrPeerGone {  // its close aborts the association, as a browser's does
				t.Errorf("ended with %v, want %v", c.lifetime.Cause(), ErrPeerGone)
			}
		})
	}
}

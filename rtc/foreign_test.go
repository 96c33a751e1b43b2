package rtc

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"echocast/internal/nodetest"
	"echocast/internal/testwait"
)

// foreignLibraries are the WebRTC libraries of others that rtctest/node/peer.mjs
// speaks with; make browser installs them.
var foreignLibraries = []string{"node-datachannel", "werift"}

// foreign is a peer on such a library, in a separate process.
type foreign struct {
	t      *testing.T
	events <-chan struct{ Event, URL string }
}

// startForeign starts one. Where Node or the libraries are missing, the test is
// skipped, or fails where ECHOCAST_REQUIRE_BROWSER is set.
func startForeign(t *testing.T, library string, arguments ...string) *foreign {
	t.Helper()
	const folder = "rtctest/node"
	nodetest.Need(t, folder, library, "ECHOCAST_REQUIRE_BROWSER")
	arguments = append([]string{library}, arguments...)
	return &foreign{t, nodetest.Start[struct{ Event, URL string }](t, folder, "peer.mjs", arguments...)}
}

// expect waits for an event.
func (f *foreign) expect(event string) (url string) {
	f.t.Helper()
	for {
		switch got := testwait.Receive(f.t, f.events); got.Event {
		case event:
			return got.URL
		case "":
			f.t.Fatalf("the program ended before %q", event)
		}
	}
}

// converse sends messages of all sizes, which come back, and then lets the peer
// close: its close() is no loss.
func converse(t *testing.T, c *Conn) {
	t.Helper()
	for _, size := range []int{1, 100, 3434, 16 << 10, 60 << 10} {
		message := bytes.Repeat([]byte("a"), size)
		mustSend(t, c, message)
		mustReceive(t, c, message)
	}
	mustSend(t, c, []byte("close"))
	_, err := c.Receive(testwait.Context(t))
	if !errors.Is(err, ErrPeerGone) || strings.Contains(err.Error(), "0x") {
		t.Errorf("after the peer's close(): %v, want %v", err, ErrPeerGone)
	}
}

func TestClientsOnOtherWebRTCLibraries(t *testing.T) {
	for _, library := range foreignLibraries {
		t.Run(library, func(t *testing.T) {
			l := listen(t, nil)
			startForeign(t, library, "dial", l.URL())
			c, err := l.Accept(testwait.Context(t))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			mustReceive(t, c, []byte("hello"))
			converse(t, c)
		})
	}
}

func TestListenersOnOtherWebRTCLibraries(t *testing.T) {
	for _, library := range foreignLibraries {
		t.Run(library, func(t *testing.T) {
			f := startForeign(t, library, "serve")
			url := f.expect("serves")
			for range 2 {
				c, err := Dial(testwait.Context(t), url, patient(nil))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				converse(t, c)
			}
			c, err := Dial(testwait.Context(t), url, patient(nil))
			if err != nil {
				t.Fatal(err)
			}
			mustSend(t, c, []byte("last words"))
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			f.expect("closed")
		})
	}
}

package rtc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"echocast/internal/testwait"
)

// foreignLibraries are the WebRTC libraries of others that rtctest/node/peer.mjs
// speaks with; make browser installs them.
var foreignLibraries = []string{"node-datachannel", "werift"}

// foreign is a peer on such a library, in a process of its own.
type foreign struct {
	t      *testing.T
	events chan struct{ Event, URL string }
}

// startForeign starts one. Where Node or the libraries are missing, the test is
// skipped, or fails where ECHOCAST_REQUIRE_BROWSER is set.
func startForeign(t *testing.T, library string, arguments ...string) *foreign {
	t.Helper()
	_, err := exec.LookPath("node")
	if _, missing := os.Stat(filepath.Join("rtctest/node/node_modules", library)); err == nil {
		err = missing
	}
	switch {
	case err == nil:
	case os.Getenv("ECHOCAST_REQUIRE_BROWSER") != "":
		t.Fatal(err)
	default:
		t.Skipf("NOT TESTED WITH THE LIBRARIES OF OTHERS: %v (make browser installs them)", err)
	}
	command := exec.CommandContext(testwait.Context(t), "node", append([]string{"peer.mjs", library}, arguments...)...)
	command.Dir, command.Stderr = "rtctest/node", os.Stderr
	alive, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	f := &foreign{t, make(chan struct{ Event, URL string }, 100)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var event struct{ Event, URL string }
			if json.Unmarshal(lines.Bytes(), &event) == nil {
				f.events <- event
			}
		}
	}()
	t.Cleanup(func() {
		_ = alive.Close()
		<-read
		_ = command.Wait()
	})
	return f
}

// expect waits for an event.
func (f *foreign) expect(event string) (url string) {
	f.t.Helper()
	for {
		if got := testwait.Receive(f.t, f.events); got.Event == event {
			return got.URL
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

func TestForeignClients(t *testing.T) {
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

func TestForeignListeners(t *testing.T) {
	for _, library := range foreignLibraries {
		t.Run(library, func(t *testing.T) {
			f := startForeign(t, library, "serve")
			url := f.expect("serves")
			for range 2 {
				c, err := Dial(testwait.Context(t), url, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				converse(t, c)
			}
			c, err := Dial(testwait.Context(t), url, nil)
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

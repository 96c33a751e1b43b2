package acceptance

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/replica"
)

// foreignEvent is what a program on the WebRTC library of others prints.
type foreignEvent struct {
	Event, URL, ID string
	Bytes          int
}

const foreignPrograms = "../rtc/rtctest/node"

// startForeign runs one of those programs. Where Node or the libraries are missing,
// the test is skipped, or fails where ECHOCAST_REQUIRE_BROWSER is set.
func startForeign(t *testing.T, library string, arguments ...string) <-chan foreignEvent {
	t.Helper()
	_, err := exec.LookPath("node")
	if _, missing := os.Stat(filepath.Join(foreignPrograms, "node_modules", library)); err == nil {
		err = missing
	}
	switch {
	case err == nil:
	case os.Getenv("ECHOCAST_REQUIRE_BROWSER") != "":
		t.Fatal(err)
	default:
		t.Skipf("needs Node and the libraries of others (make browser): %v", err)
	}
	command := exec.CommandContext(testwait.Context(t), "node", append([]string{"peer.mjs", library}, arguments...)...)
	command.Dir, command.Stderr = foreignPrograms, os.Stderr
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
	events := make(chan foreignEvent, 1000)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var event foreignEvent
			if json.Unmarshal(lines.Bytes(), &event) == nil {
				events <- event
			}
		}
	}()
	t.Cleanup(func() {
		_ = alive.Close()
		<-read
		_ = command.Wait()
	})
	return events
}

// A replica on libdatachannel, or on werift, is spoken to as any other.
func TestForeignReplicas(t *testing.T) {
	for _, library := range []string{"node-datachannel", "werift"} {
		t.Run(library, func(t *testing.T) {
			events := startForeign(t, library, "replica")
			url := testwait.Receive(t, events).URL
			sent := send(testwait.Context(t), t, &stage{arguments: []string{"--to", url}}, nil, "--pace", "burst", speech)
			if sent.code != 0 || len(sent.receipts) != 1 || sent.receipts[0].SpokenBy != echo.ByEvent {
				t.Fatal(sent)
			}
			want := len(encoded(t, speech))
			for heard := testwait.Receive(t, events); ; heard = testwait.Receive(t, events) {
				if heard.Event == "heard" {
					if heard.Bytes != want {
						t.Errorf("it heard %d bytes, want %d", heard.Bytes, want)
					}
					return
				}
			}
		})
	}
}

// A client on libdatachannel, or on werift, speaks through the stand-in.
func TestForeignClients(t *testing.T) {
	for _, library := range []string{"node-datachannel", "werift"} {
		t.Run(library, func(t *testing.T) {
			room := openLocal(t, &replica.Options{})
			events := startForeign(t, library, "speak", room.arguments[1])
			for _, want := range []string{"started_speaking", "stopped_speaking"} {
				for !strings.HasSuffix(testwait.Receive(t, events).Event, want) { // of any spelling
				}
			}
		})
	}
}

package acceptance

import (
	"strings"
	"testing"

	"echocast/echo"
	"echocast/internal/nodetest"
	"echocast/internal/testwait"
	"echocast/replica"
)

// foreignEvent is what a program on the WebRTC library of others prints.
type foreignEvent struct {
	Event, URL, ID string
	Bytes          int
}

const foreignPrograms = "../rtc/rtctest/node"

// needForeign skips the test if Node or a library is missing, or fails it if
// ECHOCAST_REQUIRE_BROWSER is set.
func needForeign(t *testing.T, library string) {
	t.Helper()
	nodetest.Need(t, foreignPrograms, library, "ECHOCAST_REQUIRE_BROWSER")
}

// startForeign runs one of those programs.
func startForeign(t *testing.T, library string, arguments ...string) <-chan foreignEvent {
	t.Helper()
	needForeign(t, library)
	return nodetest.Start[foreignEvent](t, foreignPrograms, "peer.mjs", append([]string{library}, arguments...)...)
}

// nextEvent waits for an event, and fails if the program ends.
func nextEvent(t *testing.T, events <-chan foreignEvent) foreignEvent {
	t.Helper()
	event := testwait.Receive(t, events)
	if event.Event == "" {
		t.Fatal("the program ended")
	}
	return event
}

// echocast speaks to a replica on libdatachannel or on werift as to any other.
func TestReplicasOnOtherWebRTCLibraries(t *testing.T) {
	for _, library := range []string{"node-datachannel", "werift"} {
		t.Run(library, func(t *testing.T) {
			events := startForeign(t, library, "replica")
			url := testwait.Receive(t, events).URL
			sent := send(testwait.Context(t), t, &stage{arguments: []string{"--to", url}}, nil, "--pace", "burst", speech)
			if sent.code != 0 || len(sent.receipts) != 1 || sent.receipts[0].SpokenBy != echo.ByEvent {
				t.Fatal(sent)
			}
			want := len(encoded(t, speech))
			heard := nextEvent(t, events)
			for heard.Event != "heard" {
				heard = nextEvent(t, events)
			}
			if heard.Bytes != want {
				t.Errorf("it heard %d bytes, want %d", heard.Bytes, want)
			}
		})
	}
}

// A client on libdatachannel, or on werift, speaks through the stand-in.
func TestClientsOnOtherWebRTCLibraries(t *testing.T) {
	for _, library := range []string{"node-datachannel", "werift"} {
		t.Run(library, func(t *testing.T) {
			needForeign(t, library)
			room := openLocal(t, &replica.Options{})
			events := startForeign(t, library, "speak", room.arguments[1])
			for _, want := range []string{"started_speaking", "stopped_speaking"} {
				for !strings.HasSuffix(nextEvent(t, events).Event, want) { // of any spelling
				}
			}
		})
	}
}

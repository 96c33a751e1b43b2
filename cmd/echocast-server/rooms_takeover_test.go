//go:build unix

package main

import (
	"slices"
	"strings"
	"syscall"
	"testing"
)

// In a Daily room (a stand-in) and in a LiveKit room (a real server), a second node joins after
// the one that speaks was killed, and the replica says the rest.
func TestKilledNodeIsReplacedInEachRoom(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Daily", "LiveKit"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to, _, environment, options := roomsWithUser[name](t)
			args := slices.Concat([]string{"--nats", startNATS(t)}, strings.Fields(options))
			a := startGateway(t, strings.Fields(environment), args...)
			b := startGateway(t, strings.Fields(environment), args...)
			conversation, utterance := begin(t, a, b, to, ramp(6))
			owner, other := heldBy(t, conversation, a, b)
			owner.awaitSpeaking()
			if err := owner.program.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			u := other.waitOver(t, conversation, utterance)
			if u.Receipt.Outcome != "finished" || len(u.Takeovers) == 0 {
				t.Errorf("the utterance ended so: %+v", u)
			}
		})
	}
}

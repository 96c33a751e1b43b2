package cli

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"echocast/internal/testwait"
	"echocast/replica"
)

func TestSetFaults(t *testing.T) {
	words := strings.Split("join-delay=2s,mute,drop-events=started,drop-events=user,drop-every=3,lose=0.25,duplicate,reorder,reorder=1s,"+
		"delay=300ms,jitter=20ms,ids=own,legacy,stall-after=20,stall-for=5s,die-after=40,leave-after=50,interrupt-after=1s,user-at=2s,user-for=3s,user-says=Hello there,seed=7", ",")
	want := replica.Options{
		JoinDelay: 2 * time.Second, IDs: replica.IDRandom, Legacy: true,
		Faults: replica.Faults{
			Seed: 7, Mute: true, Drop: []replica.Sent{replica.SentStarted, replica.SentUser}, DropEvery: 3, Loss: 0.25, Duplicate: true,
			Delay: 300 * time.Millisecond, Jitter: 20 * time.Millisecond, Swap: true, HoldBack: time.Second,
			StallAfter: 20, StallFor: 5 * time.Second, DieAfter: 40, LeaveAfter: 50,
			InterruptAfter: time.Second, UserAt: 2 * time.Second, UserFor: 3 * time.Second, UserSays: "Hello there",
		},
	}
	var got replica.Options
	if err := setFaults(&got, words); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, f := range faults {
		if !strings.Contains(strings.Join(words, ","), f.name) {
			t.Errorf("%s is not tested", f.name)
		}
	}
}

func TestFaultList(t *testing.T) {
	var out, complaints bytes.Buffer
	code := Run(testwait.Context(t), []string{"echocast", "replica", "--fault", "list"}, Streams{Out: &out, Err: &complaints})
	if lines := strings.Count(out.String(), "\n"); code != 0 || lines != len(faults) || complaints.Len() > 0 {
		t.Errorf("code %d, %d lines of %d, %s", code, lines, len(faults), complaints.String())
	}
	if !strings.Contains(out.String(), "\nreorder[=TIME] ") || !strings.Contains(out.String(), "\nstall-after=N ") {
		t.Errorf("the list is\n%s", out.String())
	}
}

package replica

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestSetFaults(t *testing.T) {
	words := strings.Split(
		"join-delay=2s,mute,drop-events=started,drop-events=user,drop-every=3,lose=0.25,duplicate,reorder,reorder=1s,"+
			"delay=300ms,jitter=20ms,ids=own,legacy,stall-after=20,stall-for=5s,die-after=40,"+
			"leave-after=50,interrupt-after=1s,user-at=2s,user-for=3s,user-says=Hello there,seed=7", ",")
	want := Options{
		JoinDelay: 2 * time.Second, IDs: IDRandom, Legacy: true,
		Faults: Faults{
			Seed: 7, Mute: true, Drop: []Sent{SentStarted, SentUser}, DropEvery: 3, Loss: 0.25, Duplicate: true,
			Delay: 300 * time.Millisecond, Jitter: 20 * time.Millisecond, Swap: true, HoldBack: time.Second,
			StallAfter: 20, StallFor: 5 * time.Second, DieAfter: 40, LeaveAfter: 50,
			InterruptAfter: time.Second, UserAt: 2 * time.Second, UserFor: 3 * time.Second, UserSays: "Hello there",
		},
	}
	var got Options
	if err := got.SetFaults(words); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, f := range AllFaults() {
		if !strings.Contains(strings.Join(words, ","), f.Name) {
			t.Errorf("%s is not tested", f.Name)
		}
	}
}

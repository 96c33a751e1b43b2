package testwait

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// failingTB counts the failures of a test.
type failingTB struct {
	testing.TB
	failures int
}

func (f *failingTB) Errorf(string, ...any) { f.failures++ }
func (f *failingTB) Fatalf(string, ...any) { f.failures++ }

func TestWaitsEnd(t *testing.T) {
	for name, wait := range map[string]func(testing.TB, chan int){
		"Receive": func(t testing.TB, never chan int) { Receive(t, never) },
		"Came":    func(t testing.TB, never chan int) { Came(t, never) },
	} {
		synctest.Test(t, func(t *testing.T) {
			failing := &failingTB{TB: t}
			began := time.Now()
			wait(failing, make(chan int))
			if waited := time.Since(began); failing.failures != 1 || waited != Limit {
				t.Errorf("%s: %d failures after %v", name, failing.failures, waited)
			}
		})
	}
}

func TestReceivedValues(t *testing.T) {
	ch := make(chan int, 2)
	ch <- 7
	ch <- 8
	close(ch)
	if got := Receive(t, ch); got != 7 {
		t.Errorf("received %d", got)
	}
	for _, what := range []string{"a value", "the end of the channel"} {
		if !Came(t, ch) {
			t.Errorf("%s counts as nothing", what)
		}
	}
}

func TestContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := Context(t)
		<-ctx.Done()
		if cause := context.Cause(ctx); !strings.Contains(cause.Error(), "the test waited") {
			t.Error(cause)
		}
	})
}

func TestTrials(t *testing.T) {
	t.Setenv("ECHOCAST_LONG", "")
	want := 20
	if HasRaceDetector {
		want = 6
	}
	if few, one := Trials(200), Trials(3); few != want || one != 1 {
		t.Errorf("%d of 200 trials and %d of 3", few, one)
	}
	t.Setenv("ECHOCAST_LONG", "1")
	if all := Trials(200); all != 200 {
		t.Errorf("%d of 200 trials", all)
	}
}

// A goroutine that ends late is no leak, and one that never ends is.
func TestLeaks(t *testing.T) {
	for _, lives := range []time.Duration{0, time.Minute, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			end := time.Now().Add(lives)
			err := leaks(func(...goleak.Option) error {
				if time.Now().Before(end) {
					return errors.New("one is left")
				}
				return nil
			})
			if (err != nil) != (lives > Limit) {
				t.Errorf("of one that lives for %v: %v", lives, err)
			}
		})
	}
}

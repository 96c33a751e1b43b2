package testwait

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// RunAndFindLeaks runs the tests of a package, then what ends the goroutines that they share, and
// exits. It fails if a goroutine is left after Limit: on a busy machine, one that is about to end
// takes longer than goleak waits. TestMain calls it.
func RunAndFindLeaks(m *testing.M, end ...func()) {
	code := m.Run()
	for _, f := range end {
		f()
	}
	if code == 0 {
		if err := leaks(goleak.Find); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// Goroutines fails the test if any goroutines but those of the tests, and those that the options
// permit, are left after Limit.
func Goroutines(t testing.TB, options ...goleak.Option) {
	t.Helper()
	if err := leaks(func(...goleak.Option) error { return goleak.Find(options...) }); err != nil {
		t.Error(err)
	}
}

// leaks looks for goroutines again and again until there are none.
func leaks(find func(...goleak.Option) error) (err error) {
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if err = find(); err == nil || time.Since(begin) > Limit {
			return err
		}
	}
}

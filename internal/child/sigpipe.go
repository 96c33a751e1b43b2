package child

import (
	"os"
	"os/signal"
	"syscall"
)

// CatchSIGPIPE makes a write to a closed pipe return an error in this process, as ignoring
// SIGPIPE would. Child processes would inherit an ignored signal. They do not inherit a
// caught one, so they still end when their output is closed.
func CatchSIGPIPE() (stop func()) {
	caught := make(chan os.Signal, 1) // never read: signals that do not fit are dropped
	signal.Notify(caught, syscall.SIGPIPE)
	return func() { signal.Stop(caught) }
}

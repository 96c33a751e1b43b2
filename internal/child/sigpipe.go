package child

import (
	"os"
	"os/signal"
	"syscall"
)

// CatchSIGPIPE makes a write to a closed pipe an error in this process, as ignoring SIGPIPE
// does. Unlike an ignored signal, children do not inherit this, so a program still ends when
// its output is closed.
func CatchSIGPIPE() (stop func()) {
	caught := make(chan os.Signal, 1) // it is not read: what does not fit is dropped
	signal.Notify(caught, syscall.SIGPIPE)
	return func() { signal.Stop(caught) }
}

package cli

import (
	"cmp"
	"fmt"
	"os"

	"echocast/trace"
)

// traceRecorder records a trace in a file.
type traceRecorder struct {
	*trace.Recorder
	file *os.File
}

func newTraceRecorder(name string) (*traceRecorder, error) {
	file, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("--trace %s: %w", name, plain(err))
	}
	return &traceRecorder{trace.NewRecorder(file, "echocast "+Version), file}, nil
}

// endTrace completes the trace, where there is one. What could not be recorded
// is reported, and is no failure of what was spoken.
func (t *target) endTrace() error {
	if t.trace == nil {
		return nil
	}
	if err := cmp.Or(t.trace.Close(), t.trace.file.Close()); err != nil {
		t.out.say("--trace %s: the trace is not complete: %v", t.options.trace, plain(err))
	}
	return nil
}

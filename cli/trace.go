package cli

import (
	"cmp"
	"fmt"
	"os"

	"echocast/internal/outfile"
	"echocast/trace"
)

// traceRecorder records a trace in a file.
type traceRecorder struct {
	*trace.Recorder
	file *os.File
}

// newTraceRecorder creates the file of a trace, in which the secrets are
// redacted, also those that become known later.
func newTraceRecorder(name string) (*traceRecorder, error) {
	file, err := outfile.Create(name)
	if err != nil {
		return nil, fmt.Errorf("--trace %s: %w", name, plain(err))
	}
	recorder := trace.NewRecorder(file, "echocast "+Version)
	recorder.Redact = hidden
	return &traceRecorder{recorder, file}, nil
}

// endTrace completes the trace, if there is one. A trace that is not complete is
// an error, whatever was heard.
func (t *target) endTrace() error {
	if t.trace == nil {
		return nil
	}
	if err := cmp.Or(t.trace.Close(), t.trace.file.Close()); err != nil {
		return fmt.Errorf("--trace %s: the trace is not complete: %w", t.options.trace, plain(err))
	}
	return nil
}

package cli

import (
	"fmt"
	"os"

	"echocast/trace"
)

// tape is a file that a trace is recorded in.
type tape struct {
	name     string
	file     *os.File
	recorder *trace.Recorder
}

func newTape(name string) (*tape, error) {
	file, err := os.Create(name)
	if err != nil {
		return nil, fmt.Errorf("--trace %s: %w", name, plain(err))
	}
	return &tape{name, file, trace.NewRecorder(file, "echocast "+Version)}, nil
}

// endTape completes the trace, where there is one. What could not be recorded is
// said, and is no failure of what was spoken.
func (t *target) endTape() error {
	if t.tape == nil {
		return nil
	}
	if err := first(t.tape.recorder.Close(), t.tape.file.Close()); err != nil {
		t.out.say("--trace %s: it is not complete: %v", t.tape.name, plain(err))
	}
	return nil
}

package cli

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"echocast/internal/outfile"
	"echocast/internal/redact"
	"echocast/internal/secretfile"
	"echocast/trace"
)

// traceRecorder records a trace in a file.
type traceRecorder struct {
	*trace.Recorder
	file *os.File
}

// newTraceRecorder creates the file of a trace, in which the secrets are redacted.
func newTraceRecorder(name string, secrets []string) (*traceRecorder, error) {
	file, err := outfile.Create(name)
	if err != nil {
		return nil, fmt.Errorf("--trace %s: %w", name, plain(err))
	}
	recorder := trace.NewRecorder(file, "echocast "+Version)
	recorder.Redact = redact.New(secrets...).Text
	return &traceRecorder{recorder, file}, nil
}

// secretVariables are the variables of the environment that hold secrets.
var secretVariables = []string{
	"TAVUS_API_KEY", "ECHOCAST_ROOM_KEY", "ECHOCAST_ICE_CREDENTIAL", "LIVEKIT_API_SECRET", "LIVEKIT_TOKEN",
}

// shortestSecret keeps ordinary words from being redacted.
const shortestSecret = 8

// secrets are those that the options and the environment name. A file that
// cannot be read is reported by who needs it.
func (o *targetOptions) secrets() (all []string) {
	texts := []string{o.daily.token}
	for _, variable := range secretVariables {
		texts = append(texts, os.Getenv(variable))
	}
	for _, file := range []string{o.peer.keyFile, o.peer.secretFile, o.daily.tokenFile, o.create.service.keyFile} {
		if text, _, err := secretfile.Read(file); err == nil {
			texts = append(texts, strings.Split(text, "\n")...)
		}
	}
	for _, text := range texts {
		if text = strings.TrimSpace(text); len(text) >= shortestSecret {
			all = append(all, text)
		}
	}
	return all
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

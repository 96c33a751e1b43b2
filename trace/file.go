package trace

import (
	"bufio"
	"cmp"
	"errors"
	"os"

	"echocast/internal/outfile"
	"echocast/internal/text"
)

// Open opens the file of a trace. The caller closes it.
func Open(name string) (*os.File, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err == nil && info.IsDir() {
		_ = file.Close() // nothing was written
		return nil, errors.New("is a directory; name the trace in it")
	}
	return file, nil
}

// WriteFile writes the page to a file.
func (p *Page) WriteFile(name string) error {
	file, err := os.Create(name)
	if err != nil {
		return err
	}
	buffered := bufio.NewWriter(file)
	return cmp.Or(p.Render(buffered), buffered.Flush(), file.Close())
}

// IsReport reports whether a file contains a report page or is empty, so that it may be
// overwritten.
func IsReport(name string) bool {
	file, err := os.Open(name)
	if err != nil {
		return false
	}
	defer file.Close()
	info, err := file.Stat()
	return err == nil && (info.Size() == 0 || IsPage(file))
}

// FileRecorder records a trace in a file.
type FileRecorder struct {
	*Recorder
	file *os.File
}

// Create creates the file of a trace and starts to record. redact hides secrets, including
// those that become known later.
func Create(name, program string, redact func(string) string) (*FileRecorder, error) {
	file, err := outfile.Create(name)
	if err != nil {
		return nil, err
	}
	recorder := NewRecorder(file, program)
	recorder.Redact = redact
	return &FileRecorder{recorder, file}, nil
}

// IncompleteError reports a trace that was not written completely.
type IncompleteError struct {
	Name string // of the file
	Err  error
}

// Error names the file and says why.
func (e *IncompleteError) Error() string {
	return e.Name + ": the trace is not complete: " + text.WithoutPath(e.Err).Error()
}

// Close completes the trace. If the trace is incomplete, the error is an *IncompleteError.
func (r *FileRecorder) Close() error {
	if err := cmp.Or(r.Recorder.Close(), r.file.Close()); err != nil {
		return &IncompleteError{r.file.Name(), err}
	}
	return nil
}

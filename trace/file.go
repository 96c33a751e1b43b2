package trace

import (
	"bufio"
	"cmp"
	"errors"
	"os"
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
	_, err = p.WriteTo(buffered)
	return cmp.Or(err, buffered.Flush(), file.Close())
}

// IsReport reports whether a file has a page, or is empty, so that it may be replaced.
func IsReport(name string) bool {
	file, err := os.Open(name)
	if err != nil {
		return false
	}
	defer file.Close()
	info, err := file.Stat()
	return err == nil && (info.Size() == 0 || IsPage(file))
}

// Package outfile creates private files for recordings and traces, which contain a person's
// voice. Only the owner can read them, unless the file already exists with other
// permissions.
package outfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// private is the mode of a new file. Only the owner can read it.
const private = 0o600

// ErrInUse reports that some process is already writing the file.
var ErrInUse = errors.New("it is being written by another process")

// Create opens a file for writing and empties it. A new file is private. An existing file
// keeps its mode. If the system has file locks, the file is locked until it is closed. For
// a locked file Create returns ErrInUse and does not change the file.
func Create(name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, private)
	if err != nil {
		return nil, err
	}
	if err := empty(file); err != nil {
		_ = file.Close() // nothing was written
		return nil, err
	}
	return file, nil
}

// Write creates a file and calls write to fill it.
func Write(name string, write func(io.Writer) error) error {
	file, err := Create(name)
	if err != nil {
		return err
	}
	err = write(file)
	return errors.Join(err, file.Close())
}

func empty(file *os.File) error {
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err // a device cannot be truncated
	}
	if err := lock(file); err != nil {
		return err
	}
	return file.Truncate(0)
}

// Check returns an error if Create would fail. It changes nothing.
func Check(name string) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, private)
	if err == nil {
		return errors.Join(file.Close(), os.Remove(name))
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if file, err = os.OpenFile(name, os.O_WRONLY, 0); err != nil {
		return err
	}
	defer file.Close()
	return lock(file)
}

// mostNumbers is how many numbers CreateNumbered tries.
const mostNumbers = 100_000

// CreateNumbered creates a new private file. Its name is name with a number of at least n
// before the extension, such as heard-2.wav for heard.wav. It never opens an existing file.
func CreateNumbered(name string, n int) (*os.File, error) {
	extension := filepath.Ext(name)
	for last := n + mostNumbers; n < last; n++ {
		numbered := fmt.Sprintf("%s-%d%s", strings.TrimSuffix(name, extension), n, extension)
		file, err := os.OpenFile(numbered, os.O_RDWR|os.O_CREATE|os.O_EXCL, private)
		if !errors.Is(err, fs.ErrExist) {
			return file, err
		}
	}
	return nil, fmt.Errorf("%s: too many numbered files", name)
}

// Same reports whether two names refer to the same file. The file need not exist.
func Same(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	if errA == nil && errB == nil {
		return os.SameFile(infoA, infoB)
	}
	return resolve(a) == resolve(b)
}

// resolve returns the absolute path of a file. It resolves symbolic links in the path of
// its folder.
func resolve(name string) string {
	path, err := filepath.Abs(name)
	if err != nil {
		return filepath.Clean(name)
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return path
	}
	return filepath.Join(folder, filepath.Base(path))
}

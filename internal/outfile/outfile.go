// Package outfile creates the files that hold somebody's voice: recordings and
// traces. Only their owner can read them, unless a file of that name exists with
// other permissions.
package outfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// private is the mode of a new file: only its owner can read it.
const private = 0o600

// Create opens a file for writing and empties it. A new file is private; an
// existing one keeps its mode.
func Create(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, private)
}

// mostNumbers is how many names CreateNumbered tries.
const mostNumbers = 100_000

// CreateNumbered creates a new private file whose name is that of name with a
// number of at least n before its extension, such as heard-2.wav for heard.wav.
// It never opens a file that exists.
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

// Same reports whether two names mean the same file, which need not exist.
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

// resolve is the absolute path of a file, without the links of its folder.
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

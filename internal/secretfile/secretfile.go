// Package secretfile reads files that hold a secret.
package secretfile

import (
	"errors"
	"io"
	"os"
	"runtime"
)

// maxSize is the maximum size of a secret in bytes.
const maxSize = 4096

// Read returns the contents of a file, and whether other users of this machine can also
// read it.
func Read(name string) (text string, isPublic bool, err error) {
	file, err := os.Open(name)
	if err != nil {
		return "", false, err
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil {
		isPublic = canOthersRead(info)
	}
	data, err := io.ReadAll(io.LimitReader(file, maxSize+1))
	if err == nil && len(data) > maxSize {
		err = errors.New("the file is too long for a key")
	}
	return string(data), isPublic, err
}

// IsPublic reports whether other users of this machine can read a file. It returns false if
// that is not known.
func IsPublic(name string) bool {
	info, err := os.Stat(name)
	return err == nil && canOthersRead(info)
}

func canOthersRead(info os.FileInfo) bool {
	return runtime.GOOS != "windows" && info.Mode().IsRegular() && info.Mode().Perm()&0o004 != 0
}

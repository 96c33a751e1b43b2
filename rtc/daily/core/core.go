// Package core calls Daily's own library, daily-core-sdk, by its C API: it joins Daily rooms
// without a browser.
//
//	path, err := core.Find("")
//	library, err := core.Load(path)
//	conn, err := daily.Join(ctx, url, &daily.Options{Library: library})
//
// The library is the shared library libdaily_core. Daily publishes it with its SDK; it is not
// part of echocast. purego opens it at run time, so the build needs nothing of it. Package
// core uses functions that the header of release 0.22 declares; the last of them changed in
// 0.19.
//
// The library runs its own threads, from the first Load to the end of the process, and its
// callbacks come from them. Package core runs no goroutine.
//
// A program built without C is one static file, which can open no shared library: there Load
// fails with ErrUnsupported, unless the build tag daily_core asks for a dynamically linked
// program.
package core

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// ErrUnsupported says that this program cannot open shared libraries.
var ErrUnsupported = errors.New("this build of echocast cannot open a shared library")

// ErrNotFound says that the library is in none of the usual folders.
var ErrNotFound = errors.New("the library of Daily is not installed")

// FileName returns the name of the library's file on this system.
func FileName() string {
	switch runtime.GOOS {
	case "darwin":
		return "libdaily_core.dylib"
	case "windows":
		return "daily_core.dll"
	}
	return "libdaily_core.so"
}

// Find returns the path of the library. named is the path of its file, or of a folder that has
// the file directly or in lib, such as the unpacked SDK. If named is empty, Find searches the
// folder of the program and the usual library folders; the error is ErrNotFound.
func Find(named string) (string, error) {
	if named == "" {
		return search(folders())
	}
	info, err := os.Stat(named)
	if err != nil {
		return "", fmt.Errorf("%s: no such file or folder", named)
	}
	if !info.IsDir() {
		return named, nil
	}
	path, err := search([]string{named, filepath.Join(named, "lib"), filepath.Join(named, "bin")})
	if err != nil {
		return "", fmt.Errorf("%s: there is no %s in it, nor in its lib", named, FileName())
	}
	return path, nil
}

func search(folders []string) (string, error) {
	for _, folder := range folders {
		path := filepath.Join(folder, FileName())
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", ErrNotFound
}

// folders returns the folders where libraries usually are.
func folders() (folders []string) {
	if self, err := os.Executable(); err == nil {
		folders = append(folders, filepath.Dir(self))
	}
	folders = append(folders, filepath.SplitList(os.Getenv("LD_LIBRARY_PATH"))...)
	if home, err := os.UserHomeDir(); err == nil {
		folders = append(folders, filepath.Join(home, ".local", "lib"))
	}
	multiarch := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[runtime.GOARCH]
	return append(folders, "/usr/local/lib", "/opt/homebrew/lib", "/usr/lib/"+multiarch, "/usr/lib64", "/usr/lib")
}

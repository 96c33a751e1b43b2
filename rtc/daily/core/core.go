// Package core calls Daily's own library, daily-core-sdk, by its C API: it joins
// Daily rooms without a browser.
//
//	path, err := core.Find("")
//	library, err := core.Load(path)
//	conn, err := daily.Join(ctx, url, &daily.Options{Library: library})
//
// The library is a shared one, libdaily_core, which Daily gives out with its SDK
// and which is not part of echocast. It is opened while the program runs, by
// purego, so nothing of it is needed to build. What package daily asks of it is
// what the header of release 0.22 declares; the calls are those that changed last
// in 0.19.
//
// The library runs threads of its own, from the first Load to the end of the
// process, and calls back from them. Package core runs no goroutine.
//
// A program built without C is one static file, which can open no shared
// library: there Load fails with ErrUnsupported, unless the build tag daily_core
// asks for a program that is linked dynamically.
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
var ErrNotFound = errors.New("no library of Daily's is installed")

// FileName is how the library's file is called on this system.
func FileName() string {
	switch runtime.GOOS {
	case "darwin":
		return "libdaily_core.dylib"
	case "windows":
		return "daily_core.dll"
	}
	return "libdaily_core.so"
}

// Find returns the path of the library. named is the path of its file, or of a
// folder that has it or has it in lib, such as the unpacked SDK. Where named is
// empty, the folder of the program and the usual library folders are searched,
// and the error is ErrNotFound.
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

// folders are those in which libraries usually are.
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

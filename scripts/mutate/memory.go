//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// peak is the maximum memory that processes used, in kB.
type peak struct {
	own    int64 // of echocast
	ffmpeg int64 // of the process that echocast started
}

// watchedFFmpeg is a folder with an ffmpeg that records that it was used.
type watchedFFmpeg struct{ dir string }

// newWatchedFFmpeg creates the folder. If ffmpeg is not installed, the folder is empty.
func newWatchedFFmpeg(dir string) (*watchedFFmpeg, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	program, err := exec.LookPath("ffmpeg")
	if err != nil {
		return &watchedFFmpeg{dir}, nil
	}
	script := "#!/bin/sh\n: >'" + filepath.Join(dir, "used") + "'\nexec '" + program + "' \"$@\"\n"
	return &watchedFFmpeg{dir}, os.WriteFile(filepath.Join(dir, "ffmpeg"), []byte(script), 0o700)
}

// wasUsed reports whether ffmpeg was used since the last call.
func (f *watchedFFmpeg) wasUsed() bool {
	return !errors.Is(os.Remove(filepath.Join(f.dir, "used")), fs.ErrNotExist)
}

// runMeasured runs echocast, and returns the maximum memory that it and ffmpeg used. When
// they have ended, the kernel reports the larger of the two. If ffmpeg was used, echocast's
// memory is the last value read while it ran.
func (f *watchedFFmpeg) runMeasured(cmd *exec.Cmd) (peak, error) {
	cmd.Env = append(os.Environ(), "PATH="+f.dir+":"+os.Getenv("PATH"))
	if err := cmd.Start(); err != nil {
		return peak{}, err
	}
	ended, measured := make(chan struct{}), make(chan int64, 1)
	go func() { measured <- follow(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	close(ended)
	memory := peak{own: <-measured}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	switch {
	case !ok:
	case f.wasUsed():
		memory.ffmpeg = int64(usage.Maxrss)
	default:
		memory.own = int64(usage.Maxrss)
	}
	return memory, err
}

// follow reads the memory of a process, in kB, until it has ended.
func follow(pid int, ended <-chan struct{}) (size int64) {
	const between = 10 * time.Millisecond // ffmpeg takes four times as long to start
	for {
		select {
		case <-ended:
			return size
		case <-time.After(between):
			if now := residentPeak(pid); now > 0 {
				size = now
			}
		}
	}
}

// residentPeak returns the value of VmHWM of a process in kB (proc(5)), or 0 if it cannot
// be read.
func residentPeak(pid int) (size int64) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, line, _ := strings.Cut(string(status), "VmHWM:")
	_, _ = fmt.Sscan(line, &size)
	return size
}

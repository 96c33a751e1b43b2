//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// peak is the most memory that processes had in use, in kB.
type peak struct {
	own    int64 // of echocast
	ffmpeg int64 // of the process that echocast started
}

// runMeasured runs a command and returns the most memory that it and its child
// had in use. The kernel tells the maximum of both at the end; where there was a
// child, that of the command alone is what was read last while it ran.
func runMeasured(cmd *exec.Cmd) (peak, error) {
	if err := cmd.Start(); err != nil {
		return peak{}, err
	}
	ended, measured := make(chan struct{}), make(chan peak, 1)
	go func() { measured <- follow(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	close(ended)
	memory := <-measured
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		whole := int64(usage.Maxrss)
		if memory.ffmpeg == 0 {
			memory.own = whole
		} else if whole > memory.own {
			memory.ffmpeg = whole
		}
	}
	return memory, err
}

// follow reads the memory of a process and of its child until it has ended.
// echocast starts one process at most. Before that is ffmpeg, it is echocast.
func follow(pid int, ended <-chan struct{}) (memory peak) {
	const between = 10 * time.Millisecond // ffmpeg takes four times as long to start
	child := ""
	for {
		select {
		case <-ended:
			return memory
		case <-time.After(between):
		}
		if size := residentPeak(fmt.Sprint(pid)); size > 0 {
			memory.own = size
		}
		if child == "" {
			child = childOf(pid)
		}
		if size := residentPeak(child); size > 0 {
			memory.ffmpeg = size
		}
	}
}

// residentPeak is the line VmHWM of a process, in kB, or 0 (proc(5)).
func residentPeak(pid string) (size int64) {
	status, err := os.ReadFile(filepath.Join("/proc", pid, "status"))
	if err != nil {
		return 0
	}
	_, line, _ := strings.Cut(string(status), "VmHWM:")
	_, _ = fmt.Sscan(line, &size)
	return size
}

// childOf is a process that a thread of this one has started, or empty.
func childOf(pid int) string {
	dir := fmt.Sprintf("/proc/%d/task", pid)
	threads, _ := os.ReadDir(dir) // there is none once it has ended
	for _, thread := range threads {
		if pids, err := os.ReadFile(filepath.Join(dir, thread.Name(), "children")); err == nil && len(pids) > 0 {
			return strings.Fields(string(pids))[0]
		}
	}
	return ""
}

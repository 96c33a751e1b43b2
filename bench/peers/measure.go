//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"syscall"
	"time"
)

// usage is the resource usage of a pipeline.
type usage struct {
	cpu  time.Duration // user and system time of all its processes
	wall time.Duration
	peak int64 // bytes in memory of its largest process
}

// least returns the smaller times, because other work of the machine only adds to them,
// and the larger peak.
func (u usage) least(v usage) usage {
	return usage{min(u.cpu, v.cpu), min(u.wall, v.wall), max(u.peak, v.peak)}
}

// measure runs a shell command with its output to /dev/null. Where ctx ends, all
// its processes do.
func measure(ctx context.Context, line string) (usage, error) {
	cmd := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c", line)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return usage{}, context.Cause(ctx)
		}
		return usage{}, fmt.Errorf("%s: %w: %.300s", line, err, bytes.TrimSpace(complaint.Bytes()))
	}
	wall := time.Since(begin)
	state := cmd.ProcessState
	peak := int64(state.SysUsage().(*syscall.Rusage).Maxrss) << 10 // Linux counts kilobytes
	return usage{state.UserTime() + state.SystemTime(), wall, peak}, nil
}

// measured is a command on an input with its least usage so far.
type measured struct {
	input   input
	command command
	hasRun  bool
	usage   usage
}

func allCases(inputs []input, commands []command) (all []*measured) {
	for _, in := range inputs {
		for _, c := range commands {
			all = append(all, &measured{input: in, command: c})
		}
	}
	return all
}

// runRound runs every case once, or as often as its input asks for, in a new
// order.
func runRound(ctx context.Context, cases []*measured, round int) error {
	var turns []*measured
	for _, c := range cases {
		for range c.input.repeats {
			turns = append(turns, c)
		}
	}
	rand.Shuffle(len(turns), func(i, j int) { turns[i], turns[j] = turns[j], turns[i] })
	say("round %d: %d runs", round, len(turns))
	for _, c := range turns {
		used, err := measure(ctx, c.command.line(c.input.path))
		if err != nil {
			return err
		}
		if c.hasRun {
			used = used.least(c.usage)
		}
		c.usage, c.hasRun = used, true
	}
	return nil
}

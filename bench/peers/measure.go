//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"syscall"
	"time"
)

// usage is the resource usage of a pipeline.
type usage struct {
	cpu  time.Duration // user and system time of all its processes
	wall time.Duration
	peak int64 // bytes; peak of its largest process
}

// least returns the smaller times, because other work on the machine only adds to them, and
// the larger peak.
func (u usage) least(v usage) usage {
	return usage{min(u.cpu, v.cpu), min(u.wall, v.wall), max(u.peak, v.peak)}
}

// measure runs a shell command with its output to /dev/null. If ctx ends, all processes of
// the command end.
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

// measured is a command on an input, with its minimum usage in each round.
type measured struct {
	input   input
	command command
	rounds  []usage
}

// least returns the smaller times and the larger peak of all rounds.
func (m *measured) least() usage {
	all := m.rounds[0]
	for _, u := range m.rounds[1:] {
		all = all.least(u)
	}
	return all
}

// ratios returns the ratio to a base over all rounds, and the smallest and largest ratio of
// a single round.
func (m *measured) ratios(base *measured, of func(usage) time.Duration) (all, least, greatest float64) {
	least = math.Inf(1)
	for i, u := range m.rounds {
		ratio := float64(of(u)) / float64(of(base.rounds[i]))
		least, greatest = min(least, ratio), max(greatest, ratio)
	}
	return float64(of(m.least())) / float64(of(base.least())), least, greatest
}

func allCases(inputs []input, commands []command) (all []*measured) {
	for _, in := range inputs {
		for _, c := range commands {
			all = append(all, &measured{input: in, command: c})
		}
	}
	return all
}

// runRound runs every case once, or as often as its input requires, in a new order.
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
		if len(c.rounds) < round {
			c.rounds = append(c.rounds, used)
		}
		c.rounds[round-1] = c.rounds[round-1].least(used)
	}
	return nil
}

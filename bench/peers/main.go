//go:build linux

// Command peers compares the whole tool with shell pipelines that do the same work: they
// convert audio files to 24 kHz mono, in base64 or in JSON messages, and write to
// /dev/null.
//
//	go run ./bench/peers -echocast bin/echocast
//
// The commands run alternately, in an order that is shuffled in every round. So other work
// on the machine affects all of them. The minimum of all rounds counts. The result is one
// table in Markdown.
//
// CPU time is the user and system time of a whole pipeline. Peak memory is that of its
// largest process, as wait4(2) reports it. On Linux a child process inherits its parent's
// peak. So this program stays small, and prints how much it adds: the peak of a command
// that does nothing.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// settings are the command line.
type settings struct {
	echocast string
	speech   string
	rounds   int
	hours    float64
	budget   time.Duration
}

func main() {
	var s settings
	flag.StringVar(&s.echocast, "echocast", "bin/echocast", "the `program` to measure")
	flag.StringVar(&s.speech, "speech", "testdata/speech.wav", "the speech `file` that the inputs repeat")
	flag.IntVar(&s.rounds, "rounds", 5, "each command runs `N` times; the least counts")
	flag.Float64Var(&s.hours, "hours", 0.5, "length of the long inputs in `HOURS`")
	flag.DurationVar(&s.budget, "budget", 7*time.Minute, "begin no round after this `TIME`, but for the first")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s); err != nil {
		fmt.Fprintf(os.Stderr, "peers: %v\n", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) error {
	if s.rounds < 1 || !(s.hours > 0 && s.hours <= 3) || flag.NArg() > 0 {
		return errors.New("at least one round, at most three hours, and no arguments")
	}
	begin := time.Now()
	dir, err := os.MkdirTemp("", "echocast-peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cases, err := prepare(ctx, s, dir)
	if err != nil {
		return err
	}
	floor, err := measure(ctx, "true")
	if err != nil {
		return err
	}
	rounds := 0
	for rounds < s.rounds && (rounds == 0 || time.Since(begin) < s.budget) {
		rounds++
		if err := runRound(ctx, cases, rounds); err != nil {
			return err
		}
	}
	_, err = fmt.Print(table(cases, rounds, s.hours, floor))
	return err
}

// prepare creates the inputs in dir and checks the commands.
func prepare(ctx context.Context, s settings, dir string) ([]*measured, error) {
	echocast, err := filepath.Abs(s.echocast)
	if err != nil {
		return nil, err
	}
	commands, err := findCommands(ctx, echocast, dir)
	if err != nil {
		return nil, err
	}
	say("making inputs of %g h in %s", s.hours, dir)
	inputs, err := makeInputs(ctx, dir, s.speech, s.hours)
	if err != nil {
		return nil, err
	}
	if err := checkCommands(ctx, commands, inputs[len(inputs)-1]); err != nil {
		return nil, err
	}
	return allCases(inputs, commands), nil
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "peers: "+format+"\n", args...)
}

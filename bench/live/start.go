package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"strings"
	"time"

	"echocast/internal/pcm"
	"echocast/replica"
	"echocast/rtc"
)

// The clip that send speaks: 0.2 s. It must be resampled, as most speech must be.
const (
	clipRate    = 22050
	clipSamples = clipRate / 5
)

// start is the start of a program, from the moment before it is executed.
type start struct {
	first time.Duration // until its first result
	whole time.Duration // until it has ended
	cpu   time.Duration // of all of it
}

// starter starts a program again and again.
type starter struct {
	name string // of the program with its arguments
	what string // its first result
	once func(ctx context.Context) (start, error)

	first, whole, cpu times
}

// measureStarts starts each program a number of times, in a shuffled order.
func measureStarts(ctx context.Context, all []*starter, runs int) error {
	for range runs {
		for _, i := range rand.Perm(len(all)) {
			s := all[i]
			took, err := s.once(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			s.first, s.whole, s.cpu = append(s.first, took.first), append(s.whole, took.whole), append(s.cpu, took.cpu)
		}
	}
	for _, s := range all {
		s.first.sort()
		s.whole.sort()
		s.cpu.sort()
	}
	return nil
}

// longestStart bounds one start.
const longestStart = 20 * time.Second

// version runs a program until it has printed its version.
func version(ctx context.Context, program string) (took start, err error) {
	ctx, cancel := context.WithTimeout(ctx, longestStart)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "--version")
	begin := time.Now()
	if text, err := cmd.CombinedOutput(); err != nil {
		return took, fmt.Errorf("%w: %s", err, text)
	}
	return ended(cmd, begin, time.Now()), nil
}

func ended(cmd *exec.Cmd, begin, first time.Time) start {
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return start{first: first.Sub(begin), whole: time.Since(begin), cpu: used}
}

// serve starts the gateway, and ends it once it listens.
func serve(ctx context.Context, server string) (took start, err error) {
	ctx, cancel := context.WithTimeout(ctx, longestStart)
	defer cancel()
	cmd := exec.CommandContext(ctx, server, "serve", "--rehearse", "--listen", "127.0.0.1:0")
	says, err := cmd.StderrPipe()
	if err != nil {
		return took, err
	}
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return took, err
	}
	line, err := bufio.NewReader(says).ReadString('\n')
	first := time.Now()
	cancel()
	_, _ = io.Copy(io.Discard, says)
	_ = cmd.Wait() // it was killed
	if err != nil || !strings.Contains(line, "the gateway listens") {
		return took, errors.Join(err, fmt.Errorf("it said %q", line))
	}
	return ended(cmd, begin, first), nil
}

// firstReceived notes when the first message arrived.
type firstReceived struct {
	*rtc.Conn
	at time.Time
}

func (f *firstReceived) Receive(ctx context.Context) ([]byte, error) {
	msg, err := f.Conn.Receive(ctx)
	if err == nil && f.at.IsZero() {
		f.at = time.Now()
	}
	return msg, err
}

// speakClip makes send speak a clip to a stand-in replica in this process.
func speakClip(ctx context.Context, program string, listener *rtc.Listener, clip []byte) (took start, err error) {
	ctx, cancel := context.WithTimeout(ctx, longestStart)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "send", "--quiet", "--to", listener.URL(), "-")
	cmd.Stdin = bytes.NewReader(clip)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return took, err
	}
	conn, err := listener.Accept(ctx)
	if err != nil {
		cancel()
		return took, errors.Join(err, cmd.Wait(), errors.New(complaint.String()))
	}
	received := &firstReceived{Conn: conn}
	report, err := replica.New(received, &replica.Options{PeerGone: rtc.ErrPeerGone}).Run(ctx)
	_ = conn.Close() // the sender may have gone without reading the last events
	err = errors.Join(err, cmd.Wait())
	if err != nil || len(report.Utterances) != 1 {
		return took, errors.Join(err, fmt.Errorf("%d utterances; %s", len(report.Utterances), &complaint))
	}
	return ended(cmd, begin, received.at), nil
}

// clipOf returns a WAV file of the beginning of speech.
func clipOf(speech []float32) []byte {
	clip := pcm.WAVHeader(clipRate, 1, 2*clipSamples)
	for _, v := range speech[:clipSamples] {
		clip = binary.LittleEndian.AppendUint16(clip, uint16(int16(30000*v)))
	}
	return clip
}

// runStart prints the table of starts.
func runStart(program, server string, runs int) error {
	speech, err := speechSamples()
	if err != nil {
		return err
	}
	listener, err := rtc.Listen("127.0.0.1:0", nil)
	if err != nil {
		return err
	}
	defer listener.Close()
	clip := clipOf(speech)
	all := []*starter{
		{name: "echocast --version", what: "its end",
			once: func(ctx context.Context) (start, error) { return version(ctx, program) }},
		{name: "echocast send --to http://… -", what: "the first message of 0.2 s of speech is at the replica",
			once: func(ctx context.Context) (start, error) { return speakClip(ctx, program, listener, clip) }},
		{name: "echocast-server --version", what: "its end",
			once: func(ctx context.Context) (start, error) { return version(ctx, server) }},
		{name: "echocast-server serve", what: "it listens",
			once: func(ctx context.Context) (start, error) { return serve(ctx, server) }},
	}
	if err := measureStarts(context.Background(), all, runs); err != nil {
		return err
	}
	fmt.Println("| command | until | runs | p50 | largest | whole p50 | CPU p50 | least CPU |")
	fmt.Println("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, s := range all {
		fmt.Printf("| `%s` | %s | %d | %s | %s | %s | %s | %s |\n", s.name, s.what, runs, ms(s.first.at(0.5)),
			ms(s.first.at(1)), ms(s.whole.at(0.5)), ms(s.cpu.at(0.5)), ms(s.cpu.at(0)))
	}
	fmt.Println()
	return nil
}

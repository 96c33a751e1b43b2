package monitor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"echocast/echo"
	"echocast/internal/child"
	"echocast/internal/pcm"
)

// The times of a Player.
const (
	// playbackDelay is how far the player is behind the replica, so that a stop of the replica
	// is known before the player reaches it.
	playbackDelay = 200 * time.Millisecond
	// silentStart is how long the player waits for the event that the replica speaks.
	silentStart = 2 * time.Second
	// step is the interval at which the player gets samples.
	step = 20 * time.Millisecond
	// closeTimeout is how long a program may continue to play after its input has
	// ended.
	closeTimeout = 3 * time.Second
	// stallTimeout is how long a program may read nothing while samples are due.
	stallTimeout = 5 * time.Second
)

// Program starts a player for 16-bit mono samples at a rate in Hz. It reads them from in;
// wait waits until it has played them.
type Program func(rate int) (in io.WriteCloser, wait func() error, err error)

// players are the programs that can play from a pipe, the best first. RATE is replaced.
var players = []string{
	"paplay --raw --format=s16le --channels=1 --rate=RATE --latency-msec=60",
	"aplay -q -t raw -f S16_LE -c 1 -r RATE --buffer-time=100000 -",
	"ffplay -nodisp -autoexit -loglevel error -f s16le -ar RATE -i -",
	"play -q -t raw -e signed -b 16 -c 1 -r RATE -",
	"pw-cat --playback --raw --format=s16 --channels=1 --rate=RATE -",
}

// ErrNoPlayer reports that no player program was found.
var ErrNoPlayer = errors.New("no program to play with: install one of paplay, aplay, ffplay, play (sox) and pw-cat")

// FindProgram returns the first of the known programs that is installed.
func FindProgram() (Program, error) {
	for _, line := range players {
		words := strings.Fields(line)
		if path, err := exec.LookPath(words[0]); err == nil {
			return command(path, words[1:], stallTimeout), nil
		}
	}
	return nil, ErrNoPlayer
}

var (
	// errStalled reports a program that is killed because it does not read.
	errStalled = errors.New("it no longer reads its input")
	// errEarly reports a program that ended in good order before it was given all, as ffplay does
	// without a sound card.
	errEarly = errors.New("exit status 0 before the end of the sound")
)

// command returns a Program that runs a command, and kills it if one write takes longer
// than stall.
func command(path string, args []string, stall time.Duration) Program {
	return func(rate int) (io.WriteCloser, func() error, error) {
		own := make([]string, len(args))
		for i, arg := range args {
			own[i] = strings.ReplaceAll(arg, "RATE", strconv.Itoa(rate))
		}
		ctx, cancel := context.WithCancelCause(context.Background())
		cmd := child.Command(ctx, path, own...)
		cmd.Stdout = io.Discard
		complaints := &child.Complaints{}
		cmd.Stderr = complaints
		in, err := cmd.StdinPipe()
		if err != nil {
			cancel(err)
			return nil, nil, err
		}
		process, err := child.Start(cmd)
		if err != nil {
			cancel(err)
			return nil, nil, err
		}
		stalled := func() { cancel(errStalled) }
		input := &timedWriter{WriteCloser: in, limit: stall, late: stalled}
		return input, func() error {
			defer cancel(nil)
			defer time.AfterFunc(closeTimeout, func() { cancel(nil) }).Stop()
			err := process.Wait()
			if context.Cause(ctx) == errStalled {
				return errStalled
			}
			if err == nil && input.isBroken {
				err = errEarly
			}
			return complaints.About(err)
		}, nil
	}
}

// timedWriter is the input of a program. It calls late if one write takes longer than limit.
type timedWriter struct {
	io.WriteCloser
	limit    time.Duration
	late     func()
	isBroken bool // a write failed
}

func (i *timedWriter) Write(p []byte) (int, error) {
	defer time.AfterFunc(i.limit, i.late).Stop()
	n, err := i.WriteCloser.Write(p)
	i.isBroken = err != nil
	return n, err
}

// Player plays the audio that a replica gets through a program, slightly behind the
// replica. One goroutine feeds the program; Close ends it and waits for it.
type Player struct {
	program Program
	wake    chan struct{}
	ended   chan struct{}

	mu       sync.Mutex
	all      utterances
	isClosed bool
	err      error // of the program; nothing is played after it
}

// NewPlayer begins to play.
func NewPlayer(program Program) *Player {
	p := &Player{program: program, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go p.run()
	return p
}

// Observe takes a moment of the session.
func (p *Player) Observe(m echo.Moment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all.note(m)
	switch {
	case m.Kind == echo.MomentInterrupt:
		for _, u := range p.all {
			u.isHeld = u.isHeld || u.id == m.InferenceID
		}
	case m.Kind == echo.MomentEvent && m.Event.Kind == echo.StartedSpeaking && m.Event.Role != echo.RoleUser:
		p.started(m.At)
	}
	if p.isClosed {
		return
	}
	select {
	case p.wake <- struct{}{}:
	default: // it is awake
	}
}

// started begins playback of the utterance that the replica speaks now, if that is
// known.
func (p *Player) started(at time.Time) {
	for _, u := range p.all {
		if !u.first.IsZero() && u.begin.IsZero() {
			u.begin = at.Add(playbackDelay)
			return
		}
	}
}

// Close plays the rest of what was heard, and returns an error of the program. Close the
// session before.
func (p *Player) Close() error {
	p.mu.Lock()
	if !p.isClosed {
		p.isClosed = true
		close(p.wake)
	}
	p.mu.Unlock()
	<-p.ended
	return p.failed()
}

// run feeds the program until Close, and until all is played.
func (p *Player) run() {
	defer close(p.ended)
	var in io.WriteCloser
	wait := func() error { return nil }
	stop := func() {
		if in != nil {
			_ = in.Close() // the program may have ended before
			p.fail(wait())
			in = nil
		}
	}
	defer stop()
	for {
		samples, rate, isOver, sleep := p.due(time.Now())
		if len(samples) > 0 && in == nil && p.failed() == nil {
			var err error
			if in, wait, err = p.program(rate); err != nil {
				p.fail(err)
				in = nil
			}
		}
		if len(samples) > 0 && in != nil {
			if _, err := in.Write(pcm.Bytes(samples)); err != nil {
				stop()
				p.fail(fmt.Errorf("the player stopped reading: %w", err))
			}
		}
		if isOver {
			stop()
		}
		if !p.pause(sleep) {
			return
		}
	}
}

// pause waits until there may be more to play. It returns false once nothing is left.
func (p *Player) pause(sleep time.Duration) bool {
	if sleep > 0 {
		timer := time.NewTimer(sleep)
		defer timer.Stop()
		<-timer.C
		return true
	}
	_, open := <-p.wake
	p.mu.Lock()
	defer p.mu.Unlock()
	return open || len(p.all) > 0 && p.all[0].end >= 0
}

func (p *Player) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *Player) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = cmp.Or(p.err, err)
}

// due takes the samples to play by now. isOver says that the utterance ends with
// them; sleep is how long nothing more is due, or 0 if nothing is known to come.
func (p *Player) due(now time.Time) (samples []int16, rate int, isOver bool, sleep time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) == 0 {
		return nil, 0, false, 0
	}
	u := p.all[0]
	if p.isClosed && u.end < 0 {
		u.end = u.passed // the session ended without a receipt
	}
	if u.begin.IsZero() && !u.first.IsZero() && (now.Sub(u.first) >= silentStart || u.end >= 0) {
		u.begin = now
	}
	n := u.due(now)
	samples = append(samples, u.samples[:n]...)
	u.samples, u.passed = u.samples[n:], u.passed+int64(n)
	switch {
	case u.end >= 0 && (u.passed >= u.end || p.err != nil):
		p.all = p.all[1:]
		return samples, u.rate, true, step
	case u.first.IsZero(), u.isHeld && u.end < 0:
		return samples, u.rate, false, 0
	}
	return samples, u.rate, false, step
}

// due returns how many samples should be played by now.
func (u *utterance) due(now time.Time) int {
	if u.begin.IsZero() || u.isHeld && u.end < 0 {
		return 0
	}
	due := int64(now.Sub(u.begin).Seconds() * float64(u.rate))
	if u.end >= 0 {
		due = min(due, u.end)
	}
	n := min(max(due-u.passed, 0), int64(len(u.samples)))
	if lacks := due - u.passed - n; lacks > 0 { // it ran dry, as the replica did
		u.begin = u.begin.Add(time.Duration(float64(lacks) / float64(u.rate) * float64(time.Second)))
	}
	return int(n)
}

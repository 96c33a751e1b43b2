// Package avatar is a replica that other people's rooms can have: it takes audio as
// streams of bytes, plays it on the clock of the stand-in replica, and publishes what
// plays as packets of Opus and frames of VP8. The face is that of package face, or
// what another program draws (see Program).
//
// # One timeline
//
// Time is counted in ticks of 20 ms. At each tick the samples that the replica has
// played since the last one become a packet, or silence does. Every second tick has a
// picture too, made from the same samples, so sound and face belong together whatever
// the machine does. What is told of playback is counted where the packets leave: an
// utterance has started when its first packet is published, and its position is the
// audio in the packets that were.
package avatar

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"echocast/internal/opusencoder"
	"echocast/replica"
)

// The rate of the audio in Hz, and the time and samples of a tick.
const (
	Rate        = 24000
	Tick        = 20 * time.Millisecond
	tickSamples = Rate / 50
)

// pictureEvery is how many ticks a picture is shown.
const pictureEvery = 2

// clockLag is how far the timeline is behind the replica's clock. It bounds how late
// the replica may report what it has played without a gap in the sound.
const clockLag = 60 * time.Millisecond

// MaxDelay is the largest Options.Delay.
const MaxDelay = 5 * time.Second

// Outlet is where an avatar publishes. Its methods are called by one goroutine each
// for sound, pictures and what is told of playback.
type Outlet interface {
	// Sound publishes a packet of Opus with 20 ms. level is how loud it is, in
	// decibels below full scale, as RFC 6464 says it: 127 is silence.
	Sound(packet []byte, level uint8, tick int64)
	// Picture publishes a frame of VP8 that belongs to the sound of a tick.
	Picture(frame []byte, tick int64)
	// Started tells that an utterance is heard.
	Started(utterance string)
	// Finished tells that an utterance is over, and how much of it was heard.
	Finished(utterance string, played time.Duration, interrupted bool)
}

// Options tune an Avatar. The zero value is the stand-in with its own face.
type Options struct {
	// Program draws the pictures. If it is nil, they show the face of the stand-in.
	Program *Program

	// Delay is how much later sound is published than Program gets it, so that its
	// pictures are there in time. It is DefaultDelay with a Program, where it is
	// zero, and none without.
	Delay time.Duration

	// Record gets what was played (WAV), by the clock of the replica. None if nil.
	Record io.WriteSeeker

	// OnEvent and OnUtterance are as in replica.Options.
	OnEvent     func(replica.Event)
	OnUtterance func(replica.Utterance)

	// Warn is told what goes wrong without an error. Nil: nobody.
	Warn func(text string)
}

// DefaultDelay is Options.Delay with a Program.
const DefaultDelay = 200 * time.Millisecond

// ErrNoOpus says that this build cannot make sound.
var ErrNoOpus = errors.New("publishing sound takes libopus, which this build does not have; use " +
	"one that was built with C")

// Avatar is one replica. Speak, Clear and NeedKeyFrame may be called by anybody. What
// comes before Run waits for it.
type Avatar struct {
	options Options
	room    *replica.Room
	inlet   *inlet
	line    *timeline
	maker   *pictureMaker
}

// New makes an avatar, which does nothing before Run.
func New(o *Options) (*Avatar, error) {
	if !opusencoder.Available {
		return nil, ErrNoOpus
	}
	a := &Avatar{options: *o, inlet: newInlet()}
	if a.options.Program != nil {
		a.options.Delay = cmp.Or(a.options.Delay, DefaultDelay)
	}
	if a.options.Delay < 0 || a.options.Delay > MaxDelay {
		return nil, fmt.Errorf("a delay is between 0s and %v", MaxDelay)
	}
	if a.options.Warn == nil {
		a.options.Warn = func(string) {}
	}
	a.line = newTimeline(int(a.options.Delay / Tick))
	a.maker = newPictureMaker()
	a.room = replica.NewRoom(&replica.Options{
		MessageLimit: -1, Record: o.Record, OnUtterance: o.OnUtterance, OnSound: a.line.sound,
		OnEvent: func(e replica.Event) {
			a.line.event(e)
			if o.OnEvent != nil {
				o.OnEvent(e)
			}
		},
	})
	return a, nil
}

// Run publishes until ctx ends or the program that draws does. An utterance that is
// being spoken then is reported as interrupted. Run returns what the replica reports,
// and why it ended: the cause of ctx, or what went wrong.
func (a *Avatar) Run(ctx context.Context, out Outlet) (replica.Report, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	encoder, err := opusencoder.New(Rate, false)
	if err != nil {
		return replica.Report{}, err
	}
	defer encoder.Close()
	var work sync.WaitGroup
	pictures := faceSource
	if a.options.Program != nil {
		running, err := a.options.Program.start(ctx, a.options.Warn)
		if err != nil {
			return replica.Report{}, err
		}
		pictures = running.source
		a.line.feed = running.feed
		work.Go(func() { cancel(cmp.Or(running.wait(), context.Cause(ctx))) })
	}
	work.Go(func() { _ = a.room.Join(ctx, a.inlet, "") }) // the report of the room says how it ended
	work.Go(func() {
		if err := a.maker.run(ctx, pictures, out.Picture); err != nil {
			cancel(err)
		}
	})
	work.Go(func() { a.line.report(ctx, out) })
	work.Go(func() {
		if err := a.line.run(ctx, encoder, out, a.maker); err != nil {
			cancel(err)
		}
	})
	report, err := a.room.Run(ctx)
	cancel(err)
	work.Wait()
	return report, context.Cause(ctx)
}

// NeedKeyFrame makes the next picture a key frame, for somebody who has just come.
func (a *Avatar) NeedKeyFrame() { a.maker.needKeyFrame() }

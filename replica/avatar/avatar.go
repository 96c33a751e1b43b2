// Package avatar is a stand-in replica for rooms on other servers. It takes audio as byte
// streams, plays it on the clock of the stand-in replica, and publishes it as packets of
// Opus and frames of VP8. Package face draws the pictures, or another program does (see
// Program).
//
// # One timeline
//
// Time is counted in ticks of 20 ms. Each tick, the timeline packs the samples that the
// replica has played since the last tick, or silence, into a packet. Every second tick also
// gets a picture. It is drawn from the same samples, so sound and face stay in sync even on
// a slow machine. Playback reports count published packets. An utterance has started when
// its first packet is published, and its position is the audio in the published packets.
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

// pictureEvery is the number of ticks for each picture.
const pictureEvery = 2

// clockLag is how far the timeline is behind the replica's clock. It bounds how late
// the replica may report what it has played without a gap in the sound.
const clockLag = 60 * time.Millisecond

// MaxDelay is the largest Options.Delay.
const MaxDelay = 5 * time.Second

// Outlet publishes the output of an avatar. Its methods for sound, for pictures and for
// playback reports are called from one goroutine each.
type Outlet interface {
	// Sound publishes an Opus packet of 20 ms. level is its loudness in decibels below
	// full scale, as in RFC 6464: 127 is silence.
	Sound(packet []byte, level uint8, tick int64)
	// Picture publishes a frame of VP8 that belongs to the sound of a tick.
	Picture(frame []byte, tick int64)
	// Started reports that an utterance has started to play.
	Started(utterance string)
	// Finished reports that an utterance has ended, and how much of it was played.
	Finished(utterance string, played time.Duration, interrupted bool)
}

// Options configure an Avatar. The zero value is the stand-in with its own face.
type Options struct {
	// Program draws the pictures. If it is nil, they show the face of the stand-in.
	Program *Program

	// Delay is how much later sound is published than Program gets it, so that pictures are
	// ready in time. 0 means DefaultDelay with a Program, and no delay without.
	Delay time.Duration

	// Record receives the played audio as WAV, on the clock of the replica. nil means no
	// recording.
	Record io.WriteSeeker

	// OnEvent and OnUtterance are as in replica.Options.
	OnEvent     func(replica.Event)
	OnUtterance func(replica.Utterance)

	// Warn is called with warnings; it may be nil.
	Warn func(text string)
}

// DefaultDelay is the delay with a Program if Options.Delay is 0.
const DefaultDelay = 200 * time.Millisecond

// ErrNoOpus reports that this build cannot encode sound.
var ErrNoOpus = errors.New("publishing sound needs libopus, which this build does not have; use " +
	"a build with cgo")

// Avatar is one replica. Speak, Clear and NeedKeyFrame may be called from any goroutine.
// Calls before Run wait for Run.
type Avatar struct {
	options  Options
	room     *replica.Room
	inlet    *inlet
	timeline *timeline
	maker    *pictureMaker
	face     func() (source, error) // draws if there is no Program
}

// New returns an avatar. It does nothing until Run.
func New(o *Options) (*Avatar, error) {
	if !opusencoder.Available {
		return nil, ErrNoOpus
	}
	a := &Avatar{options: *o, inlet: newInlet(), face: faceSource}
	if a.options.Program != nil {
		a.options.Delay = cmp.Or(a.options.Delay, DefaultDelay)
	}
	if a.options.Delay < 0 || a.options.Delay > MaxDelay {
		return nil, fmt.Errorf("the delay must be between 0s and %v", MaxDelay)
	}
	if a.options.Warn == nil {
		a.options.Warn = func(string) {}
	}
	a.timeline = newTimeline(int(a.options.Delay / Tick))
	a.maker = newPictureMaker()
	a.room = replica.NewRoom(&replica.Options{
		MessageLimit: -1, Record: o.Record, OnUtterance: o.OnUtterance, OnSound: a.timeline.sound,
		OnEvent: func(e replica.Event) {
			a.timeline.event(e)
			if o.OnEvent != nil {
				o.OnEvent(e)
			}
		},
	})
	return a, nil
}

// Run publishes until ctx or the drawing program ends. If an utterance is being spoken at
// that time, Run reports it as interrupted. Run returns the replica's report and why it
// ended: the cause of ctx, or an error.
func (a *Avatar) Run(ctx context.Context, out Outlet) (replica.Report, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	encoder, err := opusencoder.New(Rate, false)
	if err != nil {
		return replica.Report{}, err
	}
	defer encoder.Close()
	var work sync.WaitGroup
	pictures := a.face
	if a.options.Program != nil {
		running, err := a.options.Program.start(ctx, a.options.Warn)
		if err != nil {
			return replica.Report{}, err
		}
		pictures = running.source
		a.timeline.feed = running.feed
		work.Go(func() { cancel(cmp.Or(running.wait(), context.Cause(ctx))) })
	}
	work.Go(func() { _ = a.room.Join(ctx, a.inlet, "") }) // the report of the room says how it ended
	work.Go(func() {
		if err := a.maker.run(ctx, pictures, out.Picture); err != nil {
			cancel(err)
		}
	})
	work.Go(func() { a.timeline.report(ctx, out) })
	work.Go(func() {
		if err := a.timeline.run(ctx, encoder, out, a.maker); err != nil {
			cancel(err)
		}
	})
	report, err := a.room.Run(ctx)
	cancel(err)
	work.Wait()
	return report, context.Cause(ctx)
}

// NeedKeyFrame makes the next picture a key frame, for a viewer who has just joined.
func (a *Avatar) NeedKeyFrame() { a.maker.needKeyFrame() }

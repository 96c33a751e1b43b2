// Package voice measures a text-to-speech voice: a command, or another source that streams
// audio. It reports the delay of the first audio, the speed of the rest, how often a
// listener would hear a gap, and the lead that prevents gaps.
//
// The lead that one utterance needs is how long a listener must wait after the first audio
// has arrived, so that every later sample arrives before it is to be played:
//
//	lead = max over all samples of (arrival − arrival of the first − playing time before it)
//
// A voice that is always ahead of playback needs no lead. From many utterances,
// EstimateLead estimates the lead that is enough for all but one in a thousand.
package voice

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"echocast/audio"
	"echocast/internal/child"
	"echocast/internal/renderbuffer"
)

// Run is the measurement of one utterance. Times are in seconds.
type Run struct {
	Number     int     `json:"run"`           // from 1 on
	Audio      float64 `json:"audio_seconds"` // playing time
	FirstAudio float64 `json:"first_audio_seconds"`
	// Factor is the speed of the audio after its beginning: 1 is real time. It is 0 if
	// all arrived at once.
	Factor  float64 `json:"factor"`
	Stalls  int     `json:"stalls"` // underruns of a replica that starts to play at once
	Stalled float64 `json:"stalled_seconds"`
	Lead    float64 `json:"lead_seconds"` // the lead that it needed
	Error   string  `json:"error,omitempty"`
}

// Voice is a voice to measure.
type Voice struct {
	// Speak begins an utterance and returns its audio. finish is called when all audio has
	// been read, or with the error that ended reading. It returns why the utterance failed.
	Speak func(ctx context.Context, number int) (audio io.Reader, finish func(error) error, err error)
	// Options say how to read the audio. nil means to detect the format from the content.
	Options *audio.PrepareOptions
	// Timeout is the maximum duration of an utterance.
	Timeout time.Duration
}

// Command returns the Voice of a command. args is a shell line, or a program and its
// arguments. For each utterance it writes one of the texts, if there are any, to standard
// input. After the last text it starts again with the first.
func Command(args, texts []string) *Voice {
	return &Voice{Speak: func(ctx context.Context, number int) (io.Reader, func(error) error, error) {
		command := child.Shell(ctx, args[0])
		if len(args) > 1 {
			command = child.Command(ctx, args[0], args[1:]...)
		}
		complaints := &child.Complaints{}
		command.Stderr = complaints
		if len(texts) > 0 {
			command.Stdin = strings.NewReader(texts[(number-1)%len(texts)])
		}
		process, err := child.Start(command)
		if err != nil {
			return nil, nil, err
		}
		return process.Stdout, func(broken error) error {
			if broken == nil {
				return complaints.About(process.Wait())
			}
			return cmp.Or(complaints.AboutBroken(process), broken)
		}, nil
	}}
}

// MeasureAll runs n utterances, one after the other, and passes each to report. If report
// fails or ctx ends, it returns the runs so far, and the error or the cause.
func (v *Voice) MeasureAll(ctx context.Context, n int, report func(Run) error) (runs []Run, err error) {
	for number := 1; number <= n; number++ {
		run, err := v.Measure(ctx, number)
		if err != nil {
			return runs, err
		}
		runs = append(runs, run)
		if err := report(run); err != nil {
			return runs, err
		}
	}
	return runs, nil
}

// Measure runs one utterance. The error is the cause of ctx. A failure of the utterance is
// recorded in the Run.
func (v *Voice) Measure(ctx context.Context, number int) (Run, error) {
	run := Run{Number: number}
	within, cancel := ctx, context.CancelFunc(func() {})
	if v.Timeout > 0 {
		within, cancel = context.WithTimeoutCause(ctx, v.Timeout, fmt.Errorf("it was not over after %v", v.Timeout))
	}
	defer cancel()
	err := v.measure(within, &run)
	if cause := context.Cause(ctx); cause != nil {
		return run, cause
	}
	if err != nil {
		run.Error = err.Error()
		if cause := context.Cause(within); cause != nil {
			run.Error = cause.Error()
		}
	}
	return run, nil
}

func (v *Voice) measure(ctx context.Context, run *Run) error {
	begin := time.Now()
	r, finish, err := v.Speak(ctx, run.Number)
	if err != nil {
		return err
	}
	options := audio.PrepareOptions{}
	if v.Options != nil {
		options = *v.Options
	}
	clock := &arrivals{begin: begin}
	options.OnDecoded = clock.add
	prepared, err := audio.Prepare(ctx, r, &options)
	if err != nil {
		return finish(err)
	}
	defer prepared.Close()
	clock.format = prepared.Decoded()
	samples := make([]float32, 4096)
	for err == nil {
		_, err = prepared.ReadSamples(samples)
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	clock.fill(run)
	return finish(err)
}

// arrivals measures when audio arrives.
type arrivals struct {
	begin  time.Time
	format audio.Format
	first  time.Time // when the first samples arrived
	last   time.Time
	frames int64 // number that arrived
	head   int64 // number that arrived first
	lead   time.Duration

	replica renderbuffer.Buffer // of a replica that plays as early as it can
}

// add records samples that have just arrived.
func (a *arrivals) add(samples []float32) {
	now, frames := time.Now(), int64(len(samples)/a.format.Channels)
	if frames == 0 {
		return
	}
	if a.first.IsZero() {
		a.first = now
	}
	a.lead = max(a.lead, now.Sub(a.first)-a.format.Duration(a.frames))
	a.replica.Add(now, a.format.Duration(a.frames+frames)-a.format.Duration(a.frames))
	a.frames += frames
	a.last = now
	if now.Equal(a.first) {
		a.head = a.frames
	}
}

// fill stores the measurements in a run.
func (a *arrivals) fill(run *Run) {
	run.Audio = a.format.Duration(a.frames).Seconds()
	if a.first.IsZero() {
		return
	}
	run.FirstAudio = a.first.Sub(a.begin).Seconds()
	run.Lead, run.Stalls, run.Stalled = a.lead.Seconds(), a.replica.Underruns, a.replica.Gaps.Seconds()
	if took := a.last.Sub(a.first).Seconds(); took > 0 {
		run.Factor = a.format.Duration(a.frames-a.head).Seconds() / took
	}
}

package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"echocast/echo"
)

// feedOptions say how inputs are fed to a session.
type feedOptions struct {
	options echo.FeedOptions
	always  bool // files too
}

// speaker speaks inputs, one utterance each.
type speaker struct {
	session  *echo.Session
	settings *settings
	feeding  *feedOptions // nil: each is read as it is
	stdin    io.Reader
	out      *reporter
	// stopOnError ends the run with the first utterance that is not confirmed as
	// heard, instead of with the last input.
	stopOnError bool

	spoken      int
	unconfirmed []string // names of utterances
}

// all speaks the inputs in order, and stops at the first that fails. One that was
// sent, but not confirmed as heard, does not keep the others from being spoken.
func (s *speaker) all(ctx context.Context, names []string) error {
	for _, name := range names {
		in, err := openInput(ctx, name, s.stdin, &s.settings.prepare)
		if err != nil {
			return cancelled(ctx, err)
		}
		err = s.one(ctx, in)
		in.close()
		if err != nil {
			return cancelled(ctx, err)
		}
	}
	switch {
	case len(s.unconfirmed) == 0:
		return nil
	case s.spoken == 1:
		return echo.ErrUnverified
	}
	return fmt.Errorf("%w: %s", echo.ErrUnverified, strings.Join(s.unconfirmed, ", "))
}

func (s *speaker) one(ctx context.Context, in *input) error {
	if s.feeding == nil || !s.feeding.always && in.isFile() {
		return s.say(ctx, in, echo.Speech{Samples: in.audio, Name: in.name, Abort: in.abort})
	}
	options := s.feeding.options
	options.Abort = in.abort
	feed := echo.NewFeed(in.audio, options)
	defer feed.Close()
	for {
		if err := s.say(ctx, in, echo.Speech{Samples: feed, Name: in.name, Abort: feed.Abort}); err != nil {
			return err
		}
		more, err := feed.Next(ctx)
		if err != nil {
			return in.failed(err)
		}
		if !more {
			return nil
		}
	}
}

func (s *speaker) say(ctx context.Context, in *input, speech echo.Speech) error {
	s.out.begin(in, s.session)
	_, err := s.session.Speak(ctx, speech)
	err = in.failed(err)
	s.spoken++
	failed := s.out.end(in, err)
	if errors.Is(err, echo.ErrUnverified) && !s.stopOnError && ctx.Err() == nil {
		s.unconfirmed = append(s.unconfirmed, in.title())
		return failed
	}
	return cmp.Or(err, failed)
}

// cancelled prefers the reason of the cancelling to the error it made, such as
// a read of the input that was closed for it.
func cancelled(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// settingsError makes a refusal of the settings one of usage, with the option
// that mends it.
func settingsError(err error) error {
	var chunk *echo.ChunkError
	if errors.As(err, &chunk) {
		if chunk.Longest == 0 {
			return fmt.Errorf("%w; raise --max-message", err)
		}
		return fmt.Errorf("%w: give --chunk %v, or raise --max-message", err, chunk.Longest)
	}
	return usagef("%v", err)
}

// reporter tells people, and programs, what happens to each utterance.
type reporter struct {
	settings *settings
	data     io.Writer // receipts as JSON
	people   *console
	status   *statusLine
	// heard says that somebody waits for what the replica says was heard.
	heard bool
	// underruns gives the replica's own count, where it can be asked.
	underruns func(id string) (int, bool)
	receipts  []echo.Receipt // of the input that is being spoken
	speaking  atomic.Bool    // from begin to end, or for good after a loss
}

// inputReceipt is a receipt with what is known of its input.
type inputReceipt struct {
	echo.Receipt
	SamplesIn int64 `json:"samples_in"` // read from the input so far, for each channel
	RateIn    int   `json:"rate_in"`    // Hz
}

// receive keeps a receipt for the end of its input.
func (r *reporter) receive(receipt echo.Receipt) { r.receipts = append(r.receipts, receipt) }

func (s *settings) newReporter(data, people io.Writer) *reporter {
	r := &reporter{settings: s, data: data, people: &console{w: people}}
	s.audio.Notify = func(text string) { r.say("%s", text) }
	return r
}

func (r *reporter) say(format string, args ...any) {
	if !r.settings.quiet {
		r.warn(format, args...)
	}
}

// warn says what has to be known even where quiet is asked for.
func (r *reporter) warn(format string, args ...any) {
	fmt.Fprintf(r.people, "echocast: %s\n", printable(fmt.Sprintf(format, args...)))
}

func (r *reporter) begin(in *input, session *echo.Session) {
	r.speaking.Store(true)
	r.say("%s: %s", in.title(), in.describe())
	if !r.settings.quiet {
		r.status = startStatus(r.people, in, session)
	}
}

// end tells how the utterances of an input ended, and fails where a receipt
// cannot be written.
func (r *reporter) end(in *input, err error) error {
	r.speaking.Store(errors.Is(err, echo.ErrLost)) // its loss ends the run
	r.status.stop()
	r.status = nil
	for _, warning := range in.audio.Warnings() {
		r.say("%s: %s", in.title(), warning)
	}
	receipts := r.receipts
	r.receipts = nil
	for i, receipt := range receipts {
		if i == len(receipts)-1 && err != nil {
			receipt.Error = err.Error()
		}
		r.count(&receipt)
		if receipt.Chunks > 0 && (i < len(receipts)-1 || !quietError(err)) {
			r.say("%s: %s", in.title(), r.summary(receipt))
		}
		if failed := r.print(inputReceipt{receipt, in.audio.FramesRead(), in.audio.Info().Format.Rate}); failed != nil {
			return failed
		}
	}
	return nil
}

func (r *reporter) print(receipt any) error {
	if !r.settings.json {
		return nil
	}
	line, _ := json.Marshal(receipt) // numbers and strings always marshal
	if _, err := fmt.Fprintf(r.data, "%s\n", line); err != nil {
		return stdoutError{err}
	}
	return nil
}

func (r *reporter) count(receipt *echo.Receipt) {
	if r.underruns == nil || receipt.Chunks == 0 {
		return
	}
	if n, ok := r.underruns(receipt.InferenceID); ok {
		receipt.Underruns, receipt.UnderrunsBy = n, "replica"
	}
}

// summary is the receipt in one line.
func (r *reporter) summary(receipt echo.Receipt) string {
	text := fmt.Sprintf("%s: %d samples (%.3f s) sent in %s", receipt.Outcome, receipt.Samples, receipt.SentSeconds, counted(receipt.Chunks, "message"))
	if !r.heard {
		return text
	}
	text += fmt.Sprintf(", %.3f s spoken (by %s)", receipt.SpokenSeconds, receipt.SpokenBy)
	if receipt.FirstAudioSeconds >= 0 {
		text += fmt.Sprintf(", first audio after %.3f s", receipt.FirstAudioSeconds)
	}
	text += fmt.Sprintf(", %s (by %s)", counted(receipt.Underruns, "underrun"), receipt.UnderrunsBy)
	if input := receipt.Input; input != nil && input.Stalls > 0 {
		text += fmt.Sprintf("; the input came at %.2f of the speed of speech, and ran out %s", input.Factor, counted(input.Stalls, "time"))
	}
	return text
}

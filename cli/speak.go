package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"echocast/echo"
	"echocast/internal/terminal"
	"echocast/internal/timings"
)

// feedOptions describe how inputs are fed to a session.
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
	opened   *input // standard input, if it is open already
	out      *reporter
	// stopOnError ends the run with the first utterance that is not confirmed as
	// heard, instead of with the last input.
	stopOnError bool
	text        string // of the first utterance, where it is known

	spoken      int
	unconfirmed []string // names of utterances
}

// all speaks the inputs in order, and stops at the first that fails. One that was
// sent, but not confirmed as heard, does not keep the others from being spoken.
func (s *speaker) all(ctx context.Context, names []string) error {
	for _, name := range names {
		in, err := s.open(ctx, name)
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

func (s *speaker) open(ctx context.Context, name string) (*input, error) {
	if name == stdinName && s.opened != nil {
		return s.opened, nil
	}
	return openInput(ctx, name, s.stdin, &s.settings.prepare)
}

func (s *speaker) one(ctx context.Context, in *input) error {
	if s.feeding == nil || !s.feeding.always && in.isFile() {
		words := func() []echo.WordTiming { return timings.Of(in.audio.Words(), 0) }
		return s.say(ctx, in, echo.Speech{Samples: in.audio, Name: in.name, Abort: in.abort, MoreWords: words})
	}
	options := s.feeding.options
	options.Abort = in.abort
	feed := echo.NewFeed(in.audio, options)
	defer feed.Close()
	words := func() []echo.WordTiming { return timings.Of(in.audio.Words(), feed.Begin()) }
	for {
		if err := s.say(ctx, in, echo.Speech{Samples: feed, Name: in.name, Abort: feed.Abort, MoreWords: words}); err != nil {
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
	speech.Text, s.text = s.text, ""
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

// cancelled returns the cause of ctx if it has ended, because err is then only a
// consequence, such as a closed input.
func cancelled(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// settingsError makes an error of the settings a usage error, and names the option to
// change.
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

// reporter reports each utterance, to people and as JSON.
type reporter struct {
	settings *settings
	data     io.Writer // receipts as JSON
	people   *terminal.Console
	status   func() // ends the status line; nil: there is none
	// heard says that the run waits until the utterances were heard.
	heard bool
	// underruns returns the replica's own count, if it is in this process.
	underruns func(id string) (int, bool)
	receipts  []echo.Receipt // of the input that is being spoken
	speaking  atomic.Bool    // from begin to end, or for good after a loss
	rehearsal bool           // the replica is a stand-in in this process
}

// receive keeps a receipt until its input has ended.
func (r *reporter) receive(receipt echo.Receipt) { r.receipts = append(r.receipts, receipt) }

func (s *settings) newReporter(data, people io.Writer) *reporter {
	r := &reporter{settings: s, data: data, people: terminal.NewConsole(people)}
	s.audio.Notify = func(text string) { r.say("%s", text) }
	return r
}

func (r *reporter) say(format string, args ...any) {
	if !r.settings.quiet {
		r.warn(format, args...)
	}
}

// warn reports something even with --quiet.
func (r *reporter) warn(format string, args ...any) {
	fmt.Fprintf(r.people, "echocast: %s\n", forPeople(fmt.Sprintf(format, args...)))
}

func (r *reporter) begin(in *input, session *echo.Session) {
	r.speaking.Store(true)
	r.say("%s: %s", in.title(), in.describe())
	if !r.settings.quiet {
		r.status = r.people.StartStatus(statusText(in, session))
	}
}

// end reports how the utterances of an input ended. It fails if a receipt cannot be
// written.
func (r *reporter) end(in *input, err error) error {
	r.speaking.Store(errors.Is(err, echo.ErrLost)) // its loss ends the run
	if r.status != nil {
		r.status()
		r.status = nil
	}
	for _, warning := range in.audio.Warnings() {
		r.say("%s: %s", in.title(), warning)
	}
	receipts := r.receipts
	r.receipts = nil
	for i, receipt := range receipts {
		if i == len(receipts)-1 && err != nil {
			receipt.Error = hidden(err.Error())
		}
		r.count(&receipt)
		if receipt.Chunks > 0 && (i < len(receipts)-1 || !quietError(err)) {
			r.say("%s: %s", in.title(), receipt.Summary(r.heard))
		}
		if failed := r.print(inputReceipt{receipt, in.audio.FramesRead(), in.audio.Info().Format.Rate,
			r.rehearsal}); failed != nil {
			return failed
		}
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

package speak

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"echocast/audio"
	"echocast/echo"
	"echocast/internal/timings"
)

// Speaker speaks inputs, one utterance each.
type Speaker struct {
	Session *echo.Session
	Prepare *audio.PrepareOptions
	Stdin   io.Reader
	// Opened is standard input, if it is open already; nil: Speaker opens it.
	Opened *Input
	// Feed configures an echo.Feed for slow inputs; nil: none. Files use it only if
	// audio is kept for Rewind.
	Feed *echo.FeedOptions
	// Text is the text of the first utterance, if known.
	Text string
	// StopOnError ends All with the first utterance that is not confirmed as heard,
	// instead of with the last input.
	StopOnError bool
	// Begin is called before each utterance, and End after it, with its error. If End
	// returns an error, All ends.
	Begin func(*Input)
	End   func(*Input, error) error

	spoken      int
	unconfirmed []string // names of utterances
}

// All speaks the inputs in order, and stops at the first that fails. If an input was sent
// but not confirmed as heard, All continues with the next ones, and returns
// echo.ErrUnverified at the end.
func (s *Speaker) All(ctx context.Context, names []string) error {
	for _, name := range names {
		in, err := s.open(ctx, name)
		if err != nil {
			return err
		}
		err = s.speak(ctx, in)
		in.Close()
		if err != nil {
			return err
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

func (s *Speaker) open(ctx context.Context, name string) (*Input, error) {
	if name == Stdin && s.Opened != nil {
		return s.Opened, nil
	}
	return Open(ctx, name, s.Stdin, s.Prepare)
}

func (s *Speaker) speak(ctx context.Context, in *Input) error {
	if s.Feed == nil || s.Feed.Keep == 0 && in.IsFile() {
		words := func() []echo.WordTiming { return timings.Of(in.Audio.Words(), 0) }
		return s.say(ctx, in, echo.Speech{Samples: in.Audio, Name: in.Name, Abort: in.Abort, MoreWords: words})
	}
	options := *s.Feed
	options.Abort = in.Abort
	feed := echo.NewFeed(in.Audio, options)
	defer feed.Close()
	in.feed = feed
	words := func() []echo.WordTiming { return timings.Of(in.Audio.Words(), feed.Begin()) }
	for {
		if err := s.say(ctx, in, echo.Speech{Samples: feed, Name: in.Name, Abort: feed.Abort, MoreWords: words}); err != nil {
			return err
		}
		more, err := feed.Next(ctx)
		if err != nil {
			return in.Failed(err)
		}
		if !more {
			return nil
		}
	}
}

func (s *Speaker) say(ctx context.Context, in *Input, speech echo.Speech) error {
	s.Begin(in)
	if speech.Text, s.Text = s.Text, ""; speech.Text != "" && in.IsFile() {
		info := in.Audio.Info()
		speech.Length = info.Format.Duration(max(info.Declared, 0))
	}
	_, err := s.Session.Speak(ctx, speech)
	err = in.Failed(err)
	s.spoken++
	failed := s.End(in, err)
	if errors.Is(err, echo.ErrUnverified) && !s.StopOnError && ctx.Err() == nil {
		s.unconfirmed = append(s.unconfirmed, in.Title())
		return failed
	}
	return cmp.Or(err, failed)
}

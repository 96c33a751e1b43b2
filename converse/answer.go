package converse

import (
	"context"
	"errors"
	"fmt"

	"echocast/audio"
	"echocast/echo"
	"echocast/internal/timings"
)

// answer is one answer that is being prepared or spoken.
type answer struct {
	name      string
	cancel    context.CancelCauseFunc
	ready     chan struct{} // receives once, when there is audio
	permitted chan struct{} // closed when the answer may be spoken
	ended     chan error    // receives once, when all of it has ended
	spoken    *Previous     // what was spoken; set before ended receives
}

// request is a request for an answer.
type request struct {
	name     string // of the answer
	question string // what the user said; empty if text is set
	text     string // text to say; empty if question is set
	previous *Previous
}

// answerAudio is the output of the commands for an answer.
type answerAudio struct {
	audio Audio         // nil if there is none
	err   error         // why there is none
	abort func()        // ends a read of audio that blocks
	reply func() string // the text of the answer so far
	// finish waits for the commands, and ends them if the answer was not spoken to its end.
	// It returns the error of the OnUtterance command.
	finish func(spoken error) error
}

// begin starts to answer the user's question or, if that is empty, to say text.
func (c *conversation) begin(ctx context.Context, question, text string) *answer {
	a := &answer{name: "greeting", ready: make(chan struct{}, 1), permitted: make(chan struct{}),
		ended: make(chan error, 1)}
	if question != "" {
		a.name = fmt.Sprintf("answer %d", c.turns)
	}
	ctx, a.cancel = context.WithCancelCause(ctx)
	r := request{a.name, question, text, c.previous}
	go func() { // abandon, end and run wait for ended
		err := c.answer(ctx, a, r)
		switch cause := context.Cause(ctx); {
		case err != nil && cause != nil:
			err = cause
		case err != nil && !isInReceipt(err):
			c.note(Note{Kind: NoteFailed, Answer: a.name, Reason: err.Error()})
		}
		a.ended <- err
	}()
	return a
}

// isInReceipt reports whether the receipt of the answer, or the end of the session,
// already reports an error.
func isInReceipt(err error) bool {
	for _, known := range []error{
		echo.ErrInterrupted, echo.ErrBargeIn, echo.ErrStopped, echo.ErrUnverified,
		echo.ErrLost, echo.ErrNotRejoined, echo.ErrClosed, echo.ErrNotReady,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// answer produces one answer and speaks it.
func (c *conversation) answer(ctx context.Context, a *answer, r request) error {
	m, err := c.make(ctx, r)
	if err != nil {
		return err
	}
	err = m.err
	if err == nil {
		err = c.speak(ctx, a, m)
	}
	failed := m.finish(err)
	reply := m.reply()
	if reply != "" {
		c.note(Note{Kind: NoteReply, Answer: a.name, Text: reply})
	} else if isEmpty(err) {
		err = failed
		if failed == nil {
			c.note(Note{Kind: NoteSilent, Answer: a.name})
		}
	}
	if failed != nil {
		return failed
	}
	return err
}

// isEmpty reports whether err says that an answer has no audio. That is not a failure if
// the answer has no text.
func isEmpty(err error) bool {
	return err == nil || errors.Is(err, audio.ErrEmpty) || errors.Is(err, audio.ErrFormat) ||
		errors.Is(err, echo.ErrNoAudio)
}

// speak speaks an answer once it is permitted. It keeps recent audio, so that a paused
// answer can continue where it was heard.
func (c *conversation) speak(ctx context.Context, a *answer, m *answerAudio) error {
	a.ready <- struct{}{}
	select {
	case <-a.permitted:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	feed := echo.NewFeed(m.audio, echo.FeedOptions{Keep: c.options.Keep, Abort: m.abort})
	defer feed.Close()
	words := func() []echo.WordTiming { return timings.Of(m.audio.Words(), 0) }
	speech := echo.Speech{Samples: feed, Name: a.name, MoreText: m.reply, MoreWords: words, Abort: feed.Abort}
	receipt, err := c.options.Speak(ctx, a.name, m.audio, speech)
	a.spoken = &Previous{Answer: m.reply(), Heard: receipt.Words}
	return err
}

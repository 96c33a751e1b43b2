package converse

import (
	"context"
	"errors"
	"iter"
	"strings"
	"sync"
	"time"

	"echocast/echo"
)

// ErrRoomEnded reports that the room ended the conversation normally.
var ErrRoomEnded = errors.New("the room has ended")

// userEvent is something the user did.
type userEvent struct {
	kind event  // userStarted, userStopped or userSaid
	text string // of userSaid
	err  error  // why there are no more events
}

// wordsWindow is how long words wait for earlier events that are late. The newest words are
// answered, so the order of words matters. Sounds never wait.
const wordsWindow = 250 * time.Millisecond

// arrival is an event of the session, or the reason why there are no more.
type arrival struct {
	event echo.Event
	err   error
}

// userEvents passes each action of the user to hand once, until the events or ctx end or
// hand returns false. It passes sounds on at once, if they are news, and words in the order
// in which they were said. With a recogniser, it ignores the room's own recognition.
func (c *conversation) userEvents(ctx context.Context, events iter.Seq2[echo.Event, error], hand func(userEvent) bool) {
	arrivals := make(chan arrival)
	var reading sync.WaitGroup
	defer reading.Wait()
	reading.Go(func() {
		for event, err := range events {
			select {
			case arrivals <- arrival{event, err}:
			case <-ctx.Done():
				return
			}
		}
	})
	user := &userOrder{conversation: c, words: echo.NewSequencer(wordsWindow), deliver: hand}
	due := time.NewTimer(wordsWindow)
	defer due.Stop()
	for goesOn := true; goesOn; {
		if at, waits := user.words.Due(); waits {
			due.Reset(time.Until(at))
		}
		select {
		case a := <-arrivals:
			goesOn = user.take(a)
		case <-due.C:
			goesOn = user.passWords(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

// userOrder restores the order of the user's actions. The service numbers events in the
// order in which they happened; they may arrive out of order, or twice.
type userOrder struct {
	conversation      *conversation
	words             *echo.Sequencer // of all events: a missing number may be that of words
	deliver           func(userEvent) bool
	start, stop, said int64 // the latest number of each that was passed on; 0: none
}

// take handles an arrival, and reports whether to continue.
func (u *userOrder) take(a arrival) bool {
	end := a.err
	if end == nil && a.event.Kind == echo.Shutdown {
		end = ErrRoomEnded
	}
	now := time.Now()
	if end != nil {
		if u.passWords(now.Add(wordsWindow)) { // no more words will arrive
			u.deliver(userEvent{err: end})
		}
		return false
	}
	u.words.Add(now, a.event)
	return u.passSound(a.event) && u.passWords(now)
}

// passSound passes on that the user began to speak or fell silent, if that is news.
func (u *userOrder) passSound(e echo.Event) bool {
	switch {
	case e.Role != echo.RoleUser || e.Stale || isBefore(e.Seq, u.said):
		return true
	case e.Kind == echo.StartedSpeaking:
		u.start = e.Seq
		return u.deliver(userEvent{kind: userStarted})
	case e.Kind == echo.StoppedSpeaking:
		u.stop = e.Seq
		return u.deliver(userEvent{kind: userStopped})
	}
	return true
}

// passWords passes on the words that are due at now.
func (u *userOrder) passWords(now time.Time) bool {
	for {
		e, _, ok := u.words.Next(now)
		switch {
		case !ok:
			return true
		case e.Role != echo.RoleUser || e.Kind != echo.KindUtterance:
		case u.conversation.options.Recogniser != "" || strings.TrimSpace(e.Text) == "":
		case !u.passUtterance(e):
			return false
		}
	}
}

// passUtterance passes on words, and then again that the user speaks, if a newer sound
// was passed on before the words.
func (u *userOrder) passUtterance(e echo.Event) bool {
	if isBefore(e.Seq, u.said) {
		u.conversation.note(Note{Kind: NoteUnanswered, Text: e.Text, Reason: "it arrived after later words of the user"})
		return true
	}
	u.said = e.Seq
	if !u.deliver(userEvent{kind: userSaid, text: e.Text}) {
		return false
	}
	speaksAgain := isBefore(e.Seq, u.start) && !isBefore(u.start, u.stop)
	return !speaksAgain || u.deliver(userEvent{kind: userStarted})
}

// maxLate is how far the number of a late event may be below another one; farther below
// means that the service restarted its numbers.
const maxLate = 256

// isBefore reports whether the event with number seq happened before the one with number
// other. It is false if seq is 0, which means no number.
func isBefore(seq, other int64) bool { return seq > 0 && seq < other && other-seq <= maxLate }

package converse

import (
	"errors"
	"iter"
	"slices"
	"strings"

	"echocast/echo"
)

// ErrRoomEnded says that the room ended the conversation, as conversations end.
var ErrRoomEnded = errors.New("the room has ended")

// userEvent is something the user did.
type userEvent struct {
	kind event  // userStarted, userStopped or userSaid
	text string // of userSaid
	err  error  // why no more comes
}

// userEvents passes on what the user does, once each and in its order, until the
// events end or hand returns false. With a recogniser, the room's own recognition
// is ignored.
func (c *conversation) userEvents(events iter.Seq2[echo.Event, error], hand func(userEvent) bool) {
	var past history
	for event, err := range events {
		switch {
		case err != nil:
			hand(userEvent{err: err})
			return
		case event.Kind == echo.Shutdown:
			hand(userEvent{err: ErrRoomEnded})
			return
		case event.Role != echo.RoleUser:
			continue
		}
		next, ok := c.userEvent(event)
		if !ok {
			continue
		}
		switch past.judge(next.kind, event) {
		case isOld:
			c.note(Note{Kind: NoteUnanswered, Text: next.text, Reason: "it arrived after what the user said later"})
		case isNew:
			if !hand(next) {
				return
			}
		}
	}
}

func (c *conversation) userEvent(event echo.Event) (userEvent, bool) {
	switch event.Kind {
	case echo.StartedSpeaking:
		return userEvent{kind: userStarted}, true
	case echo.StoppedSpeaking:
		return userEvent{kind: userStopped}, true
	case echo.KindUtterance:
		return userEvent{kind: userSaid, text: event.Text}, c.options.Recogniser == "" && strings.TrimSpace(event.Text) != ""
	}
	return userEvent{}, false
}

// history knows which events were overtaken by later ones. Events are numbered in
// the order in which they happened, and may arrive in another, or twice.
type history struct {
	start, stop, said int64        // the highest number of each
	words             []echo.Event // the latest, to recognise twins
}

// maxWords is how many utterances are remembered to recognise twins.
const maxWords = 64

// judgement is whether an event counts.
type judgement int

const (
	isNew  judgement = iota
	isTwin           // it came before, or what it tells is over
	isOld            // words that came after later words
)

func (h *history) judge(kind event, e echo.Event) judgement {
	if kind == userSaid {
		return h.judgeWords(e)
	}
	if e.Seq == 0 {
		return isNew // not numbered
	}
	mine, isOver := &h.stop, false
	if kind == userStarted {
		mine, isOver = &h.start, e.Seq < max(h.stop, h.said)
	}
	if e.Seq <= *mine || isOver {
		return isTwin
	}
	*mine = e.Seq
	return isNew
}

func (h *history) judgeWords(e echo.Event) judgement {
	isTwinOf := func(other echo.Event) bool {
		return other.Text == e.Text && other.InferenceID == e.InferenceID && other.Seq == e.Seq
	}
	if (e.Seq != 0 || e.InferenceID != "") && slices.ContainsFunc(h.words, isTwinOf) {
		return isTwin
	}
	h.words = append(h.words[max(0, len(h.words)+1-maxWords):], e)
	if e.Seq != 0 && e.Seq < h.said {
		return isOld
	}
	h.said = max(h.said, e.Seq)
	return isNew
}

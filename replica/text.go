package replica

import (
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// How long it takes to say a text: an estimate, since nothing is synthesised.
const (
	timePerCharacter = 60 * time.Millisecond
	shortestSaying   = 300 * time.Millisecond
)

// textRate makes a sample of text a millisecond: its time passes through the
// render buffer as that of audio does.
const textRate = 1000

// longestTag bounds what is taken for a tag that is still to be completed.
const longestTag = 256

// emotionTag is what some faces understand inside a text and nobody hears.
// https://docs.tavus.io/sections/conversational-video-interface/quickstart/emotional-expression
var emotionTag = regexp.MustCompile(`</?emotion\b[^>]*>`)

// estimate is how long the characters of a text take to say, tags left out.
func estimate(text string) time.Duration {
	return time.Duration(utf8.RuneCountInString(emotionTag.ReplaceAllString(text, ""))) * timePerCharacter
}

// splitTag cuts off the beginning of a tag whose end has not come.
func splitTag(text string) (whole, rest string) {
	at := strings.LastIndexByte(text, '<')
	if at < 0 || len(text)-at > longestTag || strings.IndexByte(text[at:], '>') >= 0 {
		return text, ""
	}
	return text[:at], text[at:]
}

// say takes a text echo into its utterance.
func (s *session) say(c textChunk, at time.Time) {
	u := s.known[c.id]
	switch {
	case u == nil && c.text == "":
		s.complain(KindBadProperty, c.id, at, "text is empty: there is nothing to say")
		return
	case u == nil:
		u = s.beginText(c.id, at)
	case u != s.open:
		s.refuse(u, c.done, at)
		return
	case !u.isText:
		s.complain(KindModality, c.id, at, "text for an utterance of audio")
		return
	}
	s.addText(u, c, at)
}

func (s *session) beginText(id string, at time.Time) *utterance {
	u := &utterance{isText: true}
	u.record = Utterance{ID: id, Rate: textRate}
	s.begin(u, at)
	s.receiving(u, at)
	return u
}

// addText lengthens u by the time of its new text, and ends it where nothing
// can be added any more.
func (s *session) addText(u *utterance, c textChunk, at time.Time) {
	ends := c.done || c.id == ""
	s.countArrival(u, at)
	u.record.Done = c.done
	u.record.Text += c.text
	whole, rest := u.unfinished+c.text, ""
	if !ends {
		whole, rest = splitTag(whole)
	}
	u.unfinished = rest
	length := estimate(whole)
	if ends {
		length = max(length, shortestSaying-playingTime(u.received, textRate))
	}
	if ends {
		s.open = nil
	}
	s.renderer.addTime(u, int64(length/time.Millisecond), ends, at)
	s.tellText(u, at, false)
}

// respond answers a user's turn, by saying the same.
func (s *session) respond(c textChunk, at time.Time) {
	s.turn++
	s.report.Responds = append(s.report.Responds, Respond{AtMS: s.since(at), Text: c.text, Turn: s.turn})
	s.addText(s.beginText("", at), c, at)
}

// tellText sends the words of u, once it is heard and they are all known or
// will never be.
func (s *session) tellText(u *utterance, at time.Time, interrupted bool) {
	if !u.isText || !u.started || !u.closed || u.told {
		return
	}
	u.told = true
	s.sendUtterance(u, at, interrupted)
}

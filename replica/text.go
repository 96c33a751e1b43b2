package replica

import (
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// The estimated duration of a spoken text. The stand-in does not synthesise speech.
const (
	timePerCharacter = 60 * time.Millisecond
	shortestSaying   = 300 * time.Millisecond
)

// textRate is the rate of a text in the render buffer: one sample is a millisecond.
const textRate = 1000

// longestTag is the maximum size of an incomplete tag, in bytes.
const longestTag = 256

// emotionTag matches a tag that sets the emotion of some faces. The tag is not spoken.
// https://docs.tavus.io/sections/conversational-video-interface/quickstart/emotional-expression
var emotionTag = regexp.MustCompile(`</?emotion\b[^>]*>`)

// estimate returns the estimated duration of a spoken text, without its tags.
func estimate(text string) time.Duration {
	return time.Duration(utf8.RuneCountInString(emotionTag.ReplaceAllString(text, ""))) * timePerCharacter
}

// splitTag cuts off an incomplete tag at the end of a text.
func splitTag(text string) (whole, rest string) {
	at := strings.LastIndexByte(text, '<')
	if at < 0 || len(text)-at > longestTag || strings.IndexByte(text[at:], '>') >= 0 {
		return text, ""
	}
	return text[:at], text[at:]
}

// say adds a text echo to its utterance.
func (s *session) say(c textChunk, at time.Time) {
	u := s.known[c.id]
	switch {
	case u == nil && c.text == "":
		s.complain(KindBadProperty, c.id, at, "text is empty")
		return
	case u == nil:
		u = s.beginText(c.id, at)
	case u.isClosed:
		s.refuse(u, c.isDone, at)
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

// addText adds text to u. It completes u if u cannot be continued.
func (s *session) addText(u *utterance, c textChunk, at time.Time) {
	ends := c.isDone || c.id == ""
	s.countArrival(u, at)
	u.record.Done = c.isDone
	u.record.Text += c.text
	s.hold(u, int64(len(c.text)))
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
		s.closeInput(u)
	}
	s.renderer.addTime(u, int64(length/time.Millisecond), ends, at)
	s.sendText(u, at, false)
}

// respond answers a user's turn by repeating it.
func (s *session) respond(c textChunk, at time.Time) {
	s.turn++
	list(&s.report, &s.report.Responds, Respond{AtMS: s.since(at), Text: c.text, Turn: s.turn})
	s.addText(s.beginText("", at), c, at)
}

// sendText sends the words of u once it plays and its text is complete.
func (s *session) sendText(u *utterance, at time.Time, interrupted bool) {
	if !u.isText || !u.hasStarted || !u.isClosed || u.isTextSent {
		return
	}
	u.isTextSent = true
	s.sendUtterance(u, at, interrupted)
}

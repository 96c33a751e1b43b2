package echo

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Text is an utterance that the replica says in its own voice. Emotion tags in
// it are left as they are.
type Text struct {
	// Pieces are said one after the other, each as it comes: words of a
	// language model, lines of a pipe. Spaces between them are theirs.
	Pieces iter.Seq2[string, error]
	// Name is kept in the receipt.
	Name string
	// Abort, if it is set, is called when the utterance ends early. It makes
	// an iteration that blocks return.
	Abort func()
}

// Words is a Text of one piece.
func Words(text string) Text {
	return Text{Pieces: func(yield func(string, error) bool) { yield(text, nil) }}
}

// Say says one utterance of text and returns its receipt, as Speak does one of
// audio. A piece that is too long for a message is sent in several. In rooms
// that take no text the error is ErrUnsupported; where there is nothing to say
// it is ErrNoText.
func (s *Session) Say(ctx context.Context, text Text) (Receipt, error) {
	return s.utter(ctx, &words{Text: text, s: s})
}

// words is the content of Say.
type words struct {
	Text
	s     *Session
	stage TextSpeaker
	pacer *Pacer
	sent  int // characters
}

func (c *words) name() string { return c.Name }

func (c *words) abort() {
	if c.Abort != nil {
		c.Abort()
	}
}

// textRate is the most messages of text a second: no room limits fewer.
const textRate = 20

func (c *words) begin(u *utterance) error {
	stage, ok := u.stage.(TextSpeaker)
	if !ok {
		return ErrUnsupported
	}
	c.stage = stage
	var err error
	c.pacer, err = NewPacer(Pace{Mode: BurstMode, MaxRate: textRate}, 1, 1)
	return err
}

// send holds every piece back until the next has come, or the end: then it is
// known which is the last.
func (c *words) send(ctx context.Context, u *utterance) error {
	defer c.pacer.stop()
	held := ""
	for piece, err := range c.Pieces {
		if err != nil {
			return err
		}
		for part := range c.parts(u.id, strings.ToValidUTF8(piece, "\uFFFD")) {
			if held != "" {
				if err := c.sendPart(ctx, u, held, false); err != nil {
					return err
				}
			}
			held = part
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if strings.TrimSpace(held) == "" && u.chunks() == 0 {
		return ErrNoText
	}
	return c.sendPart(ctx, u, held, true)
}

// sayingTime is what a character may take to be said, at the slowest.
const sayingTime = 120 * time.Millisecond

func (c *words) sendPart(ctx context.Context, u *utterance, part string, last bool) error {
	if err := c.pacer.Wait(ctx, 0); err != nil {
		return err
	}
	length := utf8.RuneCountInString(part)
	u.pendingText(time.Duration(length) * sayingTime)
	err := c.s.deliver(ctx, u, last, func() (int, error) { return c.stage.SayText(ctx, u.id, part, last) })
	if err == nil {
		c.sent += length
	}
	return err
}

// parts cuts a piece so that each part fits a message, between words where that
// is possible.
func (c *words) parts(id, piece string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for piece != "" {
			end := len(piece)
			if !c.stage.TextFits(id, piece) {
				end = c.cut(id, piece)
			}
			if !yield(piece[:end]) {
				return
			}
			piece = piece[end:]
		}
	}
}

// cut is where a piece that is too long is cut: the last place between words
// that fits, else the last that fits.
func (c *words) cut(id, piece string) int {
	low, high := 0, len(piece) // low fits, high does not
	for high-low > 1 {
		if middle := (low + high) / 2; c.stage.TextFits(id, piece[:runeStart(piece, middle)]) {
			low = middle
		} else {
			high = middle
		}
	}
	low = runeStart(piece, low)
	if at := lastGap(piece[:low]); at > 0 {
		return at
	}
	_, first := utf8.DecodeRuneInString(piece)
	return max(low, first)
}

// runeStart is where the character begins that at is in.
func runeStart(text string, at int) int {
	for at > 0 && at < len(text) && !utf8.RuneStart(text[at]) {
		at--
	}
	return at
}

// lastGap is the end of the last white space that is not within a tag.
func lastGap(text string) int {
	for {
		if open := strings.LastIndexByte(text, '<'); open > strings.LastIndexByte(text, '>') {
			text = text[:open]
		}
		text = text[:strings.LastIndexFunc(text, unicode.IsSpace)+1]
		if strings.LastIndexByte(text, '<') <= strings.LastIndexByte(text, '>') {
			return len(text)
		}
	}
}

func (c *words) describe(r *Receipt) { r.Characters = c.sent }

func (c *words) rewind(time.Duration) error { return errors.New("text cannot go back") }

// SayText sends one conversation.echo of text.
func (m *Messages) SayText(ctx context.Context, id, text string, last bool) (int, error) {
	msg, err := TextEcho{Text: text, InferenceID: id, More: !last}.AppendTo(nil, m.conversation)
	if err != nil {
		return 0, err
	}
	return m.send(ctx, msg)
}

// TextFits reports whether the message of a text fits the limit.
func (m *Messages) TextFits(id, text string) bool {
	msg, err := TextEcho{Text: text, InferenceID: id, More: true}.AppendTo(nil, m.conversation)
	return text == "" || err == nil && len(msg) <= m.limit
}

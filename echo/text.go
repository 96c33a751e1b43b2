package echo

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Text is an utterance that the replica says in its own voice. Emotion tags in it
// are sent unchanged.
type Text struct {
	// Pieces are said in order, each as it arrives, such as words of a language model or
	// lines of a pipe. They include the spaces between words.
	Pieces iter.Seq2[string, error]
	// Name is the name of the text in its receipt.
	Name string
	// Abort, if set, is called when the utterance ends early. It unblocks the iteration
	// of Pieces.
	Abort func()
}

// Words returns a Text of one piece.
func Words(text string) Text {
	return Text{Pieces: func(yield func(string, error) bool) { yield(text, nil) }}
}

// Say speaks one utterance of text and returns its receipt, as Speak does for audio. A
// piece that is too long for one message is sent in several. The error is ErrUnsupported
// in rooms that do not accept text, and ErrNoText if there is no text.
func (s *Session) Say(ctx context.Context, text Text) (Receipt, error) {
	return s.speakContent(ctx, &textContent{Text: text})
}

// textContent is the content of a call of Say.
type textContent struct {
	Text
	script *textScript
}

func (c *textContent) name() string { return c.Name }

func (c *textContent) abort() {
	if c.Abort != nil {
		c.Abort()
	}
}

// textRate is the highest number of text messages a second; every room allows it.
const textRate = 20

func (c *textContent) begin(stage Stage, id string) (script, error) {
	speaker, ok := stage.(TextSpeaker)
	if !ok {
		return nil, ErrUnsupported
	}
	pacer, err := NewPacer(Pace{Mode: BurstMode, MaxRate: textRate}, 1, 1)
	if err != nil {
		return nil, err
	}
	w := &textScript{stage: speaker, id: id, pacer: pacer}
	w.pull, w.stop = iter.Pull2(w.cut(c.Pieces))
	c.script = w
	return w, nil
}

func (c *textContent) describe(r *Receipt) {
	knownText{text: c.script.said.String()}.describeWords(r, 0, DefaultRate)
}

func (c *textContent) rewind(int64) error { return errors.New("text cannot rewind") }

// textScript sends the messages of one utterance of text.
type textScript struct {
	stage    TextSpeaker
	id       string
	pacer    *Pacer
	pull     func() (string, error, bool) // returns the next text that fits a message
	stop     func()
	hasBegun bool            // a text was sent
	hasEnded bool            // the last text was sent
	held     string          // the next text, until it is known whether it is the last
	text     string          // the text of the due message
	said     strings.Builder // all texts up to the due one
	isLast   bool            // the due text is the last
}

// sayingTime is the longest time that saying one character may take.
const sayingTime = 120 * time.Millisecond

// next holds each text back until another text or the end has arrived. Only then is it known
// whether the held text is the last.
func (w *textScript) next(ctx context.Context) (messagePart, error) {
	if w.hasEnded {
		return messagePart{}, io.EOF
	}
	for {
		text, err, ok := w.pull()
		switch {
		case err != nil:
			return messagePart{}, err
		case ctx.Err() != nil:
			return messagePart{}, context.Cause(ctx)
		case !ok && !w.hasBegun && strings.TrimSpace(w.held) == "":
			return messagePart{}, ErrNoText
		case !ok || w.held != "":
			return w.due(ctx, text, !ok)
		}
		w.held = text
	}
}

// due waits until the held text may be sent; next is the text after it.
func (w *textScript) due(ctx context.Context, next string, last bool) (messagePart, error) {
	if err := w.pacer.Wait(ctx, 0); err != nil {
		return messagePart{}, err
	}
	w.text, w.held, w.isLast, w.hasBegun, w.hasEnded = w.held, next, last, true, last
	w.said.WriteString(w.text)
	length := utf8.RuneCountInString(w.text)
	return messagePart{characters: length, textTime: time.Duration(length) * sayingTime, isLast: last}, nil
}

func (w *textScript) send(ctx context.Context) (int, error) {
	return w.stage.SayText(ctx, w.id, w.text, w.isLast)
}

func (w *textScript) close() {
	w.pacer.stop()
	w.stop()
}

// cut cuts pieces so that each text fits a message.
func (w *textScript) cut(pieces iter.Seq2[string, error]) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for piece, err := range pieces {
			if err != nil {
				yield("", err)
				return
			}
			for text := range w.parts(strings.ToValidUTF8(piece, "\uFFFD")) {
				if !yield(text, nil) {
					return
				}
			}
		}
	}
}

// parts cuts a piece so that each part fits a message, between words where that
// is possible.
func (w *textScript) parts(piece string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for piece != "" {
			end := len(piece)
			if !w.stage.TextFits(w.id, piece) {
				end = w.cutAt(piece)
			}
			if !yield(piece[:end]) {
				return
			}
			piece = piece[end:]
		}
	}
}

// cutAt returns where to cut a piece that is too long: at the last space that fits,
// else at the last character that fits.
func (w *textScript) cutAt(piece string) int {
	low, high := 0, len(piece) // low fits, high does not
	for high-low > 1 {
		if middle := (low + high) / 2; w.stage.TextFits(w.id, piece[:runeStart(piece, middle)]) {
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

// runeStart returns where the character at position at begins.
func runeStart(text string, at int) int {
	for at > 0 && at < len(text) && !utf8.RuneStart(text[at]) {
		at--
	}
	return at
}

// lastGap returns the end of the last white space outside a tag.
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

// SayText sends one conversation.echo message of text.
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

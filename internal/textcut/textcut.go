// Package textcut cuts streamed text, such as the tokens of a language model, into
// words or sentences. It never cuts a tag, such as <break time="1.5s"/>.
package textcut

import (
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxHeld     = 64 << 10 // bytes that wait for a place to cut
	maxTag      = 256      // bytes from < to >; a longer one is no tag
	maxSentence = 500      // bytes; a longer one is cut between words if possible
)

// Words yields text as it arrives, in pieces that end after white space, so that no word or
// tag is split. An error of r is yielded last.
func Words(r io.Reader) iter.Seq2[string, error] {
	return cut(r, func(text string) int { return lastSpace(text) })
}

// Sentences yields the sentences and lines of a text, without surrounding white space. An
// error of r is yielded last.
func Sentences(r io.Reader) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for sentence, err := range cut(r, firstSentence) {
			if sentence = strings.TrimSpace(sentence); (sentence != "" || err != nil) && !yield(sentence, err) {
				return
			}
		}
	}
}

// cut yields the pieces of a text. end returns the length of the next piece of the text so
// far, or 0 if it needs more text.
func cut(r io.Reader, end func(text string) int) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		buf := make([]byte, 4096)
		held := ""
		for {
			n, err := r.Read(buf)
			held += string(buf[:n])
			for size := end(held); size > 0; size = end(held) {
				if !yield(held[:size], nil) {
					return
				}
				held = held[size:]
			}
			if (err != nil || len(held) > maxHeld) && held != "" {
				size := len(held)
				if err == nil {
					size = wholeRunes(held)
				}
				if !yield(held[:size], nil) {
					return
				}
				held = held[size:]
			}
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				yield("", err)
				return
			}
		}
	}
}

// wholeRunes returns the length of a text without the beginning of a character at its end.
func wholeRunes(text string) int {
	for size := len(text); size > 0 && size > len(text)-utf8.UTFMax; size-- {
		if r, width := utf8.DecodeLastRuneInString(text[:size]); r != utf8.RuneError || width > 1 {
			return size
		}
	}
	return len(text)
}

// openTag returns where an unfinished tag begins, or len(text) if there is none.
func openTag(text string) int {
	at := strings.LastIndexByte(text, '<')
	if at < 0 || strings.IndexByte(text[at:], '>') >= 0 || len(text)-at > maxTag || !beginsTag(text[at+1:]) {
		return len(text)
	}
	return at
}

// beginsTag reports whether the text after a < may make it the start of a tag.
func beginsTag(text string) bool {
	c, _ := utf8.DecodeRuneInString(text)
	return text == "" || c == '/' || unicode.IsLetter(c)
}

// lastSpace returns the end of the last white space outside a tag.
func lastSpace(text string) int {
	for text = text[:openTag(text)]; ; {
		at := strings.LastIndexFunc(text, unicode.IsSpace)
		if at < 0 {
			return 0
		}
		if tag := openTag(text[:at]); tag < at { // it is inside a complete tag
			text = text[:tag]
			continue
		}
		_, size := utf8.DecodeRuneInString(text[at:])
		return at + size
	}
}

// firstSentence returns the end of the first sentence of a text, including the space after
// it, or 0 if the end is not known yet.
func firstSentence(text string) int {
	end := openTag(text)
	inTag := false
	for i, c := range text[:end] {
		switch {
		case c == '<' && openTag(text[:i+1]) == i && beginsTag(text[i+1:]) &&
			strings.IndexByte(text[i:min(len(text), i+maxTag)], '>') > 0:
			inTag = true
		case inTag:
			inTag = c != '>'
		case c == '\n', strings.ContainsRune("。！？", c):
			return i + utf8.RuneLen(c)
		case unicode.IsSpace(c) && endsSentence(text[:i]):
			return i + utf8.RuneLen(c)
		}
	}
	if end > maxSentence {
		return lastSpace(text)
	}
	return 0
}

// abbreviations are words after which a full stop does not end a sentence.
var abbreviations = []string{"mr", "mrs", "ms", "dr", "prof", "st", "vs", "e.g", "i.e", "cf", "approx"}

// endsSentence reports whether the end of a text is the end of a sentence.
func endsSentence(text string) bool {
	text = strings.TrimRight(text, `"')]}»”’`)
	last, _ := utf8.DecodeLastRuneInString(text)
	if !strings.ContainsRune(".!?…", last) {
		return false
	}
	if last != '.' {
		return true
	}
	words := strings.Fields(strings.TrimSuffix(text, "."))
	if len(words) == 0 {
		return false // it only counts, as in "1."
	}
	word := words[len(words)-1]
	isInitial := utf8.RuneCountInString(word) == 1 && word != "I"
	isNumber := len(words) == 1 && strings.Trim(word, "0123456789") == ""
	return !isInitial && !isNumber && !slices.Contains(abbreviations, strings.ToLower(strings.TrimLeft(word, `"'([`)))
}

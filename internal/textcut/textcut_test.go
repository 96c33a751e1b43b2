package textcut

import (
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

func all(t *testing.T, seq func(func(string, error) bool)) (pieces []string) {
	t.Helper()
	for piece, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		pieces = append(pieces, piece)
	}
	return pieces
}

// The same text gives the same sentences, in whatever pieces it arrives.
func TestSentences(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                 nil,
		"One":                              {"One"},
		"Hello there. How are you?  Fine!": {"Hello there.", "How are you?", "Fine!"},
		"It costs 1.5 euros, e.g. here. Mr. J. Smith said \"No.\" Then left…": {"It costs 1.5 euros, e.g. here.",
			"Mr. J. Smith said \"No.\"", "Then left…"},
		"First line\nsecond line\n\n1. third": {"First line", "second line", "1. third"},
		"Wait. <break time=\"1. 5s\"/> Go on <emotion value=\"a. b\"/>now.": {"Wait.",
			"<break time=\"1. 5s\"/> Go on <emotion value=\"a. b\"/>now."},
		"If a < be. Then c > d.": {"If a < be.", "Then c > d."},
		"你好。再见！":                 {"你好。", "再见！"},
		"Ends in a tag <break":   {"Ends in a tag <break"},
	} {
		if got := all(t, Sentences(strings.NewReader(text))); !slices.Equal(got, want) {
			t.Errorf("%q: %q", text, got)
		}
		if got := all(t, Sentences(iotest.OneByteReader(strings.NewReader(text)))); !slices.Equal(got, want) {
			t.Errorf("%q byte by byte: %q", text, got)
		}
	}
	long := strings.Repeat("word ", 1000)
	for _, sentence := range all(t, Sentences(strings.NewReader(long))) {
		if len(sentence) > 4096 {
			t.Errorf("a sentence of %d bytes", len(sentence))
		}
	}
}

// No tag and no word is split, and nothing is lost, whatever the tokens.
func TestWordsKeepTags(t *testing.T) {
	parts := []string{"Hello ", "wo", "rld. ", `<break time="1.5s"/>`, `<emotion value="ex cited"/> `, "a < b ",
		"<", ">", "é ", "\n", "</x>"}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var text strings.Builder
		for range random.IntN(12) {
			text.WriteString(parts[random.IntN(len(parts))])
		}
		pieces := all(t, Words(iotest.OneByteReader(strings.NewReader(text.String()))))
		if strings.Join(pieces, "") != text.String() {
			t.Fatalf("%q became %q", text.String(), pieces)
		}
		for i, piece := range pieces {
			for _, tag := range []string{"<break time=", "<emotion value=\"ex"} {
				if at := strings.LastIndex(piece, tag); at >= 0 && !strings.Contains(piece[at:], "/>") {
					t.Fatalf("piece %d of %q cuts a tag", i, pieces)
				}
			}
		}
	}
}

// Text that looks like a tag and never ends is not held forever.
func TestWordsAreBounded(t *testing.T) {
	r, w := io.Pipe()
	defer r.Close()
	go func() {
		_, _ = io.WriteString(w, "<a "+strings.Repeat("word ", 100))
		_ = w.CloseWithError(errors.New("broken"))
	}()
	var pieces []string
	var last error
	for piece, err := range Words(r) {
		if last = err; err == nil {
			pieces = append(pieces, piece)
		}
	}
	if last == nil || last.Error() != "broken" || len(pieces) != 1 || len(pieces[0]) < 500 {
		t.Errorf("%d pieces, %v", len(pieces), last)
	}
}

// A long text without white space, such as Chinese, is not cut within a character.
func TestCharactersStayWhole(t *testing.T) {
	text, all := strings.Repeat("海", 50_000), ""
	for piece, err := range Words(strings.NewReader(text)) {
		if all += piece; err != nil || !utf8.ValidString(piece) {
			t.Errorf("a piece of %d bytes: %v", len(piece), err)
		}
	}
	if all != text {
		t.Errorf("%d bytes of %d", len(all), len(text))
	}
}

package audio

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
)

// headers are the first bytes of what holds audio with a header, read here or
// not.
var headers = []string{
	"RIFF", "RF64", "BW64", "RIFX", "FORM", ".snd", "caff", "OggS", "fLaC", "ID3", "\x1a\x45\xdf\xa3",
}

// beginsWithHeader reports whether r does not begin with samples, as it was
// declared to, but with a container, or with an MPEG audio frame and the header
// of the next. Nothing is consumed, and no more is read than these.
func beginsWithHeader(r *bufio.Reader) bool {
	head, _ := r.Peek(12)
	begins := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	if slices.ContainsFunc(headers, begins) || len(head) >= 8 && string(head[4:8]) == "ftyp" {
		return true
	}
	first, ok := parseMPEGHeader(head)
	if !ok {
		return false
	}
	at := first.length()
	frame, err := r.Peek(at + mpegHeaderLength)
	if err != nil {
		return false
	}
	second, _ := parseMPEGHeader(frame[at:])
	return first.sameStream(second)
}

// refuseText refuses what begins like JSON or markup and goes on as text: the
// error message of a text-to-speech service, which would be loud as samples.
func refuseText(r *bufio.Reader) error {
	const enough = 16
	first, _ := r.Peek(1)
	if len(first) == 0 || first[0] != '{' && first[0] != '<' {
		return nil
	}
	head, _ := r.Peek(enough)
	head, _ = r.Peek(max(len(head), min(r.Buffered(), 512)))
	if len(head) < enough || !looksLikeText(head) {
		return nil
	}
	line, _, _ := bytes.Cut(head[:min(len(head), 80)], []byte("\n"))
	return fmt.Errorf("%w: this is text, not samples: %q", ErrFormat, line)
}

package audio

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

const (
	// mpegWindow is how many bytes a search for frames looks ahead at once. Together with the
	// frames that confirm a result, it fits a bufio.Reader of 64 KiB.
	mpegWindow = 32 << 10
	// A frame header is eleven ones and 21 bits with few forbidden values, so one occurs by
	// chance every 5 kB. Where frames are expected, two successive ones are enough to confirm
	// a result; elsewhere it takes more.
	framesExpected   = 2
	framesUnexpected = 4
)

// beginsMP3 reports whether r starts with MPEG audio: successive frames, or ID3v2 tags and then
// such frames. Junk in front is accepted if more frames follow it. beginsMP3 consumes nothing,
// and reads no more than needed: it recognises a pipe by its first two frames, and a tag longer
// than mpegWindow by the tag's header alone. The buffer of r holds at least 64 KiB.
func beginsMP3(r *bufio.Reader) bool {
	f := mpegFrames{r: r}
	start := 0
	for {
		size, ok := f.id3Length(start)
		if !ok {
			break
		}
		if start += size; start >= mpegWindow {
			return true
		}
	}
	if findMagic(f.peek(start, mpegHeaderLength)) != nil || start > 0 && hasTwoADTSFrames(r, start) {
		return false
	}
	_, _, found := f.search(start)
	// The tag may be longer than its header states.
	return found || start > 0 && f.err == nil && len(f.peek(start, mpegWindow)) == mpegWindow
}

// mpegFrames cuts a byte stream into MPEG audio frames. The decoder gets only whole frames of
// one format. Tags, junk and cut frames are left out, so they can neither become noise nor fill
// memory. mpegFrames holds one frame, and looks further ahead only if no frame follows.
type mpegFrames struct {
	r       *bufio.Reader
	stream  mpegHeader // of the first frame; zero until start
	given   int        // length of the frame that the last call returned
	skipped int64      // bytes left out that were not a tag
	isCut   bool       // the input ended inside a frame
	err     error      // of r, if not io.EOF
	main    reservoir
}

// formatChangeError says that the frames of another format follow.
type formatChangeError struct{ to mpegHeader }

func (e *formatChangeError) Error() string {
	return fmt.Sprintf("the format changes to %v", e.to.format())
}

// start skips the bytes before the first frame.
func (f *mpegFrames) start() error {
	behindTag := false
	for passed := 0; ; {
		size, ok := f.id3Length(0)
		if !ok {
			break
		}
		behindTag = true
		if passed += size; passed > maxHeaderBytes {
			return fmt.Errorf("%w: mp3: more than %d MB of ID3v2 tags", ErrFormat, maxHeaderBytes>>20)
		}
		if got := f.discard(size); got < size && f.err == nil {
			return fmt.Errorf("%w: mp3: an ID3v2 tag claims %d bytes, the input ends after %d", ErrFormat, size, got)
		}
	}
	at, h, found := f.search(0)
	for behindTag && !found && at == mpegWindow && f.skipped < maxHeaderBytes {
		f.skipped += int64(f.discard(at)) // such as a picture that is longer than its tag states
		at, h, found = f.search(0)
	}
	switch {
	case found:
		f.stream = h
		f.skipped += int64(f.discard(at))
		return nil
	case f.err != nil:
		return fmt.Errorf("mp3: %w", f.err)
	}
	return fmt.Errorf("%w: mp3: no MPEG audio in the first %d bytes", ErrFormat, f.skipped+int64(at))
}

// id3Length returns the length of the ID3v2 tag at offset at, if there is one.
func (f *mpegFrames) id3Length(at int) (int, bool) {
	const id = "ID3"
	if string(f.peek(at, len(id))) != id {
		return 0, false
	}
	return parseID3Header(f.peek(at, id3HeaderLength))
}

// next returns the next whole frame, which is valid until the next call. The error is io.EOF, a
// *formatChangeError or the error of the reader.
func (f *mpegFrames) next() (mpegHeader, []byte, error) {
	f.discard(f.given)
	f.given = 0
	h, ok := f.stream.follower(f.peek(0, mpegHeaderLength))
	if !ok {
		var err error
		if h, err = f.resync(); err != nil {
			return h, nil, err
		}
	}
	frame := f.peek(0, h.length())
	if len(frame) < h.length() {
		f.isCut = f.err == nil
		return h, nil, f.end()
	}
	f.given = len(frame)
	return h, frame, nil
}

// resync skips to the next frames. It ignores the length that a tag states, because a wrong
// length could skip all that follows.
func (f *mpegFrames) resync() (mpegHeader, error) {
	tag := isTag(f.peek(0, mpegHeaderLength))
	for passed := 0; ; {
		at, h, found := f.search(0)
		passed += at
		if f.discard(at); !tag && (found || at >= mpegHeaderLength) {
			f.skipped += int64(at)
		}
		switch {
		case found && h.isSameStream(f.stream):
			return h, nil
		case found:
			return h, &formatChangeError{to: h}
		case at < mpegWindow, passed > maxHeaderBytes: // an endless input of something else ends here
			return h, f.end()
		}
	}
}

// isTag reports whether head begins a tag that may be between or after frames: ID3v2, ID3v1,
// APE or Lyrics3.
func isTag(head []byte) bool {
	if len(head) < mpegHeaderLength {
		return false
	}
	id := string(head[:3])
	return id == "ID3" || id == "TAG" || id == "APE" || id == "LYR"
}

// search looks for frames that start at one of the mpegWindow offsets after from. If there are
// none, at is how many bytes were searched.
func (f *mpegFrames) search(from int) (at int, h mpegHeader, found bool) {
	for at = from; at < from+mpegWindow; at++ {
		head := f.peek(at, mpegHeaderLength)
		if len(head) < mpegHeaderLength {
			return at + len(head), h, false
		}
		if head[0] != 0xFF {
			at += f.buffered(at, from+mpegWindow) - 1
			continue
		}
		h, ok := f.headerAt(at, head, at == from)
		if ok && f.isConfirmed(at, h, f.wanted(h, at == from)) {
			return at, h, true
		}
	}
	return at, h, false
}

// headerAt parses head, which is at offset at. Free format is accepted only in the first frame
// of the input, because its headers occur too often by chance to be searched for.
func (f *mpegFrames) headerAt(at int, head []byte, first bool) (mpegHeader, bool) {
	if h, ok := f.stream.follower(head); ok {
		return h, true
	}
	h, ok := parseFreeHeader(head)
	if !ok || h.Bitrate > 0 {
		return h, ok && !h.isShort()
	}
	if first && f.stream == (mpegHeader{}) {
		h.Free = f.freeLength(at, h)
	}
	return h, h.Free > 0
}

// freeLength returns the length of the frames in free format that start at offset at with
// header h. It looks for the next headers, and returns 0 if there are none within the longest
// possible frame.
func (f *mpegFrames) freeLength(at int, h mpegHeader) int {
	slot := h.length() // only the padding, because the rest of the length is not known yet
	ahead := f.peek(at, maxMPEGFrame+mpegHeaderLength)
	for length := minMPEGFrame; length+mpegHeaderLength <= len(ahead); length++ {
		h.Free = length - slot
		if _, ok := h.follower(ahead[length:]); ok && !h.isShort() && f.isConfirmed(at, h, framesExpected+1) {
			return h.Free
		}
	}
	return 0
}

// wanted returns how many frames in a row confirm that the first is real.
func (f *mpegFrames) wanted(h mpegHeader, first bool) int {
	started := f.stream != mpegHeader{}
	if started && h.isSameStream(f.stream) || !started && first {
		return framesExpected
	}
	return framesUnexpected
}

// isConfirmed reports whether want frames of one stream start at offset at, the first with
// header h. At the end of the input fewer are enough.
func (f *mpegFrames) isConfirmed(at int, h mpegHeader, want int) bool {
	for n := 1; n < want; n++ {
		at += h.length()
		head := f.peek(at, mpegHeaderLength)
		if len(head) < mpegHeaderLength {
			whole := len(f.peek(at-1, 1)) == 1
			return f.err == nil && (n >= framesExpected || want == framesExpected && whole)
		}
		next, ok := h.follower(head)
		if !ok {
			return false
		}
		h = next
	}
	return true
}

// end returns the error at the end of the input.
func (f *mpegFrames) end() error {
	if f.err != nil {
		return f.err
	}
	return io.EOF
}

// peek returns n bytes from offset at on, or fewer if the input ends.
func (f *mpegFrames) peek(at, n int) []byte {
	end := at + n
	if f.err != nil {
		end = min(end, f.r.Buffered())
	}
	b, err := f.r.Peek(end)
	f.note(err)
	return b[min(at, len(b)):]
}

// buffered returns the number of bytes from offset at to the next byte that could start a
// frame, but at most to the end of the buffer or to limit.
func (f *mpegFrames) buffered(at, limit int) int {
	b, _ := f.r.Peek(min(f.r.Buffered(), limit))
	if i := bytes.IndexByte(b[at:], 0xFF); i >= 0 {
		return i
	}
	return len(b) - at
}

// discard skips n bytes, or fewer if the input ends, and returns how many it skipped.
func (f *mpegFrames) discard(n int) int {
	n, err := f.r.Discard(n)
	f.note(err)
	return n
}

// note keeps the first error of the reader, because bufio returns it only once.
func (f *mpegFrames) note(err error) {
	if err != nil && err != io.EOF && f.err == nil {
		f.err = err
	}
}

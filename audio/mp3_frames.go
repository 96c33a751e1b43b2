package audio

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

const (
	// mpegWindow is how far a search for frames looks ahead at once. With the
	// frames that confirm a find it fits a bufio.Reader of 64 KiB.
	mpegWindow = 32 << 10
	// A frame header is eleven ones and 21 bits of which few are forbidden:
	// one turns up by chance every 5 kB. Where frames are expected, two that
	// follow each other are proof enough; elsewhere it takes more.
	framesExpected   = 2
	framesUnexpected = 4
)

// beginsMP3 reports whether r starts with MPEG audio: frames that follow one
// another, or ID3v2 tags and then such frames. Junk in front is accepted if
// more frames prove it junk. Nothing is consumed, and no more is read than
// needed: a pipe is recognised by its first two frames, a tag longer than
// mpegWindow by its header alone. The buffer of r holds at least 64 KiB.
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
	// The tag may be longer than it says.
	return found || start > 0 && f.err == nil && len(f.peek(start, mpegWindow)) == mpegWindow
}

// mpegFrames cuts a byte stream into MPEG audio frames. A decoder behind it
// sees whole frames of one format and nothing else: tags, junk and cut frames
// stay outside, where they can neither become noise nor fill memory. It holds
// one frame and looks further ahead only where it has lost its way.
type mpegFrames struct {
	r       *bufio.Reader
	stream  mpegHeader // of the first frame; zero until start
	given   int        // length of the frame that the last call gave out
	skipped int64      // bytes left out that were no tag
	isCut   bool       // the input ended inside a frame
	err     error      // of r, if not io.EOF
	main    reservoir
}

// formatChangeError says that the frames of another format follow.
type formatChangeError struct{ to mpegHeader }

func (e *formatChangeError) Error() string {
	return fmt.Sprintf("the format changes to %v", e.to.format())
}

// start skips what stands before the first frame.
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
		f.skipped += int64(f.discard(at)) // a picture that is longer than its tag says
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

// id3Length gives the length of the ID3v2 tag at offset at, if there is one.
func (f *mpegFrames) id3Length(at int) (int, bool) {
	const id = "ID3"
	if string(f.peek(at, len(id))) != id {
		return 0, false
	}
	return parseID3Header(f.peek(at, id3HeaderLength))
}

// next returns the next whole frame, which is valid until the call after it.
// It ends with io.EOF, a *formatChangeError or the error of the reader.
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

// resync moves to the next frames, past whatever is no frame. The length a tag
// claims does not count here: it could swallow all that follows.
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

// isTag knows the starts of the tags that stand between or behind frames:
// ID3v2, ID3v1, APE and Lyrics3.
func isTag(head []byte) bool {
	if len(head) < mpegHeaderLength {
		return false
	}
	id := string(head[:3])
	return id == "ID3" || id == "TAG" || id == "APE" || id == "LYR"
}

// search looks for frames that start at one of the mpegWindow offsets behind from. If
// there are none, at says how many bytes were searched.
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

// headerAt reads head, which starts at offset at. Free format must be the first
// of all that is there: its frames are too much like noise to be searched for.
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

// freeLength finds the length of the frames in free format that start at offset
// at with header h: where the next headers are. It is 0 if they are nowhere
// within the longest frame.
func (f *mpegFrames) freeLength(at int, h mpegHeader) int {
	slot := h.length() // of padding, as all else is unknown yet
	ahead := f.peek(at, maxMPEGFrame+mpegHeaderLength)
	for length := minMPEGFrame; length+mpegHeaderLength <= len(ahead); length++ {
		h.Free = length - slot
		if _, ok := h.follower(ahead[length:]); ok && !h.isShort() && f.isConfirmed(at, h, framesExpected+1) {
			return h.Free
		}
	}
	return 0
}

// wanted is the number of frames in a row that prove one to be real.
func (f *mpegFrames) wanted(h mpegHeader, first bool) int {
	started := f.stream != mpegHeader{}
	if started && h.isSameStream(f.stream) || !started && first {
		return framesExpected
	}
	return framesUnexpected
}

// isConfirmed reports whether so many frames of one stream start at offset at, the
// first with header h. At the end of the input fewer will do.
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

// end is the error at the end of the input.
func (f *mpegFrames) end() error {
	if f.err != nil {
		return f.err
	}
	return io.EOF
}

// peek returns n bytes from offset at on, or fewer where the input ends.
func (f *mpegFrames) peek(at, n int) []byte {
	end := at + n
	if f.err != nil {
		end = min(end, f.r.Buffered())
	}
	b, err := f.r.Peek(end)
	f.note(err)
	return b[min(at, len(b)):]
}

// buffered is the number of bytes from offset at to the next that could start
// a frame, to the end of what was read, or to limit.
func (f *mpegFrames) buffered(at, limit int) int {
	b, _ := f.r.Peek(min(f.r.Buffered(), limit))
	if i := bytes.IndexByte(b[at:], 0xFF); i >= 0 {
		return i
	}
	return len(b) - at
}

// discard skips n bytes, or fewer where the input ends, and says how many.
func (f *mpegFrames) discard(n int) int {
	n, err := f.r.Discard(n)
	f.note(err)
	return n
}

// note keeps the first error of the reader: bufio reports it only once.
func (f *mpegFrames) note(err error) {
	if err != nil && err != io.EOF && f.err == nil {
		f.err = err
	}
}

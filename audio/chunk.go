package audio

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// This file has what the headers of several containers share: chunks with a name and a
// length, unknown lengths, and inputs that end inside a header.

// Limits of a header. It is read before any audio, so the size of its chunks is limited.
// Skipped bytes are never held in memory.
const (
	maxFormatChunk = 4 << 10
	maxHeaderBytes = 64 << 20
)

// skip skips n bytes; it returns io.EOF if the input ended first.
func skip(r *bufio.Reader, n int64) error {
	_, err := r.Discard(int(min(n, maxHeaderBytes+1)))
	return err
}

// skipChunk skips the size bytes of a chunk and its pad byte.
func skipChunk(r *bufio.Reader, size int64) error {
	if err := skip(r, size); err != nil {
		return err
	}
	return skipPad(r, size)
}

// skipPad skips the pad byte of a chunk of size bytes. Some writers leave it out, so a byte
// counts as a pad byte only if it is zero or does not begin an identifier.
func skipPad(r *bufio.Reader, size int64) error {
	if size%2 == 0 {
		return nil
	}
	b, _ := r.Peek(4) // the next read returns the error again
	if len(b) == 0 || b[0] != 0 && (len(b) < 4 || isChunkID(b)) {
		return nil
	}
	return skip(r, 1)
}

func isChunkID(b []byte) bool {
	for _, c := range b[:4] {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// isUntilEnd reports whether a data size means "to the end". A program that writes to a pipe
// does not know the length. It writes a size of 0 (libsndfile), 0x7ffff000 (espeak-ng
// and sox), 0x7fffffff (ElevenLabs), 2000000000 (Pocket TTS) and 0xffffffff (ffmpeg).
func isUntilEnd(size int64) bool {
	return size == 0 || size >= 0x7fff0000 || size == 2_000_000_000
}

// cutShort converts io.EOF inside a container, such as "WAV", to an error that says where the
// input ends. It returns other errors unchanged.
func cutShort(err error, what, where string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the %s ends %s", ErrFormat, what, where)
	}
	return err
}

// readErrorOr returns err, unless that is only the end of the input: then it returns
// otherwise.
func readErrorOr(err, otherwise error) error {
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return otherwise
}

package audio

import (
	"bufio"
	"fmt"
)

const id3HeaderLength = 10

// parseID3Header returns the length of the ID3v2 tag that starts with b, header and
// footer included (ID3v2.4.0 main structure, 3.1 and 3.4).
func parseID3Header(b []byte) (int, bool) {
	if len(b) < id3HeaderLength || string(b[:3]) != "ID3" || b[3] == 0xFF || b[4] == 0xFF {
		return 0, false
	}
	size := 0
	for _, v := range b[6:id3HeaderLength] {
		if v >= 0x80 {
			return 0, false
		}
		size = size<<7 | int(v)
	}
	const hasFooter = 0x10
	if b[5]&hasFooter != 0 {
		size += id3HeaderLength
	}
	return id3HeaderLength + size, true
}

// id3Length returns the length of the ID3v2 tag at an offset of r, or 0 if there is none. It
// reads no more of a pipe than needed.
func id3Length(r *bufio.Reader, offset int) int {
	if string(peekAt(r, offset, 3)) != "ID3" {
		return 0
	}
	length, _ := parseID3Header(peekAt(r, offset, id3HeaderLength))
	return length
}

// skipID3 skips the ID3v2 tags at the start of r, at most 64 MB of them.
func skipID3(r *bufio.Reader) (err error) {
	for passed := 0; err == nil; {
		length := id3Length(r, 0)
		if length == 0 {
			return nil
		}
		if passed += length; passed > maxHeaderBytes {
			return fmt.Errorf("%w: more than %d MB of ID3v2 tags", ErrFormat, maxHeaderBytes>>20)
		}
		err = skip(r, int64(length))
	}
	return err
}

package hear

import (
	"encoding/binary"
	"io"
	"math"

	"echocast/internal/pcm"
)

// unknownSize is the size in a header while the length is not known.
const unknownSize = math.MaxUint32

// WAVHeader returns the header of a 16-bit mono WAV file of unknown length, at a rate
// in Hz.
func WAVHeader(rate int) []byte {
	return pcm.WAVHeader(rate, 1, unknownSize)
}

// File has the methods of *os.File that CompleteWAV needs.
type File interface {
	io.Seeker
	io.WriterAt
}

// CompleteWAV writes the sizes into the header of a file, up to its current position,
// unless they exceed the limits of WAV.
func CompleteWAV(file File) error {
	size, err := file.Seek(0, io.SeekCurrent)
	if err != nil || size >= unknownSize {
		return nil // readers then read to the end of the file
	}
	for offset, value := range map[int64]int64{4: size - 8, 40: size - 44} {
		if _, err := file.WriteAt(binary.LittleEndian.AppendUint32(nil, uint32(value)), offset); err != nil {
			return err
		}
	}
	return nil
}

package hear

import (
	"encoding/binary"
	"io"
	"math"

	"echocast/internal/pcm"
)

// unknownSize stands in a header while the sizes are not known.
const unknownSize = math.MaxUint32

// WAVHeader returns a header of 16-bit mono WAV of unknown length, for samples
// at a rate in Hz.
func WAVHeader(rate int) []byte {
	return pcm.WAVHeader(rate, unknownSize)
}

// File is what CompleteWAV needs of a file.
type File interface {
	io.Seeker
	io.WriterAt
}

// CompleteWAV writes the sizes into the header of a file that was written to its
// present position, unless they are beyond what WAV can say.
func CompleteWAV(file File) error {
	size, err := file.Seek(0, io.SeekCurrent)
	if err != nil || size >= unknownSize {
		return nil // readers go by the end of the file
	}
	for offset, value := range map[int64]int64{4: size - 8, 40: size - 44} {
		if _, err := file.WriteAt(binary.LittleEndian.AppendUint32(nil, uint32(value)), offset); err != nil {
			return err
		}
	}
	return nil
}

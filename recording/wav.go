package recording

import (
	"encoding/binary"
	"os"

	"echocast/internal/outfile"
)

// wav is a 16-bit stereo WAV file whose header is correct after each write.
type wav struct {
	file *os.File
	size int64 // bytes of samples
}

const wavHeader = 44 // bytes

func createWAV(name string) (*wav, error) {
	file, err := outfile.Create(name)
	if err != nil {
		return nil, err
	}
	w := &wav{file: file}
	if _, err := file.Write(w.header()); err != nil {
		_ = file.Close() // err says what is wrong
		return nil, err
	}
	return w, nil
}

func (w *wav) header() []byte {
	size := uint32(min(w.size, 1<<32-1-wavHeader)) // more than WAV can say: readers go by the end of the file
	var h []byte
	le := binary.LittleEndian
	h = le.AppendUint32(append(h, "RIFF"...), size+wavHeader-8)
	h = le.AppendUint32(append(h, "WAVEfmt "...), 16)
	h = le.AppendUint16(le.AppendUint16(h, 1), 2) // PCM, two channels
	h = le.AppendUint32(le.AppendUint32(h, Rate), 4*Rate)
	h = le.AppendUint16(le.AppendUint16(h, 4), 16)
	return le.AppendUint32(append(h, "data"...), size)
}

func (w *wav) write(samples []int16) error {
	var b []byte
	for _, v := range samples {
		b = binary.LittleEndian.AppendUint16(b, uint16(v))
	}
	n, err := w.file.Write(b)
	w.size += int64(n)
	if err != nil {
		return err
	}
	_, err = w.file.WriteAt(w.header(), 0)
	return err
}

func (w *wav) close() error { return w.file.Close() }

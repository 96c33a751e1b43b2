package recording

import (
	"math"
	"os"

	"echocast/internal/outfile"
	"echocast/internal/pcm"
)

// wav is a 16-bit stereo WAV file with a header that is correct after each write.
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
		_ = file.Close() // err is already set
		return nil, err
	}
	return w, nil
}

func (w *wav) header() []byte {
	// Beyond the largest size that WAV can state, readers read to the end of the file.
	return pcm.WAVHeader(Rate, 2, uint32(min(w.size, math.MaxUint32-wavHeader)))
}

func (w *wav) write(samples []int16) error {
	n, err := w.file.Write(pcm.Bytes(samples))
	w.size += int64(n)
	if err != nil {
		return err
	}
	_, err = w.file.WriteAt(w.header(), 0)
	return err
}

func (w *wav) close() error { return w.file.Close() }

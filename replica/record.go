package replica

import (
	"encoding/binary"
	"errors"
	"io"
	"math"

	"github.com/go-audio/audio"
	"github.com/go-audio/wav"
)

// Offsets in the 44-byte header of a WAV file, and the largest number of samples whose size
// in bytes fits the header's 32 bits.
const (
	riffSizeOffset    = 4
	dataSizeOffset    = 40
	headerSize        = 44
	maxRecordedSample = (math.MaxUint32 - headerSize) / 2
)

const formatPCM = 1 // WAVE_FORMAT_PCM

var errRecordingFull = errors.New("the recording has reached the 4 GiB that WAV can hold")

// recorder writes 16-bit mono WAV. After its first error it writes no samples and
// only completes the header.
type recorder struct {
	file    io.WriteSeeker // nil: no recording
	encoder *wav.Encoder
	buffer  audio.IntBuffer
	err     error
	report  Recording
}

func newRecorder(file io.WriteSeeker) recorder {
	return recorder{
		file:   file,
		buffer: audio.IntBuffer{SourceBitDepth: 16},
		report: Recording{Silences: []Silence{}, Unrecorded: []Unrecorded{}},
	}
}

// open begins the file at the rate of its first audio.
func (r *recorder) open(rate int) {
	r.report.Rate = rate
	// The encoder allocates a minute of audio at its rate, and rate is only what a message
	// claims.
	r.encoder = wav.NewEncoder(r.file, 1, 16, 1, formatPCM)
	r.encoder.SampleRate = rate
	r.buffer.Format = &audio.Format{NumChannels: 1, SampleRate: rate}
}

// write appends samples of u if their rate is that of the file.
func (r *recorder) write(u *Utterance, samples []int16) {
	if r.file == nil || len(samples) == 0 {
		return
	}
	if r.encoder == nil {
		r.open(u.Rate)
	}
	if u.Rate != r.report.Rate {
		r.skip(u, len(samples))
		return
	}
	if r.err != nil {
		return
	}
	if r.err = r.append(samples); r.err == nil {
		r.report.Samples += int64(len(samples))
	}
}

func (r *recorder) append(samples []int16) error {
	if r.report.Samples+int64(len(samples)) > maxRecordedSample {
		return errRecordingFull
	}
	r.buffer.Data = r.buffer.Data[:0]
	for _, sample := range samples {
		r.buffer.Data = append(r.buffer.Data, int(sample))
	}
	return r.encoder.Write(&r.buffer)
}

// skip reports audio whose rate differs from that of the file.
func (r *recorder) skip(u *Utterance, samples int) {
	list := r.report.Unrecorded
	if last := len(list) - 1; last >= 0 && list[last].Utterance == u.ID {
		list[last].Samples += int64(samples)
		return
	}
	if len(list) == MaxListed {
		return
	}
	r.report.Unrecorded = append(list, Unrecorded{Utterance: u.ID, Rate: u.Rate, Samples: int64(samples)})
}

// silence reports an underrun of u at the end of the recording.
func (r *recorder) silence(u *Utterance, length float64) {
	if r.encoder != nil && u.Rate == r.report.Rate && len(r.report.Silences) < MaxListed {
		r.report.Silences = append(r.report.Silences, Silence{Position: r.report.Samples, LengthMS: length})
	}
}

// close completes the header, also of an empty recording.
func (r *recorder) close() {
	if r.file == nil {
		return
	}
	if r.encoder == nil {
		r.open(recommendedRate)
		r.err = r.append(nil)
	}
	failed := r.err
	r.err = errors.Join(r.err, r.encoder.Close())
	if failed != nil {
		r.err = errors.Join(r.err, r.correct())
	}
}

// correct rewrites the sizes in the header after a failed write, because the encoder
// counted that write.
func (r *recorder) correct() error {
	size := uint32(2 * r.report.Samples)
	return errors.Join(r.patch(riffSizeOffset, headerSize-8+size), r.patch(dataSizeOffset, size))
}

func (r *recorder) patch(offset int64, value uint32) error {
	if _, err := r.file.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	return binary.Write(r.file, binary.LittleEndian, value)
}

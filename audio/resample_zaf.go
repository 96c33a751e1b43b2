//go:build cgo

package audio

import (
	"errors"
	"fmt"
	"io"
	"unsafe"

	"github.com/zaf/resample"
)

// zaf resamples with libsoxr, quality High, through zaf/resample.
//
// On a write of n samples, that package gives libsoxr space for floor(n·ratio) samples, and does
// not check how much input libsoxr took. If the output of a block is not a whole number of
// samples, audio is lost without an error. Therefore every write is one block of constant
// length, or several if src returns so much at once. The length is chosen so that the output is
// a whole number of samples. For unusual rates it is as nearly whole as possible, and never
// leaves input over. The last block is filled with silence, and the total is cut to the right
// length. The result equals one libsoxr call over the whole signal. Samples are float32, because
// libsoxr dithers 16-bit output with a seed from the clock.
type zaf struct {
	src   Source
	from  int
	to    int
	lib   *resample.Resampler
	block int         // samples of one block
	buf   []float32   // space for the most blocks that are written together
	have  int         // samples in buf
	in    int64       // samples read from src
	out   int64       // samples handed out
	ready sampleQueue // converted, but not returned yet
	err   error       // why src ended
}

func newZaf(src Source, rate int) (Resampled, error) {
	s := &zaf{src: src, from: src.Format().Rate, to: rate}
	lib, err := resample.New(&s.ready, float64(s.from), float64(rate), 1, resample.F32, resample.HighQ)
	if err != nil {
		return nil, fmt.Errorf("resample: %w", err)
	}
	s.lib = lib
	block, whole := zafBlock(s.from, rate)
	together := 1
	if whole {
		together = max(1, zafWriteLength/block)
	}
	s.block, s.buf = block, make([]float32, together*block)
	return s, nil
}

// zafWriteLength is the most samples that are written together: as many as one read of a mono
// file returns. Each write costs five allocations and two copies.
const zafWriteLength = 16384

// zafBlock returns the length of a block in samples, and whether its output is a whole number of
// samples. If whole periods of the ratio fit into 20 ms, the block is as many periods as fit, so
// live audio waits no longer than that. For other rates it is the length from 2048 to 4096 with
// the least remainder.
func zafBlock(from, to int) (samples int, whole bool) {
	period := from / greatestCommonDivisor(from, to)
	if short := from / 50; period <= short {
		return short / period * period, true
	}
	best, least := 0, 2.0
	ratio := float64(to) / float64(from)
	for n := 2048; n <= 4096; n++ {
		whole := int(float64(n) * ratio)
		if takes := (int64(whole)*int64(from) + int64(to) - 1) / int64(to); takes < int64(n) {
			continue // libsoxr would leave input behind
		}
		if left := float64(n)*ratio - float64(whole); left < least-1e-12 {
			best, least = n, left
		}
	}
	return best, false
}

func (s *zaf) Format() Format { return Format{Rate: s.to, Channels: 1} }

func (s *zaf) ReadSamples(p []float32) (int, error) {
	for s.ready.len() == 0 {
		if s.err != nil {
			return 0, s.err
		}
		if err := s.convert(); err != nil {
			s.err = err
		}
	}
	n := s.ready.read(p)
	s.out += int64(n)
	return n, nil
}

// convert reads, and writes the complete blocks. If src has ended, it finishes.
func (s *zaf) convert() error {
	for s.have < s.block {
		n, err := s.src.ReadSamples(s.buf[s.have:])
		s.have += n
		s.in += int64(n)
		if errors.Is(err, io.EOF) {
			return s.finish()
		}
		if err != nil {
			return err
		}
	}
	return s.write(s.have / s.block * s.block)
}

// write writes the first n samples and keeps the rest.
func (s *zaf) write(n int) error {
	if s.lib == nil {
		return errors.New("resample: closed")
	}
	if _, err := s.lib.Write(bytesOf(s.buf[:n])); err != nil {
		return fmt.Errorf("resample: %w", err)
	}
	s.have = copy(s.buf, s.buf[n:s.have])
	return nil
}

// finish fills the last block with silence and writes it, takes the samples that libsoxr holds
// back, and cuts the output to length.
func (s *zaf) finish() error {
	if s.in == 0 {
		return io.EOF
	}
	if s.have > 0 {
		whole := (s.have + s.block - 1) / s.block * s.block
		clear(s.buf[s.have:whole])
		s.have = whole
		if err := s.write(whole); err != nil {
			return err
		}
	}
	if err := s.Close(); err != nil {
		return err
	}
	want := resampledLength(s.in, s.from, s.to) - s.out
	if int64(s.ready.len()) < want {
		return fmt.Errorf("resample: libsoxr gave %d samples too few", want-int64(s.ready.len()))
	}
	s.ready.cut(int(want))
	return io.EOF
}

func (s *zaf) Close() error {
	if s.lib == nil {
		return nil
	}
	lib := s.lib
	s.lib = nil
	if err := lib.Close(); err != nil {
		return fmt.Errorf("resample: %w", err)
	}
	return nil
}

// sampleQueue is a queue of samples that is written as bytes.
type sampleQueue struct {
	all  []float32
	next int
}

// Write takes whole float32 samples in the machine's byte order.
func (f *sampleQueue) Write(p []byte) (int, error) {
	if f.next == len(f.all) {
		f.all, f.next = f.all[:0], 0
	}
	at, n := len(f.all), len(p)/4
	if cap(f.all)-at < n {
		f.all = append(f.all, make([]float32, n)...)
	}
	f.all = f.all[:at+n]
	copy(bytesOf(f.all[at:]), p)
	return len(p), nil
}

func (f *sampleQueue) len() int { return len(f.all) - f.next }

func (f *sampleQueue) cut(n int) { f.all = f.all[:f.next+n] }

func (f *sampleQueue) read(p []float32) int {
	n := copy(p, f.all[f.next:])
	f.next += n
	return n
}

// bytesOf is the memory of p.
func bytesOf(p []float32) []byte {
	if len(p) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&p[0])), 4*len(p))
}

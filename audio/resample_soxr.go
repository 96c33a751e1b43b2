//go:build cgo

package audio

/*
#cgo pkg-config: soxr
#cgo noescape soxr_give
#cgo nocallback soxr_give
#include <soxr.h>
#include <stdbool.h>

typedef struct { const char *error; size_t taken, made; } soxr_step;

static soxr_t soxr_start(double from, double to, const char **error) {
	soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
	soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
	soxr_runtime_spec_t threads = soxr_runtime_spec(1);
	return soxr_create(from, to, 1, error, &io, &quality, &threads);
}

// soxr_give offers n samples and takes what comes out. At the end of the input
// there are none, and what the filter holds comes out.
static soxr_step soxr_give(soxr_t handle, const float *in, size_t n, bool end, float *out, size_t room) {
	soxr_step step = {0, 0, 0};
	step.error = soxr_process(handle, end ? NULL : in, n, &step.taken, out, room, &step.made);
	return step;
}
*/
import "C"

import (
	"errors"
	"fmt"
	"io"
	"unsafe"
)

const haveSoxr = true

// soxrRead is how many samples are requested at a time. Live input returns fewer.
const soxrRead = 4096

// soxr resamples with libsoxr, quality High. The library writes directly to the caller's slice
// and reports how much of the input it took. So nothing is copied or allocated, and no sample
// is lost. Samples are float32, because libsoxr dithers 16-bit output with a seed from the
// clock.
type soxr struct {
	src      Source
	from     int
	to       int
	handle   C.soxr_t
	buf      []float32
	waiting  []float32 // part of buf: read, not taken yet
	isFull   bool      // libsoxr filled all the room it had, and may have more
	hasEnded bool      // src has ended
	in       int64     // samples read from src
	out      int64     // samples handed out
	err      error     // why there are no more samples; nil until then
}

func newSoxr(src Source, rate int) (Resampled, error) {
	s := &soxr{src: src, from: src.Format().Rate, to: rate, buf: make([]float32, soxrRead)}
	s.waiting = s.buf[:0]
	var message *C.char
	s.handle = C.soxr_start(C.double(s.from), C.double(rate), &message)
	if s.handle == nil {
		return nil, fmt.Errorf("resample: %s", C.GoString(message))
	}
	return s, nil
}

func (s *soxr) Format() Format { return Format{Rate: s.to, Channels: 1} }

func (s *soxr) ReadSamples(p []float32) (int, error) {
	if len(p) == 0 {
		return 0, io.ErrShortBuffer
	}
	for s.err == nil {
		if len(s.waiting) == 0 && !s.isFull && !s.hasEnded {
			s.err = s.read()
			continue
		}
		n, err := s.convert(p)
		if n > 0 {
			s.out += int64(n)
			return n, nil
		}
		s.err = err
	}
	return 0, s.err
}

// read reads samples once, or records that the source has ended.
func (s *soxr) read() error {
	n, err := s.src.ReadSamples(s.buf)
	s.waiting = s.buf[:n]
	s.in += int64(n)
	if errors.Is(err, io.EOF) {
		s.hasEnded = true
		return nil
	}
	return err
}

// convert fills p as far as the input allows. After the end of the input it cuts the output to
// the right length, and then ends.
func (s *soxr) convert(p []float32) (int, error) {
	if s.hasEnded {
		left := resampledLength(s.in, s.from, s.to) - s.out
		if left == 0 {
			return 0, io.EOF
		}
		p = p[:min(int64(len(p)), left)]
	}
	if s.handle == nil {
		return 0, errors.New("resample: closed")
	}
	step := C.soxr_give(s.handle, (*C.float)(unsafe.SliceData(s.waiting)), C.size_t(len(s.waiting)), C.bool(s.hasEnded),
		(*C.float)(unsafe.SliceData(p)), C.size_t(len(p)))
	taken, made := int(step.taken), int(step.made)
	switch {
	case step.error != nil:
		return 0, fmt.Errorf("resample: %s", C.GoString(step.error))
	case made == 0 && s.hasEnded:
		return 0, errors.New("resample: libsoxr gave too few samples")
	case made == 0 && taken == 0 && len(s.waiting) > 0:
		return 0, io.ErrNoProgress
	}
	s.waiting = s.waiting[taken:]
	s.isFull = made == len(p)
	return made, nil
}

// Close frees what libsoxr holds.
func (s *soxr) Close() error {
	if s.handle != nil {
		C.soxr_delete(s.handle)
		s.handle = nil
	}
	return nil
}

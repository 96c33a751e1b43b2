//go:build cgo

// Package oneshot converts a whole signal with one call of libsoxr. It is the reference
// against which the streaming resampler is tested. Nothing else links it.
package oneshot

/*
#cgo pkg-config: soxr
#include <soxr.h>

static const char *oneshot(double from, double to, const float *in, size_t n, float *out, size_t room, size_t *done) {
	soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
	soxr_quality_spec_t quality = soxr_quality_spec(SOXR_HQ, 0);
	soxr_runtime_spec_t threads = soxr_runtime_spec(1);
	return soxr_oneshot(from, to, 1, in, n, NULL, out, room, done, &io, &quality, &threads);
}
*/
import "C"

import (
	"errors"
	"unsafe"
)

// Resample converts mono samples from one rate to another, in Hz, with libsoxr
// quality High.
func Resample(in []float32, from, to int) ([]float32, error) {
	out := make([]float32, len(in)*to/from+2)
	var done C.size_t
	message := C.oneshot(C.double(from), C.double(to),
		(*C.float)(unsafe.Pointer(unsafe.SliceData(in))), C.size_t(len(in)),
		(*C.float)(unsafe.Pointer(unsafe.SliceData(out))), C.size_t(len(out)), &done)
	if message != nil {
		return nil, errors.New(C.GoString(message))
	}
	return out[:done], nil
}

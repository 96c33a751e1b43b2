//go:build cgo

// Package opusencoder is a thin binding of libopus' encoder, for speech. It
// makes the sound of the stand-ins; what echocast hears is decoded in Go.
package opusencoder

/*
#cgo pkg-config: opus
#include <opus.h>

static int configure(OpusEncoder *e, int bits, int dtx) {
	int failed = opus_encoder_ctl(e, OPUS_SET_BITRATE(bits));
	return failed ? failed : opus_encoder_ctl(e, OPUS_SET_DTX(dtx));
}
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// Available says that this build has libopus.
const Available = true

const (
	bitRate       = 32000
	largestPacket = 1275 // bytes, as RFC 6716 allows
)

// Encoder encodes mono speech. It is for one goroutine at a time.
type Encoder struct {
	handle *C.OpusEncoder
	packet [largestPacket]byte
}

// New makes an encoder for samples at 8, 12, 16, 24 or 48 kHz. With dtx, silence
// takes a packet of two bytes now and then. It has to be closed.
func New(rate int, dtx bool) (*Encoder, error) {
	var failed C.int
	handle := C.opus_encoder_create(C.opus_int32(rate), 1, C.OPUS_APPLICATION_VOIP, &failed)
	if failed == C.OPUS_OK {
		var flag C.int
		if dtx {
			flag = 1
		}
		if failed = C.configure(handle, bitRate, flag); failed == C.OPUS_OK {
			return &Encoder{handle: handle}, nil
		}
		C.opus_encoder_destroy(handle)
	}
	return nil, fmt.Errorf("libopus: %s", C.GoString(C.opus_strerror(failed)))
}

// Encode makes a packet of a frame of 2.5, 5, 10, 20, 40 or 60 ms. It is valid
// until the next call.
func (e *Encoder) Encode(frame []int16) ([]byte, error) {
	if len(frame) == 0 {
		return nil, fmt.Errorf("libopus: an empty frame")
	}
	n := C.opus_encode(e.handle, (*C.opus_int16)(unsafe.Pointer(&frame[0])), C.int(len(frame)),
		(*C.uchar)(unsafe.Pointer(&e.packet[0])), C.opus_int32(len(e.packet)))
	if n < 0 {
		return nil, fmt.Errorf("libopus: %s", C.GoString(C.opus_strerror(C.int(n))))
	}
	return e.packet[:n], nil
}

// Close frees the encoder. Further calls do nothing.
func (e *Encoder) Close() error {
	if e.handle != nil {
		C.opus_encoder_destroy(e.handle)
		e.handle = nil
	}
	return nil
}

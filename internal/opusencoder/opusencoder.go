//go:build cgo

// Package opusencoder is a thin binding of libopus' encoder, for speech. It encodes the
// sound of the stand-in replicas. Decoding is done in Go.
package opusencoder

/*
#cgo pkg-config: opus
#include <opus.h>

static int configure(OpusEncoder *e, int bits, int dtx) {
	int failed = opus_encoder_ctl(e, OPUS_SET_BITRATE(bits));
	return failed ? failed : opus_encoder_ctl(e, OPUS_SET_DTX(dtx));
}

static opus_int32 lookahead(OpusEncoder *e) {
	opus_int32 samples = 0, rate = 48000;
	if (opus_encoder_ctl(e, OPUS_GET_LOOKAHEAD(&samples)) || opus_encoder_ctl(e, OPUS_GET_SAMPLE_RATE(&rate))) return 0;
	return samples * (48000 / rate);
}
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// Available reports whether this build has libopus.
const Available = true

const (
	bitRate       = 32000
	largestPacket = 1275 // bytes; the limit of RFC 6716
)

// Encoder encodes speech with interleaved channels. Only one goroutine may use it at a
// time.
type Encoder struct {
	handle   *C.OpusEncoder
	channels int
	packet   [largestPacket]byte
}

// NewStereo returns an encoder for two channels at 8, 12, 16, 24 or 48 kHz. The caller
// closes it.
func NewStereo(rate int) (*Encoder, error) { return create(rate, 2, 2*bitRate, false) }

// New returns an encoder for mono samples at 8, 12, 16, 24 or 48 kHz. With dtx, silence is
// encoded as an occasional packet of two bytes. The caller closes it.
func New(rate int, dtx bool) (*Encoder, error) { return create(rate, 1, bitRate, dtx) }

func create(rate, channels, bits int, dtx bool) (*Encoder, error) {
	var failed C.int
	handle := C.opus_encoder_create(C.opus_int32(rate), C.int(channels), C.OPUS_APPLICATION_VOIP, &failed)
	if failed == C.OPUS_OK {
		var flag C.int
		if dtx {
			flag = 1
		}
		if failed = C.configure(handle, C.int(bits), flag); failed == C.OPUS_OK {
			return &Encoder{handle: handle, channels: channels}, nil
		}
		C.opus_encoder_destroy(handle)
	}
	return nil, fmt.Errorf("libopus: %s", C.GoString(C.opus_strerror(failed)))
}

// Encode encodes a frame of 2.5, 5, 10, 20, 40 or 60 ms. The packet is valid until the
// next call.
func (e *Encoder) Encode(frame []int16) ([]byte, error) {
	if len(frame) == 0 {
		return nil, fmt.Errorf("libopus: an empty frame")
	}
	n := C.opus_encode(e.handle, (*C.opus_int16)(unsafe.Pointer(&frame[0])), C.int(len(frame)/e.channels),
		(*C.uchar)(unsafe.Pointer(&e.packet[0])), C.opus_int32(len(e.packet)))
	if n < 0 {
		return nil, fmt.Errorf("libopus: %s", C.GoString(C.opus_strerror(C.int(n))))
	}
	return e.packet[:n], nil
}

// Lookahead returns the encoder's delay in samples at 48 kHz.
func (e *Encoder) Lookahead() int { return int(C.lookahead(e.handle)) }

// Close frees the encoder. Further calls do nothing.
func (e *Encoder) Close() error {
	if e.handle != nil {
		C.opus_encoder_destroy(e.handle)
		e.handle = nil
	}
	return nil
}

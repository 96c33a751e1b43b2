//go:build cgo

package audio

/*
#cgo pkg-config: libmpg123
#cgo noescape mp3_decode
#cgo nocallback mp3_decode
#include <mpg123.h>

typedef struct { int code; size_t bytes; } mp3_result;

// mp3_decode feeds one frame and decodes it into out. libmpg123 may first return MPG123_NEW_FORMAT
// without samples; they follow with the next call.
static mp3_result mp3_decode(mpg123_handle *handle, const unsigned char *frame, size_t frame_bytes,
                             float *out, size_t out_bytes) {
	mp3_result result = {0, 0};
	result.code = mpg123_decode(handle, frame, frame_bytes, out, out_bytes, &result.bytes);
	if (result.code == MPG123_NEW_FORMAT && result.bytes == 0)
		result.code = mpg123_decode(handle, NULL, 0, out, out_bytes, &result.bytes);
	return result;
}

// mp3_setup makes handle return all 32-bit float samples, at the rate and with the channels of
// the stream. Frames arrive whole, so the first does not wait for the second. The caller removes
// the samples that are not sound, and knows the length of a frame in free format.
static int mp3_setup(mpg123_handle *handle, long rate, int channels, long free_size) {
	long flags = MPG123_QUIET | MPG123_FORCE_FLOAT | MPG123_IGNORE_INFOFRAME | MPG123_NO_READAHEAD;
	int code = mpg123_param(handle, MPG123_FLAGS, flags, 0);
	if (code == MPG123_OK) code = mpg123_param(handle, MPG123_RESYNC_LIMIT, -1, 0);
	if (code == MPG123_OK) code = mpg123_param(handle, MPG123_FREEFORMAT_SIZE, free_size, 0);
	if (code == MPG123_OK) code = mpg123_format_none(handle);
	if (code == MPG123_OK) code = mpg123_format(handle, rate, channels, MPG123_ENC_FLOAT_32);
	if (code == MPG123_OK) code = mpg123_open_feed(handle);
	return code;
}
*/
import "C"

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"
)

// frameDecoder decodes the frames of one format by libmpg123.
type frameDecoder struct {
	handle  *C.mpg123_handle
	cleanup runtime.Cleanup
}

// refuse returns nil: libmpg123 reads every frame with a valid header.
func refuse(mpegHeader, []byte) error { return nil }

// refuseFile returns nil, for the same reason.
func refuseFile(*os.File) error { return nil }

// newFrameDecoder returns a decoder of frames like the one with header h. If the caller does
// not call close, the garbage collector frees the handle.
func newFrameDecoder(h mpegHeader) (*frameDecoder, error) {
	var code C.int
	d := &frameDecoder{handle: C.mpg123_new(nil, &code)}
	if d.handle == nil {
		return nil, mpg123Error(code)
	}
	d.cleanup = runtime.AddCleanup(d, func(h *C.mpg123_handle) { C.mpg123_delete(h) }, d.handle)
	if code = C.mp3_setup(d.handle, C.long(h.Rate), C.int(h.Channels), freeSize(h)); code != C.MPG123_OK {
		d.close()
		return nil, mpg123Error(code)
	}
	return d, nil
}

// freeSize returns the length in bytes of the frames in free format as libmpg123 counts it,
// without header and padding. It returns -1 for all other streams.
func freeSize(h mpegHeader) C.long {
	if h.Free == 0 {
		return -1
	}
	return C.long(h.Free - mpegHeaderLength)
}

func mpg123Error(code C.int) error {
	return fmt.Errorf("mp3: libmpg123: %s", C.GoString(C.mpg123_plain_strerror(code)))
}

// restart forgets the frames so far, because another stream follows.
func (d *frameDecoder) restart() error {
	if code := C.mpg123_open_feed(d.handle); code != C.MPG123_OK {
		return mpg123Error(code)
	}
	return nil
}

// decode decodes a frame into n samples in p, which has room for the longest frame. damaged is
// always nil: libmpg123 decodes damaged frames as well as it can.
func (d *frameDecoder) decode(frame []byte, p []float32) (n int, damaged, err error) {
	result := C.mp3_decode(d.handle,
		(*C.uchar)(unsafe.SliceData(frame)), C.size_t(len(frame)),
		(*C.float)(unsafe.SliceData(p)), C.size_t(4*len(p)))
	runtime.KeepAlive(d)
	switch result.code {
	case C.MPG123_OK, C.MPG123_NEW_FORMAT, C.MPG123_NEED_MORE:
	default:
		err = mpg123Error(result.code)
	}
	return int(result.bytes / 4), nil, err
}

// close frees the handle. It may be called twice.
func (d *frameDecoder) close() {
	if d.handle == nil {
		return
	}
	d.cleanup.Stop()
	C.mpg123_delete(d.handle)
	d.handle = nil
}

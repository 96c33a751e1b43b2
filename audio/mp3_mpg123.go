//go:build cgo

package audio

/*
#cgo pkg-config: libmpg123
#cgo noescape mp3_decode
#cgo nocallback mp3_decode
#include <mpg123.h>

typedef struct { int code; size_t bytes; } mp3_result;

// mp3_decode feeds one frame, or nothing, and decodes into out what fits. A
// note that the format is new has no samples with it: they come on the way.
static mp3_result mp3_decode(mpg123_handle *handle, const unsigned char *frame, size_t frame_bytes,
                             float *out, size_t out_bytes) {
	mp3_result result = {0, 0};
	result.code = mpg123_decode(handle, frame, frame_bytes, out, out_bytes, &result.bytes);
	if (result.code == MPG123_NEW_FORMAT && result.bytes == 0)
		result.code = mpg123_decode(handle, NULL, 0, out, out_bytes, &result.bytes);
	return result;
}

// mp3_setup makes handle give 32-bit float samples at the rate and with the
// channels of the stream, uncut: its frames arrive whole, so the first need not
// wait for the second, and what is no sound is cut off elsewhere.
static int mp3_setup(mpg123_handle *handle, long rate, int channels) {
	long flags = MPG123_QUIET | MPG123_FORCE_FLOAT | MPG123_IGNORE_INFOFRAME | MPG123_NO_READAHEAD;
	int code = mpg123_param(handle, MPG123_FLAGS, flags, 0);
	if (code == MPG123_OK) code = mpg123_param(handle, MPG123_RESYNC_LIMIT, -1, 0);
	if (code == MPG123_OK) code = mpg123_format_none(handle);
	if (code == MPG123_OK) code = mpg123_format(handle, rate, channels, MPG123_ENC_FLOAT_32);
	if (code == MPG123_OK) code = mpg123_open_feed(handle);
	return code;
}
*/
import "C"

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"runtime"
	"unsafe"
)

// mp3Decoder is a Source over MPEG audio, decoded by libmpg123. It reads no
// further than the frame it needs next, so it keeps pace with a pipe.
//
// What the encoder added in front and behind is left out where a Xing or Info
// tag tells how much. Streams of one format that were put one behind the other
// are each treated so: together they give what they would give one by one.
type mp3Decoder struct {
	frames  mpegFrames
	handle  *C.mpg123_handle
	cleanup runtime.Cleanup
	info    Info
	length  mp3Length
	input   []byte // frame to decode next, nil if there is none
	dry     bool   // all that went into the handle has come out
	err     error
}

// openMP3 finds the first frames in r and prepares to decode from there. The
// samples of a frame can be read as soon as the frame is there: a pipe need
// not end first. The buffer of r holds at least 64 KiB. An error wraps
// ErrFormat where r holds no MPEG audio, else it wraps the error of r.
func openMP3(r *bufio.Reader) (*mp3Decoder, error) {
	d := &mp3Decoder{frames: mpegFrames{r: r}, dry: true, length: mp3Length{claimed: -1}}
	if err := d.frames.start(); err != nil {
		return nil, err
	}
	h := d.frames.stream
	d.info = Info{Container: "mp3", Codec: h.codec(), Format: h.format()}
	if err := d.newHandle(); err != nil {
		return nil, err
	}
	for d.dry {
		if err := d.advance(); err != nil {
			d.Close()
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("%w: mp3: no frame holds sound", ErrFormat)
			}
			return nil, err
		}
	}
	d.info.Declared = d.length.claimed
	return d, nil
}

// newHandle makes the libmpg123 decoder. Close frees it; so does the garbage
// collector, should Close be forgotten.
func (d *mp3Decoder) newHandle() error {
	var code C.int
	d.handle = C.mpg123_new(nil, &code)
	if d.handle == nil {
		return mpg123Error(code)
	}
	d.cleanup = runtime.AddCleanup(d, func(h *C.mpg123_handle) { C.mpg123_delete(h) }, d.handle)
	if code = C.mp3_setup(d.handle, C.long(d.info.Format.Rate), C.int(d.info.Format.Channels)); code != C.MPG123_OK {
		d.Close()
		return mpg123Error(code)
	}
	return nil
}

func mpg123Error(code C.int) error {
	return fmt.Errorf("mp3: libmpg123: %s", C.GoString(C.mpg123_plain_strerror(code)))
}

// Format is the format of the first frame, which all others share.
func (d *mp3Decoder) Format() Format { return d.info.Format }

// Info tells what was found in front of the first sound.
func (d *mp3Decoder) Info() Info { return d.info }

// Warnings says in one line each what was odd about the input so far. It is
// complete once ReadSamples has returned an error.
func (d *mp3Decoder) Warnings() []string { return d.length.warnings }

// ReadSamples implements Source. It gives the samples of at most one frame, so
// that none waits for input it does not need. Where frames of another format
// follow, the error says so and wraps ErrFormat.
func (d *mp3Decoder) ReadSamples(p []float32) (int, error) {
	channels := d.info.Format.Channels
	if len(p) < channels {
		return 0, io.ErrShortBuffer
	}
	for d.err == nil {
		room := d.length.room(int64(len(p) / channels))
		if d.dry || room == 0 {
			d.err = d.advance()
			continue
		}
		var n int
		n, d.err = d.decode(p[:int(room)*channels])
		if sound := d.length.add(int64(n / channels)); sound > 0 {
			return int(sound) * channels, nil
		}
	}
	return 0, d.err
}

// advance fetches the next frame of sound. What the handle still holds stays
// there: it is padding, unless more frames come than the tag claims.
func (d *mp3Decoder) advance() error {
	if d.input != nil {
		if _, err := d.decode(nil); err != nil {
			return err
		}
	}
	h, frame, err := d.frames.next()
	if err != nil {
		return d.end(err)
	}
	if tag, ok := parseXingTag(h, frame); ok {
		return d.startStream(h, tag)
	}
	d.length.frame()
	d.input, d.dry = frame, false
	return nil
}

// startStream begins anew behind a tag, which is a stream's first frame and
// holds no sound.
func (d *mp3Decoder) startStream(h mpegHeader, tag xingTag) error {
	d.length.check(d.info.Format)
	d.length.start(h, tag)
	d.dry = true
	if code := C.mpg123_open_feed(d.handle); code != C.MPG123_OK {
		return mpg123Error(code)
	}
	return nil
}

// decode gives the handle the frame in d.input, if there is one, and takes out
// what is ready and fits p.
func (d *mp3Decoder) decode(p []float32) (int, error) {
	frame := d.input
	d.input = nil
	result := C.mp3_decode(d.handle,
		(*C.uchar)(unsafe.SliceData(frame)), C.size_t(len(frame)),
		(*C.float)(unsafe.SliceData(p)), C.size_t(4*len(p)))
	runtime.KeepAlive(d)
	switch result.code {
	case C.MPG123_OK, C.MPG123_NEW_FORMAT:
	case C.MPG123_NEED_MORE:
		d.dry = true
	default:
		return int(result.bytes / 4), mpg123Error(result.code)
	}
	return int(result.bytes / 4), nil
}

// end turns what ended the frames into what ReadSamples returns.
func (d *mp3Decoder) end(cause error) error {
	d.length.check(d.info.Format)
	d.length.left(d.frames.skipped)
	at := d.info.Format.Duration(d.length.delivered).Seconds()
	var change *formatChangeError
	switch {
	case errors.Is(cause, io.EOF):
		return io.EOF
	case errors.As(cause, &change):
		return fmt.Errorf("%w: mp3: %v follows %v after %.3f s", ErrFormat, change.to, d.info.Format, at)
	}
	return fmt.Errorf("mp3: after %.3f s: %w", at, cause)
}

// Close frees the decoder. The reader stays open.
func (d *mp3Decoder) Close() error {
	if d.handle == nil {
		return nil
	}
	d.cleanup.Stop()
	C.mpg123_delete(d.handle)
	d.handle, d.err = nil, errMP3Closed
	return nil
}

var errMP3Closed = errors.New("mp3: read after Close")

package recording

import (
	"encoding/binary"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/at-wat/ebml-go/mkvcore"
	"github.com/at-wat/ebml-go/webm"

	"echocast/internal/opusencoder"
	"echocast/internal/outfile"
)

// hasOpus is set if this build writes WebM itself.
const hasOpus = opusencoder.Available

const (
	frame     = Rate / 50 // samples of a packet of Opus
	frameMS   = 20
	clusterMS = 1000 // length of a cluster, which can be read on its own
	channels  = 2
	opusRate  = 48000 // Hz of the samples in which the delay of Opus is counted
)

// webmFile is a WebM file with a sound track and, if there are pictures, a video track.
// It writes frames as they arrive, and at the end the index, for which it reserves
// space at the front.
type webmFile struct {
	file    *stickyWriter
	sound   webm.BlockWriteCloser
	encoder encoder
	video   webm.BlockWriteCloser // nil without pictures
	film    *film

	hasIndex bool

	rest []int16
	at   int64 // ms
}

// encoder encodes a packet of both channels. The result is valid until the next call.
type encoder interface {
	Encode(samples []int16) ([]byte, error)
	Close() error
}

// indexSize is the space for the index in bytes: enough for one point a second for some 40
// minutes. Longer files have fewer points.
const indexSize = 48 << 10

// stickyWriter keeps the first error of a file, since the muxer writes in a goroutine.
type stickyWriter struct {
	io.WriteCloser
	isMuxing bool // set once the header is written
	mu       sync.Mutex
	err      error
}

// Write writes to the file. It hides errors after the header from the muxer, which would
// otherwise end and block later frames for ever.
func (f *stickyWriter) Write(p []byte) (int, error) {
	if f.failed() != nil {
		return len(p), nil
	}
	n, err := f.WriteCloser.Write(p)
	if err == nil || !f.isMuxing {
		return n, err
	}
	f.fail(err)
	return len(p), nil
}

func (f *stickyWriter) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *stickyWriter) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// WriteAt writes the index. Only files have one.
func (f *stickyWriter) WriteAt(p []byte, at int64) (int, error) {
	return f.WriteCloser.(io.WriterAt).WriteAt(p, at)
}

func createWebM(name string, o *Options) (*webmFile, error) {
	encoder, err := opusencoder.NewStereo(Rate)
	if err != nil {
		return nil, err
	}
	file, err := outfile.Create(name)
	if err != nil {
		_ = encoder.Close() // it was not used
		return nil, err
	}
	delay := encoder.Lookahead()
	sound := webm.TrackEntry{
		CodecID: "A_OPUS", CodecPrivate: opusHead(delay),
		CodecDelay:      uint64(time.Duration(delay) * time.Second / opusRate),
		SeekPreRoll:     uint64(80 * time.Millisecond),
		DefaultDuration: uint64(frameMS * time.Millisecond),
		Audio:           &webm.Audio{SamplingFrequency: opusRate, Channels: channels},
	}
	w, err := newWebM(file, sound, encoder, o, mkvcore.WithSeekHead(true), mkvcore.WithCues(indexSize))
	if err != nil {
		_ = file.Close() // err says what is wrong
		_ = encoder.Close()
		return nil, err
	}
	w.hasIndex = true
	return w, nil
}

// newWebM begins a file. Closing it closes the underlying file and the encoder too.
func newWebM(to io.WriteCloser, sound webm.TrackEntry, encoder encoder, o *Options,
	options ...mkvcore.BlockWriterOption) (*webmFile, error) {
	w := &webmFile{file: &stickyWriter{WriteCloser: to}, encoder: encoder}
	sound.Name, sound.TrackNumber, sound.TrackUID, sound.TrackType = "replica left, user right", 1, 1, 2
	tracks := []webm.TrackEntry{sound}
	if o != nil && o.Picture != nil {
		var err error
		if w.film, err = newFilm(o.Picture); err != nil {
			return nil, err
		}
		tracks = append(tracks, w.film.track())
	}
	writers, err := webm.NewSimpleBlockWriter(w.file, tracks, append(options,
		mkvcore.WithSegmentInfo(&webm.Info{TimecodeScale: uint64(time.Millisecond), MuxingApp: "ebml-go",
			WritingApp: "echocast"}),
		mkvcore.WithBlockInterceptor(nil), // frames come in the order of their times
		mkvcore.WithMinMaxClusterDuration(1, clusterMS, clusterMS), mkvcore.WithOnFatalHandler(w.file.fail))...)
	if err != nil {
		return nil, err
	}
	w.file.isMuxing = true
	if w.sound = writers[0]; w.film != nil {
		w.video = writers[1]
	}
	return w, nil
}

// opusHead is the header of Opus in Matroska (RFC 7845, section 5.1).
func opusHead(delay int) []byte {
	head := append([]byte("OpusHead"), 1, channels)
	head = binary.LittleEndian.AppendUint16(head, uint16(delay))
	head = binary.LittleEndian.AppendUint32(head, Rate)
	return append(head, 0, 0, 0) // no gain, and mono or stereo
}

func (w *webmFile) write(samples []int16) error {
	w.rest = append(w.rest, samples...)
	unit := channels * frame
	if w.film != nil {
		unit = channels * pictureFrames * frame
	}
	n := 0
	for ; len(w.rest)-n >= unit; n += unit {
		if err := w.frames(w.rest[n : n+unit]); err != nil {
			return err
		}
	}
	w.rest = append(w.rest[:0], w.rest[n:]...)
	return w.file.failed()
}

// frames writes the picture for some samples, if there is one, and their packets. It fills
// an incomplete packet with silence.
func (w *webmFile) frames(samples []int16) error {
	if w.film != nil {
		picture, isKey, err := w.film.next(samples)
		if err != nil {
			return err
		}
		if _, err := w.video.Write(isKey, w.at, picture); err != nil {
			return err
		}
	}
	for packet := range slices.Chunk(samples, channels*frame) {
		if lack := channels*frame - len(packet); lack > 0 {
			packet = append(slices.Clip(packet), make([]int16, lack)...)
		}
		if err := w.packet(packet); err != nil {
			return err
		}
	}
	return nil
}

func (w *webmFile) packet(samples []int16) error {
	packet, err := w.encoder.Encode(samples)
	if err != nil {
		return err
	}
	_, err = w.sound.Write(true, w.at, append([]byte(nil), packet...))
	w.at += frameMS
	return err
}

// close fills the last packet with silence. To a file with an index it adds another packet,
// because the length in its header is the time of the last packet.
func (w *webmFile) close() error {
	if len(w.rest) > 0 {
		_ = w.frames(w.rest) // the file keeps the error
	}
	if w.hasIndex {
		_ = w.packet(make([]int16, channels*frame))
	}
	if w.video != nil {
		_ = w.video.Close()
	}
	_ = w.sound.Close() // closing the last track also closes the file
	_ = w.encoder.Close()
	return w.file.failed()
}

package recording

import (
	"encoding/binary"
	"os"
	"sync"
	"time"

	"github.com/at-wat/ebml-go/mkvcore"
	"github.com/at-wat/ebml-go/webm"

	"echocast/internal/opusencoder"
	"echocast/internal/outfile"
)

// hasOpus says that this build writes WebM itself.
const hasOpus = opusencoder.Available

const (
	frame    = Rate / 50 // samples of a packet of Opus
	frameMS  = 20
	channels = 2
	opusRate = 48000 // what the delay of Opus counts, in Hz
)

// webmFile is a WebM file with one track of Opus. Packets are written as they come. The
// index, for which there is room in front, is written in the end.
type webmFile struct {
	file    *failing
	track   webm.BlockWriteCloser
	encoder *opusencoder.Encoder
	rest    []int16
	at      int64 // ms
}

// indexSize is the room for the index: a point each second for some 40 minutes, and
// fewer beyond.
const indexSize = 48 << 10

// failing keeps the first error of a file, since the muxer writes in a goroutine.
type failing struct {
	*os.File
	mu  sync.Mutex
	err error
}

func (f *failing) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
	}
}

func (f *failing) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func createWebM(name string) (*webmFile, error) {
	encoder, err := opusencoder.NewStereo(Rate)
	if err != nil {
		return nil, err
	}
	file, err := outfile.Create(name)
	if err != nil {
		_ = encoder.Close() // it was not used
		return nil, err
	}
	w := &webmFile{file: &failing{File: file}, encoder: encoder}
	delay := encoder.Lookahead()
	tracks, err := webm.NewSimpleBlockWriter(w.file, []webm.TrackEntry{{
		Name: "replica left, user right", TrackNumber: 1, TrackUID: 1, TrackType: 2,
		CodecID: "A_OPUS", CodecPrivate: opusHead(delay),
		CodecDelay:      uint64(time.Duration(delay) * time.Second / opusRate),
		SeekPreRoll:     uint64(80 * time.Millisecond),
		DefaultDuration: uint64(frameMS * time.Millisecond),
		Audio:           &webm.Audio{SamplingFrequency: opusRate, Channels: channels},
	}}, mkvcore.WithSeekHead(true), mkvcore.WithCues(indexSize),
		mkvcore.WithSegmentInfo(&webm.Info{TimecodeScale: uint64(time.Millisecond), MuxingApp: "ebml-go",
			WritingApp: "echocast"}),
		mkvcore.WithMinMaxClusterDuration(1, 1000, 1000), mkvcore.WithOnFatalHandler(w.file.fail))
	if err != nil {
		_ = file.Close() // err says what is wrong
		_ = encoder.Close()
		return nil, err
	}
	w.track = tracks[0]
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
	n := 0
	for ; len(w.rest)-n >= channels*frame; n += channels * frame {
		if err := w.packet(w.rest[n : n+channels*frame]); err != nil {
			return err
		}
	}
	w.rest = append(w.rest[:0], w.rest[n:]...)
	return w.file.failed()
}

func (w *webmFile) packet(samples []int16) error {
	packet, err := w.encoder.Encode(samples)
	if err != nil {
		return err
	}
	_, err = w.track.Write(true, w.at, append([]byte(nil), packet...))
	w.at += frameMS
	return err
}

// close fills the last packet with silence, and adds another: the length that the
// header states is the time of the last packet.
func (w *webmFile) close() error {
	if n := len(w.rest); n > 0 {
		_ = w.packet(append(w.rest, make([]int16, channels*frame-n)...)) // the file keeps the error
	}
	_ = w.packet(make([]int16, channels*frame))
	_ = w.track.Close() // it closes the file, too
	_ = w.encoder.Close()
	return w.file.failed()
}

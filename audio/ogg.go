package audio

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
)

// oggMagics lists the first bytes of a logical stream's first packet, with the name of its
// content.
var oggMagics = []struct{ head, name string }{
	{opusMagic, "Opus"},
	{"\x01vorbis", "Vorbis"},
	{"Speex   ", "Speex"},
	{"\x7fFLAC", "FLAC"},
	{"\x80theora", "Theora video"},
	{"fishead\x00", "Skeleton"},
	{"CELT    ", "CELT"},
	{"PCM     ", "PCM"},
	{"\x80kate", "Kate text"},
	{"BBCD", "Dirac video"},
	{"\x01video", "OGM video"},
	{"\x01audio", "OGM audio"},
}

// oggName returns the name of a logical stream's content, according to its first packet.
func oggName(id []byte) string {
	for _, m := range oggMagics {
		if bytes.HasPrefix(id, []byte(m.head)) {
			return m.name
		}
	}
	return "unknown data"
}

// otherOgg returns the name of an Ogg stream that this package does not read, according to its
// first bytes; "" for any other input.
func otherOgg(r *bufio.Reader) string {
	head, _ := r.Peek(oggHeaderLength)
	if len(head) < oggHeaderLength || head[5]&oggBegins == 0 {
		return ""
	}
	start := oggHeaderLength + int(head[oggHeaderLength-1])
	head, _ = r.Peek(start + len(opusMagic))
	switch name := oggName(head[min(start, len(head)):]); name {
	case "Opus", "Vorbis":
		return ""
	default:
		return "an Ogg stream of " + name
	}
}

// oggCodec decodes the packets of one logical stream.
type oggCodec interface {
	// duration returns how long packets play together, on the stream's clock, if decoding
	// starts with them. Afterwards the codec is in its initial state.
	duration(packets []oggPacket) int64
	// decode returns the samples of a packet, valid until the next call.
	decode(packet []byte) ([]float32, error)
}

// oggSound is the information in the headers of a logical stream.
type oggSound struct {
	codec         oggCodec
	name          string
	format        Format
	tick          int64 // the clock's rate divided by the sampling rate
	skip          int64 // how much of the beginning is not sound, on the clock
	mayBeginEarly bool  // the stream may begin before position 0; that part is not sound
}

func newOggSound(pages *oggPages) (oggSound, error) {
	id, err := pages.begin()
	if err != nil {
		return oggSound{}, err
	}
	switch pages.name {
	case "Opus":
		return newOpus(pages, id)
	case "Vorbis":
		return newVorbis(pages, id)
	}
	return oggSound{}, fmt.Errorf("%w: the Ogg stream holds %s; Opus and Vorbis are read", ErrFormat, pages.name)
}

// oggDecoder is a Source over the Opus or Vorbis in an Ogg stream. Successive logical streams of
// one codec and format are one sound, with the same samples as if each was decoded separately.
//
// A frame is heard if its time is within the range that the stream's clock marks as sound: at or
// after the first position (Opus: after the pre-skip), and before the position of the page that
// is marked as the last. So Opus, which is decoded at half the clock's rate, gives n/2 frames,
// rounded up, for n positions of which the first is even.
type oggDecoder struct {
	pages    *oggPages
	sound    oggSound
	position int64 // of the next decoded frame; the first one in the stream is 0
	hasBegun bool  // the first page of sound was read
	origin   int64 // granule position where the decoded frames begin
	begin    int64 // position where the sound begins
	end      int64 // position where the sound ends, as far as known
	ready    []float32
	err      error
}

// openOgg reads the headers of an Ogg stream of Opus or Vorbis.
func openOgg(r *bufio.Reader, end *inputEnd) (decoder, error) {
	d := &oggDecoder{pages: &oggPages{r: r, end: end}}
	if err := d.startStream(); err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("%w: the input ends inside the first page of an Ogg stream", ErrFormat)
		}
		return nil, err
	}
	return newConstantFormat(d), nil
}

// startStream reads the headers of the next logical stream. All Ogg mappings require that sound
// begins on a new page, but some writers put it on the page of the headers.
func (d *oggDecoder) startStream() error {
	sound, err := newOggSound(d.pages)
	if err != nil {
		return err
	}
	d.sound = sound
	d.position, d.hasBegun, d.origin, d.begin, d.end = 0, false, 0, sound.skip, math.MaxInt64
	d.enter(&d.pages.page)
	return nil
}

func (d *oggDecoder) Format() Format { return d.sound.format }

func (d *oggDecoder) Info() Info {
	return Info{Container: "ogg", Codec: d.sound.name, Format: d.sound.format, Declared: -1}
}

func (d *oggDecoder) Warnings() []string { return d.pages.warnings }

func (d *oggDecoder) Close() error { return nil }

// ReadSamples returns the samples of one packet, so that live input is passed on as it arrives.
func (d *oggDecoder) ReadSamples(p []float32) (int, error) {
	channels := d.sound.format.Channels
	if len(p) < channels {
		return 0, io.ErrShortBuffer
	}
	for len(d.ready) == 0 {
		if d.err != nil {
			return 0, d.err
		}
		if err := d.advance(); errors.Is(err, errFormatChange) {
			return 0, err
		} else {
			d.err = err
		}
	}
	n := copy(p[:len(p)/channels*channels], d.ready)
	d.ready = d.ready[n:]
	return n, nil
}

// advance decodes the next packet or reads the next page.
func (d *oggDecoder) advance() error {
	if len(d.pages.page.packets) > 0 {
		return d.decode(d.pages.pop())
	}
	err := d.pages.next()
	if errors.Is(err, io.EOF) {
		return d.followingStream()
	}
	if err != nil {
		return err
	}
	d.enter(&d.pages.page)
	return nil
}

func (d *oggDecoder) followingStream() error {
	before := d.sound.format
	if err := d.startStream(); err != nil {
		return err
	}
	if d.sound.format != before {
		return errFormatChange
	}
	return nil
}

// enter reads the position at which a page ends. The position of the first page says where on
// the clock the stream begins. That need not be 0: a live recording begins late, and Vorbis that
// was cut out of a stream begins early, inside a packet. The position of the last page may be
// inside its packets; the sound ends there.
func (d *oggDecoder) enter(page *oggPage) {
	if len(page.packets) == 0 {
		return
	}
	first := !d.hasBegun
	d.hasBegun = true
	if page.granule < 0 {
		return
	}
	if first {
		d.origin = page.granule - d.sound.codec.duration(page.packets)
		if !d.sound.mayBeginEarly || page.is(oggEnds) {
			d.origin = max(d.origin, 0)
		}
		d.begin += max(0, -d.origin)
	}
	if page.is(oggEnds) {
		d.end = page.granule - d.origin
	}
}

// decode decodes a packet and keeps the part that is sound.
func (d *oggDecoder) decode(packet oggPacket) error {
	if packet.size == 0 {
		return nil // some writers end a stream with an empty packet
	}
	if !packet.whole() {
		return fmt.Errorf("%w: the Ogg stream holds a packet of %d bytes, which is no %s", ErrFormat,
			packet.size, d.sound.name)
	}
	var samples []float32
	err := decodeSafely(d.sound.name, func() (err error) {
		samples, err = d.sound.codec.decode(packet.data)
		return err
	})
	if err != nil {
		return err
	}
	channels := int64(d.sound.format.Channels)
	frames := int64(len(samples)) / channels
	from, to := d.frames(d.begin, frames), d.frames(d.end, frames)
	d.position += frames * d.sound.tick
	if from < to {
		d.ready = samples[from*channels : to*channels]
	}
	return nil
}

// frames returns how many of the next n decoded frames are before position.
func (d *oggDecoder) frames(position, n int64) int64 {
	ahead := position - d.position
	if ahead <= 0 {
		return 0
	}
	whole := ahead / d.sound.tick
	if ahead%d.sound.tick > 0 {
		whole++
	}
	return min(whole, n)
}

package audio

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/mewkiz/flac/frame"
)

// A FLAC stream is "fLaC", metadata blocks, then frames (RFC 9639). A block has a byte with
// its kind, whose highest bit marks the last block, 3 bytes of length, and its contents. The
// first block, STREAMINFO, has 34 bytes, big-endian:
//
//	 0  2 bytes each: smallest and largest number of samples in a frame
//	 4  3 bytes each: smallest and largest length of a frame
//	10  20 bits of sampling rate, 3 of channels less one, 5 of bits a sample
//	    less one, 36 of samples a channel (0: unknown)
//	18  MD5 sum of all samples
const (
	flacMagic      = "fLaC"
	flacStreamInfo = 34
	flacMinBits    = 4
	// flacMaxBits is the largest sample size in bits that a float32 represents exactly.
	flacMaxBits = 24
)

// beginsFLAC reports whether r starts with FLAC. ID3v2 tags may precede it, if they fit the
// buffer.
func beginsFLAC(r *bufio.Reader) bool {
	for start := 0; start < sniffRoom-len(flacMagic); {
		size := id3Length(r, start)
		if size == 0 {
			return string(peekAt(r, start, len(flacMagic))) == flacMagic
		}
		start += size
	}
	return false
}

// flacDecoder is a Source over FLAC, decoded by mewkiz/flac. It reads frame by
// frame, so it keeps pace with a pipe.
type flacDecoder struct {
	input    flacInput
	end      *inputEnd
	info     Info
	bits     int
	frames   int64
	frame    *frame.Frame // the current frame
	next     int          // index of its next sample to return
	warnings warnings
	err      error
}

// openFLAC reads the metadata.
func openFLAC(r *bufio.Reader, end *inputEnd) (decoder, error) {
	if err := skipID3(r); err != nil {
		return nil, flacCut(err, "inside an ID3v2 tag")
	}
	magic := make([]byte, len(flacMagic))
	if _, err := io.ReadFull(r, magic); err != nil {
		return nil, flacCut(err, "before its metadata")
	}
	if string(magic) != flacMagic {
		return nil, fmt.Errorf("%w: no FLAC stream at the start", ErrFormat)
	}
	d := &flacDecoder{input: flacInput{r: r}, end: end}
	last, err := d.readStreamInfo(r)
	if err == nil {
		err = skipFLACBlocks(r, last)
	}
	if err != nil {
		return nil, err
	}
	return newConstantFormat(d), nil
}

// nextStream continues with the next stream, if r is at the beginning of one.
func (d *flacDecoder) nextStream() error {
	r := d.input.r
	if string(peekAt(r, 0, len(flacMagic))) != flacMagic && id3Length(r, 0) == 0 {
		return nil
	}
	d.checkLength(io.EOF)
	if err := skipID3(r); err != nil {
		return flacCut(err, "inside an ID3v2 tag")
	}
	if string(peekAt(r, 0, len(flacMagic))) != flacMagic {
		return nil
	}
	_, _ = r.Discard(len(flacMagic)) // cannot fail: these bytes were peeked
	was := d.info.Format
	last, err := d.readStreamInfo(r)
	if err == nil {
		err = skipFLACBlocks(r, last)
	}
	if d.frames = 0; err == nil && d.info.Format != was {
		err = errFormatChange
	}
	return err
}

func (d *flacDecoder) readStreamInfo(r *bufio.Reader) (last bool, err error) {
	var b [4 + flacStreamInfo]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return false, flacCut(err, "inside its metadata")
	}
	if kind := b[0] & 0x7F; kind != 0 || int(binary.BigEndian.Uint32(b[:])&0xFFFFFF) != flacStreamInfo {
		return false, fmt.Errorf("%w: the FLAC stream does not begin with STREAMINFO", ErrFormat)
	}
	facts := binary.BigEndian.Uint64(b[4+10:])
	format := Format{Rate: int(facts >> 44), Channels: int(facts>>41&7) + 1}
	if err := format.Check(); err != nil {
		return false, err
	}
	d.bits = int(facts>>36&31) + 1
	if d.bits < flacMinBits || d.bits > flacMaxBits {
		return false, fmt.Errorf("%w: FLAC of %d bits; %d to %d are read", ErrFormat, d.bits, flacMinBits, flacMaxBits)
	}
	d.info = Info{Container: "flac", Codec: fmt.Sprintf("FLAC %d-bit", d.bits), Format: format, Declared: -1}
	if total := int64(facts & (1<<36 - 1)); total > 0 {
		d.info.Declared = total
	}
	return b[0]&0x80 != 0, nil
}

// skipFLACBlocks skips the rest of the metadata, such as pictures.
func skipFLACBlocks(r *bufio.Reader, last bool) error {
	for passed := int64(0); !last; {
		var head [4]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return flacCut(err, "inside its metadata")
		}
		last = head[0]&0x80 != 0
		size := int64(binary.BigEndian.Uint32(head[:]) & 0xFFFFFF)
		if passed += int64(len(head)) + size; passed > maxHeaderBytes {
			return fmt.Errorf("%w: more than %d MB of FLAC metadata", ErrFormat, maxHeaderBytes>>20)
		}
		if err := skip(r, size); err != nil {
			return flacCut(err, "inside its metadata")
		}
	}
	return nil
}

func flacCut(err error, where string) error { return cutShort(err, "FLAC stream", where) }

func (d *flacDecoder) Format() Format { return d.info.Format }

func (d *flacDecoder) Info() Info { return d.info }

func (d *flacDecoder) Warnings() []string { return d.warnings }

func (d *flacDecoder) Close() error { return nil }

// ReadSamples returns samples of one FLAC frame, each divided by full scale. No bits are lost.
func (d *flacDecoder) ReadSamples(p []float32) (int, error) {
	channels := d.info.Format.Channels
	if len(p) < channels {
		return 0, io.ErrShortBuffer
	}
	for d.err == nil && (d.frame == nil || d.next == int(d.frame.BlockSize)) {
		d.frame = nil
		err := d.nextStream()
		if errors.Is(err, errFormatChange) {
			return 0, err
		}
		if err == nil {
			err = d.advance()
		}
		d.err = err
	}
	if d.err != nil {
		return 0, d.err
	}
	channels = d.info.Format.Channels
	frames := min(len(p)/channels, int(d.frame.BlockSize)-d.next)
	scale := 1 / float32(int64(1)<<(d.bits-1))
	for channel, sub := range d.frame.Subframes {
		for i, v := range sub.Samples[d.next : d.next+frames] {
			p[i*channels+channel] = float32(v) * scale
		}
	}
	d.next += frames
	d.frames += int64(frames)
	return frames * channels, nil
}

// advance decodes the next frame. If the input ends inside a frame, the sound ends before
// that frame.
func (d *flacDecoder) advance() error {
	if _, err := d.input.r.Peek(1); err != nil {
		d.input.err = err
		if errors.Is(err, io.EOF) {
			d.checkLength(io.EOF)
		}
		return err
	}
	err := decodeSafely("FLAC", d.decode)
	switch {
	case err == nil:
		return nil
	case d.input.err == nil:
		return d.trailer(err)
	case errors.Is(d.input.err, io.EOF):
		d.checkLength(err)
		return io.EOF
	}
	return d.input.err
}

// decode reads the whole next frame and checks it against STREAMINFO.
func (d *flacDecoder) decode() error {
	d.input.begin()
	f, err := frame.New(&d.input)
	if err != nil && !(d.input.rate > 0 && d.input.header == 0) {
		return err
	}
	if f.BitsPerSample == 0 {
		f.BitsPerSample = uint8(d.bits)
	}
	if rate := cmp.Or(d.input.rate, int(f.SampleRate)); rate != 0 && rate != d.info.Format.Rate {
		return fmt.Errorf("the stream goes on at %d Hz after %d Hz", rate, d.info.Format.Rate)
	}
	if f.Channels.Count() != d.info.Format.Channels || int(f.BitsPerSample) != d.bits || f.BlockSize == 0 {
		return errors.New("a frame of another format")
	}
	if err := f.Parse(); err != nil && !(d.input.rate > 0 && d.input.whole == 0) {
		return err
	}
	for _, sub := range f.Subframes {
		if sub == nil || len(sub.Samples) != int(f.BlockSize) {
			return errors.New("a frame with too few samples")
		}
	}
	d.frame, d.next = f, 0
	return nil
}

// trailer accepts data after all declared samples, such as an ID3v1 tag.
func (d *flacDecoder) trailer(damage error) error {
	if d.info.Declared >= 0 && d.frames == d.info.Declared {
		left := d.end.rest()
		left.bytes += int64(d.input.read)
		d.warnings.add("what follows the end of the FLAC stream is left out: %s", left)
		return io.EOF
	}
	return damage
}

// checkLength adds a warning if the input ended inside a frame, or before all declared samples.
func (d *flacDecoder) checkLength(err error) {
	f := d.info.Format
	switch {
	case d.frames < d.info.Declared:
		d.warnings.add("the header claims %.3f s and the samples end after %.3f s; all of them are used",
			f.Duration(d.info.Declared).Seconds(), f.Duration(d.frames).Seconds())
	case !errors.Is(err, io.EOF):
		d.warnings.add("the FLAC stream is cut off inside a frame, which is left out")
	}
}

// flacInput passes frames to mewkiz/flac. If a frame header states 24 or 176.4 kHz by number,
// that library writes a request for test files to the standard logger, which belongs to the
// user. So flacInput removes the rate from such a header. Because that changes the frame's
// two checksums, flacInput checks them itself.
type flacInput struct {
	r      *bufio.Reader
	err    error // why reading r ended
	read   int   // bytes of the frame
	rate   int   // the rate in Hz that was removed from the header, or 0
	header uint8 // header checksum of the bytes read so far
	whole  uint16
}

// begin begins a frame.
func (in *flacInput) begin() { *in = flacInput{r: in.r, err: in.err} }

// Read reads as many bytes as the decoder asks for, a few each time.
func (in *flacInput) Read(p []byte) (int, error) {
	n, err := in.r.Read(p)
	if err != nil {
		in.err = err
	}
	for i, b := range p[:n] {
		if in.read < flacLongestHeader {
			in.header = flacCRC8[in.header^b]
		}
		in.whole = in.whole<<8 ^ flacCRC16[byte(in.whole>>8)^b]
		if in.read == flacRateAt {
			if in.rate = flacRates[b&0xF]; in.rate > 0 {
				p[i] &^= 0xF // as STREAMINFO says
			}
		}
		in.read++
	}
	return n, err
}

const (
	flacRateAt        = 2  // byte of a frame whose lower half is the rate's number
	flacLongestHeader = 16 // bytes
)

// flacRates are the rates that the library logs, by number.
var flacRates = [16]int{2: 176400, 7: 24000}

// Tables of the checksums of header and frame, highest bit first. They are 0
// over all bytes and the checksum itself.
var flacCRC8, flacCRC16 = func() (header [256]uint8, whole [256]uint16) {
	for i := range 256 {
		sum8, sum16 := uint8(i), uint16(i)<<8
		for range 8 {
			sum8, sum16 = sum8<<1^0x07*(sum8>>7), sum16<<1^0x8005*(sum16>>15)
		}
		header[i], whole[i] = sum8, sum16
	}
	return header, whole
}()

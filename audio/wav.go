package audio

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Sample encodings of a WAV "fmt " chunk, from the Microsoft multimedia
// registry (mmreg.h).
const (
	wavInteger    = 0x0001
	wavFloat      = 0x0003
	wavExtensible = 0xFFFE
)

// Bounds of a WAV header. A header is read before any audio, so its chunks are
// capped; what is skipped is never held in memory.
const (
	maxFmtChunk    = 4 << 10
	maxHeaderBytes = 64 << 20
)

// isWAV reports whether head, the first 12 bytes, begins a WAV file.
func isWAV(head []byte) bool {
	return len(head) >= 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WAVE"
}

// wav reads the samples of a WAV file.
//
// Everything is read here, because go-audio/wav takes float, A-law and mu-law
// samples for integers, gives nothing for the data size 0xFFFFFFFF, which every
// pipe from ffmpeg has, and allocates what a chunk claims to hold; and because
// the chunk walk of go-audio/riff takes a size that is cut off for 0.
type wav struct {
	*pcm
	data     *limited
	declared int64 // frames, or -1
}

func openWAV(r *bufio.Reader) (*wav, error) {
	head, err := r.Peek(12)
	if !isWAV(head) {
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: no RIFF/WAVE header at the start", ErrFormat)
	}
	_, _ = r.Discard(12) // it was just peeked
	format, codec, size, err := wavHeader(r)
	if err != nil {
		return nil, err
	}
	data := &limited{r: r, left: size, open: untilTheEnd(size)}
	w := &wav{pcm: newPCM(data, format, codec), data: data, declared: -1}
	if !data.open {
		w.declared = size / int64(w.frameBytes())
	}
	return w, nil
}

// untilTheEnd tells data sizes that mean "to the end": a program that writes to
// a pipe does not know the length. Seen are 0 (libsndfile), 0x7ffff000
// (espeak-ng and sox), 0x7fffffff (ElevenLabs), 2000000000 (Pocket TTS) and
// 0xffffffff (ffmpeg).
func untilTheEnd(size int64) bool {
	return size == 0 || size >= 0x7fff0000 || size == 2_000_000_000
}

// wavHeader walks the chunks up to the samples and returns their size in bytes
// as the header claims it.
func wavHeader(r *bufio.Reader) (format Format, samples codec, size int64, err error) {
	for passed := int64(0); passed < maxHeaderBytes; passed += 8 + size {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return format, samples, 0, wavCut(err, "before its samples")
		}
		size = int64(binary.LittleEndian.Uint32(head[4:]))
		switch id := string(head[:4]); id {
		case "fmt ":
			if format, samples, err = readFmt(r, size); err != nil {
				return format, samples, 0, err
			}
		case "data":
			if samples.bytes == 0 {
				return format, samples, 0, fmt.Errorf("%w: the WAV has samples before it says their format", ErrFormat)
			}
			return format, samples, size, nil
		default:
			if err := skip(r, size+size%2); err != nil {
				return format, samples, 0, wavCut(err, fmt.Sprintf("inside its %q chunk, which claims %d bytes", id, size))
			}
		}
	}
	return format, samples, 0, fmt.Errorf("%w: no samples in the first %d MB of the WAV", ErrFormat, maxHeaderBytes>>20)
}

// wavCut tells a file that ends too early from a read error.
func wavCut(err error, where string) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the WAV ends %s", ErrFormat, where)
	}
	return err
}

func skip(r io.Reader, n int64) error {
	if n > maxHeaderBytes {
		n = maxHeaderBytes + 1
	}
	_, err := io.CopyN(io.Discard, r, n)
	return err
}

// readFmt reads a fmt chunk: 16 bytes, and the real encoding 24 bytes in where
// the tag says EXTENSIBLE.
func readFmt(r io.Reader, size int64) (Format, codec, error) {
	if size < 16 || size > maxFmtChunk {
		return Format{}, codec{}, fmt.Errorf("%w: the WAV's fmt chunk claims %d bytes, 16 to %d are possible", ErrFormat, size, maxFmtChunk)
	}
	b := make([]byte, size+size%2)
	if _, err := io.ReadFull(r, b); err != nil {
		return Format{}, codec{}, wavCut(err, "inside its fmt chunk")
	}
	tag := binary.LittleEndian.Uint16(b)
	rate := binary.LittleEndian.Uint32(b[4:])
	format := Format{Rate: int(min(rate, math.MaxInt32)), Channels: int(binary.LittleEndian.Uint16(b[2:]))}
	align, bits := int(binary.LittleEndian.Uint16(b[12:])), int(binary.LittleEndian.Uint16(b[14:]))
	if tag == wavExtensible {
		if len(b) < 26 {
			return Format{}, codec{}, fmt.Errorf("%w: the WAV's extensible fmt chunk is cut short", ErrFormat)
		}
		tag = binary.LittleEndian.Uint16(b[24:])
	}
	if err := format.Check(); err != nil {
		return Format{}, codec{}, err
	}
	samples, err := wavCodec(tag, bits)
	if err != nil {
		return Format{}, codec{}, err
	}
	if want := samples.bytes * format.Channels; align != want && align != 0 {
		return Format{}, codec{}, fmt.Errorf("%w: the WAV claims frames of %d bytes, but %d channels of %d bits are %d", ErrFormat, align, format.Channels, bits, want)
	}
	return format, samples, nil
}

func wavCodec(tag uint16, bits int) (codec, error) {
	switch {
	case tag == wavInteger && bits == 16:
		return codecS16LE, nil
	case tag == wavFloat && bits == 32:
		return codecF32LE, nil
	}
	return codec{}, fmt.Errorf("%w: the WAV holds %s samples; 16-bit integer and 32-bit float are read", ErrFormat, wavTagName(tag, bits))
}

func wavTagName(tag uint16, bits int) string {
	switch tag {
	case wavInteger:
		return fmt.Sprintf("%d-bit integer", bits)
	case wavFloat:
		return fmt.Sprintf("%d-bit float", bits)
	case 0x0002, 0x0011:
		return "ADPCM"
	case 0x0006:
		return "A-law"
	case 0x0007:
		return "mu-law"
	case 0x0055:
		return "MP3"
	}
	return fmt.Sprintf("%d-bit type 0x%04x", bits, tag)
}

func (w *wav) Info() Info {
	return Info{Container: "wav", Codec: w.codec.name, Format: w.format, Declared: w.declared}
}

// Warnings adds a header that claimed more than there is.
func (w *wav) Warnings() []string {
	warnings := w.pcm.Warnings()
	if w.data.short {
		warnings = append(warnings, fmt.Sprintf("the header claims %.3f s and the samples end after %.3f s; all of them are used",
			w.format.Duration(w.declared).Seconds(), w.format.Duration(w.frames).Seconds()))
	}
	return warnings
}

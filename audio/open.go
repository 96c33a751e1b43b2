package audio

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrEmpty says that the input ended before its first byte.
var ErrEmpty = errors.New("the input is empty")

// Options say what the bytes cannot. Nil is fine: the container is recognised
// by its content.
type Options struct {
	// Encoding overrides the recognition: "wav", "aiff", "au", "mp3", "ogg"
	// (Opus or Vorbis), "flac", "ndjson" (audio inside lines of JSON), or one
	// of RawEncodings for samples without a header. Empty: by content.
	Encoding string
	// Raw is the rate and the channels of headerless samples. Containers
	// say their own and ignore it.
	Raw Format
	// TrustHeader makes a raw Encoding the second choice: bytes that begin
	// with the header of a container are read as that says.
	TrustHeader bool
	// JSON says where the audio stands if Encoding is "ndjson".
	JSON JSONOptions
	// FFmpeg is the program, usually "ffmpeg", to decode with what is not
	// read here and is no text. Empty: such input is refused.
	FFmpeg string

	decoders int // that may work at once
}

// InputError is an input that broke after it had begun: a read error or bytes
// that cannot be decoded. What came before it was delivered.
type InputError struct {
	At  time.Duration // position in the audio where it broke
	Err error
}

// Error says where and why.
func (e *InputError) Error() string {
	return fmt.Sprintf("broke off at %.3f s: %v", e.At.Seconds(), e.Err)
}

// Unwrap returns the cause.
func (e *InputError) Unwrap() error { return e.Err }

// Input is one opened input: a Source that also says what it was found to be.
type Input struct {
	dec    decoder
	format Format
	frames int64
	err    error
}

// decoder is what reads one container. Its errors need no position: Input
// adds it.
type decoder interface {
	Source
	Info() Info
	// Warnings are complete once the end was reached.
	Warnings() []string
	Close() error
}

// sniffRoom is how much of an input may be looked at to recognise it. A live
// stream is recognised from its first bytes; only what is not audio is read
// this far.
const sniffRoom = 64 << 10

// Open recognises the audio in r by its content and reads its header. It never
// seeks and never reads ahead further than it has to, so r may be a pipe that
// is still being written. Only an MP3 in a regular file of more than a second or
// two is read and decoded some seconds ahead, on all processors, until the end
// or Close. The caller closes the Input, and then r.
//
// WAV files that follow one another in r are one Input, as far as their formats
// agree. So a WAV ends when r ends, and a writer that keeps a pipe open after
// its last sample keeps the Input from ending.
//
// Bytes that are not audio give an error that wraps ErrFormat and says what
// they are; an input without a byte gives ErrEmpty.
func Open(r io.Reader, opts *Options) (*Input, error) {
	var options Options
	if opts != nil {
		options = *opts
	}
	options.decoders = decodersFor(r)
	dec, err := open(bufio.NewReaderSize(strictEnd{r}, sniffRoom), options)
	if err != nil {
		return nil, err
	}
	format := dec.Format()
	if err := format.Check(); err != nil {
		_ = dec.Close() // the format error says more
		return nil, err
	}
	return &Input{dec: dec, format: format}, nil
}

// decodersFor is how many decoders may work on r at once: one on each processor
// where r is a regular file, which can be read ahead, else a single one.
func decodersFor(r io.Reader) int {
	file, ok := r.(*os.File)
	if !ok {
		return 1
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		return 1
	}
	return min(runtime.GOMAXPROCS(0), maxMP3Workers)
}

func open(r *bufio.Reader, opts Options) (decoder, error) {
	switch opts.Encoding {
	case "":
		return openByContent(r, opts)
	case "wav":
		return openWAVDecoder(r)
	case "aiff":
		return openAIFF(r)
	case "au":
		return openAU(r)
	case "mp3":
		return openMP3Decoder(r, opts.decoders)
	case "ogg":
		return openOgg(r)
	case "flac":
		return openFLAC(r)
	case "ndjson":
		return openNDJSON(r, opts)
	}
	codec, ok := rawCodecs[opts.Encoding]
	if ok && opts.TrustHeader {
		if beginsWithHeader(r) {
			return openByContent(r, opts)
		}
		if err := refuseText(r); err != nil {
			return nil, err
		}
	}
	if !ok {
		return nil, fmt.Errorf("%w: no encoding is called %q; there are wav, aiff, au, mp3, ogg, flac, ndjson, %s", ErrFormat, opts.Encoding, strings.Join(RawEncodings(), ", "))
	}
	if opts.Raw.Rate == 0 || opts.Raw.Channels == 0 {
		return nil, fmt.Errorf("%w: %s has no header, so its rate and its channels must be given", ErrFormat, opts.Encoding)
	}
	return newPCM(r, opts.Raw, codec), nil
}

func openByContent(r *bufio.Reader, opts Options) (decoder, error) {
	head, err := r.Peek(12)
	if len(head) == 0 {
		if err == nil || errors.Is(err, io.EOF) {
			return nil, ErrEmpty
		}
		return nil, err
	}
	switch {
	case isWAV(head):
		return openWAVDecoder(r)
	case isAIFF(head):
		return openAIFF(r)
	case isAU(head):
		return openAU(r)
	}
	name := knownOther(head)
	isOgg := bytes.HasPrefix(head, []byte(oggMagic))
	if isOgg {
		name = otherOgg(r)
	}
	switch {
	case name != "" && opts.FFmpeg != "":
		return openFFmpeg(r, opts.FFmpeg)
	case name != "":
		return nil, fmt.Errorf("%w: this is %s; WAV, AIFF, AU, MP3, Ogg Opus, Ogg Vorbis, FLAC and raw PCM are read", ErrFormat, name)
	case isOgg:
		return openOgg(r)
	case sniffFLAC(r):
		return openFLAC(r)
	case sniffMP3(r):
		return openMP3Decoder(r, opts.decoders)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return openUnknown(r, opts)
}

// openUnknown leaves to ffmpeg, if allowed, what has no known beginning.
func openUnknown(r *bufio.Reader, opts Options) (decoder, error) {
	err := notAudio(r)
	if opts.FFmpeg != "" && errors.Is(err, errNoContainer) {
		return openFFmpeg(r, opts.FFmpeg)
	}
	return nil, err
}

// openWAVDecoder keeps a nil *wav out of the interface.
func openWAVDecoder(r *bufio.Reader) (decoder, error) {
	dec, err := openWAV(r)
	if err != nil {
		return nil, err
	}
	return dec, nil
}

// openMP3Decoder keeps a nil *mp3Decoder out of the interface.
func openMP3Decoder(r *bufio.Reader, decoders int) (decoder, error) {
	dec, err := openMP3(r, decoders)
	if err != nil {
		return nil, err
	}
	return dec, nil
}

// magics are the first bytes of containers that people try and that are not
// read, so that the refusal can name them.
var magics = []struct{ head, name string }{
	{"\x1a\x45\xdf\xa3", "a WebM or Matroska file"},
	{"\x89PNG", "a PNG picture"},
	{"%PDF", "a PDF document"},
	{"PK\x03\x04", "a ZIP archive"},
	{"\x1f\x8b", "a gzip file"},
	{"caff", "a CAF file"},
}

func knownOther(head []byte) string {
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.head)) {
			return m.name
		}
	}
	if len(head) >= 8 && string(head[4:8]) == "ftyp" {
		return "an MP4 or M4A file"
	}
	if len(head) >= 12 && (string(head[:4]) == "RIFF" || string(head[:4]) == "FORM") {
		return fmt.Sprintf("a %s file of type %q", head[:4], head[8:12])
	}
	return ""
}

func notAudio(r *bufio.Reader) error {
	head, err := r.Peek(min(r.Buffered(), 512))
	if err != nil {
		return err
	}
	if looksLikeText(head) {
		return fmt.Errorf("%w: this is text, not audio; pipe it through a text-to-speech program first", ErrFormat)
	}
	return errNoContainer
}

var errNoContainer = fmt.Errorf("%w: no known audio format; raw samples need their encoding, rate and channels", ErrFormat)

func looksLikeText(p []byte) bool {
	for len(p) > 0 {
		c, size := utf8.DecodeRune(p)
		if c == utf8.RuneError && len(p) >= utf8.UTFMax {
			return false
		}
		if c < ' ' && !strings.ContainsRune("\t\n\r\f\x1b", c) {
			return false
		}
		p = p[size:]
	}
	return true
}

// strictEnd takes nothing for the end but io.EOF itself, as the contract of
// io.Reader has it: an error that merely wraps it, such as that of a connection
// that broke, is a broken input.
type strictEnd struct{ r io.Reader }

func (s strictEnd) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != io.EOF && errors.Is(err, io.EOF) {
		err = brokenEnd{err}
	}
	return n, err
}

// brokenEnd is an error that hides an io.EOF in it.
type brokenEnd struct{ err error }

func (b brokenEnd) Error() string { return b.err.Error() }

// Format is the input's own rate and channels.
func (in *Input) Format() Format { return in.format }

// Info says what the input was found to be.
func (in *Input) Info() Info { return in.dec.Info() }

// Warnings are one-line remarks on what was odd and harmless, such as a header
// that claims more than there is. They are complete once ReadSamples has
// returned an error.
func (in *Input) Warnings() []string { return in.dec.Warnings() }

// LFE is the channel that carries low-frequency effects, the ".1" of 5.1,
// counted from 0, or -1 where the header names none.
func (in *Input) LFE() int {
	if dec, ok := in.dec.(lowFrequency); ok {
		return dec.LFE()
	}
	return -1
}

// Frames is how many frames were read so far.
func (in *Input) Frames() int64 { return in.frames }

// Close frees the decoder. It does not close the reader.
func (in *Input) Close() error { return in.dec.Close() }

// ReadSamples reads as Source says. An input that breaks in mid-stream gives an
// *InputError.
func (in *Input) ReadSamples(p []float32) (int, error) {
	if in.err != nil {
		return 0, in.err
	}
	n, err := in.dec.ReadSamples(p)
	in.frames += int64(n / in.format.Channels)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &InputError{At: in.format.Duration(in.frames), Err: err}
	}
	in.err = err
	return n, err
}

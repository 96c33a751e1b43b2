package audio

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"echocast/internal/text"
)

// ErrEmpty reports an input without a single byte.
var ErrEmpty = errors.New("the input is empty")

// ErrFFmpegBusy reports that no further ffmpeg process may be started now: see
// Options.FFmpegSlots.
var ErrFFmpegBusy = errors.New("too many inputs are decoded by ffmpeg already")

// Options say how to read an input, where its bytes do not say so. With nil Options, the
// container is recognised by its content.
type Options struct {
	// Encoding overrides the recognition: "wav", "aiff", "au", "mp3", "ogg"
	// (Opus or Vorbis), "flac", "ndjson" (audio inside lines of JSON), or one
	// of RawEncodings for samples without a header. Empty: by content.
	Encoding string
	// Raw is the rate and the channels of samples without a header. It is ignored for
	// containers, which state their own.
	Raw Format
	// TrustHeader gives the header precedence over a raw Encoding: if the bytes begin with
	// the header of a container, they are read by that header.
	TrustHeader bool
	// JSON says where the audio is if Encoding is "ndjson".
	JSON JSONOptions
	// FFmpeg is the program, usually "ffmpeg", that decodes input which this package
	// does not read. Empty: such input is refused.
	FFmpeg string
	// FFmpegSlots, if set, limits how many ffmpeg processes run at the same time to its
	// capacity: each process puts a value into it. If it is full, Open returns ErrFFmpegBusy.
	FFmpegSlots chan struct{}
	// FFmpegStall is how long a process may produce no samples once it has all of its
	// input. Then it is killed. 0: 30 s.
	FFmpegStall time.Duration
	// MaxSpool is the largest input from a pipe, in bytes, that is copied to a temporary file
	// for ffmpeg. Inputs with their index at the end have to be copied. 0: 1 GiB.
	MaxSpool int64
	// Notify, if set, is called with one line that says why Open takes long.
	Notify func(text string)
	// BeforeRead, if set, is called before each read that may block, which is each read of
	// anything but a regular file. It is called in the goroutine of ReadSamples.
	BeforeRead func()

	source       *recorder
	file         *os.File // the input, if it is a regular file of which nothing was read
	decoders     int      // how many decoders may work in parallel
	isInsideJSON bool     // the bytes come from JSON
}

// InputError reports an input that broke after it had begun: a read error, or bytes
// that cannot be decoded. The samples before it were delivered.
type InputError struct {
	At  time.Duration // position in the audio where it broke
	Err error
}

// Error says where the input broke, and why.
func (e *InputError) Error() string {
	return fmt.Sprintf("broke off at %.3f s: %v", e.At.Seconds(), e.Err)
}

// Unwrap returns the cause.
func (e *InputError) Unwrap() error { return e.Err }

// Input is an opened input: a Source that also describes itself.
type Input struct {
	dec    decoder
	bytes  *recorder // of the input
	format Format
	frames int64
	err    error
}

// decoder decodes one container. Its errors need no position, because Input adds it.
type decoder interface {
	Source
	Info() Info
	// Warnings returns remarks; they are complete at the end of the input.
	Warnings() []string
	Close() error
}

// sniffRoom is how much of an input may be read to recognise it. A live stream is
// recognised from its first bytes; only input that is not audio is read this far.
const sniffRoom = 64 << 10

// Open recognises the audio in r by its content and reads its header. It never seeks,
// and reads ahead no further than needed, so r may be a pipe that is still being
// written. Only an MP3 in a regular file of more than a second or two is read and
// decoded some seconds ahead, on all processors, until the end or Close. The caller
// closes the Input, and then r.
//
// Successive WAV files in r are one Input, as long as their formats agree. So a WAV ends only
// when r ends: if a writer keeps a pipe open after its last sample, the Input does not end.
//
// Bytes that are not audio give an error that wraps ErrFormat and says what
// they are; an input without a byte gives ErrEmpty.
func Open(r io.Reader, opts *Options) (*Input, error) {
	var options Options
	if opts != nil {
		options = *opts
	}
	options.decoders = decodersFor(r)
	options.file = wholeFile(r)
	bytes := &recorder{r: r}
	if !isRegular(r) {
		bytes.before = options.BeforeRead
	}
	dec, err := openRecorded(bytes, options)
	if err != nil {
		return nil, err
	}
	format := dec.Format()
	if err := format.Check(); err != nil {
		_ = dec.Close() // the format error is more useful
		return nil, err
	}
	return &Input{dec: dec, bytes: bytes, format: format}, nil
}

// decodersFor returns how many decoders may work on r at the same time: one for each
// processor if r is a regular file, which can be read ahead, else one.
func decodersFor(r io.Reader) int {
	if isRegular(r) {
		return min(runtime.GOMAXPROCS(0), maxMP3Workers)
	}
	return 1
}

func isRegular(r io.Reader) bool {
	file, ok := r.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode().IsRegular()
}

// wholeFile returns r if it is a regular file of which nothing was read, else nil.
func wholeFile(r io.Reader) *os.File {
	if !isRegular(r) {
		return nil
	}
	file := r.(*os.File)
	if at, err := file.Seek(0, io.SeekCurrent); err != nil || at != 0 {
		return nil
	}
	return file
}

// foreignError reports an input that this package does not read, and ffmpeg may.
type foreignError struct {
	what    string // what the input is; empty: not known
	demuxer string // of ffmpeg; empty: ffmpeg chooses it
	// reason replaces "this is ..." in the error if the container is known but its samples
	// are not.
	reason string
	text   string // text of the error, if nothing better is known
}

func (e *foreignError) Unwrap() error { return ErrFormat }

func (e *foreignError) Error() string {
	const advice = "install ffmpeg, with which it is read, or convert it: ffmpeg -i INPUT -ar 24000 -ac 1 speech.wav"
	switch {
	case e.text != "":
		return e.text
	case e.reason != "":
		return fmt.Sprintf("%v: %s; %s", ErrFormat, e.reason, advice)
	}
	return fmt.Sprintf("%v: this is %s; %s", ErrFormat, e.what, advice)
}

// openRecorded opens the input. If this package does not read it and ffmpeg is allowed, it
// passes the input to ffmpeg from the first byte on.
func openRecorded(r *recorder, opts Options) (decoder, error) {
	r.isRecording, opts.source = true, r
	dec, err := open(bufio.NewReaderSize(r, sniffRoom), opts)
	r.isRecording = false
	var foreign *foreignError
	if opts.FFmpeg != "" && errors.As(err, &foreign) && (opts.file != nil || !r.isLost) {
		dec, err = openFFmpeg(r, opts, foreign)
	}
	r.kept = nil
	return dec, err
}

func open(r *bufio.Reader, opts Options) (decoder, error) {
	switch opts.Encoding {
	case "":
		return openByContent(r, opts)
	case "wav":
		return openWAVDecoder(r, opts)
	case "aiff":
		return openAIFF(r, opts.end(r))
	case "au":
		return openAU(r, opts.end(r))
	case "mp3":
		return openMP3Decoder(r, opts)
	case "ogg":
		return openOgg(r, opts.end(r))
	case "flac":
		return openFLAC(r, opts.end(r))
	case "ndjson":
		return openJSON(r, opts)
	}
	if _, ok := rawCodecs[opts.Encoding]; ok {
		return openRaw(r, opts)
	}
	return nil, fmt.Errorf("%w: no encoding is called %q; use wav, aiff, au, mp3, ogg, flac, ndjson, %s",
		ErrFormat, opts.Encoding, strings.Join(RawEncodings(), ", "))
}

// openRaw opens samples without a header. If the bytes are clearly something else, it opens them
// as that, or returns an error.
func openRaw(r *bufio.Reader, opts Options) (decoder, error) {
	least := 1 // do not wait for an endless input of few bytes at a time
	if opts.TrustHeader {
		least = formLength
	}
	if head, err := r.Peek(1); len(head) == 0 {
		switch err := readErrorOr(err, nil); {
		case err != nil:
			return nil, err
		case opts.isInsideJSON:
			return nil, ErrEmpty
		}
	}
	found := identify(r, least)
	if opts.TrustHeader && found != nil {
		return openByContent(r, opts)
	}
	if opts.TrustHeader && !opts.isInsideJSON && beginsLikeJSON(r) {
		return openJSONByShape(r, opts)
	}
	if opts.Raw.Rate == 0 || opts.Raw.Channels == 0 {
		return nil, fmt.Errorf("%w: %s has no header, so its rate and its channels must be given", ErrFormat, opts.Encoding)
	}
	dec := newPCM(r, opts.Raw, rawCodecs[opts.Encoding])
	if found == nil {
		return dec, cmp.Or(refuseText(r), refuseLateWAV(r))
	}
	switch found.reads {
	case "wav", "aiff", "au", "mp3":
		dec.warnings.add("this begins like %s and is read as %s, as it was declared to be", found.name, opts.Encoding)
		return dec, nil
	}
	return nil, fmt.Errorf("%w: this is %s, not %s samples", ErrFormat, found.name, opts.Encoding)
}

func openByContent(r *bufio.Reader, opts Options) (decoder, error) {
	head, err := r.Peek(formLength)
	if len(head) == 0 {
		return nil, readErrorOr(err, ErrEmpty)
	}
	if err := readErrorOr(err, nil); err != nil {
		return nil, err
	}
	found := identify(r, formLength)
	switch {
	case found == nil:
	case found.reads == "ogg":
		if name := otherOgg(r); name != "" {
			return nil, &foreignError{what: name}
		}
		return openOgg(r, opts.end(r))
	case found.isData:
		return nil, fmt.Errorf("%w: this is %s, which is not read", ErrFormat, found.name)
	case found.reads == "":
		return nil, &foreignError{what: found.name, demuxer: found.demuxer}
	case found.reads != "mp3":
		opts.Encoding = found.reads
		return open(r, opts)
	}
	switch {
	case beginsFLAC(r):
		return openFLAC(r, opts.end(r))
	case beginsMP3(r):
		return openMP3Decoder(r, opts)
	case found != nil && hasTwoADTSFrames(r, id3Length(r, 0)):
		return nil, &foreignError{what: "an AAC file (ADTS)", demuxer: "aac"}
	}
	return openUnknown(r, opts)
}

// openUnknown opens JSON, and returns an error if the beginning of the input is not known.
func openUnknown(r *bufio.Reader, opts Options) (decoder, error) {
	if err := refuseLateWAV(r); err != nil {
		return nil, err
	}
	if !opts.isInsideJSON && beginsLikeJSON(r) {
		return openJSONByShape(r, opts)
	}
	if text := textAtStart(r); len(text) > 0 {
		return nil, fmt.Errorf("%w: this is text, not audio; pipe it through a text-to-speech program first: %s",
			ErrFormat, quote(text))
	}
	return nil, errNoContainer
}

// ErrUnknownFormat reports an input that begins like no known format, such as raw samples. It
// wraps ErrFormat.
var ErrUnknownFormat error = errNoContainer

var errNoContainer = &foreignError{text: ErrFormat.Error() + ": no known audio format; raw samples need " +
	"their encoding, rate and channels"}

// openWAVDecoder opens a WAV as a decoder of constant format. If it fails, the decoder is nil,
// not a nil *wav in an interface.
func openWAVDecoder(r *bufio.Reader, opts Options) (decoder, error) {
	dec, err := openWAV(r, opts.end(r))
	if err != nil {
		return nil, err
	}
	return newConstantFormat(dec), nil
}

// openMP3Decoder opens an MP3. If it fails, the decoder is nil, not a nil *mp3Decoder in an
// interface.
func openMP3Decoder(r *bufio.Reader, opts Options) (decoder, error) {
	if opts.file != nil {
		if err := refuseFile(opts.file); err != nil {
			return nil, err
		}
	}
	dec, err := openMP3(r, opts.decoders)
	if err != nil {
		return nil, err
	}
	return dec, nil
}

// recorder reads an input and counts its bytes. Only io.EOF itself is the end, as the
// contract of io.Reader says: an error that merely wraps it, such as that of a broken
// connection, is a broken input.
//
// While it records, it keeps the bytes that it reads, so that another decoder can start from
// the first byte.
type recorder struct {
	r           io.Reader
	before      func()       // called before each read, or nil
	read        atomic.Int64 // bytes
	isRecording bool
	kept        []byte
	isLost      bool      // more than maxKept was read, so not all is kept
	until       time.Time // if set, a read that would wait longer ends the input
	hasGivenUp  bool      // a read would have waited longer
	err         error     // of the last read. A decoder may miss it when it looks ahead.
}

// maxKept is how many bytes of an input may be read before its decoder is chosen.
const maxKept = 1 << 20

func (s *recorder) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if !s.until.IsZero() && !isReady(s.r, s.until) {
		s.hasGivenUp = true
		return 0, io.EOF
	}
	if s.before != nil {
		s.before()
	}
	n, err := s.r.Read(p)
	s.read.Add(int64(n))
	if s.isRecording && !s.isLost {
		s.kept = append(s.kept, p[:n]...)
		s.isLost = len(s.kept) > maxKept
	}
	if err != io.EOF && errors.Is(err, io.EOF) {
		err = unexpectedEnd{err}
	}
	s.err = err
	return n, err
}

// unexpectedEnd is an error that hides an io.EOF in it.
type unexpectedEnd struct{ err error }

func (b unexpectedEnd) Error() string { return b.err.Error() }

// Format returns the input's own rate and channels.
func (in *Input) Format() Format { return in.format }

// Info describes the recognised input.
func (in *Input) Info() Info { return in.dec.Info() }

// Warnings returns one-line remarks on harmless oddities, such as a header that states more
// samples than there are. They are complete once ReadSamples has returned an error.
func (in *Input) Warnings() []string {
	all := in.dec.Warnings()
	if read, length := in.bytes.read.Load(), in.format.Duration(in.frames); isExtreme(read, length) {
		all = append(slices.Clone(all), fmt.Sprintf("%s hold %v of sound, far more than speech takes: is it the right file?",
			text.Count(int(read), "byte"), length.Round(time.Second)))
	}
	return all
}

// isExtreme reports whether so few bytes hold so much sound that the input is probably an
// attack, or only silence. Speech takes at least some 500 bytes a second.
func isExtreme(bytes int64, length time.Duration) bool {
	const shortest, bytesASecond = time.Minute, 20
	return length > shortest && float64(bytes) < bytesASecond*length.Seconds()
}

// mayExceed reports whether samples may be beyond full scale. Integer samples cannot.
func (in *Input) mayExceed() bool {
	codec := in.Info().Codec
	isInteger := strings.HasPrefix(codec, "pcm_") || strings.HasPrefix(codec, "adpcm") || strings.HasPrefix(codec, "FLAC")
	return !isInteger || strings.HasPrefix(codec, "pcm_f")
}

// LFE returns the channel of low-frequency effects, the ".1" of 5.1, counted from 0; -1
// if the header names none.
func (in *Input) LFE() int {
	if dec, ok := in.dec.(lowFrequency); ok {
		return dec.LFE()
	}
	return -1
}

// Words returns the words of the input so far, if its service sends JSON that says when
// each is said. It may be called from any goroutine.
func (in *Input) Words() []Word {
	if dec, ok := in.dec.(*jsonDecoder); ok {
		return dec.words()
	}
	return nil
}

// Frames returns how many frames were read so far.
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

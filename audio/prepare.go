package audio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	sixteen "echocast/internal/pcm"
)

// DefaultRate is the sampling rate in Hz that Prepare converts to: the one that Tavus
// recommends for echo mode.
const DefaultRate = 24000

// ChannelChoice selects the channels of an input that are heard.
type ChannelChoice string

// The channels that PrepareOptions.Channel can choose.
const (
	MixChannels  ChannelChoice = "mix" // the average of all; the default
	LeftChannel  ChannelChoice = "left"
	RightChannel ChannelChoice = "right"
)

// LoudnessPeak is the highest peak in dBFS to which Prepare amplifies an input to reach
// PrepareOptions.Loudness.
const LoudnessPeak = -1

// PrepareOptions say how Prepare reads and changes an input. The zero value changes
// only the rate and the number of channels.
//
// Prepare makes the changes in this order: it selects one channel or mixes all, resamples the
// result, trims silence, changes the level and adds silence. So times and peaks are those of
// the prepared audio, and padding is true silence.
type PrepareOptions struct {
	// Input says how to read the bytes; nil: by their content.
	Input *Options
	// ExpectRate is the rate in Hz that the header must state; 0: any. Another rate is
	// a *RateError, unless TrustExpected overrides the header.
	ExpectRate    int
	ExpectedBy    string // what expects that rate, for messages, such as "--rate"
	TrustExpected bool

	Channel ChannelChoice // empty: MixChannels
	Rate    int           // Hz; 0: DefaultRate
	Method  Method        // of resampling; empty: DefaultMethod

	TrimSilence bool    // remove the silence at both ends, except for DefaultGuard
	Gain        float64 // dB; samples beyond full scale are clipped
	// Loudness is the target for the integrated loudness in LUFS, as near as
	// LoudnessPeak allows; 0: unchanged. The reader must be an io.Seeker, since it is
	// read twice, and Gain must be 0.
	Loudness  float64
	PadBefore time.Duration // silence to add in front
	PadAfter  time.Duration // silence to add at the end

	// MaxDuration is the longest input accepted, in decoded playing time; 0: any. If the
	// header states more, Prepare returns a *LengthError. If the input is longer than its
	// header states, reading it breaks there, with a *LengthError in an *InputError.
	MaxDuration time.Duration

	// OnDecoded and OnPrepared, if set, are called with the decoded and with the prepared
	// samples. They must not keep the slice.
	OnDecoded, OnPrepared func(samples []float32)
}

// OptionError reports an option that Prepare does not accept. Option is the name of the field
// of PrepareOptions, and Value is its value.
type OptionError struct {
	Option string
	Value  any
	Reason string // what the value must be
}

// Error names the option and says what it must be.
func (e *OptionError) Error() string { return fmt.Sprintf("%s %v: %s", e.Option, e.Value, e.Reason) }

// LengthError reports an input that is longer than PrepareOptions.MaxDuration.
type LengthError struct{ Max time.Duration }

// Error names the longest duration accepted.
func (e *LengthError) Error() string { return fmt.Sprintf("the input is longer than %v", e.Max) }

// maxPad is the longest silence that Prepare adds.
const maxPad = time.Minute

// Check returns an *OptionError for the first option that cannot be used. Prepare calls it too;
// a caller may call it before it opens its input.
func (o *PrepareOptions) Check() error {
	refuse := func(option string, value any, reason string) error { return &OptionError{option, value, reason} }
	if o == nil {
		return nil
	}
	switch o.Channel {
	case "", MixChannels, LeftChannel, RightChannel:
	default:
		return refuse("Channel", o.Channel, "use left, right or mix")
	}
	switch {
	case !(math.Abs(o.Gain) <= 60):
		return refuse("Gain", o.Gain, "must be between -60 and 60 dB")
	case o.Loudness != 0 && !(o.Loudness >= -60 && o.Loudness <= -5):
		return refuse("Loudness", o.Loudness, "must be between -60 and -5 LUFS; speech is often set to -16")
	case o.Loudness != 0 && o.Gain != 0:
		return refuse("Loudness", o.Loudness, "gain and loudness both set the level: give one of them")
	case o.PadBefore < 0 || o.PadBefore > maxPad:
		return refuse("PadBefore", o.PadBefore, fmt.Sprintf("must be between 0s and %v", maxPad))
	case o.PadAfter < 0 || o.PadAfter > maxPad:
		return refuse("PadAfter", o.PadAfter, fmt.Sprintf("must be between 0s and %v", maxPad))
	case o.MaxDuration < 0:
		return refuse("MaxDuration", o.MaxDuration, "must not be negative; 0 allows any length")
	}
	if o.Method != "" {
		if err := o.Method.Check(); err != nil {
			return refuse("Method", o.Method, err.Error())
		}
	}
	return nil
}

// RateError reports an input whose header states a different rate than expected.
type RateError struct {
	Container        string
	Header, Expected int // Hz
	By               string
}

// Error states both rates.
func (e *RateError) Error() string {
	return fmt.Sprintf("its %s header says %d Hz, %s says %d Hz", strings.ToUpper(e.Container), e.Header, e.By, e.Expected)
}

// Prepared is an input ready to be spoken: a mono Source at the rate asked for.
type Prepared struct {
	Source
	input     *Input
	format    Format // of the input, at the rate that is used
	frames    atomic.Int64
	resampled Resampled
	trimmed   *Trimmed
	padBefore time.Duration
	clipped   int64
	faults    *levelFaults
	notes     []string
}

// Prepare opens the audio in r, mixes it to mono, resamples it and sets its level,
// as the options say; nil options are the zero value. Errors are those of Open and
// of Channel, a *RateError, or an *OptionError. ctx bounds the measuring that
// Loudness needs. The caller closes the result, and then r.
func Prepare(ctx context.Context, r io.Reader, o *PrepareOptions) (*Prepared, error) {
	if o == nil {
		o = &PrepareOptions{}
	}
	if err := o.Check(); err != nil {
		return nil, err
	}
	if o.Loudness == 0 {
		return prepare(r, o)
	}
	return prepareLoudness(ctx, r, o)
}

func prepare(r io.Reader, o *PrepareOptions) (*Prepared, error) {
	input, err := Open(r, o.Input)
	if err != nil {
		return nil, err
	}
	p := &Prepared{input: input, format: input.Format()}
	if err := p.build(o); err != nil {
		_ = p.Close() // nothing was read, so nothing is lost
		return nil, err
	}
	return p, nil
}

// build makes the chain decoder → mono → resampler → levels.
func (p *Prepared) build(o *PrepareOptions) error {
	if err := p.expectRate(o); err != nil {
		return err
	}
	p.faults = newLevelFaults(p.format, o.Channel, o.Gain)
	decoded := observed(p.input, o.OnDecoded)
	if p.faults.isMixed || p.input.mayExceed() {
		decoded = observed(decoded, p.faults.add)
	}
	mono, err := pickChannel(decoded, o.Channel)
	if err != nil {
		return err
	}
	if p.format.Rate != mono.Format().Rate {
		mono = AtRate(mono, p.format.Rate)
	}
	method, rate := o.Method, o.Rate
	if method == "" {
		method = DefaultMethod()
	}
	if rate == 0 {
		rate = DefaultRate
	}
	if mono, err = p.bounded(mono, o.MaxDuration); err != nil {
		return err
	}
	mono = observed(mono, func(samples []float32) { p.frames.Add(int64(len(samples))) })
	if p.resampled, err = ResampleBy(method, mono, rate); err != nil {
		return err
	}
	p.Source = p.resampled
	if o.TrimSilence {
		p.trimmed = TrimSilence(p.Source, DefaultSilence, DefaultGuard)
		p.Source = p.trimmed
	}
	if p.Source = Gain(p.Source, o.Gain); o.Gain > 0 {
		p.Source = observed(p.Source, p.countClipped)
	}
	if p.padBefore = o.PadBefore; o.PadBefore > 0 || o.PadAfter > 0 {
		p.Source = Pad(p.Source, o.PadBefore, o.PadAfter)
	}
	p.Source = observed(p.Source, o.OnPrepared)
	return nil
}

// bounded limits src to longest, if that is set, and returns a *LengthError if the header states
// more.
func (p *Prepared) bounded(src Source, longest time.Duration) (Source, error) {
	if longest == 0 {
		return src, nil
	}
	if p.format.Duration(p.input.Info().Declared) > longest {
		return nil, &LengthError{longest}
	}
	left := int64(longest.Seconds() * float64(p.format.Rate))
	return &bounded{Source: src, left: left, longest: longest}, nil
}

// bounded breaks with a *LengthError if src has more than left samples.
type bounded struct {
	Source  // mono
	left    int64
	isOver  bool // src continued
	longest time.Duration
}

// ReadSamples implements Source. It cuts a read that passes the limit.
func (b *bounded) ReadSamples(p []float32) (int, error) {
	for !b.isOver {
		n, err := b.Source.ReadSamples(p)
		b.isOver = int64(n) > b.left
		n = int(min(int64(n), b.left))
		if b.left -= int64(n); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, &InputError{At: b.longest, Err: &LengthError{b.longest}}
}

// expectRate compares the rate in the header with the one expected.
func (p *Prepared) expectRate(o *PrepareOptions) error {
	info := p.input.Info()
	switch {
	case o.ExpectRate == 0 || info.Format.Rate == o.ExpectRate:
		return nil
	case !o.TrustExpected:
		return &RateError{info.Container, info.Format.Rate, o.ExpectRate, o.ExpectedBy}
	}
	p.notes = append(p.notes, fmt.Sprintf("read as %d Hz because of %s, although its header says %d Hz", o.ExpectRate,
		o.ExpectedBy, info.Format.Rate))
	p.format.Rate = o.ExpectRate
	return nil
}

func pickChannel(src Source, choice ChannelChoice) (Source, error) {
	channel := 0
	switch format := src.Format(); {
	case choice == "" || choice == MixChannels:
		return Mono(src), nil
	case choice == RightChannel && format.Channels < 2:
		return nil, fmt.Errorf("it has no right channel: it is %v", format)
	case choice == RightChannel:
		channel = 1
	}
	return Channel(src, channel)
}

// observed passes the samples of src to watch, if it is not nil.
func observed(src Source, watch func([]float32)) Source {
	if watch == nil {
		return src
	}
	return &observedSource{src, watch}
}

type observedSource struct {
	Source
	watch func([]float32)
}

// LFE returns the LFE channel of the Source, for Mono.
func (t *observedSource) LFE() int {
	if src, ok := t.Source.(lowFrequency); ok {
		return src.LFE()
	}
	return -1
}

func (t *observedSource) ReadSamples(p []float32) (int, error) {
	n, err := t.Source.ReadSamples(p)
	t.watch(p[:n])
	return n, err
}

// countClipped counts the samples that do not fit into 16 bits.
func (p *Prepared) countClipped(samples []float32) {
	p.clipped += int64(sixteen.Clipped(samples))
}

// prepareLoudness reads the input once to measure it, and opens it again with the gain that
// gives it the requested loudness.
func prepareLoudness(ctx context.Context, r io.Reader, o *PrepareOptions) (*Prepared, error) {
	file, ok := r.(io.Seeker)
	if !ok {
		return nil, &OptionError{"Loudness", o.Loudness, "it needs to read the input twice, which only a file allows"}
	}
	start, err := file.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	plain := *o
	plain.Loudness, plain.PadBefore, plain.PadAfter = 0, 0, 0
	plain.OnDecoded, plain.OnPrepared = nil, nil
	measured, err := prepare(r, &plain)
	if err != nil {
		return nil, err
	}
	loudness, peak, err := measure(ctx, measured)
	_ = measured.Close() // the whole input was read, so nothing is lost
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(start, io.SeekStart); err != nil {
		return nil, err
	}
	level := *o
	gain, note := gainTowards(o.Loudness, loudness, peak)
	level.Gain = gain
	p, err := prepare(r, &level)
	if err == nil {
		p.notes = append(p.notes, note)
	}
	return p, err
}

// measure reads src to its end and returns its loudness in LUFS and its highest
// sample in dBFS.
func measure(ctx context.Context, src Source) (loudness, peak float64, err error) {
	loud := NewLoudness(src.Format().Rate)
	levels := NewLevels(src.Format(), DefaultSilence)
	buf := make([]float32, 4096)
	for {
		n, err := src.ReadSamples(buf)
		loud.Add(buf[:n])
		levels.Add(buf[:n])
		if errors.Is(err, io.EOF) {
			return loud.Integrated(), Decibels(levels.Channels()[0].Peak), nil
		}
		if err = errors.Join(err, context.Cause(ctx)); err != nil {
			return 0, 0, err
		}
	}
}

// gainTowards returns the gain in dB that brings a loudness to the target, or as near
// as the peak allows, and a note about it.
func gainTowards(target, loudness, peak float64) (gain float64, note string) {
	if math.IsInf(loudness, -1) {
		return 0, "too short or too soft to measure its loudness; its level is unchanged"
	}
	gain = target - loudness
	note = fmt.Sprintf("its loudness is %.1f LUFS; %+.1f dB bring it to %.1f LUFS", loudness, gain, target)
	if limit := LoudnessPeak - peak; gain > limit {
		gain = limit
		note = fmt.Sprintf("its loudness is %.1f LUFS; only %+.1f dB, to %.1f LUFS instead of %.1f, because "+
			"its peak is at %d dBFS then",
			loudness, gain, loudness+gain, target, LoudnessPeak)
	}
	return gain, note
}

// Info describes the recognised input. Its format is the one in the header.
func (p *Prepared) Info() Info { return p.input.Info() }

// Decoded returns the format of the input before it was prepared, at the rate that is
// used.
func (p *Prepared) Decoded() Format { return p.format }

// FramesRead returns how many frames of the input were read so far. It may be called
// from any goroutine.
func (p *Prepared) FramesRead() int64 { return p.frames.Load() }

// Words returns the words of the input so far, if its service sends JSON that says when
// each is said. Times count from the first sample that is heard. It may be called from
// any goroutine.
func (p *Prepared) Words() []Word {
	shift := p.padBefore
	if t := p.trimmed; t != nil {
		shift -= t.Format().Duration(t.Leading())
	}
	words := p.input.Words()
	for i := range words {
		words[i].Start, words[i].End = words[i].Start+shift, words[i].End+shift
	}
	return words
}

// Warnings returns one-line remarks on oddities of the input and on changes made to it.
// They are complete once ReadSamples has returned an error.
func (p *Prepared) Warnings() []string {
	all := slices.Concat(p.input.Warnings(), p.notes, p.faults.warnings(p.clipped == 0))
	if t := p.trimmed; t != nil && t.Leading()+t.Trailing() > 0 {
		format := t.Format()
		all = append(all, fmt.Sprintf("removed %.3f s of silence at the start and %.3f s at the end",
			format.Duration(t.Leading()).Seconds(), format.Duration(t.Trailing()).Seconds()))
	}
	if p.clipped > 0 {
		all = append(all, fmt.Sprintf("%d samples are clipped; less gain, or a loudness instead, avoids that", p.clipped))
	}
	return all
}

// Close frees the decoder and the resampler. It does not close the reader: if a read of
// it may be blocked, close the reader first.
func (p *Prepared) Close() error {
	if p.resampled != nil {
		_ = p.resampled.Close() // only frees memory
	}
	return p.input.Close()
}

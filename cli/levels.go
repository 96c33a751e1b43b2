package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/audio"
	"echocast/echo"
)

// levels are the options that change what is heard. They work in this order: a
// channel is picked or all are mixed, that is resampled to the rate of the wire,
// and there silence is trimmed, the gain applied and silence added. So times and
// peaks are exact in what is sent, and padding is true silence.
type levels struct {
	channel   string
	trim      bool
	gain      float64 // dB
	loudness  float64 // LUFS; 0: as it is
	padBefore time.Duration
	padAfter  time.Duration
}

// What --channel can be.
const (
	channelMix   = "mix"
	channelLeft  = "left"
	channelRight = "right"
)

// loudestPeak is how far --loudness may raise the highest sample, in dBFS.
const loudestPeak = -1

func (s *settings) levelFlags() []cli.Flag {
	l := &s.levels
	return []cli.Flag{
		&cli.StringFlag{Name: "channel", Value: channelMix, Destination: &l.channel, Usage: "speak this `CHANNEL`: left, right, or the mix of all"},
		&cli.BoolFlag{Name: "trim-silence", Destination: &l.trim, Usage: "leave out the silence at both ends, but for 50 ms; live input is held back in pauses"},
		&cli.Float64Flag{Name: "gain", Destination: &l.gain, DefaultText: "0", Usage: "louder by `DB`, or softer where it is negative; may clip"},
		&cli.Float64Flag{Name: "loudness", Destination: &l.loudness, DefaultText: "as it is", Usage: "bring files to this loudness in `LUFS` (EBU R128), such as -16; never clips"},
		&cli.DurationFlag{Name: "pad", Destination: &l.padAfter, Usage: "add this `TIME` of silence at the end"},
		&cli.DurationFlag{Name: "pad-before", Destination: &l.padBefore, Usage: "add this `TIME` of silence in front"},
	}
}

func (l *levels) check() error {
	const most = time.Minute
	switch {
	case l.channel != channelMix && l.channel != channelLeft && l.channel != channelRight && l.channel != "":
		return usagef("--channel %s: there are left, right and mix", l.channel)
	case !(math.Abs(l.gain) <= 60):
		return usagef("--gain %g: a gain is between -60 and 60 dB", l.gain)
	case l.loudness != 0 && !(l.loudness >= -60 && l.loudness <= -5):
		return usagef("--loudness %g: a loudness is between -60 and -5 LUFS; speech is often brought to -16", l.loudness)
	case l.loudness != 0 && l.gain != 0:
		return usagef("--gain and --loudness both set the level: give one of them")
	case l.padBefore < 0 || l.padAfter < 0 || l.padBefore > most || l.padAfter > most:
		return usagef("--pad and --pad-before take between 0s and %v", most)
	}
	return nil
}

// checkInput refuses what cannot be read twice where that is needed.
func (l *levels) checkInput(name string) error {
	if l.loudness == 0 {
		return nil
	}
	if name != stdinName {
		if info, err := os.Stat(name); err != nil || info.Mode().IsRegular() {
			return nil // what is missing is refused elsewhere
		}
	}
	return usagef("--loudness reads its input twice, which only a file allows; give --gain for %s, or save it to a file first", (&input{name: name}).title())
}

// mono picks or mixes.
func (l *levels) mono(src audio.Source) (audio.Source, error) {
	pick := map[string]int{channelLeft: 0, channelRight: 1}
	channel, ok := pick[l.channel]
	if !ok {
		return audio.Mono(src), nil
	}
	if n := src.Format().Channels; n <= channel {
		return nil, fmt.Errorf("--channel %s: it has %s", l.channel, counted(n, "channel"))
	}
	return audio.Channel(src, channel)
}

// apply puts what the options ask for behind src, which is mono and has the
// rate of the wire.
func (l *levels) apply(in *input, src audio.Source, gain float64) audio.Source {
	if l.trim {
		in.trimmed = audio.TrimSilence(src, audio.DefaultSilence, audio.DefaultGuard)
		src = in.trimmed
	}
	src = audio.Gain(src, gain)
	if gain > 0 {
		src = &tap{src, in.countClipped}
	}
	if l.padBefore > 0 || l.padAfter > 0 {
		src = audio.Pad(src, l.padBefore, l.padAfter)
	}
	return src
}

// tap is a Source that shows what passes.
type tap struct {
	audio.Source
	watch func([]float32)
}

func (t *tap) ReadSamples(p []float32) (int, error) {
	n, err := t.Source.ReadSamples(p)
	t.watch(p[:n])
	return n, err
}

// countClipped counts what the encoder will have to saturate.
func (in *input) countClipped(samples []float32) {
	const most, least = (math.MaxInt16 + 0.5) / 32768, (math.MinInt16 - 0.5) / 32768
	for _, v := range samples {
		if v > most || v < least {
			in.clipped++
		}
	}
}

// open opens one input to be spoken. Where a loudness is asked for, it is read
// once before to measure it.
func (s *settings) open(ctx context.Context, name string, stdin io.Reader) (*input, error) {
	if s.levels.loudness == 0 {
		return openInput(name, stdin, s, s.levels.gain)
	}
	m, err := s.measure(ctx, name)
	if err != nil {
		return nil, err
	}
	gain, note := s.levels.towards(m)
	in, err := openInput(name, stdin, s, gain)
	if err != nil {
		return nil, err
	}
	in.notes = append(in.notes, note)
	return in, nil
}

// measured is how loud an input is as it would be sent.
type measured struct {
	loudness float64 // LUFS
	peak     float64 // dBFS
}

func (s *settings) measure(ctx context.Context, name string) (measured, error) {
	unpadded := *s
	unpadded.levels.padBefore, unpadded.levels.padAfter = 0, 0
	in, err := openInput(name, nil, &unpadded, 0)
	if err != nil {
		return measured{}, err
	}
	defer in.close()
	loudness := audio.NewLoudness(echo.DefaultRate)
	peak := audio.NewLevels(in.source.Format(), audio.DefaultSilence)
	buf := make([]float32, 4096)
	for {
		n, err := in.source.ReadSamples(buf)
		loudness.Add(buf[:n])
		peak.Add(buf[:n])
		if errors.Is(err, io.EOF) {
			return measured{loudness.Integrated(), audio.Decibels(peak.Channels()[0].Peak)}, nil
		}
		if err = errors.Join(err, context.Cause(ctx)); err != nil {
			return measured{}, in.failed(err)
		}
	}
}

// towards is the gain in dB that brings what was measured to the loudness asked
// for, or as near to it as its peak allows, and what to say about it.
func (l *levels) towards(m measured) (gain float64, note string) {
	if math.IsInf(m.loudness, -1) {
		return 0, "too short or too soft to tell its loudness; its level is left as it is"
	}
	gain = l.loudness - m.loudness
	note = fmt.Sprintf("its loudness is %.1f LUFS; %+.1f dB bring it to %.1f LUFS", m.loudness, gain, l.loudness)
	if limit := loudestPeak - m.peak; gain > limit {
		gain = limit
		note = fmt.Sprintf("its loudness is %.1f LUFS; only %+.1f dB, to %.1f LUFS instead of %.1f, since its peak then is at %d dBFS",
			m.loudness, gain, m.loudness+gain, l.loudness, loudestPeak)
	}
	return gain, note
}

// warnings are what was odd about the input and what was done to it. They are
// complete once it was read.
func (in *input) warnings() []string {
	all := append(in.audio.Warnings(), in.notes...)
	if t := in.trimmed; t != nil && t.Leading()+t.Trailing() > 0 {
		format := t.Format()
		all = append(all, fmt.Sprintf("left out %.3f s of silence in front and %.3f s behind",
			format.Duration(t.Leading()).Seconds(), format.Duration(t.Trailing()).Seconds()))
	}
	if in.clipped > 0 {
		all = append(all, fmt.Sprintf("%d samples are clipped; less --gain, or --loudness, avoids that", in.clipped))
	}
	return all
}

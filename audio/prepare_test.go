package audio_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"echocast/audio"
	"echocast/audio/audiotest"
)

// Any input becomes mono samples at 24 kHz, at the level that is asked for.
func ExamplePrepare() {
	file, err := os.Open("../testdata/speech.wav")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	in, err := audio.Prepare(context.Background(), file, &audio.PrepareOptions{Loudness: -16, TrimSilence: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer in.Close()
	samples, err := audiotest.Collect(in)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%v became %v, %.1f s\n", in.Decoded(), in.Format(), in.Format().Duration(int64(len(samples))).Seconds())
	for _, warning := range in.Warnings() {
		fmt.Println(warning)
	}
	// Output:
	// 22050 Hz mono became 24000 Hz mono, 7.0 s
	// its loudness is -20.2 LUFS; only +1.6 dB, to -18.6 LUFS instead of -16.0, because its peak is at -1 dBFS then
	// removed 0.000 s of silence at the start and 0.350 s at the end
}

func TestPrepareOptionsAreRefusedByName(t *testing.T) {
	for option, o := range map[string]*audio.PrepareOptions{
		"Channel": {Channel: "centre"}, "Gain": {Gain: math.NaN()}, "Loudness": {Loudness: -3},
		"PadBefore": {PadBefore: -1}, "PadAfter": {PadAfter: 2 * 3600e9}, "Method": {Method: "best"},
		"MaxDuration": {MaxDuration: -1},
	} {
		_, err := audio.Prepare(t.Context(), bytes.NewReader(nil), o)
		refused, ok := errors.AsType[*audio.OptionError](err)
		if !ok || refused.Option != option {
			t.Errorf("%s: %v", option, err)
		}
	}
	_, err := audio.Prepare(t.Context(), io.MultiReader(), &audio.PrepareOptions{Loudness: -16})
	if refused, ok := errors.AsType[*audio.OptionError](err); !ok || refused.Option != "Loudness" {
		t.Errorf("a pipe was measured: %v", err)
	}
}

// Watch gets the samples of the input and those that are heard, and changes neither; the
// channel for low-frequency effects stays out of the mix, also at an expected rate.
func TestPrepareWatched(t *testing.T) {
	file := wavExtensible(6, 0x3f, 16000, 1000)
	plain := prepared(t, file, &audio.PrepareOptions{})
	if loudest := slices.Max(plain); loudest > 0.04 {
		t.Errorf("the low frequencies are in the mix: %g", loudest)
	}
	var decoded, heard int
	o := &audio.PrepareOptions{
		OnDecoded:  func(s []float32) { decoded += len(s) },
		OnPrepared: func(s []float32) { heard += len(s) },
	}
	if watched := prepared(t, file, o); !slices.Equal(watched, plain) || decoded != 6000 || heard != len(plain) {
		t.Errorf("decoded %d, heard %d of %d", decoded, heard, len(plain))
	}
	forced := prepared(t, file, &audio.PrepareOptions{ExpectRate: audio.DefaultRate, ExpectedBy: "a test",
		TrustExpected: true})
	if len(forced) != 1000 || slices.Max(forced) > 0.04 {
		t.Errorf("at another rate: %d samples up to %g", len(forced), slices.Max(forced))
	}
}

func TestPrepareExpectsARate(t *testing.T) {
	_, err := audio.Prepare(t.Context(), bytes.NewReader(wavExtensible(1, 4, 16000, 10)),
		&audio.PrepareOptions{ExpectRate: 24000, ExpectedBy: "a test"})
	if wrong, ok := errors.AsType[*audio.RateError](err); !ok || wrong.Header != 16000 ||
		wrong.Error() != "its WAV header says 16000 Hz, a test says 24000 Hz" {
		t.Error(err)
	}
}

func prepared(t *testing.T, file []byte, o *audio.PrepareOptions) []float32 {
	t.Helper()
	in, err := audio.Prepare(t.Context(), bytes.NewReader(file), o)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	samples, err := audiotest.Collect(in)
	if err != nil {
		t.Fatal(err)
	}
	return samples
}

// wavExtensible is a WAV of 16 bits with these speakers. The samples of the
// channels differ: the fourth, which has the low frequencies of 5.1, is loud.
func wavExtensible(channels int, mask uint32, rate, frames int) []byte {
	var b bytes.Buffer
	size := 2 * channels * frames
	put := func(format string, args ...any) { fmt.Fprintf(&b, format, args...) }
	word := func(v, bytes int) {
		for i := range bytes {
			b.WriteByte(byte(v >> (8 * i)))
		}
	}
	put("RIFF")
	word(60+size, 4)
	put("WAVEfmt ")
	word(40, 4)
	word(0xfffe, 2)
	word(channels, 2)
	word(rate, 4)
	word(2*channels*rate, 4)
	word(2*channels, 2)
	word(16, 2)
	word(22, 2)
	word(16, 2)
	word(int(mask), 4)
	word(1, 2)
	b.WriteString("\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71")
	put("data")
	word(size, 4)
	for range frames {
		for c := range channels {
			level := 1000
			if c == 3 {
				level = 30000
			}
			word(level, 2)
		}
	}
	return b.Bytes()
}

// An input that is too long is refused if its header says so, and breaks at the limit
// otherwise. One of exactly the allowed length is heard.
func TestMaxDuration(t *testing.T) {
	const rate, allowed = 8000, time.Second
	raw := &audio.Options{Encoding: "s16le", Raw: audio.Format{Rate: rate, Channels: 2}}
	for _, c := range []struct {
		frames int
		broken bool
	}{{rate, false}, {rate + 1, true}, {60 * rate, true}} {
		o := &audio.PrepareOptions{Input: raw, MaxDuration: allowed}
		var decoded int
		o.OnDecoded = func(samples []float32) { decoded += len(samples) / 2 }
		in, err := audio.Prepare(t.Context(), bytes.NewReader(make([]byte, 4*c.frames)), o)
		if err != nil {
			t.Fatal(err)
		}
		_, err = audiotest.Collect(in)
		broken, ok := errors.AsType[*audio.InputError](err)
		_, long := errors.AsType[*audio.LengthError](err)
		if ok != c.broken || long != c.broken || ok && broken.At != allowed || decoded > 2*rate || in.FramesRead() > rate {
			t.Errorf("%d frames: %v; %d were decoded, %d used", c.frames, err, decoded, in.FramesRead())
		}
		_ = in.Close()
	}
	file, err := os.Open("../testdata/speech.wav")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	_, err = audio.Prepare(t.Context(), file, &audio.PrepareOptions{MaxDuration: allowed})
	if _, ok := errors.AsType[*audio.LengthError](err); !ok {
		t.Errorf("a header that claims more: %v", err)
	}
}

package audio_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"echocast/audio"
	"echocast/audio/audiotest"
	"echocast/internal/testwait"
)

// decodedBy is all that one way of decoding gives.
type decodedBy struct {
	samples  []float32
	warnings []string
	err      string
}

func decodeWith(t testing.TB, data []byte, workers int) decodedBy {
	t.Helper()
	d, err := audio.OpenMP3Ahead(bufio.NewReaderSize(bytes.NewReader(data), 64<<10), workers)
	if err != nil {
		return decodedBy{err: err.Error()}
	}
	defer d.Close()
	samples, err := audiotest.Collect(d)
	result := decodedBy{samples: samples, warnings: d.Warnings()}
	if err != nil {
		result.err = err.Error()
	}
	return result
}

// sameAsSerial fails t unless decoding ahead gives the same samples as decoding one frame after
// the other: except for a rounding error, which at most allowed samples may exceed.
func sameAsSerial(t *testing.T, what string, data []byte, rounding float64, allowed int) decodedBy {
	t.Helper()
	serial := decodeWith(t, data, 1)
	for _, v := range serial.samples {
		rounding = max(rounding, rounding*math.Abs(float64(v)))
	}
	for _, workers := range aheadWorkers {
		ahead := decodeWith(t, data, workers)
		if ahead.err != serial.err || !slices.Equal(ahead.warnings, serial.warnings) {
			t.Errorf("%s: %d workers end with %q and warn %q, one with %q and %q",
				what, workers, ahead.err, ahead.warnings, serial.err, serial.warnings)
		}
		if len(ahead.samples) != len(serial.samples) {
			t.Fatalf("%s: %d workers give %d samples, one gives %d", what, workers, len(ahead.samples), len(serial.samples))
		}
		unequal := 0
		for i, v := range ahead.samples {
			if math.Abs(float64(v-serial.samples[i])) > rounding {
				unequal++
			}
		}
		if unequal > allowed {
			t.Errorf("%s: %d workers: %d of %d samples are not the same", what, workers, unequal, len(ahead.samples))
		}
	}
	return serial
}

// withoutTag is mp3 without the frame that holds its tag.
func withoutTag(file mp3File, mp3 []byte) []byte {
	if !file.tag {
		return mp3
	}
	return mp3[4+bytes.Index(mp3[4:], mp3[:2]):]
}

// Long streams of every kind, each many segments long, are decoded bit for bit.
func TestParallelMP3IsBitExact(t *testing.T) {
	var all [][]byte
	for i, file := range mp3Files {
		mp3 := readMP3File(t, file.name+".mp3")
		bare := withoutTag(file, mp3)
		sameAsSerial(t, file.name, mp3, 0, 0)
		endless := bytes.Repeat(bare, aheadTimes)
		forms := []struct {
			name string
			mp3  []byte
		}{
			{" many times", bytes.Repeat(mp3, aheadTimes)},
			{" as one stream", endless},
			{" as one stream, cut", endless[777 : len(endless)-99]},
		}
		if testwait.Trials(10) == 1 { // not all of 10
			forms = forms[i%3 : i%3+1]
		}
		for _, form := range forms {
			sameAsSerial(t, file.name+form.name, form.mp3, 0, 0)
		}
		all = append(all, mp3, bytes.Repeat(bare, 1+aheadTimes/3))
	}
	result := sameAsSerial(t, "all in a row", bytes.Join(all, nil), 0, 0)
	if len(result.samples) < 250_000 || result.err != "" {
		t.Errorf("%d samples in a row, ended with %q: this proves little", len(result.samples), result.err)
	}
}

// Damage at any place is decoded as by the sequential decoder.
func TestParallelMP3Damage(t *testing.T) {
	for _, file := range mp3Files {
		long := bytes.Repeat(withoutTag(file, readMP3File(t, file.name+".mp3")), aheadTimes/2)
		for seed := range byte(testwait.Trials(20)) {
			damage, damaged := rand.New(rand.NewChaCha8([32]byte{seed})), bytes.Clone(long)
			for range 1 + 15*int(seed) {
				damaged[5000+damage.IntN(len(long)-5000)] ^= 1 << damage.IntN(8)
			}
			sameAsSerial(t, file.name, damaged, damageRounding, damageUnequal)
		}
	}
}

// longMP3 is the sound of name many times, as one stream of minutes.
func longMP3(t testing.TB, name string, times int) []byte {
	mp3 := readMP3File(t, name)
	return bytes.Repeat(mp3[4+bytes.Index(mp3[4:], mp3[:2]):], times)
}

// noGoroutines fails t if more goroutines run than before. One that was waited
// for may need a moment to be gone.
func noGoroutines(t *testing.T, before int) {
	t.Helper()
	for range 10_000 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond) // one that has let go is not gone at once
	}
	if now := runtime.NumGoroutine(); now > before {
		t.Errorf("%d goroutines, %d before", now, before)
	}
}

func TestParallelMP3ReadError(t *testing.T) {
	before := runtime.NumGoroutine()
	long := longMP3(t, taggedMP3, 40)
	want := decodeWith(t, long, 1).samples
	broken := errors.New("broken")
	for _, n := range []int{3000, 20_000, 100_001, 150_000} {
		r := io.MultiReader(bytes.NewReader(long[:n]), iotest.ErrReader(broken))
		d, err := audio.OpenMP3Ahead(bufio.NewReaderSize(r, 64<<10), 2)
		if err != nil {
			t.Fatal(err)
		}
		audiotest.TestBroken(t, d, want, broken)
		noGoroutines(t, before) // the end waits for them, before Close
		d.Close()
	}
}

// Reading one frame waits for no input that it does not need; frames that were decoded ahead
// are returned together.
func TestParallelMP3Latency(t *testing.T) {
	const frame = 2 * 1152
	long := longMP3(t, stereoMP3, 60)
	d, err := audio.OpenMP3Ahead(bufio.NewReaderSize(bytes.NewReader(long), 64<<10), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	buf, most := make([]float32, 8*frame), 0
	for read := range 100 {
		n, err := d.ReadSamples(buf)
		if err != nil {
			t.Fatal(err)
		}
		if most = max(most, n); read < 60 && most > frame {
			t.Fatalf("read %d gave %d samples before anything was decoded ahead", read, n)
		}
	}
	if most != len(buf) {
		t.Errorf("a read gave %d samples at most of what was decoded ahead, want %d", most, len(buf))
	}
}

// Close ends all goroutines, wherever reading stopped.
func TestParallelMP3CloseEarly(t *testing.T) {
	before := runtime.NumGoroutine()
	long := longMP3(t, stereoMP3, 60)
	for _, reads := range []int{0, 1, 63, 64, 65, 66, 100, 300, 700} {
		d, err := audio.OpenMP3Ahead(bufio.NewReaderSize(bytes.NewReader(long), 64<<10), 3)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]float32, 2*1152) // a frame
		for range reads {
			if _, err := d.ReadSamples(buf); err != nil {
				t.Fatal(err)
			}
		}
		if running := runtime.NumGoroutine() - before; reads < 60 && running > 0 || reads == 66 && running == 0 {
			t.Errorf("after %d reads %d goroutines run", reads, running)
		}
		for range 2 {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
		noGoroutines(t, before)
		if n, err := d.ReadSamples(buf); n != 0 || err == nil || errors.Is(err, io.EOF) {
			t.Errorf("after Close a read gave %d samples and %v", n, err)
		}
	}
}

// counted counts the bytes that were read.
type counted struct {
	io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// Only a few segments are read ahead of what is asked for.
func TestParallelMP3IsBounded(t *testing.T) {
	const workers = 2
	before := runtime.NumGoroutine()
	long := longMP3(t, stereoMP3, 300)
	r := &counted{Reader: bytes.NewReader(long)}
	d, err := audio.OpenMP3Ahead(bufio.NewReaderSize(r, 64<<10), workers)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]float32, 2*1152)
	for range 70 {
		if _, err := d.ReadSamples(buf); err != nil {
			t.Fatal(err)
		}
	}
	d.Close()
	noGoroutines(t, before) // the next test counts them
	const segment = 128 * 523
	if limit := 64*523 + (workers+3)*segment + 64<<10; r.n > limit || limit > len(long)/2 {
		t.Errorf("read %d of %d bytes, want at most %d", r.n, len(long), limit)
	}
}

// Open decodes in parallel only if the input is a regular file.
func TestOpenDecodesInParallelInFilesOnly(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	}
	long := longMP3(t, stereoMP3, 300)
	name := filepath.Join(t.TempDir(), "long.mp3")
	if err := os.WriteFile(name, long, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	before := runtime.NumGoroutine()
	for _, test := range []struct {
		r     io.Reader
		ahead bool
	}{{file, true}, {bytes.NewReader(long), false}, {struct{ io.Reader }{bytes.NewReader(long)}, false}} {
		in, err := audio.Open(test.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]float32, 2*1152)
		for range 100 {
			if _, err := in.ReadSamples(buf); err != nil {
				t.Fatal(err)
			}
		}
		if running := runtime.NumGoroutine() - before; (running > 0) != test.ahead {
			t.Errorf("%T: %d goroutines", test.r, running)
		}
		in.Close()
		noGoroutines(t, before)
	}
}

// BenchmarkMP3Hour decodes an hour of 44.1 kHz stereo, by one decoder and by
// one on each processor.
func BenchmarkMP3Hour(b *testing.B) {
	const frames = 3600 * 44100 / 1152
	mp3 := longMP3(b, stereoMP3, 1)
	hour := bytes.Repeat(mp3, frames*522/len(mp3))
	for name, workers := range map[string]int{"one": 1, "all": runtime.GOMAXPROCS(0)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]float32, 4096)
			for b.Loop() {
				d, err := audio.OpenMP3Ahead(bufio.NewReaderSize(bytes.NewReader(hour), 64<<10), workers)
				for err == nil {
					_, err = d.ReadSamples(buf)
				}
				if err != io.EOF {
					b.Fatal(err)
				}
			}
		})
	}
}

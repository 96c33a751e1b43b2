package voice

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"echocast/audio"
	"echocast/internal/testwait"
)

func TestMain(m *testing.M) { testwait.RunAndFindLeaks(m) }

// The simulated voices deliver so many pieces of 100 ms.
const (
	rate   = 8000
	pieces = 40
	piece  = 100 * time.Millisecond
)

// jitter is how late a piece is, at random.
type jitter struct {
	name   string
	factor float64 // how fast the voice is otherwise
	late   func(r *rand.Rand) float64
}

var voices = []jitter{
	{"exponential", 1, func(r *rand.Rand) float64 { return 0.030 * r.ExpFloat64() }},
	{"normal", 1, func(r *rand.Rand) float64 { return math.Abs(0.030 * r.NormFloat64()) }},
	{"uniform", 1, func(r *rand.Rand) float64 { return 0.100 * r.Float64() }},
	{"faster than speech", 1.2, func(r *rand.Rand) float64 { return 0.050 * r.ExpFloat64() }},
	{"a long tail", 1, func(r *rand.Rand) float64 { return 0.020 * math.Exp(0.5*r.NormFloat64()) }},
}

// utterance is when each piece arrives. A piece never overtakes the one before it.
func (j jitter) utterance(r *rand.Rand) (arrivals [pieces]time.Duration) {
	for i := range arrivals {
		at := time.Duration((float64(i)/j.factor*piece.Seconds() + j.late(r)) * float64(time.Second))
		arrivals[i] = at
		if i > 0 {
			arrivals[i] = max(at, arrivals[i-1])
		}
	}
	return arrivals
}

// needs is the lead of an utterance, by its definition.
func needs(arrivals [pieces]time.Duration) (lead time.Duration) {
	for i, at := range arrivals {
		lead = max(lead, at-arrivals[0]-time.Duration(i)*piece)
	}
	return lead
}

// many draws what utterances need, in seconds.
func (j jitter) many(n int, seed uint64) []float64 {
	r := rand.New(rand.NewPCG(seed, 7))
	leads := make([]float64, n)
	for i := range leads {
		leads[i] = needs(j.utterance(r)).Seconds()
	}
	return leads
}

// stream delivers an utterance in the time of the test.
type stream struct {
	begin    time.Time
	arrivals [pieces]time.Duration
	next     int
	rest     []byte
}

func (s *stream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		if s.next == pieces {
			return 0, io.EOF
		}
		time.Sleep(time.Until(s.begin.Add(s.arrivals[s.next])))
		s.next++
		s.rest = make([]byte, 2*rate*int(piece/time.Millisecond)/1000)
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// voice is a simulated voice, of raw samples.
func (j jitter) voice(seed uint64) *Voice {
	r := rand.New(rand.NewPCG(seed, 7))
	raw := &audio.Options{Encoding: "s16le", Raw: audio.Format{Rate: rate, Channels: 1}}
	return &Voice{Options: &audio.PrepareOptions{Input: raw, Rate: rate}, Timeout: time.Minute,
		Speak: func(context.Context, int) (io.Reader, func(error) error, error) {
			return &stream{begin: time.Now(), arrivals: j.utterance(r)}, func(err error) error { return err }, nil
		}}
}

// The measured times of a voice with known jitter are correct, in fake time.
func TestMeasureVoiceTimes(t *testing.T) {
	for _, j := range voices {
		synctest.Test(t, func(t *testing.T) {
			want := j.many(30, 5)
			arrivals := rand.New(rand.NewPCG(5, 7))
			voice := j.voice(5)
			for i := range want {
				run, err := voice.Measure(t.Context(), i+1)
				if err != nil || run.Error != "" || math.Abs(run.Audio-4) > 1e-9 {
					t.Fatalf("%+v, %v", run, err)
				}
				u := j.utterance(arrivals)
				if math.Abs(run.Lead-want[i]) > 1e-6 || math.Abs(run.FirstAudio-u[0].Seconds()) > 1e-6 {
					t.Fatalf("%s, run %d: %+v, needs %g, begins after %v", j.name, i, run, want[i], u[0])
				}
				later := 0 // than the first
				for _, at := range u {
					if at > u[0] {
						later++
					}
				}
				if factor := float64(later) / 10 / (u[pieces-1] - u[0]).Seconds(); math.Abs(run.Factor-factor) > 0.001*factor {
					t.Errorf("%s: %.3f × real time, want %.3f", j.name, run.Factor, factor)
				}
			}
		})
	}
}

// From 3,000 utterances of a voice with known jitter, the estimated lead is right within 10 %,
// in fake time, and about one in a thousand other utterances of the voice needs more.
func TestLeadWithinTenPercent(t *testing.T) {
	for _, j := range voices {
		truth := slices.Sorted(slices.Values(j.many(60_000, 99)))
		want := quantile(truth, 1-rareProbability)
		leads := j.many(3000, 1) // as TestMeasureVoiceTimes shows that they are measured
		e := EstimateLead(leads)
		if off := e.Seconds/want - 1; math.Abs(off) > 0.10 {
			t.Errorf("%s: %+v, %.1f %% off %g", j.name, e, 100*off, want)
		}
		t.Logf("%s: %.1f ms, %.1f %% off", j.name, 1000*e.Seconds, 100*(e.Seconds/want-1))
	}
}

// The bounds usually contain the true lead, and get closer with more runs.
func TestLeadConfidenceBounds(t *testing.T) {
	j := voices[0]
	truth := quantile(slices.Sorted(slices.Values(j.many(60_000, 99))), 1-rareProbability)
	const trials = 40
	width := math.Inf(1)
	for _, n := range []int{30, 300} {
		held, sum := 0, 0.0
		for seed := range uint64(trials) {
			e := EstimateLead(j.many(n, 1000+seed))
			if e.Low <= truth && truth <= e.High {
				held++
			}
			sum += (e.High - e.Low) / trials
		}
		if held < trials*6/10 || sum >= width {
			t.Errorf("%d runs: the bounds hold the truth %d times of %d, and are %.0f ms wide", n, held, trials, 1000*sum)
		}
		t.Logf("%d runs: %d of %d, %.0f ms wide", n, held, trials, 1000*sum)
		width = sum
	}
}

// For bounded jitter the estimated tail ends. An exponential tail would ask for an eighth too
// much.
func TestBoundedJitterHasABoundedTail(t *testing.T) {
	j := voices[2]
	const trials = 30
	mean := 0.0
	for seed := range uint64(trials) {
		mean += tailQuantile(slices.Sorted(slices.Values(j.many(1000, 2000+seed)))) / trials
	}
	truth := quantile(slices.Sorted(slices.Values(j.many(60_000, 99))), 1-rareProbability)
	if off := mean/truth - 1; math.Abs(off) > 0.07 {
		t.Errorf("%s, from 1000 runs: %.1f ms, %.1f %% off", j.name, 1000*mean, 100*off)
	}
}

func TestFewRuns(t *testing.T) {
	if EstimateLead(nil) != nil {
		t.Error("an estimate of nothing")
	}
	for _, leads := range [][]float64{{0.2}, {0, 0}, {0.1, 0.1, 0.1}, make([]float64, 2000)} {
		e := EstimateLead(leads)
		if most := slices.Max(leads); math.Abs(e.Seconds-most) > 1e-9 || e.Low > e.Seconds || e.High < e.Seconds {
			t.Errorf("%v: %+v", leads[:1], e)
		}
		if e.IsExtrapolated != (len(leads) < 1000) {
			t.Errorf("%d runs: %+v", len(leads), e)
		}
	}
}

// rawAt reads raw samples at a rate.
func rawAt(rate int) *audio.PrepareOptions {
	raw := audio.Format{Rate: rate, Channels: 1}
	return &audio.PrepareOptions{Input: &audio.Options{Encoding: "s16le", Raw: raw}}
}

// script writes a shell script's command line.
func script(t *testing.T, line string) *Voice {
	t.Helper()
	samples := make([]byte, 0, 4800)
	for i := range 2400 {
		samples = binary.LittleEndian.AppendUint16(samples, uint16(i))
	}
	file := filepath.Join(t.TempDir(), "a.raw")
	if err := os.WriteFile(file, samples, 0o600); err != nil {
		t.Fatal(err)
	}
	v := Command([]string{strings.ReplaceAll(line, "FILE", file)}, []string{"one", "two"})
	v.Options = rawAt(24000)
	return v
}

// A command gets its text, and one that fails or hangs is a failed run.
func TestCommands(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line   string
		number int
		audio  float64
		says   string
	}{
		{`read text; test $text = one && cat FILE`, 1, 0.1, ""},
		{`read text; test $text = two && cat FILE FILE`, 2, 0.2, ""},
		{`read text; test $text = one && cat FILE`, 3, 0.1, ""},
		{`cat FILE; echo no more >&2; exit 3`, 1, 0.1, "exit status 3: no more"},
		{`exit 1`, 1, 0, "exit status 1"},
		{`cat FILE; sleep 50`, 1, 0.1, "it was not over after 300ms"},
		{`yes text`, 1, 0, "unsupported audio format"}, // it never ends by itself
	} {
		v := script(t, c.line)
		if c.audio == 0 {
			v.Options = nil
		}
		v.Timeout = testwait.Limit
		isHanging := strings.Contains(c.says, "300ms")
		if isHanging {
			v.Timeout = 300 * time.Millisecond
		}
		run, err := v.Measure(t.Context(), c.number)
		hasAudio := math.Abs(run.Audio-c.audio) < 1e-9 || isHanging && run.Audio < c.audio // slow machine
		if err != nil || !hasAudio || !strings.Contains(run.Error, c.says) || (c.says == "") != (run.Error == "") {
			t.Errorf("%s: %+v, %v", c.line, run, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("that will do")
	cancel(cause)
	if _, err := script(t, "sleep 50").Measure(ctx, 1); !errors.Is(err, cause) {
		t.Error(err)
	}
	v := Command([]string{"printf", `\001\002\003\004`}, nil)
	v.Options = rawAt(8000)
	if run, err := v.Measure(t.Context(), 1); err != nil || run.Error != "" || run.Audio != 0.00025 {
		t.Errorf("a program with arguments: %+v, %v", run, err)
	}
}

func TestSummary(t *testing.T) {
	s := Summarise([]Run{
		{Audio: 1, FirstAudio: 0.2, Factor: 1.5, Lead: 0.24, Stalls: 2}, {Error: "broken", Audio: 9, Lead: 9},
		{Audio: 3, FirstAudio: 0.4, Factor: 2.5, Lead: 0.24},
	})
	const want = `runs         2 of 3, 4.0 s of audio
first audio  median 300 ms, slowest 400 ms
speed        median 2.00 × real time, slowest 1.50
stalls       2 gaps in 1 of 2 runs, if the replica plays as soon as it can
lead needed  median 240 ms, most 240 ms
             240 ms for at most one underrun in 1000 utterances (90 % of resamples: 240 ms to 240 ms)
             from 2 runs, so its tail is a guess; --runs 1000 would see it
so           echocast send --pad-before 240ms begins with silence for so long, while more arrives
`
	if s.Text() != want || s.Failed != 1 {
		t.Errorf("%+v\n%s", s, s.Text())
	}
	if s := Summarise([]Run{{Error: "broken"}}); s.Text() != "runs         0 of 1, 0.0 s of audio\n" || s.Advice() != "" {
		t.Errorf("%s%s", s.Text(), s.Advice())
	}
	fast := Summarise([]Run{{Audio: 1}})
	if !strings.Contains(fast.Text(), "all of the audio came at once") ||
		!strings.Contains(fast.Advice(), "nothing is to be done") {
		t.Error(fast.Text())
	}
}

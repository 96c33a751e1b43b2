package audio

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// firInput is mono input that hands out at most size samples a read and counts
// what it handed out.
type firInput struct {
	samples []float32
	rate    int
	size    int
	read    int
}

func (s *firInput) Format() Format { return Format{Rate: s.rate, Channels: 1} }

func (s *firInput) ReadSamples(p []float32) (int, error) {
	if s.read == len(s.samples) {
		return 0, io.EOF
	}
	n := copy(p[:min(s.size, len(p))], s.samples[s.read:])
	s.read += n
	return n, nil
}

func openFIR(tb testing.TB, samples []float32, in, out int) *fir {
	tb.Helper()
	f, err := newFIR(&firInput{samples: samples, rate: in, size: len(samples)}, out)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

func collectFIR(tb testing.TB, f *fir) []float32 {
	tb.Helper()
	var all []float32
	p := make([]float32, 4096)
	for {
		n, err := f.ReadSamples(p)
		all = append(all, p[:n]...)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// firNoise is white noise: every frequency at once.
func firNoise(n int) []float32 {
	random := rand.New(rand.NewPCG(5, 6))
	samples := make([]float32, n)
	for i := range samples {
		samples[i] = 2*random.Float32() - 1
	}
	return samples
}

func TestFIRRefuses(t *testing.T) {
	for _, test := range []struct {
		in  Format
		out int
	}{
		{Format{44100, 2}, 24000},
		{Format{44100, 0}, 24000},
		{Format{MinRate - 1, 1}, 24000},
		{Format{MaxRate + 1, 1}, 24000},
		{Format{0, 1}, 24000},
		{Format{-44100, 1}, 24000},
		{Format{44100, 1}, MinRate - 1},
		{Format{44100, 1}, MaxRate + 1},
		{Format{44100, 1}, 0},
	} {
		if _, err := newFIR(formatOnly(test.in), test.out); !errors.Is(err, ErrFormat) {
			t.Errorf("%+v to %d Hz: %v, want an error that wraps ErrFormat", test.in, test.out, err)
		}
	}
}

// formatOnly is a Source that must not be read.
type formatOnly Format

func (f formatOnly) Format() Format                   { return Format(f) }
func (formatOnly) ReadSamples([]float32) (int, error) { panic("read") }

func TestFIRLength(t *testing.T) {
	lengths := []int{0, 1, 2, 146, 147, 148, 441, 4411, 44100}
	for _, in := range []int{8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 88200, 96000, 11127, 44099} {
		for _, n := range lengths {
			got := len(collectFIR(t, openFIR(t, make([]float32, n), in, 24000)))
			if want := (2*int64(n)*24000 + int64(in)) / int64(2*in); int64(got) != want {
				t.Errorf("%d samples at %d Hz became %d, want %d", n, in, got, want)
			}
		}
	}
	for _, rates := range [][2]int{{4000, 384000}, {384000, 4000}, {44100, 48000}, {383999, 384000}} {
		const n = 4411
		got := len(collectFIR(t, openFIR(t, make([]float32, n), rates[0], rates[1])))
		if want := (2*n*int64(rates[1]) + int64(rates[0])) / int64(2*rates[0]); int64(got) != want {
			t.Errorf("%d samples from %d to %d Hz became %d, want %d", n, rates[0], rates[1], got, want)
		}
	}
}

func TestFIREqualRatesPassThrough(t *testing.T) {
	samples := firNoise(5000)
	got := collectFIR(t, openFIR(t, samples, 24000, 24000))
	if len(got) != len(samples) {
		t.Fatalf("%d samples became %d", len(samples), len(got))
	}
	for i := range got {
		if got[i] != samples[i] {
			t.Fatalf("sample %d is %v, want %v", i, got[i], samples[i])
		}
	}
}

// The oracle knows nothing of phases, tables, buffers or float32: each output
// is the sum over all inputs of the input times the kernel at the distance in
// time, and the window is the integral that defines the Bessel function.
func TestFIRAgainstDirectSum(t *testing.T) {
	for _, in := range []int{8000, 11127, 22050, 44099, 44100, 48000, 96000} {
		const out, n = 24000, 400
		samples := firNoise(n)
		got := collectFIR(t, openFIR(t, samples, in, out))
		kernel := designKaiser(in, out)
		peak := besselByDefinition(kernel.beta)
		var power, deviation float64
		for k := range got {
			want := 0.0
			for i, v := range samples {
				want += float64(v) * kernelByDefinition(kernel, peak, float64(k)*float64(in)/out-float64(i))
			}
			power += want * want
			deviation += (float64(got[k]) - want) * (float64(got[k]) - want)
		}
		db := 10 * math.Log10(deviation/power)
		t.Logf("%6d Hz: deviation from the direct sum %.1f dB", in, db)
		if db > -120 {
			t.Errorf("%d Hz: the deviation from the direct sum is %.1f dB, want at most -120", in, db)
		}
	}
}

// kernelByDefinition is the kernel at t samples. peak is the window before it is scaled, at 0.
func kernelByDefinition(k kaiserKernel, peak, t float64) float64 {
	if math.Abs(t) >= k.half {
		return 0
	}
	ideal := k.cutoff
	if t != 0 {
		ideal = math.Sin(math.Pi*k.cutoff*t) / (math.Pi * t)
	}
	return ideal * besselByDefinition(k.beta*math.Sqrt(1-t*t/(k.half*k.half))) / peak
}

// besselByDefinition is the mean of exp(x cos a) over all angles a.
func besselByDefinition(x float64) float64 {
	const steps = 20
	sum := math.Cosh(x)
	for i := 1; i < steps; i++ {
		sum += math.Exp(x * math.Cos(math.Pi*float64(i)/steps))
	}
	return sum / steps
}

// An impulse comes out centred on its own time: the result is not late.
func TestFIRImpulse(t *testing.T) {
	for _, in := range []int{8000, 11127, 22050, 44099, 44100, 48000, 96000} {
		f := openFIR(t, nil, in, 24000)
		at, centre := int(f.step), int(f.phases)
		for at < 3*f.bank.taps { // far enough from the start to see both sides
			at, centre = at+int(f.step), centre+int(f.phases)
		}
		samples := make([]float32, 2*at)
		samples[at] = 1
		got := collectFIR(t, openFIR(t, samples, in, 24000))
		if want := float32(designKaiser(in, 24000).cutoff); got[centre] != want {
			t.Errorf("%d Hz: the impulse is %v at its centre, want %v", in, got[centre], want)
		}
		for i := 1; i < 100; i++ {
			before, after := got[centre-i], got[centre+i]
			if math.Abs(float64(before-after)) > 1e-7 || before > got[centre] {
				t.Fatalf("%d Hz: %v and %v, %d samples before and after the impulse's centre", in, before, after, i)
			}
		}
	}
}

func TestFIRKeepsConstants(t *testing.T) {
	for _, in := range []int{8000, 11127, 22050, 44099, 44100, 48000, 96000} {
		samples := make([]float32, in/4)
		for i := range samples {
			samples[i] = 1
		}
		got := collectFIR(t, openFIR(t, samples, in, 24000))
		for i, v := range got[1000 : len(got)-1000] {
			if math.Abs(float64(v)-1) > 2e-5 {
				t.Fatalf("%d Hz: sample %d of a constant 1 is %v", in, i, v)
			}
		}
	}
}

// Output k needs the input at or before its time and lookahead more, and not
// one besides; that is the delay the documentation states.
func TestFIRDelay(t *testing.T) {
	for _, test := range []struct {
		in int
		ms float64
	}{
		{4000, 10.8}, {8000, 5.4}, {11025, 5.1}, {12000, 5}, {16000, 4.5}, {22050, 3.3}, {24000, 0}, {32000, 3},
		{44100, 3}, {48000, 3}, {88200, 3}, {96000, 3}, {192000, 3}, {384000, 3},
	} {
		in := &firInput{samples: make([]float32, 8*2400), rate: test.in, size: 8 * 2400}
		f, err := newFIR(in, 24000)
		if err != nil {
			t.Fatal(err)
		}
		if ms := 1000 * float64(f.bank.lookahead) / float64(test.in); math.Round(10*ms)/10 != test.ms {
			t.Errorf("%d Hz: the lookahead is %.2f ms, documented as %.1f", test.in, ms, test.ms)
		}
		p := make([]float32, 1)
		for k := range 500 {
			if n, err := f.ReadSamples(p); n != 1 || err != nil {
				t.Fatalf("read %d samples: %v", n, err)
			}
			if want := k*test.in/24000 + f.bank.lookahead + 1; in.read != want {
				t.Fatalf("%d Hz: %d inputs were read for output %d, want %d", test.in, in.read, k, want)
			}
		}
	}
}

// All output of a block of input is returned before the next block is read.
func TestFIRReturnsAllAvailableOutput(t *testing.T) {
	for _, rate := range []int{8000, 44099, 44100, 96000} {
		in := &firInput{samples: make([]float32, 20000), rate: rate, size: 441}
		f, err := newFIR(in, 24000)
		if err != nil {
			t.Fatal(err)
		}
		p := make([]float32, 4096)
		for made := 0; in.read < len(in.samples); {
			n, err := f.ReadSamples(p)
			if err != nil {
				t.Fatal(err)
			}
			made += n
			if next := made*rate/24000 + f.bank.lookahead; next < in.read {
				t.Fatalf("%d Hz: output %d was possible with %d inputs", rate, made, in.read)
			}
		}
	}
}

// Samples far into a stream equal those at its beginning, bit for bit.
func TestFIRPhaseAfterHours(t *testing.T) {
	for _, in := range []int{11127, 22050, 44099, 44100, 96000} {
		samples := firNoise(6000)
		want := collectFIR(t, openFIR(t, samples, in, 24000))
		for _, offset := range []int64{1 << 33, 1 << 50} {
			f := openFIR(t, samples, in, 24000)
			rounds := offset/f.step + 1
			f.read, f.made = rounds*f.step, rounds*f.phases
			got := collectFIR(t, f)
			if len(got) != len(want) {
				t.Fatalf("%d Hz: %d samples after %d inputs, want %d", in, len(got), offset, len(want))
			}
			for k := range got {
				if got[k] != want[k] {
					t.Fatalf("%d Hz: sample %d after %d inputs is %v, want %v", in, k, offset, got[k], want[k])
				}
			}
		}
	}
}

func TestFIRPositionAndLengthAreExact(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for range 2000 {
		in, out := MinRate+random.IntN(MaxRate-MinRate+1), MinRate+random.IntN(MaxRate-MinRate+1)
		divisor := greatestCommonDivisor(in, out)
		f := &fir{step: int64(in / divisor), phases: int64(out / divisor)}
		k := random.Int64N(1 << 55)

		index, phase := f.position(k)
		wantIndex, wantPhase := new(big.Int).DivMod(product(k, f.step), big.NewInt(f.phases), new(big.Int))
		if index != wantIndex.Int64() || phase != wantPhase.Int64() {
			t.Fatalf("%d to %d Hz: output %d lies at %d and %d phases, want %d and %d", in, out, k, index, phase,
				wantIndex, wantPhase)
		}
		twice := product(2*k, int64(out))
		twice.Add(twice, big.NewInt(int64(in)))
		if want := twice.Div(twice, big.NewInt(2*int64(in))); !want.IsInt64() || resampledLength(k, in, out) != want.Int64() {
			t.Fatalf("%d to %d Hz: %d inputs make %d outputs, want %d", in, out, k, resampledLength(k, in, out), want)
		}
	}
}

func product(a, b int64) *big.Int { return new(big.Int).Mul(big.NewInt(a), big.NewInt(b)) }

// No pair of rates makes the table larger than its limit.
func TestFIRBankIsBounded(t *testing.T) {
	check := func(in, out int) {
		phases := out / greatestCommonDivisor(in, out)
		bank := shapeFIRBank(designKaiser(in, out), phases, float64(out)/float64(in))
		if bank.size() > firMaxCoefficients {
			t.Fatalf("%d to %d Hz: %d coefficients", in, out, bank.size())
		}
	}
	for in := MinRate; in <= MaxRate; in += 997 {
		check(in, MinRate)
		check(in, MaxRate)
		for out := MinRate; out <= MaxRate; out += 1009 {
			check(in, out)
		}
	}
}

func TestFIRMemoryIsBounded(t *testing.T) {
	for _, in := range []int{8000, 44100, 44099, 384000} {
		f, err := newFIR(&endless{rate: in}, 24000)
		if err != nil {
			t.Fatal(err)
		}
		p := make([]float32, 1200)
		room := cap(f.window)
		allocations := testing.AllocsPerRun(200, func() {
			if _, err := f.ReadSamples(p); err != nil {
				t.Fatal(err)
			}
		})
		if allocations != 0 || cap(f.window) != room {
			t.Errorf("%d Hz: %v allocations a read, the buffer went from %d to %d samples", in, allocations, room, cap(f.window))
		}
	}
}

// endless is mono input that never ends.
type endless struct {
	rate int
	at   int
}

func (s *endless) Format() Format { return Format{Rate: s.rate, Channels: 1} }

func (s *endless) ReadSamples(p []float32) (int, error) {
	for i := range p {
		s.at++
		p[i] = float32(s.at&1023)/1024 - 0.5
	}
	return len(p), nil
}

// stuckSource is a Source that breaks the contract: neither samples nor a reason.
type stuckSource struct{ endless }

func (*stuckSource) ReadSamples([]float32) (int, error) { return 0, nil }

func TestFIRSourceWithoutProgress(t *testing.T) {
	f, err := newFIR(&stuckSource{endless{rate: 48000}}, 24000)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.ReadSamples(make([]float32, 10)); n != 0 || !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("read %d samples: %v, want %v", n, err, io.ErrNoProgress)
	}
	if _, err := f.ReadSamples(nil); !errors.Is(err, io.ErrShortBuffer) {
		t.Errorf("read into no room: %v, want %v", err, io.ErrShortBuffer)
	}
}

// Bytes a second are those of the float32 input.
func BenchmarkFIR(b *testing.B) {
	for _, in := range []int{8000, 11025, 16000, 22050, 32000, 44099, 44100, 48000, 96000} {
		b.Run(fmt.Sprint(in), func(b *testing.B) {
			f, err := newFIR(&endless{rate: in}, 24000)
			if err != nil {
				b.Fatal(err)
			}
			p := make([]float32, 1200)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := f.ReadSamples(p); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(4 * f.read / int64(b.N))
		})
	}
}

func BenchmarkNewFIR(b *testing.B) {
	for _, in := range []int{16000, 44099, 44100} {
		b.Run(fmt.Sprint(in), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := newFIR(&endless{rate: in}, 24000); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

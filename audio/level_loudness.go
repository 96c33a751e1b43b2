package audio

import "math"

// SilentLoudness is the loudness below which a block counts as silence, in LUFS:
// the absolute gate of ITU-R BS.1770-4.
const SilentLoudness = -70.0

// Loudness measures the integrated loudness of mono speech as ITU-R BS.1770-4 and EBU R128
// define it. The samples are weighted as the ear weights them (K). Their mean square is
// taken over blocks of 400 ms that start every 100 ms. Blocks below -70 LUFS are left out,
// then blocks more than 10 LU below the mean of the rest. The remaining blocks are averaged:
//
//	L = -0.691 + 10·log10(mean of squares)   LUFS
//
// A sine of 997 Hz at -20 dBFS in one channel has -23.0 LUFS. Memory does not grow with the
// length: blocks are counted in classes of 0.01 LU, each with its exact sum. So only blocks
// within 0.01 LU of the gate may fall on its wrong side.
type Loudness struct {
	shelf, highPass biquad
	step            int        // samples of a quarter block
	quarters        [4]float64 // sums of squares of the last quarters
	next            int        // index of the quarter being filled
	filled          int        // samples in that quarter
	complete        int        // quarters filled so far, at most 4
	classes         []blockClass
}

// blockClass counts the blocks within one range of 0.01 LU.
type blockClass struct {
	count int64
	sum   float64 // of their mean squares
}

const (
	classesPerLU  = 100
	loudestBlock  = 40 // LUFS; louder blocks count as this
	blockQuarters = 4
	// loudnessOffset makes K-weighting pass 997 Hz at 0 dB (BS.1770-4, annex 1).
	loudnessOffset = -0.691
)

// NewLoudness returns a Loudness for mono samples at rate Hz.
func NewLoudness(rate int) *Loudness {
	return &Loudness{
		shelf: kShelf(float64(rate)), highPass: kHighPass(float64(rate)),
		step:    (rate + 5) / 10,
		classes: make([]blockClass, (loudestBlock-SilentLoudness)*classesPerLU),
	}
}

// Add measures more samples. It allocates nothing, and how the samples are split
// into calls makes no difference.
func (l *Loudness) Add(samples []float32) {
	for len(samples) > 0 {
		n := min(len(samples), l.step-l.filled)
		l.quarters[l.next] += l.weigh(samples[:n])
		samples = samples[n:]
		if l.filled += n; l.filled == l.step {
			l.quarter()
		}
	}
}

// weigh weights the samples, and returns the sum of their squares.
func (l *Loudness) weigh(samples []float32) (sum float64) {
	shelf, highPass := l.shelf, l.highPass
	for _, v := range samples {
		w := highPass.filter(shelf.filter(float64(v)))
		sum += w * w
	}
	l.shelf, l.highPass = shelf, highPass
	return sum
}

// quarter ends a quarter of a block, and the block that it completes.
func (l *Loudness) quarter() {
	if l.complete < blockQuarters {
		l.complete++
	}
	if l.complete == blockQuarters {
		l.block()
	}
	l.next = (l.next + 1) % blockQuarters
	l.quarters[l.next], l.filled = 0, 0
	l.shelf.settle()
	l.highPass.settle()
}

func (l *Loudness) block() {
	var sum float64
	for _, quarter := range l.quarters {
		sum += quarter
	}
	mean := sum / float64(blockQuarters*l.step)
	loudness := loudnessOf(mean)
	if !(loudness > SilentLoudness) {
		return
	}
	class := &l.classes[min(classOf(loudness), len(l.classes)-1)]
	class.count++
	class.sum += mean
}

func classOf(loudness float64) int { return int((loudness - SilentLoudness) * classesPerLU) }

func loudnessOf(meanSquare float64) float64 { return loudnessOffset + 10*math.Log10(meanSquare) }

// Integrated returns the loudness of all samples so far in LUFS, or -Inf if no block of
// 400 ms is above the gate.
func (l *Loudness) Integrated() float64 {
	const relativeGate = -10
	all := meanFrom(l.classes)
	if math.IsInf(all, -1) {
		return all
	}
	gate := max(classOf(all+relativeGate), 0)
	return meanFrom(l.classes[gate:])
}

// meanFrom returns the loudness of all blocks in these classes.
func meanFrom(classes []blockClass) float64 {
	var blocks blockClass
	for _, class := range classes {
		blocks.count += class.count
		blocks.sum += class.sum
	}
	if blocks.count == 0 {
		return math.Inf(-1)
	}
	return loudnessOf(blocks.sum / float64(blocks.count))
}

// biquad is a filter of second order in transposed direct form II.
type biquad struct {
	b0, b1, b2, a1, a2 float64
	s1, s2             float64
}

func (f *biquad) filter(x float64) float64 {
	y := f.b0*x + f.s1
	f.s1 = f.b1*x - f.a1*y + f.s2
	f.s2 = f.b2*x - f.a2*y
	return y
}

// settle sets the filter's state to zero once it is inaudibly small, because processors
// calculate slowly with numbers so close to zero.
func (f *biquad) settle() {
	if math.Abs(f.s1)+math.Abs(f.s2) < 1e-20 {
		f.s1, f.s2 = 0, 0
	}
}

// BS.1770-4 defines K-weighting by two filters for 48 kHz only. These are the analogue filters
// from which the bilinear transform makes them, as B. De Man derived them ("Evaluation of
// Implementations of the EBU R128 Loudness Measurement", AES 145, 2018). At 48 kHz they give
// the table of the recommendation.
const (
	shelfFrequency = 1681.974450955533 // Hz
	shelfDecibels  = 3.999843853973347
	shelfQuality   = 0.7071752369554196
	shelfBand      = 0.4996667741545416 // exponent of the gain at the corner
	highFrequency  = 38.13547087602444  // Hz
	highQuality    = 0.5003270373238773
)

// kShelf returns the first filter, which models that the head amplifies high frequencies.
func kShelf(rate float64) biquad {
	k := math.Tan(math.Pi * shelfFrequency / rate)
	high := math.Pow(10, shelfDecibels/20)
	band := math.Pow(high, shelfBand)
	a0 := 1 + k/shelfQuality + k*k
	return biquad{
		b0: (high + band*k/shelfQuality + k*k) / a0,
		b1: 2 * (k*k - high) / a0,
		b2: (high - band*k/shelfQuality + k*k) / a0,
		a1: 2 * (k*k - 1) / a0,
		a2: (1 - k/shelfQuality + k*k) / a0,
	}
}

// kHighPass returns the second filter, which models that the ear is less sensitive to low
// frequencies. As in the table, it is not scaled, at any rate.
func kHighPass(rate float64) biquad {
	k := math.Tan(math.Pi * highFrequency / rate)
	a0 := 1 + k/highQuality + k*k
	return biquad{
		b0: 1, b1: -2, b2: 1,
		a1: 2 * (k*k - 1) / a0,
		a2: (1 - k/highQuality + k*k) / a0,
	}
}

package audio

import "math"

// ChannelLevel is the level of one channel. Amplitudes are relative to full scale.
type ChannelLevel struct {
	Peak    float64 // largest magnitude of a sample
	RMS     float64 // root of the mean square
	Mean    float64 // the offset from zero ("DC")
	Clipped int64   // samples in runs of two or more at full scale
}

// Levels measures the peaks, mean squares, offsets and clipping of interleaved samples, and
// the silence at both ends. Its memory does not grow.
type Levels struct {
	format    Format
	threshold float32
	channels  []channelSums
	frames    int64
	first     int64 // frame of the first sound; -1 before that
	last      int64 // frame of the last sound
}

type channelSums struct {
	peak    float32
	squares float64
	sum     float64
	run     int64 // samples at full scale in a row
	clipped int64
}

// fullScale is the magnitude of the largest positive 16-bit sample.
const fullScale = 32767.0 / 32768

// NewLevels returns Levels for samples of this format. Frames with all samples below
// threshold, in dBFS, are silence.
func NewLevels(format Format, threshold float64) *Levels {
	return &Levels{format: format, threshold: float32(Amplitude(threshold)),
		channels: make([]channelSums, format.Channels), first: -1, last: -1}
}

// Add measures more samples, in whole frames. It allocates nothing.
func (l *Levels) Add(samples []float32) {
	channels := len(l.channels)
	for c := range l.channels {
		sums := l.channels[c]
		for i := c; i < len(samples); i += channels {
			v := samples[i]
			sums.add(v)
			if v >= l.threshold || v <= -l.threshold {
				l.sound(l.frames + int64(i/channels))
			}
		}
		l.channels[c] = sums
	}
	l.frames += int64(len(samples) / channels)
}

func (s *channelSums) add(v float32) {
	s.sum += float64(v)
	s.squares += float64(v) * float64(v)
	magnitude := max(v, -v)
	s.peak = max(s.peak, magnitude)
	if magnitude < fullScale {
		s.run = 0
		return
	}
	if s.run++; s.run == 2 {
		s.clipped++ // also count the sample before
	}
	if s.run >= 2 {
		s.clipped++
	}
}

func (l *Levels) sound(frame int64) {
	if l.first < 0 || frame < l.first {
		l.first = frame
	}
	l.last = max(l.last, frame)
}

// Frames returns how many frames were measured.
func (l *Levels) Frames() int64 { return l.frames }

// Channels returns the level of each channel.
func (l *Levels) Channels() []ChannelLevel {
	all := make([]ChannelLevel, len(l.channels))
	n := float64(max(l.frames, 1))
	for i, s := range l.channels {
		all[i] = ChannelLevel{Peak: float64(s.peak), RMS: math.Sqrt(s.squares / n), Mean: s.sum / n, Clipped: s.clipped}
	}
	return all
}

// Silence returns how many frames are silent before the first sound and after the last.
// If there is no sound, all frames count as leading.
func (l *Levels) Silence() (leading, trailing int64) {
	if l.first < 0 {
		return l.frames, 0
	}
	return l.first, l.frames - 1 - l.last
}

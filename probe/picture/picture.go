// Package picture draws the waveform and the spectrogram of audio, as PNG or SVG.
//
// A spectrogram shows the frequencies in the audio at each time: the darker, the
// stronger. Speech has dark bands up to about 8 kHz; audio that was once sampled at 8
// kHz has nothing above 4 kHz, whatever its rate now.
//
// A Picture needs bounded memory for audio of any length: when its columns are full,
// neighbours are merged and columns become twice as long.
package picture

import "math"

// maxColumns is how many columns are kept; at least half of them are in use.
const maxColumns = 2048

// Picture collects the data for a picture of mono audio. Make one with New, add the audio,
// draw it.
type Picture struct {
	rate       int // Hz
	per        int // samples a column
	columns    []column
	current    column // being filled
	frames     int    // in current
	ring       [frameLen]float32
	added      int64 // samples
	drawn      int64 // samples that are in columns or in current: half a frame less
	isFinished bool
}

// column is a stretch of audio: its lowest and highest sample, and its mean power by band.
type column struct {
	low, high float32
	power     [bands]float32
}

// firstPer is how many samples a column has in the beginning: 2 ms at 24 kHz.
const firstPer = 48

// New returns a Picture of samples at rate Hz.
func New(rate int) *Picture { return &Picture{rate: rate, per: firstPer} }

// IsEmpty reports whether no audio was added.
func (p *Picture) IsEmpty() bool { return p.added == 0 }

// Add adds samples in [-1, 1]. It must not be called once the picture was drawn.
func (p *Picture) Add(samples []float32) {
	for _, v := range samples {
		p.add(v)
	}
}

// add processes the sample half a frame before v, now that its frame is complete.
func (p *Picture) add(v float32) {
	p.ring[p.added%frameLen] = v
	p.added++
	if p.added <= frameLen/2 {
		return
	}
	middle := p.ring[(p.added-1+frameLen/2)%frameLen]
	p.current.low, p.current.high = min(p.current.low, middle), max(p.current.high, middle)
	p.drawn++
	if p.drawn%int64(min(p.per, frameLen)) == 0 {
		p.transform()
	}
	if p.drawn%int64(p.per) == 0 {
		p.close()
	}
}

// transform adds the spectrum of the newest samples to the current column.
func (p *Picture) transform() {
	var frame [frameLen]float32
	oldest := p.added % frameLen
	copy(frame[copy(frame[:], p.ring[oldest:]):], p.ring[:oldest])
	newTransform().addPower(p.current.power[:], &frame)
	p.frames++
}

// close ends the current column.
func (p *Picture) close() {
	for i := range p.current.power {
		p.current.power[i] /= float32(max(p.frames, 1))
	}
	p.columns = append(p.columns, p.current)
	p.current, p.frames = column{}, 0
	if len(p.columns) < maxColumns {
		return
	}
	for i := range maxColumns / 2 {
		p.columns[i] = merged(p.columns[2*i : 2*i+2])
	}
	p.columns = p.columns[:maxColumns/2]
	p.per *= 2
}

// finish draws the last half of a frame, and ends the last column.
func (p *Picture) finish() {
	if p.isFinished {
		return
	}
	p.isFinished = true
	for range frameLen / 2 {
		p.add(0)
	}
	if p.drawn%int64(p.per) == 0 {
		return
	}
	if p.frames == 0 {
		p.transform()
	}
	p.close()
}

// merged merges columns: the extremes, and the mean power.
func merged(all []column) (m column) {
	for i := range all {
		m.low, m.high = min(m.low, all[i].low), max(m.high, all[i].high)
		for band, v := range all[i].power {
			m.power[band] += v / float32(len(all))
		}
	}
	return m
}

// across returns what each of width equal parts of the whole shows.
func (p *Picture) across(width int) []column {
	parts := make([]column, width)
	for i := range parts {
		from := i * len(p.columns) / width
		parts[i] = merged(p.columns[from:max((i+1)*len(p.columns)/width, from+1)])
	}
	return parts
}

// seconds returns the total length of the columns.
func (p *Picture) seconds() float64 { return float64(len(p.columns)*p.per) / float64(p.rate) }

// decibels converts a power to dB; a sine at full scale has 0.
func decibels(power float32) float64 { return 10 * math.Log10(max(float64(power), 1e-20)) }

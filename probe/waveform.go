package probe

import (
	"math"
	"strings"

	"echocast/audio"
)

// Waveform keeps the peaks of audio of any length in bounded memory: when its bins are
// full, neighbours are merged and bins become twice as long.
type Waveform struct {
	peaks []float32
	per   int // samples a bin
	peak  float32
	count int // samples in the bin being filled
}

const (
	waveformBins = 1024
	waveformRows = 2
)

func newWaveform() *Waveform {
	return &Waveform{peaks: make([]float32, 0, waveformBins), per: 24}
}

func (w *Waveform) add(samples []float32) {
	for _, v := range samples {
		w.peak = max(w.peak, v, -v)
		if w.count++; w.count == w.per {
			w.close()
		}
	}
}

// close ends a bin.
func (w *Waveform) close() {
	w.peaks = append(w.peaks, w.peak)
	w.peak, w.count = 0, 0
	if len(w.peaks) < waveformBins {
		return
	}
	for i := range waveformBins / 2 {
		w.peaks[i] = max(w.peaks[2*i], w.peaks[2*i+1])
	}
	w.peaks = w.peaks[:waveformBins/2]
	w.per *= 2
}

// Render draws the peaks in lines of at most width characters.
func (w *Waveform) Render(width int) []string {
	peaks := w.peaks
	if w.count > 0 {
		peaks = append(peaks, w.peak)
	}
	width = min(width, len(peaks))
	if width <= 0 {
		return nil
	}
	heights := make([]int, width)
	for i := range heights {
		from, to := i*len(peaks)/width, (i+1)*len(peaks)/width
		var peak float32
		for _, v := range peaks[from:to] {
			peak = max(peak, v)
		}
		heights[i] = height(peak)
	}
	return rows(heights)
}

// height returns a peak in eighths of a line, on a square-root scale, which makes soft
// speech visible beside loud speech.
func height(peak float32) int {
	const most = 8 * waveformRows
	if float64(peak) < audio.Amplitude(audio.DefaultSilence) {
		return 0
	}
	return min(most, 1+int(math.Sqrt(float64(peak))*most))
}

func rows(heights []int) []string {
	blocks := []rune(" ▁▂▃▄▅▆▇█")
	lines := make([]string, waveformRows)
	for row := range lines {
		var line strings.Builder
		below := 8 * (waveformRows - 1 - row)
		for _, h := range heights {
			line.WriteRune(blocks[min(max(h-below, 0), 8)])
		}
		lines[row] = line.String()
	}
	return lines
}

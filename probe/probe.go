// Package probe examines an audio input: its format, its levels, the messages it would
// make, and its oddities.
package probe

import (
	"context"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"echocast/audio"
	"echocast/echo"
	"echocast/internal/text"
)

// Report describes one input. Levels without a finite value, such as the peak of
// silence in dBFS, are null in JSON.
type Report struct {
	Source          string   `json:"source"`
	Error           string   `json:"error,omitempty"` // why it could not be read, or not to its end
	Container       string   `json:"container,omitempty"`
	Codec           string   `json:"codec,omitempty"`
	Rate            int      `json:"rate,omitempty"` // Hz
	Channels        int      `json:"channels,omitempty"`
	Bits            int      `json:"bits,omitempty"` // of a sample, if defined
	Seconds         float64  `json:"seconds"`
	Frames          int64    `json:"frames"`
	DeclaredSeconds *float64 `json:"declared_seconds"` // according to the header
	PeakDBFS        *float64 `json:"peak_dbfs"`
	RMSDBFS         *float64 `json:"rms_dbfs"`
	LoudnessLUFS    *float64 `json:"loudness_lufs"` // of the mix, integrated
	ClippedSamples  int64    `json:"clipped_samples"`
	Offset          float64  `json:"dc_offset"` // of full scale
	LeadingSilence  float64  `json:"leading_silence_seconds"`
	TrailingSilence float64  `json:"trailing_silence_seconds"`
	PitchHz         float64  `json:"pitch_hz"` // median; 0: no voice was found
	VoicedSeconds   float64  `json:"voiced_seconds"`
	Suspicions      []string `json:"suspicions"` // guesses
	Warnings        []string `json:"warnings"`   // facts
	Plan            *Plan    `json:"plan,omitempty"`
	Verdict         string   `json:"verdict,omitempty"`

	// Wave has the peaks of the input as it would be heard.
	Wave *Waveform `json:"-"`
}

// Inspect reads the audio in r to its end and reports on it; name is its name in the
// report. o says how to read the input and m how it would be sent. If the input breaks,
// the report has the findings so far and the error. Inspect passes the samples that would
// be sent to o.OnPrepared, if set.
func Inspect(ctx context.Context, name string, r io.Reader, o audio.PrepareOptions, m Messages) (*Report, error) {
	report := &Report{Source: name, Suspicions: []string{}, Warnings: []string{}}
	watch := newMeters()
	o.OnDecoded = watch.addDecoded
	if also := o.OnPrepared; also != nil {
		o.OnPrepared = func(samples []float32) { watch.addPrepared(samples); also(samples) }
	} else {
		o.OnPrepared = watch.addPrepared
	}
	in, err := audio.Prepare(ctx, r, &o)
	if err != nil {
		return report, err
	}
	defer in.Close()
	watch.begin(in)
	report.Plan, err = MakePlan(ctx, name, in, m)
	report.fill(in, watch)
	return report, err
}

// meters measure an input twice: as it was decoded, and as it would be sent.
type meters struct {
	decoded  *audio.Levels
	order    *audio.Roughness // nil if the samples do not have 16 bits
	channels int
	sent     *audio.Levels
	loudness *audio.Loudness
	pitch    *audio.Pitch
	wave     *Waveform
}

func newMeters() *meters {
	return &meters{
		sent:     audio.NewLevels(audio.Format{Rate: echo.DefaultRate, Channels: 1}, audio.DefaultSilence),
		loudness: audio.NewLoudness(echo.DefaultRate), pitch: audio.NewPitch(echo.DefaultRate), wave: newWaveform(),
	}
}

// begin prepares for the format of the input, before anything is read.
func (m *meters) begin(in *audio.Prepared) {
	m.channels = in.Decoded().Channels
	m.decoded = audio.NewLevels(in.Decoded(), audio.DefaultSilence)
	if strings.HasPrefix(in.Info().Codec, "pcm_s16") {
		m.order = &audio.Roughness{}
	}
}

func (m *meters) addDecoded(samples []float32) {
	m.decoded.Add(samples)
	if m.order != nil {
		m.order.Add(samples, m.channels)
	}
}

func (m *meters) addPrepared(samples []float32) {
	m.sent.Add(samples)
	m.loudness.Add(samples)
	m.pitch.Add(samples)
	m.wave.add(samples)
}

func (r *Report) fill(in *audio.Prepared, m *meters) {
	info, format := in.Info(), in.Decoded()
	r.Container, r.Codec, r.Bits = info.Container, info.Codec, bitsOf(info.Codec)
	r.Rate, r.Channels = format.Rate, format.Channels
	r.Frames = m.decoded.Frames()
	r.Seconds = format.Duration(r.Frames).Seconds()
	if info.Declared >= 0 {
		declared := info.Format.Duration(info.Declared).Seconds()
		r.DeclaredSeconds = &declared
	}
	leading, trailing := m.decoded.Silence()
	r.LeadingSilence, r.TrailingSilence = format.Duration(leading).Seconds(), format.Duration(trailing).Seconds()
	r.addLevels(m)
	r.PitchHz, r.VoicedSeconds = m.pitch.Median()
	r.Suspicions = append(r.Suspicions, m.suspicions(r)...)
	for _, warning := range in.Warnings() {
		if !slices.Contains(r.Suspicions, warning) {
			r.Warnings = append(r.Warnings, warning)
		}
	}
	r.Verdict = r.verdict()
	r.Wave = m.wave
}

func (r *Report) addLevels(m *meters) {
	var peak, squares float64
	all := m.decoded.Channels()
	for _, c := range all {
		peak = max(peak, c.Peak)
		squares += c.RMS * c.RMS
		r.ClippedSamples += c.Clipped
		if math.Abs(c.Mean) > math.Abs(r.Offset) {
			r.Offset = c.Mean
		}
	}
	r.PeakDBFS = finite(audio.Decibels(peak))
	r.RMSDBFS = finite(audio.Decibels(math.Sqrt(squares / float64(len(all)))))
	r.LoudnessLUFS = finite(m.loudness.Integrated())
}

// finite returns nil for values that JSON cannot represent.
func finite(v float64) *float64 {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return nil
	}
	v = math.Round(1000*v) / 1000
	return &v
}

var bitsInCodec = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^pcm_[a-z](\d+)`) })

// bitsOf returns the width of a sample by the name of its codec; 0: none.
func bitsOf(codec string) int {
	if found := bitsInCodec().FindStringSubmatch(codec); found != nil {
		bits, _ := strconv.Atoi(found[1]) // digits
		return bits
	}
	if strings.Contains(codec, "law") {
		return 8
	}
	return 0
}

// verdict returns one sentence that says how the input would be sent.
func (r *Report) verdict() string {
	switch {
	case r.Frames == 0:
		return "echocast refuses it: it has no samples"
	case r.Plan == nil:
		return "echocast speaks what comes before the break, interrupts the replica and fails"
	}
	does := "sends it unchanged, already 24 kHz mono, in"
	switch mixes, resamples := r.Channels > 1, r.Rate != echo.DefaultRate; {
	case mixes && resamples:
		does = fmt.Sprintf("mixes its %d channels, resamples from %d to %d Hz and sends", r.Channels,
			r.Rate, echo.DefaultRate)
	case mixes:
		does = fmt.Sprintf("mixes its %d channels and sends", r.Channels)
	case resamples:
		does = fmt.Sprintf("resamples it from %d to %d Hz and sends", r.Rate, echo.DefaultRate)
	case r.Bits == 16:
		does = "sends it bit for bit, already 24 kHz mono, in"
	}
	return fmt.Sprintf("echocast %s %s of at most %.0f ms", does, text.Count(r.Plan.Messages, "message"),
		1000*r.Plan.ChunkSeconds)
}

// suspicions returns guesses from the samples.
func (m *meters) suspicions(r *Report) (all []string) {
	add := func(text string) {
		if text != "" {
			all = append(all, text)
		}
	}
	add(m.suspectOrder())
	add(suspectRate(r))
	add(m.suspectChannels())
	add(m.suspectLevel(r))
	if math.Abs(r.Offset) > 0.02 {
		add(fmt.Sprintf("the samples are off centre by %.1f %% of full scale, which clicks at the ends", 100*r.Offset))
	}
	return all
}

func (m *meters) suspectOrder() string {
	if m.order == nil {
		return ""
	}
	asRead, swapped, shifted := m.order.Ratios()
	switch m.order.Order() {
	case audio.OrderSwapped:
		return fmt.Sprintf("%s the bytes of the samples are swapped (most significant first): roughness %.2f "+
			"as read, %.2f swapped, where 2 is noise", surely(asRead/swapped), asRead, swapped)
	case audio.OrderShifted:
		return fmt.Sprintf("%s a byte is missing or added at the start: roughness %.2f as read, %.2f a byte "+
			"further, where 2 is noise", surely(asRead/shifted), asRead, shifted)
	}
	return ""
}

func surely(times float64) string {
	if times > 5 {
		return "very likely"
	}
	return "perhaps"
}

// suspectRate judges the rate by the pitch of the voice. Because a man's voice at twice its
// rate sounds like a woman's, half of the mistakes are not found.
func suspectRate(r *Report) string {
	if r.VoicedSeconds < 0.5 || r.PitchHz >= audio.LowestPitch && r.PitchHz <= audio.HighestPitch {
		return ""
	}
	var fit []string
	for _, rate := range []int{8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000} {
		if pitch := r.PitchHz * float64(rate) / float64(r.Rate); pitch >= 85 && pitch <= 255 {
			fit = append(fit, strconv.Itoa(rate))
		}
	}
	text := fmt.Sprintf("perhaps the rate is not %d Hz: a median pitch of %.0f Hz is unusual for speech",
		r.Rate, r.PitchHz)
	if len(fit) > 0 {
		text += "; it would be usual at " + strings.Join(fit, ", ") + " Hz"
	}
	return text + " (a guess)"
}

func (m *meters) suspectChannels() string {
	all := m.decoded.Channels()
	if len(all) != 2 {
		return ""
	}
	return audio.ChannelFault([2]float32{float32(all[0].Peak), float32(all[1].Peak)}, [2]float64{all[0].RMS, all[1].RMS},
		m.sent.Channels()[0].RMS)
}

// suspectLevel reports an input that is all silent, or has many clipped samples.
func (m *meters) suspectLevel(r *Report) string {
	const few = 1000 // one clipped sample in so many is not audible
	peak := 0.0
	for _, c := range m.decoded.Channels() {
		peak = max(peak, c.Peak)
	}
	samples := r.Frames * int64(r.Channels)
	switch {
	case samples > 0 && peak < audio.Amplitude(audio.DefaultSilence):
		return "all of it is silent"
	case r.ClippedSamples*few > samples:
		return fmt.Sprintf("%.1f %% of the samples are clipped: it was recorded or converted too loud",
			100*float64(r.ClippedSamples)/float64(samples))
	}
	return ""
}

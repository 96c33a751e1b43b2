package probe

import (
	"fmt"
	"math"
	"strings"

	"echocast/audio"
	"echocast/internal/text"
)

// WaveIndent is the indent of a report's waveform in columns.
const WaveIndent = 12

// Text returns the report for people, one finding per line, with a waveform of width
// columns if width is not 0. It is empty if the input could not be opened.
func (r *Report) Text(width int) string {
	if r.Container == "" {
		return ""
	}
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-9s %s\n", name, text.Printable(fmt.Sprintf(format, args...)))
	}
	fmt.Fprintf(&b, "%s\n", text.Printable(r.Source))
	line("input", "%s", r.format())
	line("length", "%s", r.length())
	line("level", "peak %s, RMS %s, loudness %s", decibels(r.PeakDBFS, "dBFS"), decibels(r.RMSDBFS, "dBFS"),
		decibels(r.LoudnessLUFS, "LUFS"))
	line("clipped", "%s; offset %.4f of full scale", text.Count(int(r.ClippedSamples), "sample"), r.Offset)
	line("silence", "%.3f s at the start, %.3f s at the end", r.LeadingSilence, r.TrailingSilence)
	if r.VoicedSeconds > 0 {
		line("voice", "median pitch about %.0f Hz, voiced %.1f s", r.PitchHz, r.VoicedSeconds)
	}
	if p := r.Plan; p != nil {
		line("messages", "%d of %.0f ms, at most %d bytes each, %d in all, %.0f kbit/s in real time", p.Messages,
			1000*p.ChunkSeconds, p.MessageBytes, p.Bytes, p.BitsPerSecond/1000)
	}
	for _, row := range r.Wave.Render(width) {
		fmt.Fprintf(&b, "%*s%s\n", WaveIndent, "", row)
	}
	for _, warning := range r.Warnings {
		line("note", "%s", warning)
	}
	for _, suspicion := range r.Suspicions {
		line("suspect", "%s", suspicion)
	}
	line("echocast", "%s", strings.TrimPrefix(r.Verdict, "echocast "))
	return b.String()
}

// Caption returns the two lines above a picture of the input: its name, and its
// description.
func (r *Report) Caption() (title, line string) {
	peak, loudness := decibels(r.PeakDBFS, "dBFS"), decibels(r.LoudnessLUFS, "LUFS")
	line = fmt.Sprintf("%.3f s  ·  %s  ·  peak %s  ·  loudness %s", r.Seconds, r.format(), peak, loudness)
	return text.Printable(r.Source), text.Printable(line)
}

func (r *Report) format() string {
	line := fmt.Sprintf("%s, %s, %v", r.Container, r.Codec, audio.Format{Rate: r.Rate, Channels: r.Channels})
	if r.Bits > 0 {
		line += fmt.Sprintf(", %d bits", r.Bits)
	}
	return line
}

func (r *Report) length() string {
	line := fmt.Sprintf("%.3f s, %d frames", r.Seconds, r.Frames)
	switch {
	case r.Container == "raw":
		return line
	case r.DeclaredSeconds == nil:
		return line + "; length not stated in the file"
	case math.Abs(*r.DeclaredSeconds-r.Seconds)*float64(r.Rate) < 0.5:
		return line + ", as its header says"
	}
	return line + fmt.Sprintf("; its header says %.3f s", *r.DeclaredSeconds)
}

func decibels(v *float64, unit string) string {
	if v == nil {
		return "none"
	}
	return fmt.Sprintf("%.1f %s", *v, unit)
}

// Text returns the plan for people, one fact per line.
func (p *Plan) Text() string {
	lines := fmt.Sprintf(`%s
  input     %s, %s, %s
  length    %.3f s, %d samples at %d Hz
  messages  %d of %.0f ms, at most %d bytes each, %d in all
  bandwidth %.0f kbit/s in real time
  first     %s
`, text.Printable(p.Source), p.Container, p.Codec, audio.Format{Rate: p.Rate, Channels: p.Channels},
		p.Seconds, p.Samples, int(math.Round(float64(p.Samples)/p.Seconds)),
		p.Messages, 1000*p.ChunkSeconds, p.MessageBytes, p.Bytes, p.BitsPerSecond/1000, p.FirstMessage)
	if p.MaxSeconds > 0 {
		lines += fmt.Sprintf("  limit     an input of more than %.0f s is not spoken to its end\n", p.MaxSeconds)
	}
	if p.ClippedSamples > 0 {
		lines += fmt.Sprintf("  clipped   %d samples\n", p.ClippedSamples)
	}
	for _, warning := range p.Warnings {
		lines += "  note      " + text.Printable(warning) + "\n"
	}
	return lines
}

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"echocast/audio"
	"echocast/echo"
	"echocast/internal/terminal"
	"echocast/probe"
)

// probeCmd is the probe command.
type probeCmd struct {
	settings settings
	streams  Streams
}

func probeCommand(streams Streams) *cli.Command {
	p := &probeCmd{streams: streams}
	// The plan in the report is that of send without options.
	p.settings.conversation, p.settings.pace, p.settings.lead, p.settings.maxMessage = "local", string(echo.LeadMode), echo.DefaultLead, echo.DefaultMaxMessage
	return &cli.Command{
		Name:      "probe",
		Usage:     "report what the inputs are, how loud they are, and what is odd about them",
		UsageText: "echocast probe [OPTIONS] INPUT...\n\n   echocast probe speech.mp3\n   tts | echocast probe --preset openai -",
		Description: helpInputs + `

Each input is read once, to its end. A line that begins with "suspect" is a guess.`,
		Flags: append(p.settings.inputFlags(), &cli.BoolFlag{Name: "json", Destination: &p.settings.json, Usage: "print one JSON object a line"}),
		Action: func(c *cli.Context) error {
			return p.run(c.Context, c.Args().Slice())
		},
	}
}

// said is an error that was printed already.
type said struct{ error }

func (s said) Unwrap() error { return s.error }

// run probes every input, also after one that cannot be read.
func (p *probeCmd) run(ctx context.Context, names []string) error {
	if err := p.settings.check(names); err != nil {
		return err
	}
	if slices.Contains(names, stdinName) {
		if err := p.settings.checkInput(ctx, stdinName, p.streams.In); err != nil {
			return err // the others are reported one by one
		}
	}
	messages, err := p.settings.messages()
	if err != nil {
		return err
	}
	stdin, restore := endReads(ctx, p.streams.In)
	defer restore()
	var failed error
	for _, name := range names {
		report, err := p.inspect(ctx, name, stdin, messages)
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err != nil {
			report.Error = err.Error()
			failed = said{err}
			fmt.Fprintf(p.streams.Err, "echocast: %s\n", printable(err.Error()))
		}
		if err := p.print(report); err != nil {
			return err
		}
	}
	return failed
}

func (p *probeCmd) inspect(ctx context.Context, name string, stdin io.Reader, messages probe.Messages) (*probe.Report, error) {
	in, err := openFile(name, stdin)
	if err != nil {
		return &probe.Report{Source: name, Suspicions: []string{}, Warnings: []string{}}, err
	}
	defer in.close()
	report, err := probe.Inspect(ctx, name, in.reader, p.settings.prepare, messages)
	return report, in.refused(err)
}

func (p *probeCmd) print(r *probe.Report) error {
	text := reportText(r, waveWidth(p.streams.Out))
	if p.settings.json {
		line, _ := json.Marshal(r) // finite numbers and strings always marshal
		text = string(line) + "\n"
	}
	if _, err := io.WriteString(p.streams.Out, text); err != nil {
		return stdoutError{err}
	}
	return nil
}

// waveWidth is how wide a waveform may be where out is a terminal that can show
// one, else 0. There is no colour in it, so NO_COLOR changes nothing.
func waveWidth(out io.Writer) int {
	if !terminal.Is(out) || os.Getenv("TERM") == "dumb" {
		return 0
	}
	width, _, err := term.GetSize(int(out.(*os.File).Fd()))
	if err != nil {
		return 0
	}
	return max(width-len(probeIndent)-1, 0)
}

const probeIndent = "            "

// reportText is the report for people; empty where the input could not be opened.
func reportText(r *probe.Report, width int) string {
	if r.Container == "" {
		return ""
	}
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %-9s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	fmt.Fprintf(&b, "%s\n", printable(r.Source))
	line("input", "%s", reportFormat(r))
	line("length", "%s", reportLength(r))
	line("level", "peak %s, RMS %s, loudness %s", decibels(r.PeakDBFS, "dBFS"), decibels(r.RMSDBFS, "dBFS"), decibels(r.LoudnessLUFS, "LUFS"))
	line("clipped", "%s; offset %.4f of full scale", counted(int(r.ClippedSamples), "sample"), r.Offset)
	line("silence", "%.3f s in front, %.3f s behind", r.LeadingSilence, r.TrailingSilence)
	if r.VoicedSeconds > 0 {
		line("voice", "median pitch about %.0f Hz, voiced %.1f s", r.PitchHz, r.VoicedSeconds)
	}
	if p := r.Plan; p != nil {
		line("messages", "%d of %.0f ms, at most %d bytes each, %d in all, %.0f kbit/s in real time", p.Messages, 1000*p.ChunkSeconds, p.MessageBytes, p.Bytes, p.BitsPerSecond/1000)
	}
	for _, row := range r.Wave.Render(width) {
		fmt.Fprintf(&b, "%s%s\n", probeIndent, row)
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

func reportFormat(r *probe.Report) string {
	text := fmt.Sprintf("%s, %s, %v", r.Container, r.Codec, audio.Format{Rate: r.Rate, Channels: r.Channels})
	if r.Bits > 0 {
		text += fmt.Sprintf(", %d bits", r.Bits)
	}
	return text
}

func reportLength(r *probe.Report) string {
	text := fmt.Sprintf("%.3f s, %d frames", r.Seconds, r.Frames)
	switch {
	case r.Container == "raw":
		return text
	case r.DeclaredSeconds == nil:
		return text + "; length not stated in the file"
	case math.Abs(*r.DeclaredSeconds-r.Seconds)*float64(r.Rate) < 0.5:
		return text + ", as its header says"
	}
	return text + fmt.Sprintf("; its header says %.3f s", *r.DeclaredSeconds)
}

func decibels(v *float64, unit string) string {
	if v == nil {
		return "none"
	}
	return fmt.Sprintf("%.1f %s", *v, unit)
}

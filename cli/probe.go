package cli

import (
	"cmp"
	"context"
	"io"
	"os"
	"slices"

	"github.com/urfave/cli/v2"

	"echocast/echo"
	"echocast/internal/option"
	"echocast/internal/outfile"
	"echocast/internal/output"
	"echocast/internal/redact"
	"echocast/internal/terminal"
	"echocast/probe"
	"echocast/probe/picture"
	"echocast/speak"
)

// probeCmd is the probe command.
type probeCmd struct {
	settings settings
	streams  Streams
	draws    bool
	png, svg string // files
}

func probeCommand(streams Streams) *cli.Command {
	p := &probeCmd{streams: streams}
	// The plan in the report is that of send without options.
	p.settings.conversation, p.settings.pace, p.settings.lead, p.settings.maxMessage = "local", string(echo.LeadMode),
		echo.DefaultLead, echo.DefaultMaxMessage
	return &cli.Command{
		Name:  "probe",
		Usage: "report the format, the loudness and likely faults of the inputs",
		UsageText: "echocast probe [OPTIONS] INPUT...\n\n   echocast probe speech.mp3\n   echocast probe " +
			"--png speech.png speech.mp3\n   tts | echocast probe --preset openai -",
		Description: helpInputs + `

Each input is read once, to its end. A line that begins with "suspect" is a guess.`,
		Flags: append(p.settings.inputFlags(),
			option.Bool(&p.settings.json, "json", "print one JSON object a line"),
			option.Bool(&p.draws, "draw", "draw the waveform even if stdout is not a terminal"),
			option.New(&p.png, "png", "", "draw the waveform and the spectrogram of the input in `FILE`, as PNG"),
			option.New(&p.svg, "svg", "", "draw them in `FILE` as SVG"),
		),
		Action: option.WithInputs(p.run),
	}
}

// run probes every input, also after one that cannot be read.
func (p *probeCmd) run(ctx context.Context, names []string) error {
	if err := cmp.Or(p.settings.check(names), p.checkPictures(names)); err != nil {
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
	stdin, restore := terminal.ReadUntil(ctx, p.streams.In)
	defer restore()
	var failed error
	for _, name := range names {
		report, err := p.inspect(ctx, name, stdin, messages)
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if err != nil {
			report.Error = redact.Hide(err.Error())
			failed = &output.PrintedError{Err: err}
			p.streams.Warn("%s", err.Error())
		}
		if err := p.print(report); err != nil {
			return err
		}
	}
	return failed
}

func (p *probeCmd) inspect(ctx context.Context, name string, stdin io.Reader,
	messages probe.Messages) (*probe.Report, error) {
	in, err := speak.OpenReader(name, stdin)
	if err != nil {
		return &probe.Report{Source: name, Suspicions: []string{}, Warnings: []string{}}, err
	}
	defer in.Close()
	drawn, options := picture.New(echo.DefaultRate), p.settings.prepare
	if p.png != "" || p.svg != "" {
		options.OnPrepared = drawn.Add
	}
	report, err := probe.Inspect(ctx, name, in.Reader, options, messages)
	if !drawn.IsEmpty() {
		if err := cmp.Or(p.drawTo(p.png, drawn.WritePNG, report), p.drawTo(p.svg, drawn.WriteSVG, report)); err != nil {
			return report, err
		}
	}
	return report, explained(in.Refused(err))
}

func (p *probeCmd) checkPictures(names []string) error {
	if (p.png != "" || p.svg != "") && len(names) != 1 {
		return usagef("--png and --svg draw one input, and there are %d", len(names))
	}
	return cmp.Or(outfile.CheckEnding("--png", p.png, ".png"), outfile.CheckEnding("--svg", p.svg, ".svg"),
		outfile.CheckAll(map[string]string{"--png": p.png, "--svg": p.svg}, names))
}

// drawTo writes a picture to a file, if one is named.
func (p *probeCmd) drawTo(name string, write func(w io.Writer, title, line string) error, r *probe.Report) error {
	if name == "" {
		return nil
	}
	title, line := r.Caption()
	return named(name, outfile.Write(name, func(w io.Writer) error { return write(w, title, line) }))
}

func (p *probeCmd) print(r *probe.Report) error {
	return p.settings.printOne(p.streams.Out, r, r.Text(p.waveWidth()))
}

// waveWidth returns the width of the waveform, or 0 if none is asked for or stdout cannot show
// one.
func (p *probeCmd) waveWidth() int {
	if !p.draws && (!terminal.Is(p.streams.Out) || os.Getenv("TERM") == "dumb") {
		return 0
	}
	return max(terminal.Columns(p.streams.Out)-probe.WaveIndent-1, 0)
}

package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

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
	p.settings.conversation, p.settings.pace, p.settings.lead, p.settings.maxMessage = "local", string(echo.LeadMode),
		echo.DefaultLead, echo.DefaultMaxMessage
	return &cli.Command{
		Name:  "probe",
		Usage: "report what the inputs are, how loud they are, and what is odd about them",
		UsageText: "echocast probe [OPTIONS] INPUT...\n\n   echocast probe speech.mp3\n   tts | echocast " +
			"probe --preset openai -",
		Description: helpInputs + `

Each input is read once, to its end. A line that begins with "suspect" is a guess.`,
		Flags: append(p.settings.inputFlags(), boolOption(&p.settings.json, "json", "print one JSON object a line")),
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
			report.Error = hidden(err.Error())
			failed = said{err}
			fmt.Fprintf(p.streams.Err, "echocast: %s\n", forPeople(err.Error()))
		}
		if err := p.print(report); err != nil {
			return err
		}
	}
	return failed
}

func (p *probeCmd) inspect(ctx context.Context, name string, stdin io.Reader,
	messages probe.Messages) (*probe.Report, error) {
	in, err := openFile(name, stdin)
	if err != nil {
		return &probe.Report{Source: name, Suspicions: []string{}, Warnings: []string{}}, err
	}
	defer in.close()
	report, err := probe.Inspect(ctx, name, in.reader, p.settings.prepare, messages)
	return report, in.refused(err)
}

func (p *probeCmd) print(r *probe.Report) error {
	return p.settings.printOne(p.streams.Out, r, r.Text(waveWidth(p.streams.Out)))
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
	return max(width-probe.WaveIndent-1, 0)
}

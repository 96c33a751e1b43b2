package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/bench/voice"
	"echocast/echo"
	"echocast/internal/option"
	"echocast/internal/output"
	"echocast/internal/redact"
	"echocast/internal/terminal"
)

// benchTTSCmd is the bench tts command.
type benchTTSCmd struct {
	benchCmd // what it prints, and how
	settings settings
	runs     int
	text     string
	timeout  time.Duration
}

// mostRuns is the largest value of --runs.
const mostRuns = 100_000

func benchTTSCommand(streams Streams) *cli.Command {
	b := &benchTTSCmd{benchCmd: benchCmd{streams: streams}}
	// Nothing is sent, but settings are checked as if it were.
	b.settings.pace, b.settings.lead = string(echo.LeadMode), echo.DefaultLead
	b.settings.maxMessage = echo.DefaultMaxMessage
	return &cli.Command{
		Name:  "tts",
		Usage: "measure a voice: first audio, speed, gaps, and the lead that it needs",
		UsageText: "echocast bench tts [OPTIONS] -- COMMAND [ARGUMENT...]\n\n" +
			"   echocast bench tts -- espeak-ng --stdout \"Hello there\"\n" +
			"   echocast bench tts --runs 200 --text lines.txt -f s16le --rate 24000 --channels 1 -- 'my-tts --raw'",
		Description: `A COMMAND prints audio; one word alone is a line of the shell. It is run again and
again, and each run is an utterance. The lead is how long a listener has to wait
after the first audio so that no gap follows; echocast estimates the one that all
but one in a thousand utterances need. docs/voice-ci.md says how.`,
		Flags: append(b.settings.inputFlags(),
			option.New(&b.runs, "runs", 20, "run the command `N` times"),
			option.New(&b.text, "text", "", "write this `TEXT`, or the lines of the file of this name in turn, to the standard "+
				"input of the command (default: nothing)"),
			option.New(&b.timeout, "timeout", time.Minute, "a run that takes more than this `TIME` has failed"),
			option.Bool(&b.json, "json", "print each run, and at the end the summary, as a JSON line on stdout"),
			option.Quiet(&b.quiet),
		),
		Action: func(c *cli.Context) error {
			return b.run(c.Context, c.Args().Slice())
		},
	}
}

func (b *benchTTSCmd) run(ctx context.Context, command []string) error {
	switch {
	case len(command) == 0:
		return usagef("name a command that prints audio, such as: echocast bench tts -- espeak-ng --stdout hello")
	case b.runs < 1 || b.runs > mostRuns:
		return usagef("--runs %d: at least 1, at most %d", b.runs, mostRuns)
	case b.timeout <= 0:
		return usagef("--timeout must be more than 0")
	}
	if err := b.settings.check([]string{stdinName}); err != nil {
		return err
	}
	text, err := readText(b.text)
	if err != nil {
		return err
	}
	var texts []string
	if text = strings.TrimSpace(text); text != "" {
		texts = strings.SplitAfter(text, "\n")
	}
	measured := voice.Command(command, texts)
	measured.Options, measured.Timeout = &b.settings.prepare, b.timeout
	return b.measure(ctx, measured)
}

// measure does all runs, or as many as it can until ctx ends, and prints the result.
func (b *benchTTSCmd) measure(ctx context.Context, v *voice.Voice) error {
	progress := terminal.NewProgress(b.streams.Err, b.quiet)
	progress.Show("run 1 of %d", b.runs)
	runs, cause := v.MeasureAll(ctx, b.runs, func(run voice.Run) error {
		progress.Clear()
		if run.Error != "" {
			b.say("run %d: %s", run.Number, redact.Hide(run.Error))
		}
		if run.Number < b.runs {
			progress.Show("run %d of %d", run.Number+1, b.runs)
		}
		if b.json {
			return output.JSON(b.streams.Out, run)
		}
		return nil
	})
	progress.Clear()
	if errors.As(cause, new(*output.Error)) {
		return cause
	}
	summary := voice.Summarise(runs)
	b.settings.json = b.json
	if err := b.settings.printOne(b.streams.Out, summary, summary.Text()); err != nil || cause != nil {
		return cmp.Or(err, cause)
	}
	if summary.Failed > 0 {
		return inputError("the voice", fmt.Errorf("%d of %s failed", summary.Failed, counted(summary.Runs, "run")))
	}
	return nil
}

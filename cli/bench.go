package cli

import (
	"cmp"
	"context"
	"runtime"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/bench/load"
	"echocast/internal/collector"
	"echocast/internal/option"
	"echocast/internal/output"
	"echocast/internal/terminal"
)

// longestBench is the longest time of one case in seconds.
const longestBench = 60.0

// benchCmd is the bench command.
type benchCmd struct {
	streams  Streams
	seconds  float64
	json     bool
	quiet    bool
	together bool // receive in this process too
}

func benchCommand(streams Streams) *cli.Command {
	b := &benchCmd{streams: streams}
	return &cli.Command{
		Name:  "bench",
		Usage: "measure how fast messages are built on this machine",
		UsageText: "echocast bench [OPTIONS]\n\n   echocast bench\n   echocast bench --chunk 20ms,60ms " +
			"--rate 44100 --json\n   echocast bench --streams 1,10,50 --seconds 5\n   echocast bench tts -- my-tts --stdout",
		Description: `echocast cuts samples in memory into chunks and encodes them into messages, on one
core, without a connection. It resamples samples at another rate than 24000 Hz
first. MB/s counts the samples that go in, as float32. Ctrl-C ends the bench and
prints the results so far.

--streams measures conversations instead: each has its own peer connection
on this machine and speaks 20 messages a second, with the usual lead. A message is
late by the time from when it is due to when the connection accepts it. Another
process receives, checks every byte and the order, and counts underruns. auto
finds the largest number of streams that run with no underrun and with 99 of 100
messages at most 5 ms late. It searches five times, prints the median and the spread,
and takes about five minutes.`,
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "chunk", DefaultText: "20ms,50ms,100ms",
				Usage: "playing `TIME` of a message"},
			&cli.IntSliceFlag{Name: "rate", DefaultText: "24000, and the usual rates at 50ms",
				Usage: "sampling rate of the samples in `HZ`"},
			option.New(&b.seconds, "seconds", 1, "measure each case for this many `SECONDS`; 5 with --streams"),
			&cli.StringFlag{Name: "streams", Usage: "measure `N` conversations at the same time: a number, N,N,..., or auto"},
			option.Bool(&b.together, "together", "with --streams: receive in the same process"),
			&cli.BoolFlag{Name: "receive", Hidden: true, Usage: "run as the process that receives"},
			option.Bool(&b.json, "json", "print each result as a JSON line on stdout"),
			option.Quiet(&b.quiet),
		},
		Subcommands: []*cli.Command{benchTTSCommand(streams)},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("bench takes no inputs, such as %q", c.Args().First())
			}
			if c.Bool("receive") {
				collector.Set(receiveGarbage)
				return load.Receive(b.streams.In, output.Writer(b.streams.Out))
			}
			if !c.IsSet("streams") && b.together {
				return usagef("--together needs --streams")
			}
			if !c.IsSet("streams") {
				return b.run(c.Context, c.StringSlice("chunk"), c.IntSlice("rate"))
			}
			if c.IsSet("chunk") || c.IsSet("rate") {
				return usagef("--streams cannot be combined with --chunk or --rate; leave them out")
			}
			if !c.IsSet("seconds") {
				b.seconds = streamSeconds
			}
			return b.runStreams(c.Context, c.String("streams"))
		},
	}
}

func (b *benchCmd) say(format string, args ...any) {
	if !b.quiet {
		b.streams.Warn(format, args...)
	}
}

func (b *benchCmd) checkSeconds() error {
	if !(b.seconds > 0 && b.seconds <= longestBench) {
		return usagef("--seconds %g: more than 0, at most %g", b.seconds, longestBench)
	}
	return nil
}

func (b *benchCmd) run(ctx context.Context, chunks []string, rates []int) error {
	if err := b.checkSeconds(); err != nil {
		return err
	}
	cases, err := load.Cases(chunks, rates)
	if err != nil {
		return usagef("%v", err)
	}
	b.say("%s, %s, %s/%s, one of %s", Version, runtime.Version(), runtime.GOOS, runtime.GOARCH,
		counted(runtime.NumCPU(), "core"))
	results, err := load.MeasureAll(ctx, cases, time.Duration(b.seconds*float64(time.Second)),
		terminal.NewProgress(b.streams.Err, b.quiet), func(r load.CaseResult) error {
			if b.json { // the table follows at the end
				return output.JSON(b.streams.Out, r)
			}
			return nil
		})
	if !b.json && len(results) > 0 {
		err = cmp.Or(output.Text(b.streams.Out, load.Table(results, load.StyleOf(b.streams.Out))), err)
	}
	return err
}

package cli

import (
	"context"
	"os"
	"runtime"

	"echocast/bench/load"
	"echocast/internal/collector"
	"echocast/internal/output"
	"echocast/internal/shutdown"
)

// The settings of bench --streams.
const (
	streamSeconds  = 5.0 // if --seconds is not given
	sendGarbage    = 60  // GOGC: with the usual value, the collector takes a third of the time
	receiveGarbage = 200 // the memory of the receiving process is not measured
)

// runStreams measures a number of conversations at the same time, or finds out how many this
// machine can hold.
func (b *benchCmd) runStreams(ctx context.Context, text string) error {
	counts, err := load.Counts(text)
	if err != nil {
		return usagef("%v", err)
	}
	if err := b.checkSeconds(); err != nil {
		return err
	}
	bench := &load.Bench{Seconds: b.seconds}
	if !b.together {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		bench.Program = []string{self, "bench", "--receive"}
	}
	b.say("%s, %s, %s/%s, %s", Version, runtime.Version(), runtime.GOOS, runtime.GOARCH, counted(runtime.NumCPU(), "core"))
	if !b.json {
		if err := output.Text(b.streams.Out, load.ResultHead); err != nil {
			return err
		}
	}
	collector.Set(sendGarbage)
	if err := bench.WarmUp(ctx); err != nil {
		return shutdown.Cause(ctx, err)
	}
	most, err := bench.RunAll(ctx, counts, b.printStreams)
	if err == nil && counts == nil {
		b.say("this machine holds %s with 99 of 100 messages no later than %v and no underrun; searches found %d to %d",
			counted(most.Median, "stream"), load.MaxLateness, most.Least, most.Greatest)
	}
	return shutdown.Cause(ctx, err)
}

func (b *benchCmd) printStreams(r load.Result) error {
	if b.json {
		return output.JSON(b.streams.Out, r)
	}
	return output.Text(b.streams.Out, r.Line())
}

// Echocast speaks audio through a live video replica in echo mode.
//
// This file is the entry: streams, signals and the exit code. The commands are
// in package cli.
package main

import (
	"context"
	"os"
	"runtime/debug"

	"echocast/cli"
)

func main() {
	os.Exit(run())
}

// thrift lets the collector run when a quarter is added to what is in use, where
// the user did not say otherwise with GOGC. What is in use is a few buffers, so
// that costs nothing that can be measured, and an hour of audio takes four
// megabytes less.
const thrift = 25

func run() int {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(thrift)
	}
	ctx, stop := cli.WithSignals(context.Background())
	defer stop()
	return cli.Run(ctx, os.Args, cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
}

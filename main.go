// Echocast speaks audio through a live video replica in echo mode.
//
// This file is the entry: streams, signals and the exit code. The commands are
// in package cli.
package main

import (
	"context"
	"os"

	"echocast/cli"
)

func main() {
	os.Exit(run())
}

func run() int {
	ctx, stop := cli.WithSignals(context.Background())
	defer stop()
	return cli.Run(ctx, os.Args, cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
}

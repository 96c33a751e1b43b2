// Command avatar stands in for an avatar worker in a LiveKit room, so that a
// sender can be tried without one:
//
//	go run ./rtc/livekit/livekittest/cmd/avatar -secret … -room demo-room
package main

import (
	"context"
	"os"
	"os/signal"

	"echocast/rtc/livekit/livekittest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := livekittest.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

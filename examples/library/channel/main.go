// Channel speaks samples that arrive on a channel, and interrupts them: channel ADDRESS
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"echocast/echo"
	"echocast/room"
	_ "echocast/room/peer"
)

func main() {
	joined := must(room.Join(context.Background(), os.Args[1], nil))
	defer joined.Close()
	session := must(echo.NewSession(joined.Stage(), nil))
	samples := make(chan []float32, 1)
	samples <- make([]float32, 10*echo.DefaultRate) // more may follow until it is closed
	time.AfterFunc(time.Second, func() { _ = session.Interrupt(context.Background(), nil) })
	fmt.Println(session.Speak(context.Background(), echo.FromChannel(samples)))
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

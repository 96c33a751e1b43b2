// File speaks a file in a room: file ADDRESS FILE
package main

import (
	"context"
	"encoding/json"
	"os"

	"echocast/audio"
	"echocast/echo"
	"echocast/room"
	_ "echocast/room/daily"
	_ "echocast/room/peer"
)

func main() {
	ctx := context.Background()
	joined := must(room.Join(ctx, os.Args[1], nil))
	defer joined.Close()
	session := must(echo.NewSession(joined.Stage(), nil))
	in := must(audio.Prepare(ctx, must(os.Open(os.Args[2])), nil))
	_ = json.NewEncoder(os.Stdout).Encode(must(session.Speak(ctx, echo.Speech{Samples: in})))
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

package room_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"sync"

	"echocast/audio"
	"echocast/echo"
	"echocast/room"
	_ "echocast/room/daily"
	_ "echocast/room/peer"
	"echocast/room/roomtest"
)

// A file is spoken in a Daily room, such as a Tavus conversation_url; any other
// room is joined in the same way.
func ExampleJoin() {
	ctx := context.Background()
	r, err := room.Join(ctx, "https://tavus.daily.co/c0123456789abcdef", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	session, err := echo.NewSession(r.Stage(), &echo.Options{Redial: r.Rejoin})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	file, err := os.Open("speech.mp3")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	in, err := audio.Prepare(ctx, file, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer in.Close()
	receipt, err := session.Speak(ctx, echo.Speech{Samples: in})
	fmt.Println(receipt.Outcome, receipt.SpokenSeconds, err)
}

// Samples that come by a channel are interrupted. The room is one in memory.
func ExampleJoin_channel() {
	ctx := context.Background()
	open := roomtest.Open(nil)
	defer open.Close()
	r, err := room.Join(ctx, open.Address, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	started := make(chan struct{})
	start := sync.OnceFunc(func() { close(started) })
	session, err := echo.NewSession(r.Stage(), &echo.Options{OnEvent: func(e echo.Event) {
		if e.Kind == echo.StartedSpeaking {
			start()
		}
	}})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	samples := make(chan []float32, 1)
	samples <- make([]float32, 10*echo.DefaultRate)
	go func() {
		<-started
		_ = session.Interrupt(ctx, nil)
	}()
	receipt, err := session.Speak(ctx, echo.FromChannel(samples))
	fmt.Println(receipt.Outcome, err)
	// Output: interrupted interrupted
}

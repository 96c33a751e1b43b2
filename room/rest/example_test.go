package rest_test

import (
	"context"
	"log"
	"os"

	"echocast/audio"
	"echocast/echo"
	"echocast/room"
	"echocast/room/rest"
	"echocast/tavus"
)

// A file is spoken in a conversation of Tavus with an API key and nothing else.
func Example() {
	ctx := context.Background()
	key, err := tavus.NewKey(os.Getenv("TAVUS_API_KEY"))
	if err != nil {
		log.Fatal(err)
	}
	backend := &rest.Backend{Client: &tavus.Client{Key: key}}
	joined, err := room.Join(ctx, "tavus:c0123456789abcdef", &room.Options{Backend: backend})
	if err != nil {
		log.Fatal(err)
	}
	defer joined.Close()
	session, err := echo.NewSession(joined.Stage(), &echo.Options{Redial: joined.Rejoin, SendTimeout: rest.SendTimeout})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	file, err := os.Open("speech.wav")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	speech, err := audio.Prepare(ctx, file, nil)
	if err != nil {
		log.Fatal(err)
	}
	receipt, err := session.Speak(ctx, echo.Speech{Samples: speech})
	log.Print(receipt.Outcome, receipt.SpokenSeconds, err)
}

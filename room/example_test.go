package room_test

import (
	"context"
	"log"

	"echocast/echo"
	"echocast/room"
	_ "echocast/room/daily"
)

// A Daily room, such as a Tavus conversation_url, is joined like any other.
func ExampleJoin() {
	r, err := room.Join(context.Background(), "https://tavus.daily.co/c0123456789abcdef", &room.Options{
		Conversation: "c0123456789abcdef",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	session, err := echo.NewSession(r.Stage(), &echo.Options{Redial: r.Rejoin})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
}

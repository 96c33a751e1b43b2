package converse_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"echocast/converse"
	"echocast/echo"
	"echocast/replica"
	"echocast/room"
	"echocast/room/roomtest"
)

// A room in memory takes the place of a real one: its user asks once.
func ExampleRun() {
	script, err := replica.ParseScript(strings.NewReader(`{"event":{"message_type":"conversation",` +
		`"event_type":"conversation.utterance","properties":{"role":"user","speech":"Who is there?"}}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	test := roomtest.Open(&replica.Options{Script: script})
	defer test.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	joined, err := room.Join(ctx, test.Address, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer joined.Close()
	session, err := echo.NewSession(joined.Stage(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()
	err = converse.Run(ctx, session, converse.Options{
		OnUtterance: `read -r words; echo "You asked: $words"`,
		TTS:         "cat >/dev/null; head -c 22094 ../testdata/speech.wav",
		Count:       1,
		OnNote: func(n converse.Note) {
			if n.Kind == converse.NoteReply {
				fmt.Println(n.Text)
			}
		},
	})
	if err != nil {
		fmt.Println(err)
	}
	// Output: You asked: Who is there?
}

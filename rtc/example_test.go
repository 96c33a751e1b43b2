package rtc_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"echocast/rtc"
)

// A replica that prints what it is told, and a sender that says two things and
// leaves.
func Example() {
	ctx := context.Background()
	l, err := rtc.Listen("127.0.0.1:0", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()

	sender, err := rtc.Dial(ctx, l.URL(), &rtc.Options{CloseTimeout: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	replica, err := l.Accept(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer replica.Close()

	for _, msg := range []string{"good morning", "goodbye"} {
		if err := sender.Send(ctx, []byte(msg)); err != nil {
			log.Fatal(err)
		}
	}
	if err := sender.Close(); err != nil {
		log.Fatal(err)
	}
	for {
		msg, err := replica.Receive(ctx)
		if errors.Is(err, rtc.ErrPeerGone) {
			fmt.Println("the sender has left")
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", msg)
	}
	// Output:
	// good morning
	// goodbye
	// the sender has left
}

package echo_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"echocast/audio"
	"echocast/echo"
	"echocast/replica"
)

// enter is the room of these examples: a stand-in replica at the other end of a
// connection in memory. rtc.Dial connects to one in another program.
func enter(options replica.Options) (conn echo.Conn, leave func() replica.Report) {
	ctx, stop := context.WithCancel(context.Background())
	there, back := make(chan []byte), make(chan []byte)
	report := make(chan replica.Report, 1)
	go func() {
		heard, _ := replica.New(wire{back, there}, &options).Run(ctx)
		report <- heard
	}()
	return wire{there, back}, func() replica.Report {
		stop()
		return <-report
	}
}

// A file is opened as whatever it is, and resampled to the rate of the session.
// Speak returns when the replica has said it.
func ExampleSession_Speak_file() {
	conn, leave := enter(replica.Options{})
	defer leave()
	ctx := context.Background()
	session, err := echo.NewSession(echo.NewMessages(conn, "c123", 0), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()

	file, err := os.Open("../testdata/mp3/speech_22050hz_mono_cbr64.mp3")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	samples, err := audio.Prepare(ctx, file, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer samples.Close()

	if err := session.WaitReady(ctx); err != nil {
		fmt.Println(err)
		return
	}
	receipt, err := session.Speak(ctx, echo.Speech{Samples: samples, Name: file.Name()})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s: %d samples in %d messages, %s by the replica\n", receipt.Outcome, receipt.Samples,
		receipt.Chunks, receipt.Delivery)
	// Output:
	// finished: 14400 samples in 12 messages, heard by the replica
}

// A program that speaks writes into a pipe, and its first words are on their way
// while it makes the next. The Feed reads ahead of what is spoken, and tells
// whether the program keeps up.
func ExampleSession_Speak_pipe() {
	conn, leave := enter(replica.Options{})
	defer leave()
	ctx := context.Background()
	session, err := echo.NewSession(echo.NewMessages(conn, "c123", 0), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer session.Close()

	// It stands for a program that speaks, such as espeak-ng --stdout "Hello there".
	program := exec.Command("cat", "../testdata/mp3/speech_24000hz_mono_cbr64.mp3")
	pipe, err := program.StdoutPipe()
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := program.Start(); err != nil {
		fmt.Println(err)
		return
	}
	samples, err := audio.Prepare(ctx, pipe, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer samples.Close()
	// Abort keeps a program that hangs from hanging this one.
	feed := echo.NewFeed(samples, echo.FeedOptions{Abort: func() { _ = pipe.Close() }})
	defer feed.Close()

	if err := session.WaitReady(ctx); err != nil {
		fmt.Println(err)
		return
	}
	receipt, err := session.Speak(ctx, echo.Speech{Samples: feed, Name: "a program", Abort: feed.Abort})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := program.Wait(); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s: %.1f s\n", receipt.Outcome, receipt.SpokenSeconds)
	// Output:
	// finished: 0.6 s
}

// With BargeIn the replica falls silent as soon as the user begins to speak. The
// receipt tells how much was heard until then.
func ExampleOptions_bargeIn() {
	conn, leave := enter(replica.Options{Faults: replica.Faults{UserAt: 300 * time.Millisecond}}) // here a user speaks
	ctx := context.Background()
	session, err := echo.NewSession(echo.NewMessages(conn, "c123", 0), &echo.Options{BargeIn: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := session.WaitReady(ctx); err != nil {
		fmt.Println(err)
		return
	}
	receipt, err := session.Speak(ctx, echo.Speech{Samples: &tone{60 * echo.DefaultRate}, Name: "a minute"})
	if errors.Is(err, echo.ErrBargeIn) {
		fmt.Printf("%s after less than a minute: %v, known by %s\n", receipt.Outcome, receipt.SpokenSeconds < 60,
			receipt.SpokenBy)
	}
	_ = session.Close()
	heard := leave()
	fmt.Println("the replica was told to stop:", len(heard.Interrupts) == 1)
	// Output:
	// interrupted after less than a minute: true, known by event
	// the replica was told to stop: true
}

// The events of the room come as they arrive, those before the first call too. A
// language model that wants something looked up asks by an event, and is
// answered by a message.
func ExampleSession_Events() {
	script, err := replica.ParseScript(strings.NewReader(`{"event":{"message_type":"conversation",` +
		`"event_type":"conversation.tool_call",` +
		`"properties":{"name":"next_departure","arguments":"{\"pier\":\"north\"}","tool_call_id":"call_7f3a"}}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	answered := make(chan struct{})
	conn, leave := enter(replica.Options{Script: script, OnEvent: func(e replica.Event) { // here a model asks
		if e.Kind == replica.EventNoted {
			close(answered)
		}
	}})
	ctx := context.Background()
	session, err := echo.NewSession(echo.NewMessages(conn, "c123", 0), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for event, err := range session.Events(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if event.Kind != echo.KindToolCall {
			continue
		}
		fmt.Printf("%s %s\n", event.ToolCall.Name, event.ToolCall.Arguments)
		answer := echo.ToolResult{ToolCallID: event.ToolCall.ID, Output: echo.ToolText("At 07:40.")}
		if err := session.Send(ctx, answer); err != nil {
			fmt.Println(err)
			return
		}
		break
	}
	<-answered
	_ = session.Close()
	for _, result := range leave().ToolResults {
		fmt.Printf("%s was answered with %s: %s\n", result.ToolCallID, result.Status, result.Output)
	}
	// Output:
	// next_departure {"pier":"north"}
	// call_7f3a was answered with success: "At 07:40."
}

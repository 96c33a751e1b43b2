package echo_test

import (
	"encoding/json"
	"fmt"
	"time"

	"echocast/echo"
)

func ExampleParseEvent() {
	event, err := echo.ParseEvent(
		[]byte(`{"message_type":"conversation","event_type":"conversation.tool_call","conversation_id":"c123","seq":45,
		"properties":{"name":"next_departure","arguments":"{\"pier\":\"north\"}","tool_call_id":"call_7f3a"}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	line, _ := json.Marshal(event)
	fmt.Printf("%s\n", line)

	answer := echo.ToolResult{ToolCallID: event.ToolCall.ID, Output: echo.ToolText("At 07:40.")}
	msg, err := answer.AppendTo(nil, event.ConversationID)
	fmt.Printf("%s %v\n", msg, err)
	// Output:
	// {"kind":"tool_call","type":"conversation.tool_call","conversation_id":"c123","seq":45,"tool_call":{"id":"call_7f3a","name":"next_departure","arguments":{"pier":"north"}}}
	// {"message_type":"conversation","event_type":"conversation.tool_result","conversation_id":"c123","properties":{"tool_call_id":"call_7f3a","output":"At 07:40.","status":"success"}} <nil>
}

func ExampleSequencer() {
	sequencer := echo.NewSequencer(250 * time.Millisecond)
	now := time.Date(2026, 7, 20, 9, 0, 0, 0, time.UTC)
	for _, msg := range []string{
		`{"event_type":"conversation.stopped_speaking","seq":60,"inference_id":"u1","properties":{"role":"pal",` +
			`"duration":2.3}}`,
		`{"event_type":"conversation.started_speaking","seq":42,"inference_id":"u1","properties":{"role":"pal"}}`,
		`{"event_type":"conversation.started_speaking","seq":42,"inference_id":"u1","properties":{"role":"replica"}}`,
		`{"event_type":"conversation.replica.started_speaking","seq":43,"inference_id":"u1"}`,
	} {
		if event, err := echo.ParseEvent([]byte(msg)); err == nil {
			sequencer.Add(now, event)
		}
	}
	due, _ := sequencer.Due() // a program sleeps until then, or until another event comes
	for event, gap, ok := sequencer.Next(due); ok; event, gap, ok = sequencer.Next(due) {
		fmt.Println(event.Kind, event.Seq, "missing before it:", gap)
	}
	// Output:
	// started_speaking 42 missing before it: 0
	// stopped_speaking 60 missing before it: 16
}

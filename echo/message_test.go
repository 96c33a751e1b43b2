package echo

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const fixtureConversation = "c0ffee1234567890"

func decode(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// The message types can make every current client message, and the Encoder those with audio.
func TestMessagesMakeEveryFixture(t *testing.T) {
	made := map[string]Message{
		"append_llm_context":     AppendContext{Context: "The visitor travels with two children."},
		"append_llm_context_job": AppendContext{Context: "Timetable lookup finished.", JobStatus: JobCompleted},
		"echo_text":              TextEcho{Text: "Welcome to the harbour tour."},
		"echo_text_chunk":        TextEcho{Text: "Welcome to ", InferenceID: "utt-0001", More: true},
		"interrupt":              Interrupt{},
		"overwrite_llm_context":  OverwriteContext{Context: "Visitor now asks about the night ferry."},
		"respond":                Respond{Text: "Which boat leaves first?"},
		"sensitivity_interrupt":  Sensitivity{Interrupt: SensitivityVeryLow},
		"sensitivity_pause":      Sensitivity{Pause: SensitivityHigh},
		"set_emotion":            SetEmotion{Emotion: "happiness"},
		"tool_result_error": ToolResult{ToolCallID: "call_7f3a",
			Output: json.RawMessage(`{"reason": "timetable offline"}`), Status: ToolError},
		"tool_result_success": ToolResult{ToolCallID: "call_7f3a", Output: ToolText("The first boat leaves at 07:40.")},
	}
	files, err := filepath.Glob(filepath.Join("..", "testdata", "protocol", "send", "*.json"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d fixtures, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		want := compact(t, "send/"+name+".json")
		if m, has := made[name]; has {
			checkMessage(t, name, m, want)
		} else if !isOutdated(name) && name != "echo_audio_chunk" && name != "echo_audio_final" {
			t.Errorf("%s: no type makes it", name)
		}
		checkMessage(t, name+" (raw)", Raw(want), want)
	}
}

func isOutdated(name string) bool {
	return strings.Contains(name, "_legacy") || strings.HasSuffix(name, "_alias") || strings.HasSuffix(name, "_deprecated")
}

func checkMessage(t *testing.T, name string, m Message, want []byte) {
	t.Helper()
	got, err := m.AppendTo([]byte("before "), fixtureConversation)
	msg, kept := bytes.CutPrefix(got, []byte("before "))
	if err != nil || !kept {
		t.Errorf("%s: %q, %v", name, got, err)
		return
	}
	if !reflect.DeepEqual(decode(t, msg), decode(t, want)) {
		t.Errorf("%s:\ngot  %s\nwant %s", name, msg, want)
	}
	var wire struct {
		EventType string `json:"event_type"`
	}
	if err := json.Unmarshal(msg, &wire); err != nil || wire.EventType != m.EventType() {
		t.Errorf("%s: EventType() is %q, the message says %q", name, m.EventType(), wire.EventType)
	}
}

func TestRawFillsInTheConversation(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                      `{"conversation_id":"c\"1"}`,
		" {\"a\": [1,\n 2]}\n":    `{"a":[1,2],"conversation_id":"c\"1"}`,
		`{"conversation_id":"x"}`: `{"conversation_id":"x"}`,
		`{"a":{"conversation_id":"x"}, "t":"<b> é"}`: `{"a":{"conversation_id":"x"},"t":"<b> é","conversation_id":"c\"1"}`,
		`{"conversation_id":null}`:                   `{"conversation_id":null}`,
	} {
		got, err := Raw(text).AppendTo([]byte("x"), `c"1`)
		if err != nil || string(got) != "x"+want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
	if got, err := Raw(`{}`).AppendTo(nil, ""); err != nil || string(got) != `{}` {
		t.Errorf("without a conversation: %s, %v", got, err)
	}
}

func TestMessageErrors(t *testing.T) {
	for want, m := range map[string]Message{
		"echo: conversation.echo: text " +
			"is empty": TextEcho{},
		"echo: conversation.echo: text is not " +
			"valid UTF-8": TextEcho{Text: "\xff"},
		"echo: conversation.echo: inference_id " +
			"is empty": TextEcho{Text: "a", More: true},
		"echo: conversation.echo: inference_id is not " +
			"valid UTF-8": TextEcho{Text: "a", InferenceID: "\xff"},
		"echo: conversation.respond: text " +
			"is empty": Respond{},
		"echo: conversation.overwrite_llm_context: context is not " +
			"valid UTF-8": OverwriteContext{Context: "\xff"},
		"echo: conversation.append_llm_context: context " +
			"is empty": AppendContext{},
		`echo: conversation.append_llm_context: job_status "done"; it may be completed ` +
			`or missing`: AppendContext{Context: "a", JobStatus: "done"},
		"echo: conversation.sensitivity: set the sensitivity to pauses or to interrupts, " +
			"not both": Sensitivity{},
		`echo: conversation.sensitivity: level "loud"; it may be superlow, verylow, low, medium, ` +
			`high, auto`: Sensitivity{Pause: "loud"},
		`echo: conversation.set_emotion: emotion "joy"; it may be neutral, happiness, sadness, anger, fear, ` +
			`surprise, disgust, contempt`: SetEmotion{Emotion: "joy"},
		"echo: conversation.tool_result: tool_call_id " +
			"is empty": ToolResult{},
		"echo: conversation.tool_result: output is neither a JSON object nor a " +
			"JSON string": ToolResult{ToolCallID: "a", Output: json.RawMessage("[1]")},
		`echo: conversation.tool_result: status "failed"; it may be success ` +
			`or error`: ToolResult{ToolCallID: "a", Status: "failed"},
		"echo: a message must be one JSON object: " +
			"found null": Raw("null"),
		"echo: a message must be one JSON object: not " +
			"valid UTF-8": Raw("{\"a\":\"\xff\"}"),
		"echo: a message must be one JSON object: invalid character '{' after " +
			"top-level value": Raw("{}{}"),
		"echo: a message must be one JSON object: unexpected end of " +
			"JSON input": Raw(nil),
		"echo: a message must be one JSON object: " +
			"found array": Raw("[]"),
	} {
		got, err := m.AppendTo([]byte("kept"), "c1")
		if err == nil || err.Error() != want || string(got) != "kept" {
			t.Errorf("%#v: %q, %v\nwant %s", m, got, err, want)
		}
	}
	both := Sensitivity{Pause: SensitivityLow, Interrupt: SensitivityHigh}
	if _, err := both.AppendTo(nil, "c1"); err == nil {
		t.Error("both sensitivities in one message")
	}
}

// Tags in a text are not escaped, since a message has a size limit.
func TestTextIsNotHTMLEscaped(t *testing.T) {
	msg, err := TextEcho{Text: `<emotion value="happy"/> & more`}.AppendTo(nil, "c1")
	if err != nil || !bytes.Contains(msg, []byte(`<emotion value=\"happy\"/> & more`)) {
		t.Errorf("%s, %v", msg, err)
	}
}

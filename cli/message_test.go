package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/replica"
)

// commandsOf lists the command that makes each message of the protocol.
var commandsOf = map[string][]string{
	"append_llm_context.json":     {"context", "append", "The visitor travels with two children."},
	"append_llm_context_job.json": {"context", "append", "--job-completed", "Timetable lookup finished."},
	"overwrite_llm_context.json":  {"context", "overwrite", "Visitor now asks", "about the night ferry."},
	"echo_text.json":              {"say", "Welcome to the harbour tour."},
	"interrupt.json":              {"interrupt"},
	"respond.json":                {"respond", "Which boat leaves first?"},
	"sensitivity_interrupt.json":  {"sensitivity", "--interrupt", "verylow"},
	"sensitivity_pause.json":      {"sensitivity", "--pause", "high"},
	"set_emotion.json":            {"emotion", "happiness"},
	"tool_result_error.json":      {"tool-result", "--error", "call_7f3a", `{"reason": "timetable offline"}`},
	"tool_result_success.json":    {"tool-result", "call_7f3a", "The first boat leaves at 07:40."},
}

// A command can make every current message. Older forms are only understood.
func TestEveryMessageHasACommand(t *testing.T) {
	files, err := filepath.Glob("../testdata/protocol/send/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(err, len(files))
	}
	for _, file := range files {
		name := filepath.Base(file)
		if strings.Contains(name, "legacy") || strings.Contains(name, "alias") || strings.Contains(name, "deprecated") {
			continue
		}
		if strings.HasPrefix(name, "echo_audio") || name == "echo_text_chunk.json" {
			continue // parts of an utterance: the two tests below
		}
		arguments, ok := commandsOf[name]
		if !ok {
			t.Errorf("no command makes %s", name)
			continue
		}
		code, stdout, stderr := run(testwait.Context(t), append(arguments, "--dry-run", "--conversation",
			"c0ffee1234567890")...)
		if code != 0 || stderr != "" {
			t.Errorf("%s: code %d, %s", name, code, stderr)
		}
		same(t, name, stdout)
	}
}

// same compares a message with that of a file, except for its inference id.
func same(t *testing.T, name, line string) {
	t.Helper()
	want, err := os.ReadFile("../testdata/protocol/send/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var a, b map[string]any
	if err := json.Unmarshal([]byte(line), &a); err != nil {
		t.Fatalf("%s: %v: %s", name, err, line)
	}
	if err := json.Unmarshal(want, &b); err != nil {
		t.Fatal(err)
	}
	for _, message := range []map[string]any{a, b} {
		if properties, ok := message["properties"].(map[string]any); ok {
			delete(properties, "inference_id")
		}
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%s:\n%s\nis not\n%s", name, line, want)
	}
}

// Text that arrives in pieces is one utterance, and its last piece is marked as done.
func TestSayStreamsText(t *testing.T) {
	for _, rate := range []int{1, 4096} {
		text := "Welcome to the <emotion value=\"excited\"/> harbour\u00a0tour ü."
		in := bytes.NewReader([]byte(text))
		var stdout, stderr bytes.Buffer
		streams := Streams{In: in, Out: &stdout, Err: &stderr}
		if rate == 1 {
			streams.In = iotest.OneByteReader(in)
		}
		if code := Run(testwait.Context(t), []string{"echocast", "say", "--dry-run", "--conversation", "c0ffee1234567890",
			"-"}, streams); code != 0 {
			t.Fatal(stderr.String())
		}
		lines := strings.Split(strings.TrimSpace(stdout.String()), "\n")
		if rate == 1 {
			same(t, "echo_text_chunk.json", strings.Replace(lines[0], `"Welcome "`, `"Welcome to "`, 1))
		}
		said, ids := "", map[string]bool{}
		for i, line := range lines {
			var msg struct {
				Properties struct {
					Text, Modality string
					ID             string `json:"inference_id"`
					Done           *bool
				}
			}
			if err := json.Unmarshal([]byte(line), &msg); err != nil {
				t.Fatal(err)
			}
			said += msg.Properties.Text
			ids[msg.Properties.ID] = true
			if done := i == len(lines)-1; *msg.Properties.Done != done {
				t.Errorf("%d of %d: done is %v", i+1, len(lines), !done)
			}
		}
		if said != text || len(ids) != 1 || ids[""] {
			t.Errorf("%q was said, under %v", said, ids)
		}
	}
}

// An utterance with a broken input is not marked as done.
func TestSayBrokenInput(t *testing.T) {
	var stdout, stderr bytes.Buffer
	broken := iotest.DataErrReader(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("a b c"))))
	code := Run(testwait.Context(t), []string{"echocast", "say", "--dry-run", "-"},
		Streams{In: broken, Out: &stdout, Err: &stderr})
	if code != 3 || strings.Contains(stdout.String(), `"done":true`) ||
		!strings.HasPrefix(stderr.String(), "echocast: standard input: ") {
		t.Errorf("code %d, %s%s", code, stdout.String(), stderr.String())
	}
}

// The replica gets each message, and complains of none.
func TestMessagesArrive(t *testing.T) {
	t.Parallel()
	for name, arguments := range commandsOf {
		var noted []string
		url, ended := scripted(testwait.Context(t), t, replica.Options{OnEvent: func(e replica.Event) {
			if e.Kind == replica.EventNoted {
				noted = append(noted, e.Text)
			}
		}})
		all := append(append([]string{}, arguments...), "--to", url)
		want := 0
		if name == "interrupt.json" { // nobody speaks, so nobody stops
			all, want = append(all, "--wait", "1ms"), 9
		}
		code, _, stderr := run(testwait.Context(t), all...)
		report := ended()
		if code != want || report.ComplaintCount != 0 || report.Messages != 1 {
			t.Errorf("%s: code %d, %s; %d messages, %+v, %v", name, code, stderr, report.Messages, report.Complaints, noted)
		}
	}
}

func TestSendRaw(t *testing.T) {
	url, ended := scripted(testwait.Context(t), t, replica.Options{})
	var stderr bytes.Buffer
	in := strings.NewReader("{\"message_type\":\"conversation\",\"event_type\":\"conversation.interrupt\"}\n" +
		"\n{\"event_type\":\"x\"}\nnonsense\n")
	code := Run(testwait.Context(t), []string{"echocast", "send-raw", "--to", url, "-"},
		Streams{In: in, Out: &bytes.Buffer{}, Err: &stderr})
	report := ended()
	if code != 3 || report.Messages != 2 || !strings.Contains(stderr.String(),
		"standard input: line 4 is no JSON object") {
		t.Errorf("code %d, %d messages, %s", code, report.Messages, stderr.String())
	}
}

func TestMessagesRefused(t *testing.T) {
	for want, c := range map[string]struct {
		code      int
		arguments []string
	}{
		"respond takes a text": {2, []string{"respond"}},
		"text is empty":        {2, []string{"respond", "", "--to", "http://127.0.0.1:1"}},
		"not both": {2, []string{"sensitivity", "--pause", "low", "--interrupt",
			"low", "--to", "http://127.0.0.1:1"}},
		"it may be superlow":                 {2, []string{"sensitivity", "--pause", "lowest", "--to", "http://127.0.0.1:1"}},
		"it may be neutral, happiness":       {2, []string{"emotion", "joy", "--to", "http://127.0.0.1:1"}},
		"emotion takes one emotion: neutral": {2, []string{"emotion"}},
		"takes the id of a tool call":        {2, []string{"tool-result"}},
		"a message must be one JSON object":  {2, []string{"send-raw", "[]", "--to", "http://127.0.0.1:1"}},
		"over the limit of 200: shorten it": {7, []string{"respond", "--max-message", "200", strings.Repeat("x", 200),
			"--to", "http://127.0.0.1:1"}},
		"takes options only, and no \"now\"": {2, []string{"interrupt", "now"}},
		"--wait must not be negative":        {2, []string{"interrupt", "--wait", "-1s", "--dry-run"}},
		"no text in the input":               {3, []string{"say", "--dry-run", " "}},
	} {
		code, stdout, stderr := run(testwait.Context(t), c.arguments...)
		if code != c.code || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%v: code %d, %s%s", c.arguments, code, stdout, stderr)
		}
	}
}

// A LiveKit room carries no such messages.
func TestMessagesUnsupported(t *testing.T) {
	for _, arguments := range [][]string{{"respond", "hello"}, {"say", "hello"}} {
		code, _, stderr := run(testwait.Context(t), append(arguments, "--to", "livekit+wss://h/r")...)
		if code != 2 || !strings.Contains(stderr, "this room does not carry such messages") {
			t.Errorf("%v: code %d, %s", arguments, code, stderr)
		}
	}
}

// silentStage takes audio and sends no events.
type silentStage struct{ echo.Stage }

func (silentStage) Begin(echo.Utterance) error                          { return nil }
func (silentStage) Interrupt(context.Context) error                     { return nil }
func (silentStage) Speak(context.Context, []float32, bool) (int, error) { return 1, nil }

// In a LiveKit room a chunk may have any length.
func TestNoChunkLimitInLiveKitRoom(t *testing.T) {
	code, _, stderr := run(testwait.Context(t), "send", "--to", "livekit+wss://h/r", "--chunk", "1s", "--pace",
		"burst", "--wait", "sent", "../testdata/speech.wav")
	if code != 0 {
		t.Errorf("code %d, %s", code, stderr)
	}
}

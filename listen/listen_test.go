package listen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"echocast/echo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Other machines reach a webhook only where that was asked for.
func TestWebhookIsLocal(t *testing.T) {
	for address, want := range map[string]string{
		":0": "127.0.0.1", ":0/secret": "127.0.0.1", "127.0.0.1:0": "127.0.0.1", "0.0.0.0:0/secret": "0.0.0.0",
	} {
		quiet := func(string, ...any) {}
		hook, err := NewWebhook(address, quiet, quiet)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		at := hook.socket.Addr().(*net.TCPAddr)
		if err := hook.Close(); err != nil {
			t.Error(err)
		}
		if everywhere := want == "0.0.0.0"; everywhere != at.IP.IsUnspecified() || !everywhere && at.IP.String() != want {
			t.Errorf("%s listens on %v", address, at)
		}
	}
}

func TestTranscriptFormats(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for ending, want := range map[string]string{
		".txt":  "[00:00:00.000] pal: Hello you (interrupted)\n[00:00:02.760] user: Stop\n",
		".srt":  "1\n00:00:00,000 --> 00:00:01,500\npal: Hello you\n\n2\n00:00:02,760 --> 00:00:03,000\nuser: Stop\n\n",
		".json": `[{"role":"pal","text":"Hello\nyou","start_seconds":0,"end_seconds":1.5,"interrupted":true,"inference_id":"a"},{"role":"user","text":"Stop","start_seconds":2.76,"end_seconds":3}]`,
	} {
		name := filepath.Join(t.TempDir(), "call"+ending)
		written, err := NewTranscript(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range []struct {
			after time.Duration
			echo.Event
		}{
			{0, echo.Event{Kind: echo.KindUtterance, Role: "pal", InferenceID: "a", Text: "Hello\nyou"}},
			{1500 * time.Millisecond, echo.Event{Kind: echo.StoppedSpeaking, Role: "pal", InferenceID: "a", Interrupted: true}},
			{3 * time.Second, echo.Event{Kind: echo.KindUtterance, Role: "user", Text: "Stop"}},
		} {
			if err := written.Add(event.Event, began.Add(event.after)); err != nil {
				t.Fatal(err)
			}
		}
		if err := written.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := string(got)
		if ending == ".json" {
			var compact bytes.Buffer
			if err := json.Compact(&compact, got); err != nil {
				t.Fatalf("%v: %s", err, got)
			}
			text = compact.String()
		}
		if text != want {
			t.Errorf("%s:\n%s\nnot\n%s", ending, text, want)
		}
	}
}

func TestEscaped(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":"b ü 😀"}`:              `{"a":"b ü 😀"}`,
		"{\"a\":\"\u009b\u202e\"}":   `{"a":"\u009b\u202e"}`,
		"{\"a\":\"\U000e0041\x7f\"}": `{"a":"\udb40\udc41\u007f"}`,
	} {
		got := escaped([]byte(text))
		var before, after any
		if err := json.Unmarshal([]byte(text), &before); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(got, &after); err != nil || fmt.Sprint(before) != fmt.Sprint(after) || string(got) != want {
			t.Errorf("%q became %s, %v", text, got, err)
		}
	}
}

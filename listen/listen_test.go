package listen

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/room"
)

func TestMain(m *testing.M) { testwait.RunAndFindLeaks(m) }

func TestTranscriptFormats(t *testing.T) {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for ending, want := range map[string]string{
		".txt": "[00:00:00.000] pal: Hello you (interrupted)\n[00:00:02.760] user: Stop\n",
		".srt": "1\n00:00:00,000 --> 00:00:01,500\npal: Hello you\n\n2\n00:00:02,760 --> 00:00:03,000\nuser: Stop\n\n",
		".vtt": "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\n<v pal>Hello you\n\n00:00:02.760 --> 00:00:03.000\n" +
			"<v user>Stop\n\n",
		".json": `[{"role":"pal","text":"Hello\nyou","start_seconds":0,"end_seconds":1.5,"interrupted":true,` +
			`"heard":{"text":"Hello\nyou","rest":"","words":2,"of":2,"by":"rate","error_words":2},"inference_id":"a"},` +
			`{"role":"user","text":"Stop","start_seconds":2.76,"end_seconds":3}]`,
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

// Equal callbacks of several conversations are separate events; a repeat within one
// conversation is dropped.
func TestConversationsAreKeptApart(t *testing.T) {
	synctest.Test(t, keepApart) // what comes long after is no repeat
}

func keepApart(t *testing.T) {
	events := &script{}
	for _, id := range []string{"c1", "c2", "c3"} {
		for _, kind := range []string{"system.replica_joined", "system.pal_joined"} {
			event, err := echo.ParseEvent(fmt.Appendf(nil, `{"message_type":"system","event_type":%q,"conversation_id":%q,`+
				`"properties":{"face_id":"r1"}}`, kind, id))
			if err != nil {
				t.Fatal(err)
			}
			events.all = append(events.all, event)
		}
	}
	var out bytes.Buffer
	err := Run(t.Context(), events, &Options{Out: &out, PerConversation: true, Window: time.Millisecond,
		Say: func(string, ...any) {}})
	if !errors.Is(err, room.ErrOver) {
		t.Error(err)
	}
	for _, id := range []string{"c1", "c2", "c3"} {
		if n := strings.Count(out.String(), id); n != 1 {
			t.Errorf("%s is told %d times: %s", id, n, out.String())
		}
	}
}

// However many conversations there were at once, those without events that wait are forgotten.
func TestConversationsAreForgotten(t *testing.T) {
	o := &Options{Out: io.Discard, PerConversation: true, Window: time.Hour, Say: func(string, ...any) {}}
	l := &listener{Options: o, sequencers: map[string]*echo.Sequencer{}}
	for i := range maxConversations + 10 {
		id := fmt.Sprint(i)
		for _, number := range []int64{1, 3} { // 3 waits for 2
			if err := l.take(echo.Event{Type: "x", ConversationID: id, Seq: number}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.flush(time.Now().Add(2 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := l.take(echo.Event{Type: "x", ConversationID: "new"}); err != nil || len(l.sequencers) != 1 {
		t.Errorf("%d conversations are kept, %v", len(l.sequencers), err)
	}
}

// script is a source of events that are known.
type script struct{ all []echo.Event }

func (s *script) Next(context.Context) (echo.Event, error) {
	if len(s.all) == 0 {
		return echo.Event{}, room.ErrOver
	}
	event := s.all[0]
	s.all = s.all[1:]
	return event, nil
}

func (s *script) Send(context.Context, echo.Message) error { return nil }
func (s *script) Close() error                             { return nil }

// In whatever order people speak, subtitles have a duration and do not overlap. The JSON has
// when each really spoke, and how much of it was heard.
func TestTranscriptOfInterruptions(t *testing.T) {
	long := strings.Repeat("many words ", 40)
	events := []struct {
		after int // milliseconds
		echo.Event
	}{
		{0, echo.Event{Kind: echo.KindUtterance, Role: "user", Text: "Hello there"}},
		{1000, echo.Event{Kind: echo.StartedSpeaking, Role: "pal", InferenceID: "a"}},
		{1000, echo.Event{Kind: echo.KindUtterance, Role: "pal", InferenceID: "a", Text: long}},
		{3000, echo.Event{Kind: echo.StartedSpeaking, Role: "user"}},
		{3500, echo.Event{Kind: echo.StoppedSpeaking, Role: "pal", InferenceID: "a", Interrupted: true}},
		{4000, echo.Event{Kind: echo.StoppedSpeaking, Role: "user"}},
		{4500, echo.Event{Kind: echo.KindUtterance, Role: "user", Text: "Stop"}},
		{5000, echo.Event{Kind: echo.StartedSpeaking, Role: "pal", InferenceID: "b"}},
		{5001, echo.Event{Kind: echo.StoppedSpeaking, Role: "pal", InferenceID: "b"}},
		{5002, echo.Event{Kind: echo.KindUtterance, Role: "pal", InferenceID: "b", Text: "Yes & <no>"}},
	}
	files := map[string]string{}
	for _, ending := range []string{".srt", ".vtt", ".json"} {
		name := filepath.Join(t.TempDir(), "call"+ending)
		written, err := NewTranscript(name)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		for _, e := range events {
			if err := written.Add(e.Event, began.Add(time.Duration(e.after)*time.Millisecond)); err != nil {
				t.Fatal(err)
			}
		}
		if err := written.Close(); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[ending] = string(text)
	}
	var times []string
	for line := range strings.Lines(files[".srt"]) {
		if start, end, ok := strings.Cut(strings.TrimSpace(line), " --> "); ok {
			times = append(times, start, end)
		}
	}
	for i := 1; i < len(times); i++ {
		if times[i] < times[i-1] || i%2 == 1 && times[i] == times[i-1] {
			t.Errorf("%s comes after %s:\n%s", times[i], times[i-1], files[".srt"])
		}
	}
	if len(times) != 8 || strings.Contains(files[".srt"], strings.TrimSpace(long)) ||
		!strings.Contains(files[".vtt"], "<v pal>Yes &amp; &lt;no&gt;\n") {
		t.Errorf("%s\n%s", files[".srt"], files[".vtt"])
	}
	var entries []entry
	if err := json.Unmarshal([]byte(files[".json"]), &entries); err != nil || len(entries) != 4 {
		t.Fatalf("%v: %s", err, files[".json"])
	}
	pal, user := entries[1], entries[2]
	if got := fmt.Sprintf("%.2f-%.2f %.2f-%.2f", pal.Start, pal.End, user.Start, user.End); got != "1.66-4.16 3.66-4.66" ||
		pal.Heard == nil || pal.Heard.Words == 0 || pal.Heard.Words == pal.Heard.Of {
		t.Errorf("%s, %+v", got, pal.Heard)
	}
}

package echo

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

const fixtureID = "6d1c1f6e-2b7e-4a53-9a53-0d6f3c9e5b11"

func TestParseEventFixtures(t *testing.T) {
	unix := func(seconds float64) time.Time { return time.UnixMilli(int64(math.Round(seconds * 1e3))).UTC() }
	joined := time.Date(2026, 6, 1, 10, 0, 0, 120000000, time.UTC)
	second := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	for name, want := range map[string]Event{
		"started_speaking_pal": {Kind: StartedSpeaking, Role: RolePal, Seq: 42, Turn: 3,
			InferenceID: fixtureID, Time: unix(1780000000.95), Duration: -1},
		"started_speaking_user": {Kind: StartedSpeaking, Role: RoleUser, Seq: 37, Turn: 3,
			InferenceID: fixtureID, Time: unix(1780000000.25), Duration: -1},
		"stopped_speaking_pal": {Kind: StoppedSpeaking, Role: RolePal, Seq: 60, Turn: 3,
			InferenceID: fixtureID, Time: unix(1780000003.35), Duration: second(2.341)},
		"stopped_speaking_replica_duplicate": {Kind: StoppedSpeaking, Role: RolePal, Seq: 60, Turn: 3,
			InferenceID: fixtureID, Time: unix(1780000003.35), Duration: second(2.341)},
		"stopped_speaking_pal_interrupted": {Kind: StoppedSpeaking, Role: RolePal, Seq: 61, Turn: 3,
			InferenceID: fixtureID, Time: unix(1780000003.45), Duration: second(0.98), Interrupted: true},
		"stopped_speaking_null_duration": {Kind: StoppedSpeaking, Role: RoleUser, Seq: 38, Turn: 3,
			InferenceID: fixtureID, Time: unix(1780000000.27), Duration: -1},
		"legacy_replica_started_speaking": {Kind: StartedSpeaking, Role: RolePal, Seq: 43, Turn: 3,
			InferenceID: fixtureID, Time: unix(1780000000.95), Duration: -1},
		"legacy_replica_stopped_speaking": {Kind: StoppedSpeaking, Role: RolePal, Seq: 62, Turn: 3,
			InferenceID: fixtureID, Time: unix(1780000003.35), Duration: second(2.341)},
		"legacy_user_started_speaking": {Kind: StartedSpeaking, Role: RoleUser, Seq: 36, Turn: 3,
			InferenceID: fixtureID, Time: unix(1780000000.25), Duration: -1},
		"removed_replica_interrupted": {Kind: StoppedSpeaking, Role: RolePal, InferenceID: fixtureID,
			Duration: -1, Interrupted: true},
		"skilldoc_replica_dot_interrupted": {Kind: StoppedSpeaking, Role: RolePal, InferenceID: fixtureID,
			Duration: -1, Interrupted: true},
		"skilldoc_replica_started_props_inference": {Kind: StartedSpeaking, Role: RolePal,
			InferenceID: fixtureID, Duration: -1},
		"system_pal_joined":      {Kind: ReplicaJoined, Role: RolePal, Time: joined, Duration: -1},
		"system_replica_joined":  {Kind: ReplicaJoined, Role: RolePal, Time: joined, Duration: -1},
		"system_replica_present": {Kind: ReplicaPresent, Role: RolePal, Duration: -1},
		"system_shutdown":        {Kind: Shutdown, Duration: -1},
	} {
		got, err := ParseEvent(compact(t, "recv/"+name+".json"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.Kind != want.Kind || got.Role != want.Role || got.Seq != want.Seq || got.Turn != want.Turn ||
			got.InferenceID != want.InferenceID ||
			!got.Time.Equal(want.Time) || got.Duration.Round(time.Millisecond) != want.Duration.Round(time.Millisecond) ||
			got.Interrupted != want.Interrupted {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, got, want)
		}
	}
}

var update = flag.Bool("update", false, "write the golden files")

// Every fixture is understood as listed, one line each. Other messages of the room are passed
// on, since new events appear without notice.
func TestParseEventUnderstandsEveryFixture(t *testing.T) {
	var got bytes.Buffer
	for _, folder := range []string{"recv", "webhook", "daily", "send"} {
		files, err := filepath.Glob(filepath.Join("..", "testdata", "protocol", folder, "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d fixtures, %v", folder, len(files), err)
		}
		for _, file := range files {
			name := folder + "/" + filepath.Base(file)
			fmt.Fprintf(&got, `{"fixture":%q,"event":%s}`+"\n", name, understood(t, compact(t, name)))
		}
	}
	golden := filepath.Join("..", "testdata", "protocol", "understood.ndjson")
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(string(text), "\n")
	for i, line := range strings.Split(got.String(), "\n") {
		if i >= len(want) || line != want[i] {
			t.Errorf("line %d:\ngot  %s\nwant %s", i+1, line, strings.Join(want[min(i, len(want)):min(i+1, len(want))], ""))
		}
	}
}

func understood(t *testing.T, msg []byte) []byte {
	t.Helper()
	event, err := ParseEvent(msg)
	if errors.Is(err, ErrNoEvent) {
		return []byte("null")
	}
	line, jsonErr := event.MarshalJSON()
	if err != nil || jsonErr != nil {
		t.Errorf("%s: %v, %v", msg, err, jsonErr)
	}
	if !bytes.Equal(event.Raw, msg) {
		t.Errorf("%s: not kept, but %s", msg, event.Raw)
	}
	return line
}

func TestEventDetails(t *testing.T) {
	for _, c := range []struct{ event, want string }{
		// The first text that is not empty.
		{`{"event_type":"conversation.utterance","properties":{"role":"replica","speech":"","content":"b","text":"c"}}`,
			`"role":"pal","text":"b"`},
		{`{"event_type":"conversation.utterance","properties":{"text":"<c> & d"}}`, `"text":"<c> & d"`},
		{`{"event_type":"conversation.utterance_streaming","properties":{"content_index":"3"}}`,
			`"content_index":3,"final":false`},
		// Arguments that come as text, twice wrapped, empty and broken.
		{`{"event_type":"conversation.tool_call","properties":{"arguments":" [1, 2] "}}`, `"tool_call":{"arguments":[1,2]}`},
		{`{"event_type":"conversation.tool_call","properties":{"arguments":"\"{}\""}}`, `"tool_call":{"arguments":"{}"}`},
		{`{"event_type":"conversation.tool_call","properties":{"name":"a","arguments":""}}`, `"tool_call":{"name":"a"}`},
		{`{"event_type":"conversation.tool_call","properties":{"arguments":"{oops"}}`, `"tool_call":{"arguments":"{oops"}`},
		{`{"event_type":"conversation.tool_call","properties":{"name":7,"tool_name":"b"}}`, `"tool_call":{"name":"b"}`},
		{`{"event_type":"conversation.replica_started_speaking"}`,
			`{"kind":"started_speaking","type":"conversation.replica_started_speaking","role":"pal"}`},
		{`{"event_type":"conversation.user_stopped_speaking"}`,
			`{"kind":"stopped_speaking","type":"conversation.user_stopped_speaking","role":"user","interrupted":false}`},
		{`{"event_type":"system.pal_present","properties":{"attempt":9}}`, `"role":"pal","attempt":9`},
		{`{"event_type":"system.shutdown","properties":{"reason":"max_call_duration"}}`, `"reason":"max_call_duration"`},
		{`{"event_type":"conversation.objective.completed","properties":{"x":1}}`,
			`"objective":{"status":"completed"},"raw":{"event_type":"conversation.objective.completed","properties":{"x":1}}`},
		{`{"conversation_id":"c1","objective_name":"greet","output_variables":{"name":"A"}}`,
			`{"kind":"objective","conversation_id":"c1","objective":{"name":"greet","variables":{"name":"A"}},"raw":`},
		{`{"conversation_id":"c1","properties":{"guardrail":"no_prices","guardrail_uuid":"g1"}}`,
			`{"kind":"guardrail","conversation_id":"c1","guardrail":{"name":"no_prices","uuid":"g1"}}`},
		{`{"message_type":"room","event_type":"room.participant_joined","properties":{"session_id":"s1","user_name":"Ann",` +
			`"role":"user"}}`, `{"kind":"participant_joined","type":"room.participant_joined","role":"user",` +
			`"participant":{"id":"s1","name":"Ann"}}`},
		{`{"message_type":"room","event_type":"room.participant_left","properties":{"session_id":"s1"}}`,
			`{"kind":"participant_left","type":"room.participant_left","participant":{"id":"s1"}}`},
		{`{"event_type":"application.recording_ready","timestamp":"2026-07-20T09:05:01","properties":{"bucket_name":"b",` +
			`"s3_key":"k","duration":12.5,"storage_provider":"s3","storage_uri":"s3://b/k"}}`,
			`"time":"2026-07-20T09:05:01Z","duration_seconds":12.5,"recording":{"bucket":"b","key":"k","provider":"s3",` +
				`"uri":"s3://b/k"}`},
		{`{"event_type":"application.recording_copy_failed","properties":{"recording_id":"r","error_code":403,` +
			`"error_message":"denied"}}`, `"recording":{"id":"r","error_code":"403","error_message":"denied"}`},
		{`{"event_type":"application.perception_analysis","properties":{"analysis":"calm"}}`,
			`"kind":"perception_analysis","type":"application.perception_analysis","analysis":"calm"`},
		{`{"event_type":"conversation.respond","properties":{"text":"Hi","role":"pal"}}`,
			`{"kind":"client_message","type":"conversation.respond","text":"Hi"}`},
		{`{"event_type":"canvas.interaction","properties":{"a":"b"}}`,
			`{"kind":"unknown","type":"canvas.interaction","raw":{"event_type":"canvas.interaction","properties":{"a":"b"}}}`},
		{`{"event_type":"conversation.left","properties":{"role":"replica","who":"Ann"}}`,
			`{"kind":"left","type":"conversation.left","role":"pal","raw":`},
		{"{\"event_type\":\"x\",\"a\":\"\xff\"}", `"raw":{"event_type":"x","a":"�"}`},
		{`{"event_type":"conversation.stopped_speaking","seq":"1x","timestamp":"2026-07-20T09:00:00+02:00"}`,
			`"time":"2026-07-20T07:00:00Z","interrupted":false`},
	} {
		if got := string(understood(t, []byte(c.event))); !strings.Contains(got, c.want) {
			t.Errorf("%s:\ngot  %s\nwant %s", c.event, got, c.want)
		}
	}
	call, err := ParseEvent([]byte(`{"event_type":"conversation.perception_tool_call",` +
		`"properties":{"frames":[{"uri":"u"},{"data":"/9j/"}]}}`))
	if err != nil || len(call.ToolCall.Frames) != 2 || string(call.ToolCall.Frames[0]) != `{"uri":"u"}` {
		t.Errorf("%+v, %v", call.ToolCall, err)
	}
}

func TestParseKind(t *testing.T) {
	listed := map[Kind]bool{}
	for _, kind := range Kinds() {
		got, err := ParseKind(kind.String())
		if err != nil || got != kind || listed[kind] {
			t.Errorf("%q: %q, %v", kind, got, err)
		}
		listed[kind] = true
	}
	for eventType, what := range kinds {
		if !listed[what.kind] || what.kind == Unknown {
			t.Errorf("%s: kind %q is not listed", eventType, what.kind)
		}
	}
	_, err := ParseKind("speaking")
	if err == nil || !strings.Contains(err.Error(), `"speaking"; use one of started_speaking, `) {
		t.Errorf("speaking: %v", err)
	}
}

func TestParseEventIsTolerant(t *testing.T) {
	for text, kind := range map[string]Kind{
		`{"event_type":"conversation.started_speaking","seq":"12","turn_idx":1.5,"properties":[1,2]}`: StartedSpeaking,
		`{"message":{"event_type":"conversation.stopped_speaking","properties":{"duration":"long"}}}`: StoppedSpeaking,
		`{"event_type":"conversation.stopped_speaking","properties":{"role":7,"duration":1e300}}`:     StoppedSpeaking,
		`{"event_type":"system.pal_joined","timestamp":{"a":1},"conversation_id":5}`:                  ReplicaJoined,
		`{"event_type":"conversation.never_seen_before"}`:                                             Unknown,
	} {
		event, err := ParseEvent([]byte(text))
		if err != nil || event.Kind != kind {
			t.Errorf("%s: %q, %v; want %q", text, event.Kind, err, kind)
		}
	}
	for _, text := range []string{``, `{}`, `[]`, `null`, `7`, `"text"`, `{"event_type":""}`, `{"event_type":7}`,
		`{"message":{}}`, `{`, "\xff"} {
		if event, err := ParseEvent([]byte(text)); !errors.Is(err, ErrNoEvent) {
			t.Errorf("%q: %+v, %v; want ErrNoEvent", text, event, err)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	files, _ := filepath.Glob(filepath.Join("..", "testdata", "protocol", "*", "*.json"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		event, err := ParseEvent(msg)
		if err == nil && event.Type == "" && event.Kind != KindGuardrail && event.Kind != KindObjective {
			t.Errorf("%q is an event without a type", msg)
		}
		if event.Duration < -1 {
			t.Errorf("%q lasted %v", msg, event.Duration)
		}
		line, err := json.Marshal(event)
		if err != nil || !json.Valid(line) || !utf8.Valid(line) || bytes.ContainsRune(line, '\n') {
			t.Errorf("%q is written as %q, %v", msg, line, err)
		}
	})
}

// Ids in events are documented to be UUIDs from an MD5; how they are made is not documented.
func TestEventIDs(t *testing.T) {
	for id, want := range map[string][4]string{
		"utt-0001": {"utt-0001", "f744a57a-5982-0d63-e6bf-dadd59ed484a", "f744a57a-5982-3d63-a6bf-dadd59ed484a",
			"f744a57a-5982-4d63-a6bf-dadd59ed484a"},
		"echocast-42": {"echocast-42", "3d3e9a66-783c-c6de-d3ed-daafaf8ba5d5", "3d3e9a66-783c-36de-93ed-daafaf8ba5d5",
			"3d3e9a66-783c-46de-93ed-daafaf8ba5d5"},
	} {
		if got := eventIDs(id); got != want {
			t.Errorf("%s:\ngot  %v\nwant %v", id, got, want)
		}
	}
}

func TestNewInferenceID(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := NewInferenceID()
		if len(id) != 36 || id[8] != '-' || id[13] != '-' || id[14] != '4' || id[18] != '-' || id[23] != '-' || seen[id] {
			t.Fatalf("%q is no fresh random UUID", id)
		}
		seen[id] = true
	}
}

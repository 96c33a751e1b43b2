package echo

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const fixtureID = "6d1c1f6e-2b7e-4a53-9a53-0d6f3c9e5b11"

func TestParseEventFixtures(t *testing.T) {
	unix := func(seconds float64) time.Time { return time.UnixMicro(int64(seconds * 1e6)).UTC() }
	joined := time.Date(2026, 6, 1, 10, 0, 0, 120000000, time.UTC)
	second := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	for name, want := range map[string]Event{
		"started_speaking_pal":                     {Kind: StartedSpeaking, Role: RolePal, Seq: 42, Turn: 3, InferenceID: fixtureID, Time: unix(1780000000.95), Duration: -1},
		"started_speaking_user":                    {Kind: StartedSpeaking, Role: RoleUser, Seq: 37, Turn: 3, InferenceID: fixtureID, Time: unix(1780000000.25), Duration: -1},
		"stopped_speaking_pal":                     {Kind: StoppedSpeaking, Role: RolePal, Seq: 60, Turn: 3, InferenceID: fixtureID, Time: unix(1780000003.35), Duration: second(2.341)},
		"stopped_speaking_replica_duplicate":       {Kind: StoppedSpeaking, Role: RolePal, Seq: 60, Turn: 3, InferenceID: fixtureID, Time: unix(1780000003.35), Duration: second(2.341)},
		"stopped_speaking_pal_interrupted":         {Kind: StoppedSpeaking, Role: RolePal, Seq: 61, Turn: 3, InferenceID: fixtureID, Time: unix(1780000003.45), Duration: second(0.98), Interrupted: true},
		"stopped_speaking_null_duration":           {Kind: StoppedSpeaking, Role: RoleUser, Seq: 38, Turn: 3, InferenceID: fixtureID, Time: unix(1780000000.27), Duration: -1},
		"legacy_replica_started_speaking":          {Kind: StartedSpeaking, Role: RolePal, Seq: 43, Turn: 3, InferenceID: fixtureID, Time: unix(1780000000.95), Duration: -1},
		"legacy_replica_stopped_speaking":          {Kind: StoppedSpeaking, Role: RolePal, Seq: 62, Turn: 3, InferenceID: fixtureID, Time: unix(1780000003.35), Duration: second(2.341)},
		"legacy_user_started_speaking":             {Kind: StartedSpeaking, Role: RoleUser, Seq: 36, Turn: 3, InferenceID: fixtureID, Time: unix(1780000000.25), Duration: -1},
		"removed_replica_interrupted":              {Kind: StoppedSpeaking, Role: RolePal, InferenceID: fixtureID, Duration: -1, Interrupted: true},
		"skilldoc_replica_dot_interrupted":         {Kind: StoppedSpeaking, Role: RolePal, InferenceID: fixtureID, Duration: -1, Interrupted: true},
		"skilldoc_replica_started_props_inference": {Kind: StartedSpeaking, Role: RolePal, InferenceID: fixtureID, Duration: -1},
		"system_pal_joined":                        {Kind: ReplicaJoined, Role: RolePal, Time: joined, Duration: -1},
		"system_replica_joined":                    {Kind: ReplicaJoined, Role: RolePal, Time: joined, Duration: -1},
		"system_replica_present":                   {Kind: ReplicaPresent, Role: RolePal, Duration: -1},
		"system_shutdown":                          {Kind: Shutdown, Duration: -1},
	} {
		got, err := ParseEvent(compact(t, "recv/"+name+".json"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.Kind != want.Kind || got.Role != want.Role || got.Seq != want.Seq || got.Turn != want.Turn || got.InferenceID != want.InferenceID ||
			!got.Time.Equal(want.Time) || got.Duration.Round(time.Millisecond) != want.Duration.Round(time.Millisecond) || got.Interrupted != want.Interrupted {
			t.Errorf("%s:\ngot  %+v\nwant %+v", name, got, want)
		}
	}
}

// Whatever the room sends is passed on: new events appear without notice.
func TestParseEventTakesEveryFixture(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "testdata", "protocol", "recv", "*.json"))
	if err != nil || len(files) < 30 {
		t.Fatalf("%d fixtures, %v", len(files), err)
	}
	for _, file := range files {
		event, err := ParseEvent(compact(t, "recv/"+filepath.Base(file)))
		if err != nil || event.Type == "" {
			t.Errorf("%s: %+v, %v", file, event, err)
		}
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
	for _, text := range []string{``, `{}`, `[]`, `null`, `7`, `"text"`, `{"event_type":""}`, `{"event_type":7}`, `{"message":{}}`, `{`, "\xff"} {
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
		if err == nil && event.Type == "" {
			t.Errorf("%q is an event without a type", msg)
		}
		if event.Duration < -1 {
			t.Errorf("%q lasted %v", msg, event.Duration)
		}
	})
}

// The ids in events are documented to be UUIDs made from an MD5, and not how.
func TestEventIDs(t *testing.T) {
	for id, want := range map[string][4]string{
		"utt-0001":    {"utt-0001", "f744a57a-5982-0d63-e6bf-dadd59ed484a", "f744a57a-5982-3d63-a6bf-dadd59ed484a", "f744a57a-5982-4d63-a6bf-dadd59ed484a"},
		"echocast-42": {"echocast-42", "3d3e9a66-783c-c6de-d3ed-daafaf8ba5d5", "3d3e9a66-783c-36de-93ed-daafaf8ba5d5", "3d3e9a66-783c-46de-93ed-daafaf8ba5d5"},
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

package replica

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// The values follow the description of how ids are normalised, and were computed by other
// means.
func TestIDForms(t *testing.T) {
	tests := []struct {
		form IDForm
		want string
	}{
		{IDVersion3, "f744a57a-5982-3d63-a6bf-dadd59ed484a"},
		{IDVersion4, "f744a57a-5982-4d63-a6bf-dadd59ed484a"},
		{IDMD5, "f744a57a-5982-0d63-e6bf-dadd59ed484a"},
		{IDRaw, "utt-0001"},
	}
	for _, test := range tests {
		o := run(t, &Options{IDs: test.form, MessageLimit: -1}, func(p *peer) { p.say("utt-0001", 100, false) })
		if got := o.events[2].InferenceID; got != test.want || o.Utterances[0].EventID != got {
			t.Errorf("form %d: event %s, report %s, want %s", test.form, got, o.Utterances[0].EventID, test.want)
		}
	}
}

// An utterance without an id gets a random one.
func TestInventedIDs(t *testing.T) {
	anonymous := spoil(last, `"inference_id":"a",`, "")
	o := run(t, &Options{IDs: IDRaw}, func(p *peer) { p.raw(anonymous); p.raw(anonymous) })
	a, b := o.Utterances[0].EventID, o.Utterances[1].EventID
	if len(a) != 36 || len(b) != 36 || a == b {
		t.Errorf("invented %q and %q", a, b)
	}
}

func TestSpeakingEvents(t *testing.T) {
	o := run(t, &Options{IDs: IDRaw, MessageLimit: -1}, func(p *peer) {
		p.at(20).say("a", 150, true)
		p.at(30).say("b", 500, false)
		p.at(40).say("b", 500, true)
		p.at(50).say("c", 500, true)
		p.at(800).interrupt()
		p.at(900).interrupt()
	})
	want := []string{
		"20 started_speaking a",
		"170 stopped_speaking 0.15 interrupted=false a",
		"170 started_speaking b",
		"800 stopped_speaking 0.63 interrupted=true b",
		"800 stopped_speaking 0 interrupted=true c",
	}
	for _, role := range []string{"pal", "replica"} {
		if got := o.speaking(role); !slices.Equal(got, want) {
			t.Errorf("as %s\n%s\nwant\n%s", role, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if len(o.events) != 2+2*len(want) || o.EventsSent != len(o.events) {
		t.Errorf("%d events received, %d reported", len(o.events), o.EventsSent)
	}
	wantInterrupts := []Interrupt{{AtMS: 800, Utterances: 2, DroppedSamples: 24 * (370 + 500)}, {AtMS: 900}}
	if !slices.Equal(o.Interrupts, wantInterrupts) {
		t.Errorf("interrupts %+v, want %+v", o.Interrupts, wantInterrupts)
	}
}

// Repeated events share a seq, all others count up, and timestamps are wall clock time.
func TestSeqAndTimestamp(t *testing.T) {
	var start time.Time
	o := run(t, &Options{Legacy: true, MessageLimit: -1}, func(p *peer) {
		start = p.start
		p.at(250).say("a", 100, true)
		p.at(1000).raw(clean(eventRespond, `{"text":"x"}`))
		p.at(1500).say("b", 100, true)
		p.at(2000)
	})
	var got []string
	for _, e := range o.events[2:] {
		offset := e.Timestamp.(float64) - float64(start.UnixMicro())/1e6
		got = append(got, fmt.Sprintf("%d %.3f %d %s", *e.Seq, offset, *e.TurnIdx,
			strings.TrimPrefix(e.EventType, "conversation.")))
	}
	want := []string{
		"1 0.250 0 started_speaking", "1 0.250 0 started_speaking", "2 0.250 0 replica.started_speaking",
		"3 0.350 0 stopped_speaking", "3 0.350 0 stopped_speaking", "4 0.350 0 replica.stopped_speaking",
		"5 1.000 1 utterance", "5 1.000 1 utterance",
		"6 1.000 1 started_speaking", "6 1.000 1 started_speaking", "7 1.000 1 replica.started_speaking",
		"8 1.300 1 stopped_speaking", "8 1.300 1 stopped_speaking", "9 1.300 1 replica.stopped_speaking",
		"10 1.500 1 started_speaking", "10 1.500 1 started_speaking", "11 1.500 1 replica.started_speaking",
		"12 1.600 1 stopped_speaking", "12 1.600 1 stopped_speaking", "13 1.600 1 replica.stopped_speaking",
	}
	if !slices.Equal(got, want) {
		t.Errorf("events\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Every event has exactly the documented fields and types.
func TestEventShapes(t *testing.T) {
	o := run(t, &Options{Legacy: true, ConversationID: "c1", MessageLimit: -1}, func(p *peer) {
		p.say("a", 100, true)
		p.at(500).say("b", 100, true)
		p.at(550).interrupt()
		p.at(600).raw(textMessage(`"text":"Hello."`))
		p.at(2000).raw(textMessage(`"text":"Hello ","inference_id":"t","done":false`))
		p.at(2200).interrupt()
	})
	fixtures := []string{
		"system_replica_joined", "system_pal_joined",
		"started_speaking_pal", "", "legacy_replica_started_speaking",
		"stopped_speaking_pal", "stopped_speaking_replica_duplicate", "legacy_replica_stopped_speaking",
		"started_speaking_pal", "", "legacy_replica_started_speaking",
		"stopped_speaking_pal_interrupted", "", "",
		"utterance_pal", "utterance_replica_duplicate", "started_speaking_pal", "", "legacy_replica_started_speaking",
		"stopped_speaking_pal", "stopped_speaking_replica_duplicate", "legacy_replica_stopped_speaking",
		"started_speaking_pal", "", "legacy_replica_started_speaking",
		"utterance_pal_interrupted", "", "stopped_speaking_pal_interrupted", "", "",
	}
	if len(o.events) != len(fixtures) {
		t.Fatalf("%d events, want %d", len(o.events), len(fixtures))
	}
	for i, name := range fixtures {
		if name == "" {
			continue
		}
		got, want := shape(t, "", o.events[i].raw), shape(t, "", []byte(fixture(t, "testdata/recv/"+name+".json")))
		if !slices.Equal(got, want) {
			t.Errorf("event %d is\n%v\n%s is\n%v", i, got, name, want)
		}
	}
}

// shape lists the fields of an object with their types, and the values that
// are the same in every event of a kind.
func shape(t *testing.T, prefix string, raw []byte) []string {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		value := string(fields[key])
		switch {
		case key == "properties":
			lines = append(lines, shape(t, "properties.", fields[key])...)
		case slices.Contains([]string{"message_type", "event_type", "role", "interrupted"}, key):
			lines = append(lines, prefix+key+"="+value)
		case value[0] == '"':
			lines = append(lines, prefix+key+" text")
		default:
			lines = append(lines, prefix+key+" number")
		}
	}
	return lines
}

func TestJoinedEvents(t *testing.T) {
	o := run(t, &Options{FaceID: "face"}, func(*peer) {})
	if got := o.events[0].Properties.ReplicaID; got != "face" {
		t.Errorf("replica_id %q", got)
	}
	if got := o.events[1].Properties.FaceID; got != "face" {
		t.Errorf("face_id %q", got)
	}
	if _, err := time.Parse(time.RFC3339, o.events[0].Timestamp.(string)); err != nil {
		t.Error(err)
	}
}

package replica

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func parsed(t *testing.T, lines ...string) Script {
	t.Helper()
	script, err := ParseScript(strings.NewReader(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return script
}

func TestScript(t *testing.T) {
	script := parsed(t,
		`# a comment, and an empty line`,
		``,
		`{"after_ms":1500,"event":{"event_type":"late"}}`,
		`{"on":"stopped_speaking","nth":2,"after_ms":100.5,"event":{"event_type":"second stop"}}`,
		`{"on":"conversation.started_speaking","event":{"event_type":"first start"}}`,
		`{"on":"conversation.append_llm_context","event":{"event_type":"context"}}`,
		`{"on":"echo","nth":2,"event":{"event_type":"second chunk"}}`,
		`{"on":"interrupt","event":{"event_type":"never"}}`,
	)
	o := run(t, &Options{MessageLimit: -1, JoinDelay: 20e6, Script: script}, func(p *peer) {
		p.at(100).say("a", 100, true)
		p.at(300).say("b", 100, true)
		p.at(600).raw(fixture(t, "testdata/send/append_context_alias.json"))
		p.at(3000)
	})
	var got []string
	for _, e := range o.events {
		if !strings.Contains(e.EventType, ".") {
			got = append(got, fmt.Sprintf("%v %s", e.at, e.EventType))
		}
	}
	want := []string{"100 first start", "300 second chunk", "500.5 second stop", "600 context", "1520 late"}
	if !slices.Equal(got, want) {
		t.Errorf("played %q, want %q", got, want)
	}
}

// Existing fields stay as they are written, and missing ones are added after them.
func TestScriptCompletesEvents(t *testing.T) {
	script := parsed(t,
		`{"event": {"b": 1.50, "a": "<"}}`,
		`{"event":{}}`,
		`{"event":{"seq":77,"timestamp":null}}`,
		`{"event":{"message_type":"system"}}`,
		`{"raw":true,"event":{"b":1}}`,
	)
	o := run(t, &Options{Script: script}, func(p *peer) { p.at(1) })
	const unix, text = `"timestamp":946684800`, `"timestamp":"2000-01-01T00:00:00.000000Z"`
	want := []string{`{"b":1.50,"a":"<","seq":1,` + unix + `}`, `{"seq":2,` + unix + `}`, `{"seq":77,"timestamp":null}`,
		`{"message_type":"system",` + text + `}`, `{"b":1}`}
	for i, e := range o.events[2:] {
		if string(e.raw) != want[i] {
			t.Errorf("sent %s, want %s", e.raw, want[i])
		}
	}
	if len(o.events) != 2+len(want) {
		t.Errorf("%d events", len(o.events))
	}
}

func TestScriptIsRefused(t *testing.T) {
	if line := parsed(t, `{"raw":true,"event":"no object"}`)[0]; string(line.Event) != `"no object"` {
		t.Errorf("raw event %s", line.Event)
	}
	for line, want := range map[string]string{
		`{`:                                   "unexpected EOF",
		`{"event":{}} {}`:                     "unexpected data after",
		`{"event":{},"when":1}`:               `"when"`,
		`{}`:                                  "event is missing",
		`{"event":[1]}`:                       "not a JSON object",
		`{"event":null}`:                      "not a JSON object",
		`{"event":{},"on":"stopped"}`:         `unknown on "stopped"; use one of joined, started_speaking`,
		`{"event":{},"nth":-1}`:               "less than 1",
		`{"event":{},"after_ms":-1}`:          "after_ms",
		`{"event":{},"after_ms":1e300}`:       "after_ms",
		strings.Repeat(" ", maxScriptLine+10): "too long",
	} {
		_, err := ParseScript(strings.NewReader("\n" + line))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%.60s: %v, want %q", line, err, want)
		}
	}
}

// epoch is any time.
var epoch = time.Unix(0, 0)

func FuzzScript(f *testing.F) {
	f.Add([]byte(`{"after_ms":1500,"event":{"event_type":"late"}}`))
	f.Add([]byte("# x\n\n" + `{"on":"conversation.echo","nth":2,"raw":true,"event":7}`))
	f.Add([]byte(`{"event":{ }}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		script, err := ParseScript(strings.NewReader(string(text)))
		if err != nil {
			return
		}
		s := newSession((&Options{Script: script}).withDefaults(), epoch)
		for _, line := range script {
			if line.After < 0 || line.Nth < 0 {
				t.Errorf("waits for %v after %d", line.After, line.Nth)
			}
			if !line.Raw && !json.Valid(s.fillIn(line.Event, epoch)) {
				t.Errorf("%s is completed to %s", line.Event, s.fillIn(line.Event, epoch))
			}
		}
	})
}

package replica

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Script is a list of events that a replica sends in addition to its own.
//
// It is written as lines of JSON:
//
//	{"after_ms":1500,"event":{"message_type":"conversation","event_type":"conversation.tool_call","properties":{…}}}
//	{"on":"conversation.tool_result","nth":2,"after_ms":100,"event":{…}}
//	{"on":"stopped_speaking","raw":true,"event":{…}}
//
// Each line is independent. Its event is sent after_ms milliseconds after the event or
// message that "on" names has happened for the nth time (by default the first). A line
// without "on" waits until the replica has joined. Empty lines and lines that begin with #
// are skipped.
type Script []Line

// Line is one event of a script and the time to send it.
type Line struct {
	// On names what to wait for: one of ScriptNames. Empty means joined.
	On string

	// Nth is how often On must happen. Zero means once.
	Nth int

	// After is the time from then until the event is sent.
	After time.Duration

	// Raw sends the event unchanged. Otherwise a missing seq and timestamp are added. A
	// system event gets only a timestamp.
	Raw bool

	// Event is the message: a JSON object or, with Raw, any JSON.
	Event json.RawMessage
}

// ScriptNames lists what a line can wait for: events that the replica sends (joined to
// user.utterance), where a twin does not count, and messages that it receives. Each name
// may have the prefix "conversation.".
var ScriptNames = []string{
	"joined", "started_speaking", "stopped_speaking", "utterance",
	"user.started_speaking", "user.stopped_speaking", "user.utterance",
	"echo", "interrupt", "respond", "overwrite_llm_context", "append_llm_context", "sensitivity", "tool_result",
}

const (
	maxScriptLine = 1 << 20         // bytes
	maxScriptWait = 24 * 3_600_000  // milliseconds
	eventPrefix   = "conversation." // of the names of most events
	systemTime    = "2006-01-02T15:04:05.000000Z07:00"
)

// ParseScript reads a script. An error names the line with the mistake.
func ParseScript(r io.Reader) (Script, error) {
	var script Script
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxScriptLine)
	n := 1
	for ; lines.Scan(); n++ {
		text := bytes.TrimSpace(lines.Bytes())
		if len(text) == 0 || text[0] == '#' {
			continue
		}
		line, err := parseLine(text)
		if err != nil {
			return nil, fmt.Errorf("replica: script line %d: %w", n, err)
		}
		script = append(script, line)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("replica: script line %d: %w", n, err)
	}
	return script, nil
}

func parseLine(text []byte) (Line, error) {
	var fields struct {
		On      string          `json:"on"`
		Nth     int             `json:"nth"`
		AfterMS float64         `json:"after_ms"`
		Raw     bool            `json:"raw"`
		Event   json.RawMessage `json:"event"`
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&fields); err != nil {
		return Line{}, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return Line{}, errors.New("unexpected data after the object")
	}
	if fields.AfterMS < 0 || fields.AfterMS > maxScriptWait {
		return Line{}, fmt.Errorf("after_ms is %v, not between 0 and %d", fields.AfterMS, maxScriptWait)
	}
	line := Line{On: fields.On, Nth: fields.Nth, After: time.Duration(fields.AfterMS * float64(time.Millisecond)),
		Raw: fields.Raw, Event: compact(fields.Event)}
	return line, line.Check()
}

// compact removes insignificant space.
func compact(event json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, event) != nil {
		return event // Check reports it
	}
	return b.Bytes()
}

// Check returns an error if the line cannot be sent.
func (l Line) Check() error {
	switch {
	case !slices.Contains(ScriptNames, l.name()):
		return fmt.Errorf("unknown on %s; use one of %s", quote(l.On), strings.Join(ScriptNames, ", "))
	case l.Nth < 0:
		return fmt.Errorf("nth is %d, less than 1", l.Nth)
	case len(l.Event) == 0:
		return errors.New("event is missing")
	case !json.Valid(l.Event):
		return errors.New("event is not JSON")
	case !l.Raw && !bytes.HasPrefix(l.Event, []byte{'{'}):
		return errors.New("event is not a JSON object; add \"raw\":true to send it anyway")
	}
	return nil
}

// name returns On in the form of ScriptNames.
func (l Line) name() string {
	if l.On == "" {
		return "joined"
	}
	return strings.TrimPrefix(l.On, eventPrefix)
}

// scheduleScript schedules the lines of the script that wait for this name.
func (s *session) scheduleScript(name string, at time.Time) {
	name = strings.TrimPrefix(name, eventPrefix)
	s.times[name]++
	for _, line := range s.opts.Script {
		if line.name() == name && max(line.Nth, 1) == s.times[name] {
			s.schedule.add(at.Add(line.After), func(at time.Time) { s.sendLine(line, at) })
		}
	}
}

// sendLine sends the event of a line, with missing fields added at its end.
func (s *session) sendLine(line Line, at time.Time) {
	if !line.Raw {
		line.Event = s.fillIn(line.Event, at)
	}
	s.outbox.post(nil, SentScript, at, line.Event)
}

func (s *session) fillIn(event json.RawMessage, at time.Time) json.RawMessage {
	fields, err := decodeObject(event)
	if err != nil {
		return event
	}
	timestamp, isSystem := any(unixSeconds(at)), describe(fields["message_type"]) == `"system"`
	if isSystem {
		timestamp = systemTimestamp(at)
	}
	if fields["seq"] == nil && !isSystem {
		event = appendField(event, "seq", s.nextSeq())
	}
	if fields["timestamp"] == nil {
		event = appendField(event, "timestamp", timestamp)
	}
	return event
}

// appendField adds a field at the end of a compact JSON object.
func appendField(event json.RawMessage, key string, value any) json.RawMessage {
	field, err := json.Marshal(map[string]any{key: value})
	if err != nil {
		panic(err) // text and finite numbers
	}
	whole := slices.Clone(event[:len(event)-1])
	if len(whole) > 1 {
		whole = append(whole, ',')
	}
	return append(whole, field[1:]...)
}

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

// Script is a list of events that a replica sends beside its own.
//
// It is written as lines of JSON:
//
//	{"after_ms":1500,"event":{"message_type":"conversation","event_type":"conversation.tool_call","properties":{…}}}
//	{"on":"conversation.tool_result","nth":2,"after_ms":100,"event":{…}}
//	{"on":"stopped_speaking","raw":true,"event":{…}}
//
// Every line stands for itself. It waits for the nth time that what it names
// happens in the run (the first, if it does not say), and then so many
// milliseconds. A line without on waits for the replica to have joined.
// Empty lines, and those that begin with #, are passed over.
type Script []Line

// Line is an event of a script, and when it is sent.
type Line struct {
	// On is what is waited for, one of ScriptNames; joined when empty.
	On string

	// Nth is how often that has to happen; zero is once.
	Nth int

	// After is the time from then until the event is sent.
	After time.Duration

	// Raw leaves the event as it is. Otherwise it gets a seq and a timestamp
	// where it has none, and those of the system a timestamp only.
	Raw bool

	// Event is the message: a JSON object or, with Raw, any JSON.
	Event json.RawMessage
}

// ScriptNames are the things that a line can wait for: what the replica sends
// (joined to user.utterance; a twin does not count) and what it receives. Each
// may be written with "conversation." before it.
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

// ParseScript reads a script. An error names the line.
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
		return Line{}, errors.New("there is something after the object")
	}
	if fields.AfterMS < 0 || fields.AfterMS > maxScriptWait {
		return Line{}, fmt.Errorf("after_ms is %v, and a wait is from 0 to %d", fields.AfterMS, maxScriptWait)
	}
	line := Line{On: fields.On, Nth: fields.Nth, After: time.Duration(fields.AfterMS * float64(time.Millisecond)), Raw: fields.Raw, Event: compact(fields.Event)}
	return line, line.Check()
}

// compact removes the space that a message does not have.
func compact(event json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, event) != nil {
		return event // Check says what is wrong with it
	}
	return b.Bytes()
}

// Check says what is wrong with a line.
func (l Line) Check() error {
	switch {
	case !slices.Contains(ScriptNames, l.name()):
		return fmt.Errorf("nothing is called %s; there are %s", quote(l.On), strings.Join(ScriptNames, ", "))
	case l.Nth < 0:
		return fmt.Errorf("nth is %d, and counts from 1", l.Nth)
	case len(l.Event) == 0:
		return errors.New("event is missing")
	case !json.Valid(l.Event):
		return errors.New("event is not JSON")
	case !l.Raw && !bytes.HasPrefix(l.Event, []byte{'{'}):
		return errors.New("event is not a JSON object; add \"raw\":true to send it anyway")
	}
	return nil
}

// name is what is waited for, in the form of ScriptNames.
func (l Line) name() string {
	if l.On == "" {
		return "joined"
	}
	return strings.TrimPrefix(l.On, eventPrefix)
}

// happened lets the lines go that have waited for this.
func (s *session) happened(name string, at time.Time) {
	name = strings.TrimPrefix(name, eventPrefix)
	s.times[name]++
	for _, line := range s.opts.Script {
		if line.name() == name && max(line.Nth, 1) == s.times[name] {
			s.agenda.add(at.Add(line.After), func(at time.Time) { s.sendLine(line, at) })
		}
	}
}

// sendLine sends the event of a line, with what is missing filled in behind
// what is there.
func (s *session) sendLine(line Line, at time.Time) {
	if !line.Raw {
		line.Event = s.complete(line.Event, at)
	}
	s.outbox.post(SentScript, at, line.Event)
}

func (s *session) complete(event json.RawMessage, at time.Time) json.RawMessage {
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

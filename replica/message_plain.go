package replica

import (
	"bytes"
	"encoding/base64"
	"sync"
)

// plainEcho reads an audio message in plain form: each key of the schema once and no other
// key, strings without escapes, and no deviation. Nearly all messages have this form.
// parser decodes each message three times and takes ten times as long. For any other
// message ok is false, and parser reads the message.
func plainEcho(msg []byte) (m message, ok bool) {
	var e plainFields
	p := plainJSON{msg}
	isPlain := p.object(e.envelope) && len(p.rest) == 0 &&
		string(e.messageType) == "conversation" && string(e.eventType) == eventEcho && string(e.modality) == "audio" &&
		isName(e.conversation) && isName(e.id)
	if !isPlain {
		return message{}, false
	}
	c := chunk{id: string(e.id), isDone: string(e.done) == "true"}
	switch string(e.rate) {
	case "24000":
		c.rate = recommendedRate
	case "16000":
		c.rate = impliedRate
	default:
		return message{}, false
	}
	if c.samples, ok = plainSamples(e.audio); !ok || !c.isDone && string(e.done) != "false" {
		return message{}, false
	}
	return message{action: actionSpeak, event: eventEcho, conversation: string(e.conversation), chunk: c}, true
}

// plainFields are the raw values of a message.
type plainFields struct {
	messageType, eventType, conversation []byte
	modality, audio, rate, id, done      []byte
	hasProperties                        bool
}

// envelope reads the value of a key of the message.
func (e *plainFields) envelope(p *plainJSON, key []byte) bool {
	switch string(key) {
	case "message_type":
		return p.readText(&e.messageType)
	case "event_type":
		return p.readText(&e.eventType)
	case "conversation_id":
		return p.readText(&e.conversation)
	case "properties":
		isFirst := !e.hasProperties
		e.hasProperties = true
		return isFirst && p.object(e.property)
	}
	return false
}

// property reads the value of a key of the properties.
func (e *plainFields) property(p *plainJSON, key []byte) bool {
	switch string(key) {
	case "modality":
		return p.readText(&e.modality)
	case "audio":
		return p.readText(&e.audio)
	case "inference_id":
		return p.readText(&e.id)
	case "sample_rate":
		return p.readWord(&e.rate)
	case "done":
		return p.readWord(&e.done)
	}
	return false
}

// plainJSON is the unread rest of a JSON text in plain form.
type plainJSON struct{ rest []byte }

// object reads an object, and calls member to read the value of each key.
func (p *plainJSON) object(member func(p *plainJSON, key []byte) bool) bool {
	if !p.take('{') {
		return false
	}
	for {
		var key []byte
		if !p.readText(&key) || !p.take(':') || !member(p, key) {
			return false
		}
		if p.take('}') {
			return true
		}
		if !p.take(',') {
			return false
		}
	}
}

// take reads one character, which may have spaces before it.
func (p *plainJSON) take(c byte) bool {
	for len(p.rest) > 0 && p.rest[0] == ' ' {
		p.rest = p.rest[1:]
	}
	if len(p.rest) == 0 || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// readText reads a string up to the next quote. The caller checks its characters: names
// and base64 contain no escapes or control characters.
func (p *plainJSON) readText(to *[]byte) bool {
	if *to != nil || !p.take('"') {
		return false
	}
	end := bytes.IndexByte(p.rest, '"')
	if end < 0 {
		return false
	}
	*to, p.rest = p.rest[:end], p.rest[end+1:]
	return true
}

// readWord reads a number, true or false.
func (p *plainJSON) readWord(to *[]byte) bool {
	end := bytes.IndexAny(p.rest, " ,}")
	for end == 0 && p.rest[0] == ' ' {
		p.rest = p.rest[1:]
		end = bytes.IndexAny(p.rest, " ,}")
	}
	if *to != nil || end < 0 {
		return false
	}
	*to, p.rest = p.rest[:end], p.rest[end:]
	return true
}

// isName reports whether a string is a name of printable ASCII.
func isName(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c > '~' || c == '\\' {
			return false
		}
	}
	return len(text) > 0
}

// strictBase64 is strict except for line breaks, which a string cannot contain.
var strictBase64 = base64.StdEncoding.Strict()

// pcmBuffers hold decoded bytes until they are converted to samples.
var pcmBuffers = sync.Pool{New: func() any { return new([]byte) }}

// plainSamples decodes audio: s16le in base64 with padding.
func plainSamples(text []byte) ([]int16, bool) {
	buffer := pcmBuffers.Get().(*[]byte) //nolint:forcetypeassert // New makes no others
	defer pcmBuffers.Put(buffer)
	pcm, err := strictBase64.AppendDecode((*buffer)[:0], text)
	*buffer = pcm
	hasBreaks := bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, '\r') >= 0
	if err != nil || len(pcm) == 0 || len(pcm)%2 != 0 || hasBreaks {
		return nil, false
	}
	return decodeSamples(pcm), true
}

// Package vonage is the carrier's side of the WebSockets of the Vonage Voice API, for
// package carrier: what a bot sees is a call that an NCCO connects to it.
//
// Audio is binary: signed 16-bit little-endian samples, mono, at 8, 16 or 24 kHz, in
// messages of 20 ms. Everything else is JSON text.
//
//	to the bot
//	{"event":"websocket:connected","content-type":"audio/l16;rate=16000", and the
//	 headers of the NCCO}
//	{"event":"websocket:notify","payload":…}   all audio before that notify was heard
//	{"event":"websocket:cleared"}
//	from the bot
//	{"action":"clear"}
//	{"action":"notify","payload":…}
//
// A clear drops the notifications that wait. There is no message at the end: the
// WebSocket is closed. The facts are from
// https://developer.vonage.com/en/voice/voice-api/concepts/websockets
package vonage

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	"echocast/carrier"
	"echocast/internal/pcm"
)

// Rates returns the possible sampling rates in Hz.
func Rates() []int { return []int{8000, 16000, 24000} }

// Leg is one call. It implements carrier.Protocol.
type Leg struct {
	rate    int
	headers map[string]string
	odd     []byte // half a sample of the bot's last message
}

// New returns a call at one of Rates. The bot gets the headers in the first message, like
// those of an NCCO.
func New(rate int, headers map[string]string) (*Leg, error) {
	if !slices.Contains(Rates(), rate) {
		return nil, fmt.Errorf("vonage: a rate of %d Hz is not supported; use one of %v", rate, Rates())
	}
	return &Leg{rate: rate, headers: headers}, nil
}

// Rate returns the rate that New was given.
func (l *Leg) Rate() int { return l.rate }

// Start returns websocket:connected.
func (l *Leg) Start() []carrier.Message {
	first := map[string]string{}
	for name, value := range l.headers {
		first[name] = value
	}
	first["event"], first["content-type"] = "websocket:connected", fmt.Sprintf("audio/l16;rate=%d", l.rate)
	return []carrier.Message{encode(first)}
}

// Voice returns a binary message.
func (l *Leg) Voice(frame []int16) carrier.Message {
	data := make([]byte, 0, 2*len(frame))
	for _, sample := range frame {
		data = binary.LittleEndian.AppendUint16(data, uint16(sample))
	}
	return carrier.Message{IsBinary: true, Data: data}
}

// Mark returns websocket:notify, unless the audio was cleared.
func (l *Leg) Mark(name string, isHeard bool) []carrier.Message {
	if !isHeard {
		return nil
	}
	return []carrier.Message{encode(notification{"websocket:notify", json.RawMessage(name)})}
}

type notification struct {
	Event   string          `json:"event"`
	Payload json.RawMessage `json:"payload"`
}

// Cleared returns websocket:cleared.
func (l *Leg) Cleared() []carrier.Message {
	return []carrier.Message{encode(map[string]string{"event": "websocket:cleared"})}
}

// Stop returns nothing.
func (l *Leg) Stop() []carrier.Message { return nil }

func encode(v any) carrier.Message {
	data, _ := json.Marshal(v) // strings, and JSON that was read
	return carrier.Message{Data: data}
}

// Read reads audio, clear and notify. A message of audio may have any length.
func (l *Leg) Read(in carrier.Message) (carrier.Order, error) {
	if in.IsBinary {
		return carrier.Order{Audio: l.samples(in.Data)}, nil
	}
	var m struct {
		Action  string          `json:"action"`
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(in.Data, &m); err != nil {
		return carrier.Order{}, fmt.Errorf("a text message that is not JSON of the Voice API: %w", err)
	}
	switch m.Action {
	case "clear":
		return carrier.Order{Clear: true}, nil
	case "notify":
		if m.Payload == nil {
			m.Payload = json.RawMessage("null")
		}
		return carrier.Order{HasMark: true, Mark: string(m.Payload)}, nil
	}
	return carrier.Order{}, fmt.Errorf("an action %q; a bot sends clear and notify", m.Action)
}

// samples returns the samples of a message. If the message before ended with half a sample,
// that one is completed.
func (l *Leg) samples(data []byte) []int16 {
	data = append(l.odd, data...)
	l.odd = append([]byte(nil), data[len(data)&^1:]...)
	return pcm.Samples(data)
}

// Package twilio is the carrier's side of Twilio Media Streams, for package carrier:
// what a bot sees is a bidirectional stream, as TwiML's <Connect><Stream> opens it.
//
// Every message is JSON text. Audio is G.711 mu-law at 8 kHz, mono, in base64.
// Numbers are written as strings.
//
//	to the bot
//	{"event":"connected","protocol":"Call","version":"1.0.0"}
//	{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC…","streamSid":"MZ…","callSid":"CA…",
//	  "tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},
//	  "customParameters":{}},"streamSid":"MZ…"}
//	{"event":"media","sequenceNumber":"2","media":{"track":"inbound","chunk":"1","timestamp":"20","payload":"…"},"streamSid":"MZ…"}
//	{"event":"mark","sequenceNumber":"3","streamSid":"MZ…","mark":{"name":"hello"}}
//	{"event":"stop","sequenceNumber":"4","streamSid":"MZ…","stop":{"accountSid":"AC…","callSid":"CA…"}}
//	from the bot
//	{"event":"media","streamSid":"MZ…","media":{"payload":"…"}}
//	{"event":"mark","streamSid":"MZ…","mark":{"name":"hello"}}
//	{"event":"clear","streamSid":"MZ…"}
//
// A mark comes back when what is before it was heard, at once if nothing is waiting,
// and after a clear at once as well: the bot cannot tell the two apart, with Twilio
// as here. The facts are from https://www.twilio.com/docs/voice/media-streams/websocket-messages
package twilio

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // Twilio signs with it
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"

	"echocast/carrier"
	"echocast/internal/pcm"
)

const rate = 8000 // Hz

// SignatureHeader is the header by which Twilio proves that it is the caller.
const SignatureHeader = "X-Twilio-Signature"

// Sign returns the signature of a request for the WebSocket at url, for bots that check it.
func Sign(authToken, url string) string {
	mac := hmac.New(sha1.New, []byte(authToken))
	mac.Write([]byte(url))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Stream is one Media Stream. It implements carrier.Protocol.
type Stream struct {
	account, call, stream string
	parameters            map[string]string
	sequence, chunk       int
}

// New returns a stream with made-up SIDs. The bot gets the parameters as if TwiML's
// <Parameter> had set them.
func New(parameters map[string]string) *Stream {
	if parameters == nil {
		parameters = map[string]string{}
	}
	return &Stream{account: sid("AC"), call: sid("CA"), stream: sid("MZ"), parameters: parameters}
}

// sid makes up an id in Twilio's form.
func sid(kind string) string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	return kind + hex.EncodeToString(random[:])
}

// message is a message to the bot. It leaves out the fields that its event does not have.
type message struct {
	Event     string `json:"event"`
	Protocol  string `json:"protocol,omitempty"`
	Version   string `json:"version,omitempty"`
	Sequence  string `json:"sequenceNumber,omitempty"`
	Start     *start `json:"start,omitempty"`
	Media     *media `json:"media,omitempty"`
	Mark      *mark  `json:"mark,omitempty"`
	Stop      *stop  `json:"stop,omitempty"`
	StreamSID string `json:"streamSid,omitempty"`
}

type start struct {
	AccountSID       string            `json:"accountSid"`
	StreamSID        string            `json:"streamSid"`
	CallSID          string            `json:"callSid"`
	Tracks           []string          `json:"tracks"`
	MediaFormat      mediaFormat       `json:"mediaFormat"`
	CustomParameters map[string]string `json:"customParameters"`
}

type mediaFormat struct {
	Encoding   string `json:"encoding"`
	SampleRate int    `json:"sampleRate"`
	Channels   int    `json:"channels"`
}

type media struct {
	Track     string `json:"track,omitempty"`
	Chunk     string `json:"chunk,omitempty"`
	Timestamp string `json:"timestamp,omitempty"`
	Payload   []byte `json:"payload"`
}

type mark struct {
	Name string `json:"name"`
}

type stop struct {
	AccountSID string `json:"accountSid"`
	CallSID    string `json:"callSid"`
}

// Rate returns 8000 Hz.
func (s *Stream) Rate() int { return rate }

// Start returns connected and start.
func (s *Stream) Start() []carrier.Message {
	return []carrier.Message{
		encode(message{Event: "connected", Protocol: "Call", Version: "1.0.0"}),
		s.next(message{Event: "start", Start: &start{
			AccountSID: s.account, StreamSID: s.stream, CallSID: s.call, Tracks: []string{"inbound"},
			MediaFormat: mediaFormat{"audio/x-mulaw", rate, 1}, CustomParameters: s.parameters,
		}}),
	}
}

// Voice returns a media message of the inbound track. Its timestamp counts milliseconds from
// the start of the stream.
func (s *Stream) Voice(frame []int16) carrier.Message {
	s.chunk++
	at := int64(s.chunk) * carrier.FrameTime.Milliseconds()
	return s.next(message{Event: "media", Media: &media{"inbound", strconv.Itoa(s.chunk),
		strconv.FormatInt(at, 10), pcm.Encode(frame, pcm.EncodeMuLaw)}})
}

// Mark returns the mark. Twilio does not distinguish heard marks from cleared ones.
func (s *Stream) Mark(name string, _ bool) []carrier.Message {
	return []carrier.Message{s.next(message{Event: "mark", Mark: &mark{name}})}
}

// Cleared returns nothing: the returned marks tell the bot.
func (s *Stream) Cleared() []carrier.Message { return nil }

// Stop returns stop.
func (s *Stream) Stop() []carrier.Message {
	return []carrier.Message{s.next(message{Event: "stop", Stop: &stop{s.account, s.call}})}
}

// next numbers a message.
func (s *Stream) next(m message) carrier.Message {
	s.sequence++
	m.Sequence, m.StreamSID = strconv.Itoa(s.sequence), s.stream
	return encode(m)
}

func encode(m message) carrier.Message {
	data, _ := json.Marshal(m) // strings and numbers
	return carrier.Message{Data: data}
}

// Read reads media, mark and clear. Twilio accepts no other messages.
func (s *Stream) Read(in carrier.Message) (carrier.Order, error) {
	var m struct { // not message: bots send other fields as strings, as numbers, or not at all
		Event     string `json:"event"`
		StreamSID string `json:"streamSid"`
		Media     *struct {
			Payload []byte `json:"payload"`
		} `json:"media"`
		Mark *mark `json:"mark"`
	}
	if in.IsBinary {
		return carrier.Order{}, fmt.Errorf("a binary message of %d bytes; a Media Stream is text", len(in.Data))
	}
	if err := json.Unmarshal(in.Data, &m); err != nil {
		return carrier.Order{}, fmt.Errorf("a message that is not JSON of a Media Stream: %w", err)
	}
	if m.StreamSID != s.stream {
		return carrier.Order{}, fmt.Errorf("a message %q for the stream %q; this one is %s", m.Event, m.StreamSID, s.stream)
	}
	switch {
	case m.Event == "media" && m.Media != nil:
		return carrier.Order{Audio: pcm.Decode(m.Media.Payload, pcm.DecodeMuLaw)}, nil
	case m.Event == "mark" && m.Mark != nil:
		return carrier.Order{HasMark: true, Mark: m.Mark.Name}, nil
	case m.Event == "clear":
		return carrier.Order{Clear: true}, nil
	}
	return carrier.Order{}, fmt.Errorf("a message %q; a bot sends media, mark and clear", m.Event)
}

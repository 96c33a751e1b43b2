package replica

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Rates in Hz. Only two are documented: 24000 is recommended, and 16000 is assumed if
// sample_rate is missing. Other rates are played within these limits.
// https://docs.tavus.io/sections/conversational-video-interface/modes/echo-mode-quickstart
const (
	recommendedRate = 24000
	impliedRate     = 16000
	lowestRate      = 4000
	highestRate     = 192000
)

// The event types that clients may send.
const (
	eventEcho        = "conversation.echo"
	eventInterrupt   = "conversation.interrupt"
	eventRespond     = "conversation.respond"
	eventOverwrite   = "conversation.overwrite_llm_context"
	eventAppend      = "conversation.append_llm_context"
	eventSensitivity = "conversation.sensitivity"
	eventSetEmotion  = "conversation.set_emotion"
	eventToolResult  = "conversation.tool_result"
)

// action is the effect of a message on the replica.
type action int

const (
	actionNone      action = iota // dropped
	actionSpeak                   // an audio chunk
	actionInterrupt               // stop all speech
	actionSay                     // text to be said
	actionRespond                 // text to be answered
	actionReport                  // add an entry to the report
)

// message is a parsed client message.
type message struct {
	action       action
	event        string
	conversation string
	chunk        chunk
	text         textChunk
	entry        entry
}

// id returns the inference_id of the message, or "".
func (m message) id() string { return cmp.Or(m.chunk.id, m.text.id) }

// chunk is the content of an audio echo.
type chunk struct {
	id      string // empty if missing
	samples []int16
	rate    int // Hz; 0 if missing
	isDone  bool
}

// fault is a complaint about one message, without the time.
type fault struct {
	kind Kind
	text string
}

// parser reads one message and collects its deviations.
type parser struct{ faults []fault }

// object is a JSON object with exact keys. Decoding into a struct would ignore the case of
// keys.
type object map[string]json.RawMessage

// parse reads one message as a tolerant peer would. limit is in bytes. A negative limit
// means no limit.
func parse(msg []byte, limit int) (message, []fault) {
	if limit < 0 || len(msg) <= limit {
		if m, ok := plainEcho(msg); ok {
			return m, nil
		}
	}
	p := &parser{}
	return p.message(msg, limit), p.faults
}

func (p *parser) fault(kind Kind, format string, args ...any) {
	p.faults = append(p.faults, fault{kind, fmt.Sprintf(format, args...)})
}

func (p *parser) message(msg []byte, limit int) message {
	if limit >= 0 && len(msg) > limit {
		p.fault(KindTooLarge, "%d bytes, the limit is %d", len(msg), limit)
		return message{}
	}
	envelope, err := decodeObject(msg)
	if err != nil {
		p.fault(KindJSON, "%v", err)
		return message{}
	}
	envelope = p.unwrap(envelope)
	if !p.messageType(envelope) {
		return message{}
	}
	m := message{event: p.envelopeText(envelope, "event_type"), conversation: p.envelopeText(envelope, "conversation_id")}
	p.dispatch(&m, envelope)
	return m
}

// unwrap returns the message inside {"message":{…}}, a form that an early browser sample
// sent.
func (p *parser) unwrap(envelope object) object {
	if len(envelope) != 1 {
		return envelope
	}
	inner, err := decodeObject(envelope["message"])
	if err != nil || inner["event_type"] == nil {
		return envelope
	}
	p.fault(KindEnvelope, "wrapped in an object with the key message")
	return inner
}

// messageType reports whether the message is for a replica. It tolerates a missing type,
// because the schema requires none.
func (p *parser) messageType(envelope object) bool {
	raw, present := envelope["message_type"]
	if !present {
		p.fault(KindEnvelope, "message_type is missing")
		return true
	}
	if text, ok := decodeText(raw); !ok || text != "conversation" {
		p.fault(KindEnvelope, "message_type is %s, not \"conversation\"", describe(raw))
		return false
	}
	return true
}

// envelopeText returns a required field of the envelope. If it is missing, envelopeText
// records a complaint and returns "".
func (p *parser) envelopeText(envelope object, key string) string {
	raw, present := envelope[key]
	if !present {
		p.fault(KindEnvelope, "%s is missing", key)
		return ""
	}
	text, ok := decodeText(raw)
	if !ok || text == "" {
		p.fault(KindEnvelope, "%s is %s, not a name", key, describe(raw))
	}
	return text
}

func (p *parser) dispatch(m *message, envelope object) {
	switch {
	case m.event == "": // reported before
	case m.event == eventEcho:
		p.echo(m, envelope)
	case m.event == eventInterrupt:
		m.action = actionInterrupt
		if _, present := envelope["properties"]; present {
			p.fault(KindEnvelope, "an interrupt has no properties")
		}
	default:
		p.other(m, envelope)
	}
}

// properties returns the inner object. If it is missing, properties records a complaint and
// returns nil.
func (p *parser) properties(envelope object) object {
	raw, present := envelope["properties"]
	if !present {
		p.fault(KindEnvelope, "properties are missing")
		return nil
	}
	properties, err := decodeObject(raw)
	if err != nil {
		p.fault(KindEnvelope, "properties: %v", err)
	}
	return properties
}

func (p *parser) echo(m *message, envelope object) {
	properties := p.properties(envelope)
	if properties == nil {
		return
	}
	switch modality := describe(properties["modality"]); modality {
	case `"audio"`:
		m.action = actionSpeak
		m.chunk = p.chunk(envelope, properties)
	case `"text"`:
		p.text(m, envelope, properties)
	case missing, `"speech"`:
		// Both mean text: the documented default, and a name used in 2024.
		p.fault(KindModality, "modality is %s, taken as \"text\"", modality)
		if properties["text"] != nil {
			p.text(m, envelope, properties)
		}
	default:
		p.fault(KindModality, "modality %s is neither \"text\" nor \"audio\"", modality)
	}
}

func (p *parser) chunk(envelope, properties object) chunk {
	c := chunk{id: p.inferenceID(envelope, properties)}
	c.rate = p.rate(properties)
	c.isDone = p.done(properties)
	c.samples = p.samples(properties)
	if c.rate < 0 {
		c.rate, c.samples = 0, nil
	}
	return c
}

// inferenceID reads the id from the properties. If it is not there, it reads the id from
// the envelope, where events have it.
func (p *parser) inferenceID(envelope, properties object) string {
	if id, ok := decodeText(properties["inference_id"]); ok && id != "" {
		return id
	}
	if id, ok := decodeText(envelope["inference_id"]); ok && id != "" {
		p.fault(KindMissingID, "inference_id is beside the properties, not in them")
		return id
	}
	p.fault(KindMissingID, "inference_id is %s", describe(properties["inference_id"]))
	return ""
}

// rate returns the declared rate in Hz, 0 if there is none, or -1 if it cannot be played.
func (p *parser) rate(properties object) int {
	raw, present := properties["sample_rate"]
	if !present {
		p.fault(KindMissingRate, "sample_rate is missing")
		return 0
	}
	rate, plain := decodeRate(raw)
	switch {
	case rate < lowestRate || rate > highestRate:
		p.fault(KindBadRate, "sample_rate %s cannot be played", describe(raw))
		return -1
	case !plain:
		p.fault(KindBadRate, "sample_rate %s is not written as an integer", describe(raw))
	case rate != recommendedRate && rate != impliedRate:
		p.fault(KindBadRate, "sample_rate %d is neither %d nor %d", rate, recommendedRate, impliedRate)
	}
	return rate
}

// done reads the flag done: a boolean, or a text or number as in old samples.
func (p *parser) done(properties object) bool {
	raw, present := properties["done"]
	if !present {
		p.fault(KindMissingDone, "done is missing")
		return false
	}
	return p.flag(raw, false)
}

// flag reads the value of a done. If it cannot be read, flag returns implied.
func (p *parser) flag(raw json.RawMessage, implied bool) bool {
	switch string(raw) {
	case "true":
		return true
	case "false":
		return false
	}
	p.fault(KindDoneType, "done is %s, not a boolean", describe(raw))
	text, _ := decodeText(raw)
	switch {
	case string(raw) == "1" || strings.EqualFold(text, "true"):
		return true
	case string(raw) == "0" || strings.EqualFold(text, "false"):
		return false
	}
	return implied
}

// samples decodes the audio: s16le in standard base64 with padding.
func (p *parser) samples(properties object) []int16 {
	text, ok := decodeText(properties["audio"])
	switch {
	case properties["audio"] == nil:
		p.fault(KindEmptyAudio, "audio is missing")
		return nil
	case !ok:
		p.fault(KindBase64, "audio is not a string")
		return nil
	case text == "":
		p.fault(KindEmptyAudio, "audio is empty")
		return nil
	}
	pcm, err := decodeBase64(text)
	if err != nil {
		p.fault(KindBase64, "audio: %v", err)
		return nil
	}
	if len(pcm)%2 != 0 {
		p.fault(KindOddBytes, "audio has %d bytes, and a sample has 2", len(pcm))
	}
	return decodeSamples(pcm)
}

// decodeObject decodes one JSON object and nothing after it.
func decodeObject(data []byte) (object, error) {
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("not UTF-8")
	}
	var o object
	if err := json.Unmarshal(data, &o); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	if o == nil {
		return nil, fmt.Errorf("not a JSON object: null")
	}
	return o, nil
}

// decodeText decodes a JSON string. For any other value ok is false.
func decodeText(raw json.RawMessage) (text string, ok bool) {
	if !bytes.HasPrefix(raw, []byte{'"'}) {
		return "", false
	}
	return text, json.Unmarshal(raw, &text) == nil
}

// decodeRate reads a whole number, or returns 0 if it is none. plain reports whether it was
// written as an integer.
func decodeRate(raw json.RawMessage) (rate int, plain bool) {
	if rate, err := strconv.Atoi(string(raw)); err == nil {
		return rate, true
	}
	digits := string(raw)
	if text, ok := decodeText(raw); ok {
		digits = text
	}
	value, err := strconv.ParseFloat(digits, 64)
	if err != nil || value != math.Trunc(value) || math.Abs(value) > highestRate {
		return 0, false
	}
	return int(value), false
}

// decodeBase64 decodes strictly. The standard decoder would skip line breaks.
func decodeBase64(text string) ([]byte, error) {
	if at := strings.IndexAny(text, "\r\n"); at >= 0 {
		return nil, fmt.Errorf("line break at base64 byte %d", at)
	}
	return strictBase64.DecodeString(text)
}

// decodeSamples reads the whole samples of s16le bytes.
func decodeSamples(pcm []byte) []int16 {
	samples := make([]int16, len(pcm)/2)
	pcm = pcm[:2*len(samples)]
	for i := range samples {
		samples[i] = int16(binary.LittleEndian.Uint16(pcm[2*i:]))
	}
	return samples
}

// missing is what describe returns for an absent value.
const missing = "missing"

// describe quotes a value for an error: a string in quotes, anything else unchanged.
func describe(raw json.RawMessage) string {
	if raw == nil {
		return missing
	}
	if text, ok := decodeText(raw); ok {
		return quote(text)
	}
	return shorten(string(raw))
}

package replica

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// aliases maps the names of two events in the vendor's guide for coding agents to their
// documented names.
var aliases = map[string]string{
	"conversation.overwrite_context": eventOverwrite,
	"conversation.append_context":    eventAppend,
}

// sensitivities are the documented values of both sensitivity properties.
// https://docs.tavus.io/sections/event-schemas/conversation-sensitivity
var sensitivities = []string{"superlow", "verylow", "low", "medium", "high", "auto"}

// emotions lists the emotions of LiveKit's plugin for Tavus. The service documents only the
// name of set_emotion.
var emotions = []string{"neutral", "happiness", "sadness", "anger", "fear", "surprise", "disgust", "contempt"}

// textChunk is the content of a text echo, or of a respond.
type textChunk struct {
	id     string // empty if missing
	text   string
	isDone bool
}

// entry is a message that only adds an entry to the report.
type entry interface{ addTo(r *Report, atMS float64) }

func (n Context) addTo(r *Report, atMS float64) {
	n.AtMS = atMS
	list(r, &r.Contexts, n)
}

func (n Sensitivity) addTo(r *Report, atMS float64) {
	n.AtMS = atMS
	list(r, &r.Sensitivities, n)
}

func (n Emotion) addTo(r *Report, atMS float64) {
	n.AtMS = atMS
	list(r, &r.Emotions, n)
}

func (n ToolResult) addTo(r *Report, atMS float64) {
	n.AtMS = atMS
	list(r, &r.ToolResults, n)
}

// other reads messages that are neither audio nor interrupts.
func (p *parser) other(m *message, envelope object) {
	if name, isAlias := aliases[m.event]; isAlias {
		p.fault(KindAlias, "event_type %s is called %s", quote(m.event), name)
		m.event = name
	}
	read, known := map[string]func(*message, object){
		eventRespond:     p.respond,
		eventOverwrite:   p.context,
		eventAppend:      p.context,
		eventSensitivity: p.sensitivity,
		eventToolResult:  p.toolResult,
		eventSetEmotion:  p.emotion,
	}[m.event]
	if !known {
		p.fault(KindUnknownEvent, "event_type %s is not one that clients send", quote(m.event))
		return
	}
	if properties := p.properties(envelope); properties != nil {
		read(m, properties)
	}
}

// text reads a text echo. A text without done is complete. Only an incomplete text needs an
// inference_id. https://docs.tavus.io/sections/event-schemas/conversation-echo
func (p *parser) text(m *message, envelope, properties object) {
	text, ok := p.required(properties, "text")
	if !ok {
		return
	}
	m.action = actionSay
	m.text = textChunk{text: text, isDone: true}
	if raw, present := properties["done"]; present {
		m.text.isDone = p.flag(raw, true)
	}
	if properties["inference_id"] != nil || envelope["inference_id"] != nil || !m.text.isDone {
		m.text.id = p.inferenceID(envelope, properties)
	}
	p.allowOnly(properties, "modality", "text", "inference_id", "done")
}

// respond reads a user's turn as text.
func (p *parser) respond(m *message, properties object) {
	text, ok := p.required(properties, "text")
	if !ok {
		return
	}
	if text == "" {
		p.fault(KindBadProperty, "text is empty")
		return
	}
	m.action = actionRespond
	m.text = textChunk{text: text, isDone: true}
	p.allowOnly(properties, "text")
}

// context reads context for the language model. An early playground named the property
// "text".
func (p *parser) context(m *message, properties object) {
	key := "context"
	if properties[key] == nil && properties["text"] != nil {
		key = "text"
		p.fault(KindAlias, "the context is under text, not under context")
	}
	text, ok := p.required(properties, key)
	if !ok {
		return
	}
	n := Context{Text: text, Append: m.event == eventAppend}
	allowed := []string{key}
	if n.Append {
		n.JobStatus = p.oneOf(properties, "job_status", "completed")
		allowed = append(allowed, "job_status")
	}
	p.allowOnly(properties, allowed...)
	m.action, m.entry = actionReport, n
}

// sensitivity reads the two sensitivity settings.
func (p *parser) sensitivity(m *message, properties object) {
	const pause, interrupt = "participant_pause_sensitivity", "participant_interrupt_sensitivity"
	switch hasPause, hasInterrupt := properties[pause] != nil, properties[interrupt] != nil; {
	case hasPause && hasInterrupt:
		p.fault(KindExtraProperty, "a message has one of %s and %s, not both", pause, interrupt)
	case !hasPause && !hasInterrupt:
		p.fault(KindMissingProperty, "neither %s nor %s is there", pause, interrupt)
		return
	}
	n := Sensitivity{Pause: p.oneOf(properties, pause, sensitivities...),
		Interrupt: p.oneOf(properties, interrupt, sensitivities...)}
	p.allowOnly(properties, pause, interrupt)
	m.action, m.entry = actionReport, n
}

// emotion reads the emotion that the face should express.
func (p *parser) emotion(m *message, properties object) {
	if _, ok := p.required(properties, "emotion"); !ok {
		return
	}
	n := Emotion{Emotion: p.oneOf(properties, "emotion", emotions...)}
	p.allowOnly(properties, "emotion")
	m.action, m.entry = actionReport, n
}

// toolResult reads the answer to a tool call.
// https://docs.tavus.io/sections/event-schemas/conversation-tool-result
func (p *parser) toolResult(m *message, properties object) {
	id, ok := p.required(properties, "tool_call_id")
	if !ok {
		return
	}
	if id == "" {
		p.fault(KindBadProperty, "tool_call_id is empty")
		return
	}
	n := ToolResult{ToolCallID: id, Output: p.output(properties), Status: "success"}
	if status := p.oneOf(properties, "status", "success", "error"); status != "" {
		n.Status = status
	}
	p.allowOnly(properties, "tool_call_id", "output", "status")
	m.action, m.entry = actionReport, n
}

// output returns the output of a tool, a string or an object, or nil if it is absent.
func (p *parser) output(properties object) json.RawMessage {
	raw, present := properties["output"]
	if !present || raw[0] == '"' || raw[0] == '{' {
		return raw
	}
	p.fault(KindBadProperty, "output is %s, neither a string nor an object", describe(raw))
	return nil
}

// required returns a required string. ok is false if it is missing.
func (p *parser) required(properties object, key string) (text string, ok bool) {
	raw, present := properties[key]
	if !present {
		p.fault(KindMissingProperty, "%s is missing", key)
		return "", false
	}
	if text, ok = decodeText(raw); !ok {
		p.fault(KindBadProperty, "%s is %s, not a string", key, describe(raw))
	}
	return text, ok
}

// oneOf returns an optional string that must be one of a few values. It returns "" if the
// string is absent or not allowed.
func (p *parser) oneOf(properties object, key string, allowed ...string) string {
	raw, present := properties[key]
	if !present {
		return ""
	}
	if text, ok := decodeText(raw); ok && slices.Contains(allowed, text) {
		return text
	}
	p.fault(KindBadProperty, "%s is %s, not one of %s", key, describe(raw), strings.Join(allowed, ", "))
	return ""
}

// allowOnly records a complaint about each property that is not in allowed.
func (p *parser) allowOnly(properties object, allowed ...string) {
	var extra []string
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		if !slices.Contains(allowed, key) {
			extra = append(extra, key)
		}
	}
	if len(extra) > 0 {
		p.fault(KindExtraProperty, "there is no property %s in this event", quote(strings.Join(extra, ", ")))
	}
}

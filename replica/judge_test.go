package replica

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// two samples, 1 and 2
const twoSamples = "AQACAA=="

// good is a chunk that nothing is wrong with, to be spoiled by replacing.
var good = echoMessage("a", twoSamples, 24000, false)

// last is the chunk that ends the utterance of good.
var last = echoMessage("a", twoSamples, 24000, true)

// spoil replaces one part of a message that must be there.
func spoil(msg, old, replacement string) string {
	if !strings.Contains(msg, old) {
		panic("nothing to spoil: " + old)
	}
	return strings.Replace(msg, old, replacement, 1)
}

// clean is a message of another client event.
func clean(event, properties string) string {
	return `{"message_type":"conversation","event_type":"` + event + `","conversation_id":"c1","properties":` +
		properties + `}`
}

// textMessage is a text echo with these properties beside the modality.
func textMessage(properties string) string {
	return clean(eventEcho, `{"modality":"text",`+properties+`}`)
}

func TestComplaints(t *testing.T) {
	other := func(id string, done bool) string { return echoMessage(id, twoSamples, 24000, done) }
	tests := []struct {
		name     string
		messages []string
		want     []Kind // in order
		about    int    // message of the first complaint
		samples  int64  // taken
	}{
		{"nothing wrong", []string{good, last}, nil, 0, 4},
		{"two utterances", []string{good, last, other("b", true)}, nil, 0, 6},
		{"16 kHz, said so", []string{echoMessage("a", twoSamples, 16000, true)}, nil, 0, 2},

		{"not JSON", []string{"hello", last}, []Kind{KindJSON}, 1, 2},
		{"empty", []string{"", last}, []Kind{KindJSON}, 1, 2},
		{"null", []string{"null", last}, []Kind{KindJSON}, 1, 2},
		{"array", []string{"[" + last + "]"}, []Kind{KindJSON}, 1, 0},
		{"two objects", []string{last + last}, []Kind{KindJSON}, 1, 0},
		{"not UTF-8", []string{spoil(last, `"a"`, "\"\xff\"")}, []Kind{KindJSON}, 1, 0},

		{"wrapped", []string{`{"message":` + last + `}`}, []Kind{KindEnvelope}, 1, 2},
		{"wrapped twice", []string{`{"message":{"message":` + last + `}}`},
			[]Kind{KindEnvelope, KindEnvelope, KindEnvelope}, 1, 0},
		{"wrapped with something beside", []string{`{"x":1,"message":` + last + `}`},
			[]Kind{KindEnvelope, KindEnvelope, KindEnvelope}, 1, 0},
		{"no message_type", []string{spoil(last, `"message_type":"conversation",`, "")}, []Kind{KindEnvelope}, 1, 2},
		{"other message_type", []string{spoil(last, `:"conversation"`, `:"system"`)}, []Kind{KindEnvelope}, 1, 0},
		{"message_type in another case", []string{spoil(last, `"message_type"`, `"Message_Type"`)},
			[]Kind{KindEnvelope}, 1, 2},
		{"no event_type", []string{spoil(last, `"event_type":"conversation.echo",`, "")}, []Kind{KindEnvelope}, 1, 0},
		{"event_type no name", []string{spoil(last, `"conversation.echo"`, "7")}, []Kind{KindEnvelope}, 1, 0},
		{"no conversation_id", []string{spoil(last, `"conversation_id":"c1",`, "")}, []Kind{KindEnvelope}, 1, 2},
		{"conversation_id changes", []string{good, spoil(last, `"c1"`, `"c2"`)}, []Kind{KindEnvelope}, 2, 4},
		{"no properties", []string{`{"message_type":"conversation","event_type":"conversation.echo","conversation_id":"c1"}`},
			[]Kind{KindEnvelope}, 1, 0},
		{"properties no object", []string{clean("conversation.echo", "[]")}, []Kind{KindEnvelope}, 1, 0},
		{"interrupt with properties", []string{clean("conversation.interrupt", "{}")}, []Kind{KindEnvelope}, 1, 0},

		{"unknown event", []string{clean("conversation.shout", "{}")}, []Kind{KindUnknownEvent}, 1, 0},
		{"event of a replica", []string{clean("conversation.started_speaking", "{}")}, []Kind{KindUnknownEvent}, 1, 0},

		{"no modality", []string{spoil(last, `"modality":"audio",`, "")}, []Kind{KindModality}, 1, 0},
		{"modality speech", []string{spoil(last, `"audio"`, `"speech"`)}, []Kind{KindModality}, 1, 0},
		{"other modality", []string{spoil(last, `"audio"`, `"video"`)}, []Kind{KindModality}, 1, 0},
		{"modality no text", []string{spoil(last, `"audio"`, `1`)}, []Kind{KindModality}, 1, 0},

		{"not base64", []string{spoil(last, twoSamples, "!QACAA==")}, []Kind{KindBase64}, 1, 0},
		{"no padding", []string{spoil(last, twoSamples, "AQACAA")}, []Kind{KindBase64}, 1, 0},
		{"URL alphabet", []string{spoil(last, twoSamples, "_w8CAA==")}, []Kind{KindBase64}, 1, 0},
		{"line break in base64", []string{spoil(last, twoSamples, `AQAC\nAA==`)}, []Kind{KindBase64}, 1, 0},
		{"bits left over in base64", []string{spoil(last, twoSamples, "AQACAB==")}, []Kind{KindBase64}, 1, 0},
		{"audio no text", []string{spoil(last, `"`+twoSamples+`"`, "[1,2]")}, []Kind{KindBase64}, 1, 0},
		{"odd bytes", []string{spoil(last, twoSamples, "AQACAAM=")}, []Kind{KindOddBytes}, 1, 2},
		{"one byte", []string{spoil(last, twoSamples, "AA==")}, []Kind{KindOddBytes}, 1, 0},
		{"empty audio ends the utterance", []string{good, spoil(last, twoSamples, ""), other("b", true)},
			[]Kind{KindEmptyAudio}, 2, 4},
		{"no audio", []string{spoil(last, `"audio":"`+twoSamples+`",`, "")}, []Kind{KindEmptyAudio}, 1, 0},

		{"no sample_rate", []string{spoil(last, `"sample_rate":24000,`, "")}, []Kind{KindMissingRate}, 1, 2},
		{"no sample_rate later on", []string{good, spoil(last, `"sample_rate":24000,`, "")}, []Kind{KindMissingRate}, 2, 4},
		{"sample_rate as text", []string{spoil(last, `24000`, `"24000"`)}, []Kind{KindBadRate}, 1, 2},
		{"sample_rate with a fraction", []string{spoil(last, `24000`, `24000.0`)}, []Kind{KindBadRate}, 1, 2},
		{"sample_rate not whole", []string{spoil(last, `24000`, `24000.5`)}, []Kind{KindBadRate}, 1, 0},
		{"sample_rate negative", []string{spoil(last, `24000`, `-24000`)}, []Kind{KindBadRate}, 1, 0},
		{"sample_rate enormous", []string{spoil(last, `24000`, `1e300`)}, []Kind{KindBadRate}, 1, 0},
		{"sample_rate null", []string{spoil(last, `24000`, `null`)}, []Kind{KindBadRate}, 1, 0},
		{"sample_rate not documented", []string{spoil(last, `24000`, `44100`)}, []Kind{KindBadRate}, 1, 2},
		{"rate changes within", []string{good, spoil(last, "24000", "16000")}, []Kind{KindRateChanged}, 2, 4},
		{"rate changes between", []string{good, last, echoMessage("b", twoSamples, 16000, true)},
			[]Kind{KindRateChanged}, 3, 6},

		{"no inference_id", []string{spoil(last, `"inference_id":"a",`, "")}, []Kind{KindMissingID}, 1, 2},
		{"no inference_id, twice", []string{spoil(good, `"inference_id":"a",`, ""), spoil(good, `"inference_id":"a",`, "")},
			[]Kind{KindMissingID, KindMissingID}, 1, 4},
		{"inference_id empty", []string{spoil(last, `"a"`, `""`)}, []Kind{KindMissingID}, 1, 2},
		{"inference_id no text", []string{spoil(last, `"a"`, `77`)}, []Kind{KindMissingID}, 1, 2},
		{"inference_id in the envelope", []string{good, `{"inference_id":"a",` + spoil(last, `,"inference_id":"a"`, "")[1:]},
			[]Kind{KindMissingID}, 2, 4},

		{"no done", []string{spoil(good, `,"done":false`, ""), last}, []Kind{KindMissingDone}, 1, 4},
		{"done as text", []string{spoil(last, `true`, `"True"`)}, []Kind{KindDoneType}, 1, 2},
		{"done as false text", []string{spoil(good, `false`, `"false"`), last}, []Kind{KindDoneType}, 1, 4},
		{"done as 1", []string{spoil(last, `true`, `1`)}, []Kind{KindDoneType}, 1, 2},
		{"done as 0", []string{spoil(good, `false`, `0`), last}, []Kind{KindDoneType}, 1, 4},
		{"done null", []string{spoil(good, `false`, `null`), last}, []Kind{KindDoneType}, 1, 4},

		{"new id before done", []string{good, other("b", true)}, []Kind{KindMixedIDs}, 2, 4},
		{"ids in turns", []string{good, other("b", false), last, other("b", true)}, []Kind{KindMixedIDs, KindMixedIDs}, 2, 6},
		{"chunk after done", []string{echoMessage("a", longAudio, 24000, true), good}, []Kind{KindAfterDone}, 2, 1200},
		{"done twice", []string{echoMessage("a", longAudio, 24000, true), last}, []Kind{KindDoubleDone}, 2, 1200},
		{"id reused with another in between", []string{echoMessage("a", longAudio, 24000, true), other("b", true), good},
			[]Kind{KindIDReused}, 3, 1202},
		{"chunk after interrupt", []string{good, interruptMessage, good}, []Kind{KindAfterInterrupt}, 3, 2},
		{"done after interrupt", []string{good, interruptMessage, last}, []Kind{KindAfterInterrupt}, 3, 2},
		{"new id after interrupt", []string{good, interruptMessage, other("b", true)}, nil, 0, 4},
		{"never done", []string{good}, []Kind{KindNeverDone}, 1, 2},
		{"interrupted, so never done", []string{good, interruptMessage}, nil, 0, 2},
		{"interrupt of nothing", []string{interruptMessage}, nil, 0, 0},
		{"text", []string{textMessage(`"text":"x"`)}, nil, 0, 0},
		{"text in pieces", []string{textMessage(`"text":"x","inference_id":"t","done":false`),
			textMessage(`"text":"","inference_id":"t","done":true`)}, nil, 0, 0},
		{"no text", []string{textMessage(`"done":true`)}, []Kind{KindMissingProperty}, 1, 0},
		{"text no string", []string{textMessage(`"text":7`)}, []Kind{KindBadProperty}, 1, 0},
		{"nothing to say", []string{textMessage(`"text":""`)}, []Kind{KindBadProperty}, 1, 0},
		{"text with audio", []string{textMessage(`"text":"x","audio":"AAAA","sample_rate":24000`)},
			[]Kind{KindExtraProperty}, 1, 0},
		{"piece of text without an id", []string{textMessage(`"text":"x","done":false`)}, []Kind{KindMissingID}, 1, 0},
		{"text done as text", []string{textMessage(`"text":"x","inference_id":"t","done":"FALSE"`),
			textMessage(`"text":"x","inference_id":"t"`)}, []Kind{KindDoneType}, 1, 0},
		{"text done as nonsense", []string{textMessage(`"text":"x","done":null`)}, []Kind{KindDoneType}, 1, 0},
		{"text never done", []string{textMessage(`"text":"x","inference_id":"t","done":false`)}, []Kind{KindNeverDone}, 1, 0},
		{"text after done", []string{textMessage(`"text":"x","inference_id":"t"`),
			textMessage(`"text":"x","inference_id":"t","done":false`)}, []Kind{KindAfterDone}, 2, 0},
		{"text before the audio had done", []string{good, textMessage(`"text":"x","inference_id":"t"`), last},
			[]Kind{KindMixedIDs, KindMixedIDs}, 2, 2},
		{"text for audio", []string{good, textMessage(`"text":"x","inference_id":"a"`), last}, []Kind{KindModality}, 2, 4},
		{"audio for text", []string{textMessage(`"text":"x","inference_id":"a","done":false`), good,
			textMessage(`"text":"x","inference_id":"a"`)}, []Kind{KindModality}, 2, 0},
		{"rate the same around text", []string{last, textMessage(`"text":"x"`), other("b", true)}, nil, 0, 4},
		{"respond without text", []string{clean(eventRespond, `{}`)}, []Kind{KindMissingProperty}, 1, 0},
		{"respond to nothing", []string{clean(eventRespond, `{"text":""}`)}, []Kind{KindBadProperty}, 1, 0},
		{"respond with an id", []string{clean(eventRespond, `{"text":"x","inference_id":"a"}`)},
			[]Kind{KindExtraProperty}, 1, 0},
		{"no context", []string{clean(eventOverwrite, `{}`)}, []Kind{KindMissingProperty}, 1, 0},
		{"context no string", []string{clean(eventAppend, `{"context":{"a":1}}`)}, []Kind{KindBadProperty}, 1, 0},
		{"job_status of another kind", []string{clean(eventAppend, `{"context":"x","job_status":"failed"}`)},
			[]Kind{KindBadProperty}, 1, 0},
		{"job_status where there is no job", []string{clean(eventOverwrite, `{"context":"x","job_status":"completed"}`)},
			[]Kind{KindExtraProperty}, 1, 0},
		{"another name for an event", []string{clean("conversation.append_context", `{"context":"x"}`)},
			[]Kind{KindAlias}, 1, 0},
		{"no sensitivity", []string{clean(eventSensitivity, `{}`)}, []Kind{KindMissingProperty}, 1, 0},
		{"sensitivity unheard of", []string{clean(eventSensitivity, `{"participant_pause_sensitivity":"extreme"}`)},
			[]Kind{KindBadProperty}, 1, 0},
		{"sensitivity as a number", []string{clean(eventSensitivity, `{"participant_pause_sensitivity":3}`)},
			[]Kind{KindBadProperty}, 1, 0},
		{"emotion unheard of", []string{clean(eventSetEmotion, `{"emotion":"joy"}`)}, []Kind{KindBadProperty}, 1, 0},
		{"no emotion", []string{clean(eventSetEmotion, `{}`)}, []Kind{KindMissingProperty}, 1, 0},
		{"result of no call", []string{clean(eventToolResult, `{"output":"x"}`)}, []Kind{KindMissingProperty}, 1, 0},
		{"result of an empty call", []string{clean(eventToolResult, `{"tool_call_id":""}`)}, []Kind{KindBadProperty}, 1, 0},
		{"result that is a list", []string{clean(eventToolResult, `{"tool_call_id":"x","output":[1]}`)},
			[]Kind{KindBadProperty}, 1, 0},
		{"result of another status", []string{clean(eventToolResult, `{"tool_call_id":"x","status":"done"}`)},
			[]Kind{KindBadProperty}, 1, 0},

		{"too large", []string{echoMessage("a", strings.Repeat("AAAA", 1000), 24000, true)}, []Kind{KindTooLarge}, 1, 0},
	}
	covered := map[Kind]bool{KindBeforeJoin: true} // needs a delay: TestJoinDelay
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := run(t, nil, func(p *peer) {
				for _, msg := range test.messages {
					p.raw(msg)
				}
			})
			if got := o.kinds(); !slices.Equal(got, test.want) {
				t.Fatalf("complaints %v, want %v", o.Complaints, test.want)
			}
			if len(test.want) > 0 && o.Complaints[0].Message != test.about {
				t.Errorf("complaint about message %d, want %d", o.Complaints[0].Message, test.about)
			}
			if o.Samples != test.samples || o.Messages != len(test.messages) {
				t.Errorf("%d samples of %d messages, want %d of %d", o.Samples, o.Messages, test.samples, len(test.messages))
			}
		})
		for _, kind := range test.want {
			covered[kind] = true
		}
	}
	for _, kind := range allKinds {
		if !covered[kind] {
			t.Errorf("no test complains of %s", kind)
		}
	}
}

// longAudio is 50 ms of silence at 24 kHz.
var longAudio = strings.Repeat("AAAA", 800)

var allKinds = []Kind{
	KindTooLarge, KindJSON, KindEnvelope, KindUnknownEvent, KindModality, KindBase64, KindOddBytes, KindEmptyAudio,
	KindMissingRate, KindBadRate, KindRateChanged, KindMissingID, KindMissingDone, KindDoneType, KindMixedIDs,
	KindAfterDone, KindDoubleDone, KindIDReused, KindAfterInterrupt, KindNeverDone, KindBeforeJoin,
	KindAlias, KindMissingProperty, KindBadProperty, KindExtraProperty,
}

func TestIDReusedAfterItsEnd(t *testing.T) {
	for _, again := range []string{good, last} {
		o := run(t, nil, func(p *peer) {
			p.raw(last)
			p.at(1000).raw(again)
		})
		if got := o.kinds(); !slices.Equal(got, []Kind{KindIDReused}) {
			t.Errorf("complaints %v", o.Complaints)
		}
	}
}

func TestMessageLimit(t *testing.T) {
	msg := echoMessage("a", longAudio, 24000, true)
	for limit, refused := range map[int]int{len(msg) - 1: 1, len(msg): 0, -1: 0, 0: 0} {
		o := run(t, &Options{MessageLimit: limit}, func(p *peer) { p.raw(msg) })
		if o.ComplaintCount != refused {
			t.Errorf("limit %d, %d bytes: complaints %v", limit, len(msg), o.Complaints)
		}
	}
}

func TestConversationID(t *testing.T) {
	for id, complaints := range map[string]int{"c1": 0, "": 0, "c2": 1} {
		o := run(t, &Options{ConversationID: id}, func(p *peer) { p.raw(last) })
		if o.ComplaintCount != complaints {
			t.Errorf("conversation %q: complaints %v", id, o.Complaints)
		}
		if o.events[0].ConversationID != id {
			t.Errorf("joined conversation %q, want %q", o.events[0].ConversationID, id)
		}
	}
}

func TestComplaintsAreBounded(t *testing.T) {
	o := run(t, nil, func(p *peer) {
		for range MaxComplaints + 5 {
			p.raw("")
		}
	})
	if len(o.Complaints) != MaxComplaints || o.ComplaintCount != MaxComplaints+5 {
		t.Errorf("%d complaints listed, %d counted", len(o.Complaints), o.ComplaintCount)
	}
	if _, faults := parse([]byte(spoil(last, "24000", `"`+strings.Repeat("x", 2000)+`"`)), -1); len(faults[0].text) > 200 {
		t.Errorf("a complaint of %d bytes", len(faults[0].text))
	}
}

// The documented client messages are accepted, and variants that a tolerant peer accepts are
// complained of.
func TestFixtures(t *testing.T) {
	want := map[string][]Kind{
		"append_context_alias":              {KindAlias},
		"append_llm_context":                {},
		"append_llm_context_job":            {},
		"echo_audio_chunk":                  {KindNeverDone},
		"echo_audio_final":                  {},
		"echo_audio_legacy_done_string":     {KindDoneType},
		"echo_audio_legacy_no_rate":         {KindMissingRate, KindNeverDone},
		"echo_text":                         {},
		"echo_text_chunk":                   {KindNeverDone},
		"echo_text_legacy_bare":             {KindModality},
		"echo_text_legacy_modality_speech":  {KindModality},
		"interrupt":                         {},
		"overwrite_context_alias":           {KindAlias},
		"overwrite_llm_context":             {},
		"overwrite_llm_context_legacy_text": {KindAlias},
		"realtime_api_deprecated":           {KindUnknownEvent},
		"respond":                           {},
		"sensitivity_interrupt":             {},
		"sensitivity_legacy_both":           {KindExtraProperty},
		"sensitivity_pause":                 {},
		"set_emotion":                       {},
		"tool_result_error":                 {},
		"tool_result_success":               {},
	}
	files, err := filepath.Glob("testdata/send/*.json")
	if err != nil || len(files) != len(want) {
		t.Fatalf("%d fixtures, want %d (%v)", len(files), len(want), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		msg := fixture(t, file)
		o := run(t, nil, func(p *peer) { p.raw(msg) })
		if got := o.kinds(); !slices.Equal(got, want[name]) {
			t.Errorf("%s: complaints %v, want %v", name, o.Complaints, want[name])
		}
	}
}

// fixture reads a file as one compact message.
func fixture(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		t.Fatal(err)
	}
	return compact.String()
}

func TestSamplesAreLittleEndian(t *testing.T) {
	m, faults := parse([]byte(echoMessage("a", "AQD/fwCA//8=", 24000, true)), -1)
	if want := []int16{1, 32767, -32768, -1}; len(faults) > 0 || !slices.Equal(m.chunk.samples, want) {
		t.Errorf("samples %v, want %v (%v)", m.chunk.samples, want, faults)
	}
}

func FuzzMessage(f *testing.F) {
	files, err := filepath.Glob("testdata/send/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"message":` + last + `}`))
	f.Add([]byte(spoil(last, "24000", `"1e300"`)))
	for _, other := range []string{
		good, strings.ReplaceAll(last, ",", ", "), strings.ReplaceAll(last, ":", ": "), spoil(last, "true", " true "),
		spoil(last, `"done":true`, `"done":true,"done":false`), spoil(last, `"done":true`, `"done":1`),
		last + " ", last + last,
		spoil(last, twoSamples, "AQACAA"), spoil(last, twoSamples, "AQAC\u0041A=="), spoil(last, twoSamples, "AQACAB=="),
		spoil(last, twoSamples, "AQA\nCAA=="), spoil(last, twoSamples, ""), spoil(last, twoSamples, "AQA="),
		spoil(last, `"a"`, `"\u0061"`), spoil(last, `"a"`, `"é"`), spoil(last, "24000", "024000"),
		spoil(last, "24000", "16000"),
		spoil(last, `"properties":`, `"properties":{},"properties":`), spoil(last, `"audio",`, `"audio","x":[],`),
	} {
		f.Add([]byte(other))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		checkPlain(t, msg)
		m, faults := parse(msg, -1)
		if m.action == actionNone && len(faults) == 0 {
			t.Error("dropped without a complaint")
		}
		if m.action == actionReport && m.entry == nil {
			t.Error("nothing to note")
		}
		if m.action != actionSpeak {
			return
		}
		if rate := m.chunk.rate; rate != 0 && (rate < lowestRate || rate > highestRate) {
			t.Errorf("rate %d", rate)
		}
		if 2*len(m.chunk.samples) > len(msg) {
			t.Errorf("%d samples in %d bytes", len(m.chunk.samples), len(msg))
		}
	})
}

// checkPlain compares the quick way of a plain message with that of the parser.
func checkPlain(t *testing.T, msg []byte) {
	t.Helper()
	m, ok := plainEcho(msg)
	if !ok {
		return
	}
	p := &parser{}
	if want := p.message(msg, -1); len(p.faults) > 0 || !reflect.DeepEqual(m, want) {
		t.Errorf("%q is read as %+v, by the parser as %+v with %v", msg, m, want, p.faults)
	}
}

// The fast parser reads messages of echocast, and those with spaces between the parts of the
// JSON, as Python writes them.
func TestPlainMessages(t *testing.T) {
	for _, msg := range []string{good, last, strings.NewReplacer(":", ": ", ",", ", ").Replace(last)} {
		if _, ok := plainEcho([]byte(msg)); !ok {
			t.Errorf("%s is not read as a plain message", msg)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	msg := []byte(echoMessage("a", strings.Repeat("AAECAwQF", 400), 24000, false))
	b.Run("plain", func(b *testing.B) {
		for b.Loop() {
			parse(msg, -1)
		}
	})
	b.Run("any", func(b *testing.B) {
		for b.Loop() {
			(&parser{}).message(msg, -1)
		}
	})
}

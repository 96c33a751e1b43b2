package trace

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"echocast/internal/pcm"
)

// lineOf is a line of a trace.
func lineOf(kind string, t float64, fields string, args ...any) string {
	return fmt.Sprintf(`{"kind":%q,"t":%g,%s}`+"\n", kind, t, fmt.Sprintf(fields, args...))
}

// audioLine is a message with audio.
func audioLine(t float64, id string, samples []byte) string {
	return lineOf("out", t, `"accepted":%g,"message":{"event_type":"conversation.echo","properties":{"modality":"audio",`+
		`"audio":%q,"sample_rate":24000,"inference_id":%q}}`, t, base64.StdEncoding.EncodeToString(samples), id)
}

func utteranceEvent(t float64, role, id, words string) string {
	return lineOf("in", t, `"message":{"event_type":"conversation.utterance","inference_id":%q,"properties":`+
		`{"role":%q,"speech":%q}}`, id, role, words)
}

func drawn(t *testing.T, lines string) string {
	t.Helper()
	sessions, err := Sessions(strings.NewReader(firstLine + lines))
	if err != nil {
		t.Fatal(err)
	}
	html := render(t, sessions)
	wellFormed(t, html)
	return html
}

// The page has the audio of each utterance, sample for sample, and its words.
func TestPageHasAudioAndWords(t *testing.T) {
	html := drawn(t, lineOf("begin", 0, `"id":"a","text":"hello.wav","rate":24000`)+
		audioLine(0.1, "a", []byte{1, 0, 2, 0})+lineOf("chunk", 0.1, `"id":"a","samples":2`)+
		audioLine(0.2, "a", []byte{3, 0})+lineOf("chunk", 0.2, `"id":"a","samples":1,"position":2,"last":true`)+
		utteranceEvent(0.3, "user", "", "What is <that>?")+
		utteranceEvent(0.4, "pal", "a", "Hello there")+utteranceEvent(0.4, "replica", "a", "Hello there")+
		lineOf("out", 0.5, `"message":{"event_type":"conversation.echo","properties":{"modality":"text","text":"One `+
			`","inference_id":"b"}}`)+
		lineOf("out", 0.6, `"message":{"event_type":"conversation.echo","properties":{"modality":"text","text":"two.",`+
			`"inference_id":"b"}}`)+
		lineOf("receipt", 0.9, `"id":"a","receipt":{"outcome":"interrupted","spoken_seconds":1.2,"sent_seconds":2.5,`+
			`"words":{"text":"Hello","rest":"there","words":1,"of":2,"by":"timings","error_words":1}}`))
	file := append(pcm.WAVHeader(24000, 1, 6), 1, 0, 2, 0, 3, 0)
	for _, want := range []string{
		`src="data:audio/wav;base64,` + base64.StdEncoding.EncodeToString(file) + `"`, "What is &lt;that&gt;?",
		"<p>Hello <s>there</s></p>", "1 of 2 words heard, by timings, to within 1", "One two.",
		"interrupted: 1.2 s heard of 2.5 s sent", `<h2>What was said</h2><p></p>`,
	} {
		if !strings.Contains(html, want) {
			t.Errorf("%q is missing", want)
		}
	}
	if n := strings.Count(html, "Hello there"); n != 1 {
		t.Errorf("the replica said it %d times: its event has a twin", n)
	}
}

// Audio is embedded up to a limit, over all runs, and the page says what is missing.
func TestAudioOfThePageIsBounded(t *testing.T) {
	half := make([]byte, mostAudio/2+2)
	run := lineOf("begin", 0, `"id":"a","rate":24000`)
	for from := 0; from < len(half); from += 1 << 20 {
		part := half[from:min(from+1<<20, len(half))]
		run += audioLine(0.1, "a", part) + lineOf("chunk", 0.1, `"id":"a","samples":%d`, len(part)/2)
	}
	sessions, err := Sessions(strings.NewReader(firstLine + run + firstLine + run))
	if err != nil {
		t.Fatal(err)
	}
	a, b := len(sessions[0].Utterances[0].PCM), len(sessions[1].Utterances[0].PCM)
	if a != len(half) || a+b != mostAudio {
		t.Errorf("%d and %d bytes are kept", a, b)
	}
	_, note := (&Page{Title: "x.ndjson", Sessions: sessions}).said()
	want := "The page holds 2:55 min of the audio; echocast replay --record heard.wav x.ndjson writes all"
	if !strings.HasPrefix(note, want) {
		t.Errorf("%q", note)
	}
}

// If a room carries no messages, the trace has no audio, and the page says so.
func TestPageWithoutAudio(t *testing.T) {
	html := drawn(t, lineOf("begin", 0, `"id":"a","rate":24000`)+
		lineOf("chunk", 0.1, `"id":"a","samples":2400,"last":true`))
	if strings.Contains(html, "<audio") || !strings.Contains(html, "The trace holds no audio") {
		t.Error("the page does not say that it has no audio")
	}
}

// Labels of moments are in rows, and turn to the left at the right edge.
func TestLabelsDoNotOverlap(t *testing.T) {
	var rows markRows
	for _, c := range []struct {
		at, width float64
		want      string
	}{
		{10, 20, " row0"}, {11, 20, " row1"}, {12, 20, " row2"}, {13, 20, " crowded"},
		{31, 20, " row0"}, {95, 20, " row0 flipped"}, {96, 20, " row1 flipped"},
	} {
		if got := rows.findRow(c.at, c.width); got != c.want {
			t.Errorf("at %g: %q, want %q", c.at, got, c.want)
		}
	}
	if got := shortened(strings.Repeat("é", 50)); len([]rune(got)) != 40 || !strings.HasSuffix(got, "…") {
		t.Errorf("%q", got)
	}
}

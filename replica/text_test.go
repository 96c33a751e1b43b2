package replica

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// said lists what the pal said, as "600 utterance Hello.".
func (o outcome) said() []string {
	var lines []string
	for _, e := range o.events {
		if p := e.Properties; p != nil && p.Role == "pal" {
			line := fmt.Sprintf("%v %s", e.at, strings.TrimPrefix(e.EventType, "conversation."))
			if p.Speech != "" {
				line += " " + p.Speech
			}
			if p.Interrupted != nil && *p.Interrupted {
				line += " interrupted"
			}
			lines = append(lines, line)
		}
	}
	return lines
}

func TestTextIsSpoken(t *testing.T) {
	twenty := strings.Repeat("x", 20)
	tests := []struct {
		name   string
		script func(*peer)
		want   []string
	}{
		{"at once", func(p *peer) {
			p.at(10).raw(textMessage(`"text":"` + twenty + `"`))
			p.at(2000)
		}, []string{"10 utterance " + twenty, "10 started_speaking", "1210 stopped_speaking"}},
		{"never shorter than 300 ms", func(p *peer) {
			p.raw(textMessage(`"text":"x"`))
			p.at(2000)
		}, []string{"0 utterance x", "0 started_speaking", "300 stopped_speaking"}},
		{"without its tags", func(p *peer) {
			p.raw(textMessage(`"text":"<emotion value=\"sad\"/>` + twenty + `</emotion>"`))
			p.at(2000)
		}, []string{`0 utterance <emotion value="sad"/>` + twenty + `</emotion>`, "0 started_speaking",
			"1200 stopped_speaking"}},
		{"in pieces, through a tag", func(p *peer) {
			p.raw(textMessage(`"text":"` + twenty + `<emo","inference_id":"t","done":false`))
			p.at(500).raw(textMessage(`"text":"tion value=\"sad\"/>` + twenty + `","inference_id":"t","done":true`))
			p.at(3000)
		}, []string{"0 started_speaking", "500 utterance " + twenty + `<emotion value="sad"/>` + twenty,
			"2400 stopped_speaking"}},
		{"until it is interrupted", func(p *peer) {
			p.raw(textMessage(`"text":"` + twenty + `","inference_id":"t","done":false`))
			p.at(300).interrupt()
		}, []string{"0 started_speaking", "300 utterance " + twenty + " interrupted", "300 stopped_speaking interrupted"}},
		{"after the audio before it", func(p *peer) {
			p.say("a", 60, true)
			p.raw(textMessage(`"text":"x"`))
			p.say("b", 60, true)
			p.at(1000)
		}, []string{"0 started_speaking", "60 stopped_speaking", "60 utterance x", "60 started_speaking",
			"360 stopped_speaking", "360 started_speaking", "420 stopped_speaking"}},
		{"as an answer", func(p *peer) {
			p.raw(clean(eventRespond, `{"text":"What?"}`))
			p.at(1000)
		}, []string{"0 utterance What?", "0 started_speaking", "300 stopped_speaking"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := run(t, nil, test.script)
			if got := o.said(); !slices.Equal(got, test.want) || o.ComplaintCount > 0 {
				t.Errorf("said\n%s\nwant\n%s\ncomplaints %v", strings.Join(got, "\n"), strings.Join(test.want, "\n"), o.Complaints)
			}
		})
	}
}

func TestTextInTheReport(t *testing.T) {
	o := run(t, nil, func(p *peer) {
		p.raw(textMessage(`"text":"1234567890","inference_id":"t"`))
		p.at(240).interrupt()
		p.raw(textMessage(`"text":"1234567890"`))
		p.at(340)
	})
	u := o.Utterances[0]
	if u.ID != "t" || u.Text != "1234567890" || u.TextSeconds != 0.6 || u.PlayedSeconds != 0.24 || u.Rate != 0 ||
		u.DroppedSamples != 0 || !u.Done || !u.Interrupted {
		t.Errorf("interrupted: %+v", u)
	}
	if u := o.Utterances[1]; u.TextSeconds != 0.6 || u.PlayedSeconds != 0.1 || u.UnplayedSamples != 0 {
		t.Errorf("left: %+v", u)
	}
	if o.Interrupts[0].DroppedSamples != 0 || o.Samples != 0 || o.Chunks != 0 {
		t.Errorf("samples of a text: %+v", o.Report)
	}
}

// The line of an interrupt counts the utterances that it ended.
func TestLineOfAnInterrupt(t *testing.T) {
	for n, want := range []string{"nothing was playing or queued", "1 utterance ended", "2 utterances ended"} {
		var line string
		note := func(e Event) {
			if e.Kind == EventInterrupt {
				line = e.Line()
			}
		}
		run(t, &Options{OnEvent: note}, func(p *peer) {
			for i := range n {
				p.say(strconv.Itoa(i), 60, true)
			}
			p.at(10).interrupt()
		})
		if !strings.HasSuffix(line, ": interrupted: "+want) {
			t.Errorf("of %d: %q", n, line)
		}
	}
}

func TestMessagesInTheReport(t *testing.T) {
	o := run(t, nil, func(p *peer) {
		p.at(1)
		for _, name := range []string{
			"respond", "overwrite_llm_context_legacy_text", "append_llm_context_job", "append_context_alias",
			"sensitivity_pause", "sensitivity_legacy_both", "tool_result_error", "tool_result_success",
		} {
			p.raw(fixture(t, "testdata/send/"+name+".json"))
		}
		p.raw(clean(eventToolResult, `{"tool_call_id":"x"}`))
	})
	if want := []Respond{{1, "Which boat leaves first?", 1}}; !slices.Equal(o.Responds, want) {
		t.Errorf("responds %+v", o.Responds)
	}
	if want := []Context{
		{1, "Playground-era key.", false, ""},
		{1, "Timetable lookup finished.", true, "completed"},
		{1, "Same request under the agent-skill name.", true, ""},
	}; !slices.Equal(o.Contexts, want) {
		t.Errorf("contexts %+v", o.Contexts)
	}
	if want := []Sensitivity{{1, "high", ""}, {1, "high", "low"}}; !slices.Equal(o.Sensitivities, want) {
		t.Errorf("sensitivities %+v", o.Sensitivities)
	}
	if want := []ToolResult{
		{1, "call_7f3a", []byte(`{"reason":"timetable offline"}`), "error"},
		{1, "call_7f3a", []byte(`"The first boat leaves at 07:40."`), "success"},
		{1, "x", nil, "success"},
	}; !reflect.DeepEqual(o.ToolResults, want) {
		t.Errorf("tool results %+v", o.ToolResults)
	}
}

func TestLateness(t *testing.T) {
	o := run(t, &Options{MessageLimit: -1}, func(p *peer) {
		p.at(10).say("a", 100, false)
		p.at(90).say("a", 100, false)  // 20 ms early
		p.at(250).say("a", 100, false) // 40 ms late
		p.at(325).say("a", 100, false) // 15 ms late
		p.at(410).say("a", 100, true)  // when it is due
	})
	if u := o.Utterances[0]; u.LateChunks != 2 || u.LatestMS != 40 || u.LargestGapMS != 160 {
		t.Errorf("%d late chunks, by up to %v ms, gap %v ms", u.LateChunks, u.LatestMS, u.LargestGapMS)
	}
}

func TestEstimate(t *testing.T) {
	for text, characters := range map[string]time.Duration{
		"":                                0,
		"grüß":                            4,
		`a<emotion value="sad"/>b`:        2,
		"a <emotional>":                   13,
		"1 < 2":                           5,
		"<emotion>a</emotion><emotion/>b": 2,
	} {
		if got := estimate(text); got != characters*timePerCharacter {
			t.Errorf("%q takes %v, want %d characters", text, got, characters)
		}
	}
}

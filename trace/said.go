package trace

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"echocast/echo"
	"echocast/internal/pcm"
)

// mostAudio is how many bytes of samples the page keeps: nearly three minutes at 24 kHz.
const mostAudio = 8 << 20

// Said is a text that somebody said.
type Said struct {
	T    float64
	Role string // echo.RolePal, echo.RoleUser or another received role; empty for sent text
	Text string

	inferenceID string
}

// sent stores the audio or the text of a sent message.
func (a *analysis) sent(e Entry) {
	var m struct {
		EventType  string `json:"event_type"`
		Properties struct {
			echo.AudioProperties
			Text string `json:"text"`
		} `json:"properties"`
	}
	if e.Error != "" || !bytes.Contains(e.Message, []byte(audioEvent)) || json.Unmarshal(e.Message, &m) != nil {
		return
	}
	id := m.Properties.InferenceID
	if m.Properties.Text != "" {
		a.say(Said{e.T, "", m.Properties.Text, id})
		return
	}
	i, ok := a.known[id]
	if ok && m.EventType == audioEvent {
		samples := m.Properties.Audio
		samples = samples[:min(len(samples), *a.room)&^1]
		*a.room -= len(samples)
		a.s.Utterances[i].PCM = append(a.s.Utterances[i].PCM, samples...)
	}
}

// received stores the words of an event. Streamed words are repeated, complete, in a later
// event.
func (a *analysis) received(e Entry) {
	if !bytes.Contains(e.Message, []byte("conversation.utterance")) {
		return
	}
	event, err := echo.ParseEvent(e.Message)
	if err == nil && event.Kind == echo.KindUtterance && event.Text != "" {
		a.say(Said{e.T, event.Role, event.Text, event.InferenceID})
	}
}

// say adds a text that was said. The service sends an event twice, with the new and the old
// name of its role. A sent text may arrive in pieces.
func (a *analysis) say(said Said) {
	for i := len(a.s.Said) - 1; i >= max(0, len(a.s.Said)-4); i-- {
		old := &a.s.Said[i]
		if old.Role != said.Role || old.inferenceID != said.inferenceID {
			continue
		}
		if said.Role == "" && said.inferenceID != "" {
			old.Text += said.Text
			return
		}
		if old.Text == said.Text {
			return
		}
	}
	a.s.Said = append(a.s.Said, said)
}

// spoken is a row in the table of what was said: an utterance, or the words of an event.
type spoken struct {
	t                             float64
	At, Who, Class                string
	Name, Text, Rest, Note, Heard string
	Audio                         template.URL
}

// said lists what was said in all runs, with a note about missing audio.
func (p *Page) said() (all []spoken, note string) {
	var samples, kept int64
	for n, s := range p.Sessions {
		var rows []spoken
		for i := range s.Utterances {
			u := &s.Utterances[i]
			samples += u.Samples
			kept += int64(len(u.PCM) / 2)
			rows = append(rows, spokenOf(u))
		}
		for _, said := range s.Said {
			rows = append(rows, spoken{t: said.T, Who: speakerName(said.Role), Class: speakerClass(said.Role), Text: said.Text})
		}
		slices.SortStableFunc(rows, func(a, b spoken) int { return cmp.Compare(a.t, b.t) })
		for i := range rows {
			rows[i].At = fmt.Sprintf("%.1f s", rows[i].t)
			if len(p.Sessions) > 1 {
				rows[i].At = fmt.Sprintf("run %d, %s", n+1, rows[i].At)
			}
		}
		all = append(all, rows...)
	}
	switch {
	case samples > 0 && kept == 0:
		note = "The trace holds no audio, since this room takes it in other ways than messages; " +
			"echocast send --monitor heard.wav keeps it."
	case kept < samples:
		note = fmt.Sprintf("The page holds %s of the audio; echocast replay --record heard.wav %s writes all that was sent.",
			longTime(float64(kept)/echo.DefaultRate), p.Title)
	}
	return clip(all), note
}

func spokenOf(u *Utterance) spoken {
	row := spoken{t: u.From, Who: "sent", Class: "sent", Name: u.title()}
	if len(u.PCM) > 0 {
		rate := u.Rate
		if rate == 0 {
			rate = echo.DefaultRate
		}
		file := append(pcm.WAVHeader(rate, 1, uint32(len(u.PCM))), u.PCM...)
		row.Audio = template.URL("data:audio/wav;base64," + base64.StdEncoding.EncodeToString(file))
	}
	r := u.Receipt
	if r == nil {
		return row
	}
	row.Heard = r.Summary(true)
	if w := r.Words; w != nil {
		row.Text, row.Rest = w.Text, w.Rest
		row.Note = fmt.Sprintf("%d of %s heard, by %s", w.Words, plural(w.Of, "word", "words"), w.By)
		if w.ErrorWords > 0 {
			row.Note += fmt.Sprintf(", to within %d", w.ErrorWords)
		}
	}
	return row
}

// speakerName returns the name of a role for people.
func speakerName(role string) string {
	switch role {
	case "":
		return "sent text"
	case echo.RolePal:
		return "replica"
	}
	return strings.ToValidUTF8(role, "?")
}

func speakerClass(role string) string {
	switch role {
	case "":
		return "sent"
	case echo.RoleUser:
		return "user"
	}
	return "replica"
}

// Package preset describes how text-to-speech services and programs deliver their
// audio: what to ask for, and how to read the result.
//
// Raw samples do not state their format, and played at a wrong rate they sound like a
// different voice. A preset adds only what the bytes do not state: if the bytes begin with
// a header, the header takes precedence.
//
// Each preset names the page of its service's documentation that it follows. If there is no
// such page, it names the client of that service in Pipecat or LiveKit. Services change; the
// Ask of a preset says what to request so that the preset is right.
package preset

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Preset describes the audio of one source.
type Preset struct {
	Name     string `json:"name"`     // the value of --preset
	Vendor   string `json:"vendor"`   // the vendor's name, for people
	Encoding string `json:"encoding"` // of raw samples, such as "s16le"; empty: a header states it
	Rate     int    `json:"rate"`     // Hz; 0: a header states it
	Channels int    `json:"channels"` // 0: a header states it
	// Field and Payload describe samples that always come inside JSON objects. Field is
	// the path of the field that holds them, and Payload their encoding there, "base64" or
	// "hex". Both are empty for plain bytes. If Type is not empty, objects with audio have a
	// "type" that ends with it. If Summary is not empty, an object that has this field
	// is the last and repeats all audio.
	Field   string `json:"field,omitempty"`
	Payload string `json:"payload,omitempty"`
	Type    string `json:"type,omitempty"`
	Summary string `json:"summary,omitempty"`
	Ask     string `json:"ask"`     // what to ask the source for
	Example string `json:"example"` // a shell line that speaks it
	Source  string `json:"source"`  // the source's documentation
	// Words describes the source's word times; empty: it sends none with its audio.
	Words WordTimes `json:"words,omitzero"`
}

// WordTimes describes how a source sends the time of each word. With them, the receipt
// has the words heard.
type WordTimes struct {
	Ask    string `json:"ask"`    // what to ask the source for
	Source string `json:"source"` // the source's documentation
}

// Raw reports whether the preset is for samples without a header.
func (p Preset) Raw() bool { return p.Encoding != "" }

// String returns text such as "s16le, 24000 Hz mono".
func (p Preset) String() string {
	if !p.Raw() {
		return "as its header says"
	}
	text := fmt.Sprintf("%s, %d Hz mono", p.Encoding, p.Rate)
	if p.Payload != "" {
		text += fmt.Sprintf(", %s in the JSON field %s", p.Payload, p.Field)
	}
	return text
}

// All returns the presets sorted by name. The caller may change the slice.
func All() []Preset {
	all := slices.Clone(table)
	slices.SortFunc(all, func(a, b Preset) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// Find returns the preset with this name. The error suggests similar names.
func Find(name string) (Preset, error) {
	var near []string
	for _, p := range All() {
		if p.Name == name {
			return p, nil
		}
		if strings.HasPrefix(p.Name, firstLetters(name)) {
			near = append(near, p.Name)
		}
	}
	if len(near) == 0 {
		return Preset{}, fmt.Errorf("no preset is called %q", name)
	}
	return Preset{}, fmt.Errorf("no preset is called %q; there are %s", name, strings.Join(near, ", "))
}

func firstLetters(name string) string { return strings.ToLower(name[:min(2, len(name))]) }

// maxVoice is the largest description of a voice that is read, in bytes.
const maxVoice = 4 << 20

// PiperRate reads the sampling rate of a Piper voice, in Hz, from the JSON file beside its
// model (VOICE.onnx.json, field audio.sample_rate).
func PiperRate(r io.Reader) (int, error) {
	var voice struct {
		Audio struct {
			Rate int `json:"sample_rate"`
		} `json:"audio"`
	}
	if err := json.NewDecoder(io.LimitReader(r, maxVoice)).Decode(&voice); err != nil {
		return 0, fmt.Errorf("this does not describe a Piper voice: %w", err)
	}
	if voice.Audio.Rate <= 0 {
		return 0, fmt.Errorf("this does not describe a Piper voice: it has no audio.sample_rate")
	}
	return voice.Audio.Rate, nil
}

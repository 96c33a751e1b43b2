package preset

import (
	"os"
	"strings"

	"echocast/audio"
)

// Apply sets those options of audio.Open that the preset knows and the bytes may not state.
// rate is the rate of raw samples in Hz. Channels and JSON settings that are already set in
// o take precedence.
func (p Preset) Apply(o *audio.Options, rate int) {
	given := o.JSON
	o.Encoding, o.TrustHeader = p.Encoding, true
	if p.Payload != "" || given != (audio.JSONOptions{}) {
		o.Encoding = "ndjson"
		o.JSON = audio.JSONOptions{
			Field: p.Field, Payload: p.Payload, Type: p.Type, Summary: p.Summary, Encoding: p.Encoding}
	}
	if given.Field != "" { // another field: the preset's other JSON settings do not apply
		o.JSON = audio.JSONOptions{Field: given.Field, Payload: given.Payload, Encoding: p.Encoding}
	}
	if given.Payload != "" {
		o.JSON.Payload = given.Payload
	}
	if !p.Raw() {
		o.Raw = audio.Format{}
		return
	}
	o.Raw.Rate = rate
	if o.Raw.Channels == 0 {
		o.Raw.Channels = p.Channels
	}
}

// PiperVoiceRate returns the rate in Hz of a Piper voice, and the file that states it:
// name or, if name is the model (VOICE.onnx), VOICE.onnx.json beside it.
func PiperVoiceRate(name string) (rate int, said string, err error) {
	if strings.HasSuffix(name, ".onnx") {
		name += ".json"
	}
	file, err := os.Open(name)
	if err != nil {
		return 0, name, err
	}
	defer file.Close()
	rate, err = PiperRate(file)
	return rate, name, err
}

package agent_test

import (
	"context"
	"testing"

	"echocast/agent"
	"echocast/echo"
)

// quiet is a speaker that reads what it is to say.
type quiet struct{}

func (quiet) Speak(_ context.Context, speech echo.Speech) (echo.Receipt, error) {
	p := make([]float32, 4096)
	for {
		if _, err := speech.Samples.ReadSamples(p); err != nil {
			return echo.Receipt{Outcome: echo.Finished}, nil
		}
	}
}

func (quiet) Progress() echo.Progress { return echo.Progress{} }

// Every message of an agent is an event or a warning, and ends nothing.
func FuzzAgent(f *testing.F) {
	for _, seed := range []string{
		`{"type":"session.created"}`, `{"type":"response.output_audio.delta","item_id":"i","delta":"AAAA"}`, `{`, `[]`,
		`{"type":"conversation_initiation_metadata","conversation_initiation_metadata_event":` +
			`{"agent_output_audio_format":"pcm_16000","user_input_audio_format":"ulaw_8000"}}`,
		`{"type":"audio","audio_event":{"audio_base_64":"AAAA","event_id":1}}`,
		`{"type":"interruption","interruption_event":{"event_id":1}}`,
		`{"type":"conversation_initiation_metadata",` +
			`"conversation_initiation_metadata_event":{"agent_output_audio_format":"pcm_-1"}}`,
	} {
		f.Add([]byte(seed), []byte(seed))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		for _, kind := range agent.Kinds() {
			v := newVendor(t)
			v.toUs <- first
			v.toUs <- second
			close(v.toUs)
			if err := agent.Talk(t.Context(), v, agent.Options{Kind: kind, Speaker: quiet{}}); err != nil {
				t.Errorf("%s ended with %v", kind, err)
			}
		}
	})
}

package livekit

import (
	"encoding/json"
	"testing"
)

// FuzzFinished reads reports as anybody in the room may send them.
func FuzzFinished(f *testing.F) {
	f.Add(`{"playback_position":1.5,"interrupted":true}`)
	f.Add(`{"playbackPosition":-1e300}`)
	f.Add(`[`)
	f.Fuzz(func(t *testing.T, payload string) {
		e := finishedEvent(payload)
		if e.Duration < -1 || e.Duration.Seconds() >= 1e9 {
			t.Errorf("%v were played", e.Duration)
		}
		if !json.Valid(e.Raw) {
			t.Errorf("the event is no JSON: %s", e.Raw)
		}
	})
}

package tavus

import (
	"encoding/json"
	"testing"
)

// FuzzAnswer reads answers as the service, or whoever stands in front of it, may
// give them.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"conversation_id":"c1","status":"active","events":[{"event_type":"system.shutdown",` +
		`"properties":{"reason":"x"}}]}`))
	f.Add([]byte(`{"error":{"message":{"detail":"nested"}}}`))
	f.Add([]byte(`<html>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var info Info
		_ = json.Unmarshal(body, &info) // an error is one answer
		var pal PAL
		_ = json.Unmarshal(body, &pal)
		if text := messageIn(body); len(text) > len(body)*3 {
			t.Errorf("%d bytes become %d", len(body), len(text))
		}
	})
}

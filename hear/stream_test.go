package hear

import (
	"bytes"
	"testing"
)

// If a limit ends the stream in the middle of a piece, the counts include only what was
// written.
func TestStatsCountWrittenSamples(t *testing.T) {
	var out bytes.Buffer
	s, err := NewStream(16000, &out)
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int64{100, 60} {
		if _, err := s.pass(func() []int16 { return s.mixer.mix(s.mixer.taken + 100) }, limit); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.Stats().Samples; got != 160 || out.Len() != 2*160 {
		t.Errorf("%d samples are counted, %d bytes written", got, out.Len())
	}
}

//go:build unix

package main

import (
	"testing"
	"time"
)

// What replicas heard is judged by frames: what was left out and what was said again.
func TestCoverage(t *testing.T) {
	s := &stage{heard: map[int][]uint16{}}
	samples := samplesOf(speech(3, 10))
	s.hear(time.Time{}, rate, samples[:8*frameSamples]) // frames 8 and 9 are left out
	s.hear(time.Time{}, rate, samples[2*frameSamples+1:5*frameSamples])
	if missing, repeated := s.coverage(3, 10); missing != 2 || repeated != 2 {
		t.Errorf("%d frames are missing and %d were repeated, not 2 and 2", missing, repeated)
	}
}

func samplesOf(pcm []byte) (samples []int16) {
	for i := 0; i < len(pcm); i += 2 {
		samples = append(samples, int16(uint16(pcm[i])|uint16(pcm[i+1])<<8))
	}
	return samples
}

// A receipt has to say that something was left out, and no less than was said again.
func TestNames(t *testing.T) {
	finished, cut, again := info{}, info{Error: "the node was lost"}, info{}
	finished.Receipt.Outcome, again.Receipt.Outcome = "finished", "finished"
	again.Takeovers = append(again.Takeovers, struct {
		AtSeconds       float64 `json:"at_seconds"`
		RepeatedSeconds float64 `json:"repeated_seconds"`
	}{1, 0.5})
	second := rate / frameSamples
	for _, test := range []struct {
		what              string
		info              info
		missing, repeated int
		isNamed           bool
	}{
		{"a gap of which nothing is said", finished, 100, 0, false},
		{"a gap with an error", cut, 100, 0, true},
		{"a gap at a takeover", again, 100, 0, false},
		{"half a second again, as is said", again, 0, second / 2, true},
		{"a second again, of which half is said", again, 0, second, false},
		{"a second again without a takeover", finished, 0, second, false},
	} {
		if test.info.names(test.missing, test.repeated) != test.isNamed {
			t.Errorf("%s: the judge says %t", test.what, !test.isNamed)
		}
	}
}

// A takeover counts for the one fault that came before it.
func TestCause(t *testing.T) {
	begin := time.Now()
	after := func(seconds float64) time.Time { return begin.Add(time.Duration(seconds * float64(time.Second))) }
	for _, test := range []struct {
		what   string
		faults []fault
		kind   string // of the takeover from second 10 to 12; empty: it does not count
	}{
		{"a kill", []fault{{kind: "killed", at: after(10)}}, "killed"},
		{"a kill long before", []fault{{kind: "killed", at: after(9)}}, ""},
		{"two kills", []fault{{kind: "killed", at: after(10)}, {kind: "killed", at: after(11)}}, ""},
		{"a cut, after which it speaks on", []fault{{kind: "cut off", at: after(8.5)}}, "cut off"},
		{
			"a kill after one of NATS", []fault{{kind: natsKilled, at: after(7)}, {kind: "killed", at: after(10)}},
			"killed" + alsoNATS,
		},
	} {
		r := &result{system: &system{faults: test.faults}}
		speaking := takeover{after(10), after(12), true}
		f, ok := r.cause(speaking)
		if kind := r.kindOf(f, speaking); ok != (test.kind != "") || ok && kind != test.kind {
			t.Errorf("%s: %q, %t", test.what, kind, ok)
		}
	}
}

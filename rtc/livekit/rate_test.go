package livekit

import "testing"

func TestSpeechRate(t *testing.T) {
	for avatar, want := range map[string]int{
		"": 24000, DefaultAvatar: 24000, "anam-avatar-agent": 24000, "simlike": 24000,
		"simli-avatar-agent": 16000, "runway-avatar-agent": 16000, "lemonslice-avatar-agent": 16000,
		"avatartalk-avatar": 16000,
	} {
		if got := SpeechRate(avatar); got != want {
			t.Errorf("%q takes %d Hz, want %d", avatar, got, want)
		}
	}
}

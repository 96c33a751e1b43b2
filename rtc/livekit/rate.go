package livekit

import "strings"

// vendorsAt16kHz are the vendors of LiveKit's plugins whose workers take speech
// at 16 kHz, as those plugins say (November 2026).
var vendorsAt16kHz = []string{"avatartalk", "lemonslice", "protoface", "runway", "simli"}

// SpeechRate returns the sampling rate in Hz of the speech that an avatar with
// this identity takes: 16000 for those of some vendors, whose plugins call them
// VENDOR-avatar-agent, and else 24000.
func SpeechRate(avatar string) int {
	for _, vendor := range vendorsAt16kHz {
		if strings.HasPrefix(avatar, vendor+"-avatar") {
			return 16000
		}
	}
	return 24000
}

package livekit

import "strings"

// vendorsAt16kHz are the vendors of workers that take speech at 16 kHz, according to LiveKit's
// plugins for them (November 2026).
var vendorsAt16kHz = []string{"avatartalk", "lemonslice", "protoface", "runway", "simli"}

// SpeechRate returns the sampling rate in Hz of the speech that an avatar with this identity
// takes: 16000 for avatars of some vendors, otherwise 24000. The vendors' plugins name their
// avatars VENDOR-avatar-agent.
func SpeechRate(avatar string) int {
	for _, vendor := range vendorsAt16kHz {
		if strings.HasPrefix(avatar, vendor+"-avatar") {
			return 16000
		}
	}
	return 24000
}

//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// input is one file that every command reads.
type input struct {
	name    string
	path    string
	seconds float64
	// repeats is how often a command runs in one round. Short inputs need more repetitions.
	repeats int
}

// makeInputs repeats the speech until each file has its intended length. In stereo files
// the second channel is delayed by 11 ms, so that the channels differ.
func makeInputs(ctx context.Context, dir, speech string, hours float64) ([]input, error) {
	long := hours * 3600
	path := func(name string) string { return filepath.Join(dir, name) }
	wav := func(name string, rate int, effects string, seconds float64) string {
		return fmt.Sprintf("sox -V1 %s -b 16 %s rate %d %s repeat - trim 0 %.3f", quote(speech), quote(path(name)),
			rate, effects, seconds)
	}
	mp3 := func(from, to, options string) string {
		return fmt.Sprintf("lame --quiet -q 7 %s %s %s", options, quote(path(from)), quote(path(to)))
	}
	for _, commands := range []string{
		wav("44100-stereo.wav", 44100, "remix 1 1 delay 0 0.011", long),
		wav("24000-mono.wav", 24000, "", long),
		// The two encoders run at the same time, on both cores.
		mp3("24000-mono.wav", "24000-mono.mp3", "--cbr -m m -b 64") + " & " +
			mp3("44100-stereo.wav", "44100-stereo.mp3", "--cbr -m j -b 128") + " && wait $!",
		mp3("44100-stereo.wav", "44100-mono.mp3", "--cbr -a -m m -b 96 --resample 44.1") + " & " +
			mp3("44100-stereo.wav", "44100-vbr.mp3", "-V 4 -m j") + " && wait $!",
		wav("48000-mono.wav", 48000, "", long),
		wav("clip.wav", 22050, "", 2),
	} {
		if _, err := measure(ctx, commands); err != nil {
			return nil, err
		}
	}
	if err := os.Remove(path("24000-mono.wav")); err != nil {
		return nil, err
	}
	return []input{
		{"WAV 44.1 kHz stereo", path("44100-stereo.wav"), long, 1},
		{"WAV 48 kHz mono", path("48000-mono.wav"), long, 1},
		{"MP3 44.1 kHz stereo, 128 kbit/s", path("44100-stereo.mp3"), long, 1},
		{"MP3 44.1 kHz mono, 96 kbit/s", path("44100-mono.mp3"), long, 1},
		{"MP3 44.1 kHz stereo, VBR (`-V 4`)", path("44100-vbr.mp3"), long, 1},
		{"MP3 24 kHz mono, 64 kbit/s", path("24000-mono.mp3"), long, 1},
		{"a 2 s clip, WAV 22.05 kHz mono", path("clip.wav"), 2, 10},
	}, nil
}

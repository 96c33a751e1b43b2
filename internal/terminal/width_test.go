package terminal

import (
	"strings"
	"testing"
	"time"
)

func TestWidth(t *testing.T) {
	for text, want := range map[string]int{
		"":                0,
		"speech.wav":      10,
		"日本語":             6,
		"ｗｉｄｅ":            8,
		"e\u0301te\u0301": 3, // combining accents
		"🎙":               1, // narrow, as Unicode has it
		"😀":               2,
		"a\u200db":        2, // a joiner
	} {
		if got := Width(text); got != want {
			t.Errorf("%q: %d columns, want %d", text, got, want)
		}
	}
}

// A cut line fits, and is cut as little as possible.
func TestFit(t *testing.T) {
	for _, text := range []string{"speech of Monday.wav", "日本語の長い名前", "e\u0301te\u0301 日 x"} {
		for columns := range Width(text) + 3 {
			got := Fit(text, columns)
			w := Width(got)
			if w > columns || w < min(columns, Width(text))-1 {
				t.Errorf("%q in %d columns: %q", text, columns, got)
			}
			if (got == text) != (Width(text) <= columns) {
				t.Errorf("%q in %d columns: %q", text, columns, got)
			}
		}
	}
}

// The line fits any terminal, and shows more on a wider one.
func TestPlayback(t *testing.T) {
	line := Playback{
		Name: "日本語 of a very long name.wav", Heard: 61 * time.Second, Sent: 62 * time.Second, Total: 122 * time.Second,
		State: "waiting for the replica", Keys: "space: interrupt",
	}
	for columns := 45; columns < 140; columns++ {
		text := line.Text(columns)
		if w := Width(text); w > columns {
			t.Errorf("%d columns: %d: %s", columns, w, text)
		}
		for _, always := range []string{"1:01.0 / 2:02.0", line.State} {
			if !strings.Contains(text, always) {
				t.Errorf("%d columns: %s", columns, text)
			}
		}
	}
	for columns, want := range map[int]string{
		45:  "1:01.0 / 2:02.0  waiting for the replica",
		60:  "日本語 of a very …  1:01.0 / 2:02.0  waiting for the replica",
		80:  "日本語 of a very lo…  1:01.0 / 2:02.0  waiting for the replica  space: interrupt",
		100: "日本語 of a very long n…  ███████░░░░░░░  1:01.0 / 2:02.0  waiting for the replica  space: interrupt",
	} {
		if got := line.Text(columns); got != want {
			t.Errorf("%d columns:\n%s\nwant\n%s", columns, got, want)
		}
	}
	line.Total, line.Heard, line.Sent = 0, 3*time.Second, 4*time.Second
	if got := line.Text(90); !strings.Contains(got, "  0:03.0  sent 0:04.0  ") {
		t.Error(got)
	}
	line.Total = time.Second // the header lied
	if got := line.Text(140); strings.Count(got, "█") != longestBar {
		t.Error(got)
	}
}

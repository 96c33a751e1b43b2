package daily

import (
	"os"
	"path/filepath"
	"testing"

	"echocast/rtc/daily/core"
)

// Daily rooms are joined by the library if it is installed, unless a browser is asked for.
func TestTransport(t *testing.T) {
	if !core.Supported {
		t.Skip(core.ErrUnsupported)
	}
	folder := t.TempDir()
	library := filepath.Join(folder, core.FileName())
	browser := filepath.Join(folder, "chromium")
	for _, name := range []string{library, browser} {
		if err := os.WriteFile(name, nil, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		installed  bool
		backend    Backend
		microphone bool
		library    string
		browser    string
		why        string
	}{
		"named":                  {false, Backend{Core: folder}, false, library, "", "it was named"},
		"named beside a browser": {false, Backend{Core: library, Chromium: browser}, false, library, "", "it was named"},
		"named, with a microphone": {false, Backend{Core: library, Chromium: browser}, true, "", browser,
			"only a browser has a microphone"},
		"installed":          {true, Backend{}, false, library, "", "it was found at " + library},
		"a browser is named": {true, Backend{Chromium: browser}, false, "", browser, "it was named"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("LD_LIBRARY_PATH", "")
			if c.installed {
				t.Setenv("LD_LIBRARY_PATH", folder)
			}
			got, err := c.backend.Transport(c.microphone)
			if err != nil || got.Library != c.library || got.Browser != c.browser || got.Reason != c.why {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// The name of the room is the id of the Tavus conversation.
func TestConversation(t *testing.T) {
	for page, want := range map[string]string{
		"https://tavus.daily.co/c0123456789abcdef": "c0123456789abcdef",
		"https://tavus.daily.co/c123?t=canary":     "c123",
		"https://rooms.example.org/":               "",
	} {
		if got := conversation(page); got != want {
			t.Errorf("%s: %q, not %q", page, got, want)
		}
	}
}

package cli

import (
	"os"
	"path/filepath"
	"testing"

	"echocast/rtc/daily/core"
)

// Daily rooms are joined by the library where there is one, unless a browser is
// asked for.
func TestWay(t *testing.T) {
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
		room       dailyRoom
		microphone bool
		library    string
		browser    string
		why        string
	}{
		"named":                    {false, dailyRoom{core: folder}, false, library, "", "it was named"},
		"named beside a browser":   {false, dailyRoom{core: library, chromium: browser}, false, library, "", "it was named"},
		"named, with a microphone": {false, dailyRoom{core: library, chromium: browser}, true, "", browser, "only a browser has a microphone"},
		"installed":                {true, dailyRoom{}, false, library, "", "it was found at " + library},
		"a browser is named":       {true, dailyRoom{chromium: browser}, false, "", browser, "it was named"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("LD_LIBRARY_PATH", "")
			if c.installed {
				t.Setenv("LD_LIBRARY_PATH", folder)
			}
			got, err := c.room.way(c.microphone)
			if err != nil || got.library != c.library || got.browser != c.browser || got.why != c.why {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

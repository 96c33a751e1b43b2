package config

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestDefaultPath(t *testing.T) {
	for _, c := range []struct {
		xdg, home string
		want      string
	}{
		{"/x", "/h", "/x/echocast/config"},
		{"x", "/h", "/h/.config/echocast/config"}, // the standard ignores relative ones
		{"", "", ""},
	} {
		getenv := func(name string) string {
			return map[string]string{"XDG_CONFIG_HOME": c.xdg, "HOME": c.home}[name]
		}
		if got := filepath.ToSlash(DefaultPath(getenv)); runtime.GOOS != "windows" && got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestValues(t *testing.T) {
	for written, want := range map[string]string{
		"a":               "a",
		" a b ":           "a b",
		"a # b":           "a",
		"http://x/#part":  "http://x/#part",
		`"a # b" # c`:     "a # b",
		`'say "a"'`:       `say "a"`,
		`"open`:           `"open`,
		"# nothing":       "",
		`C:\keys\x`:       `C:\keys\x`,
		`"":`:             `"":`,
		"it's a name # x": "it's a name",
	} {
		f := &File{Path: "f"}
		if err := f.parse("x=" + written); err != nil || len(f.lines) != 1 || f.lines[0].value != want {
			t.Errorf("%q: %+v, %v", written, f.lines, err)
		}
	}
}

// For any file, an error names its line, and every setting that is read has a name.
func FuzzFile(f *testing.F) {
	f.Add("lead = 1s\n[work]\nto = \"x\" # y\n")
	f.Add("[\n=\n'")
	f.Fuzz(func(t *testing.T, text string) {
		file := &File{Path: "f"}
		if err := file.parse(text); err != nil {
			if !strings.HasPrefix(err.Error(), "f:") {
				t.Error(err)
			}
			return
		}
		for _, l := range file.lines {
			if l.name == "" && l.value == "" || l.number < 1 {
				t.Errorf("%q: %+v", text, l)
			}
		}
	})
}

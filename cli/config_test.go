package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// configFile writes text into the settings file of a test.
func configFile(t *testing.T, text string) (name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "echocast", "config")
	if err := os.Mkdir(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ECHOCAST_CONFIG", "")
	t.Setenv("XDG_CONFIG_HOME", filepath.Dir(filepath.Dir(name)))
	return name
}

// shown returns what config prints about an option.
func shown(t *testing.T, option string, args ...string) (value, from string) {
	t.Helper()
	r := run(t, nil, append([]string{"config", "--json"}, args...)...)
	if r.code != 0 {
		t.Fatal(r.stderr)
	}
	for line := range strings.Lines(r.stdout) {
		var row struct {
			Option, From string
			Values       []string
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatal(err)
		}
		if row.Option == option {
			return strings.Join(row.Values, " "), filepath.Base(row.From)
		}
	}
	return "", ""
}

const settingsOfTests = `# a comment
chunk = 20ms  # of all commands
encode.pace = burst

[slow]
chunk = "40ms"
encode.chunk = 60ms
--max-rate = 60
ice-server = stun:a.example
ice-server = stun:b.example # and another
room-key-file = ~/key

[other]
chunk = 10ms
`

// A flag comes before the environment, then the profile, then the head of the file, then the
// default.
func TestPrecedence(t *testing.T) {
	configFile(t, settingsOfTests)
	file, _ := wav(24000, 1, 24000)
	name := write(t, "x.wav", file)
	count := func(args ...string) int {
		t.Helper()
		r := run(t, nil, append(append([]string{"encode"}, args...), name)...)
		if r.code != 0 {
			t.Fatal(r.stderr)
		}
		return strings.Count(r.stdout, "\n")
	}
	want := func(n int, from, value string, args ...string) {
		t.Helper()
		if got := count(args...); got != n {
			t.Errorf("%v: %d messages, want %d", args, got, n)
		}
		if v, f := shown(t, "chunk", append([]string{"encode"}, args...)...); v != value || f != from {
			t.Errorf("%v: config shows %s from %s", args, v, f)
		}
	}
	want(50, "config:2", "20ms")
	want(17, "config:7 [slow]", "60ms", "--profile", "slow")
	want(100, "config:14 [other]", "10ms", "--profile=other")
	t.Setenv("ECHOCAST_PROFILE", "other")
	want(100, "config:14 [other]", "10ms")
	want(50, "config:2", "20ms", "--profile", "")
	t.Setenv("ECHOCAST_CHUNK", "25ms")
	want(40, "ECHOCAST_CHUNK", "25ms", "--profile", "slow")
	if got := count("--chunk", "50ms", "--profile", "slow"); got != 20 {
		t.Errorf("%d messages of 50 ms", got)
	}
	t.Setenv("ECHOCAST_CHUNK", "") // an empty variable says nothing
	want(100, "config:14 [other]", "10ms")
}

func TestConfigShowsSettings(t *testing.T) {
	name := configFile(t, settingsOfTests)
	home, err := os.UserHomeDir()
	if err != nil {
		t.Skip(err)
	}
	t.Setenv("TAVUS_API_KEY", "s3cret-key")
	t.Setenv("TAVUS_PAL_ID", "")
	t.Setenv("TAVUS_PERSONA_ID", "p1")
	t.Setenv("ECHOCAST_TO", "http://127.0.0.1:1/?t=s3cret-key-of-room")
	t.Setenv("TAVUS_BASE_URL", "http://me:s3cret-password@127.0.0.1/")
	t.Setenv("ECHOCAST_PARAM", "Authorization=Bearer s3cret-of-bot")
	for _, c := range [][]string{
		{"lead", "1s", "default", "encode"},
		{"ice-server", "stun:a.example stun:b.example", "config:9 [slow]", "send", "--profile", "slow"},
		{"room-key-file", filepath.Join(home, "key"), "config:11 [slow]", "replica", "--profile", "slow"},
		{"max-rate", "60", "config:8 [slow]", "--profile", "slow"},
		{"pal", "p1", "TAVUS_PERSONA_ID", "conversation", "create"},
		{"pal", "none", "default", "send"},
		{"(file)", name, "9 settings"},
		{"(profile)", "slow", "--profile", "--profile", "slow"},
		{"(secret)", "not shown", "TAVUS_API_KEY"},
		{"(secret)", "not shown", "TAVUS_API_KEY", "send"},
		{"to", "http://127.0.0.1:1/?t=redacted", "ECHOCAST_TO", "send"},
		{"base-url", "http://me:redacted@127.0.0.1/", "TAVUS_BASE_URL", "send"},
		{"param", "Authorization=redacted", "ECHOCAST_PARAM", "bridge"},
	} {
		if value, from := shown(t, c[0], c[3:]...); value != c[1] || from != c[2] && from != filepath.Base(c[2]) {
			t.Errorf("%v: %s from %s", c, value, from)
		}
	}
	for _, args := range [][]string{{"config"}, {"config", "send"}, {"config", "send", "--json"}} {
		if r := run(t, nil, args...); r.code != 0 || strings.Contains(r.stdout+r.stderr, "s3cret") {
			t.Errorf("%v: code %d, %s%s", args, r.code, r.stdout, r.stderr)
		}
	}
}

// --profile is completed with the profiles of the file.
func TestProfilesAreCompleted(t *testing.T) {
	configFile(t, settingsOfTests)
	if r := run(t, nil, "__complete", ":", "send", "--profile"); r.stdout != "slow\nother\n" {
		t.Errorf("code %d, %q%s", r.code, r.stdout, r.stderr)
	}
	configFile(t, "[broken")
	if r := run(t, nil, "__complete", ":", "send", "--profile"); r.code != 0 || r.stderr != "" {
		t.Errorf("code %d, %q%s", r.code, r.stdout, r.stderr)
	}
}

// An error in the settings is one line that names its place, and exit code 2.
func TestSettingsErrors(t *testing.T) {
	for text, want := range map[string]string{
		"\nlaed = 1s\n":                    `:2: no option is called "laed"; did you mean lead?`,
		"send.rat = 1\n":                   `:1: no option is called "send.rat"`,
		"lead 1s":                          ":1: a setting is written NAME = VALUE",
		"[work\nlead = 1s":                 ":1: a heading is the name of a profile in brackets",
		"lead = 1s\n[a]\nlead=1s\nlead=2s": ":4: lead is set twice in this section",
		"yes = true":                       ":1: --yes must be typed",
		"[a]\nprofile = b":                 ":2: one profile is chosen for all commands",
		"api-key = s3cret":                 ":1: a secret belongs in its own file: write api-key-file = FILE",
		"chunk = 1":                        `:1: --chunk 1: a time has a unit`,
		"quiet = perhaps":                  `:1: --quiet perhaps: it must be true or false`,
		"profile = x\n[a]":                 `:1: no profile is called "x" in `,
		"max-message = -1":                 "(--max-message is from ",
	} {
		configFile(t, text)
		r := run(t, nil, "encode", "../testdata/speech.wav")
		if r.code != 2 || !strings.Contains(r.stderr, want) || strings.Count(r.stderr, "\n") != 1 ||
			strings.Contains(r.stderr, "s3cret") || r.stdout != "" {
			t.Errorf("%q: code %d, %s, want %s", text, r.code, r.stderr, want)
		}
	}
	t.Setenv("ECHOCAST_CONFIG", filepath.Join(t.TempDir(), "none"))
	if r := run(t, nil, "encode", "../testdata/speech.wav"); r.code != 2 ||
		!strings.Contains(r.stderr, "no such file") && runtime.GOOS != "windows" {
		t.Errorf("code %d, %s", r.code, r.stderr)
	}
}

func TestSettingsFileMode(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there are no modes")
	}
	for _, c := range []struct {
		text string
		mode os.FileMode
		code int
		want string
	}{
		{"lead = 1s", 0o644, 0, ""},
		{"[a]\nroom-key-file = x", 0o600, 0, ""},
		{"[a]\nroom-key-file = x", 0o644, 0, "other users of this machine can read "},
		{"lead = 1s", 0o620, 2, "other users can write it"},
		{"lead = 1s", 0o602, 2, "other users can write it"},
	} {
		name := configFile(t, c.text)
		if err := os.Chmod(name, c.mode); err != nil {
			t.Fatal(err)
		}
		r := run(t, nil, "encode", "--quiet", "--dry-run", "../testdata/speech.wav")
		if r.code != c.code || !strings.Contains(r.stderr, c.want) || (c.want == "") != (r.stderr == "") {
			t.Errorf("%v, %q: code %d, %s", c.mode, c.text, r.code, r.stderr)
		}
	}
}

// A typed option overrides a conflicting one from the environment or the file.
func TestTypedOptionOverridesConflictingSetting(t *testing.T) {
	configFile(t, "to = http://127.0.0.1:1\npage = true")
	if r := run(t, nil, "send", "--rehearse", "--page=false", "--pace", "burst", "../testdata/speech.wav"); r.code != 0 {
		t.Errorf("code %d, %s", r.code, r.stderr)
	}
	r := run(t, nil, "send", "--ready-timeout", "100ms", "../testdata/speech.wav")
	if r.code != 2 || !strings.Contains(r.stderr, "config:1)") {
		t.Errorf("code %d, %s", r.code, r.stderr)
	}
}

// No option has the same variable as something else.
func TestOptionVariablesDoNotCollide(t *testing.T) {
	var rows []string
	for _, name := range []string{"send", "replica", "converse", "conversation create", "doctor", "bench", "hear"} {
		r := run(t, nil, append([]string{"config", "--json"}, strings.Fields(name)...)...)
		for line := range strings.Lines(r.stdout) {
			var row struct{ Option string }
			if err := json.Unmarshal([]byte(line), &row); err != nil {
				t.Fatal(err)
			}
			rows = append(rows, row.Option)
		}
	}
	for _, taken := range []string{"config", "state-dir", "heard", "long", "room-key", "ice-username", "ice-credential"} {
		if slices.Contains(rows, taken) {
			t.Errorf("the variable of the option --%s has another meaning", taken)
		}
	}
}

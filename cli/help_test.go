package cli

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"echocast/audio"
	"echocast/internal/testwait"
)

var updateHelp = flag.Bool("update", false, "rewrite the golden help pages")

// commandNames are the commands that completion offers.
func commandNames(t *testing.T) []string {
	t.Helper()
	code, stdout, stderr := run(testwait.Context(t), "__complete", ":")
	if code != 0 {
		t.Fatal(stderr)
	}
	var names []string
	for line := range strings.Lines(stdout) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
		names = append(names, name)
	}
	return names
}

// helpPages returns all help pages at a width.
func helpPages(t *testing.T, width int) string {
	t.Helper()
	t.Setenv("COLUMNS", strconv.Itoa(width))
	pages := [][]string{{"-h"}, {"--help"}, {"help", "exit-codes"}, {"send", "-h"}}
	for _, name := range commandNames(t) {
		pages = append(pages, []string{"help", name})
	}
	var all strings.Builder
	for _, page := range pages {
		code, stdout, stderr := run(testwait.Context(t), page...)
		if code != 0 || stderr != "" {
			t.Errorf("%v: code %d, %s", page, code, stderr)
		}
		all.WriteString("$ echocast " + strings.Join(page, " ") + "\n" + stdout + "\n")
	}
	return all.String()
}

// The help pages are those in testdata, for a wide and for a narrow terminal. A
// change shows in the review; -update rewrites them.
func TestHelpPages(t *testing.T) {
	if audio.DefaultMethod() != audio.Soxr {
		t.Skip("the defaults of this build are others")
	}
	for _, width := range []int{80, 40} {
		golden := filepath.Join("testdata", "help-"+strconv.Itoa(width)+".txt")
		got := helpPages(t, width)
		if *updateHelp {
			if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("the help at %d columns is not that of %s; go test ./cli -run TestHelpPages -update writes it",
				width, golden)
		}
		for line := range strings.Lines(got) {
			if words := strings.Fields(line); slices.Contains(words, "VALUE") && strings.HasPrefix(line, "  -") {
				t.Errorf("the usage of an option names no value in backquotes: %s", line)
			}
			// An indented line may be an example, which is not wrapped, and a word may be
			// longer than the line.
			if words := strings.Fields(line); len(line) > width+1 && line[0] != ' ' && line[0] != '$' && len(words) > 2 {
				t.Errorf("longer than %d: %s", width, line)
			}
		}
	}
}

func TestShortHelpFitsAScreen(t *testing.T) {
	t.Setenv("COLUMNS", "80")
	for _, name := range commandNames(t) {
		if name == "help" {
			continue
		}
		code, stdout, _ := run(testwait.Context(t), name, "-h")
		if lines := strings.Count(stdout, "\n"); code != 0 || lines > 48 {
			t.Errorf("%s -h: code %d, %d lines", name, code, lines)
		}
	}
}

// -h and --help show help wherever they stand, except as the value of an option or as an
// input.
func TestHelpFlagPositions(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		out  string
	}{
		{[]string{}, 0, "usage: echocast COMMAND"},
		{[]string{"send", "x.wav", "--quiet", "-h"}, 0, "usage: echocast send"},
		{[]string{"preset", "--help"}, 0, "usage: echocast preset list"},
		{[]string{"send", "--record", "-h", "--", "--help"}, 3, ""},
		{[]string{"help", "nothing"}, 2, ""},
	} {
		code, stdout, stderr := run(testwait.Context(t), c.args...)
		if code != c.code || !strings.Contains(stdout, c.out) || (c.out == "") != (stdout == "") {
			t.Errorf("%v: code %d, %s%s", c.args, code, stdout, stderr)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	file := filepath.Join(t.TempDir(), "speech.wav")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, says string }{
		{"sned x.wav", "did you mean echocast send?"},
		{"send --recrod x", "no option is called --recrod; did you mean --record?"},
		{file, "did you mean echocast send " + file + "?"},
		{"send --lead 1 x.wav", "a time has a unit, such as 1s or 500ms"},
		{"send " + file + " --wait", "--wait needs a value after it: WHEN an utterance has ended: once it was " +
			"played, or sent; echocast send --help lists the options"},
		{"send --monitor " + file, "the input after --monitor is taken for its value: write --monitor play " + file},
	} {
		code, _, stderr := run(testwait.Context(t), strings.Fields(c.args)...)
		if code != 2 || !strings.Contains(stderr, c.says) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s: code %d, %s", c.args, code, stderr)
		}
	}
	if code, _, stderr := run(testwait.Context(t), "xyzzy"); code != 2 || strings.Contains(stderr, "did you mean") {
		t.Errorf("code %d, %s", code, stderr)
	}
}

// A command that only has commands below it shows its help.
func TestHelpOfCommandsWithoutAVerb(t *testing.T) {
	for _, name := range []string{"conversation", "pal", "context"} {
		code, alone, stderr := run(testwait.Context(t), name)
		_, asked, _ := run(testwait.Context(t), name, "--help")
		if code != 0 || alone != asked || stderr != "" {
			t.Errorf("%s: code %d, %s%s", name, code, alone, stderr)
		}
	}
}

func TestVersion(t *testing.T) {
	code, stdout, _ := run(testwait.Context(t), "version")
	if lines := strings.Split(stdout, "\n"); code != 0 || len(lines) != 5 || !strings.HasPrefix(lines[0], "echocast 0.") ||
		!strings.HasPrefix(lines[1], "commit ") {
		t.Errorf("code %d, %q", code, stdout)
	}
}

func TestComplete(t *testing.T) {
	for _, c := range []struct{ words, want string }{
		{":sen", "send\nsensitivity\nsend-raw\n"},
		{":--resa send", "--resampler\n"},
		{": send --pace", "lead\nrealtime\nburst\n"},
		{":b send --pace =", "burst\n"},
		{":--wait=s send", "--wait=sent\n"},
		{": interrupt --wait", ""},
		{": hear --format", "s16le\nwav\n"},
		{": send --record", ":files\n"},
		{":spee send", ":files\n"},
		{":eleven send --preset", "elevenlabs\nelevenlabs-mp3\n"},
		{":drop replica --fault", "drop-events\ndrop-every\n"},
		{":exit help", "exit-codes\n"},
		{":f completion", "fish\n"},
		{": nothing", ""},
	} {
		code, stdout, stderr := run(testwait.Context(t), append([]string{"__complete"}, strings.Fields(c.words)...)...)
		var words strings.Builder
		for line := range strings.Lines(stdout) {
			word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
			words.WriteString(word + "\n")
		}
		if code != 0 || words.String() != c.want {
			t.Errorf("%s: code %d, %q, want %q%s", c.words, code, words.String(), c.want, stderr)
		}
	}
}

// shells complete a line and print what they found. The last argument is the folder of the
// program.
var shells = map[string]string{
	"bash": `source <(echocast completion bash); COMP_WORDS=(echocast send --pace ""); COMP_CWORD=3; _echocast; ` +
		`printf '%s\n' "${COMPREPLY[@]}"`,
	"zsh": `autoload -Uz compinit; compinit -u -D
		source <(echocast completion zsh)
		_describe() { print -l -- "${(@)${(@P)2}%%:*}" }; _files() { print files }
		words=(echocast send --pace ''); CURRENT=4; _echocast`,
	"fish": `echocast completion fish | source; complete -C "echocast send --pace "`,
}

// Each installed shell runs its completion script.
func TestShells(t *testing.T) {
	folder := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(folder, "echocast")); err != nil {
		t.Fatal(err)
	}
	for shell, script := range shells {
		t.Run(shell, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				if os.Getenv("ECHOCAST_REQUIRE_SHELLS") != "" {
					t.Fatal(err)
				}
				t.Skip(err)
			}
			cmd := exec.CommandContext(testwait.Context(t), shell, "-c", script)
			cmd.Env = append(os.Environ(), asProgram+"=1", "LC_ALL=C", "HOME="+t.TempDir(),
				"PATH="+folder+string(os.PathListSeparator)+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			if got := strings.Fields(string(out)); err != nil || strings.Join(got, " ") != "lead realtime burst" &&
				strings.Join(got, " ") != "burst lead realtime" {
				t.Errorf("%v: %q", err, out)
			}
		})
	}
}

// Each command has a manual page, and man reports no error in it.
func TestManualPages(t *testing.T) {
	folder := t.TempDir()
	if code, _, stderr := run(testwait.Context(t), "man", folder); code != 0 {
		t.Fatal(stderr)
	}
	for _, name := range commandNames(t) {
		if _, err := os.Stat(filepath.Join(folder, "echocast-"+name+".1")); err != nil && name != "help" {
			t.Error(err)
		}
	}
	pages, err := filepath.Glob(filepath.Join(folder, "*.1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("groff"); err != nil {
		t.Skip(err)
	}
	out, err := exec.CommandContext(testwait.Context(t), "groff",
		append([]string{"-man", "-ww", "-z", "-Tutf8"}, pages...)...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}

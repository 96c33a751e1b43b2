package cli_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

const speech = "../testdata/speech.wav"

// shortly returns a tenth of a second of samples.
func shortly() io.Reader { return strings.NewReader(strings.Repeat("\x00", 4800)) }

var raw = []string{"-f", "s16le", "--rate", "24000", "--channels", "1"}

// Without a room, the first line and the receipt say that nobody hears it.
func TestRehearsal(t *testing.T) {
	t.Setenv("TAVUS_API_KEY", "key") // means nothing by itself
	for _, c := range []struct {
		in   io.Reader
		args []string
	}{{shortly(), append([]string{"send", "--json", "-"}, raw...)},
		{strings.NewReader("Yes."), []string{"say", "--json", "-"}}} {
		r := run(t, c.in, c.args...)
		var receipt struct{ Rehearsal bool }
		if err := json.Unmarshal([]byte(r.stdout), &receipt); err != nil || !receipt.Rehearsal || r.code != 0 {
			t.Errorf("%v: %+v", err, r)
		}
		if !strings.HasPrefix(r.stderr, "echocast: rehearsal: a stand-in replica in this process; nobody hears this\n") {
			t.Error(r.stderr)
		}
	}
}

// Audio, or another input that is no text, is not said as one.
func TestSayRefusesWhatIsNoText(t *testing.T) {
	file, _ := wav(24000, 1, 2400)
	for _, in := range []string{string(file), "caf\xe9 au lait", strings.Repeat("\xfe\x01\x80", 30_000)} {
		r := run(t, strings.NewReader(in), "say", "-")
		if r.code != 3 || !strings.Contains(r.stderr, "standard input: this is no text in UTF-8; audio is spoken with: "+
			"echocast send -") {
			t.Errorf("%.8q: %+v", in, r)
		}
	}
}

// If an option names a real replica, echocast does not speak to a stand-in without --rehearse.
func TestRealReplicaNeedsRehearse(t *testing.T) {
	for name, c := range map[string]struct {
		variable, value string
		args            []string
		want            string
	}{
		"a conversation": {"ECHOCAST_CONVERSATION", "c123", nil,
			"set TAVUS_API_KEY, or name its room with --to URL; --rehearse"},
		"a conversation, by option": {"X", "", []string{"--conversation", "c123"},
			"conversation c123 is not joined without an API key"},
		"a PAL": {"TAVUS_PAL_ID", "p123", nil,
			"TAVUS_PAL_ID names a PAL, and nobody would hear it: --pal p123"},
		"a persona": {"TAVUS_PERSONA_ID", "p123", nil, "TAVUS_PERSONA_ID names a PAL"},
		"two rooms": {"X", "", []string{"--rehearse", "--to", "http://127.0.0.1:1"}, "leave one of them out"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, variable := range []string{"TAVUS_API_KEY", "TAVUS_PAL_ID", "TAVUS_PERSONA_ID"} {
				t.Setenv(variable, "")
			}
			os.Unsetenv("TAVUS_API_KEY")
			t.Setenv(c.variable, c.value)
			args := append(append([]string{"send", "-"}, raw...), c.args...)
			if r := run(t, shortly(), args...); r.code != 2 || r.stdout != "" || !strings.Contains(r.stderr, c.want) ||
				strings.Count(r.stderr, "\n") != 1 {
				t.Errorf("%+v", r)
			}
			if r := run(t, shortly(), append(args, "--dry-run")...); name != "two rooms" && r.code != 0 {
				t.Errorf("--dry-run: %+v", r)
			}
			if r := run(t, shortly(), append(args, "--rehearse")...); name != "two rooms" && r.code != 0 {
				t.Errorf("--rehearse: %+v", r)
			}
		})
	}
}

// failingReader fails the test when it is read.
type failingReader struct{ t *testing.T }

func (f failingReader) Read([]byte) (int, error) {
	f.t.Error("standard input is read")
	return 0, errors.New("read")
}

// Commands that only make sense in a room are refused without one, before they read anything,
// and create none.
func TestCommandsNeedARoom(t *testing.T) {
	for _, args := range [][]string{
		{"interrupt"}, {"respond", "-"}, {"context", "append", "-"}, {"context", "overwrite", "text"},
		{"sensitivity", "--pause", "low"}, {"tool-result", "id", "-"}, {"send-raw", "-"},
	} {
		r := run(t, failingReader{t}, args...)
		if r.code != 2 || !strings.Contains(r.stderr, "needs a room: name it with --to URL") ||
			strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%v: %+v", args, r)
		}
		if r := run(t, failingReader{t}, append(args, "--pal", "p1")...); r.code != 2 ||
			!strings.Contains(r.stderr, "no option is called --pal") {
			t.Errorf("%v: %+v", args, r)
		}
	}
}

// No conversation is created if the input is not audio.
func TestNoConversationForNonAudioInput(t *testing.T) {
	server, _ := account(t)
	for name, c := range map[string]struct {
		in   string
		args []string
	}{
		"empty":           {"", nil},
		"empty, raw":      {"", raw},
		"text":            {"The harbour tour begins at ten.\n", nil},
		"a broken header": {"RIFF\x00\x00\x00\x00WAVE", nil},
	} {
		r := run(t, strings.NewReader(c.in), append([]string{"send", "--pal", "p1", "-"}, c.args...)...)
		if r.code != 3 || len(server.Conversations()) > 0 {
			t.Errorf("%s: %+v, %d created", name, r, len(server.Conversations()))
		}
	}
}

// With --json, a failure before the first receipt is a line of JSON too.
func TestFailuresAreJSON(t *testing.T) {
	t.Parallel()
	for kind, c := range map[string]struct {
		code int
		args []string
	}{
		"not_ready": {5, []string{"send", "--to", "http://127.0.0.1:1", speech}},
		"input":     {3, []string{"send", "/none.wav"}},
		"usage":     {2, []string{"say", "--ready-timeout", "-1s", "text"}},
		"too_long":  {7, []string{"send", "--chunk", "2s", speech}},
	} {
		r := run(t, nil, append(c.args[:1:1], append([]string{"--json"}, c.args[1:]...)...)...)
		var got struct {
			Kind    string
			Code    int
			Message string
		}
		err := json.Unmarshal([]byte(r.stdout), &got)
		if err != nil || got.Kind != kind || got.Code != c.code || r.code != c.code ||
			!strings.Contains(r.stderr, got.Message) || got.Message == "" {
			t.Errorf("%s: %v, %+v", kind, err, r)
		}
	}
}

// With an API key, --conversation speaks by the REST API.
func TestConversationByREST(t *testing.T) {
	server, _ := account(t)
	id := server.Add("talk")
	r := run(t, shortly(), append([]string{"send", "--json", "--conversation", id, "-"}, raw...)...)
	report := server.Close()[id]
	if r.code != 0 || strings.Contains(r.stdout+r.stderr, "rehearsal") || len(report.Utterances) != 1 ||
		report.ComplaintCount != 0 {
		t.Errorf("%+v, %d utterances, %v", r, len(report.Utterances), report.Complaints)
	}
}

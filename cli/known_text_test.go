package cli_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"echocast/cli"
	"echocast/echo"
)

// If the text of an utterance is known, its receipt has the heard words; --text takes a file
// or the text itself.
func TestSendWithKnownText(t *testing.T) {
	t.Parallel()
	const said = "one two three four"
	for _, text := range []string{said, write(t, "said.txt", []byte(said))} {
		var out, errs safeBuffer
		code := cli.Run(t.Context(), []string{"echocast", "send", "--json", "--text", text, "../testdata/speech.wav"},
			cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
		var receipt echo.Receipt
		if err := json.Unmarshal([]byte(out.String()), &receipt); err != nil || code != 0 || receipt.Words == nil ||
			receipt.Words.Text != said || receipt.Words.Words != 4 {
			t.Errorf("%s: code %d, %v: %s%s", text, code, err, out.String(), errs.String())
		}
	}
}

// A service that sends the times of words sends their text, so none has to be given.
func TestSendWithWordsOfAService(t *testing.T) {
	t.Parallel()
	sound := base64.StdEncoding.EncodeToString(make([]byte, 24000))
	events := `{"type":"timestamps","word_timestamps":{"words":["Hello","there."],"start":[0,0.2],` +
		`"end":[0.1,0.4]}}` + "\n" +
		`{"type":"chunk","data":"` + sound + `"}` + "\n"
	r := run(t, strings.NewReader(events), "send", "--json", "--preset", "cartesia", "-")
	var receipt echo.Receipt
	if err := json.Unmarshal([]byte(r.stdout), &receipt); err != nil || r.code != 0 || receipt.Words == nil ||
		receipt.Words.Text != "Hello there." || receipt.Words.Of != 2 {
		t.Errorf("code %d, %v: %s%s", r.code, err, r.stdout, r.stderr)
	}
	if strings.Contains(r.stderr, "left out") {
		t.Errorf("what was used is said to be left out: %s", r.stderr)
	}
}

func TestOptionRefusals(t *testing.T) {
	for line, want := range map[string]string{
		"send --text hello a.wav b.wav":                            "--text is the text of one input, and there are 2",
		"send --fallback microphone --to http://127.0.0.1:1 a.wav": "--fallback microphone needs a Daily room",
		"send --lost-after 10ms a.wav":                             "--lost-after must be from 1s to 10m0s",
		"replica --lost-after 1h":                                  "--lost-after must be from 1s to 10m0s",
		"listen --to http://127.0.0.1:1 --lost-after -1s":          "--lost-after must be from 1s to 10m0s",
	} {
		var out, errs safeBuffer
		code := cli.Run(context.Background(), append([]string{"echocast"}, strings.Fields(line)...),
			cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
		if code != 2 || !strings.Contains(errs.String(), want) {
			t.Errorf("%s: code %d, %q, want %q", line, code, errs.String(), want)
		}
	}
}

package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"echocast/echo"
	"echocast/internal/testenv"
	"echocast/internal/testwait"
	"echocast/replica"
)

// userSays returns a line of a script.
func userSays(on, id, text string) string {
	event := `{"message_type":"conversation","event_type":"conversation.utterance","inference_id":"` + id +
		`","properties":{"role":"user","speech":"` + text + `"}}`
	if on == "" {
		return `{"event":` + event + `}`
	}
	return `{"on":"` + on + `","event":` + event + `}`
}

const userBegins = `{"on":"started_speaking","event":{"message_type":"conversation",` +
	`"event_type":"conversation.started_speaking","properties":{"role":"user"}}}`

func receiptsOf(t *testing.T, stdout string) (receipts []echo.Receipt) {
	t.Helper()
	for line := range strings.Lines(stdout) {
		var receipt struct {
			echo.Receipt
			Code int // of a failure before the first receipt
		}
		if err := json.Unmarshal([]byte(line), &receipt); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if receipt.Code == 0 {
			receipts = append(receipts, receipt.Receipt)
		}
	}
	return receipts
}

// The user asks, interrupts the answer, asks again and hears the answer in full.
func TestConverse(t *testing.T) {
	t.Parallel()
	testenv.NeedPrograms(t, "ECHOCAST_REQUIRE_ESPEAK", "espeak-ng")
	url, ended := scripted(testwait.Context(t), t, replica.Options{}, userSays("", "i1", "What is the weather?"),
		userBegins, userSays("interrupt", "i2", "No."))
	code, stdout, stderr := run(testwait.Context(t), "converse", "--to", url, "--count", "2", "--json",
		"--false-interrupt", testwait.Limit.String(), // before this, nothing is resumed
		"--on-utterance", `read -r said; echo "You said: $said"`, "--tts", "espeak-ng --stdout")
	report := ended()
	receipts := receiptsOf(t, stdout)
	if code != 0 || len(receipts) != 2 {
		t.Fatalf("code %d, %+v, %s", code, receipts, stderr)
	}
	if receipts[0].Outcome != echo.Interrupted || receipts[1].Outcome != echo.Finished ||
		receipts[1].Delivery != echo.Heard {
		t.Errorf("%+v", receipts)
	}
	if report.ComplaintCount != 0 || len(report.Utterances) != 2 || report.Utterances[0].Done ||
		!report.Utterances[1].Done {
		t.Errorf("the replica heard %+v and complains of %+v", report.Utterances, report.Complaints)
	}
	for _, want := range []string{"user: What is the weather?", "pal: You said: What is the weather?", "user: No.",
		"pal: You said: No."} {
		if !strings.Contains(stderr, "echocast: "+want+"\n") {
			t.Errorf("%q is not in\n%s", want, stderr)
		}
	}
}

// speakShortly is a text-to-speech program that says the same for every text.
const speakShortly = "cat >/dev/null; head -c 20044 ../testdata/speech.wav"

// A failing command is reported, and the conversation continues.
func TestConverseCommandsThatFail(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		think, tts, want string
		spoken           int
	}{
		"no answer": {"true", speakShortly + " | tail -c 0", "answer 1: nothing to say", 0},
		"thinking fails": {"cat >/dev/null; exit 3", "cat",
			"answer 1: the on-utterance command failed: exit status 3", 0},
		"speaking fails": {"cat", "cat >/dev/null; exit 4",
			"answer 1: the tts command failed: exit status 4", 0},
		"text for audio":                 {"cat", "cat; cat ../README.md", "answer 1: ", 0},
		"thinks for ever":                {"yes", "head -c 20044 ../testdata/speech.wav", "pal: y y y", 1},
		"leaves a process with the pipe": {"sleep 60 >/dev/null & cat", speakShortly, "pal: Hello?", 1},
	} {
		t.Run(name, func(t *testing.T) {
			url, ended := scripted(testwait.Context(t), t, replica.Options{}, userSays("", "i1", "Hello?"))
			code, stdout, stderr := run(testwait.Context(t), "converse", "--to", url, "--count", "1", "--json",
				"--on-utterance", c.think, "--tts", c.tts)
			report := ended()
			if receipts := receiptsOf(t, stdout); code != 0 || len(receipts) != c.spoken || !strings.Contains(stderr, c.want) {
				t.Errorf("code %d, %d receipts, %s", code, len(receipts), stderr)
			}
			if report.ComplaintCount != 0 {
				t.Errorf("the replica complains: %+v", report.Complaints)
			}
		})
	}
}

// The greeting is spoken, and the room ends the conversation.
func TestConverseGreets(t *testing.T) {
	url, ended := scripted(testwait.Context(t), t, replica.Options{},
		`{"on":"stopped_speaking","event":{"message_type":"system","event_type":"system.shutdown",`+
			`"properties":{"shutdown_reason":"x"}}}`)
	code, _, stderr := run(testwait.Context(t), "converse", "--to", url, "--greet", "Welcome.", "--on-utterance",
		"cat", "--tts", speakShortly)
	report := ended()
	if code != 0 || len(report.Utterances) != 1 || !report.Utterances[0].Done ||
		!strings.Contains(stderr, "pal: Welcome.\n") {
		t.Errorf("code %d, %+v, %s", code, report.Utterances, stderr)
	}
}

func TestConverseUsage(t *testing.T) {
	for want, arguments := range map[string][]string{
		"--on-utterance: name the command": {"--tts", "cat"},
		"--tts: name the command":          {"--on-utterance", "cat"},
		"--loudness measures whole files":  {"--on-utterance", "cat", "--tts", "cat", "--loudness", "-16"},
		"raw samples have no header":       {"--on-utterance", "cat", "--tts", "cat", "-f", "s16le"},
	} {
		code, stdout, stderr := run(testwait.Context(t), append([]string{"converse"}, arguments...)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%v: code %d, %s", arguments, code, stderr)
		}
	}
}

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"echocast/internal/shutdown"
	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/rtc"
)

// scripted is a stand-in replica that plays a script over a data channel, until
// its peer leaves.
func scripted(ctx context.Context, t *testing.T, options replica.Options, script ...string) (url string,
	ended func() replica.Report) {
	t.Helper()
	listener, err := rtc.Listen("127.0.0.1:0", &rtc.Options{PingTimeout: testwait.Limit})
	if err != nil {
		t.Fatal(err)
	}
	if options.Script, err = replica.ParseScript(strings.NewReader(strings.Join(script, "\n"))); err != nil {
		t.Fatal(err)
	}
	options.PeerGone = rtc.ErrPeerGone
	var running sync.WaitGroup
	var report replica.Report
	running.Go(func() {
		conn, err := listener.Accept(ctx)
		if err != nil {
			if !errors.Is(err, context.Canceled) { // or the peer left before it was accepted
				t.Errorf("nobody came: %v", err)
			}
			return
		}
		defer conn.Close()
		report, _ = replica.New(conn, &options).Run(ctx)
	})
	return listener.URL(), func() replica.Report {
		running.Wait()
		_ = listener.Close()
		return report
	}
}

// shutdownEvent ends a script, and with it the listener.
const shutdownEvent = `{"on":"tool_result","event":{"message_type":"system","event_type":"system.shutdown",` +
	`"properties":{"shutdown_reason":"x"}}}`

const toolCall = `{"event":{"message_type":"conversation","event_type":"conversation.tool_call","inference_id":"i1",` +
	`"properties":{"name":"weather","arguments":"{\"city\":\"Bern\"}","tool_call_id":"call_1"}}}`

// run runs the command line and returns its output.
func run(ctx context.Context, arguments ...string) (code int, stdout, stderr string) {
	var out, people bytes.Buffer
	code = Run(ctx, append([]string{"echocast"}, arguments...), Streams{Out: &out, Err: &people})
	return code, out.String(), people.String()
}

// answering is a command that prints the answer to a tool call, for an event on its standard
// input.
const answering = `cat >/dev/null; echo '{"message_type":"conversation","event_type":"conversation.tool_result",` +
	`"properties":{"tool_call_id":"call_1","output":"sunny"}}'`

// A shell command answers a tool call. The test ends when the room does.
func TestListenExecAnswersToolCall(t *testing.T) {
	t.Parallel()
	transcript := filepath.Join(t.TempDir(), "call.txt")
	url, ended := scripted(testwait.Context(t), t, replica.Options{},
		`{"event":{"message_type":"conversation","event_type":"conversation.utterance","inference_id":"i1",`+
			`"properties":{"role":"user","speech":"Weather\u001b[31m\u202e?"}}}`,
		toolCall,
		`{"on":"tool_result","event":{"message_type":"conversation","event_type":"conversation.utterance",`+
			`"inference_id":"i2","properties":{"role":"pal","speech":"Sunny."}}}`,
		shutdownEvent)
	code, stdout, stderr := run(testwait.Context(t), "listen", "--to", url, "--only", "utterance,tool_call",
		"--exec", answering, "--exec-timeout", testwait.Limit.String(), "--transcript", transcript)
	report := ended()
	if code != 0 {
		t.Fatalf("code %d, %s", code, stderr)
	}
	var got []string
	for line := range strings.Lines(stdout) {
		var event struct{ Kind, Text string }
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		got = append(got, event.Kind+" "+event.Text)
	}
	if want := "utterance Weather\x1b[31m\u202e?;tool_call ;utterance Sunny."; strings.Join(got, ";") != want {
		t.Errorf("%q was printed, not %q", got, want)
	}
	if strings.ContainsAny(stdout+stderr, "\x1b\u202e") {
		t.Errorf("a control character gets through: %q", stdout+stderr)
	}
	if len(report.ToolResults) == 0 || report.ComplaintCount != 0 {
		t.Errorf("the replica got %+v and complains of %+v", report.ToolResults, report.Complaints)
	}
	said, err := os.ReadFile(transcript)
	if err != nil || !strings.Contains(string(said), "user: Weather\\x1b[31m") ||
		!strings.Contains(string(said), "pal: Sunny.\n") {
		t.Errorf("the transcript is %q, %v", said, err)
	}
}

func TestListenCommandsThatFail(t *testing.T) {
	t.Parallel()
	const slow = "cat >/dev/null; exec sleep 60 & sleep 60"
	for line, want := range map[string]string{
		"exit 3":                    "--exec: the command failed: exit status 3",
		"echo nonsense":             "--exec: the command did not print JSON",
		"echo '{}'":                 "--exec: the command printed an object without event_type, which is not a message",
		"head -c 2000000 /dev/zero": "--exec: the command printed more than 1048576 bytes",
		slow:                        "--exec: the command took longer than 200ms",
	} {
		limit := testwait.Limit
		if line == slow {
			limit = 200 * time.Millisecond
		}
		url, ended := scripted(testwait.Context(t), t, replica.Options{}, toolCall)
		code, _, stderr := run(testwait.Context(t), "listen", "--to", url, "--only", "tool_call", "--exec",
			line, "--exec-timeout", limit.String(), "--count", "1")
		ended()
		if code != 0 || !strings.Contains(stderr, want) {
			t.Errorf("%s: code %d, %s", line, code, stderr)
		}
	}
}

// Repeated events are printed once, in order; --raw prints all of them.
func TestListenRaw(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		raw  bool
		want int
	}{{false, 1}, {true, 2}} {
		url, ended := scripted(testwait.Context(t), t, replica.Options{},
			`{"event":{"message_type":"conversation","event_type":"conversation.utterance","inference_id":"i2",`+
				`"seq":7,"properties":{"role":"pal","speech":"Hello."}}}`,
			`{"event":{"message_type":"conversation","event_type":"conversation.utterance","inference_id":"i2",`+
				`"seq":7,"properties":{"role":"replica","speech":"Hello."}}}`,
			`{"after_ms":20,"event":{"message_type":"system","event_type":"system.shutdown"}}`)
		arguments := []string{"listen", "--to", url, "--only", "utterance"}
		if c.raw {
			arguments = append(arguments, "--raw")
		}
		code, stdout, stderr := run(testwait.Context(t), arguments...)
		ended()
		if lines := strings.Count(stdout, "\n"); code != 0 || lines != c.want {
			t.Errorf("raw %v: code %d, %d lines, %s%s", c.raw, code, lines, stdout, stderr)
		}
		if c.raw != strings.Contains(stdout, `"event_type"`) {
			t.Errorf("raw %v: %s", c.raw, stdout)
		}
	}
}

// Listening ends at Ctrl-C, and when the replica ends.
func TestListenEnds(t *testing.T) {
	url, ended := scripted(testwait.Context(t), t, replica.Options{}, toolCall)
	ctx, cancel := context.WithCancelCause(testwait.Context(t))
	out := writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("tool_call")) {
			cancel(shutdown.SignalError{Signal: syscall.SIGINT})
		}
		return len(p), nil
	})
	if code := Run(ctx, []string{"echocast", "listen", "--to", url}, Streams{Out: out, Err: &bytes.Buffer{}}); code != 0 {
		t.Errorf("Ctrl-C: code %d", code)
	}
	ended()
	leaving, leave := context.WithCancel(testwait.Context(t))
	defer leave()
	url, ended = scripted(leaving, t, replica.Options{OnEvent: func(e replica.Event) {
		if e.Kind == replica.EventNoted {
			leave()
		}
	}}, toolCall)
	if code, _, stderr := run(testwait.Context(t), "listen", "--to", url, "--exec", answering); code != 0 {
		t.Errorf("a replica that leaves: code %d, %s", code, stderr)
	}
	ended()
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestListenUsage(t *testing.T) {
	for want, arguments := range map[string][]string{
		"listen needs a room":          {},
		"no kind of event is called":   {"--to", "http://127.0.0.1:1", "--only", "nonsense"},
		"the name ends with .txt":      {"--to", "http://127.0.0.1:1", "--transcript", "call.doc"},
		"--webhook receives callbacks": {"--to", "http://127.0.0.1:1", "--webhook", "127.0.0.1:0"},
		"--webhook 256.0.0.1:1: ":      {"--webhook", "256.0.0.1:1"},
	} {
		code, stdout, stderr := run(testwait.Context(t), append([]string{"listen"}, arguments...)...)
		if code != 2 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%v: code %d, %s", arguments, code, stderr)
		}
	}
}

// Callbacks are printed like the events of a room; other requests are refused.
func TestListenWebhook(t *testing.T) {
	transcript := filepath.Join(t.TempDir(), "call.json")
	said := make(chan string, 10)
	people := writerFunc(func(p []byte) (int, error) {
		said <- string(p)
		return len(p), nil
	})
	var stdout bytes.Buffer
	code := make(chan int)
	go func() {
		code <- Run(testwait.Context(t), []string{"echocast", "listen", "--webhook", "127.0.0.1:0/secret",
			"--count", "1", "--transcript", transcript}, Streams{Out: &stdout, Err: people})
	}()
	line := testwait.Receive(t, said)
	url := strings.TrimSpace(line[strings.Index(line, "http://"):])
	body, err := os.ReadFile("../testdata/protocol/webhook/application_transcription_ready.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		url, body string
		status    int
	}{
		{strings.TrimSuffix(url, "secret"), string(body), http.StatusNotFound},
		{url, "nonsense", http.StatusBadRequest},
		{url, `{"a":1}`, http.StatusBadRequest},
		{url, strings.Repeat(" ", 8<<20+1), http.StatusRequestEntityTooLarge},
		{url, string(body), http.StatusNoContent},
	} {
		answer, err := http.Post(c.url, "application/json", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != c.status {
			t.Errorf("%.20q to %s: %s", c.body, c.url, answer.Status)
		}
	}
	if got := testwait.Receive(t, code); got != 0 || !strings.Contains(stdout.String(), `"kind":"transcription_ready"`) {
		t.Errorf("code %d, %s", got, stdout.String())
	}
	var entries []struct {
		Start float64 `json:"start_seconds"`
		End   float64 `json:"end_seconds"`
	}
	written, err := os.ReadFile(transcript)
	if err == nil {
		err = json.Unmarshal(written, &entries)
	}
	if err != nil || len(entries) == 0 || entries[0].End < entries[0].Start {
		t.Errorf("%v: %s", err, written)
	}
}

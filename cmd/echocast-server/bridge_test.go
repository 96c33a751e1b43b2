package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"echocast/cli"
	"echocast/echo"
	"echocast/hear"
	"echocast/internal/nodetest"
	"echocast/internal/testwait"
	"echocast/openai/openaitest"
)

const nodePrograms = "../../carrier/carriertest/node"

// needNode skips the test if the libraries for Node.js are not installed (make browser), or fails
// it if ECHOCAST_REQUIRE_BROWSER is set.
func needNode(t *testing.T) {
	t.Helper()
	nodetest.Need(t, nodePrograms, "ws", "ECHOCAST_REQUIRE_BROWSER")
}

// toneFile writes a WAV of a tone.
func toneFile(t *testing.T, hertz float64, seconds int) string {
	t.Helper()
	const rate = 24000
	file := hear.WAVHeader(rate)
	for i := range rate * seconds {
		sample := int16(9000 * math.Sin(2*math.Pi*hertz*float64(i)/rate))
		file = binary.LittleEndian.AppendUint16(file, uint16(sample))
	}
	name := filepath.Join(t.TempDir(), "tone.wav")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// replicaOf is the replica command in this process. end ends it, and returns its
// reports.
func replicaOf(t *testing.T, arguments ...string) (url string, end func() string) {
	t.Helper()
	ctx, cancel := context.WithCancel(testwait.Context(t))
	reader, writer := io.Pipe()
	var stdout bytes.Buffer
	var ended sync.WaitGroup
	ended.Go(func() {
		all := append([]string{"echocast", "replica", "--json", "--listen", "127.0.0.1:0"}, arguments...)
		cli.Run(ctx, all, cli.Streams{Out: &stdout, Err: writer})
		_ = writer.Close()
	})
	end = sync.OnceValue(func() string {
		cancel()
		ended.Wait()
		return stdout.String()
	})
	t.Cleanup(func() { end() })
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		if _, after, ok := strings.Cut(lines.Text(), "send --to "); ok {
			url, _, _ = strings.Cut(after, " ")
			break
		}
	}
	ended.Go(func() { _, _ = io.Copy(io.Discard, reader) })
	return url, end
}

// runProgram runs this program, and returns its receipts.
func runProgram(t *testing.T, env []string, arguments ...string) []echo.Receipt {
	t.Helper()
	program := exec.CommandContext(testwait.Context(t), os.Args[0], arguments...)
	program.Env = append(append(os.Environ(), runsTheProgram+"=1"), env...)
	var stderr bytes.Buffer
	program.Stderr = &stderr
	out, err := program.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var receipts []echo.Receipt
	for line := range strings.Lines(string(out)) {
		var receipt echo.Receipt
		if err := json.Unmarshal([]byte(line), &receipt); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		receipts = append(receipts, receipt)
	}
	return receipts
}

// A bot for Twilio on the library ws, without any knowledge of echocast, talks with the user
// of a room: it hears the user's voice, the replica says its answer, its marks come back in
// order, and its clear interrupts.
func TestTwilioBotInRoom(t *testing.T) {
	t.Parallel()
	needNode(t)
	bot := nodetest.Start[map[string]any](t, nodePrograms, "twilio-bot.mjs")
	port := testwait.Receive(t, bot)["port"]
	url, end := replicaOf(t, "--user", toneFile(t, 300, 20))
	receipts := runProgram(t, []string{"TWILIO_AUTH_TOKEN=12345"}, "bridge", "--json", "--quiet", "--to", url,
		"--param", "name=Jane", fmt.Sprintf("ws://127.0.0.1:%v/media", port))
	signature := testwait.Receive(t, bot)["signature"]
	if text, ok := signature.(string); !ok || len(text) != 28 {
		t.Errorf("the signature is %v", signature)
	}
	if first := testwait.Receive(t, bot); first["protocol"] != "Call" || first["version"] != "1.0.0" {
		t.Errorf("the first message is %v", first)
	}
	start := testwait.Receive(t, bot)
	if parameters, ok := start["parameters"].(map[string]any); !ok || parameters["name"] != "Jane" {
		t.Errorf("the start is %v", start)
	}
	checkTwilioTalk(t, bot)
	checkTwilioReceipts(t, receipts)
	if report := end(); strings.Contains(report, `"complaint"`) {
		t.Errorf("the replica complains: %s", report)
	}
}

// checkTwilioTalk checks what twilio-bot.mjs says of its marks and of the user.
func checkTwilioTalk(t *testing.T, bot <-chan map[string]any) {
	t.Helper()
	var marks []string
	for {
		line := testwait.Receive(t, bot)
		if line["event"] == "mark" {
			marks = append(marks, line["name"].(string))
			continue
		}
		if hertz, ok := line["hertz"].(float64); line["event"] != "closed" || !ok || math.Abs(hertz-300) > 15 {
			t.Errorf("the bot says %v", line)
		}
		break
	}
	if want := []string{"one", "two", "three", "long", "bye"}; !slices.Equal(marks, want) {
		t.Errorf("the marks came back as %v, want %v", marks, want)
	}
}

// checkTwilioReceipts checks what was heard of twilio-bot.mjs.
func checkTwilioReceipts(t *testing.T, receipts []echo.Receipt) {
	t.Helper()
	outcomes := make([]echo.Outcome, len(receipts))
	for i, r := range receipts {
		if outcomes[i] = r.Outcome; i == 2 && r.HeardSamples == r.Samples {
			outcomes[i] = echo.Finished // the bot may hang up before the replica says that it has stopped
		}
	}
	if want := []echo.Outcome{echo.Finished, echo.Interrupted, echo.Finished}; !slices.Equal(outcomes, want) {
		t.Fatalf("the receipts are %+v", receipts)
	}
	if receipts[0].SpokenSeconds < 1.4 || receipts[1].SpokenSeconds > 6 || receipts[2].Samples != 12000 {
		t.Errorf("the receipts are %+v", receipts)
	}
}

// An agent or a bot that answers and refuses ends the command with 4 and what it answered, and one
// that does not answer with 5. OpenAI accepts any key at first, and then closes the connection. A
// connection that breaks ends it with 6.
func TestRefusedConnections(t *testing.T) {
	t.Parallel()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if status, err := strconv.Atoi(r.URL.Path[1:]); err == nil {
			w.WriteHeader(status)
			return
		}
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		if r.URL.Path == "/break" {
			_ = conn.CloseNow()
			return
		}
		_ = conn.Close(3000, "invalid_request_error.invalid_api_key")
	}))
	defer service.Close()
	url := strings.Replace(service.URL, "http", "ws", 1)
	openai, elevenlabs := []string{"converse", "--agent", "openai", "--agent-url"},
		[]string{"converse", "--agent", "elevenlabs:id", "--agent-url"}
	for _, c := range []struct {
		arguments []string
		code      int
		says      string
	}{
		{append(openai, url+"/401"), 4, "the agent refused the connection: 401 Unauthorized; check OPENAI_API_KEY"},
		{append(openai, url+"/close"), 4, "the agent refused the connection: it was closed with 3000: " +
			"invalid_request_error.invalid_api_key; check OPENAI_API_KEY"},
		{append(elevenlabs, url+"/403"), 4, "403 Forbidden; check ELEVENLABS_API_KEY"},
		{append(openai, url+"/429"), 4, "the agent refused the connection: 429 Too Many Requests\n"},
		{append(openai, "ws://127.0.0.1:1"), 5, "the agent cannot be reached"},
		{[]string{"bridge", url + "/401"}, 4, "the bot refused the connection: 401 Unauthorized\n"},
		{[]string{"bridge", "ws://127.0.0.1:1"}, 5, "the bot cannot be reached"},
		{append(openai, url+"/break"), 6, "the connection to the agent broke"},
		{append(elevenlabs, url+"/break"), 6, "the connection to the agent broke"},
		{[]string{"bridge", url + "/break"}, 6, "the connection to the bot broke"},
	} {
		program := exec.CommandContext(testwait.Context(t), os.Args[0], append(c.arguments, "--rehearse", "--quiet")...)
		program.Env = append(os.Environ(), runsTheProgram+"=1", "OPENAI_API_KEY=wrong")
		said, err := program.CombinedOutput()
		if ended, ok := errors.AsType[*exec.ExitError](err); !ok || ended.ExitCode() != c.code ||
			!strings.Contains(string(said), c.says) {
			t.Errorf("%v: %v, %s", c.arguments, err, said)
		}
	}
}

// converse --agent connects an agent to the user and the replica of a room.
func TestConverseWithAgent(t *testing.T) {
	t.Parallel()
	heard := make(chan int, 1)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer key-of-the-test" {
			t.Errorf("the agent was asked with %v", r.Header)
		}
		s := openaitest.Accept(t, w, r)
		if s == nil {
			return
		}
		bytes := 0
		for e := range s.Events() {
			if bytes += len(e.Audio); bytes >= 24000 {
				break
			}
		}
		heard <- bytes
		s.Answer(make([]byte, 48000), 1)
		s.Close()
	}))
	defer service.Close()
	url, _ := replicaOf(t, "--user", toneFile(t, 300, 20))
	receipts := runProgram(t, []string{"OPENAI_API_KEY=key-of-the-test"}, "converse", "--json", "--quiet", "--to", url,
		"--agent", "openai", "--agent-url", strings.Replace(service.URL, "http", "ws", 1))
	if len(receipts) != 1 || receipts[0].Samples != 24000 || testwait.Receive(t, heard) < 24000 {
		t.Errorf("the receipts are %+v", receipts)
	}
}

package main

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"echocast/echo"
	"echocast/gateway"
	"echocast/internal/nodetest"
	"echocast/internal/pcm"
	"echocast/internal/testwait"
)

// pageBlock is a block of a page; one without a language holds shell commands.
var pageBlock = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```$")

// The commands in docs/gateway.md do what the page says, when they are pasted in order.
func TestGatewayPage(t *testing.T) {
	for _, program := range []string{"curl", "python3"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(err)
		}
	}
	out := pasteBlocks(t, "../../docs/gateway.md", "")
	if n := strings.Count(out, `"outcome":"finished"`); n < 2 || strings.Contains(out, `"detail"`) ||
		!strings.Contains(out, `{"seconds":7.34}`) {
		t.Errorf("%d utterances were heard:\n%s", n, out)
	}
}

// The commands in README.md for the gateway, its only block in sh, speak a file.
func TestReadmeGateway(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip(err)
	}
	if out := pasteBlocks(t, "../../README.md", "sh"); !strings.Contains(out, `"outcome":"finished"`) {
		t.Errorf("nothing was heard:\n%s", out)
	}
}

// pasteBlocks pastes the blocks of a page that are in a language, in their order, and returns
// what they print.
func pasteBlocks(t *testing.T, name, language string) string {
	t.Helper()
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	script.WriteString("set -e; trap 'kill $(jobs -p)' EXIT\n")
	for _, block := range pageBlock.FindAllStringSubmatch(string(page), -1) {
		if block[1] == language {
			script.WriteString(block[2])
		}
	}
	script.WriteString("trap - EXIT; all=$(jobs -p); kill $all; wait $all\n")
	return paste(t, script.String())
}

// standing is what stands for the pauses of a page: the gateway on a port is there.
const standing = "& until curl -s http://127.0.0.1:%[1]s/healthz; do sleep 0.1; done"

// paste runs a script in a folder that looks like the checkout, with ports of its own
// in place of 8880 and 8881.
func paste(t *testing.T, script string) string {
	t.Helper()
	dir := t.TempDir()
	program, err := os.Executable()
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "bin"), 0o700)
	}
	if err == nil {
		wrapper := fmt.Sprintf("#!/bin/sh\nexport %s=1\nexec '%s' \"$@\"\n", runsTheProgram, program)
		err = os.WriteFile(filepath.Join(dir, "bin", "echocast"), []byte(wrapper), 0o700) //nolint:gosec // it is run
	}
	for _, folder := range []string{"testdata", "clients"} {
		here, _ := filepath.Abs(filepath.Join("../..", folder)) // of the working folder
		if err == nil {
			err = os.Symlink(here, filepath.Join(dir, folder))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	script = strings.ReplaceAll(script, "serve --rehearse &", "serve --rehearse --listen 127.0.0.1:8880 &")
	// A machine that is busy with other tests takes no conversation.
	script = strings.ReplaceAll(script, "serve --rehearse ", "serve --max-lateness 1h --rehearse ")
	for _, port := range []string{"8880", "8881"} {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, own, _ := net.SplitHostPort(free.Addr().String()) // it is one
		script = strings.Replace(script, "& sleep 1", fmt.Sprintf(standing, own), 1)
		script = strings.ReplaceAll(script, port, own)
		_ = free.Close() // for the program
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", script)
	shell.Dir, shell.WaitDelay = dir, time.Second
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

// A bot for Twilio on the library ws talks with the user of a rehearsal in the gateway: it
// hears the user's voice, the replica says its answer, its marks come back in order, its clear
// interrupts, and the conversation ends when it hangs up.
func TestTwilioBotInGateway(t *testing.T) {
	needNode(t)
	t.Parallel()
	bot := nodetest.Start[map[string]any](t, nodePrograms, "twilio-bot.mjs")
	port := testwait.Receive(t, bot)["port"]
	out := make(chan string, 1)
	user := toneFile(t, 300, 20)
	go func() {
		out <- paste(t, fmt.Sprintf(`set -e
TWILIO_AUTH_TOKEN=12345 bin/echocast serve --listen 127.0.0.1:8880 --rehearse & sleep 1
URL=http://127.0.0.1:8880/v1/conversations
ID=$(curl -s $URL -d '{"to":"rehearsal","bot":{"url":"ws://127.0.0.1:%v/media","parameters":{"name":"Jane"}}}' |
	sed 's/.*"id":"\([^"]*\)".*/\1/')
curl -s $URL/$ID/user -T %s & USER_SPEAKS=$!
until curl -s $URL/$ID | grep '"state":"ended"'; do sleep 0.1; done
wait $USER_SPEAKS
curl -s $URL/$ID/utterances
kill %%1; wait %%1
`, port, user))
	}()
	if signature, _ := testwait.Receive(t, bot)["signature"].(string); len(signature) != 28 {
		t.Errorf("the signature is %q", signature)
	}
	testwait.Receive(t, bot) // connected
	if parameters, _ := testwait.Receive(t, bot)["parameters"].(map[string]any); parameters["name"] != "Jane" {
		t.Errorf("the parameters are %v", parameters)
	}
	checkTwilioTalk(t, bot)
	text := <-out
	var all struct{ Utterances []gateway.UtteranceInfo }
	lineOf(t, text, `{"utterances":`, &all)
	var receipts []echo.Receipt
	for _, u := range all.Utterances {
		receipts = append(receipts, *u.Receipt)
	}
	checkTwilioReceipts(t, receipts)
	if !strings.Contains(text, `"state":"hung_up"`) {
		t.Errorf("the lines print\n%s", text)
	}
}

// A program and a bot of Vonage hear the user of a WebRTC room through the gateway at the same
// time.
func TestGatewayHearsRoomUser(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip(err)
	}
	heard := make(chan []byte, 1)
	bot := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		var samples []byte
		for len(samples) < 3*32000 {
			kind, data, err := conn.Read(testwait.Context(t))
			if err != nil {
				t.Error(err)
				return
			}
			if kind == websocket.MessageBinary {
				samples = append(samples, data...)
			}
		}
		heard <- samples
		_ = conn.Close(websocket.StatusNormalClosure, "")
	}))
	defer bot.Close()
	room, _ := replicaOf(t, "--user", toneFile(t, 300, 60))
	file := filepath.Join(t.TempDir(), "user.raw")
	out := paste(t, fmt.Sprintf(`set -e
bin/echocast serve --max-lateness 1h --listen 127.0.0.1:8880 --bot-host 127.0.0.1 & sleep 1
URL=http://127.0.0.1:8880/v1/conversations
ID=$(curl -s $URL -d '{"to":"%s","bot":{"carrier":"vonage","url":"%s"}}' | sed 's/.*"id":"\([^"]*\)".*/\1/')
curl -sN "$URL/$ID/listen?from=user&rate=8000&format=s16le" > %s
curl -s $URL/$ID
kill %%1; wait %%1
`, room, strings.Replace(bot.URL, "http", "ws", 1), file))
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range map[string]float64{
		"the bot": hertzOf(testwait.Receive(t, heard), 16000), "the program": hertzOf(raw, 8000),
	} {
		if math.Abs(h-300) > 15 {
			t.Errorf("%s has heard %.0f Hz:\n%s", name, h, out)
		}
	}
	if !strings.Contains(out, `"bot":{"carrier":"vonage","state":"hung_up"}`) {
		t.Errorf("the lines print\n%s", out)
	}
}

// hertzOf counts the upward crossings of zero in samples, without the silence.
func hertzOf(raw []byte, rate int) float64 {
	var samples []int16
	for window := range slices.Chunk(raw, rate/50*2) {
		sound := pcm.Samples(window)
		if slices.ContainsFunc(sound, func(s int16) bool { return s > 1000 }) {
			samples = append(samples, sound...)
		}
	}
	crossings := 0
	for i := 1; i < len(samples); i++ {
		if samples[i-1] < 0 && samples[i] >= 0 {
			crossings++
		}
	}
	return float64(crossings*rate) / float64(max(len(samples), 1))
}

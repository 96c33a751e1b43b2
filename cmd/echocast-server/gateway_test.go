package main

import (
	"bytes"
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
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"echocast/echo"
	"echocast/gateway"
	"echocast/internal/nodetest"
	"echocast/internal/opusencoder"
	"echocast/internal/pcm"
	"echocast/internal/testenv"
	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/rtc/daily/core"
	"echocast/rtc/daily/dailytest"
	"echocast/rtc/livekit/livekittest"
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

// standing replaces the pauses of a page: it waits until the gateway on a port answers.
const standing = "& until curl -s http://127.0.0.1:%[1]s/healthz; do sleep 0.1; done"

// paste runs a script in a folder that looks like the checkout, with its own ports
// in place of 8880 and 8881.
func paste(t *testing.T, script string) string {
	t.Helper()
	dir := t.TempDir()
	program, err := os.Executable()
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "bin"), 0o700)
	}
	if err == nil {
		testenv.WriteScript(t, filepath.Join(dir, "bin"), "echocast",
			fmt.Sprintf("export %s=1\nexec '%s' \"$@\"", runsTheProgram, program))
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
	var ports []string
	for _, port := range []string{"8880", "8881"} {
		_, own, _ := net.SplitHostPort(testenv.FreeAddress(t)) // it is one
		ports = append(ports, port, own)
		script = strings.Replace(script, "& sleep 1", fmt.Sprintf(standing, port), 1)
	}
	script = strings.NewReplacer(ports...).Replace(script) // at once: one may be a part of another
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

// roomWithUser opens a room with a replica. come lets a user come who hums 1000 Hz; serve are
// the arguments with which the gateway joins it, and begins is the shell text before them.
type roomWithUser func(t *testing.T) (to string, come func() error, begins, serve string)

var roomsWithUser = map[string]roomWithUser{"peer": peerRoom, "Daily": dailyRoom, "LiveKit": liveKitRoom}

func peerRoom(t *testing.T) (to string, come func() error, begins, serve string) {
	to, _ = replicaOf(t, "--user", toneFile(t, 1000, 60))
	return to, func() error { return nil }, "", ""
}

// dailyRoom is a stand-in of a Daily room, with a replica in it.
func dailyRoom(t *testing.T) (to string, come func() error, begins, serve string) {
	if !core.Supported {
		t.Skip(core.ErrUnsupported)
	}
	library, err := dailytest.BuildLibrary(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	room, err := dailytest.NewRoom(dailytest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	participant := room.Enter("Ann", "tavus-replica-1")
	ctx, cancel := context.WithCancel(testwait.Context(t))
	var playing sync.WaitGroup
	playing.Go(func() { _, _ = replica.New(participant, &replica.Options{}).Run(ctx) }) // until it is cancelled
	t.Cleanup(func() {
		cancel()
		playing.Wait()
		participant.Leave()
		room.Close()
		for _, complaint := range room.Complaints() {
			t.Errorf("the room complains: %s", complaint)
		}
	})
	come = func() error {
		room.Enter("Bob", "").Hum(1000)
		return nil
	}
	return "daily+" + room.URL(), come, "", "--daily-core " + library
}

// startLiveKit starts the real livekit-server. If something is missing, it skips the test, or
// fails it if ECHOCAST_REQUIRE_LIVEKIT is set.
func startLiveKit(t *testing.T) *livekittest.Server {
	t.Helper()
	if !opusencoder.Available {
		t.Skip("this build has no libopus")
	}
	server, err := livekittest.StartServer("../../bin")
	if err != nil && os.Getenv("ECHOCAST_REQUIRE_LIVEKIT") != "" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skipf("NOT TESTED WITH LIVEKIT: %v (make livekit gets what is missing)", err)
	}
	t.Cleanup(server.Stop)
	return server
}

// liveKitRoom is a room of the real livekit-server, with an avatar in it.
func liveKitRoom(t *testing.T) (to string, come func() error, begins, serve string) {
	server := startLiveKit(t)
	ctx, cancel := context.WithCancel(testwait.Context(t))
	var playing sync.WaitGroup
	var reports bytes.Buffer
	playing.Go(func() {
		avatar := livekittest.Options{URL: server.URL, Key: livekittest.Key, Secret: livekittest.Secret, Room: "bots",
			Identity: "tavus-avatar-agent", Sender: "echocast"}
		if err := livekittest.Run(ctx, avatar, &reports); err != nil {
			t.Errorf("the avatar: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		playing.Wait()
		if t.Failed() {
			t.Logf("the avatar says\n%s", &reports)
		}
	})
	come = func() error {
		leave, err := livekittest.Hum(ctx, server.URL, "bots", "ann", 1000, nil)
		if err == nil {
			t.Cleanup(leave)
		}
		return err
	}
	secrets := "LIVEKIT_API_KEY=" + livekittest.Key + " LIVEKIT_API_SECRET=" + livekittest.Secret + " "
	return "livekit+" + server.URL + "/bots", come, secrets, ""
}

// vonageBot is a bot that speaks for a second, and hangs up when it is told that this was heard,
// and has heard the user for two seconds. heard receives what it has heard.
func vonageBot(t *testing.T, come func() error) (url string, heard <-chan []byte) {
	all := make(chan []byte, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := testwait.Context(t)
		conn, err := websocket.Accept(w, r, nil)
		if err == nil {
			err = come()
		}
		for i := 0; err == nil && i < 50; i++ {
			err = conn.Write(ctx, websocket.MessageBinary, bytes.Repeat([]byte{0, 16, 0, 240}, 160))
		}
		if err == nil {
			err = conn.Write(ctx, websocket.MessageText, []byte(`{"action":"notify","payload":{"part":1}}`))
		}
		var samples []byte
		isNotified := false
		for loud := 0; err == nil && (loud < 2*32000 || !isNotified); {
			kind, data, failed := conn.Read(ctx)
			if err = failed; kind != websocket.MessageBinary {
				isNotified = isNotified || strings.Contains(string(data), `"websocket:notify","payload":{"part":1}`)
				continue
			}
			samples = append(samples, data...)
			if slices.ContainsFunc(pcm.Samples(data), func(s int16) bool { return s > 1000 }) {
				loud += len(data)
			}
		}
		if err != nil {
			t.Errorf("the bot, which has heard %d bytes: %v", len(samples), err)
			return
		}
		all <- samples
		_ = conn.Close(websocket.StatusNormalClosure, "")
	}))
	t.Cleanup(server.Close)
	return strings.Replace(server.URL, "http", "ws", 1), all
}

// In each kind of room a bot of Vonage hears the user, also while a program does, and is heard
// in full. It is called while the conversation goes on.
func TestGatewayHearsRoomUser(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip(err)
	}
	for name, open := range roomsWithUser {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			to, come, begins, serve := open(t)
			bot, heard := vonageBot(t, come)
			file := filepath.Join(t.TempDir(), "user.raw")
			out := paste(t, fmt.Sprintf(`set -e
%sbin/echocast serve --max-lateness 1h --listen 127.0.0.1:8880 --bot-host 127.0.0.1 %s & sleep 1
URL=http://127.0.0.1:8880/v1/conversations
ID=$(curl -s $URL -d '{"to":"%s","hear":"user"}' | sed 's/.*"id":"\([^"]*\)".*/\1/')
curl -sN "$URL/$ID/listen?from=user&rate=8000&format=s16le" > %s & LISTENER=$!
curl -s $URL/$ID/bot -d '{"carrier":"vonage","url":"%s"}'
wait $LISTENER
curl -s $URL/$ID
curl -s $URL/$ID/utterances
kill %%1; wait %%1
`, begins, serve, to, file, bot))
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for who, h := range map[string]float64{
				"the bot": hertzOf(testwait.Receive(t, heard), 16000), "the program": hertzOf(raw, 8000),
			} {
				if math.Abs(h-1000) > 50 {
					t.Errorf("%s has heard %.0f Hz:\n%s", who, h, out)
				}
			}
			var all struct{ Utterances []gateway.UtteranceInfo }
			lineOf(t, out, `{"utterances":`, &all)
			// The bot may hang up before the replica says that it has stopped.
			if u := all.Utterances; len(u) != 1 || u[0].Receipt.Samples != 24000 ||
				u[0].Receipt.Outcome != echo.Finished && u[0].Receipt.HeardSamples != 24000 {
				t.Errorf("the bot was not heard:\n%s", out)
			}
			if !strings.Contains(out, `"bot":{"carrier":"vonage","state":"hung_up"}`) {
				t.Errorf("the lines print\n%s", out)
			}
		})
	}
}

// hertzOf is the median of the frequencies of the windows of 100 ms that sound: a machine that
// is busy may leave out some of a tone.
func hertzOf(raw []byte, rate int) float64 {
	var all []float64
	for window := range slices.Chunk(raw, rate/10*2) {
		samples, crossings := pcm.Samples(window), 0
		for i := 1; i < len(samples); i++ {
			if samples[i-1] < 0 && samples[i] >= 0 {
				crossings++
			}
		}
		if slices.ContainsFunc(samples, func(s int16) bool { return s > 1000 }) {
			all = append(all, float64(crossings*rate)/float64(len(samples)))
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}

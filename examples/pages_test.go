//go:build unix

package examples

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"

	"echocast/internal/browsertest"
	"echocast/replica"
	"echocast/rtc/daily/dailytest"
)

const (
	speech  = "../testdata/speech.wav"
	dailyJS = "../rtc/daily/dailytest/node_modules/@daily-co/daily-js/dist/daily.js"
)

// builtReact builds the React page as its README says.
var builtReact = sync.OnceValue(func() error {
	build := exec.Command("npm", "run", "build")
	build.Dir = "daily-react"
	if output, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("the React page was not built: %v\n%s", err, output)
	}
	return nil
})

// everyPage runs a test with each page.
func everyPage(t *testing.T, test func(t *testing.T, folder string)) {
	browsertest.Need(t)
	need(t, where("node"))
	for _, folder := range []string{"daily-js", "daily-react"} {
		t.Run(folder, func(t *testing.T) {
			_, err := os.Stat(dailyJS)
			if folder == "daily-react" {
				_, err = os.Stat("daily-react/node_modules")
			}
			need(t, err)
			if folder == "daily-react" {
				if err := builtReact(); err != nil {
					t.Fatal(err)
				}
			}
			test(t, folder)
		})
	}
}

// serve runs serve.mjs with a command, and returns the address of its folder.
func serve(t *testing.T, command ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	server := exec.CommandContext(ctx, "node", append([]string{"serve.mjs"}, command...)...)
	server.Env = append(os.Environ(), "PORT=0")
	server.Stderr = os.Stderr
	output, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = server.Wait() })
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(line, "daily-js/\n")
}

// saying is a command that says a file, and keeps in another what it has
// written. It ends when nobody reads any more.
func saying(t *testing.T, arguments ...string) (command []string, kept string) {
	kept = filepath.Join(t.TempDir(), "lines")
	script := `trap 'kill $child' TERM; "$@" > >(tee "$KEPT") & child=$!; wait $child`
	script = "KEPT='" + kept + "'; " + script
	return append([]string{"bash", "-c", script, "saying", echocast, "encode", "--quiet", "--conversation", "c1"},
		arguments...), kept
}

// tab is a page in Chromium.
type tab struct {
	*browsertest.Tab
	t *testing.T
}

// open shows a page. What it would load from Daily and from the CDN comes from
// this machine, and nothing else comes from anywhere.
func open(t *testing.T, address string) *tab {
	t.Helper()
	b := &tab{browsertest.Open(t), t}
	var answers sync.WaitGroup
	t.Cleanup(func() {
		b.Close()
		answers.Wait()
	})
	err := chromedp.Listen(b.Context, func(event any) {
		if paused, ok := event.(*fetch.EventRequestPaused); ok {
			answers.Go(func() { b.answer(paused) })
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := []*fetch.RequestPattern{{URLPattern: "https://*"}}
	if _, err := chromedp.Call(b.Context, fetch.Enable, fetch.EnableParams{Patterns: elsewhere}); err != nil {
		t.Fatal(err)
	}
	b.Do(chromedp.Navigate(address))
	return b
}

// answer answers for the sites of Daily and of the CDN.
func (b *tab) answer(paused *fetch.EventRequestPaused) {
	reply := fetch.FulfillRequestParams{
		RequestID: paused.RequestID, ResponseCode: 200,
		ResponseHeaders: []*fetch.HeaderEntry{{Name: "Access-Control-Allow-Origin", Value: "*"},
			{Name: "Content-Type", Value: "text/javascript"}},
	}
	switch address := paused.Request.URL; {
	case strings.HasPrefix(address, "https://unpkg.com/@daily-co/daily-js@"):
		reply.Body, _ = os.ReadFile(dailyJS)
	case strings.HasSuffix(address, "/call-machine-object-bundle.js"):
		reply.Body = dailytest.Machine()
	default:
		reply.ResponseCode = 404
	}
	_, _ = chromedp.Call(b.Context, fetch.FulfillRequest, reply)
}

// join fills in the form.
func (b *tab) join(address string) {
	b.t.Helper()
	b.Do(chromedp.WaitVisible(chromedp.CSS("#join button")),
		chromedp.SendKeys(chromedp.CSS("input[name=url]"), address), chromedp.Click(chromedp.CSS("#join button")))
}

// click presses a button when it can be pressed.
func (b *tab) click(id string) {
	b.t.Helper()
	b.Do(chromedp.WaitEnabled(chromedp.CSS("#"+id)), chromedp.Click(chromedp.CSS("#"+id)))
}

// shown is the list of events on the page.
func (b *tab) shown() []string {
	list, err := chromedp.Run(b.Context,
		chromedp.Evaluate[[]string](`[...document.querySelectorAll("#events li")].map(li => li.textContent)`))
	if err != nil {
		return []string{err.Error()}
	}
	return list
}

// see waits until the page shows a line that begins so.
func (b *tab) see(start string) {
	b.t.Helper()
	b.Until("there is "+start, fmt.Sprintf(
		`[...document.querySelectorAll("#events li")].some(li => li.textContent.startsWith(%q))`, start))
}

// draws waits until the lanes have bars of a color.
func (b *tab) draws(what, color string) {
	b.t.Helper()
	const count = `((lanes, color) => {
		const pixels = lanes.getContext("2d").getImageData(0, 0, lanes.width, lanes.height).data;
		let n = 0;
		for (let i = 0; i < pixels.length; i += 4) if (color.every((v, k) => pixels[i + k] === v)) n++;
		return n;
	})(document.querySelector("canvas"), %s)`
	b.Until("the lane "+what+" has pixels of its color", fmt.Sprintf(count+" >= 20", color))
}

// captions lets the replica say a text, and waits until the page shows it.
func (b *tab) captions(s *testRoom) {
	b.t.Helper()
	const said = `{"message_type":"conversation","event_type":"conversation.utterance","conversation_id":"c1",` +
		`"inference_id":"t1",` +
		`"properties":{"role":"pal","speech":"<emotion value=\"happy\"/>Hello there."}}`
	if err := s.Send(b.Context, []byte(said)); err != nil {
		b.t.Fatal(err)
	}
	const shown = `document.getElementById("caption").textContent === "Hello there."`
	b.Until("the caption is shown", shown)
}

// enabled reports whether a button can be pressed.
func (b *tab) enabled(id string) bool {
	b.t.Helper()
	return browsertest.Evaluate[bool](b.Tab, fmt.Sprintf(`!document.getElementById(%q).disabled`, id))
}

// hears makes the replica hum, and waits until the page plays it.
func (b *tab) hears(s *testRoom) {
	b.t.Helper()
	s.seat.Hum(440)
	const plays = `(player => !player.paused && !player.muted && player.srcObject?.getAudioTracks().some(track ` +
		`=> track.readyState === "live"))(document.querySelector("video"))`
	b.Until("the voice of the replica is played", plays)
}

func count(list []string, start string) (n int) {
	for _, text := range list {
		if strings.HasPrefix(text, start) {
			n++
		}
	}
	return n
}

func TestPagesSendEncodedMessages(t *testing.T) {
	everyPage(t, func(t *testing.T, folder string) {
		s := newTestRoom(t, dailytest.Options{}, replica.Options{Legacy: true})
		command, kept := saying(t, "--pace", "lead", speech)
		page := open(t, serve(t, command...)+folder+"/")
		page.join(s.URL())
		page.see("joined")
		if page.enabled("speak") || page.enabled("interrupt") {
			t.Error("the page lets one speak where there is no replica")
		}
		bystander := s.Enter("Bob", "user-1")
		s.callReplica()
		page.click("speak")
		page.see("stopped_speaking pal")
		for _, event := range []string{"the replica is there", "pal_joined", "replica_joined", "started_speaking pal",
			"stopped_speaking pal"} {
			want := 1
			if event == "replica_joined" || event == "pal_joined" {
				continue // twins, of which either may be first
			}
			if got := count(page.shown(), event); got != want {
				t.Errorf("the page shows %q %d times: %q", event, got, page.shown())
			}
		}
		if got := count(page.shown(), "pal_joined") + count(page.shown(), "replica_joined"); got != 1 {
			t.Errorf("the page shows %d times that the replica has joined: %q", got, page.shown())
		}
		if folder == "daily-react" {
			page.draws("received and held", "[42, 99, 214]")
			page.draws("playing", "[20, 128, 74]")
			page.captions(s)
			page.Picture("react", 1280, "light")
		}
		if folder == "daily-js" { // the other leaves it to Daily's own component
			page.hears(s)
		}
		bystander.Leave()
		heard, _ := s.messages()
		s.checkHeard(written(t, kept, len(heard)))
		page.see("the replica has left")
		if page.enabled("speak") || page.enabled("interrupt") {
			t.Error("the page lets one speak where the replica has left")
		}
	})
}

func TestPagesInterrupt(t *testing.T) {
	everyPage(t, func(t *testing.T, folder string) {
		s := newTestRoom(t, dailytest.Options{}, replica.Options{})
		s.callReplica()
		command, kept := saying(t, "--pace", "realtime", "--pad", "1m", speech)
		page := open(t, serve(t, command...)+folder+"/")
		page.join(s.URL())
		page.click("speak")
		page.see("started_speaking pal")
		page.click("interrupt")
		page.see("stopped_speaking pal interrupted")
		page.Do(chromedp.WaitEnabled(chromedp.CSS("#speak"))) // nothing is being sent any more
		s.checkInterrupted()
		heard, _ := s.messages()
		if lines := written(t, kept, len(heard)-1); !slices.Equal(lines[:len(heard)-1], heard[:len(heard)-1]) {
			t.Error("what was heard before the interrupt is not what was written")
		}
	})
}

// A broken input is interrupted, and never finished.
func TestPagesWithBrokenInput(t *testing.T) {
	everyPage(t, func(t *testing.T, folder string) {
		s := newTestRoom(t, dailytest.Options{}, replica.Options{})
		s.callReplica()
		arrived := filepath.Join(t.TempDir(), "arrived") // read once three lines were heard
		if err := syscall.Mkfifo(arrived, 0o600); err != nil {
			t.Fatal(err)
		}
		command := []string{"bash", "-c", `"${@:2}" 2>/dev/null | head -n 3; cat "$1"; exit 1`, "breaking",
			arrived, echocast, "encode", "--conversation", "c1", speech}
		page := open(t, serve(t, command...)+folder+"/")
		page.join(s.URL())
		page.click("speak")
		s.await(page.Context, 3)
		if err := os.WriteFile(arrived, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s.await(page.Context, 4)
		page.Do(chromedp.WaitEnabled(chromedp.CSS("#speak")))
		s.checkInterrupted()
	})
}

// If a message is too large for the room, the page refuses the speech before it begins.
func TestPagesWithTooLargeMessage(t *testing.T) {
	everyPage(t, func(t *testing.T, folder string) {
		s := newTestRoom(t, dailytest.Options{MaxMessage: 2048}, replica.Options{MessageLimit: 2048})
		s.callReplica()
		command, _ := saying(t, "--pace", "lead", speech)
		page := open(t, serve(t, command...)+folder+"/")
		page.join(s.URL())
		page.click("speak")
		page.see("Message data too large")
		page.Do(chromedp.WaitEnabled(chromedp.CSS("#speak")))
		if report := s.end(); report.Messages != 0 {
			t.Errorf("%d messages were sent", report.Messages)
		}
	})
}

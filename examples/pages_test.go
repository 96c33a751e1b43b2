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
	"time"

	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/chromedp"

	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/rtc/daily/dailytest"
)

const (
	speech  = "../testdata/speech.wav"
	dailyJS = "../rtc/daily/dailytest/node_modules/@daily-co/daily-js/dist/daily.js"

	// waitLimit is for what takes a second, on a machine that has other things
	// to do.
	waitLimit = time.Minute
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
	need(t, where("chromium", "chromium-browser", "google-chrome", "chrome"))
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
	ctx, cancel := context.WithCancel(testwait.Context(t))
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
	context.Context
	t *testing.T
}

// open shows a page. What it would load from Daily and from the CDN comes from
// this machine, and nothing else comes from anywhere.
func open(t *testing.T, address string) *tab {
	t.Helper()
	ctx, cancel := context.WithTimeout(testwait.Context(t), waitLimit)
	allocator, stop := chromedp.NewExecAllocator(ctx, chromedp.Headless, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("use-fake-ui-for-media-stream", true), chromedp.Flag("use-fake-device-for-media-stream", true),
		chromedp.Flag("allow-loopback-in-peer-connection", true),
		chromedp.Flag("disable-features", "WebRtcHideLocalIpsWithMdns"))
	page, closePage := chromedp.NewContext(allocator)
	var answers sync.WaitGroup
	t.Cleanup(func() {
		_ = chromedp.Cancel(page)
		answers.Wait()
		closePage()
		stop()
		cancel()
	})
	b := &tab{page, t}
	if err := chromedp.Do(page); err != nil {
		t.Fatal(err)
	}
	err := chromedp.Listen(page, func(event any) {
		if paused, ok := event.(*fetch.EventRequestPaused); ok {
			answers.Go(func() { b.answer(paused) })
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := []*fetch.RequestPattern{{URLPattern: "https://*"}}
	if _, err := chromedp.Call(page, fetch.Enable, fetch.EnableParams{Patterns: elsewhere}); err != nil {
		t.Fatal(err)
	}
	if err := chromedp.Do(page, chromedp.Navigate(address)); err != nil {
		t.Fatal(err)
	}
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

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.Context, actions...); err != nil {
		b.t.Fatalf("%v; the page shows %q", err, b.shown())
	}
}

// join fills in the form.
func (b *tab) join(address string) {
	b.t.Helper()
	b.do(chromedp.WaitVisible(chromedp.CSS("#join button")),
		chromedp.SendKeys(chromedp.CSS("input[name=url]"), address), chromedp.Click(chromedp.CSS("#join button")))
}

// click presses a button when it can be pressed.
func (b *tab) click(id string) {
	b.t.Helper()
	b.do(chromedp.WaitEnabled(chromedp.CSS("#"+id)), chromedp.Click(chromedp.CSS("#"+id)))
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
	if _, err := chromedp.Run(b.Context, chromedp.Poll[bool](fmt.Sprintf(
		`[...document.querySelectorAll("#events li")].some(li => li.textContent.startsWith(%q))`, start),
		chromedp.WithPollingTimeout(waitLimit))); err != nil {
		b.t.Fatalf("%v; the page shows %q, not %q", err, b.shown(), start)
	}
}

// draws checks that the lanes have bars of a color.
func (b *tab) draws(what, color string) {
	b.t.Helper()
	const count = `((lanes, color) => {
		const pixels = lanes.getContext("2d").getImageData(0, 0, lanes.width, lanes.height).data;
		let n = 0;
		for (let i = 0; i < pixels.length; i += 4) if (color.every((v, k) => pixels[i + k] === v)) n++;
		return n;
	})(document.querySelector("canvas"), %s)`
	n, err := chromedp.Run(b.Context, chromedp.Evaluate[int](fmt.Sprintf(count, color)))
	if err != nil || n < 20 {
		b.t.Errorf("the lane %s has %d pixels of its color, %v", what, n, err)
	}
}

// captions lets the replica say a text, and waits until the page shows it.
func (b *tab) captions(s *scene) {
	b.t.Helper()
	const said = `{"message_type":"conversation","event_type":"conversation.utterance","conversation_id":"c1",` +
		`"inference_id":"t1",` +
		`"properties":{"role":"pal","speech":"<emotion value=\"happy\"/>Hello there."}}`
	if err := s.Send(b.Context, []byte(said)); err != nil {
		b.t.Fatal(err)
	}
	const shown = `document.getElementById("caption").textContent === "Hello there."`
	if _, err := chromedp.Run(b.Context,
		chromedp.Poll[bool](shown, chromedp.WithPollingTimeout(testwait.Limit))); err != nil {
		b.t.Errorf("the caption is not shown: %v", err)
	}
}

// shot keeps a picture of the page where ECHOCAST_SCREENSHOTS names a folder.
func (b *tab) shot(name string) {
	folder := os.Getenv("ECHOCAST_SCREENSHOTS")
	if folder == "" {
		return
	}
	picture, err := chromedp.Run(b.Context, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o600)
	}
	if err != nil {
		b.t.Error(err)
	}
}

// enabled reports whether a button can be pressed.
func (b *tab) enabled(id string) bool {
	b.t.Helper()
	enabled, err := chromedp.Run(b.Context,
		chromedp.Evaluate[bool](fmt.Sprintf(`!document.getElementById(%q).disabled`, id)))
	if err != nil {
		b.t.Fatal(err)
	}
	return enabled
}

// hears makes the replica hum, and waits until the page plays it.
func (b *tab) hears(s *scene) {
	b.t.Helper()
	s.seat.Hum(440)
	const plays = `(player => !player.paused && !player.muted && player.srcObject?.getAudioTracks().some(track ` +
		`=> track.readyState === "live"))(document.querySelector("video"))`
	if _, err := chromedp.Run(b.Context, chromedp.Poll[bool](plays, chromedp.WithPollingTimeout(waitLimit))); err != nil {
		b.t.Errorf("the voice of the replica is not played: %v", err)
	}
}

func count(list []string, start string) (n int) {
	for _, text := range list {
		if strings.HasPrefix(text, start) {
			n++
		}
	}
	return n
}

func TestPagesSayWhatEchocastEncodes(t *testing.T) {
	everyPage(t, func(t *testing.T, folder string) {
		s := newScene(t, dailytest.Options{}, replica.Options{Legacy: true})
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
			page.shot("react")
		}
		if folder == "daily-js" { // the other leaves it to Daily's own component
			page.hears(s)
		}
		bystander.Leave()
		s.checkHeard(written(t, kept))
		page.see("the replica has left")
		if page.enabled("speak") || page.enabled("interrupt") {
			t.Error("the page lets one speak where the replica has left")
		}
	})
}

func TestPagesInterrupt(t *testing.T) {
	everyPage(t, func(t *testing.T, folder string) {
		s := newScene(t, dailytest.Options{}, replica.Options{})
		s.callReplica()
		command, kept := saying(t, "--pace", "realtime", "--pad", "1m", speech)
		page := open(t, serve(t, command...)+folder+"/")
		page.join(s.URL())
		page.click("speak")
		page.see("started_speaking pal")
		page.click("interrupt")
		page.see("stopped_speaking pal interrupted")
		page.do(chromedp.WaitEnabled(chromedp.CSS("#speak"))) // nothing is being sent any more
		s.checkInterrupted()
		heard, _ := s.messages()
		if lines := written(t, kept); len(lines) < len(heard)-1 || !slices.Equal(lines[:len(heard)-1], heard[:len(heard)-1]) {
			t.Error("what was heard before the interrupt is not what was written")
		}
	})
}

// An input that breaks off is interrupted, and never done.
func TestPagesWhenTheSpeechBreaksOff(t *testing.T) {
	everyPage(t, func(t *testing.T, folder string) {
		s := newScene(t, dailytest.Options{}, replica.Options{})
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
		s.await(page, 3)
		if err := os.WriteFile(arrived, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s.await(page, 4)
		page.do(chromedp.WaitEnabled(chromedp.CSS("#speak")))
		s.checkInterrupted()
	})
}

// A message that the room does not take stops the speech before it begins.
func TestPagesWhenAMessageIsTooLarge(t *testing.T) {
	everyPage(t, func(t *testing.T, folder string) {
		s := newScene(t, dailytest.Options{MaxMessage: 2048}, replica.Options{MessageLimit: 2048})
		s.callReplica()
		command, _ := saying(t, "--pace", "lead", speech)
		page := open(t, serve(t, command...)+folder+"/")
		page.join(s.URL())
		page.click("speak")
		page.see("Message data too large")
		page.do(chromedp.WaitEnabled(chromedp.CSS("#speak")))
		if report := s.end(); report.Messages != 0 {
			t.Errorf("%d messages were sent", report.Messages)
		}
	})
}

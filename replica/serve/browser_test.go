package serve

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/pion/rtp"

	"echocast/internal/opusencoder"
	"echocast/internal/testwait"
	"echocast/replica/page"
	"echocast/rtc"
	"echocast/rtc/daily"
)

// browser is a tab that shows the page.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	problems []string // errors that the page logged
}

// openBrowser starts Chromium, or skips the test where there is none and none is
// demanded.
func openBrowser(t *testing.T) *browser {
	path, err := daily.FindBrowser("")
	if err != nil && os.Getenv("ECHOCAST_REQUIRE_BROWSER") != "" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithCancel(testwait.Context(t))
	allocator, stop := chromedp.NewExecAllocator(ctx, chromedp.ExecPath(path), chromedp.Headless,
		chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck, chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("use-fake-ui-for-media-stream", true), chromedp.Flag("use-fake-device-for-media-stream", true),
		// A machine of the tests may have no network but loopback.
		chromedp.Flag("allow-loopback-in-peer-connection", true))
	tab, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		closeTab()
		stop()
		cancel()
	})
	b := &browser{t: t, ctx: tab}
	b.do()
	var reading sync.WaitGroup
	messages := chromedp.Console(tab)
	reading.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			b.hear(m)
		}
	})
	t.Cleanup(func() {
		_ = chromedp.Cancel(tab)
		reading.Wait()
	})
	return b
}

// hear notes what the page logs as an error.
func (b *browser) hear(m chromedp.ConsoleMessage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.IsException() || m.Type == "error" {
		b.problems = append(b.problems, m.String())
	}
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// patience is for what takes a second, on a machine that has other things to do.
const patience = 30 * time.Second

// until waits until an expression of JavaScript is true.
func (b *browser) until(what, expression string) {
	b.t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.Poll[any](expression, chromedp.WithPollingTimeout(patience))); err != nil {
		shown, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body.innerText`))
		b.mu.Lock()
		defer b.mu.Unlock()
		b.t.Fatalf("waiting until %s: %v; the page logged %q and shows\n%s", what, err, b.problems, shown)
	}
}

func (b *browser) evaluate(script string) {
	b.t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[any](script)); err != nil {
		b.t.Fatal(err)
	}
}

// tone sends seconds of a tone as one utterance, from the other end of the room.
func (g *guest) tone(id string, hertz float64, seconds int) {
	g.t.Helper()
	g.sound(id, hertz, seconds, func(float64) float64 { return 9000 })
}

// sound is a tone whose height is that of each second.
func (g *guest) sound(id string, hertz float64, seconds int, height func(at float64) float64) {
	g.t.Helper()
	const rate, chunk = 24000, 1200
	for n := range seconds * rate / chunk {
		var pcm []byte
		for i := range chunk {
			at := float64(n*chunk+i) / rate
			v := int16(height(at) * math.Sin(2*math.Pi*hertz*at))
			pcm = append(pcm, byte(v), byte(uint16(v)>>8))
		}
		g.send(fmt.Sprintf(`{"message_type":"conversation","event_type":"conversation.echo","conversation_id":"c1",`+
			`"properties":{"modality":"audio","audio":%q,"sample_rate":%d,"inference_id":%q,"done":%v}}`,
			base64.StdEncoding.EncodeToString(pcm), rate, id, n == seconds*rate/chunk-1))
	}
}

// withPage serves a room with a page.
func withPage(t *testing.T) (room, address string) {
	t.Helper()
	shown := page.New()
	listener, err := rtc.Listen("127.0.0.1:0", &rtc.Options{Handler: shown, MuLaw: !opusencoder.Available})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(testwait.Context(t))
	var running sync.WaitGroup
	running.Go(func() { _ = Run(ctx, listener, &Options{Page: shown}) })
	_ = dial(t, listener.URL()).conn.Close() // it serves
	t.Cleanup(func() {
		cancel()
		running.Wait()
		_ = listener.Close()
	})
	return listener.URL(), strings.TrimSuffix(listener.URL(), "/") + shown.Path()
}

// measure makes hertz() the strongest frequency of what the page plays.
const measure = `(() => {
	const context = new AudioContext(), analyser = context.createAnalyser();
	analyser.fftSize = 8192;
	context.createMediaStreamSource(document.getElementById("sound").srcObject).connect(analyser);
	const bins = new Float32Array(analyser.frequencyBinCount);
	window.hertz = () => {
		analyser.getFloatFrequencyData(bins);
		let best = 4;
		bins.forEach((v, i) => { if (i > 4 && v > bins[best]) best = i; });
		return bins[best] < -70 ? 0 : best * context.sampleRate / analyser.fftSize;
	};
})()`

// watchMouth makes moves what the mouth does.
const watchMouth = `window.moves = "";
	new MutationObserver(() => {
		const open = +document.getElementById("face").dataset.open, now = open > 0.3 ? "open" : open === 0 ? "closed" : "";
		if (now && !window.moves.endsWith(now)) window.moves += " " + now;
	}).observe(document.getElementById("face"), { attributes: true, attributeFilter: ["data-open"] })`

// dropFile drops a file on the page, as a hand does.
const dropFile = `(async (data, name) => {
	const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0)), dragged = new DataTransfer();
	dragged.items.add(new File([bytes], name, { type: "audio/mpeg" }));
	for (const kind of ["dragover", "drop"]) document.getElementById("drop").dispatchEvent(new DragEvent(kind, { dataTransfer: dragged, bubbles: true, cancelable: true }));
})(%q, %q)`

var errEnough = errors.New("enough was heard")

// Chromium joins the room, hears and shows what another participant says,
// interrupts it, joins again in the middle of an utterance, and speaks a file.
func TestPageInChromium(t *testing.T) {
	b := openBrowser(t)
	room, address := withPage(t)
	sender := dial(t, room)
	b.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(address))
	b.until("the page is connected", `document.body.dataset.state === "connected"`)
	b.until("there is sound", `!!document.getElementById("sound").srcObject`)
	b.evaluate(measure)

	loaded, err := chromedp.Run(b.ctx,
		chromedp.Evaluate[int](`["navigation", "resource"].flatMap(kind => performance.getEntriesByType(kind))
		.filter(entry => !entry.name.endsWith("/events")).reduce((sum, entry) => sum + entry.transferSize, 0)`))
	if err != nil || loaded == 0 || loaded > 150_000 {
		t.Errorf("the page loads %d bytes, %v; 150 kB are allowed", loaded, err)
	}
	t.Logf("the page loads %d bytes, not compressed", loaded)

	b.evaluate(watchMouth)
	sender.sound("pause", 440, 3, func(at float64) float64 {
		if at > 1 && at < 2 {
			return 0
		}
		return 9000
	})
	b.until("the mouth opens, closes in the pause, and opens again", `window.moves.includes("open closed open")`)
	sender.await("conversation.stopped_speaking")

	sender.tone("tone", 440, 20)
	b.until("the mouth opens", `+document.getElementById("face").dataset.open > 0.3`)
	b.until("the tone is heard", `Math.abs(window.hertz() - 440) < 15`)
	shot(b, "speaking-1280", 1280)
	dark(b, true)
	shot(b, "dark-1280", 1280)
	dark(b, false)
	b.evaluate(`document.getElementById("interrupt").click()`)
	b.until("the interrupt is confirmed", `document.body.dataset.interrupted === "1"`)
	b.until("the mouth is closed", `document.getElementById("face").dataset.open === "0.00"`)
	b.until("it is silent", `window.hertz() === 0`)
	if !sender.await("conversation.stopped_speaking").Properties.Interrupted {
		t.Error("the sender does not learn of the interrupt")
	}

	fastest := math.Inf(1)
	for n := range 4 {
		sender.tone(fmt.Sprint("interrupt ", n), 440, 20)
		b.until("the mouth opens", `+document.getElementById("face").dataset.open > 0.3`)
		b.evaluate(`document.getElementById("interrupt").click()`)
		b.until("the interrupt is confirmed", fmt.Sprintf(`document.body.dataset.interrupted === "%d"`, n+2))
		took, err := chromedp.Run(b.ctx, chromedp.Evaluate[float64](`+document.body.dataset.confirmed`))
		if err != nil {
			t.Fatal(err)
		}
		fastest = min(fastest, took)
		sender.await("conversation.stopped_speaking")
	}
	t.Logf("an interrupt was confirmed after %v ms at best", fastest)
	if fastest > 300 {
		t.Errorf("no interrupt was confirmed within 300 ms: the fastest took %v ms", fastest)
	}

	sender.tone("again", 440, 20)
	sender.await("conversation.started_speaking")
	b.do(chromedp.Reload())
	b.until("the page is connected again", `document.body.dataset.state === "connected"`)
	b.until("the page says that the replica speaks", `document.getElementById("status").textContent === "speaking"`)
	b.until("the mouth opens again", `+document.getElementById("face").dataset.open > 0.3`)
	shot(b, "speaking-600", 600)
	b.do(chromedp.KeyEvent("i"))
	b.until("the key interrupts", `document.body.dataset.interrupted === "1"`)

	b.do(chromedp.SetValue("#text", "Hello there."), chromedp.Click("#say button"))
	b.until("the caption is shown", `document.getElementById("caption").textContent === "Hello there."`)
	speech, err := filepath.Abs("../../testdata/speech.wav")
	if err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.SetUploadFiles("#file", []string{speech}))
	b.until("the file is spoken", `document.getElementById("face").dataset.viseme !== "rest"`)
	shot(b, "speaking-360", 360)
	b.until("the file was spoken", `document.getElementById("face").dataset.viseme === "rest"`)
	mp3, err := os.ReadFile("../../testdata/mp3/speech_22050hz_joint_cbr80.mp3")
	if err != nil {
		t.Fatal(err)
	}
	b.evaluate(fmt.Sprintf(dropFile, base64.StdEncoding.EncodeToString(mp3), "speech.mp3"))
	b.until("the dropped file is spoken", `document.getElementById("status").textContent !== "" && `+
		`document.getElementById("face").dataset.viseme !== "rest"`)

	b.do(chromedp.Click("#microphone"))
	listener, err := rtc.Dial(testwait.Context(t), room, &rtc.Options{Sound: true})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	heard, enough := context.WithCancelCause(testwait.Context(t))
	packets := 0
	err = listener.Hear(heard, rtc.SoundUser, func(_ string, packet *rtp.Packet) {
		if packets++; packets == 20 {
			enough(errEnough)
		}
	}, nil)
	if !errors.Is(err, errEnough) {
		t.Errorf("the microphone of the page: %d packets, %v", packets, err)
	}
	sender.awaitUser()
	b.do(chromedp.Click("#microphone"))
	b.until("the microphone is off", `document.getElementById("microphone").ariaPressed === "false"`)

	b.do(chromedp.Click("summary"), chromedp.Click("input[value=duplicate]"))
	b.do(chromedp.SetValue("#text", "Twice."), chromedp.Click("#say button"))
	for range 2 {
		sender.await("conversation.utterance")
	}
	for _, log := range b.problems {
		t.Errorf("the page logged %s", log)
	}
}

// dark turns dark colours on or off.
func dark(b *browser, on bool) {
	value := "light"
	if on {
		value = "dark"
	}
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: value}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// shot keeps a picture of the page where ECHOCAST_SCREENSHOTS names a folder.
func shot(b *browser, name string, width int64) {
	folder := os.Getenv("ECHOCAST_SCREENSHOTS")
	if folder == "" {
		return
	}
	b.do(chromedp.EmulateViewport(width, 900), chromedp.Sleep(time.Second))
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(folder+"/"+name+".png", picture, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// Only who knows the address sees the page, and no page of another origin does.
func TestPageIsGuarded(t *testing.T) {
	_, address := withPage(t)
	guessed := address[:len(address)-2] + "x/"
	for _, c := range []struct {
		method, url string
		header      map[string]string
		status      int
	}{
		{"GET", address, nil, 200},
		{"GET", address + "page.js", nil, 200},
		{"GET", address + "lanes.js", nil, 200},
		{"GET", address + "page.go", nil, 404},
		{"GET", address + "../../page.go", nil, 404},
		{"PUT", address, nil, 405},
		{"POST", address, nil, 404},
		{"POST", address + "faults", nil, 204}, // none from now on
		{"POST", address + "faults", map[string]string{"Origin": "https://evil.example"}, 403},
		{"POST", address + "user", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"POST", guessed + "user", nil, 404},
		{"GET", guessed, nil, 404},
		{"GET", guessed + "events", nil, 404},
		{"GET", address, map[string]string{"Host": "evil.example"}, 403},
		{"GET", address + "events", map[string]string{"Origin": "https://evil.example"}, 403},
		{"GET", address + "events", map[string]string{"Origin": "http://127.0.0.1:1"}, 403},
		{"GET", address + "events", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"GET", address + "events", map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
	} {
		request, err := http.NewRequestWithContext(testwait.Context(t), c.method, c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		for key, value := range c.header {
			request.Header.Set(key, value)
		}
		request.Host = c.header["Host"]
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != c.status {
			t.Errorf("%s %s with %v: %s, want %d", c.method, c.url, c.header, response.Status, c.status)
		}
		if policy := response.Header.Get("Content-Security-Policy"); c.status == 200 &&
			!strings.HasPrefix(policy, "default-src 'none'; script-src 'self'") {
			t.Errorf("%s: the policy is %q", c.url, policy)
		}
	}
}

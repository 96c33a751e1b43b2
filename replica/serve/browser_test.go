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

	"github.com/chromedp/chromedp"
	"github.com/pion/rtp"

	"echocast/internal/browsertest"
	"echocast/internal/opusencoder"
	"echocast/internal/testwait"
	"echocast/replica/page"
	"echocast/rtc"
)

// tone sends seconds of a tone as one utterance, from the other end of the room.
func (g *guest) tone(id string, hertz float64, seconds int) {
	g.t.Helper()
	g.sound(id, hertz, seconds, func(float64) float64 { return 9000 })
}

// sound is a tone with another pitch in each second.
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

// In Chromium, the page joins the room, plays and shows what another participant says,
// interrupts it, joins again in mid-utterance, and speaks a file.
func TestPageInChromium(t *testing.T) {
	b := browsertest.Open(t)
	room, address := withPage(t)
	sender := dial(t, room)
	b.Do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(address))
	b.Until("the page is connected", `document.body.dataset.state === "connected"`)
	b.Until("there is sound", `!!document.getElementById("sound").srcObject`)
	browsertest.Evaluate[any](b, measure)

	loaded := browsertest.Evaluate[int](b, `["navigation", "resource"].flatMap(kind => performance.getEntriesByType(kind))
		.filter(entry => !entry.name.endsWith("/events")).reduce((sum, entry) => sum + entry.transferSize, 0)`)
	if loaded == 0 || loaded > 150_000 {
		t.Errorf("the page loads %d bytes; 150 kB are allowed", loaded)
	}
	t.Logf("the page loads %d bytes, not compressed", loaded)

	browsertest.Evaluate[any](b, watchMouth)
	sender.sound("pause", 440, 6, func(at float64) float64 {
		if at > 1 && at < 5 { // a page on a busy machine misses a short one
			return 0
		}
		return 9000
	})
	b.Until("the mouth opens, closes in the pause, and opens again", `window.moves.includes("open closed open")`)
	sender.await("conversation.stopped_speaking")

	sender.tone("tone", 440, 60)
	b.Until("the mouth opens", `+document.getElementById("face").dataset.open > 0.3`)
	b.Until("the tone is heard", `Math.abs(window.hertz() - 440) < 15`)
	b.Picture("speaking-1280", 1280, "light")
	b.Picture("dark-1280", 1280, "dark")
	browsertest.Evaluate[any](b, `document.getElementById("interrupt").click()`)
	b.Until("the interrupt is confirmed", `document.body.dataset.interrupted === "1"`)
	b.Until("the mouth is closed", `document.getElementById("face").dataset.open === "0.00"`)
	b.Until("it is silent", `window.hertz() === 0`)
	if !sender.await("conversation.stopped_speaking").Properties.Interrupted {
		t.Error("the sender does not learn of the interrupt")
	}

	took := browsertest.Evaluate[float64](b, `+document.body.dataset.confirmed`)
	if t.Logf("an interrupt was confirmed after %.0f ms", took); took <= 0 {
		t.Errorf("the page says that an interrupt was confirmed after %v ms", took)
	}

	sender.tone("again", 440, 60)
	sender.await("conversation.started_speaking")
	b.Do(chromedp.Reload())
	b.Until("the page is connected again", `document.body.dataset.state === "connected"`)
	b.Until("the page says that the replica speaks", `document.getElementById("status").textContent === "speaking"`)
	b.Until("the mouth opens again", `+document.getElementById("face").dataset.open > 0.3`)
	b.Picture("speaking-600", 600, "light")
	b.Do(chromedp.KeyEvent("i"))
	b.Until("the key interrupts", `document.body.dataset.interrupted === "1"`)

	b.Do(chromedp.SetValue("#text", "Hello there."), chromedp.Click("#say button"))
	b.Until("the caption is shown", `document.getElementById("caption").textContent === "Hello there."`)
	speech, err := filepath.Abs("../../testdata/speech.wav")
	if err != nil {
		t.Fatal(err)
	}
	b.Do(chromedp.SetUploadFiles("#file", []string{speech}))
	b.Until("the file is spoken", `document.getElementById("face").dataset.viseme !== "rest"`)
	b.Picture("speaking-360", 360, "light")
	b.Until("the file was spoken", `document.getElementById("face").dataset.viseme === "rest"`)
	mp3, err := os.ReadFile("../../testdata/mp3/speech_22050hz_joint_cbr80.mp3")
	if err != nil {
		t.Fatal(err)
	}
	browsertest.Evaluate[any](b, fmt.Sprintf(dropFile, base64.StdEncoding.EncodeToString(mp3), "speech.mp3"))
	for range 3 { // the text, the file, and the dropped one, which is too short to be sure to be seen
		sender.await("conversation.started_speaking")
	}

	b.Do(chromedp.Click("#microphone"))
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
	b.Do(chromedp.Click("#microphone"))
	b.Until("the microphone is off", `document.getElementById("microphone").ariaPressed === "false"`)

	b.Do(chromedp.Click("summary"), chromedp.Click("input[value=duplicate]"))
	b.Do(chromedp.SetValue("#text", "Twice."), chromedp.Click("#say button"))
	for range 2 {
		sender.await("conversation.utterance")
	}
	for _, log := range b.Problems() {
		t.Errorf("the page logged %s", log)
	}
}

// Only a browser that knows the address sees the page, and no page of another origin can use
// it.
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

package board_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"echocast/echo"
	"echocast/gateway"
	"echocast/gateway/token"
	"echocast/internal/testwait"
	"echocast/rtc/daily"
)

// tab is a tab of Chromium that shows the dashboard of a gateway.
type tab struct {
	t       *testing.T
	ctx     context.Context
	gateway *gateway.Gateway
	url     string
	lose    func() // all connections

	mu       sync.Mutex
	problems []string // errors that the page logged
}

// serve serves a gateway in this process until the test ends.
func serve(t *testing.T, options *gateway.Options) (*gateway.Gateway, *httptest.Server) {
	t.Helper()
	if options == nil {
		options = &gateway.Options{}
	}
	options.MaxLateness = time.Hour // a busy machine takes conversations too
	g := gateway.New(options)
	server := httptest.NewServer(g.Handler())
	t.Cleanup(func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		g.Close(now)
		server.CloseClientConnections()
		server.Close()
	})
	return g, server
}

// open shows the dashboard of a gateway in Chromium. It skips the test where there is no
// browser and none is demanded.
func open(t *testing.T, options *gateway.Options) *tab {
	t.Helper()
	path, err := daily.FindBrowser("")
	if err != nil && os.Getenv("ECHOCAST_REQUIRE_BROWSER") != "" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	g, server := serve(t, options)
	b := &tab{t: t, gateway: g, url: server.URL, lose: server.CloseClientConnections}
	allocator, stop := chromedp.NewExecAllocator(testwait.Context(t), chromedp.ExecPath(path), chromedp.Headless,
		chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-background-networking", true))
	var closeTab context.CancelFunc
	b.ctx, closeTab = chromedp.NewContext(allocator)
	messages := chromedp.Console(b.ctx)
	var reading sync.WaitGroup
	t.Cleanup(func() {
		_ = chromedp.Cancel(b.ctx)
		reading.Wait()
		closeTab()
		stop()
	})
	b.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(b.url))
	reading.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == "error" {
				b.mu.Lock()
				b.problems = append(b.problems, m.String())
				b.mu.Unlock()
			}
		}
	})
	return b
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// until waits until an expression of JavaScript is true.
func (b *tab) until(what, expression string) {
	b.t.Helper()
	poll := chromedp.Poll[any](expression, chromedp.WithPollingTimeout(30*time.Second))
	if _, err := chromedp.Run(b.ctx, poll); err != nil {
		shown, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`document.body.innerText`))
		b.mu.Lock()
		defer b.mu.Unlock()
		b.t.Fatalf("waiting until %s: %v; the page logged %q and shows\n%s", what, err, b.problems, shown)
	}
}

func evaluate[T any](b *tab, script string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script))
	if err != nil {
		b.t.Fatal(err)
	}
	return value
}

// rehearsal creates a conversation with a stand-in replica.
func (b *tab) rehearsal(label string) *gateway.Conversation {
	b.t.Helper()
	c, err := b.gateway.Create(gateway.Spec{To: gateway.Rehearsal, Label: label}, gateway.Creator{})
	if err == nil {
		err = c.WaitJoined(testwait.Context(b.t))
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// speech is a recording of 7 s.
const speech = "../../testdata/speech.wav"

// speak queues speech in a conversation.
func speak(t *testing.T, c *gateway.Conversation) {
	t.Helper()
	file, err := os.Open(speech)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() }) // after the gateway, which reads it
	if _, err := c.Speak(testwait.Context(t), gateway.Audio{Body: file}); err != nil {
		t.Fatal(err)
	}
}

// await waits until a conversation is as is says.
func (b *tab) await(what string, c *gateway.Conversation, is func(gateway.Info) bool) {
	b.t.Helper()
	ctx := testwait.Context(b.t)
	for !is(c.Info()) {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			b.t.Fatalf("waiting until %s: %+v", what, c.Info())
		}
	}
}

// dropFile drops a file on an element, as a hand does.
const dropFile = `(async (selector, data, name) => {
	const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0)), dragged = new DataTransfer();
	dragged.items.add(new File([bytes], name, { type: "audio/wav" }));
	for (const kind of ["dragover", "drop"]) document.querySelector(selector)
		.dispatchEvent(new DragEvent(kind, { dataTransfer: dragged, bubbles: true, cancelable: true }));
})(%q, %q, %q)`

// A rehearsal appears, speaks, is interrupted, opened by the keyboard, and speaks files,
// in Chromium. Text of a client is never markup.
func TestBoardInChromium(t *testing.T) {
	b := open(t, nil)
	b.until("the page is connected", `
		document.body.dataset.state === "connected" && !document.getElementById("none").hidden`)
	const label = `<img src=x onerror=document.title="markup">`
	c := b.rehearsal(label)
	b.until("it appears", fmt.Sprintf(`document.querySelector("#lines .name")?.textContent === %q`, label))

	speak(t, c)
	b.until("it speaks", `document.querySelector("#lines .state").textContent === "speaking"`)
	b.until("it is ahead", `document.querySelector("#lines meter").value > 0.2`)
	lead := evaluate[string](b, `document.querySelector("#lines .lead").innerText`)
	b.until("its lead moves", fmt.Sprintf(`document.querySelector("#lines .lead").innerText !== %q`, lead))
	evaluate[any](b, `document.querySelector("#lines button").click()`)
	b.await("the button interrupts", c, func(i gateway.Info) bool { return i.Interrupted == 1 })
	b.until("it is silent", `document.querySelector("#lines .state").textContent === "idle"`)

	evaluate[any](b, `document.querySelector("#lines .name").focus()`)
	b.do(chromedp.KeyEvent(kb.Enter))
	b.until("it is open", `document.activeElement.id === "one-title" && document.activeElement.textContent !== ""`)
	if _, err := c.Say(testwait.Context(t), "Hello <there> & all.", echo.QueueWait); err != nil {
		t.Fatal(err)
	}
	b.until("the caption is shown", `document.getElementById("caption").textContent.startsWith("Hello")`)
	b.until("the last words are shown as they are", `
		document.querySelector("#lines .words").textContent === "Hello <there> & all."`)
	b.until("its receipt is told", `/finished/.test(document.getElementById("status").textContent)`)

	data, err := os.ReadFile(speech)
	if err != nil {
		t.Fatal(err)
	}
	evaluate[any](b, fmt.Sprintf(dropFile, "#drop", base64.StdEncoding.EncodeToString(data), "my speech.wav"))
	b.until("the dropped file is spoken", `document.querySelector("#lines .state").textContent === "speaking"`)
	b.until("its name is told", `document.getElementById("log").textContent.includes("my speech.wav")`)
	b.until("the lane of what is spoken is drawn", `(() => {
		const canvas = document.getElementById("lanes"), g = canvas.getContext("2d");
		const { data } = g.getImageData(canvas.width - 3, canvas.height * 0.6, 1, 1);
		return data[1] > data[0] + 40;
	})()`)
	b.pictures("open")
	b.do(chromedp.KeyEvent("i"))
	b.await("the key interrupts", c, func(i gateway.Info) bool { return i.Interrupted == 2 })

	b.do(chromedp.KeyEvent(kb.Escape))
	b.until("Escape closes it", `
		document.getElementById("one").hidden && document.activeElement.className === "name"`)
	evaluate[any](b, fmt.Sprintf(dropFile, "#lines .words", base64.StdEncoding.EncodeToString(data), "again.wav"))
	b.await("a file that is dropped on its line is spoken", c, func(i gateway.Info) bool { return i.Utterances == 4 })
	b.until("it is open again", `!document.getElementById("one").hidden`)
	file, err := filepath.Abs("board.go")
	if err != nil {
		t.Fatal(err)
	}
	evaluate[any](b, `document.getElementById("interrupt").click()`)
	b.await("the button interrupts", c, func(i gateway.Info) bool { return i.Interrupted == 3 })
	b.do(chromedp.SetUploadFiles("#file", []string{file}))
	b.until("a file that is no sound is refused", `
		/^board.go: failed/.test(document.getElementById("status").textContent)`)

	if err := c.End(testwait.Context(t)); err != nil {
		t.Fatal(err)
	}
	b.until("it is gone", `document.querySelectorAll("#lines .line").length === 0`)
	b.until("its end is told", `document.getElementById("log").firstChild.textContent.endsWith("ended")`)
	if evaluate[int](b, `document.images.length`) != 0 || evaluate[string](b, `document.title`) != "echocast gateway" {
		t.Error("text has become markup")
	}
	evaluate[any](b, `document.getElementById("back").click(); document.getElementById("rehearse").click()`)
	b.until("a rehearsal was created by the page", `document.querySelectorAll("#lines .line").length === 1`)
	b.until("and opened", `document.getElementById("one-title").textContent ===
		 document.querySelector("#lines .name").textContent`)
	for _, problem := range b.problems {
		t.Errorf("the page logged %s", problem)
	}
}

// Where a token is needed, the page asks for it, and keeps it in the tab alone.
func TestTokenInChromium(t *testing.T) {
	secret := strings.Repeat("s", token.MinLength)
	hash := token.Hash(secret)
	other := strings.Repeat("o", token.MinLength)
	otherHash := token.Hash(other)
	path := filepath.Join(t.TempDir(), "tokens")
	text := fmt.Sprintf("%x create,speak,listen me\n%x speak other\n", hash, otherHash)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := token.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b := open(t, &gateway.Options{Tokens: tokens})
	b.until("the page asks", `document.activeElement.id === "token"`)
	enter := func(secret string) {
		b.do(chromedp.SetValue("#token", secret), chromedp.Click("#sign-in button"))
	}
	enter("wrong")
	b.until("a wrong one is refused", `/known here/.test(document.getElementById("status").textContent)`)
	b.until("the page asks again", `document.activeElement.id === "token"`)
	enter(other)
	b.until("one that may not see all is refused", `/does not allow/.test(document.getElementById("status").textContent)`)
	b.until("the page asks again", `document.activeElement.id === "token"`)
	c := b.rehearsal("")
	enter(secret)
	b.until("it is connected", `
		document.querySelectorAll("#lines .line").length === 1 && document.getElementById("sign-in").hidden`)
	b.do(chromedp.Reload())
	b.until("the tab keeps it", `document.querySelectorAll("#lines .line").length === 1`)
	kept := evaluate[string](b, `location.href + document.cookie +
		JSON.stringify(localStorage) + document.documentElement.outerHTML`)
	if strings.Contains(kept, secret) {
		t.Error("the token is in the address, in a cookie, in the local storage or in the page")
	}

	b.lose()
	if err := c.End(testwait.Context(t)); err != nil {
		t.Fatal(err)
	}
	b.rehearsal("the next one")
	b.until("it shows what there is after a connection was lost", `document.body.dataset.state === "connected" &&
		[...document.querySelectorAll("#lines .name")].map(a => a.textContent).join() === "the next one"`)
}

// watch counts what changes in the lines of those that speak, and of the others.
const watch = `window.touched = { speaking: 0, others: 0 };
	window.begun = +document.getElementById("table").dataset.renders;
	new MutationObserver(records => {
		for (const record of records) {
			const node = record.target.nodeType === 1 ? record.target : record.target.parentElement;
			const line = node.closest(".line");
			touched[line && line.querySelector(".name").textContent === "speaker" ? "speaking" : "others"]++;
		}
	}).observe(document.getElementById("lines"),
		{ subtree: true, childList: true, attributes: true, characterData: true })`

// With 200 conversations of which ten speak, only the lines of those ten change, a few
// nodes each time, and the page is drawn at most once for each message.
func TestManyInChromium(t *testing.T) {
	const many, speakers = 200, 10
	b := open(t, &gateway.Options{MaxConversations: many})
	for n := range many {
		label := "listener"
		if n%(many/speakers) == 0 {
			label = "speaker"
		}
		if c := b.rehearsal(label); label == "speaker" {
			speak(t, c)
		}
	}
	b.until("all are shown, and the speakers speak", fmt.Sprintf(`document.querySelectorAll("#lines .line").length === %d
		&& document.querySelectorAll("#lines [data-speaking=true]").length === %d`, many, speakers))
	b.pictures("many")
	evaluate[any](b, watch)
	b.until("six messages were shown", `+document.getElementById("table").dataset.renders >= begun + 6`)
	speaking, others := evaluate[int](b, `touched.speaking`), evaluate[int](b, `touched.others`)
	shown := evaluate[int](b, `+document.getElementById("table").dataset.renders - begun`)
	t.Logf("%d messages changed %d nodes of %d speakers, and %d others", shown, speaking, speakers, others)
	if speaking == 0 || speaking > shown*speakers*3 {
		t.Errorf("%d messages changed %d nodes of %d speakers", shown, speaking, speakers)
	}
	if others != 0 {
		t.Errorf("%d nodes of conversations have changed in which nothing happened", others)
	}
	for _, problem := range b.problems {
		t.Errorf("the page logged %s", problem)
	}
}

// pictures keeps pictures of the page where ECHOCAST_SCREENSHOTS names a folder.
func (b *tab) pictures(name string) {
	folder := os.Getenv("ECHOCAST_SCREENSHOTS")
	if folder == "" {
		return
	}
	for _, width := range []int64{1280, 768, 360} {
		for _, scheme := range []string{"light", "dark"} {
			_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
			})
			b.do(chromedp.EmulateViewport(width, 900))
			b.until("it is drawn", `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`)
			picture, shot := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
			if err != nil || shot != nil {
				b.t.Fatal(err, shot)
			}
			file := filepath.Join(folder, fmt.Sprintf("%s-%d-%s.png", name, width, scheme))
			if err := os.WriteFile(file, picture, 0o600); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	b.do(chromedp.EmulateViewport(1280, 900))
}

// The files are guarded by what guards the gateway, and by a policy that lets them load
// and connect to nothing else.
func TestBoardIsGuarded(t *testing.T) {
	_, server := serve(t, nil)
	for _, c := range []struct {
		method, path string
		header       map[string]string
		status       int
	}{
		{"GET", "/", nil, 200},
		{"HEAD", "/", nil, 200},
		{"GET", "/board/board.js", nil, 200},
		{"GET", "/board/lanes.js", nil, 200},
		{"GET", "/board/page.css", nil, 200},
		{"GET", "/board/page.html", nil, 404},
		{"GET", "/board/page.js", nil, 404},
		{"GET", "/board/board.go", nil, 404},
		{"GET", "/board/..%2fboard.go", nil, 404},
		{"GET", "/board/board.%2f..%2f..%2fboard.go", nil, 404},
		{"POST", "/", nil, 405},
		{"GET", "/", map[string]string{"Origin": "https://evil.example"}, 403},
		{"GET", "/", map[string]string{"Host": "evil.example"}, 403},
		{"GET", "/board/board.js", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"GET", "/v1/events", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"GET", "/v1/events", map[string]string{"Origin": "https://evil.example"}, 403},
	} {
		request, err := http.NewRequestWithContext(testwait.Context(t), c.method, server.URL+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for key, value := range c.header {
			request.Header.Set(key, value)
		}
		request.Host = c.header["Host"]
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != c.status {
			t.Errorf("%s %s with %v: %s, want %d", c.method, c.path, c.header, response.Status, c.status)
		}
		policy := response.Header.Get("Content-Security-Policy")
		isStrict := strings.HasPrefix(policy, "default-src 'none'; script-src 'self';") && !strings.Contains(policy, "unsafe")
		if c.status == 200 && !isStrict {
			t.Errorf("%s: the policy is %q", c.path, policy)
		}
	}
}

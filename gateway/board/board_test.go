package board_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"echocast/echo"
	"echocast/gateway"
	"echocast/gateway/token"
	"echocast/internal/browsertest"
	"echocast/internal/testwait"
)

// tab shows the dashboard of a gateway.
type tab struct {
	*browsertest.Tab
	t       *testing.T
	gateway *gateway.Gateway
	url     string
	lose    func() // all connections
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

// open shows the dashboard of a gateway in Chromium.
func open(t *testing.T, options *gateway.Options) *tab {
	t.Helper()
	browsertest.Need(t)
	g, server := serve(t, options)
	b := &tab{browsertest.Open(t), t, g, server.URL, server.CloseClientConnections}
	b.Do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(b.url))
	return b
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

// speak queues minutes of speech, more than even a slow test needs.
func speak(t *testing.T, c *gateway.Conversation) {
	t.Helper()
	data := ofUnknownLength(t)
	parts := []io.Reader{bytes.NewReader(data[:header])}
	for range 20 {
		parts = append(parts, bytes.NewReader(data[header:]))
	}
	body := io.MultiReader(parts...)
	if _, err := c.Speak(testwait.Context(t), gateway.Audio{Body: body}); err != nil {
		t.Fatal(err)
	}
}

// header is how many bytes of speech are no samples.
const header = 44

// ofUnknownLength returns speech with a header that does not say how long it is.
func ofUnknownLength(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile(speech)
	if err != nil {
		t.Fatal(err)
	}
	const unknown = "\xff\xff\xff\xff"
	copy(data[4:], unknown)
	copy(data[header-4:], unknown)
	return data
}

// await waits until a conversation is as the function is wants.
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

// dropFile drops a file on an element, as a user does. The file has the samples of a WAV file of
// unknown length twenty times: it is spoken as long as a slow test needs.
const dropFile = `(async (selector, data, name) => {
	const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0)), dragged = new DataTransfer();
	const all = [bytes.subarray(0, 44), ...Array(20).fill(bytes.subarray(44))];
	dragged.items.add(new File(all, name, { type: "audio/wav" }));
	for (const kind of ["dragover", "drop"]) document.querySelector(selector)
		.dispatchEvent(new DragEvent(kind, { dataTransfer: dragged, bubbles: true, cancelable: true }));
})(%q, %q, %q)`

// In Chromium, a rehearsal appears, speaks, is interrupted, is opened by the keyboard, and
// speaks files. Text from clients is never treated as markup.
func TestBoardInChromium(t *testing.T) {
	b := open(t, nil)
	b.Until("the page is connected", `
		document.body.dataset.state === "connected" && !document.getElementById("none").hidden`)
	const label = `<img src=x onerror=document.title="markup">`
	c := b.rehearsal(label)
	b.Until("it appears", fmt.Sprintf(`document.querySelector("#lines .name")?.textContent === %q`, label))

	speak(t, c)
	b.Until("it speaks", `document.querySelector("#lines .state").textContent === "speaking"`)
	b.Until("it is ahead", `document.querySelector("#lines meter").value > 0.2`)
	lead := browsertest.Evaluate[string](b.Tab, `document.querySelector("#lines .lead").innerText`)
	b.Until("its lead moves", fmt.Sprintf(`document.querySelector("#lines .lead").innerText !== %q`, lead))
	browsertest.Evaluate[any](b.Tab, `document.querySelector("#lines button").click()`)
	b.await("the button interrupts", c, func(i gateway.Info) bool { return i.Interrupted == 1 })
	b.Until("it is silent", `document.querySelector("#lines .state").textContent === "idle"`)

	browsertest.Evaluate[any](b.Tab, `document.querySelector("#lines .name").focus()`)
	b.Do(chromedp.KeyEvent(kb.Enter))
	b.Until("it is open", `document.activeElement.id === "one-title" && document.activeElement.textContent !== ""`)
	if _, err := c.Say(testwait.Context(t), "Hello <there> & all.", echo.QueueWait); err != nil {
		t.Fatal(err)
	}
	b.Until("the caption is shown", `document.getElementById("caption").textContent.startsWith("Hello")`)
	b.Until("the last words are shown as they are", `
		document.querySelector("#lines .words").textContent === "Hello <there> & all."`)
	b.Until("its receipt is told", `/finished/.test(document.getElementById("status").textContent)`)

	file64 := base64.StdEncoding.EncodeToString(ofUnknownLength(t))
	browsertest.Evaluate[any](b.Tab, fmt.Sprintf(dropFile, "#drop", file64, "my speech.wav"))
	b.Until("the dropped file is spoken", `document.querySelector("#lines .state").textContent === "speaking"`)
	b.Until("its name is told", `document.getElementById("log").textContent.includes("my speech.wav")`)
	b.Until("the lane of what is spoken is drawn", `(() => {
		const canvas = document.getElementById("lanes"), g = canvas.getContext("2d");
		const { data } = g.getImageData(canvas.width - 3, canvas.height * 0.6, 1, 1);
		return data[1] > data[0] + 40;
	})()`)
	b.pictures("open")
	b.Do(chromedp.KeyEvent("i"))
	b.await("the key interrupts", c, func(i gateway.Info) bool { return i.Interrupted == 2 })

	b.Do(chromedp.KeyEvent(kb.Escape))
	b.Until("Escape closes it", `
		document.getElementById("one").hidden && document.activeElement.className === "name"`)
	browsertest.Evaluate[any](b.Tab, fmt.Sprintf(dropFile, "#lines .words", file64, "again.wav"))
	b.await("a file that is dropped on its line is spoken", c, func(i gateway.Info) bool { return i.Utterances == 4 })
	b.Until("it is open again", `!document.getElementById("one").hidden`)
	file, err := filepath.Abs("board.go")
	if err != nil {
		t.Fatal(err)
	}
	browsertest.Evaluate[any](b.Tab, `document.getElementById("interrupt").click()`)
	b.await("the button interrupts", c, func(i gateway.Info) bool { return i.Interrupted == 3 })
	b.Do(chromedp.SetUploadFiles("#file", []string{file}))
	b.Until("a file that is no sound is refused", `
		/^board.go: failed/.test(document.getElementById("status").textContent)`)

	if err := c.End(testwait.Context(t)); err != nil {
		t.Fatal(err)
	}
	b.Until("it is gone", `document.querySelectorAll("#lines .line").length === 0`)
	b.Until("its end is told", `document.getElementById("log").firstChild.textContent.endsWith("ended")`)
	if browsertest.Evaluate[int](b.Tab, `document.images.length`) != 0 || browsertest.Evaluate[string](b.Tab, `document.title`) != "echocast gateway" {
		t.Error("text has become markup")
	}
	browsertest.Evaluate[any](b.Tab, `document.getElementById("back").click()
		document.getElementById("rehearse").click()`)
	b.Until("a rehearsal was created by the page", `document.querySelectorAll("#lines .line").length === 1`)
	b.Until("and opened", `document.getElementById("one-title").textContent ===
		 document.querySelector("#lines .name").textContent`)
	for _, problem := range b.Problems() {
		t.Errorf("the page logged %s", problem)
	}
}

// If a token is needed, the page asks for it, and keeps it in the tab only.
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
	b.Until("the page asks", `document.activeElement.id === "token"`)
	enter := func(secret string) {
		b.Do(chromedp.SetValue("#token", secret), chromedp.Click("#sign-in button"))
	}
	enter("wrong")
	b.Until("a wrong one is refused", `/of this gateway/.test(document.getElementById("status").textContent)`)
	b.Until("the page asks again", `document.activeElement.id === "token"`)
	enter(other)
	b.Until("one that may not see all is refused", `/does not allow/.test(document.getElementById("status").textContent)`)
	b.Until("the page asks again", `document.activeElement.id === "token"`)
	c := b.rehearsal("")
	enter(secret)
	b.Until("it is connected", `
		document.querySelectorAll("#lines .line").length === 1 && document.getElementById("sign-in").hidden`)
	b.Do(chromedp.Reload())
	b.Until("the tab keeps it", `document.querySelectorAll("#lines .line").length === 1`)
	kept := browsertest.Evaluate[string](b.Tab, `location.href + document.cookie +
		JSON.stringify(localStorage) + document.documentElement.outerHTML`)
	if strings.Contains(kept, secret) {
		t.Error("the token is in the address, in a cookie, in the local storage or in the page")
	}

	b.lose()
	if err := c.End(testwait.Context(t)); err != nil {
		t.Fatal(err)
	}
	b.rehearsal("the next one")
	b.Until("it shows what there is after a connection was lost", `document.body.dataset.state === "connected" &&
		[...document.querySelectorAll("#lines .name")].map(a => a.textContent).join() === "the next one"`)
}

// watch counts the changes in the lines of speaking conversations and in the other lines, and those
// after which a node shows what it has shown before. The maximum of a meter is set with its value.
const watch = `window.touched = { speaking: 0, others: 0, needless: 0 };
	const text = nodes => [...nodes].map(node => node.textContent).join();
	const isNeedless = record => record.type === "attributes" ?
		record.attributeName !== "max" && record.oldValue === record.target.getAttribute(record.attributeName) :
		record.type === "childList" && text(record.removedNodes) === text(record.addedNodes);
	window.begun = +document.getElementById("table").dataset.renders;
	new MutationObserver(records => {
		for (const record of records) {
			const node = record.target.nodeType === 1 ? record.target : record.target.parentElement;
			const line = node.closest(".line");
			touched[line && line.querySelector(".name").textContent === "speaker" ? "speaking" : "others"]++;
			if (isNeedless(record)) touched.needless++;
		}
	}).observe(document.getElementById("lines"),
		{ subtree: true, childList: true, attributes: true, attributeOldValue: true, characterData: true })`

// mostChanges is how many nodes of a line change at most by one message: its state and whether it
// speaks, the value and the maximum of the meter, the lead, the underruns and whether there are
// some, and the words. Where nothing is late, three of them change each time.
const mostChanges = 8

// With 200 conversations, ten of them speaking, only the lines of those ten change, a few
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
	b.Until("all are shown, and the speakers speak", fmt.Sprintf(`document.querySelectorAll("#lines .line").length === %d
		&& document.querySelectorAll("#lines [data-speaking=true]").length === %d`, many, speakers))
	b.pictures("many")
	browsertest.Evaluate[any](b.Tab, watch)
	b.Until("six messages were shown", `+document.getElementById("table").dataset.renders >= begun + 6`)
	speaking, others := browsertest.Evaluate[int](b.Tab, `touched.speaking`), browsertest.Evaluate[int](b.Tab, `touched.others`)
	shown := browsertest.Evaluate[int](b.Tab, `+document.getElementById("table").dataset.renders - begun`)
	t.Logf("%d messages changed %d nodes of %d speakers, and %d others", shown, speaking, speakers, others)
	if n := browsertest.Evaluate[int](b.Tab, `touched.needless`); n != 0 {
		t.Errorf("%d nodes were changed to what they showed before", n)
	}
	if speaking == 0 || speaking > shown*speakers*mostChanges {
		t.Errorf("%d messages changed %d nodes of %d speakers", shown, speaking, speakers)
	}
	if others != 0 {
		t.Errorf("%d nodes of conversations have changed in which nothing happened", others)
	}
	for _, problem := range b.Problems() {
		t.Errorf("the page logged %s", problem)
	}
}

// pictures saves screenshots of the page.
func (b *tab) pictures(name string) {
	for _, width := range []int64{1280, 768, 360} {
		for _, scheme := range []string{"light", "dark"} {
			b.Picture(fmt.Sprintf("%s-%d-%s", name, width, scheme), width, scheme)
		}
	}
}

// The checks of the gateway also guard the files, and a policy lets them load from and connect
// to nothing else.
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

// Package browsertest tests pages in Chromium.
package browsertest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"echocast/internal/testwait"
	"echocast/rtc/daily"
)

// limit is how long a test may use a browser. Each step is bounded by testwait.Limit.
const limit = 10 * time.Minute

// Need returns the path of Chromium. If there is none, it skips the test, or fails it if
// ECHOCAST_REQUIRE_BROWSER is set in the environment.
func Need(t testing.TB) string {
	t.Helper()
	path, err := daily.FindBrowser("")
	switch {
	case err == nil:
	case os.Getenv("ECHOCAST_REQUIRE_BROWSER") != "":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
	return path
}

// Tab is a tab of Chromium. Pages in it may play sound, and find a microphone and a camera.
type Tab struct {
	Context context.Context //nolint:containedctx // chromedp stores the tab in it
	t       testing.TB
	closing sync.Once
	reading sync.WaitGroup

	mu       sync.Mutex
	problems []string
}

// Open starts Chromium with an empty page. The browser ends with the test.
func Open(t testing.TB) *Tab {
	t.Helper()
	path := Need(t)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	allocator, stop := chromedp.NewExecAllocator(ctx, chromedp.ExecPath(path), chromedp.Headless,
		chromedp.WSURLReadTimeout(testwait.Limit), // a busy machine starts it slowly
		chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("use-fake-ui-for-media-stream", true), chromedp.Flag("use-fake-device-for-media-stream", true),
		// A machine that runs tests may have no network but loopback.
		chromedp.Flag("allow-loopback-in-peer-connection", true),
		chromedp.Flag("disable-features", "WebRtcHideLocalIpsWithMdns"))
	page, closePage := chromedp.NewContext(allocator)
	tab := &Tab{Context: page, t: t}
	t.Cleanup(func() {
		tab.Close()
		closePage()
		stop()
		cancel()
	})
	tab.Do()
	messages := chromedp.Console(page)
	tab.reading.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			tab.note(m)
		}
	})
	return tab
}

// Close closes the tab. It may be called twice.
func (b *Tab) Close() {
	b.closing.Do(func() { _ = chromedp.Cancel(b.Context) }) // it may have ended
	b.reading.Wait()
}

func (b *Tab) note(m chromedp.ConsoleMessage) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.IsException() || m.Type == "error" {
		b.problems = append(b.problems, m.String())
	}
}

// Problems returns the errors that the page has logged.
func (b *Tab) Problems() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.problems...)
}

// Do performs actions of a user in the page.
func (b *Tab) Do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.Context, actions...); err != nil {
		b.t.Fatalf("%v; %s", err, b.shown())
	}
}

// Until waits until a JavaScript expression is true. If that takes too long, it ends the
// test.
func (b *Tab) Until(what, expression string) {
	b.t.Helper()
	poll := chromedp.Poll[any](expression, chromedp.WithPollingTimeout(testwait.Limit))
	if _, err := chromedp.Run(b.Context, poll); err != nil {
		b.t.Fatalf("waiting until %s: %v; %s", what, err, b.shown())
	}
}

// Evaluate returns the value of a JavaScript expression.
func Evaluate[T any](b *Tab, script string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.Context, chromedp.Evaluate[T](script))
	if err != nil {
		b.t.Fatalf("%v; %s", err, b.shown())
	}
	return value
}

// drawn is a script that waits until the page is drawn.
const drawn = `new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`

// Picture saves a picture of the page to the folder that ECHOCAST_SCREENSHOTS names, if it
// is set. width is in pixels, and scheme is "light" or "dark".
func (b *Tab) Picture(name string, width int64, scheme string) {
	b.t.Helper()
	folder := os.Getenv("ECHOCAST_SCREENSHOTS")
	if folder == "" {
		return
	}
	b.paint(width, scheme)
	picture, err := chromedp.Run(b.Context, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o600)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.paint(1280, "light")
}

func (b *Tab) paint(width int64, scheme string) {
	b.t.Helper()
	_, err := chromedp.Call(b.Context, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	b.Do(chromedp.EmulateViewport(width, 900))
	b.Until("it is drawn", drawn)
}

// shown returns the text that the page shows.
func (b *Tab) shown() string {
	text, err := chromedp.Run(b.Context, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	for _, problem := range b.Problems() {
		text += "\nlogged: " + problem
	}
	return "the page shows\n" + text
}

package trace_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"

	"echocast/internal/testwait"
	"echocast/rtc/daily"
	"echocast/trace"
)

// browse opens a page in Chromium, in a window of some width. It returns the tab, and what
// closes it and returns the errors that the page logged. It skips the test where there is no
// browser and none is demanded.
func browse(t *testing.T, file string, width int) (tab context.Context, problems func() []string) {
	t.Helper()
	path, err := daily.FindBrowser("")
	if err != nil && os.Getenv("ECHOCAST_REQUIRE_BROWSER") != "" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
	allocator, stop := chromedp.NewExecAllocator(testwait.Context(t), chromedp.ExecPath(path), chromedp.Headless,
		chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck)
	tab, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(stop)
	t.Cleanup(closeTab)
	messages := chromedp.Console(tab) // of now on, however late they are read
	err = chromedp.Do(tab, chromedp.EmulateViewport(int64(width), 800), chromedp.Navigate("file://"+file))
	if err != nil {
		t.Fatal(err)
	}
	var logged []string
	var reading sync.WaitGroup
	reading.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			if m.IsException() || m.Type == "error" {
				logged = append(logged, m.String())
			}
		}
	})
	return tab, func() []string {
		_ = chromedp.Cancel(tab) // the test goes on without it
		reading.Wait()
		return logged
	}
}

// The page of the golden trace in Chromium, as wide as a screen and as a telephone.
func TestPageInChromium(t *testing.T) {
	in, err := os.Open("../testdata/trace/session.ndjson")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	sessions, err := trace.Sessions(in)
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	if _, err := (&trace.Page{Title: "session.ndjson", Sessions: sessions}).WriteTo(&page); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(file, page.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, width := range []int{360, 1280} {
		tab, problems := browse(t, file, width)
		for what, expression := range map[string]string{
			"the page scrolls sideways": `document.documentElement.scrollWidth > innerWidth`,
			"an audio does not load": `Promise.all([...document.querySelectorAll("audio")].map(a => new Promise(done => {` +
				` if (a.readyState) return done(a.duration > 1); a.onloadedmetadata = () => done(a.duration > 1);` +
				` a.onerror = () => done(false) }))).then(all => all.length !== 4 || all.includes(false))`,
			"labels of moments overlap": `[...document.querySelectorAll(".mark:not(.crowded) em")].map(e => ` +
				`e.getBoundingClientRect()).some((a, i, all) => all.some((b, j) => i < j && a.left < b.right && ` +
				`b.left < a.right && a.top < b.bottom && b.top < a.bottom))`,
			"a moment has no label": `document.querySelectorAll(".mark.crowded").length > 0`,
			"zooming leaves no ticks": `(() => { document.querySelector("[data-do=in]").click(); ` +
				`const n = document.querySelectorAll(".tick").length; document.querySelector("[data-do=all]").click(); ` +
				`return n < 1 })()`,
		} {
			bad, err := chromedp.Run(tab, chromedp.Evaluate[bool](expression, chromedp.EvalAwaitPromise))
			if err != nil || bad {
				t.Errorf("at %d pixels: %s (%v)", width, what, err)
			}
		}
		if logged := problems(); len(logged) > 0 {
			t.Errorf("at %d pixels the page logged %q", width, logged)
		}
	}
}

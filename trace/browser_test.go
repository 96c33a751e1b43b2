package trace_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"echocast/internal/browsertest"
	"echocast/trace"
)

// Chromium shows the page of the golden trace, at the width of a screen and of a telephone.
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
	if err := (&trace.Page{Title: "session.ndjson", Sessions: sessions}).Render(&page); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(file, page.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, width := range []int64{360, 1280} {
		tab := browsertest.Open(t)
		tab.Do(chromedp.EmulateViewport(width, 800), chromedp.Navigate("file://"+file))
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
			bad, err := chromedp.Run(tab.Context, chromedp.Evaluate[bool](expression, chromedp.EvalAwaitPromise))
			if err != nil || bad {
				t.Errorf("at %d pixels: %s (%v)", width, what, err)
			}
		}
		tab.Close()
		if logged := tab.Problems(); len(logged) > 0 {
			t.Errorf("at %d pixels the page logged %q", width, logged)
		}
	}
}

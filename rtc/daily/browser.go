package daily

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/chromedp/chromedp"

	"echocast/internal/child"
)

// quitTimeout is how long the browser may take to end before it is killed.
const quitTimeout = 2 * time.Second

// Browser is one headless Chromium that several conversations share. Each conversation has
// a tab with separate storage and a separate process. The first Join starts the browser,
// and the last Close ends it. The zero value is ready to use.
type Browser struct {
	// Path is the path of the program. If it is empty, FindBrowser looks for one.
	Path string

	flags []chromedp.ExecAllocatorOption // in tests: more flags, which come last

	mu      sync.Mutex
	running *chromium // nil when no conversation has one
}

// chromium is a browser that runs, with the server of its pages.
type chromium struct {
	tabs   context.Context //nolint:containedctx // parent of every tab; done when the browser is gone
	stop   func()          // ends the browser and waits for it
	server *server
	users  int // guarded by Browser.mu
}

// acquire returns the running browser. It starts one if none runs or if it has died. Every
// acquired browser has to be released.
func (b *Browser) acquire(ctx context.Context) (*chromium, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running == nil || b.running.tabs.Err() != nil {
		started, err := start(ctx, b.Path, b.flags)
		if err != nil {
			return nil, err
		}
		b.running = started
	}
	b.running.users++
	return b.running, nil
}

// release ends a browser that nobody uses any more.
func (b *Browser) release(c *chromium) {
	b.mu.Lock()
	c.users--
	last := c.users == 0
	if last && b.running == c {
		b.running = nil
	}
	b.mu.Unlock()
	if last {
		c.stop()
		c.server.close()
	}
}

// start starts the server and a browser. ctx bounds the start only.
func start(ctx context.Context, path string, flags []chromedp.ExecAllocatorOption) (*chromium, error) {
	path, err := FindBrowser(path)
	if err != nil {
		return nil, err
	}
	pages, err := newServer()
	if err != nil {
		return nil, err
	}
	data, err := newProfile(os.TempDir())
	if err != nil {
		pages.close()
		return nil, err
	}
	tabs, stop, err := startBrowser(ctx, append(browserOptions(path, data.folder), flags...))
	if err != nil {
		data.remove()
		pages.close()
		return nil, err
	}
	return &chromium{tabs: tabs, stop: func() { stop(); data.remove() }, server: pages}, nil
}

// startBrowser returns when the browser answers.
func startBrowser(ctx context.Context, options []chromedp.ExecAllocatorOption) (tabs context.Context,
	stop func(), err error) {
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	allocator, stopAllocator := chromedp.NewExecAllocator(running, options...)
	tabs, stopTabs := chromedp.NewContext(allocator, chromedp.WithErrorf(silent), chromedp.WithLogf(silent))
	stop = func() {
		if chromedp.FromContext(tabs).Browser != nil {
			kill := time.AfterFunc(quitTimeout, cancel)
			_ = chromedp.Cancel(tabs) // a browser that quits ends its processes
			kill.Stop()
		}
		cancel()
		stopTabs()
		stopAllocator()
	}
	keep := context.AfterFunc(ctx, cancel)
	err = chromedp.Do(tabs)
	if !keep() && err == nil {
		err = context.Cause(ctx)
	}
	if err == nil {
		return tabs, stop, nil
	}
	stop()
	return nil, nil, startError(ctx, err)
}

// silent discards what chromedp would write to standard error.
func silent(string, ...any) {}

// startError says why the browser did not start.
func startError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("the browser did not start: %v", err)
}

// browserOptions are the flags of the browser. chromedp adds those of its pipe, and
// --no-sandbox for root.
func browserOptions(path, profile string) []chromedp.ExecAllocatorOption {
	return []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path),
		chromedp.UserDataDir(profile),
		chromedp.NoInheritEnv,
		chromedp.Env(child.MinimalEnviron()...),
		chromedp.Headless,
		chromedp.DisableGPU,
		chromedp.NoFirstRun,
		chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-extensions", true),
		chromedp.Flag("disable-breakpad", true),

		// A hidden page must not be throttled.
		chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-renderer-backgrounding", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true),
		chromedp.Flag("autoplay-policy", "no-user-gesture-required"),

		// Data channels work with loopback as the only interface.
		chromedp.Flag("allow-loopback-in-peer-connection", true),
		chromedp.Flag("disable-features", "WebRtcHideLocalIpsWithMdns"),

		// Nobody can answer questions about devices, and none may be used.
		chromedp.Flag("use-fake-ui-for-media-stream", true),
		chromedp.Flag("use-fake-device-for-media-stream", true),

		// daily-js reports errors, with the address of the room, to Sentry.
		chromedp.Flag("host-resolver-rules", "MAP *.sentry.io ~NOTFOUND"),
	}
}

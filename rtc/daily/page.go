package daily

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/chromedp/cdproto/inspector"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"echocast/internal/lifetime"
	"echocast/rtc"
)

const (
	// frameLimit is the largest frame to the page in bytes, which is Chromium's limit.
	// envelopeLimit is the part of it that a message cannot use.
	frameLimit    = 256 << 10
	envelopeLimit = 1 << 10

	// answerTimeout bounds a call to the page that needs no network.
	answerTimeout = 10 * time.Second

	// linkCloseTimeout bounds closing the data channel. There is nothing left to
	// deliver, and the tab is closed next.
	linkCloseTimeout = 100 * time.Millisecond
)

// frame is a message from the page: a reply or an event.
type frame struct {
	Reply int64   `json:"reply"`
	Error *reason `json:"error"`
	Max   int     `json:"max"`

	Event  string          `json:"event"`
	From   string          `json:"from"`
	Data   json.RawMessage `json:"data"`
	Person participant     `json:"person"`
	People []participant   `json:"people"`

	Utterance int64 `json:"utterance"`
	Connected bool  `json:"connected"` // of "network"
}

// reason is an error of daily-js, or of the page when Type is empty.
type reason struct {
	Type    string `json:"type"`
	Message string `json:"msg"`
}

func (r *reason) Error() string {
	if r.Type == "" {
		return r.Message
	}
	return r.Type + ": " + r.Message
}

// page is one tab with the page in it, and the data channel to it.
type page struct {
	browser  *Browser
	chromium *chromium
	secret   string // the name of its folder
	listener *rtc.Listener
	sound    *soundServer
	tab      context.Context //nolint:containedctx // chromedp's
	closeTab func()
	abort    context.CancelCauseFunc // cancels opening
	link     *rtc.Conn
	reader   sync.WaitGroup

	mu    sync.Mutex
	calls map[int64]chan frame // calls that wait for a reply
	last  int64                // the id of the last call

	*lifetime.Lifetime
}

// openPage opens a tab, and starts a browser if necessary. It calls handle for every event,
// one at a time. ctx bounds only the opening.
func openPage(ctx context.Context, o *Options, handle func(transport, frame)) (*page, error) {
	shared, err := o.Browser.acquire(ctx)
	if err != nil {
		return nil, err
	}
	p := &page{
		browser:  o.Browser,
		chromium: shared,
		secret:   rand.Text(),
		closeTab: func() {},
		calls:    make(map[int64]chan frame),
		Lifetime: lifetime.New(),
	}
	if p.listener, err = rtc.NewListener(&rtc.Options{Backlog: 1, CloseTimeout: linkCloseTimeout}); err != nil {
		panic("internal error: " + err.Error()) // the options are ours
	}
	p.sound = &soundServer{}
	ctx, p.abort = context.WithCancelCause(ctx)
	if err := p.open(ctx, o); err != nil {
		p.close()
		return nil, err
	}
	p.reader.Go(func() { p.read(handle) })
	return p, nil
}

// open shows the page and waits for its data channel.
func (p *page) open(ctx context.Context, o *Options) error {
	address := p.chromium.server.add(p.secret, newSite(o, p.listener, p.sound))
	tabs, cancel := context.WithCancel(p.chromium.tabs)
	tab, closeTab := chromedp.NewContext(tabs, chromedp.WithNewBrowserContext())
	keep := context.AfterFunc(ctx, cancel)
	watch := context.AfterFunc(tab, func() { p.End(fmt.Errorf("%w: the browser has gone", ErrLost)) })
	p.tab = tab
	p.closeTab = func() {
		keep()
		watch()
		cancel()
		closeTab()
	}
	if err := show(tab, address, p.End); err != nil {
		return p.orCause(ctx, fmt.Errorf("%w: no tab: %v", ErrLost, err))
	}
	link, err := p.listener.Accept(ctx)
	if err != nil {
		return p.orCause(ctx, err)
	}
	p.link = link
	if !keep() {
		return p.orCause(ctx, err)
	}
	return nil
}

// show opens an address in a tab, and watches the tab.
func show(tab context.Context, address string, end func(error) error) error {
	err := chromedp.Listen(tab, func(event any) {
		switch event.(type) {
		case *inspector.EventTargetCrashed:
			end(fmt.Errorf("%w: the page has crashed", ErrLost))
		case *inspector.EventDetached:
			end(fmt.Errorf("%w: the tab was closed", ErrLost))
		}
	})
	if err != nil {
		return err
	}
	_, err = chromedp.Call(tab, cdppage.Navigate, cdppage.NavigateParams{URL: address})
	return err
}

// orCause returns the cause for which the opening was cancelled, or else err.
func (p *page) orCause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// End records why the page is over, and aborts its opening.
func (p *page) End(reason error) error {
	defer p.abort(reason)
	return p.Lifetime.End(reason)
}

// close frees the page's resources, and the browser if it was the last page.
func (p *page) close() {
	p.abort(errors.New("closed"))
	if p.link != nil {
		_ = p.link.Close()
	}
	p.reader.Wait()
	p.closeTab()
	p.chromium.server.remove(p.secret)
	_ = p.listener.Close()
	p.sound.use(nil)
	p.browser.release(p.chromium)
}

// read handles messages of the page until the data channel ends.
func (p *page) read(handle func(transport, frame)) {
	for {
		message, err := p.link.Receive(context.Background())
		if err != nil {
			p.End(fmt.Errorf("%w: no connection to the page: %v", ErrLost, err))
			return
		}
		var f frame
		if err := json.Unmarshal(message, &f); err != nil {
			p.End(fmt.Errorf("%w: the page says %.60q", ErrLost, message))
			return
		}
		if f.Event != "" {
			handle(p, f)
		} else {
			p.answer(f)
		}
	}
}

// answer passes a reply to the call that waits for it.
func (p *page) answer(f frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if waiting, found := p.calls[f.Reply]; found {
		waiting <- f
		delete(p.calls, f.Reply)
	}
}

// expect registers a call.
func (p *page) expect() (id int64, reply chan frame) {
	reply = make(chan frame, 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	p.calls[p.last] = reply
	return p.last, reply
}

// call sends a command to the page and waits for the reply. fields is the rest of a JSON
// object, after its first brace. An error that the page reports is a *reason. If the page
// ends first, the error is the cause of its end.
func (p *page) call(ctx context.Context, fields []byte) (frame, error) {
	id, reply := p.expect()
	head := strconv.AppendInt([]byte(`{"id":`), id, 10)
	head = append(head, ',')
	if err := p.link.Send(ctx, append(head, fields...)); err != nil {
		return frame{}, p.sendError(ctx, err)
	}
	select {
	case f := <-reply:
		if f.Error != nil {
			return f, f.Error
		}
		return f, nil
	case <-p.Ended():
		return frame{}, p.Cause()
	case <-ctx.Done():
		return frame{}, context.Cause(ctx)
	}
}

// sendError converts the error of a failed send to the page.
func (p *page) sendError(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, ErrTooLarge):
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, frameLimit-envelopeLimit)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return p.End(fmt.Errorf("%w: no connection to the page: %v", ErrLost, err))
}

// command encodes the fields of a call.
func command(op string, arguments map[string]any) []byte {
	arguments["op"] = op
	text, err := json.Marshal(arguments)
	if err != nil {
		panic("internal error: " + err.Error()) // strings and maps of strings
	}
	return text[1:]
}

// join enters the room. It returns the message limit that the room announces, or 0.
func (p *page) join(ctx context.Context, as *joinParams) (limit int, err error) {
	config := map[string]string{}
	if as.callMachine != "" {
		config["bundlePathOverride"] = as.callMachine
	}
	reply, err := p.call(ctx, command("join", map[string]any{
		"url":        as.address,
		"token":      as.token,
		"user_name":  as.userName,
		"microphone": as.microphone,
		"config":     config,
	}))
	return reply.Max, err
}

// send passes a message to daily-js. It takes no context: an answer takes a
// millisecond, and without one it is not known whether the message was sent.
func (p *page) send(_ context.Context, to string, msg []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	fields := make([]byte, 0, len(msg)+128)
	fields = append(fields, command("send", map[string]any{"to": to})...)
	fields = append(fields[:len(fields)-1], `,"data":`...)
	fields = append(append(fields, msg...), '}')
	_, err := p.call(ctx, fields)
	if ctx.Err() != nil {
		p.End(fmt.Errorf("%w: the page has not answered within %v", ErrLost, answerTimeout))
	}
	if r, ok := errors.AsType[*reason](err); ok && r.Type == "too-large" {
		return fmt.Errorf("%w: daily-js: %s", ErrTooLarge, r.Message)
	}
	return err
}

// unsent returns nothing: daily-js confirms each message.
func (p *page) unsent() [][]byte { return nil }

// listen makes the page send a participant's sound to a.
func (p *page) listen(ctx context.Context, session string, a *Audio) error {
	p.sound.use(a)
	_, err := p.call(ctx, command("listen", map[string]any{"session_id": session}))
	return err
}

func (p *page) leave(ctx context.Context) error {
	_, err := p.call(ctx, command("leave", map[string]any{}))
	return err
}

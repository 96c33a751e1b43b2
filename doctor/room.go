package doctor

import (
	"context"
	"echocast/internal/text"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"echocast/audio"
	"echocast/echo"
	"echocast/internal/child"
	"echocast/room"
	"echocast/room/daily"
	"echocast/room/peer"
	rtcdaily "echocast/rtc/daily"
)

// libraries tells what decodes and resamples here. Those that are linked are
// there, or this program would not run.
func (e *examination) libraries(ctx context.Context) {
	if audio.DefaultMethod() == audio.Soxr {
		e.ok("libsoxr", "linked")
		e.ok("libmpg123", "linked")
	} else {
		e.skip("libsoxr", "this is a static build, which has a filter in Go instead", "")
		e.skip("libmpg123", "this is a static build, which has go-mp3 instead: slower, and not for every MP3 file", "")
	}
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		e.skip("ffmpeg", "not installed; M4A, WebM and other recordings need it", "")
		return
	}
	e.ok("ffmpeg", "%s", describe(ctx, path, "-version"))
}

// describe is a program's path and the first line it says about itself.
func describe(ctx context.Context, path, option string) string {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	words, err := child.Command(ctx, path, option).Output()
	line := strings.TrimSpace(text.FirstLine(string(words)))
	if err != nil || line == "" {
		return path + ", which does not say its version"
	}
	return path + ": " + line[:min(len(line), 80)]
}

// wantsDaily reports whether the room is one of Daily's, or would be.
func (e *examination) wantsDaily() bool {
	backend, _ := room.Lookup(e.Address)
	_, is := backend.(*daily.Backend)
	return is || e.Address == "" && e.PAL != ""
}

// isLiveKit reports whether the room is one of LiveKit's.
func (e *examination) isLiveKit() bool {
	backend, _ := room.Lookup(e.Address)
	_, is := backend.(room.Inviter)
	return is
}

// transport tells what a room would be joined with, and why.
func (e *examination) transport(ctx context.Context) {
	switch {
	case e.isLiveKit():
		e.ok("transport", "LiveKit's SDK, since --to is the address of a LiveKit room")
		return
	case e.wantsDaily():
	case e.Address != "":
		e.ok("transport", "a WebRTC data channel, since --to is the address of echocast replica")
	default:
		e.ok("transport", "a WebRTC data channel in this process, since there is neither --to nor --pal")
	}
	e.dailyTransport(ctx)
}

// dailyTransport is how Daily rooms are joined, which is a failure only where
// there is one to be joined.
func (e *examination) dailyTransport(ctx context.Context) {
	by, err := e.Daily.Transport(false)
	if err == nil && by.Library != "" {
		_, err = by.Load()
	}
	if err != nil {
		err = e.Explain(&room.UnreachableError{Err: err})
	}
	switch {
	case err == nil && e.wantsDaily():
		e.ok("transport", "%s: %s", by.Name, by.Reason)
	case err != nil && e.wantsDaily():
		e.fail("transport", err, "without it no Daily room can be joined")
	}
	switch {
	case err != nil:
		e.skip("browser", text.FirstLine(err.Error()), "")
	case by.Browser == "":
		e.skip("browser", "none is needed", "")
	case runtime.GOOS == "windows": // it opens a window when asked
		e.ok("browser", "%s", by.Browser)
	default:
		e.ok("browser", "%s", describe(ctx, by.Browser, "--version"))
	}
	if err == nil && by.Library != "" {
		e.skip("daily-js", "none is needed", "")
		return
	}
	e.dailyJS()
}

// dailyJS tells which daily-js the page loads.
func (e *examination) dailyJS() {
	release := "release " + rtcdaily.Version
	if e.Daily.DailyJS == "" {
		cdn, _ := url.Parse(rtcdaily.CDN) // a constant
		e.ok("daily-js", "%s from %s, with the hash %s", release, cdn.Host, rtcdaily.Integrity)
		return
	}
	hash, err := rtcdaily.HashOf(e.Daily.DailyJS)
	name := filepath.Base(e.Daily.DailyJS)
	switch {
	case err != nil:
		e.fail("daily-js", &room.UnreachableError{Err: fmt.Errorf("%s: %w", e.Daily.DailyJS, text.WithoutPath(err))}, "correct --daily-js, or leave it out to load it from the public CDN")
	case hash != rtcdaily.Integrity:
		e.warn("daily-js", name+" is not "+release+", which this was tested with: its hash is "+hash, "use that, if something does not work")
	default:
		e.ok("daily-js", "%s, which is %s", name, release)
	}
}

// reachRoom looks whether the room answers, and who is there.
func (e *examination) reachRoom(ctx context.Context) {
	if e.Address == "" {
		e.skip("room", "none is named", "give --to URL")
		return
	}
	reached := e.reach(ctx)
	switch {
	case !e.Join:
		e.skip("join", "it was not asked for", "add --join")
	case !reached:
		e.skip("join", "the room does not answer", "")
	default:
		e.enter(ctx)
	}
}

// reach asks the server of the room for its page, without a token or a key.
func (e *examination) reach(ctx context.Context) bool {
	page, ok := webAddress(e.Address)
	if !ok {
		e.fail("room", &room.AddressError{Err: errors.New("not the address of a room")}, "it begins with https://, or with http:// on this machine, or with livekit+wss://")
		return false
	}
	status, err := e.get(ctx, page)
	switch {
	case err != nil:
		e.fail("room", e.Explain(&room.UnreachableError{Err: err}), "check the address, and the network")
		return false
	case status >= 500:
		e.fail("room", &room.UnreachableError{Err: fmt.Errorf("%s answers %d %s", page.Host, status, http.StatusText(status))}, "try again later")
		return false
	case status == http.StatusNotFound || status == http.StatusGone:
		e.warn("room", fmt.Sprintf("%s answers %d: the room may be over", page.Host, status), "look with --join, or with echocast conversation list")
		return true
	}
	e.ok("room", "%s answers", page.Host)
	return true
}

// webAddress is where the server of a room is asked for a page.
func webAddress(to string) (*url.URL, bool) {
	page, err := url.Parse(strings.TrimPrefix(strings.TrimPrefix(to, "daily+"), "livekit+"))
	if err != nil || page.Host == "" {
		return nil, false
	}
	page.RawQuery, page.User, page.Fragment = "", nil, ""
	switch page.Scheme {
	case "ws", "wss":
		page.Scheme, page.Path = "http"+strings.TrimPrefix(page.Scheme, "ws"), "/"
	case "http", "https":
	default:
		return nil, false
	}
	return page, true
}

// get is the status of a page. No redirect is followed.
func (e *examination) get(ctx context.Context, page *url.URL) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page.String(), nil)
	if err != nil {
		return 0, err
	}
	client := http.Client{
		Transport:     &http.Transport{TLSClientConfig: e.Peer.TLS, DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = fmt.Errorf("%s: %w", page.Host, inner.Err)
	}
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// backend joins the room with the settings of the options.
func (e *examination) backend() room.Backend {
	registered, _ := room.Lookup(e.Address) // room.Join tells the error
	switch registered.(type) {
	case *daily.Backend:
		return e.Daily
	case *peer.Backend:
		return &peer.Backend{Options: e.Peer}
	}
	return registered
}

// enter joins the room, and leaves it again.
func (e *examination) enter(ctx context.Context) {
	began := time.Now()
	joined, err := room.Join(ctx, e.Address, &room.Options{Conversation: "doctor", Backend: e.backend()})
	if err != nil {
		e.fail("join", e.Explain(err), joinFix(err))
		return
	}
	e.ok("join", "joined in %.1f s", time.Since(began).Seconds())
	if limit := joined.Limits().MaxMessage; limit > 0 {
		e.ok("message limit", "%d bytes", limit)
	} else {
		e.ok("message limit", "none")
	}
	session, err := echo.NewSession(joined.Stage(), &echo.Options{ReadyTimeout: e.ReadyTimeout})
	if err == nil {
		err = session.WaitReady(ctx)
		_ = session.Close() // never fails
	}
	_ = joined.Close() // it said nothing that could be lost
	switch {
	case errors.Is(err, echo.ErrNotReady):
		e.warn("replica", fmt.Sprintf("none has joined within %v", e.ReadyTimeout), "give it more time with --ready-timeout, or look at the conversation: echocast conversation get")
	case err != nil:
		e.fail("replica", err, "try again")
	default:
		e.ok("replica", "it is there")
	}
}

// joinFix is what to do about a room that lets nobody in.
func joinFix(err error) string {
	switch {
	case errors.Is(err, rtcdaily.ErrRefused):
		return "the room is over, full or private: see echocast conversation list, and --room-token-file"
	case errors.Is(err, rtcdaily.ErrNoBrowser):
		return "Daily rooms are joined by a browser"
	}
	return "check the address, and what is between: STUN and TURN servers are named with --ice-server"
}

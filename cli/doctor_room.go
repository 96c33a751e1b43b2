package cli

import (
	"context"
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
	"echocast/internal/environ"
	"echocast/rtc/daily"
)

// libraries tells what decodes and resamples here. Those that are linked are
// there, or this program would not run.
func (d *doctoring) libraries(ctx context.Context) {
	if audio.DefaultMethod() == audio.Soxr {
		d.ok("libsoxr", "linked")
		d.ok("libmpg123", "linked")
	} else {
		d.skip("libsoxr", "this is a static build, which has a filter in Go instead", "")
		d.skip("libmpg123", "this is a static build, which has go-mp3 instead: slower, and not for every MP3 file", "")
	}
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		d.skip("ffmpeg", "there is none, which only --ffmpeg needs", "")
		return
	}
	d.ok("ffmpeg", "%s", describe(ctx, path, "-version"))
}

// describe is a program's path and the first line it says about itself.
func describe(ctx context.Context, path, option string) string {
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, path, option)
	command.Env, command.WaitDelay = environ.WithoutSecrets(), time.Second
	text, err := command.Output()
	line := strings.TrimSpace(firstLine(string(text)))
	if err != nil || line == "" {
		return path + ", which does not say its version"
	}
	return path + ": " + line[:min(len(line), 80)]
}

// wantsDaily reports whether a Daily room is what this is about.
func (d *doctoring) wantsDaily() bool {
	_, daily := dailyAddress(d.to)
	return daily || d.to == "" && d.pal != ""
}

// transport tells what a room would be joined with, and why.
func (d *doctoring) transport(ctx context.Context) {
	switch {
	case isLiveKit(d.to):
		d.livekit()
		return
	case d.wantsDaily():
	case d.to != "":
		d.ok("transport", "a WebRTC data channel, since --to is the address of echocast replica")
	default:
		d.ok("transport", "a WebRTC data channel in this process, since there is neither --to nor --pal")
	}
	d.dailyTransport(ctx)
}

func (d *doctoring) livekit() {
	if LiveKit != nil {
		d.ok("transport", "LiveKit's SDK, since --to is the address of a LiveKit room")
		return
	}
	d.fail("transport", needsLiveKit(d.to), "put it beside echocast, or in the PATH; make build makes both")
}

// dailyTransport is how Daily rooms are joined, which is a failure only where
// there is one to be joined.
func (d *doctoring) dailyTransport(ctx context.Context) {
	way, err := d.daily.way(false)
	if err == nil && way.library != "" {
		_, err = way.load()
	}
	switch {
	case err == nil && d.wantsDaily():
		d.ok("transport", "%s: %s", way.name, way.why)
	case err != nil && d.wantsDaily():
		d.fail("transport", &unreachable{err}, "without it no Daily room can be joined")
	}
	switch {
	case err != nil:
		d.skip("browser", firstLine(err.Error()), "")
	case way.browser == "":
		d.skip("browser", "none is needed", "")
	case runtime.GOOS == "windows": // it opens a window when asked
		d.ok("browser", "%s", way.browser)
	default:
		d.ok("browser", "%s", describe(ctx, way.browser, "--version"))
	}
	if err == nil && way.library != "" {
		d.skip("daily-js", "none is needed", "")
		return
	}
	d.dailyJS()
}

// dailyJS tells which daily-js the page loads.
func (d *doctoring) dailyJS() {
	release := "release " + daily.Version
	if d.daily.dailyJS == "" {
		cdn, _ := url.Parse(daily.CDN) // a constant
		d.ok("daily-js", "%s from %s, with the hash %s", release, cdn.Host, daily.Integrity)
		return
	}
	hash, err := daily.HashOf(d.daily.dailyJS)
	name := filepath.Base(d.daily.dailyJS)
	switch {
	case err != nil:
		d.fail("daily-js", &unreachable{fmt.Errorf("%s: %w", d.daily.dailyJS, plain(err))}, "correct --daily-js, or leave it out to load it from the public CDN")
	case hash != daily.Integrity:
		d.checkup.warn("daily-js", name+" is not "+release+", which this was tested with: its hash is "+hash, "use that, if something does not work")
	default:
		d.ok("daily-js", "%s, which is %s", name, release)
	}
}

// room looks whether the room answers, and who is there.
func (d *doctoring) room(ctx context.Context) {
	if d.to == "" {
		d.skip("room", "none is named", "give --to URL")
		return
	}
	reached := d.reach(ctx)
	switch {
	case !d.joins:
		d.skip("join", "it was not asked for", "add --join")
	case !reached:
		d.skip("join", "the room does not answer", "")
	default:
		d.enter(ctx)
	}
}

// reach asks the server of the room for its page, without a token or a key.
func (d *doctoring) reach(ctx context.Context) bool {
	room, ok := webAddress(d.to)
	if !ok {
		d.fail("room", usagef("--to is no address of a room"), "it begins with https://, or with http:// on this machine, or with livekit+wss://")
		return false
	}
	status, err := d.get(ctx, room)
	switch {
	case err != nil:
		d.fail("room", asUnreachable(asPeering(err)), "check the address, and the network")
		return false
	case status >= 500:
		d.fail("room", &unreachable{fmt.Errorf("%s answers %d %s", room.Host, status, http.StatusText(status))}, "try again later")
		return false
	case status == http.StatusNotFound || status == http.StatusGone:
		d.checkup.warn("room", fmt.Sprintf("%s answers %d: the room may be over", room.Host, status), "look with --join, or with echocast conversation list")
		return true
	}
	d.ok("room", "%s answers", room.Host)
	return true
}

// webAddress is where the server of a room is asked for a page.
func webAddress(to string) (*url.URL, bool) {
	to = strings.TrimPrefix(strings.TrimPrefix(to, dailyScheme), livekitScheme)
	room, err := url.Parse(to)
	if err != nil || room.Host == "" {
		return nil, false
	}
	room.RawQuery, room.User, room.Fragment = "", nil, ""
	switch room.Scheme {
	case "ws", "wss":
		room.Scheme, room.Path = "http"+strings.TrimPrefix(room.Scheme, "ws"), "/"
	case "http", "https":
	default:
		return nil, false
	}
	return room, true
}

// get is the status of a page. No redirect is followed.
func (d *doctoring) get(ctx context.Context, page *url.URL) (int, error) {
	options, err := d.peering.options(func(string, ...any) {}) // warned before
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page.String(), nil)
	if err != nil {
		return 0, err
	}
	client := http.Client{
		Transport:     &http.Transport{TLSClientConfig: options.TLS, DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment},
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

// enter joins the room, and leaves it again.
func (d *doctoring) enter(ctx context.Context) {
	began := time.Now()
	at := &place{conversation: "doctor", limit: echo.DefaultMaxMessage}
	room, err := d.joiner(d.to, at)(ctx)
	if err != nil {
		d.fail("join", asUnreachable(err), joinFix(err))
		return
	}
	d.ok("join", "joined in %.1f s", time.Since(began).Seconds())
	d.ok("message limit", "%d bytes", room.limit)
	session, err := echo.NewSession(room.stage, &echo.Options{ReadyTimeout: d.readyTimeout})
	if err == nil {
		err = session.WaitReady(ctx)
		_ = session.Close() // never fails
	}
	_ = room.leave() // it said nothing that could be lost
	switch {
	case errors.Is(err, echo.ErrNotReady):
		d.checkup.warn("replica", fmt.Sprintf("none has joined within %v", d.readyTimeout), "give it more time with --ready-timeout, or look at the conversation: echocast conversation get")
	case err != nil:
		d.fail("replica", err, "try again")
	default:
		d.ok("replica", "it is there")
	}
}

// joinFix is what to do about a room that lets nobody in.
func joinFix(err error) string {
	switch {
	case errors.Is(err, daily.ErrRefused):
		return "the room is over, full or private: see echocast conversation list, and --room-token-file"
	case errors.Is(err, daily.ErrNoBrowser):
		return "Daily rooms are joined by a browser"
	}
	return "check the address, and what is between: STUN and TURN servers are named with --ice-server"
}

package doctor

import (
	"cmp"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
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
	"echocast/internal/text"
	"echocast/room"
	"echocast/room/daily"
	"echocast/room/peer"
	"echocast/room/rest"
	rtcdaily "echocast/rtc/daily"
)

// libraries reports the decoders and resamplers of this build. It does not check linked
// libraries, because the program does not start without them.
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

// describe returns the path of a program and the first line of its version.
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

// wantsDaily reports whether the room is a Daily room, or would be one.
func (e *examination) wantsDaily() bool {
	backend, _ := room.Lookup(e.Address)
	_, is := backend.(*daily.Backend)
	return is
}

// isREST reports whether the address is that of a conversation that is reached over REST.
func (e *examination) isREST() bool {
	backend, _ := room.Lookup(e.Address)
	_, is := backend.(*rest.Backend)
	return is
}

// isLiveKit reports whether the room is a LiveKit room.
func (e *examination) isLiveKit() bool {
	backend, _ := room.Lookup(e.Address)
	_, is := backend.(room.Inviter)
	return is
}

// transport reports how echocast joins the room, and why.
func (e *examination) transport(ctx context.Context) {
	switch {
	case e.isLiveKit():
		e.ok("transport", "LiveKit's SDK, since --to is the address of a LiveKit room")
		return
	case e.wantsDaily():
	case e.isREST():
		e.ok("transport", "requests to the REST API, since --to names a conversation of Tavus")
	case e.Address == "" && e.PAL != "":
		e.ok("transport", "requests to the REST API, since a PAL is named and no room: %s", restNote)
	case e.Address != "":
		e.ok("transport", "a WebRTC data channel, since --to is the address of echocast replica")
	default:
		e.ok("transport", "a WebRTC data channel in this process, since there is neither --to nor --pal")
	}
	e.dailyTransport(ctx)
}

// restNote says for what a conversation needs no browser.
const restNote = "an API key is enough; send --hear or --as microphone, listen, hear and " +
	"converse use the Daily room"

// dailyTransport reports how echocast joins Daily rooms. A problem counts as a failure only
// if the room is a Daily room.
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
	case runtime.GOOS == "windows": // asking for the version would open a window
		e.ok("browser", "%s", by.Browser)
	default:
		e.ok("browser", "%s", describe(ctx, by.Browser, "--version"))
	}
	if err == nil && by.Library != "" {
		e.skip("daily-js", "none is needed", "")
		return
	}
	e.dailyJS(ctx)
}

// dailyJS reports which daily-js the page loads. It contacts the public CDN only with Join,
// which loads daily-js in any case.
func (e *examination) dailyJS(ctx context.Context) {
	release := "release " + rtcdaily.Version
	if e.Daily.DailyJS == "" {
		e.cdn(ctx, release)
		return
	}
	hash, err := rtcdaily.HashOf(e.Daily.DailyJS)
	name := filepath.Base(e.Daily.DailyJS)
	switch {
	case err != nil:
		e.fail("daily-js", &room.UnreachableError{Err: fmt.Errorf("%s: %w", e.Daily.DailyJS, text.WithoutPath(err))},
			"correct --daily-js, or leave it out to load it from the public CDN")
	case hash != rtcdaily.Integrity:
		e.warn("daily-js", name+" is not "+release+", which this was tested with: its hash is "+hash,
			"use that, if something does not work")
	default:
		e.ok("daily-js", "%s, which is %s", name, release)
	}
}

func (e *examination) cdn(ctx context.Context, release string) {
	address := cmp.Or(e.CDN, rtcdaily.CDN)
	cdn, err := url.Parse(address)
	if err != nil {
		e.fail("daily-js", &room.UnreachableError{Err: err}, "correct the URL of the CDN")
		return
	}
	if !e.Join || !e.wantsDaily() {
		e.skip("daily-js", fmt.Sprintf("%s is loaded from %s, which was not asked", release, cdn.Host), "")
		return
	}
	hash, err := e.hashAt(ctx, address)
	const fix = "check the network, or name a copy with --daily-js FILE"
	switch {
	case err != nil:
		e.fail("daily-js", &room.UnreachableError{Err: fmt.Errorf("%s: %w", cdn.Host, err)}, fix)
	case hash != rtcdaily.Integrity:
		e.fail("daily-js", &room.UnreachableError{Err: fmt.Errorf("%s serves something else than %s: its hash is %s",
			cdn.Host, release, hash)}, fix)
	default:
		e.ok("daily-js", "%s from %s, with the hash %s", release, cdn.Host, hash)
	}
}

// maxScript bounds the size of daily-js in bytes.
const maxScript = 16 << 20

// hashAt returns the hash of a file on a CDN, in the form of the integrity attribute.
func (e *examination) hashAt(ctx context.Context, address string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	response, err := e.http().Do(request)
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = inner.Err
	}
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("it answers %d %s", response.StatusCode, http.StatusText(response.StatusCode))
	}
	hash := sha512.New384()
	if _, err := io.Copy(hash, io.LimitReader(response.Body, maxScript)); err != nil {
		return "", err
	}
	return "sha384-" + base64.StdEncoding.EncodeToString(hash.Sum(nil)), nil
}

// reachRoom checks that the room answers and, with Join, that the replica is in it.
func (e *examination) reachRoom(ctx context.Context) {
	if e.Address == "" {
		e.skip("room", "none is named", "give --to URL")
		return
	}
	if e.isREST() {
		e.conversation(ctx)
		return
	}
	checker, _ := e.backend().(room.Checker)
	ready := e.credentials(checker)
	reached := e.reach(ctx, checker)
	switch {
	case !ready:
		e.skip("join", "credentials are missing", "")
	case !e.Join:
		e.skip("join", "it was not asked for", "add --join")
	case !reached:
		e.skip("join", "the room does not answer", "")
	default:
		e.enter(ctx)
	}
}

// conversation checks that the conversation of a REST address is active. REST does not list
// participants, so the presence of the replica cannot be checked.
func (e *examination) conversation(ctx context.Context) {
	client, err := e.Client()
	if err != nil {
		e.fail("credentials", err, "set TAVUS_API_KEY, or name a file with --api-key-file")
		return
	}
	client.Timeout = answerTimeout
	_, id, _ := strings.Cut(e.Address, ":")
	info, err := client.Conversation(ctx, id, false)
	switch {
	case err != nil:
		e.checkService("room", err)
	case info.HasEnded():
		e.fail("room", &rest.EndedError{ID: id, Reason: info.Shutdown}, "create another: echocast conversation create")
	default:
		e.ok("room", "conversation %s is active; its face is at %s", id, info.URL)
	}
	e.skip("join", "not applicable over REST", "")
}

// credentials checks the credentials before any request, so that a missing one is not
// reported as a network problem.
func (e *examination) credentials(checker room.Checker) bool {
	if checker == nil {
		return true
	}
	if err := checker.CheckCredentials(e.Address); err != nil {
		e.fail("credentials", e.Explain(err), "set the key and the secret of the LiveKit project, "+
			"only in the environment")
		return false
	}
	e.ok("credentials", "they are in the environment")
	return true
}

// reach requests the page of the room's server, without a token or a key.
func (e *examination) reach(ctx context.Context, checker room.Checker) bool {
	if checker != nil {
		return e.reachServer(ctx, checker)
	}
	page, ok := webAddress(e.Address)
	if !ok {
		e.fail("room", &room.AddressError{Err: errors.New("not the address of a room")},
			"begin it with https://, http:// (this machine) or livekit+wss://")
		return false
	}
	status, err := e.get(ctx, page)
	switch {
	case err != nil:
		e.fail("room", e.Explain(&room.UnreachableError{Err: err}), "check the address, and the network")
		return false
	case status >= 500:
		e.fail("room", &room.UnreachableError{Err: fmt.Errorf("%s answers %d %s", page.Host, status,
			http.StatusText(status))}, "try again later")
		return false
	case status == http.StatusNotFound || status == http.StatusGone:
		e.warn("room", fmt.Sprintf("%s answers %d: the room may be over", page.Host, status),
			"look with --join, or with echocast conversation list")
		return true
	}
	e.ok("room", "%s answers", page.Host)
	return true
}

// reachServer checks the server with the check of the room's backend.
func (e *examination) reachServer(ctx context.Context, checker room.Checker) bool {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := checker.CheckServer(ctx, e.http(), e.Address); err != nil {
		e.fail("room", e.Explain(err), "check the address, and the network")
		return false
	}
	e.ok("room", "its server answers")
	return true
}

// webAddress returns the web address of a room's server.
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

// get returns the HTTP status of a page. It follows no redirects.
func (e *examination) get(ctx context.Context, page *url.URL) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page.String(), nil)
	if err != nil {
		return 0, err
	}
	response, err := e.http().Do(request)
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = fmt.Errorf("%s: %w", page.Host, inner.Err)
	}
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// http returns a client that keeps no connections and follows no redirects.
func (e *examination) http() *http.Client {
	return &http.Client{
		Transport: &http.Transport{TLSClientConfig: e.Peer.TLS, DisableKeepAlives: true,
			Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// backend returns the backend that would join the room with these options.
func (e *examination) backend() room.Backend {
	registered, _ := room.Lookup(e.Address) // room.Join reports the error
	switch registered.(type) {
	case *daily.Backend:
		return e.Daily
	case *peer.Backend:
		return &peer.Backend{Options: e.Peer}
	}
	return registered
}

// enter joins the room, waits for the replica, and leaves.
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
		_ = session.Close() // this never fails
	}
	_ = joined.Close() // nothing was sent, so nothing can be lost
	switch {
	case errors.Is(err, echo.ErrNotReady):
		e.warn("replica", fmt.Sprintf("none has joined within %v", e.ReadyTimeout),
			"give it more time with --ready-timeout, or look at the conversation: echocast conversation get")
	case err != nil:
		e.fail("replica", err, "try again")
	default:
		e.ok("replica", "it is there")
	}
}

// joinFix returns what to do if joining failed.
func joinFix(err error) string {
	switch {
	case errors.Is(err, rtcdaily.ErrRefused):
		return "the room is over, full or private: see echocast conversation list, and --room-token-file"
	case errors.As(err, new(*room.RefusedError)):
		return "check the credentials in the environment"
	case errors.Is(err, rtcdaily.ErrNoBrowser):
		return "Daily rooms are joined by a browser"
	}
	return "check the address, and what is between: STUN and TURN servers are named with --ice-server"
}

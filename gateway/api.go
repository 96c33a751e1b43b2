package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"echocast/audio"
	"echocast/echo"
	"echocast/internal/text"
)

// longestJSON is the most bytes of a body in JSON.
const longestJSON = 256 << 10

var (
	errNoPath      = errors.New("there is nothing at this path; /openapi.yaml lists what there is")
	errNoUtterance = errors.New("there is no such utterance, or it is too long ago")
	errMethod      = errors.New("this path takes another method; the header Allow names it")
	errForeign     = errors.New("a page of another origin may not ask; --allow-origin names those that may")
)

// api serves a gateway by HTTP.
type api struct {
	gateway *Gateway
	mux     *http.ServeMux
}

// route is what one method does at one path.
type route struct {
	method, path string
	serve        func(http.ResponseWriter, *http.Request) error
}

// Handler serves the gateway by HTTP.
func (g *Gateway) Handler() http.Handler {
	a := &api{gateway: g, mux: http.NewServeMux()}
	for _, r := range a.routes() {
		a.mux.HandleFunc(r.method+" "+r.path, func(w http.ResponseWriter, req *http.Request) {
			if err := r.serve(w, req); err != nil {
				a.fail(w, err)
			}
		})
	}
	return a
}

func (a *api) routes() []route {
	const one = "/v1/conversations/{id}"
	return []route{
		{"POST", "/v1/conversations", a.create},
		{"GET", "/v1/conversations", a.list},
		{"GET", one, a.get},
		{"DELETE", one, a.delete},
		{"POST", one + "/speech", a.speech},
		{"PUT", one + "/speech", a.speech},
		{"POST", one + "/interrupt", a.interrupt},
		{"GET", one + "/events", a.events},
		{"GET", "/healthz", a.health},
		{"GET", "/readyz", a.ready},
	}
}

// ServeHTTP serves a request, unless a page of another origin makes it.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
	if !a.isAllowed(r) {
		a.fail(w, errForeign)
		return
	}
	handler, pattern := a.mux.Handler(r)
	if pattern == "" {
		a.fail(w, refusal(handler, w, r))
		return
	}
	a.mux.ServeHTTP(w, r)
}

// refusal is the error for a request that no route takes.
func refusal(handler http.Handler, w http.ResponseWriter, r *http.Request) error {
	probe := &discard{header: http.Header{}}
	handler.ServeHTTP(probe, r)
	if probe.status != http.StatusMethodNotAllowed {
		return errNoPath
	}
	w.Header().Set("Allow", probe.header.Get("Allow"))
	return errMethod
}

// discard is an answer that nobody reads.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

// isAllowed reports whether a request comes from this server's own pages or from no
// page. A name that is not an address of this machine could be another site's, whose
// page points it here.
func (a *api) isAllowed(r *http.Request) bool {
	if !slices.Contains([]string{"", "none", "same-origin"}, r.Header.Get("Sec-Fetch-Site")) {
		return false
	}
	for _, origin := range r.Header.Values("Origin") {
		if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
			return false
		}
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	return host == "localhost" || net.ParseIP(strings.Trim(host, "[]")) != nil
}

// answer answers with a value in JSON.
func answer(w http.ResponseWriter, status int, value any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // a client that has left needs nothing
	return nil
}

// readJSON reads the body of a request, one JSON object.
func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, longestJSON))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil && decoder.More() {
		err = errors.New("something follows the object")
	}
	if isType[*http.MaxBytesError](err) {
		return err
	}
	if err != nil {
		return invalid("body", "it must be one JSON object: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

func (a *api) conversation(r *http.Request) (*Conversation, error) {
	return a.gateway.Get(r.PathValue("id"))
}

// create answers when the room was joined. A client that leaves before that has no
// id, so the conversation ends.
func (a *api) create(w http.ResponseWriter, r *http.Request) error {
	var spec Spec
	if err := readJSON(w, r, &spec); err != nil {
		return err
	}
	c, err := a.gateway.Create(spec)
	if err != nil {
		return err
	}
	if err := c.WaitJoined(r.Context()); err != nil {
		c.signal(End, err)
		return err
	}
	info := c.Info()
	info.Token = c.Token
	w.Header().Set("Location", "/v1/conversations/"+c.ID)
	return answer(w, http.StatusCreated, info)
}

func (a *api) list(w http.ResponseWriter, _ *http.Request) error {
	list := []Info{}
	for _, c := range a.gateway.List() {
		list = append(list, c.Info())
	}
	return answer(w, http.StatusOK, map[string]any{"conversations": list})
}

func (a *api) get(w http.ResponseWriter, r *http.Request) error {
	c, err := a.conversation(r)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, c.Info())
}

func (a *api) delete(w http.ResponseWriter, r *http.Request) error {
	c, err := a.conversation(r)
	if err != nil {
		return err
	}
	if err := c.End(r.Context()); err != nil {
		return err
	}
	return answer(w, http.StatusOK, c.Info())
}

// speech speaks the body, and answers with the receipt. When the client leaves, a
// body that has not ended breaks, and one that has is interrupted.
func (a *api) speech(w http.ResponseWriter, r *http.Request) error {
	c, err := a.conversation(r)
	if err != nil {
		return err
	}
	spoken, err := audioOf(r.URL.Query())
	if err != nil {
		return err
	}
	b := &body{from: r.Body, control: http.NewResponseController(w)}
	spoken.Body, spoken.Abort = b, b.abort
	ctx := context.WithoutCancel(r.Context())
	u, err := c.Speak(ctx, *spoken)
	if err != nil {
		return err
	}
	defer context.AfterFunc(r.Context(), func() {
		if b.hasEnded() {
			u.Cancel(errLeft)
		}
	})()
	receipt, err := u.Wait(ctx)
	w.Header().Set("Echocast-Utterance", u.ID)
	if err != nil && !isInterrupt(err) && !errors.Is(err, echo.ErrUnverified) {
		a.failWith(w, err, &receipt)
		return nil
	}
	return answer(w, http.StatusOK, SpokenPart{u.ID, receipt})
}

// longestName is the most bytes of the name of an utterance.
const longestName = 200

// audioOf reads how a body is to be spoken.
func audioOf(query url.Values) (*Audio, error) {
	known := []string{"format", "rate", "channels", "queue", "name", "text"}
	for name := range query {
		if !slices.Contains(known, name) {
			return nil, invalid(name, "there is no such parameter; there are %s", strings.Join(known, ", "))
		}
	}
	a := &Audio{Name: query.Get("name"), Text: query.Get("text"), Queue: echo.QueuePolicy(query.Get("queue"))}
	a.Prepare.MaxDuration = DefaultMaxDuration
	if len(a.Name) > longestName || a.Name != text.Printable(a.Name) {
		return nil, invalid("name", "it must be printable, and have at most %d bytes", longestName)
	}
	format := query.Get("format")
	if format == "" {
		if query.Has("rate") || query.Has("channels") {
			return nil, invalid("format", "rate and channels are those of raw samples: name their format, such as s16le")
		}
		return a, nil
	}
	raw := slices.Contains(audio.RawEncodings(), format)
	if !raw && !slices.Contains([]string{"wav", "aiff", "au", "mp3", "ogg", "flac"}, format) {
		all := strings.Join(audio.RawEncodings(), ", ")
		return nil, invalid("format", "there are %s, and wav, aiff, au, mp3, ogg and flac", all)
	}
	a.Prepare.Input = &audio.Options{Encoding: format, Raw: audio.Format{Rate: echo.DefaultRate, Channels: 1}}
	for name, into := range map[string]*int{"rate": &a.Prepare.Input.Raw.Rate, "channels": &a.Prepare.Input.Raw.Channels} {
		if !query.Has(name) {
			continue
		}
		n, err := strconv.Atoi(query.Get(name))
		if err != nil || !raw {
			return nil, invalid(name, "it is a number, and only raw samples need it")
		}
		*into = n
	}
	if err := a.Prepare.Input.Raw.Check(); err != nil {
		return nil, invalid("format", "%v", err)
	}
	return a, nil
}

func (a *api) interrupt(w http.ResponseWriter, r *http.Request) error {
	c, err := a.conversation(r)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, longestJSON)) // it says nothing
	receipts, err := c.Interrupt(r.Context())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, map[string]any{"receipts": receipts})
}

func (a *api) health(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, map[string]bool{"healthy": true})
}

func (a *api) ready(w http.ResponseWriter, _ *http.Request) error {
	if !a.gateway.IsReady() {
		return fmt.Errorf("%w, or the gateway is ending", ErrFull)
	}
	return answer(w, http.StatusOK, map[string]bool{"ready": true})
}

package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"echocast/gateway/board"
	"echocast/gateway/token"
)

// longestJSON is the largest JSON body in bytes, and jsonTimeout the time that it may take to
// arrive.
const (
	longestJSON = 256 << 10
	jsonTimeout = 10 * time.Second
)

var (
	errNoPath      = errors.New("there is nothing at this path; /openapi.yaml lists what there is")
	errNoUtterance = errors.New("there is no such utterance; only the last 100 are kept")
	errSlow        = fmt.Errorf("it took longer than %v", jsonTimeout)
	errMethod      = errors.New("this path does not take this method; the header Allow lists those that it takes")
)

// api serves a gateway by HTTP.
type api struct {
	gateway   *Gateway
	mux       *http.ServeMux
	transport *http.Transport // to other nodes
}

// route describes one method of one path.
type route struct {
	method, path string
	needs        token.Scope // scope that the token must have; empty: no token is needed
	serve        func(http.ResponseWriter, *http.Request) error
}

// Handler serves the gateway by HTTP.
func (g *Gateway) Handler() http.Handler {
	a := &api{gateway: g, mux: http.NewServeMux(), transport: http.DefaultTransport.(*http.Transport).Clone()}
	a.transport.Proxy, a.transport.DisableKeepAlives = nil, true // a node that ends closes its idle connections
	for _, r := range a.routes() {
		a.mux.HandleFunc(r.method+" "+r.path, func(w http.ResponseWriter, req *http.Request) {
			isDone, err := a.forward(w, req, req.PathValue("id"))
			if isDone {
				return
			}
			var who caller
			if err == nil {
				who, err = a.authorize(req, r.needs)
			}
			if err == nil {
				ctx := g.options.Tracer.Join(context.WithValue(req.Context(), callerKey{}, who), req.Header)
				err = r.serve(w, req.WithContext(ctx))
			}
			if err != nil {
				a.fail(w, err)
			}
		})
	}
	a.mux.HandleFunc("/openai/{conversation}/{rest...}", func(w http.ResponseWriter, req *http.Request) {
		id, _, _ := strings.Cut(req.PathValue("conversation"), ".")
		isDone, err := a.forward(w, req, id)
		if !isDone && err == nil {
			err = a.openAI(w, req)
		}
		if err != nil {
			a.fail(w, err)
		}
	})
	for _, path := range board.Paths {
		a.mux.Handle(path, board.Handler())
	}
	return a
}

func (a *api) routes() []route {
	const one = "/v1/conversations/{id}"
	return []route{
		{"POST", "/v1/conversations", token.Create, a.create},
		{"GET", "/v1/conversations", token.Create, a.list},
		{"GET", "/v1/events", token.Create, a.overview},
		{"GET", one, token.Listen, a.get},
		{"DELETE", one, token.Speak, a.delete},
		{"POST", one + "/speech", token.Speak, a.speech},
		{"PUT", one + "/speech", token.Speak, a.speech},
		{"POST", one + "/say", token.Speak, a.say},
		{"POST", one + "/messages", token.Speak, a.message},
		{"POST", one + "/bot", token.Create, a.callBot},
		{"DELETE", one + "/bot", token.Speak, a.hangUpBot},
		{"POST", one + "/interrupt", token.Speak, a.interrupt},
		{"POST", one + "/pause", token.Speak, a.pause},
		{"POST", one + "/resume", token.Speak, a.resume},
		{"GET", one + "/utterances", token.Listen, a.utterances},
		{"GET", one + "/utterances/{utterance}", token.Listen, a.utterance},
		{"GET", one + "/events", token.Listen, a.events},
		{"GET", one + "/listen", token.Listen, a.listen},
		{"POST", one + "/user", token.Speak, a.user},
		{"PUT", one + "/user", token.Speak, a.user},
		{"GET", one + "/socket", token.Speak, a.socket},
		{"GET", "/healthz", "", a.health},
		{"GET", "/readyz", "", a.ready},
		{"GET", "/metrics", token.Listen, a.metrics},
		{"GET", "/openapi.yaml", "", a.openAPI},
		{"GET", "/asyncapi.yaml", "", a.asyncAPI},
	}
}

// callerKey is the context key of the caller of a request.
type callerKey struct{}

// callerOf returns the caller of a request.
func callerOf(r *http.Request) caller {
	who, _ := r.Context().Value(callerKey{}).(caller)
	return who
}

// ServeHTTP serves a request, unless a page of another origin makes it.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
	if err := a.refuseForeign(r); err != nil {
		a.fail(w, err)
		return
	}
	if a.allowPage(w, r) {
		return
	}
	handler, pattern := a.mux.Handler(r)
	if pattern == "" {
		a.fail(w, refusal(handler, w, r))
		return
	}
	a.mux.ServeHTTP(w, r)
}

// refusal returns the error for a request that no route matches.
func refusal(handler http.Handler, w http.ResponseWriter, r *http.Request) error {
	probe := &discardWriter{header: http.Header{}}
	handler.ServeHTTP(probe, r)
	if probe.status != http.StatusMethodNotAllowed {
		return errNoPath
	}
	w.Header().Set("Allow", probe.header.Get("Allow"))
	return errMethod
}

// discardWriter is a ResponseWriter that discards the body of the answer.
type discardWriter struct {
	header http.Header
	status int
}

func (d *discardWriter) Header() http.Header         { return d.header }
func (d *discardWriter) Write(p []byte) (int, error) { return len(p), nil }
func (d *discardWriter) WriteHeader(status int)      { d.status = status }

// answer answers with a value in JSON.
func answer(w http.ResponseWriter, status int, value any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // an error means that the client has left
	return nil
}

// readJSON reads the body of a request, one JSON object.
func readJSON(w http.ResponseWriter, r *http.Request, into any) error {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(jsonTimeout)) // not supported by the recorder of the tests
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, longestJSON))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if err == nil && decoder.More() {
		err = errors.New("something follows the object")
	}
	if isType[*http.MaxBytesError](err) {
		return err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &CutError{errSlow}
	}
	if err != nil {
		return invalid("body", "it must be one JSON object: %s", whyNoObject(err))
	}
	return nil
}

// whyNoObject says in plain words why something is not the JSON object that it should be: package
// json names types of Go.
func whyNoObject(err error) string {
	wrong, isWrong := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case isWrong && wrong.Field == "":
		return "it is of another kind: " + wrong.Value
	case isWrong:
		return fmt.Sprintf("the value of %q is of the wrong kind: %s", wrong.Field, wrong.Value)
	case errors.Is(err, io.EOF):
		return "it is empty"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "it breaks off"
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

// conversation returns the conversation that a request names.
func (a *api) conversation(r *http.Request) (*Conversation, error) {
	return a.conversationOf(r.Context(), r.PathValue("id"))
}

// conversationOf returns a conversation by its id. If this node is taking it over, it waits
// until that is done. If it has ended on another node, it is rebuilt from what was kept.
func (a *api) conversationOf(ctx context.Context, id string) (*Conversation, error) {
	c, err := a.gateway.Get(id)
	if err != nil {
		return a.gateway.revive(ctx, id)
	}
	if a.gateway.options.Cluster != nil && c.State() == Starting {
		_ = c.WaitJoined(ctx) // the answer reports the outcome
	}
	if c.isMoving() {
		return nil, errMoved
	}
	return c, nil
}

// create answers when the room was joined. If the client leaves before that, nobody knows the
// id, so the conversation ends, unless the client can repeat the request with its key.
func (a *api) create(w http.ResponseWriter, r *http.Request) error {
	if a.forwardCreation(w, r) {
		return nil
	}
	var spec Spec
	if err := readJSON(w, r, &spec); err != nil {
		return err
	}
	key, err := idempotencyKey(r)
	if err != nil {
		return err
	}
	c, err := a.gateway.createWithin(r.Context(), spec, Creator{callerOf(r).name, key})
	if err != nil {
		return err
	}
	if err := c.WaitJoined(r.Context()); err != nil {
		if r.Context().Err() == nil || key == "" {
			c.signal(End, err)
		}
		return err
	}
	info := c.Info()
	info.Token = c.Token
	w.Header().Set("Location", "/v1/conversations/"+c.ID)
	return answer(w, http.StatusCreated, info)
}

func (a *api) list(w http.ResponseWriter, r *http.Request) error {
	list := []json.RawMessage{}
	for _, c := range a.listAll(r) {
		list = append(list, c.info)
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

func (a *api) metrics(w http.ResponseWriter, r *http.Request) error {
	a.gateway.metrics.handler().ServeHTTP(w, r)
	return nil
}

func (a *api) health(w http.ResponseWriter, _ *http.Request) error {
	return answer(w, http.StatusOK, map[string]bool{"healthy": true})
}

func (a *api) ready(w http.ResponseWriter, _ *http.Request) error {
	if err := a.gateway.admits(); err != nil {
		return err
	}
	return answer(w, http.StatusOK, map[string]bool{"ready": true})
}

// Package openai lets programs that use OpenAI's protocols speak through a replica. They only
// need another base URL. The package is a proxy between the program and the service: it
// forwards everything, and lets the replica say the audio.
//
//	POST /v1/audio/speech   the answer goes to the program byte for byte, and is spoken
//	GET  /v1/realtime       a WebSocket: every message is forwarded, both ways, byte for
//	                        byte; the audio of the service is spoken
//	anything else           is forwarded
//
// # Realtime
//
// The service makes audio faster than it plays, so only the player knows what was heard. The
// replica is interrupted when the user begins to speak, in the session
// (input_audio_buffer.speech_started) or in the room, or when the program cancels or
// truncates. Then the Proxy tells the service how much was heard of each part, according to
// the receipt:
//
//	{"event_id":"echocast_…","type":"conversation.item.truncate","item_id":"item_1","content_index":0,"audio_end_ms":1480}
//
// If a program truncates a part itself, the Proxy does not. The service's answers to these
// events go to the program as well, except errors. Events are understood by their current
// names (response.output_audio.delta) and by the earlier ones (response.audio.delta). A
// program that does not want the audio adds echocast-audio=none to the query of the address,
// or the header Echocast-Audio: none.
//
// The facts are from https://platform.openai.com/docs/api-reference/realtime and the types of
// the npm package openai.
package openai

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"mime"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"

	"echocast/audio"
	"echocast/echo"
	"echocast/playout"
)

// DefaultUpstream is OpenAI's own service.
const DefaultUpstream = "https://api.openai.com/v1"

// How a client asks for a Realtime session without audio.
const (
	audioParameter = "echocast-audio"
	audioHeader    = "Echocast-Audio"
)

const (
	maxRequest = 1 << 20  // bytes of a request that are inspected
	maxWaiting = 64 << 20 // bytes of audio that wait to be spoken before the client is held back
)

// Options say who speaks, and where the service is.
type Options struct {
	Upstream    string          // URL of the service, or of any with the same protocols; empty: DefaultUpstream
	Speaker     playout.Speaker // the replica, such as an *echo.Session
	SpeakerRate int             // Hz that it takes; 0: echo.DefaultRate
	FFmpeg      string          // decodes AAC; empty: AAC is not spoken
	FFmpegSlots chan struct{}   // limits its processes; see audio.Options
	// Cuts calls cut whenever the room's user begins to speak, until ctx ends, as UserCuts
	// does. Nil: only events of the service and of the client interrupt the replica.
	Cuts func(ctx context.Context, cut func())
	// Transport makes the requests to the service; nil: http.DefaultTransport.
	Transport http.RoundTripper
	// Warn, if it is set, is called with a sentence about what could not be spoken.
	Warn func(text string)
}

// Proxy serves one conversation. It is an http.Handler for paths that begin with /v1.
type Proxy struct {
	options   Options
	upstream  *url.URL
	transport http.RoundTripper
	forward   *httputil.ReverseProxy

	ctx     context.Context //nolint:containedctx // of what is spoken, until Close
	stop    context.CancelCauseFunc
	running sync.WaitGroup

	mu       sync.Mutex
	isClosed bool
}

// New returns a proxy. Close ends it.
func New(o Options) (*Proxy, error) {
	if o.Upstream == "" {
		o.Upstream = DefaultUpstream
	}
	upstream, err := url.Parse(o.Upstream)
	if err != nil || upstream.Host == "" || upstream.Scheme != "http" && upstream.Scheme != "https" {
		return nil, fmt.Errorf("openai: %s is not the address of a service, such as %s", o.Upstream, DefaultUpstream)
	}
	p := &Proxy{options: o, upstream: upstream, transport: o.Transport}
	if p.transport == nil {
		p.transport = http.DefaultTransport
	}
	p.ctx, p.stop = context.WithCancelCause(context.Background())
	p.forward = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL, r.Out.Host = p.target(r.In.URL), ""
			r.Out.Header.Del("Cookie")
		},
		Transport: p.transport, FlushInterval: -1, ModifyResponse: p.speak,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, "the service cannot be reached: "+err.Error(), http.StatusBadGateway)
		},
		ErrorLog: log.New(io.Discard, "", 0), // of answers that break off: the client sees that
	}
	return p, nil
}

// Close ends what is spoken, and waits for the end. It may be called twice.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.isClosed = true
	p.mu.Unlock()
	p.stop(echo.ErrStopped)
	p.running.Wait()
}

// begin registers one more operation that Close waits for, unless Close was called.
func (p *Proxy) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.isClosed {
		p.running.Add(1)
	}
	return !p.isClosed
}

// ServeHTTP forwards a request, and speaks the audio of the answer.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/v1/realtime" && r.Header.Get("Upgrade") != "":
		p.realtime(w, r)
	case r.URL.Path == "/v1/audio/speech" && r.Method == http.MethodPost:
		r, err := withRequest(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.forward.ServeHTTP(w, r)
	default:
		p.forward.ServeHTTP(w, r)
	}
}

// speechRequest is the part of a request to /v1/audio/speech that matters here.
type speechRequest struct {
	Input          string `json:"input"`
	ResponseFormat string `json:"response_format"`
}

type requestKey struct{}

// withRequest returns the request with a context that says what it asks for. The body stays as
// it is. The error is a read error of the body.
func withRequest(r *http.Request) (*http.Request, error) {
	var asked speechRequest
	read, err := io.ReadAll(io.LimitReader(r.Body, maxRequest))
	if err != nil {
		return nil, err
	}
	_ = json.Unmarshal(read, &asked) // the service reports what is wrong
	rest := r.Body
	r = r.WithContext(context.WithValue(r.Context(), requestKey{}, asked))
	r.Body = io.NopCloser(bytes.NewReader(read))
	if len(read) == maxRequest { // a body that was read whole must not be read again: the server closes it
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(read), rest))
	}
	r.Header.Set("Accept-Encoding", "identity")
	return r, nil
}

// speak lets the replica say an answer of /v1/audio/speech while it is forwarded.
func (p *Proxy) speak(response *http.Response) error {
	asked, ok := response.Request.Context().Value(requestKey{}).(speechRequest)
	if !ok || response.StatusCode != http.StatusOK || !p.begin() {
		return nil
	}
	tee := newTee(response.Body, maxWaiting)
	response.Body = tee
	how := encodingOf(response.Header.Get("Content-Type"), asked.ResponseFormat)
	go func() {
		defer p.running.Done()
		if err := p.say(tee, asked, how); err != nil && p.options.Warn != nil {
			p.options.Warn(fmt.Sprintf("an answer of /v1/audio/speech was not spoken in full: %v", err))
		}
	}()
	return nil
}

// encodingOf says how to decode an answer.
func encodingOf(contentType, responseFormat string) *audio.Options {
	raw := audio.Format{Rate: 24000, Channels: 1}
	encoding := ""
	if responseFormat == "pcm" {
		encoding = "s16le"
	}
	switch kind, _, _ := mime.ParseMediaType(contentType); kind {
	case "text/event-stream":
		return &audio.Options{Encoding: "ndjson", Raw: raw, JSON: audio.JSONOptions{
			Field: "audio", Type: "audio.delta", Payload: "base64", Encoding: encoding,
		}}
	case "audio/pcm", "audio/l16":
		encoding = "s16le"
	}
	return &audio.Options{Encoding: encoding, Raw: raw, TrustHeader: true}
}

// say speaks what a tee has read.
func (p *Proxy) say(tee *tee, asked speechRequest, how *audio.Options) error {
	defer tee.leave()
	how.FFmpeg, how.FFmpegSlots = p.options.FFmpeg, p.options.FFmpegSlots
	stop := context.AfterFunc(p.ctx, tee.leave)
	defer stop()
	prepared, err := audio.Prepare(p.ctx, tee.reader(), &audio.PrepareOptions{Input: how, Rate: p.options.SpeakerRate})
	if err != nil {
		return err
	}
	defer prepared.Close() //nolint:errcheck // nothing was written
	_, err = p.options.Speaker.Speak(p.ctx, echo.Speech{
		Samples: prepared, Name: "/v1/audio/speech", Text: asked.Input, Abort: tee.leave,
	})
	return err
}

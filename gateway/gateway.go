// Package gateway holds many conversations in one process, and lets programs speak
// in them by HTTP, so that nobody starts a process for each.
//
//	POST   /v1/conversations                create one: {"to":"rehearsal"}
//	GET    /v1/conversations                list them
//	GET    /v1/conversations/ID             its state
//	DELETE /v1/conversations/ID             end it
//	POST   /v1/conversations/ID/speech      speak the body, and answer with the receipt
//	POST   /v1/conversations/ID/interrupt   stop the replica, and drop what waits
//	GET    /v1/conversations/ID/events      what happens, as server-sent events
//	GET    /v1/conversations/ID/socket      speak and follow by one WebSocket
//	GET    /v1/events                       the state of all conversations
//
// The documents at /openapi.yaml and /asyncapi.yaml describe all of it.
//
// A Conversation is one room with one session. Its states are those of State, and
// one function says what follows after each signal. Its utterances wait in one queue
// and are spoken one after the other; each ends in a receipt. What happens is kept
// in a bounded history, from which everybody reads at their own speed: a slow reader
// receives an event "gap" with the number of entries it missed, and holds up nobody.
//
// Errors are application/problem+json (RFC 9457) with the words that the program
// echocast has for them.
package gateway

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"echocast/carrier"
	"echocast/echo"
	"echocast/gateway/token"
	"echocast/internal/certfile"
	"echocast/internal/redact"
	"echocast/room"
	"echocast/room/rest"
	"echocast/tavus"
)

// Options configure a gateway. The zero value of each field means the default.
type Options struct {
	// Rehearse gives every conversation a stand-in replica.
	Rehearse bool
	// Client creates and ends conversations of Tavus; nil: none can be created.
	Client *tavus.Client
	// Backend returns the backend that joins an address; nil: the registered one.
	Backend func(address string) (room.Backend, error)
	// OpenAI is the URL of the service to which requests of OpenAI's protocols are forwarded;
	// empty: OpenAI's own.
	OpenAI string
	// FFmpeg is the program that decodes audio which echocast does not read, usually
	// "ffmpeg"; empty: such audio is refused.
	FFmpeg string
	// Insecure permits LiveKit rooms and bots on other machines without TLS.
	Insecure bool
	// MaxConversations limits the open conversations; 0: 100.
	MaxConversations int
	// MaxLateness is the lateness of chunks, at the 99th percentile over the last seconds,
	// beyond which no new conversation is accepted; 0: DefaultMaxLateness.
	MaxLateness time.Duration
	// MaxPerToken limits the open conversations of one token; 0: no limit.
	MaxPerToken int
	// Drain bounds how long utterances may continue after the gateway was told to end; 0: 30
	// s.
	Drain time.Duration
	// Tokens say who may do what; nil: everybody who reaches the gateway may do everything, so
	// only this machine may reach it.
	Tokens *token.File
	// AllowOrigins are the origins of other sites from which pages may send requests, such as
	// https://app.example.
	AllowOrigins []string
	// BotHosts are the hosts on which bots may be called, such as bots.example, *.bots.example
	// or 127.0.0.1:9000. With Rehearse, bots on this machine may be called as well.
	BotHosts []string
	// TwilioAuthToken signs the calls of bots as Twilio does; empty: they are not signed.
	TwilioAuthToken string
	// Certificate is what TLS presents; nil: there is no TLS.
	Certificate *certfile.File
	// Reload receives a signal when Tokens and Certificate should be read again; nil: never.
	Reload <-chan os.Signal
	// Cluster shares the conversations with other nodes; nil: there are none.
	Cluster Cluster
	// Log receives what the gateway does; nil: it logs nothing.
	Log *slog.Logger
	// Tracer makes spans of conversations and utterances; nil: none are made.
	Tracer Tracer
}

// Defaults of Options.
const (
	DefaultMaxConversations = 100
	DefaultDrain            = 30 * time.Second
)

// maxFFmpegs limits the utterances that ffmpeg decodes at a time, including those that wait
// for their turn.
const maxFFmpegs = 32

// keptEnded is how many ended conversations are kept for requests.
const keptEnded = 100

// Errors that callers may test with errors.Is.
var (
	ErrNotFound = errors.New("there is no such conversation")
	ErrFull     = errors.New("all slots for conversations are taken")
	ErrDraining = errors.New("the gateway is ending and takes nothing new")
	ErrEnded    = errors.New("the conversation has ended")
	// ErrLate says that the chunks of the open conversations already leave too late.
	ErrLate = errors.New("this machine is overloaded: audio is sent too late")
	// ErrTokenFull says that one token has too many conversations.
	ErrTokenFull = errors.New("this token already has its maximum of conversations")
)

// Gateway is the registry of conversations. Its methods may be called from any
// goroutine.
type Gateway struct {
	options Options
	log     *slog.Logger
	rest    *rest.Backend // nil without a client
	secrets redact.Growing
	late    *lateness
	metrics *metrics
	running sync.WaitGroup // conversations
	closed  chan struct{}  // closed when all have ended after Close
	ffmpegs chan struct{}  // limits the processes
	dialBot func(ctx context.Context, address string, header http.Header) (carrier.Conn, error)

	closing  sync.Once
	mu       sync.Mutex
	draining bool
	all      map[string]*Conversation // those that have not ended, by id
	ended    []*Conversation          // the last that have
}

// New returns a gateway without conversations. Close ends it.
func New(options *Options) *Gateway {
	g := &Gateway{all: map[string]*Conversation{}, closed: make(chan struct{}), ffmpegs: make(chan struct{}, maxFFmpegs),
		dialBot: carrier.Dial}
	if options != nil {
		g.options = *options
	}
	if g.options.MaxConversations == 0 {
		g.options.MaxConversations = DefaultMaxConversations
	}
	if g.options.Drain == 0 {
		g.options.Drain = DefaultDrain
	}
	if g.log = g.options.Log; g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if g.options.Tracer == nil {
		g.options.Tracer = noTracer{}
	}
	if g.options.MaxLateness == 0 {
		g.options.MaxLateness = DefaultMaxLateness
	}
	g.late = newLateness()
	g.metrics = newMetrics(g)
	if g.options.Client != nil {
		g.rest = &rest.Backend{Client: g.options.Client}
	}
	return g
}

// Creator identifies who creates a conversation.
type Creator struct {
	Name string // of the token
	// Key identifies the request, so that a repeated request creates one conversation; empty:
	// each request creates one.
	Key string
}

// Create begins a conversation and returns at once: WaitJoined waits until its room
// was joined. The error is an *InvalidError, ErrFull, ErrTokenFull or ErrDraining.
func (g *Gateway) Create(spec Spec, by Creator) (*Conversation, error) {
	return g.createWithin(context.Background(), spec, by)
}

// createWithin creates a conversation. Its span is a child of the span of ctx.
func (g *Gateway) createWithin(ctx context.Context, spec Spec, by Creator) (*Conversation, error) {
	if g.options.Rehearse {
		if spec.To != "" && spec.To != Rehearsal || spec.PAL != "" {
			return nil, invalid("to", "this gateway rehearses: leave out to and pal, or start it without --rehearse")
		}
		spec.To = Rehearsal
	}
	if err := spec.check(); err != nil {
		return nil, err
	}
	if (spec.PAL != "" || kindOf(&spec) == viaREST) && g.options.Client == nil {
		return nil, invalid("pal", "this gateway has no API key of Tavus: start it with TAVUS_API_KEY or --api-key-file")
	}
	if spec.Bot != nil {
		if err := g.options.checkBotHost(spec.Bot); err != nil {
			return nil, err
		}
	}
	g.hide(&spec)
	g.mu.Lock()
	defer g.mu.Unlock()
	if c := g.createdBy(by); c != nil {
		if !reflect.DeepEqual(c.Spec, spec) {
			return nil, invalid("Idempotency-Key", "this key was used for another conversation")
		}
		return c, nil
	}
	err := g.refusal()
	if err == nil && g.options.MaxPerToken > 0 && g.countOf(by.Name) >= g.options.MaxPerToken {
		err = ErrTokenFull
	}
	if err != nil {
		g.metrics.refused.WithLabelValues(reasons[err]).Inc()
		return nil, err
	}
	c := newConversation(g, spec)
	c.by = by
	if by.Key != "" && g.options.Cluster != nil {
		c.ID = idOf(by)
	}
	if g.all[c.ID] != nil { // this node takes it over, and does not know its creator yet
		return nil, errNoOwner
	}
	c.trace(ctx)
	g.metrics.created.WithLabelValues(c.kind).Inc()
	g.all[c.ID] = c
	g.running.Go(c.run)
	return c, nil
}

// reasons are the words of the metrics for refusals.
var reasons = map[error]string{ErrDraining: "draining", ErrFull: "slots", ErrLate: "lateness", ErrTokenFull: "token"}

// refusal returns why no conversation can be created, or nil. The gateway is locked.
func (g *Gateway) refusal() error {
	if err := g.storeFailure(); err != nil && !g.draining {
		return err
	}
	return g.overload()
}

// overload returns why this node can take no conversation, or nil. The gateway is locked.
func (g *Gateway) overload() error {
	switch {
	case g.draining:
		return ErrDraining
	case len(g.all) >= g.options.MaxConversations:
		return ErrFull
	case g.late.p99(time.Now()) > g.options.MaxLateness:
		return ErrLate
	}
	return nil
}

// admits returns why no conversation can be created now, or nil.
func (g *Gateway) admits() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refusal()
}

// createdBy returns the conversation that was created with a key, unless its creation failed.
// The gateway is locked.
func (g *Gateway) createdBy(by Creator) *Conversation {
	if by.Key == "" {
		return nil
	}
	for _, c := range g.all {
		if c.by == by {
			return c
		}
	}
	for _, c := range g.ended {
		if c.by == by && c.wasOpen.Load() {
			return c
		}
	}
	return nil
}

// countOf returns how many conversations a token has. The gateway is locked.
func (g *Gateway) countOf(name string) (n int) {
	for _, c := range g.all {
		if c.by.Name == name {
			n++
		}
	}
	return n
}

// hide registers the query of each address, and each value in it, as a secret.
func (g *Gateway) hide(s *Spec) {
	addresses := []string{s.To}
	if s.Bot != nil {
		addresses = append(addresses, s.Bot.URL)
	}
	for _, address := range addresses {
		_, query, _ := strings.Cut(address, "?")
		g.secrets.Add(query)
		values, _ := url.ParseQuery(query) // despite an error it returns the values that it could read
		for _, all := range values {
			g.secrets.Add(all...)
		}
	}
}

// withoutSecrets returns the receipt with the secrets removed from its error.
func (g *Gateway) withoutSecrets(r echo.Receipt) echo.Receipt {
	r.Error = g.secrets.Secrets().Text(r.Error)
	return r
}

// Get returns a conversation by its id. It may be one of the last that have ended.
func (g *Gateway) Get(id string) (*Conversation, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c, ok := g.all[id]; ok {
		return c, nil
	}
	for _, c := range g.ended {
		if c.ID == id {
			return c, nil
		}
	}
	return nil, ErrNotFound
}

// List returns the conversations that have not ended, the oldest first.
func (g *Gateway) List() []*Conversation {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]*Conversation, 0, len(g.all))
	for _, c := range g.all {
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b *Conversation) int {
		if n := a.Created.Compare(b.Created); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

// forget moves a conversation to those that have ended.
func (g *Gateway) forget(c *Conversation) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all[c.ID] == c { // this node may have taken it over again
		delete(g.all, c.ID)
	}
	if c.isMoving() {
		return // it continues on another node
	}
	g.ended = append(g.ended, c)
	g.ended = slices.Delete(g.ended, 0, max(0, len(g.ended)-keptEnded))
}

// Close creates no more conversations. Utterances may continue for Options.Drain or until ctx
// ends; then it interrupts them, and ends all conversations. It returns when all have ended,
// and may be called again.
func (g *Gateway) Close(ctx context.Context) {
	g.mu.Lock()
	g.draining = true
	g.mu.Unlock()
	all := g.List()
	handsOver := len(all) > 0 && g.hasOthers(ctx)
	for _, c := range all {
		c.drain(handsOver)
	}
	ctx, cancel := context.WithTimeout(ctx, g.options.Drain)
	defer cancel()
	for _, c := range all {
		select {
		case <-c.over:
		case <-ctx.Done():
			c.endDraining()
		}
	}
	g.running.Wait()
	g.closing.Do(func() { close(g.closed) })
}

// idOf returns the id of a conversation that is created with a key: the same on all nodes.
func idOf(by Creator) string {
	sum := sha256.Sum256([]byte(by.Name + "\x00" + by.Key))
	return hex.EncodeToString(sum[:8])
}

// placeTries is how often a node that ends asks whether another has a slot: a busy node
// answers late.
const placeTries = 100

// hasOthers reports whether another node can take conversations.
func (g *Gateway) hasOthers(ctx context.Context) bool {
	for range placeTries {
		if g.options.Cluster == nil {
			return false
		}
		if _, isHere := g.options.Cluster.Place(ctx); !isHere {
			return true
		}
	}
	return false
}

// newSecret returns 32 random bytes, and newID 8, in hexadecimal.
func newSecret() string { return randomHex(32) }
func newID() string     { return randomHex(8) }

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

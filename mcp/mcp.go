// Package mcp lets an agent make a replica speak. It is a server of the Model Context
// Protocol (https://modelcontextprotocol.io) with these tools:
//
//	speak      speaks an audio file
//	say        says a text, in the replica's own voice
//	interrupt  stops the replica, and drops what waits
//	listen     returns the events of the room since the last call
//	heard      returns what was heard of the utterances so far
//
// The protocol is JSON-RPC with one message per line; the official SDK implements it. If
// the agent asks not to wait, the call returns while the utterance continues, and the tool
// heard returns its receipt later.
package mcp

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"echocast/echo"
)

// Limits on what is kept for the agent.
const (
	maxEvents   = 1000
	maxReceipts = 100
	maxSpeaking = 32 // utterances that are spoken or wait, at most
)

// maxDuration bounds the length of an audio file, because a conversation costs money until
// it ends.
const maxDuration = 30 * time.Minute

// orderWindow is how long an event is held back, in case an earlier event arrives after it.
const orderWindow = 200 * time.Millisecond

// maxListen bounds the wait of one call of listen. Clients cancel calls that take longer
// than a minute.
const maxListen = 50 * time.Second

// Server serves one session to one agent.
type Server struct {
	session *echo.Session
	server  *sdk.Server
	ctx     context.Context //nolint:containedctx // context of utterances for which no call waits
	stop    context.CancelFunc
	running sync.WaitGroup // goroutines of utterances and of follow

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at every event
	order    *echo.Sequencer
	events   []echo.Event // events in order
	first    int          // number of events[0], counted from 0
	ended    error        // why there are no more events
	receipts []echo.Receipt
	active   map[chan struct{}]context.CancelCauseFunc // of unfinished utterances, each with a channel for its end
	isClosed bool
}

// New returns a Server for a session whose replica has joined. It starts to receive the
// session's events. version is shown to the agent. The caller closes the Server.
func New(session *echo.Session, version string) *Server {
	s := &Server{session: session, changed: make(chan struct{}), active: map[chan struct{}]context.CancelCauseFunc{},
		order: echo.NewSequencer(orderWindow)}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.server = sdk.NewServer(&sdk.Implementation{Name: "echocast", Title: "echocast: a replica speaks",
		Version: version}, nil)
	sdk.AddTool(s.server, &sdk.Tool{
		Name: "speak",
		Description: "Speak an audio file (WAV, MP3, Ogg, FLAC and others) through the replica, exactly as " +
			"it is. Returns the receipt: what was sent, and what was heard.",
	}, s.speak)
	sdk.AddTool(s.server, &sdk.Tool{
		Name:        "say",
		Description: "Say a text word for word, in the replica's own voice.",
	}, s.say)
	sdk.AddTool(s.server, &sdk.Tool{
		Name:        "interrupt",
		Description: "Stop the replica at once, and drop the utterances that wait. Returns how much was heard.",
	}, s.interrupt)
	sdk.AddTool(s.server, &sdk.Tool{
		Name: "listen",
		Description: "Return the events of the room after a cursor: who speaks, what the user said, tool calls. " +
			"Waits for the first one.",
		Annotations: &sdk.ToolAnnotations{ReadOnlyHint: true},
	}, s.listen)
	sdk.AddTool(s.server, &sdk.Tool{
		Name: "heard",
		Description: "Return what the replica is doing, and the receipts of the utterances so far: how long " +
			"each was heard, and how that is known.",
		Annotations: &sdk.ToolAnnotations{ReadOnlyHint: true},
	}, s.heard)
	s.running.Go(s.follow)
	return s
}

// Serve serves the protocol over in and out until in or ctx ends. The end of in is no
// error.
func (s *Server) Serve(ctx context.Context, in io.ReadCloser, out io.WriteCloser) error {
	err := s.server.Run(ctx, &sdk.IOTransport{Reader: in, Writer: out})
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Close ends the running utterances, and waits for them.
func (s *Server) Close() error {
	s.mu.Lock()
	s.isClosed = true
	s.mu.Unlock()
	s.stop()
	s.running.Wait()
	return nil
}

// follow receives the events of the session.
func (s *Server) follow() {
	for event, err := range s.session.Events(s.ctx) {
		s.mu.Lock()
		if err != nil {
			s.ended = err
		} else {
			s.order.Add(time.Now(), event)
		}
		close(s.changed)
		s.changed = make(chan struct{})
		s.mu.Unlock()
	}
}

// sort takes the events that are due from the sequencer. The caller holds the lock.
func (s *Server) sort(now time.Time) {
	for {
		event, _, ok := s.order.Next(now)
		if !ok {
			break
		}
		s.events = append(s.events, event)
	}
	if n := len(s.events) - maxEvents; n > 0 {
		s.events = slices.Delete(s.events, 0, n)
		s.first += n
	}
}

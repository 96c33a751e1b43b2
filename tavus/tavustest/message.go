package tavustest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"echocast/replica"
)

// Limits of send-app-message.
const (
	maxMessage    = 65536
	messages      = 120
	messageWindow = time.Minute
)

// AppMessages configures send-app-message and the replicas of the stand-in. The zero value
// answers at once and sends no webhooks.
type AppMessages struct {
	// Latency returns the duration of the next request. Half of it passes before, and half
	// after delivery to the replica. nil means no delay.
	Latency func() time.Duration
	// JoinDelay is the time from the creation of a conversation until its replica joins.
	// Messages that arrive earlier wait for the replica.
	JoinDelay time.Duration
	// Replica configures the replicas. nil means the defaults. All conversations use its
	// Record, so with a Record only one conversation may run at a time.
	Replica *replica.Options
	// Webhook is called with each event of a replica and the callback_url of its
	// conversation. It may block. If it is nil, the stand-in posts the event to the
	// callback_url, if there is one.
	Webhook func(callback string, event []byte)
}

// live is the replica of a conversation.
type live struct {
	conn   *palConn
	done   chan struct{} // closed when the replica has ended
	report replica.Report
	isBusy bool // a request is being delivered to the replica
}

// palConn is a replica.Conn. It receives the messages of requests, and sends events as
// webhooks.
type palConn struct {
	inbox   chan []byte
	webhook func(event []byte)
}

// Send implements replica.Conn.
func (c *palConn) Send(_ context.Context, event []byte) error {
	c.webhook(event)
	return nil
}

// Receive implements replica.Conn.
func (c *palConn) Receive(ctx context.Context) ([]byte, error) {
	select {
	case msg := <-c.inbox:
		return msg, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// MessageTimes returns when messages arrived, including those that were refused by the rate
// limit.
func (s *Server) MessageTimes() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.messageTimes...)
}

// Close ends the replicas and waits for them. It returns what each received and played, by
// conversation id.
func (s *Server) Close() map[string]replica.Report {
	s.mu.Lock()
	all := s.live
	s.live = nil
	if s.stop != nil {
		s.stop()
	}
	s.mu.Unlock()
	reports := map[string]replica.Report{}
	for id, l := range all {
		<-l.done
		reports[id] = l.report
	}
	return reports
}

// appMessage handles a message. The caller holds the lock, except during the latency.
func (s *Server) appMessage(c *Conversation, request Request, r *http.Request) answer {
	now := time.Now()
	recent := 0
	for _, at := range s.accepted {
		if now.Sub(at) < messageWindow {
			recent++
		}
	}
	s.messageTimes = append(s.messageTimes, now)
	switch {
	case recent >= messages:
		oldest := s.accepted[len(s.accepted)-messages]
		s.retryAfter = int((messageWindow-now.Sub(oldest))/time.Second) + 1
		return failed(429, "error", "Too many requests")
	case len(request.Raw) > maxMessage:
		return failed(413, "error", "Request body exceeds %d bytes", maxMessage)
	case c.Status != "active":
		return failed(400, "error", "App messages can only be sent to active conversations.")
	}
	s.accepted = append(s.accepted, now)
	event, _ := request.Body["event_type"].(string)
	kind, isGiven := request.Body["message_type"]
	if _, isText := kind.(string); event == "" || isGiven && !isText {
		return failed(400, "error", "Invalid app message")
	}
	l := s.replicaOf(c)
	if l.isBusy {
		s.complain("a message was sent before the answer to the one before it")
	}
	l.isBusy = true
	latency := time.Duration(0)
	if s.AppMessages.Latency != nil {
		latency = s.AppMessages.Latency()
	}
	s.mu.Unlock()
	reached := pause(r.Context(), latency/2)
	if reached {
		s.deliver(c.ID, request.Raw)
		l.conn.inbox <- request.Raw
		pause(r.Context(), latency-latency/2)
	}
	s.mu.Lock()
	l.isBusy = false
	return answer{200, map[string]any{"success": true}}
}

func (s *Server) deliver(id string, raw []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delivered[id] = append(s.delivered[id], raw)
}

// Delivered returns the messages that reached the replica of a conversation, in order.
func (s *Server) Delivered(conversation string) [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.delivered[conversation])
}

// replicaOf returns the replica of a conversation. It starts the replica when it is first
// needed. The caller holds the lock.
func (s *Server) replicaOf(c *Conversation) *live {
	if l := s.live[c.ID]; l != nil {
		return l
	}
	if s.live == nil {
		s.live, s.delivered = map[string]*live{}, map[string][][]byte{}
		s.ctx, s.stop = context.WithCancel(context.Background())
	}
	l := &live{done: make(chan struct{}), conn: &palConn{inbox: make(chan []byte, 1000), webhook: s.webhookOf(c)}}
	s.live[c.ID] = l
	options := replica.Options{}
	if s.AppMessages.Replica != nil {
		options = *s.AppMessages.Replica
	}
	options.ConversationID, options.MessageLimit = c.ID, maxMessage
	go s.play(s.ctx, l, &options, time.Until(s.joins(c)))
	return l
}

// play runs the replica of one conversation, from its join to its end.
func (s *Server) play(ctx context.Context, l *live, options *replica.Options, delay time.Duration) {
	defer close(l.done)
	if pause(ctx, delay) {
		l.report, _ = replica.New(l.conn, options).Run(ctx) // the error only says that the server ended
	}
}

// joins returns when the replica of a conversation joins.
func (s *Server) joins(c *Conversation) time.Time { return c.Created.Add(s.AppMessages.JoinDelay) }

// webhookOf returns a function that sends the events of a conversation.
func (s *Server) webhookOf(c *Conversation) func(event []byte) {
	callback, _ := c.Body["callback_url"].(string)
	if s.AppMessages.Webhook != nil {
		return func(event []byte) { s.AppMessages.Webhook(callback, event) }
	}
	if _, err := url.ParseRequestURI(callback); err != nil {
		return func([]byte) {}
	}
	var one sync.Mutex // keeps events in order
	return func(event []byte) {
		one.Lock()
		defer one.Unlock()
		response, err := http.Post(callback, "application/json", bytes.NewReader(event))
		if err != nil {
			return // nobody listens at the URL
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
}

// pause waits for d. It reports false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// retryHeader sets the time to wait after a request that exceeded the rate limit. The
// caller holds the lock.
func (s *Server) retryHeader(h http.Header) {
	if s.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(s.retryAfter))
		s.retryAfter = 0
	}
}

package tavustest

import (
	"bytes"
	"context"
	"encoding/json"
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

// AppMessages configures how the stand-in handles send-app-message, and its replicas.
// The zero value answers at once and sends no webhooks.
type AppMessages struct {
	// Latency returns the duration of the next request, half of it before and half
	// after delivery to the replica. Nil: no time.
	Latency func() time.Duration
	// JoinDelay is the time from the creation of a conversation until its
	// replica joins. Messages that come before wait for it.
	JoinDelay time.Duration
	// Replica configures the replicas; nil: the defaults. All conversations use its
	// Record, so only one may run at a time.
	Replica *replica.Options
	// Webhook is called with each event of a replica and the callback_url of
	// its conversation. It may block. Nil: the event is posted there, where there
	// is a callback_url.
	Webhook func(callback string, event []byte)
}

// live is a conversation's replica.
type live struct {
	conn   *palConn
	done   chan struct{} // closed when the replica has ended
	report replica.Report
	isBusy bool // a request is on its way to the replica
}

// palConn is a replica.Conn: it receives messages from requests, and sends events as
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

// MessageTimes returns when messages arrived, including those refused as too many.
func (s *Server) MessageTimes() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.messageTimes...)
}

// Close ends the replicas and waits for them. It returns what each received and
// played, by the id of its conversation.
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

// appMessage handles a message. The server is locked, except during the latency.
func (s *Server) appMessage(c *Conversation, raw []byte, r *http.Request) answer {
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
	case len(raw) > maxMessage:
		return failed(413, "error", "Request body exceeds %d bytes", maxMessage)
	case c.Status != "active":
		return failed(400, "error", "App messages can only be sent to active conversations.")
	}
	s.accepted = append(s.accepted, now)
	var message struct {
		Type  string `json:"message_type"`
		Event string `json:"event_type"`
	}
	if json.Unmarshal(raw, &message) != nil || message.Event == "" {
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
		s.deliver(c.ID, raw)
		l.conn.inbox <- raw
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

// replicaOf starts the replica of a conversation when it is first needed. The
// server is locked.
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

// play runs the replica of one conversation, from joining to its end.
func (s *Server) play(life context.Context, l *live, options *replica.Options, delay time.Duration) {
	defer close(l.done)
	if pause(life, delay) {
		l.report, _ = replica.New(l.conn, options).Run(life) // it ends with the server
	}
}

// joins returns when the replica of a conversation joins.
func (s *Server) joins(c *Conversation) time.Time { return c.Created.Add(s.AppMessages.JoinDelay) }

// webhookOf sends the events of a conversation.
func (s *Server) webhookOf(c *Conversation) func(event []byte) {
	callback, _ := c.Body["callback_url"].(string)
	if s.AppMessages.Webhook != nil {
		return func(event []byte) { s.AppMessages.Webhook(callback, event) }
	}
	if _, err := url.ParseRequestURI(callback); err != nil {
		return func([]byte) {}
	}
	var one sync.Mutex // events arrive in order
	return func(event []byte) {
		one.Lock()
		defer one.Unlock()
		response, err := http.Post(callback, "application/json", bytes.NewReader(event))
		if err != nil {
			return // nobody listens there
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
}

// pause reports whether d went by before ctx ended.
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

// retryHeader returns when to retry a request that was one too many. The server is
// locked.
func (s *Server) retryHeader(h http.Header) {
	if s.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(s.retryAfter))
		s.retryAfter = 0
	}
}

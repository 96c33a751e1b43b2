package gateway

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"echocast/hear"
)

// listenParameters are the query parameters of listen.
var listenParameters = []string{"from", "rate", "format"}

// listen sends what is said in the room, as WAV or as bare samples, until the conversation
// ends or the client leaves. A client that does not read in time loses audio, and the
// conversation gets an event "lost".
func (a *api) listen(w http.ResponseWriter, r *http.Request) error {
	c, err := a.conversation(r)
	if err != nil {
		return err
	}
	if err := a.mayHear(r); err != nil {
		return err
	}
	o, isWAV, err := hearOptions(r.URL.Query())
	if err != nil {
		return err
	}
	if _, err := c.canHear(&o); err != nil {
		return err
	}
	if _, err := c.openSession(); err != nil {
		return err
	}
	out := &listenerBody{w: w, control: http.NewResponseController(w)}
	o.OnLost = func(d time.Duration) { c.lost(d) }
	o.begin = func() error { // send the header before there is sound
		if !isWAV {
			w.Header().Set("Content-Type", "application/octet-stream")
			return out.control.Flush()
		}
		w.Header().Set("Content-Type", "audio/wav")
		_, err := out.Write(hear.WAVHeader(o.Rate))
		return err
	}
	_ = c.Hear(r.Context(), o, out) // the end of the conversation ends the answer
	return nil
}

// Lost says how much audio a listener has lost.
type Lost struct {
	Seconds float64 `json:"seconds"`
}

// lost publishes how much audio a listener has lost.
func (c *Conversation) lost(d time.Duration) {
	c.gateway.metrics.lostAudio.Add(d.Seconds())
	c.history.add("lost", Lost{d.Seconds()})
}

// mayHear refuses callers from other machines that have no token, on whatever address the
// gateway listens.
func (a *api) mayHear(r *http.Request) error {
	if a.gateway.options.Tokens != nil || bearer(r) != "" {
		return nil // authorize has checked it
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		return errToken
	}
	return nil
}

// hearOptions reads the query of listen.
func hearOptions(query url.Values) (o HearOptions, isWAV bool, err error) {
	for name := range query {
		if !slices.Contains(listenParameters, name) {
			return o, false, invalid(name, "there is no such parameter; there are %s", strings.Join(listenParameters, ", "))
		}
	}
	o.From = query.Get("from")
	if query.Has("rate") {
		if o.Rate, err = strconv.Atoi(query.Get("rate")); err != nil || o.Rate <= 0 {
			return o, false, invalid("rate", "it must be one of %v", hear.Rates())
		}
	}
	switch query.Get("format") {
	case "", "wav":
		return o, true, nil
	case "s16le":
		return o, false, nil
	}
	return o, false, invalid("format", "it must be wav or s16le")
}

// listenerBody writes samples to a client as they arrive.
type listenerBody struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (b *listenerBody) Write(p []byte) (int, error) {
	_ = b.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	n, err := b.w.Write(p)
	if err == nil {
		err = b.control.Flush()
	}
	return n, err
}

// Listening describes the binary messages that follow a listen command.
type Listening struct {
	From     string `json:"from"`
	Format   string `json:"format"` // s16le
	Rate     int    `json:"rate"`   // Hz
	Channels int    `json:"channels"`
}

// listen sends what is said in the room as binary messages. It ends the listening that was
// begun before.
func (s *socket) listen(ctx context.Context, order *Order) error {
	o := HearOptions{From: order.From, Rate: order.Rate}
	if err := s.mayHear; err != nil {
		return err
	}
	from, err := s.conversation.canHear(&o)
	if err != nil {
		return err
	}
	s.unlisten()
	out := &socketListener{socket: s, ctx: ctx}
	o.OnLost = func(d time.Duration) {
		s.conversation.gateway.metrics.lostAudio.Add(d.Seconds())
		_ = s.write(ctx, Entry{Type: "lost", Data: fmtJSON(Lost{d.Seconds()})}) // if it fails, so does the next write
	}
	first := Entry{Type: "listening", Data: fmtJSON(Listening{from, "s16le", o.Rate, 1})}
	begun := make(chan struct{}) // the answer precedes those to the orders that follow
	hasBegun := sync.OnceFunc(func() { close(begun) })
	o.begin = func() error {
		defer hasBegun()
		return s.write(ctx, first)
	}
	hearing, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		defer hasBegun()
		_ = s.conversation.Hear(hearing, o, out) // if it fails, the reader notices
	})
	<-begun
	s.listening = func() {
		cancel()
		running.Wait()
	}
	return nil
}

// unlisten ends the listening.
func (s *socket) unlisten() {
	if s.listening != nil {
		s.listening()
		s.listening = nil
	}
}

// socketListener writes samples as binary messages. Its context is that of the connection: a
// context that ends in the middle of a message would end the connection.
type socketListener struct {
	socket *socket
	ctx    context.Context //nolint:containedctx // of the connection
}

func (l *socketListener) Write(p []byte) (int, error) {
	ctx, cancel := context.WithTimeout(l.ctx, writeTimeout)
	defer cancel()
	return len(p), l.socket.conn.Write(ctx, websocket.MessageBinary, p)
}

package openai

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"echocast/echo"
	"echocast/internal/sleep"
)

const (
	maxEvent     = 32 << 20 // bytes; the service takes 15 MB of audio in one
	writeTimeout = 30 * time.Second
	readTimeout  = 5 * time.Second // for Read to fail too after a failed Write
	dialTimeout  = 30 * time.Second
	maxOwn       = 256 // events of our own that wait to be sent
)

// Conn is the part of *websocket.Conn that a Relay uses.
type Conn interface {
	Read(ctx context.Context) (websocket.MessageType, []byte, error)
	Write(ctx context.Context, kind websocket.MessageType, data []byte) error
	Close(code websocket.StatusCode, reason string) error
}

// realtime relays a Realtime session.
func (p *Proxy) realtime(w http.ResponseWriter, r *http.Request) {
	hidesAudio := r.URL.Query().Get(audioParameter) == "none" || r.Header.Get(audioHeader) == "none"
	service, response, err := p.dial(r)
	if err != nil {
		refuse(w, response, err)
		return
	}
	client, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{service.Subprotocol()}})
	if err != nil { // the client got an error
		_ = service.Close(websocket.StatusGoingAway, "")
		return
	}
	client.SetReadLimit(maxEvent)
	if !p.begin() {
		_ = client.Close(websocket.StatusGoingAway, "")
		_ = service.Close(websocket.StatusGoingAway, "")
		return
	}
	defer p.running.Done()
	Relay(p.ctx, client, service, RelayOptions{
		VoiceOptions: VoiceOptions{Speaker: p.options.Speaker, SpeakerRate: p.options.SpeakerRate, OnFailed: p.failed},
		HidesAudio:   hidesAudio, Cuts: p.options.Cuts,
	})
}

// dial connects to the service with what the client sent. If the service refuses, dial returns
// its response.
func (p *Proxy) dial(r *http.Request) (*websocket.Conn, *http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), dialTimeout)
	defer cancel()
	target := p.target(r.URL)
	target.Scheme = strings.Replace(target.Scheme, "http", "ws", 1)
	header := r.Header.Clone()
	for name := range header {
		if strings.HasPrefix(name, "Sec-Websocket-") {
			header.Del(name)
		}
	}
	for _, name := range []string{"Connection", "Upgrade", "Origin", "Cookie", audioHeader} {
		header.Del(name)
	}
	conn, response, err := websocket.Dial(ctx, target.String(), &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: p.transport}, HTTPHeader: header, Subprotocols: subprotocols(r),
	})
	if err != nil {
		return nil, response, err
	}
	conn.SetReadLimit(maxEvent)
	return conn, response, nil
}

// subprotocols returns those that the client offers. Browsers put their key in one.
func subprotocols(r *http.Request) (offered []string) {
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for name := range strings.SplitSeq(line, ",") {
			offered = append(offered, strings.TrimSpace(name))
		}
	}
	return offered
}

// refuse forwards the service's refusal of the session.
func refuse(w http.ResponseWriter, response *http.Response, err error) {
	if response == nil || response.StatusCode < 300 {
		http.Error(w, "the service cannot be reached: "+err.Error(), http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", response.Header.Get("Content-Type"))
	w.WriteHeader(response.StatusCode)
	if response.Body != nil {
		_, _ = io.Copy(w, response.Body) // as much of it as there is
	}
}

// RelayOptions say who speaks, and what the client receives.
type RelayOptions struct {
	VoiceOptions
	// HidesAudio removes the audio from what the client receives: the replica says it.
	HidesAudio bool
	// Cuts calls cut whenever the room's user begins to speak, until ctx ends. Nil: only
	// events of the service and of the client interrupt the replica.
	Cuts func(ctx context.Context, cut func())
}

// Relay forwards all messages between a client and the service, byte for byte, while the
// replica says the audio. When one of them or ctx ends the session, Relay closes both. It lets
// the replica finish the audio that has arrived, unless ctx ends.
func Relay(ctx context.Context, client, service Conn, o RelayOptions) {
	own := make(chan []byte, maxOwn)
	o.Send = func(event []byte) {
		select {
		case own <- event:
		default: // a service that is so far behind has forgotten these items
		}
	}
	voice := NewVoice(ctx, o.VoiceOptions)
	defer voice.Close()
	var relaying, helping sync.WaitGroup
	defer helping.Wait()
	speaking, silent := context.WithCancel(ctx)
	defer silent()
	if o.Cuts != nil {
		helping.Go(func() {
			o.Cuts(speaking, func() {
				voice.Cut()
				voice.Cancel()
			})
		})
	}
	open, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	relaying.Go(func() {
		cancel(pass(open, client, service, func(event []byte) bool {
			voice.HandleClientEvent(event)
			return true
		}))
	})
	relaying.Go(func() {
		cancel(pass(open, service, client, func(event []byte) bool {
			return !voice.HandleServiceEvent(event) && !(o.HidesAudio && carriesAudio(event))
		}))
	})
	helping.Go(func() { sendOwn(open, service, own) })
	<-open.Done()
	code, reason := closing(context.Cause(open))
	_ = client.Close(code, reason)
	_ = service.Close(code, reason)
	relaying.Wait()
	voice.Drain()
}

// sendOwn sends our own events to the service, until ctx ends.
func sendOwn(ctx context.Context, service Conn, own <-chan []byte) {
	for {
		select {
		case event := <-own:
			_ = write(service, websocket.MessageText, event) // the reader notices a failure
		case <-ctx.Done():
			return
		}
	}
}

// carriesAudio reports whether an event of the service is a piece of audio.
func carriesAudio(event []byte) bool {
	var e struct {
		Type string `json:"type"`
	}
	return json.Unmarshal(event, &e) == nil && isAudioDelta(e.Type)
}

// pass forwards messages until one side closes, and returns why. see decides which are
// forwarded.
func pass(ctx context.Context, from, to Conn, see func(data []byte) bool) error {
	for {
		kind, data, err := from.Read(context.Background()) // ended by Close
		if err != nil {
			return err
		}
		if !see(data) {
			continue
		}
		if err := write(to, kind, data); err != nil {
			awaitReader(ctx, err)
			return err
		}
	}
}

// awaitReader waits, after a failed write, until the reader of that connection has ended ctx. Only
// the reader learns with which code it was closed: the library closes it before Read returns.
func awaitReader(ctx context.Context, failed error) {
	if errors.Is(failed, context.DeadlineExceeded) {
		return // nobody reads there, which the reader cannot know
	}
	_ = sleep.For(ctx, readTimeout)
}

func write(to Conn, kind websocket.MessageType, data []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	return to.Write(ctx, kind, data)
}

// closing returns the code and the reason with which the first side closed.
func closing(cause error) (websocket.StatusCode, string) {
	closed, ok := errors.AsType[websocket.CloseError](cause)
	switch {
	case !ok:
		return websocket.StatusGoingAway, ""
	case closed.Code == websocket.StatusNoStatusRcvd || closed.Code == websocket.StatusAbnormalClosure:
		return websocket.StatusNormalClosure, ""
	}
	return closed.Code, closed.Reason
}

// UserCuts implements RelayOptions.Cuts by the events of a session's room.
func UserCuts(session *echo.Session) func(ctx context.Context, cut func()) {
	return func(ctx context.Context, cut func()) {
		for event, err := range session.Events(ctx) {
			if err == nil && !event.Stale && event.Kind == echo.StartedSpeaking && event.Role == echo.RoleUser {
				cut()
			}
		}
	}
}

// target returns the address at the service for an address at this proxy.
func (p *Proxy) target(asked *url.URL) *url.URL {
	target := *p.upstream
	target.Path = strings.TrimSuffix(target.Path, "/") + strings.TrimPrefix(asked.Path, "/v1")
	target.RawPath = strings.TrimSuffix(p.upstream.EscapedPath(), "/") + strings.TrimPrefix(asked.EscapedPath(), "/v1")
	query := asked.Query()
	if query.Has(audioParameter) {
		query.Del(audioParameter)
		target.RawQuery = query.Encode()
	} else {
		target.RawQuery = asked.RawQuery
	}
	return &target
}

func (p *Proxy) failed(err error) {
	if p.options.Warn != nil {
		p.options.Warn(fmt.Sprintf("the replica can no longer speak in a Realtime session: %v", err))
	}
}

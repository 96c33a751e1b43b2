//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"echocast/internal/testwait"
)

// What each client of the drain speaks: two seconds, by WebSocket in frames of 100 ms.
const (
	drainSamples = 2 * 24000
	drainFrame   = 2400
)

// At a random SIGTERM, clients speak by WebSockets and uploads, and others are about to. Each
// accepted utterance is heard in full, and each other one is refused with an error.
func TestSIGTERMAtARandomMoment(t *testing.T) {
	t.Parallel()
	for seed := range testwait.Trials(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			const clients = 16
			random := rand.New(rand.NewPCG(uint64(seed), 5)) //nolint:gosec // a test
			g := startGateway(t, nil, "--rehearse")
			d := &drain{gateway: g}
			var talking sync.WaitGroup
			for i := range clients {
				var c created
				if status := g.post(g.url, strings.NewReader("{}"), &c); status != http.StatusCreated {
					t.Fatalf("status %d", status)
				}
				begins := time.Duration(random.IntN(1500)) * time.Millisecond
				talking.Go(func() {
					time.Sleep(begins)
					if i%2 == 0 {
						d.upload(t, c.ID)
					} else {
						d.stream(t, c.ID)
					}
				})
			}
			time.Sleep(time.Duration(random.IntN(2000)) * time.Millisecond)
			d.isSignalled.Store(true)
			if err := g.program.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			talking.Wait()
			if err := g.program.Wait(); err != nil {
				t.Errorf("the program: %v", err)
			}
			if n := d.heard.Load() + d.refused.Load(); n != clients {
				t.Errorf("%d were heard and %d refused, of %d", d.heard.Load(), d.refused.Load(), clients)
			}
		})
	}
}

// drain is a gateway that is told to end, and how the utterances of its clients ended.
type drain struct {
	gateway        *gatewayProcess
	isSignalled    atomic.Bool
	heard, refused atomic.Int32
}

// heardReceipt is what counts of a receipt.
type heardReceipt struct {
	Utterance string
	Receipt   struct {
		Outcome string
		Samples int `json:"heard_samples"`
	}
}

// count counts an utterance that was accepted, which must have been heard whole.
func (d *drain) count(t *testing.T, by string, r *heardReceipt) {
	if r.Receipt.Outcome != "finished" || r.Receipt.Samples != drainSamples {
		t.Errorf("by %s was heard: %+v", by, r.Receipt)
		return
	}
	d.heard.Add(1)
}

// upload speaks by a request. One that has not been accepted before the signal may be refused, or
// find nobody any more.
func (d *drain) upload(t *testing.T, id string) {
	var isAccepted atomic.Bool // the gateway asks for the body
	accepted := &httptrace.ClientTrace{Got100Continue: func() { isAccepted.Store(true) }}
	ctx := httptrace.WithClientTrace(testwait.Context(t), accepted)
	url := d.gateway.url + "/" + id + "/speech?format=s16le&rate=24000"
	body := bytes.NewReader(make([]byte, 2*drainSamples))
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		t.Error(err)
		return
	}
	request.Header.Set("Expect", "100-continue")
	web := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: testwait.Limit, DisableKeepAlives: true}}
	answer, err := web.Do(request)
	if err != nil {
		if d.refused.Add(1); isAccepted.Load() || !d.isSignalled.Load() {
			t.Errorf("a request, accepted: %t: %v", isAccepted.Load(), err)
		}
		return
	}
	defer answer.Body.Close()
	var said struct {
		heardReceipt
		Detail string
	}
	if err := json.NewDecoder(answer.Body).Decode(&said); err != nil {
		t.Error(err)
	}
	switch answer.StatusCode {
	case http.StatusOK:
		d.count(t, "an upload", &said.heardReceipt)
	case http.StatusServiceUnavailable, http.StatusGone:
		if d.refused.Add(1); said.Detail == "" {
			t.Error("a refusal does not say why")
		}
	default:
		t.Errorf("a request is answered with %d: %s", answer.StatusCode, said.Detail)
	}
}

// stream speaks by a WebSocket, as fast as it is taken. One that is not open before the signal
// may be refused. An utterance that is not accepted is refused by an error, or by the end of
// the connection.
func (d *drain) stream(t *testing.T, id string) {
	ctx := testwait.Context(t)
	url := d.gateway.url + "/" + id + "/socket?format=s16le&rate=24000"
	conn, _, err := websocket.Dial(ctx, url, nil) //nolint:bodyclose // it is the connection
	if err != nil {
		if d.refused.Add(1); !d.isSignalled.Load() {
			t.Errorf("a WebSocket before the signal: %v", err)
		}
		return
	}
	defer conn.CloseNow() //nolint:errcheck // all was read
	for sent := 0; sent < drainSamples && err == nil; sent += drainFrame {
		err = conn.Write(ctx, websocket.MessageBinary, make([]byte, 2*drainFrame))
	}
	if err == nil {
		_ = conn.Write(ctx, websocket.MessageText, []byte(`{"type":"end"}`)) // its loss shows in the receipt
	}
	for isAccepted := false; ; {
		var e struct {
			Type string
			Data json.RawMessage
		}
		_, text, err := conn.Read(ctx)
		if err != nil {
			if d.refused.Add(1); isAccepted {
				t.Errorf("an utterance that was accepted has no receipt: %v", err)
			}
			return
		}
		if err := json.Unmarshal(text, &e); err != nil {
			t.Error(err)
		}
		var r heardReceipt
		switch e.Type {
		case "accepted":
			isAccepted = true
		case "receipt":
			if err := json.Unmarshal(e.Data, &r); err != nil {
				t.Error(err)
			}
			d.count(t, "a WebSocket", &r)
			return
		}
	}
}

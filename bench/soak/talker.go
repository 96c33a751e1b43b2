package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// The audio: 16-bit samples at 24 kHz, in frames, sent half a second ahead of real time.
const (
	rate          = 24000
	frameTime     = 100 * time.Millisecond
	frameSamples  = rate / 10
	ahead         = 500 * time.Millisecond
	perTalk       = 5                // utterances per conversation
	longest       = 60               // maximum number of frames of an utterance
	answerTimeout = 30 * time.Second // for an answer of the gateway
)

// receipt has the fields of a receipt that are checked.
type receipt struct {
	Outcome      string `json:"outcome"`
	Error        string `json:"error"`
	Samples      int    `json:"samples"`
	HeardSamples int    `json:"heard_samples"`
	Underruns    int    `json:"underruns"`
}

// spoken holds the receipt of one utterance.
type spoken struct {
	Utterance string  `json:"utterance"`
	Receipt   receipt `json:"receipt"`
}

// talker speaks in one conversation after another.
type talker struct {
	gateway  *gateway
	reported *tally
	seed     int
	talks    int
}

// converse holds one conversation to its end, even if ctx ends, so that every utterance
// that was begun is counted.
func (t *talker) converse(ctx context.Context) error {
	t.talks++
	random := rand.New(rand.NewPCG(uint64(t.seed), uint64(t.talks))) //nolint:gosec // audio, not secrets
	ended := context.WithoutCancel(ctx)
	var c struct {
		ID string `json:"id"`
	}
	url := t.gateway.url + "/v1/conversations"
	if err := t.ask(ended, http.MethodPost, url, strings.NewReader("{}"), &c); err != nil {
		return err
	}
	url += "/" + c.ID
	conn, _, err := websocket.Dial(ended, url+"/socket?format=s16le&rate=24000", nil)
	if err != nil {
		return err
	}
	for range perTalk {
		frames := 1 + random.IntN(longest)
		switch {
		case err != nil || ctx.Err() != nil:
		case random.IntN(4) == 0:
			err = t.upload(ended, url, frames)
		default:
			err = t.stream(ended, conn, frames, random.IntN(4) == 0)
		}
	}
	_ = conn.CloseNow() // everything was read
	var ending struct{}
	if failed := t.ask(ended, http.MethodDelete, url, nil, &ending); err == nil {
		err = failed
	}
	return err
}

// ask makes a request, and decodes the answer.
func (t *talker) ask(ctx context.Context, method, url string, body io.Reader, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	answer, err := t.gateway.client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s: %s %s", method, url, answer.Status, text)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// upload speaks this number of frames by an upload.
func (t *talker) upload(ctx context.Context, url string, frames int) error {
	var s spoken
	samples := bytes.NewReader(make([]byte, 2*frames*frameSamples))
	if err := t.ask(ctx, http.MethodPost, url+"/speech?format=s16le&rate=24000", samples, &s); err != nil {
		return err
	}
	t.reported.count(&s.Receipt, frames*frameSamples, false)
	return nil
}

// stream speaks this number of frames over a WebSocket, in real time. If isInterrupted is
// set, it interrupts them halfway.
func (t *talker) stream(ctx context.Context, conn *websocket.Conn, frames int, isInterrupted bool) error {
	frame, begin := make([]byte, 2*frameSamples), time.Now()
	last, order := frames, `{"type":"end"}`
	if isInterrupted {
		last, order = (frames+1)/2, `{"type":"interrupt"}`
	}
	for k := range last {
		time.Sleep(time.Until(begin.Add(time.Duration(k)*frameTime - ahead)))
		if err := conn.Write(ctx, websocket.MessageBinary, frame); err != nil {
			return err
		}
	}
	if err := conn.Write(ctx, websocket.MessageText, []byte(order)); err != nil {
		return err
	}
	r, err := t.receipt(ctx, conn, isInterrupted)
	if err == nil {
		t.reported.count(&r, frames*frameSamples, isInterrupted)
	}
	return err
}

// receipt reads until the latest utterance has ended. If it was interrupted, receipt also
// waits for the end of the interrupt, because an utterance that begins earlier could be
// interrupted too.
func (t *talker) receipt(ctx context.Context, conn *websocket.Conn, isInterrupted bool) (receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	mine, receipts := "", map[string]receipt{}
	for {
		_, text, err := conn.Read(ctx)
		if err != nil {
			return receipt{}, err
		}
		var e struct {
			Type string
			Data json.RawMessage
		}
		if err := json.Unmarshal(text, &e); err != nil {
			return receipt{}, err
		}
		switch e.Type {
		case "error":
			return receipt{}, fmt.Errorf("the gateway answers: %s", e.Data)
		case "interrupted":
			isInterrupted = false
		case "accepted":
			var u struct{ ID string }
			err = json.Unmarshal(e.Data, &u)
			mine = u.ID
		case "receipt":
			var s spoken
			err = json.Unmarshal(e.Data, &s)
			receipts[s.Utterance] = s.Receipt
		}
		if err != nil {
			return receipt{}, err
		}
		if r, ok := receipts[mine]; ok && !isInterrupted {
			return r, nil
		}
	}
}

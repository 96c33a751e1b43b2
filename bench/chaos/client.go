//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// nodes are the gateways. A request may go to any of them.
type nodes struct {
	urls   []string
	http   http.Client
	denied atomic.Int64 // answers that a conversation or utterance does not exist

	areCalm    atomic.Bool   // no more faults are injected
	speaking   chan struct{} // one value of each client that has begun an utterance since then
	areRolling atomic.Bool   // they are restarted one after the other
}

// ask makes a request until a node has answered it, and returns the answer. A request with
// a key takes effect only once. If no node accepts the request, ask logs that and tries
// again after 100 ms.
func (n *nodes) ask(ctx context.Context, method, path, key string, body []byte, header http.Header,
	into any, log *notes) (http.Header, error) {
	for ctx.Err() == nil {
		answer, err := n.try(ctx, method, path, key, body, header)
		if err != nil {
			log.add("%v", err)
		} else {
			log.add("%s %s: %s from %s", method, path, answer.Status, answer.Request.URL.Host)
			text, failed := io.ReadAll(answer.Body)
			_ = answer.Body.Close() // it was read
			switch {
			case failed == nil && answer.StatusCode < 300:
				if into == nil {
					return answer.Header, nil
				}
				return answer.Header, json.Unmarshal(text, into)
			case failed == nil && answer.StatusCode == http.StatusNotFound:
				if n.denied.Add(1) <= 3 { // by a node that does not know the resource
					fmt.Fprintf(os.Stderr, "%s %s: %s\n", method, path, text)
				}
			case failed == nil && answer.StatusCode < 500:
				return nil, fmt.Errorf("%s %s: %s %s", method, path, answer.Status, text)
			}
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return nil, fmt.Errorf("%s %s: no node has answered", method, path)
}

func (n *nodes) try(ctx context.Context, method, path, key string, body []byte,
	header http.Header) (*http.Response, error) {
	url := n.urls[rand.IntN(len(n.urls))] + path
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	return n.http.Do(request)
}

// client speaks in one conversation.
type client struct {
	nodes  *nodes
	number int
	random *rand.Rand
	stage  *stage

	id     string
	spoken []utterance

	mu      sync.Mutex // events
	lastID  int
	missing int // events that were never received
	again   int // events that were received twice
}

// utterance is an utterance that a node acknowledged.
type utterance struct {
	path   string
	frames int
	info   *info // nil: no node reported how it ended

	isRolled bool // it began while the gateways were restarted one after the other
}

// info is what a node reports about an utterance.
type info struct {
	text      json.RawMessage
	Phase     string
	Error     string
	Takeovers []struct {
		AtSeconds       float64 `json:"at_seconds"`
		RepeatedSeconds float64 `json:"repeated_seconds"`
	}
	Receipt struct {
		Outcome    string
		Underruns  int
		GapSeconds float64 `json:"gap_seconds"`
	}
}

// names reports whether info states that frames were left out, and that at least the
// repeated frames were repeated. At each takeover one frame may be cut in two and is not
// counted.
func (i *info) names(missing, repeated int) bool {
	cut := len(i.Takeovers)
	again := tolerance
	for _, t := range i.Takeovers {
		again += t.RepeatedSeconds
	}
	isBroken := i.Error != "" || i.Receipt.Outcome != "finished"
	return (missing <= cut || isBroken) && float64(repeated-cut)*frameSamples/rate <= again
}

// tolerance is how many more seconds may be repeated than the receipt states.
const tolerance = 0.05

// create creates the conversation.
func (c *client) create(ctx context.Context) error {
	body, err := json.Marshal(map[string]string{"to": c.stage.listener.URL()})
	if err != nil {
		return err
	}
	var created struct{ ID string }
	key := fmt.Sprint("conversation-", c.number)
	_, err = c.nodes.ask(ctx, http.MethodPost, "/v1/conversations", key, body, nil, &created, &c.stage.notes)
	c.id = created.ID
	return err
}

// speak speaks one utterance after the other until ctx ends. It waits for the result of each
// until settling ends.
func (c *client) speak(ctx, settling context.Context) error {
	hasBegun := sync.OnceFunc(func() { c.nodes.speaking <- struct{}{} })
	defer hasBegun()
	for number := 1; ctx.Err() == nil; number++ {
		isCalm := c.nodes.areCalm.Load()
		u := utterance{frames: int((2 + 4*c.random.Float64()) * rate / frameSamples), isRolled: c.nodes.areRolling.Load()}
		path := fmt.Sprintf("/v1/conversations/%s/speech?format=s16le&rate=%d", c.id, rate)
		header, err := c.nodes.ask(settling, http.MethodPost, path, strconv.Itoa(number), speech(number, u.frames),
			http.Header{"Prefer": {"respond-async"}}, nil, &c.stage.notes)
		if err != nil {
			return err
		}
		if isCalm {
			hasBegun()
		}
		u.path = header.Get("Location")
		u.info, err = c.await(settling, u.path)
		c.spoken = append(c.spoken, u)
		if err != nil {
			return err
		}
	}
	return nil
}

// await waits until an utterance has ended.
func (c *client) await(ctx context.Context, path string) (*info, error) {
	for {
		var text json.RawMessage
		if _, err := c.nodes.ask(ctx, http.MethodGet, path, "", nil, nil, &text, &c.stage.notes); err != nil {
			return nil, err
		}
		i := info{text: text}
		if err := json.Unmarshal(text, &i); err != nil {
			return nil, err
		}
		if i.Phase == "over" {
			return &i, nil
		}
		select {
		case <-time.After(300 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("%s is not over in time", path)
		}
	}
}

// follow reads the events, from one node after the other, until ctx ends.
func (c *client) follow(ctx context.Context) {
	for ctx.Err() == nil {
		c.mu.Lock()
		header := http.Header{"Last-Event-Id": {strconv.Itoa(c.lastID)}}
		c.mu.Unlock()
		answer, err := c.nodes.try(ctx, http.MethodGet, "/v1/conversations/"+c.id+"/events", "", nil, header)
		if err == nil && answer.StatusCode == http.StatusOK {
			c.readEvents(answer.Body)
		}
		if err == nil {
			_ = answer.Body.Close() // it has ended
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (c *client) readEvents(body io.Reader) {
	for lines := bufio.NewScanner(body); lines.Scan(); {
		c.stage.notes.add("told %s", lines.Text())
		text, ok := strings.CutPrefix(lines.Text(), "id: ")
		if !ok {
			continue
		}
		id, err := strconv.Atoi(text)
		c.mu.Lock()
		switch {
		case err != nil || id <= c.lastID:
			c.again++
		default:
			c.missing += id - c.lastID - 1
			c.lastID = id
		}
		c.mu.Unlock()
	}
}

// end ends the conversation.
func (c *client) end(ctx context.Context) error {
	_, err := c.nodes.ask(ctx, http.MethodDelete, "/v1/conversations/"+c.id, "", nil, nil, nil, &c.stage.notes)
	return err
}

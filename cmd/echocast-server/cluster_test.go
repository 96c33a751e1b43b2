//go:build unix

package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"echocast/cluster/natstest"
	"echocast/internal/proxytest"
	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/rtc"
	"echocast/tavus/tavustest"
)

// startNATS starts a server of NATS, and returns its URL.
func startNATS(t *testing.T) string { return natstest.URLs(natstest.Start(t, nil)) }

// heardChunk is a message with audio that came to a replica.
type heardChunk struct {
	connection  int
	first, last int // positions of its samples
}

// audience is a replica that records what comes on each connection.
type audience struct {
	url string

	mu     sync.Mutex
	chunks []heardChunk
}

// ramp returns audio in which the value of each sample encodes its position, to positionStep.
func ramp(seconds int) []byte {
	data := make([]byte, 2*24000*seconds)
	for i := range len(data) / 2 {
		binary.LittleEndian.PutUint16(data[2*i:], uint16(i/positionStep))
	}
	return data
}

const positionStep = 16

func openAudience(t *testing.T) *audience {
	t.Helper()
	listener, err := rtc.Listen("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	a := &audience{url: listener.URL()}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		for n := 0; ; n++ {
			conn, err := listener.Accept(ctx)
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				_, _ = replica.New(&recordingConn{conn, a, n}, nil).Run(ctx) // the end of the room
			})
		}
	})
	t.Cleanup(func() { cancel(); _ = listener.Close(); running.Wait() })
	return a
}

// recordingConn passes the chunks that arrive to an audience.
type recordingConn struct {
	*rtc.Conn
	to         *audience
	connection int
}

func (c *recordingConn) Receive(ctx context.Context) ([]byte, error) {
	message, err := c.Conn.Receive(ctx)
	var m struct {
		Properties struct{ Audio string }
	}
	if err == nil && json.Unmarshal(message, &m) == nil && m.Properties.Audio != "" {
		samples, _ := base64.StdEncoding.DecodeString(m.Properties.Audio)
		at := func(i int) int { return int(binary.LittleEndian.Uint16(samples[i:])) * positionStep }
		c.to.mu.Lock()
		c.to.chunks = append(c.to.chunks, heardChunk{c.connection, at(0), at(len(samples) - 2)})
		c.to.mu.Unlock()
	}
	return message, err
}

// came returns the chunks that have arrived.
func (a *audience) came() []heardChunk {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]heardChunk(nil), a.chunks...)
}

// waitFor waits until enough chunks have arrived.
func (a *audience) waitFor(t *testing.T, enough func([]heardChunk) bool) []heardChunk {
	t.Helper()
	await(t, func() bool { return enough(a.came()) })
	return a.came()
}

// await polls until something has happened.
func await(t *testing.T, done func() bool) {
	t.Helper()
	ctx := testwait.Context(t)
	for !done() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("it does not happen")
		}
	}
}

// checkWhole checks that all of the audio came, in order; a part may have come twice.
func checkWhole(t *testing.T, chunks []heardChunk, seconds int) {
	t.Helper()
	next := 0
	for _, c := range chunks {
		if c.first > next+positionStep {
			t.Errorf("samples %d to %d did not come", next, c.first)
		}
		next = max(next, c.last)
	}
	if end := 24000*seconds - 2*positionStep; next < end {
		t.Errorf("the samples from %d on did not come", next)
	}
}

// heldBy sorts nodes: first the one that holds a conversation. On a busy machine none may hold
// it for a moment.
func heldBy(t *testing.T, id string, a, b *gatewayProcess) (owner, other *gatewayProcess) {
	t.Helper()
	owner, other = b, a
	await(t, func() bool {
		owner, other = other, owner
		return owner.ask(t, http.MethodGet, id) == http.StatusOK
	})
	return owner, other
}

// spokenOn is an utterance, as a node reports it once it is over.
type spokenOn struct {
	Phase     string
	Takeovers []struct {
		AtSeconds       float64 `json:"at_seconds"`
		RepeatedSeconds float64 `json:"repeated_seconds"`
	}
	Receipt struct{ Outcome, Error string }
}

func (g *gatewayProcess) waitOver(t *testing.T, conversation, utterance string) (u spokenOn) {
	t.Helper()
	await(t, func() bool {
		u = spokenOn{}
		answer, err := http.Get(g.url + "/" + conversation + "/utterances/" + utterance) //nolint:noctx // bounded by await
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		return json.NewDecoder(answer.Body).Decode(&u) == nil && u.Phase == "over"
	})
	return u
}

// begin creates a conversation through one node, and lets it speak through another.
func begin(t *testing.T, a, b *gatewayProcess, to string, audio []byte) (conversation, utterance string) {
	t.Helper()
	conversation = a.create(t, fmt.Sprintf(`{"to":%q}`, to))
	return conversation, b.say(t, conversation, audio)
}

// create creates a conversation, and returns its id. It repeats the request with its key while
// no node can take it: a busy machine may lose a lease at once.
func (g *gatewayProcess) create(t *testing.T, order string) (id string) {
	t.Helper()
	key := rand.Text()
	await(t, func() bool {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.url, strings.NewReader(order))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Idempotency-Key", key)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body) // an error shows below
		var c created
		if status := answer.StatusCode; status != http.StatusServiceUnavailable &&
			(status != http.StatusCreated || json.Unmarshal(text, &c) != nil) {
			t.Fatalf("create: status %d: %s", status, text)
		}
		id = c.ID
		return id != ""
	})
	return id
}

// say lets a conversation speak, and returns the utterance once it is accepted. It repeats the
// request with its key while no node holds the conversation, or can store the audio.
func (g *gatewayProcess) say(t *testing.T, conversation string, audio []byte) (utterance string) {
	t.Helper()
	key, status := rand.Text(), 0
	await(t, func() bool {
		utterance, status = g.trySay(t, conversation, key, audio)
		return status != http.StatusServiceUnavailable && status != http.StatusInsufficientStorage
	})
	if status != http.StatusAccepted {
		t.Fatalf("speech: status %d", status)
	}
	return utterance
}

func (g *gatewayProcess) trySay(t *testing.T, conversation, key string, audio []byte) (utterance string, status int) {
	t.Helper()
	request, err := http.NewRequestWithContext(testwait.Context(t), http.MethodPost,
		g.url+"/"+conversation+"/speech?format=s16le", bytes.NewReader(audio))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Prefer", "respond-async")
	request.Header.Set("Idempotency-Key", key)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var u created
	if err := json.NewDecoder(answer.Body).Decode(&u); err != nil {
		t.Fatal(err)
	}
	return u.ID, answer.StatusCode
}

// Two nodes share conversations. The one that speaks is killed, and the other says the rest:
// nothing is missing, the receipt says what was repeated, and the events keep their ids.
func TestKilledNodeIsReplaced(t *testing.T) {
	t.Parallel()
	const seconds = 6
	nats, audience := startNATS(t), openAudience(t)
	a, b := startGateway(t, nil, "--nats", nats), startGateway(t, nil, "--nats", nats)
	conversation, utterance := begin(t, a, b, audience.url, ramp(seconds))
	audience.waitFor(t, func(c []heardChunk) bool { return len(c) > 0 && c[len(c)-1].last > 2*24000 })
	owner, other := heldBy(t, conversation, a, b)
	if err := owner.program.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	u := other.waitOver(t, conversation, utterance)
	if u.Receipt.Outcome != "finished" || len(u.Takeovers) == 0 {
		t.Fatalf("the utterance ended so: %+v", u)
	}
	chunks := audience.came()
	checkWhole(t, chunks, seconds)
	var before, at int
	for _, c := range chunks {
		if c.connection == 0 {
			before = max(before, c.last)
		} else if at == 0 {
			at = c.first
		}
	}
	twice := float64(before-at) / 24000
	// A busy machine may lose a lease once more.
	if named := u.Takeovers[0]; len(u.Takeovers) == 1 && twice > named.RepeatedSeconds+.01 ||
		named.AtSeconds*24000 > float64(at+positionStep) {
		t.Errorf("%.3f s came twice from %d on; the receipt says %+v", twice, at, named)
	}
	checkEvents(t, other, conversation, 2)
}

// checkEvents checks that the events of a conversation count from 1.
func checkEvents(t *testing.T, on *gatewayProcess, conversation string, receipts int) {
	t.Helper()
	on.insist(t, http.MethodDelete, conversation)
	text := on.insist(t, http.MethodGet, conversation+"/events")
	n, types := 0, map[string]int{}
	for line := range strings.Lines(text) {
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			if n++; strings.TrimSpace(id) != fmt.Sprint(n) {
				t.Fatalf("event %d has the id %s", n, id)
			}
		}
		if kind, ok := strings.CutPrefix(line, "event: "); ok {
			types[strings.TrimSpace(kind)]++
		}
	}
	if types["takeover"] < 1 || types["receipt"] < receipts || types["state"] < 3 || types["gap"] != 0 {
		t.Errorf("events: %v", types)
	}
}

// insist makes a request, again and again while no node holds the conversation, and returns
// the text of the answer.
func (g *gatewayProcess) insist(t *testing.T, method, path string) (text string) {
	t.Helper()
	await(t, func() bool {
		request, err := http.NewRequestWithContext(testwait.Context(t), method, g.url+"/"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		whole, err := io.ReadAll(answer.Body)
		if text = string(whole); err != nil || answer.StatusCode != http.StatusOK && answer.StatusCode < 500 {
			t.Fatalf("%s %s: status %d, %v, %s", method, path, answer.StatusCode, err, text)
		}
		return answer.StatusCode == http.StatusOK
	})
	return text
}

// A node that was paused for longer than its lease sends no message when it continues: another
// node has begun to speak.
func TestPausedNodeSendsNothing(t *testing.T) {
	t.Parallel()
	const seconds = 8
	nats, audience := startNATS(t), openAudience(t)
	a, b := startGateway(t, nil, "--nats", nats), startGateway(t, nil, "--nats", nats)
	conversation, utterance := begin(t, a, b, audience.url, ramp(seconds))
	audience.waitFor(t, func(c []heardChunk) bool { return len(c) > 0 && c[len(c)-1].last > 2*24000 })
	owner, other := heldBy(t, conversation, a, b)
	if err := owner.program.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	spoke := audience.waitFor(t, func(c []heardChunk) bool { return c[len(c)-1].connection == 1 })
	if err := owner.program.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if u := other.waitOver(t, conversation, utterance); u.Receipt.Outcome != "finished" {
		t.Errorf("the utterance ended so: %+v", u)
	}
	chunks := audience.came()
	checkWhole(t, chunks, seconds)
	for _, c := range chunks[len(spoke):] {
		if c.connection == 0 {
			t.Errorf("the node that stood still has sent %+v", c)
		}
	}
}

// A node that is cut off from NATS sends nothing any more when another has begun to speak,
// and nothing when the network is whole again. Then it serves the conversation of the other.
func TestCutOffNodeSendsNothing(t *testing.T) {
	t.Parallel()
	const seconds = 8
	nats, audience := natstest.Address(natstest.Start(t, nil)), openAudience(t)
	cables := map[*gatewayProcess]*proxytest.Proxy{}
	join := func() *gatewayProcess {
		cable := natstest.NewProxy(t, nats)
		node := startGateway(t, nil, "--nats", "nats://"+cable.Address())
		cables[node] = cable
		return node
	}
	a, b := join(), join()
	conversation, first := begin(t, a, b, audience.url, ramp(seconds))
	audience.waitFor(t, func(c []heardChunk) bool { return len(c) > 0 && c[len(c)-1].last > 2*24000 })
	owner, other := heldBy(t, conversation, a, b)
	cables[owner].Cut()
	spoke := audience.waitFor(t, func(c []heardChunk) bool { return c[len(c)-1].connection == 1 })
	cables[owner].Heal()
	second := other.say(t, conversation, ramp(1))
	for _, utterance := range []string{first, second} {
		if u := owner.waitOver(t, conversation, utterance); u.Receipt.Outcome != "finished" {
			t.Errorf("an utterance ended so: %+v", u)
		}
	}
	chunks := audience.came()
	checkWhole(t, chunks, seconds)
	for _, c := range chunks[len(spoke):] {
		if c.connection == 0 {
			t.Errorf("the node that was cut off has sent %+v", c)
		}
	}
	checkEvents(t, owner, conversation, 3)
}

// A single node with NATS in its process continues after a kill and a restart.
func TestSingleNodeContinuesAfterKill(t *testing.T) {
	t.Parallel()
	const seconds = 6
	audience, dir := openAudience(t), t.TempDir()
	node := startGateway(t, nil, "--nats", "embedded", "--data", dir)
	conversation, first := begin(t, node, node, audience.url, ramp(seconds))
	second := node.say(t, conversation, ramp(1))
	audience.waitFor(t, func(c []heardChunk) bool { return len(c) > 0 && c[len(c)-1].last > 24000 })
	if err := node.program.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = node.program.Wait() // it was killed
	again := startGateway(t, nil, "--nats", "embedded", "--data", dir)
	for _, utterance := range []string{first, second} {
		if u := again.waitOver(t, conversation, utterance); u.Receipt.Outcome != "finished" {
			t.Errorf("an utterance ended so: %+v", u)
		}
	}
	chunks := audience.came()
	checkWhole(t, chunks, seconds)
	checkEvents(t, again, conversation, 3)
}

// A node that gets SIGTERM finishes its current utterance and hands over the conversation with
// everything that waits: nothing is missing, and nothing is repeated.
func TestNodeHandsOverOnShutdown(t *testing.T) {
	t.Parallel()
	const seconds = 4
	nats, audience := startNATS(t), openAudience(t)
	a, b := startGateway(t, nil, "--nats", nats), startGateway(t, nil, "--nats", nats)
	conversation, first := begin(t, a, b, audience.url, ramp(seconds))
	second := b.say(t, conversation, ramp(seconds))
	audience.waitFor(t, func(c []heardChunk) bool { return len(c) > 0 })
	owner, other := heldBy(t, conversation, a, b)
	if err := owner.program.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	third := other.say(t, conversation, ramp(1))
	lost := 0 // leases, of a busy machine
	for _, utterance := range []string{first, second, third} {
		u := other.waitOver(t, conversation, utterance)
		if u.Receipt.Outcome != "finished" {
			t.Errorf("an utterance ended so: %+v", u)
		}
		lost += len(u.Takeovers)
	}
	if err := owner.program.Wait(); err != nil {
		t.Errorf("the node that was told to end: %v", err)
	}
	samples, last := 0, heardChunk{}
	for _, c := range audience.came() {
		if c.connection < last.connection {
			t.Error("the node that was told to end spoke after the other")
		}
		samples, last = samples+c.last-c.first, c
	}
	if all := 24000 * (2*seconds + 1); samples > all && lost == 0 || samples < all-all/10 {
		t.Errorf("%d of %d samples came", samples, all)
	}
}

// follower is a client on a WebSocket.
type follower struct {
	*websocket.Conn
	seen []int64 // ids of events
}

// connect opens a WebSocket that continues after an event.
func (g *gatewayProcess) connect(t *testing.T, conversation string, after int64) *follower {
	t.Helper()
	address := fmt.Sprintf("ws%s/%s/socket?format=s16le&after=%d", strings.TrimPrefix(g.url, "http"), conversation, after)
	f := &follower{}
	await(t, func() bool { // while no node holds the conversation
		conn, answer, err := websocket.Dial(t.Context(), address, nil) //nolint:bodyclose // it is nil or hijacked
		if err != nil && (answer == nil || answer.StatusCode != http.StatusServiceUnavailable) {
			t.Fatal(err, answer)
		}
		f.Conn = conn
		return err == nil
	})
	t.Cleanup(func() { _ = f.CloseNow() })
	return f
}

// until reads messages until one of a type, and returns its data.
func (f *follower) until(t *testing.T, kind string, data any) error {
	t.Helper()
	for {
		var m struct {
			ID   int64
			Type string
			Data json.RawMessage
		}
		_, text, err := f.Read(testwait.Context(t))
		if err == nil {
			err = json.Unmarshal(text, &m)
		}
		if err != nil {
			return err
		}
		if m.ID != 0 {
			f.seen = append(f.seen, m.ID)
		}
		if m.Type == kind {
			return json.Unmarshal(m.Data, data)
		}
	}
}

// order sends a text message.
func (f *follower) order(t *testing.T, text string) error {
	t.Helper()
	return f.Write(t.Context(), websocket.MessageText, []byte(text))
}

// A client that loses its node while it sends audio connects to another node and continues
// from the byte that has arrived. It misses no event and sees none twice.
func TestSocketContinuesOnAnotherNode(t *testing.T) {
	t.Parallel()
	const seconds = 6
	nats, audience, audio := startNATS(t), openAudience(t), ramp(seconds)
	a, b := startGateway(t, nil, "--nats", nats), startGateway(t, nil, "--nats", nats)
	conversation, _ := begin(t, a, b, audience.url, ramp(1))
	audience.waitFor(t, func(c []heardChunk) bool { return len(c) > 0 })
	owner, other := heldBy(t, conversation, a, b)
	var u struct {
		ID, Phase string
		Bytes     int
		Open      bool
	}
	// send connects and sends what has not arrived of the first bytes of the audio.
	send := func(node *gatewayProcess, after int64, order string, bytes int) (*follower, error) {
		f := node.connect(t, conversation, after)
		err := f.order(t, order)
		if err == nil {
			err = f.until(t, "accepted", &u)
		}
		if err == nil && u.Open && u.Bytes < bytes {
			err = f.Write(t.Context(), websocket.MessageBinary, audio[u.Bytes:bytes])
		}
		return f, err
	}
	var client *follower
	half, seen := len(audio)/2, []int64{}
	await(t, func() (isSent bool) { // a busy machine may lose a lease, and with it the connection
		var err error
		client, err = send(owner, int64(len(seen)), `{"type":"start"}`, half)
		if err != nil {
			seen = append(seen, client.seen...)
		}
		return err == nil
	})
	audience.waitFor(t, func(c []heardChunk) bool { return c[len(c)-1].last > 24000*5/4 })
	if err := owner.program.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := client.until(t, "never", nil); err == nil {
		t.Fatal("the connection did not break")
	}
	seen = append(seen, client.seen...)
	isOver := false
	await(t, func() bool {
		f, err := send(other, int64(len(seen)), fmt.Sprintf(`{"type":"continue","utterance":%q}`, u.ID), len(audio))
		if err == nil && u.Bytes != half && u.Bytes != len(audio) {
			t.Errorf("it continues from %d", u.Bytes)
		}
		if err == nil && u.Open {
			err = f.order(t, `{"type":"end"}`)
		}
		for isOver = u.Phase == "over"; err == nil && !isOver; {
			var now struct{ ID, Phase string }
			err = f.until(t, "utterance", &now)
			isOver = now.ID == u.ID && now.Phase == "over"
		}
		seen = append(seen, f.seen...)
		return isOver
	})
	if over := other.waitOver(t, conversation, u.ID); over.Receipt.Outcome != "finished" {
		t.Errorf("the utterance ended so: %+v", over)
	}
	for i, id := range seen {
		if id != int64(i+1) {
			t.Fatalf("event %d has the id %d", i+1, id)
		}
	}
	checkWhole(t, audience.came(), seconds)
}

// After its node is killed, a paid conversation continues on another node as the same one,
// even if a node that ends leftover conversations starts. It ends when it is told to.
func TestPaidConversationSurvivesKilledNode(t *testing.T) {
	t.Parallel()
	service := &tavustest.Server{Key: "any"}
	server := httptest.NewServer(service)
	t.Cleanup(func() {
		server.Close()
		service.Close()
	})
	service.AddPAL("p1", "r1", "echo", nil)
	environment := []string{"TAVUS_API_KEY=any", "TAVUS_BASE_URL=" + server.URL, "ECHOCAST_STATE_DIR=" + t.TempDir()}
	nats := startNATS(t)
	a, b := startGateway(t, environment, "--nats", nats), startGateway(t, environment, "--nats", nats)
	conversation := a.create(t, `{"pal":"p1","via":"rest"}`)
	owner, other := heldBy(t, conversation, a, b)
	if err := owner.program.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.program.Wait() // it was killed
	again := startGateway(t, environment, "--nats", nats)
	if open := service.Open(); len(open) != 1 {
		t.Fatalf("open after a node was started: %+v", open)
	}
	await(t, func() bool {
		var now struct{ State string }
		answer, err := http.Get(other.url + "/" + conversation) //nolint:noctx // bounded by await
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		return json.NewDecoder(answer.Body).Decode(&now) == nil && now.State == "open"
	})
	if n := len(service.Conversations()); n != 1 {
		t.Errorf("%d conversations were created", n)
	}
	again.insist(t, http.MethodDelete, conversation)
	if open := service.Open(); len(open) != 0 {
		t.Errorf("open in the end: %+v", open)
	}
}

// overviewOn reads the overview of a node until isEnough returns true.
func (g *gatewayProcess) overviewOn(t *testing.T,
	isEnough func(changed map[string]json.RawMessage, ended []string) bool) {
	t.Helper()
	request, err := http.NewRequestWithContext(testwait.Context(t), http.MethodGet,
		strings.TrimSuffix(g.url, "/conversations")+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	changed, ended := map[string]json.RawMessage{}, []string{}
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		data, isData := strings.CutPrefix(lines.Text(), "data: ")
		var o struct {
			Changed []json.RawMessage
			Ended   []string
		}
		if !isData {
			continue
		}
		if err := json.Unmarshal([]byte(data), &o); err != nil {
			t.Fatal(err)
		}
		for _, info := range o.Changed {
			var c created
			if err := json.Unmarshal(info, &c); err != nil {
				t.Fatal(err)
			}
			changed[c.ID] = info
		}
		if ended = append(ended, o.Ended...); isEnough(changed, ended) {
			return
		}
	}
	t.Fatal("the overview has ended")
}

// Each node reports the conversations of all nodes, and their ends. A conversation whose node was
// killed has not ended.
func TestEachNodeTellsOfAllConversations(t *testing.T) {
	t.Parallel()
	nats := startNATS(t)
	a, b := startGateway(t, nil, "--rehearse", "--nats", nats), startGateway(t, nil, "--rehearse", "--nats", nats)
	var ids []string
	for _, node := range []*gatewayProcess{a, b} {
		order := strings.NewReader(`{"to":"rehearsal"}`)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, node.url, order)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Echocast-Hop", "1") // it is created here
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		var c created
		err = json.NewDecoder(answer.Body).Decode(&c)
		_ = answer.Body.Close() // it was read
		if err != nil || c.ID == "" {
			t.Fatalf("create: %v", err)
		}
		ids = append(ids, c.ID)
	}
	for _, node := range []*gatewayProcess{a, b} {
		node.overviewOn(t, func(changed map[string]json.RawMessage, _ []string) bool {
			return changed[ids[0]] != nil && changed[ids[1]] != nil
		})
	}
	b.say(t, ids[1], ramp(60)) // twice a second there is something to tell
	isKilled, isEnding := false, false
	b.overviewOn(t, func(changed map[string]json.RawMessage, ended []string) bool {
		switch {
		case slices.Contains(ended, ids[0]):
			if !isEnding {
				t.Error("a conversation that another node is to take over is said to have ended")
			}
			return true
		case !isKilled && changed[ids[0]] != nil:
			isKilled = true
			_ = a.program.Process.Kill() // its end is what counts
		case isKilled && !isEnding && b.ask(t, http.MethodGet, ids[0]) == http.StatusOK:
			isEnding = true
			b.ask(t, http.MethodDelete, ids[0])
		}
		return false
	})
}

// ask asks a node about a conversation that it has to hold, and returns the status.
func (g *gatewayProcess) ask(t *testing.T, method, id string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, g.url+"/"+id, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Echocast-Hop", "1")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close() // it is not read
	return answer.StatusCode
}

// Three nodes are restarted one after the other while conversations speak, and more is said
// meanwhile: each utterance is finished, and no event is lost or repeated.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	const conversations = 6
	nats := startNATS(t)
	join := func() *gatewayProcess {
		return startGateway(t, nil, "--rehearse", "--nats", nats)
	}
	nodes := []*gatewayProcess{join(), join(), join()}
	said := map[string][]string{} // utterances of each conversation
	for i := range conversations {
		node := nodes[i%len(nodes)]
		id := node.create(t, `{"to":"rehearsal"}`)
		said[id] = append(said[id], node.say(t, id, ramp(2)))
	}
	for i, node := range nodes {
		if err := node.program.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		for id := range said {
			said[id] = append(said[id], nodes[(i+1)%len(nodes)].say(t, id, ramp(1)))
		}
		if err := node.program.Wait(); err != nil {
			t.Errorf("the node that was told to end: %v", err)
		}
		nodes[i] = join()
	}
	for id, utterances := range said {
		for _, utterance := range utterances {
			if u := nodes[0].waitOver(t, id, utterance); u.Receipt.Outcome != "finished" {
				t.Errorf("an utterance ended so: %+v %s", u, utterance)
			}
		}
		checkEvents(t, nodes[0], id, len(utterances))
	}
}

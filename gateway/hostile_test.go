package gateway

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"echocast/echo"
	"echocast/internal/testwait"
)

// hostileRequest has the bytes to send, with %s for the path of a conversation, and the expected
// status; 101 is a WebSocket that is then closed.
type hostileRequest struct {
	name, send string
	want       []int
}

// hostile are requests that no well-behaved client sends.
var hostile = []hostileRequest{
	{"a wrong token", "GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\n\r\n", []int{401}},
	{"a wrong token of a page", strings.Replace(upgrade, "Sec-WebSocket-Version", "Sec-WebSocket-Protocol: "+
		"echocast.token.wrong\r\nSec-WebSocket-Version", 1), []int{401}},
	{"a foreign origin", post("%s/interrupt", "Origin: http://evil.example", ""), []int{403}},
	{"an origin without a name", post("%s/interrupt", "Origin: null", ""), []int{403}},
	{"a foreign site", post("%s/interrupt", "Sec-Fetch-Site: cross-site", ""), []int{403}},
	{"a foreign host", "GET %s HTTP/1.1\r\nHost: evil.example\r\n\r\n", []int{403}},
	{"no host", "GET %s HTTP/1.1\r\n\r\n", []int{400}},
	{"no such path", "GET %s/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", []int{404}},
	{"no such method", "PATCH %s HTTP/1.1\r\nHost: localhost\r\n\r\n", []int{405}},
	{"a path that climbs", "GET %s/../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", []int{307, 404}},
	{"a path that climbs by escapes", "GET /v1/conversations/%2e%2e%2f%2e%2e%2fetc%2fpasswd HTTP/1.1\r\n" +
		"Host: localhost\r\n\r\n", []int{404}},
	{"a path with a null", "GET /v1/conversations/%00 HTTP/1.1\r\nHost: localhost\r\n\r\n", []int{404}},
	{"JSON without an end", post("/v1/conversations", "X: y", `{"to":"re`), []int{422}},
	{"deep JSON", post("/v1/conversations", "X: y", strings.Repeat("[", 90_000)), []int{422}},
	{"JSON that is too long", post("%s/say", "X: y", `{"text":"`+strings.Repeat("x", 399_000)), []int{413}},
	{"a name twice in JSON", post("/v1/conversations", "X: y", `{"to":"rehearsal","to":"x:y"}`), []int{400, 422}},
	{"a picture for JSON", post("/v1/conversations", "Content-Type: image/png", "\x89PNG\r\n\x1a\n"), []int{422}},
	{"a bomb for JSON", post("/v1/conversations", "Content-Encoding: gzip", bomb()), []int{422}},
	{"an archive for audio", post("%s/speech?queue=reject", "X: y", "PK\x03\x04"+strings.Repeat("x", 9000)),
		[]int{409, 415}},
	{"a bomb for audio", post("%s/speech?queue=reject", "Content-Encoding: gzip", bomb()), []int{409, 415}},
	{"headers that are too long", "GET %s HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 100_000) +
		"\r\n\r\n", []int{431}},
	{"too many headers", "GET %s HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("X: y\r\n", 20_000) + "\r\n",
		[]int{431}},
	{"headers without an end", "GET %s HTTP/1.1\r\nHost: localhost\r\nX: ", []int{400}},
	{"a broken chunk", chunked + "zz\r\n", []int{400, 409}},
	{"a chunk beyond all bounds", chunked + "ffffffffffffffff\r\n", []int{400, 409}},
	{"a chunk without an end", chunked + "10\r\nabc", []int{400, 409}},
	{"two lengths", "POST %s/speech HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n" +
		"xxxxx", []int{400}},
	{"a length and chunks", post("%s/say", "Transfer-Encoding: chunked", "0\r\n\r\n"), []int{400, 422}},
	{"a length that is none", "POST %s/say HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", []int{400}},
	{"what nobody can expect", post("%s/say", "Expect: the impossible", "{}"), []int{417}},
	{"a version that is none", "GET %s HTTP/9.9\r\nHost: localhost\r\n\r\n", []int{505}},
	{"a key that is too long", post("/v1/conversations", "Idempotency-Key: "+strings.Repeat("k", 5000), "{}"),
		[]int{422}},
	{"a key of another conversation", post("/v1/conversations", "Idempotency-Key: taken",
		`{"to":"rehearsal","label":"b"}`), []int{422}},
	{"an event that is none", "GET %s/events?after=-1 HTTP/1.1\r\nHost: localhost\r\n\r\n", []int{422}},
	{"a WebSocket without a key", "GET %s/socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n" +
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n", []int{400}},
	{"a WebSocket of another version", strings.Replace(upgrade, "Version: 13", "Version: 12", 1), []int{400}},
	{"reserved bits in a frame", upgrade + "\xf1\x85\x00\x00\x00\x00hello", []int{101}},
	{"a frame that is compressed", upgrade + "\xc2\x85\x00\x00\x00\x00hello", []int{101}},
	{"a frame beyond all bounds", upgrade + "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", []int{101}},
	{"a frame that is not masked", upgrade + "\x81\x05hello", []int{101}},
	{"a frame without an end", upgrade + "\x82\xfe\x10\x00\x00\x00\x00\x00abc", []int{101}},
	{"a frame of no kind", upgrade + "\x83\x80\x00\x00\x00\x00", []int{101}},
	{"pieces beyond all bounds", upgrade + "\x02\x80\x00\x00\x00\x00" + strings.Repeat(piece, 17), []int{101}},
	{"an order that is none", upgrade + "\x81\x85\x00\x00\x00\x00hello", []int{101}},
	{"text that is none", upgrade + "\x81\x82\x00\x00\x00\x00\xff\xfe", []int{101}},
	{"a control frame in pieces", upgrade + "\x09\x80\x00\x00\x00\x00", []int{101}},
	{"an end for no reason", upgrade + "\x88\x82\x00\x00\x00\x00\x00\x01", []int{101}},
	{"noise", "\x00\x16\x03\x01\xff\xfe", []int{400}},
}

const (
	upgrade = "GET %s/socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	chunked = "POST %s/speech?queue=reject HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
)

// piece is a frame of 64 KiB that continues a message.
var piece = "\x00\xfe\xff\xff\x00\x00\x00\x00" + strings.Repeat("x", 65_535)

// post is a request with a header and a body.
func post(path, header, body string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\n" + header + "\r\nContent-Length: " +
		number(len(body)+1) + "\r\n\r\n" + body + " "
}

// bomb returns 10 MB of zeros, compressed.
func bomb() string {
	var text bytes.Buffer
	w := gzip.NewWriter(&text)
	_, _ = w.Write(make([]byte, 10<<20)) // into memory
	_ = w.Close()
	return text.String()
}

// Hostile requests are refused as documented. They leave nothing behind, and the utterances of
// other clients are heard in full.
func TestHostileRequests(t *testing.T) {
	g := New(&Options{MaxLateness: testwait.Limit})
	var serving atomic.Int64 // requests and WebSockets; one may begin after its client has left
	handler := g.Handler()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serving.Add(1)
		defer serving.Add(-1)
		handler.ServeHTTP(w, r)
	}))
	server.Config.ReadHeaderTimeout, server.Config.MaxHeaderBytes = 5*time.Second, maxHeader
	server.Start()
	victim := rehearsal(t, g, "taken")
	body := newPipe()
	in, err := audioOf(map[string][]string{"format": {"s16le"}})
	if err != nil {
		t.Fatal(err)
	}
	in.Body, in.Abort = body, body.abort
	spoken, err := victim.Speak(t.Context(), *in)
	if err != nil {
		t.Fatal(err)
	}
	samples, _ := io.ReadAll(tone(1)) // of memory
	body.put(samples)
	awaitEvent(t, victim, `"kind":"started_speaking"`)
	settle := func() {
		becomes(t, "requests that are not over", 0, func() int { return int(serving.Load()) })
		server.CloseClientConnections()
		g.mu.Lock()
		g.ended = nil // up to keptEnded stay, and at most keptUtterances: that is no leak
		g.mu.Unlock()
		victim.mu.Lock()
		victim.utterances = nil
		victim.mu.Unlock()
	}

	trials, speakers := testwait.Trials(10_000), []*Conversation{rehearsal(t, g, ""), rehearsal(t, g, "")}
	address := strings.TrimPrefix(server.URL, "http://")
	for _, one := range hostile { // what is allocated once is there before the objects are counted
		send(t, address, "/v1/conversations/"+victim.ID, &one, true, rand.New(rand.NewPCG(0, 0))) //nolint:gosec // a test
	}
	over := speakOn(t, server.URL, speakers)
	attacks(t, address, append(speakers, victim), trials/2, 1)
	over()
	settle()
	objects, goroutines := heapObjects(), runtime.NumGoroutine()
	attacks(t, address, []*Conversation{victim}, trials/2, 2)
	settle()
	becomes(t, "goroutines more than before", 3, func() int { return runtime.NumGoroutine() - goroutines })
	becomes(t, "objects more than before", trials/2, func() int { return heapObjects() - objects })
	body.finish(io.EOF)
	receipt, err := spoken.Wait(testwait.Context(t))
	if err != nil || receipt.Outcome != echo.Finished || receipt.HeardSamples != 24000 {
		t.Errorf("who spoke meanwhile: %v, %+v", err, receipt)
	}
	if n := len(g.List()); n != 1+len(speakers) {
		t.Errorf("%d conversations are open", n)
	}
	g.Close(context.Background())
	server.Close() // waits for all connections
}

// rehearsal creates a conversation with this key.
func rehearsal(t *testing.T, g *Gateway, key string) *Conversation {
	t.Helper()
	c, err := g.Create(Spec{To: Rehearsal}, Creator{Key: key})
	if err == nil {
		err = c.WaitJoined(testwait.Context(t))
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// becomes waits until a count is at most a limit. What it counts ends a little after the
// client has left, and no event reports that.
func becomes(t *testing.T, what string, limit int, count func() int) {
	t.Helper()
	n := count()
	for begin := time.Now(); n > limit && time.Since(begin) < testwait.Limit; n = count() {
		time.Sleep(10 * time.Millisecond)
	}
	if n > limit {
		t.Errorf("%d %s, at most %d expected", n, what, limit)
	}
}

// heapObjects returns how many objects are in use.
func heapObjects() int {
	runtime.GC()
	runtime.GC() // what has finalizers
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapObjects) //nolint:gosec // it is far less
}

// speakOn speaks in conversations by uploads, one after the other, until the function that it
// returns is called. All uploads must be heard in full.
func speakOn(t *testing.T, url string, conversations []*Conversation) (over func()) {
	stop, transport := make(chan struct{}), &http.Transport{}
	var speakers sync.WaitGroup
	for _, c := range conversations {
		speakers.Go(func() {
			for isOver := false; !isOver; {
				var s SpokenPart
				answer, err := (&http.Client{Transport: transport}).Post(url+"/v1/conversations/"+c.ID+raw, "", tone(0.2))
				if err == nil {
					err = json.NewDecoder(answer.Body).Decode(&s)
					_ = answer.Body.Close() // it was read
				}
				if r := s.Receipt; err != nil || r.Outcome != echo.Finished || r.HeardSamples != 4800 {
					t.Errorf("who speaks meanwhile: %v, %+v", err, r)
				}
				select {
				case <-stop:
					isOver = true
				default:
				}
			}
		})
	}
	return func() {
		close(stop)
		speakers.Wait()
		transport.CloseIdleConnections()
	}
}

// attacks sends n hostile requests to some of the conversations.
func attacks(t *testing.T, address string, conversations []*Conversation, n int, seed uint64) {
	t.Helper()
	var clients sync.WaitGroup
	places := make(chan struct{}, 16)
	for i := range n {
		places <- struct{}{}
		clients.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), seed)) //nolint:gosec // a test
			c := conversations[random.IntN(len(conversations))]
			attack(t, address, "/v1/conversations/"+c.ID, random)
			<-places
		})
	}
	clients.Wait()
}

// attack sends one hostile request, or a part of it, in pieces, and leaves at a random moment.
func attack(t *testing.T, address, path string, random *rand.Rand) {
	send(t, address, path, &hostile[random.IntN(len(hostile))], random.IntN(4) > 0, random)
}

func send(t *testing.T, address, path string, one *hostileRequest, isWhole bool, random *rand.Rand) {
	text := strings.Replace(one.send, "%s", path, 1)
	if !isWhole {
		text = text[:random.IntN(len(text))]
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Errorf("%s: %v", one.name, err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(testwait.Limit)) // of an open connection
	for len(text) > 0 {
		n := 1 + random.IntN(len(text))
		if _, err := io.WriteString(conn, text[:n]); err != nil {
			return // it was refused meanwhile
		}
		text = text[n:]
	}
	if random.IntN(3) == 0 {
		return // the client leaves
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return // such as a connection that was closed
	}
	defer answer.Body.Close()
	if isWhole && !slices.Contains(one.want, answer.StatusCode) {
		t.Errorf("%s is answered with %d", one.name, answer.StatusCode)
	}
	if answer.StatusCode >= 500 && !isWhole || answer.StatusCode == http.StatusCreated {
		t.Errorf("a part of %s is answered with %d", one.name, answer.StatusCode)
	}
	checkProblem(t, one.name, answer)
}

// checkProblem reads an answer to its end. Refusals of the gateway are problems with a kind
// and a detail.
func checkProblem(t *testing.T, name string, answer *http.Response) {
	var p Problem
	text, err := io.ReadAll(answer.Body)
	isOfServer := slices.Contains([]int{101, 307, 400, 417, 431, 505}, answer.StatusCode) // it may be the library's
	if isOfServer && answer.Header.Get("Content-Type") != "application/problem+json" {
		return
	}
	if err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil || p.Status != answer.StatusCode || p.Kind == "" || p.Detail == "" {
		t.Errorf("%s is answered with %d and %s", name, answer.StatusCode, text)
	}
}

// A body that is read as audio cannot name a file or a program.
func TestNamesInTheQueryAreNotFollowed(t *testing.T) {
	for _, query := range []string{"ffmpeg=/bin/sh", "preset=x", "format=ndjson", "format=raw", "format=../x"} {
		name, value, _ := strings.Cut(query, "=")
		if _, err := audioOf(map[string][]string{name: {value}}); err == nil {
			t.Errorf("%s is taken", query)
		}
	}
}

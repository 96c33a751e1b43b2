package gateway

import (
	"bufio"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"echocast/echo"
	"echocast/internal/testwait"
)

// hostile are requests that no good client makes. Each is what is sent, and %s is the
// path of a conversation.
var hostile = []struct{ name, send string }{
	{"a wrong token", "GET %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\n\r\n"},
	{"a foreign origin", "POST %s/interrupt HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n" +
		"Content-Length: 0\r\n\r\n"},
	{"a foreign host", "GET %s HTTP/1.1\r\nHost: evil.example\r\n\r\n"},
	{"no such path", "GET %s/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"},
	{"JSON without an end", "POST /v1/conversations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{\"to\":\"re"},
	{"deep JSON", "POST /v1/conversations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90000\r\n\r\n" +
		strings.Repeat("[", 90000)},
	{"JSON that is too long", "POST %s/say HTTP/1.1\r\nHost: localhost\r\nContent-Length: 400000\r\n\r\n{\"text\":\"" +
		strings.Repeat("x", 399000)},
	{"headers that are too long", "GET %s HTTP/1.1\r\nHost: localhost\r\nX: " +
		strings.Repeat("x", 100_000) + "\r\n\r\n"},
	{"headers without an end", "GET %s HTTP/1.1\r\nHost: localhost\r\nX: "},
	{"a broken chunk", "POST %s/speech?queue=reject HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: " +
		"chunked\r\n\r\nzz\r\n"},
	{"a chunk beyond all bounds", "POST %s/speech?queue=reject HTTP/1.1\r\nHost: localhost\r\n" +
		"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"},
	{"two lengths", "POST %s/speech HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxx"},
	{"a key that is too long", "POST /v1/conversations HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: " +
		strings.Repeat("k", 5000) + "\r\nContent-Length: 2\r\n\r\n{}"},
	{"events and away", "GET %s/events HTTP/1.1\r\nHost: localhost\r\n\r\n"},
	{"a WebSocket without a key", "GET %s/socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n" +
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n"},
	{"reserved bits in a frame", upgrade + "\xf1\x85\x00\x00\x00\x00hello"},
	{"a frame beyond all bounds", upgrade + "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00"},
	{"a frame that is not masked", upgrade + "\x81\x05hello"},
	{"an order that is none", upgrade + "\x81\x85\x00\x00\x00\x00hello"},
	{"a control frame in pieces", upgrade + "\x09\x80\x00\x00\x00\x00"},
	{"noise", "\x00\x16\x03\x01\xff\xfe"},
}

const upgrade = "GET %s/socket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"

// Requests that no good client makes are refused. Nothing of them stays, and who speaks
// meanwhile is not harmed.
func TestHostileRequests(t *testing.T) {
	g := New(nil)
	server := httptest.NewUnstartedServer(g.Handler())
	server.Config.ReadHeaderTimeout, server.Config.MaxHeaderBytes = time.Second, maxHeader
	server.Start()
	address := strings.TrimPrefix(server.URL, "http://")
	ctx := testwait.Context(t)
	speaker, err := g.Create(Spec{To: Rehearsal}, Creator{})
	if err == nil {
		err = speaker.WaitJoined(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	body := newPipe()
	in, err := audioOf(map[string][]string{"format": {"s16le"}})
	if err != nil {
		t.Fatal(err)
	}
	in.Body, in.Abort = body, body.abort
	spoken, err := speaker.Speak(ctx, *in)
	if err != nil {
		t.Fatal(err)
	}
	samples, _ := io.ReadAll(tone(1)) // of memory
	_, _ = body.Write(samples)        // never fails
	awaitEvent(t, speaker, `"kind":"started_speaking"`)

	var clients sync.WaitGroup
	places := make(chan struct{}, 16)
	for i := range testwait.Trials(10_000) {
		places <- struct{}{}
		clients.Go(func() {
			attack(t, address, "/v1/conversations/"+speaker.ID, uint64(i)) //nolint:gosec // it counts
			<-places
		})
	}
	clients.Wait()
	body.finish(io.EOF)
	receipt, err := spoken.Wait(ctx)
	if err != nil || receipt.Outcome != echo.Finished || receipt.Samples != 24000 {
		t.Errorf("who spoke meanwhile: %v, %+v", err, receipt)
	}
	if n := len(g.List()); n != 1 {
		t.Errorf("%d conversations are open", n)
	}
	g.Close(context.Background())
	server.Close() // waits for all connections
}

// attack sends one hostile request, or a part of it, and leaves at some moment.
func attack(t *testing.T, address, path string, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 21)) //nolint:gosec // a test
	one := hostile[random.IntN(len(hostile))]
	text := strings.Replace(one.send, "%s", path, 1)
	if random.IntN(4) == 0 {
		text = text[:random.IntN(len(text))]
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Errorf("%s: %v", one.name, err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(testwait.Limit)) // of an open connection
	if _, err := io.WriteString(conn, text); err != nil || random.IntN(2) == 0 {
		return // it was refused meanwhile, or the client leaves
	}
	_ = conn.(*net.TCPConn).CloseWrite()
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return // such as a connection that was closed
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 500 || answer.StatusCode == http.StatusCreated {
		t.Errorf("%s is answered with %d", one.name, answer.StatusCode)
	}
}

// A body that is read as audio is no place to name a file or a program.
func TestNamesInTheQueryAreNotFollowed(t *testing.T) {
	for _, query := range []string{"ffmpeg=/bin/sh", "preset=x", "format=ndjson", "format=raw", "format=../x"} {
		name, value, _ := strings.Cut(query, "=")
		if _, err := audioOf(map[string][]string{name: {value}}); err == nil {
			t.Errorf("%s is taken", query)
		}
	}
}

package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"echocast/echo"
	"echocast/internal/pcm"
	"echocast/internal/testwait"
)

// onLoopback serves a gateway on a real connection.
func onLoopback(t *testing.T, options *Options) (*Gateway, string) {
	t.Helper()
	g := New(options)
	server := httptest.NewServer(g.Handler())
	t.Cleanup(func() {
		g.Close(context.Background())
		server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return g, strings.TrimPrefix(server.URL, "http://")
}

// A body that is cut off is an error, even if its decoder accepts the end: the utterance is
// never reported as done.
func TestCutBodyIsNeverDone(t *testing.T) {
	t.Parallel()
	g, address := onLoopback(t, &Options{MaxLateness: testwait.Limit}) // a busy machine takes conversations too
	for _, test := range []struct{ name, query, header string }{
		{"raw samples, in chunks", "?format=s16le&rate=24000", "Transfer-Encoding: chunked"},
		{"raw samples, of a known length", "?format=s16le&rate=24000", "Content-Length: 96000"},
		{"a container, in chunks", "", "Transfer-Encoding: chunked"},
		{"a container, of a known length", "", "Content-Length: 96044"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c := rehearsal(t, g, "")
			audio, _ := io.ReadAll(tone(1)) // of memory
			if test.query == "" {
				audio = append(pcm.WAVHeader(24000, 1, 96000), audio...)
			}
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "POST /v1/conversations/%s/speech%s HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n",
				c.ID, test.query, address, test.header)
			if strings.Contains(test.header, "chunked") {
				fmt.Fprintf(conn, "%x\r\n", len(audio))
			}
			if _, err := conn.Write(audio); err != nil {
				t.Fatal(err)
			}
			awaitEvent(t, c, `"kind":"started_speaking"`)
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			var p Problem
			if err := json.NewDecoder(answer.Body).Decode(&p); err != nil {
				t.Fatal(err)
			}
			if answer.StatusCode != http.StatusBadRequest || p.Kind != "input" ||
				p.Receipt == nil || p.Receipt.Outcome == echo.Finished || p.Receipt.Samples == 0 {
				t.Errorf("status %d, problem %+v, receipt %+v", answer.StatusCode, p, p.Receipt)
			}
		})
	}
}

// awaitEvent waits until the history of a conversation has an entry with this text.
func awaitEvent(t *testing.T, c *Conversation, text string) {
	t.Helper()
	var after int64
	for {
		entries, _, changed := c.history.since(after)
		for _, e := range entries {
			if strings.Contains(string(e.Data), text) {
				return
			}
			after = e.ID
		}
		testwait.Receive(t, changed)
	}
}

// origin is the address of the gateway for clients in memory.
const origin = "http://127.0.0.1:8880"

// request sends a request, and returns the status and the body of the answer.
func request(t *testing.T, web *http.Client, method, url string, body io.Reader) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := web.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// A client can use its connection again after an upload: the end of one request does not end
// the next ones.
func TestConnectionIsReusedAfterUpload(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *client) {
		web, l, end := inMemory(c)
		defer end()
		path := c.open()
		for range 2 {
			status, text := request(t, web, "POST", origin+path+raw, tone(1))
			if status != http.StatusOK || !strings.Contains(text, `"finished"`) {
				t.Errorf("speech: status %d, %s", status, text)
			}
		}
		status, text := request(t, web, "POST", origin+"/v1/conversations", strings.NewReader(`{"to":"rehearsal"}`))
		if status != http.StatusCreated {
			t.Errorf("another conversation: status %d, %s", status, text)
		}
		if status, text := request(t, web, "DELETE", origin+path, nil); status != http.StatusOK {
			t.Errorf("the end: status %d, %s", status, text)
		}
		if n := l.dialed.Load(); n != 1 {
			t.Errorf("the client needed %d connections", n)
		}
	})
}

// An upload that has arrived is not cut off, however long it waits for its turn: silence does
// not mean that its client has left.
func TestUploadWaitsForItsTurn(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *client) {
		web, _, end := inMemory(c)
		defer end()
		path := c.open()
		c.do("POST", path+"/pause", nil, http.StatusOK, nil)
		time.AfterFunc(3*stallTimeout, func() { c.do("POST", path+"/resume", nil, http.StatusOK, nil) })
		status, text := request(t, web, "POST", origin+path+raw, tone(0.1))
		if status != http.StatusOK || !strings.Contains(text, `"finished"`) {
			t.Errorf("status %d, %s", status, text)
		}
	})
}

// uploading runs f with a rehearsal in fake time, a body, and the writer that fills it.
func uploading(t *testing.T, o *Options,
	f func(t *testing.T, web *http.Client, path string, body io.Reader, sender io.Writer),
) {
	t.Helper()
	inBubble(t, o, func(t *testing.T, c *client) {
		web, _, end := inMemory(c)
		defer end()
		path := c.open()
		body, sender := io.Pipe()
		defer sender.Close()
		defer body.Close()
		f(t, web, path, body, sender)
	})
}

// A body that sends nothing for stallTimeout is cut off then, and not earlier.
func TestStalledBody(t *testing.T) {
	uploading(t, nil, func(t *testing.T, web *http.Client, path string, ours io.Reader, theirs io.Writer) {
		begin := time.Now()
		go func() {
			samples, _ := io.ReadAll(tone(1)) // of memory
			for _, pause := range []time.Duration{0, stallTimeout - time.Second} {
				time.Sleep(pause)
				_, _ = theirs.Write(samples)
			}
		}()
		status, text := request(t, web, "POST", origin+path+raw, ours)
		if took := time.Since(begin); took < 2*stallTimeout-time.Second || took > 2*stallTimeout+time.Second {
			t.Errorf("it was answered after %v", took)
		}
		if status != http.StatusBadRequest || !strings.Contains(text, "fewer than 1024 bytes arrived within 1m0s") ||
			!strings.Contains(text, `"samples":46800`) {
			t.Errorf("status %d, %s", status, text)
		}
	})
}

// A body that arrives too slowly is cut off like one that stalls. The same holds for requests
// of OpenAI's protocols.
func TestTricklingBody(t *testing.T) {
	for _, path := range []string{"speech?format=s16le&rate=24000", "openai"} {
		o := &Options{Rehearse: true, OpenAI: "http://127.0.0.1:1/v1"}
		uploading(t, o, func(t *testing.T, web *http.Client, one string, body io.Reader, sender io.Writer) {
			to := one + "/" + path
			if path == "openai" {
				to = strings.Replace(one, "/v1/conversations", "/openai", 1) + "/audio/speech"
			}
			begin := time.Now()
			go func() {
				for err := error(nil); err == nil; time.Sleep(stallTimeout/4 + time.Millisecond) { // not with the answer
					_, err = sender.Write([]byte{0})
				}
			}()
			defer time.Sleep(stallTimeout) // the sender has ended
			status, text := request(t, web, "POST", origin+to, body)
			if took := time.Since(begin); took < stallTimeout || took > stallTimeout+time.Second {
				t.Errorf("%s was answered after %v", path, took)
			}
			if status != http.StatusBadRequest || !strings.Contains(text, "fewer than 1024 bytes arrived within 1m0s") {
				t.Errorf("%s: status %d, %s", path, status, text)
			}
		})
	}
}

// A JSON body that does not arrive is refused after jsonTimeout, and blocks nothing else.
func TestStalledJSON(t *testing.T) {
	uploading(t, nil, func(t *testing.T, web *http.Client, path string, ours io.Reader, theirs io.Writer) {
		begin := time.Now()
		go func() { _, _ = theirs.Write([]byte(`{"text":`)) }()
		status, text := request(t, web, "POST", origin+path+"/say", ours)
		if took := time.Since(begin); took != jsonTimeout {
			t.Errorf("it was answered after %v", took)
		}
		if status != http.StatusBadRequest || !strings.Contains(text, "it took longer than 10s") {
			t.Errorf("status %d, %s", status, text)
		}
		status, text = request(t, web, "POST", origin+path+"/say", strings.NewReader(`{"text":"Hello"}`))
		if status != http.StatusOK {
			t.Errorf("afterwards: status %d, %s", status, text)
		}
	})
}

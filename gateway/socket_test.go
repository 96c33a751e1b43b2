package gateway

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"echocast/echo"
)

// memoryListener accepts connections in memory, so that fake time passes while they wait.
type memoryListener struct {
	conns  chan net.Conn
	closed chan struct{}
	dialed atomic.Int32
}

func newMemoryListener() *memoryListener {
	return &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8880} }

func (l *memoryListener) Close() error {
	close(l.closed)
	return nil
}

// dial connects to the listener, whatever the address.
func (l *memoryListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- localConn{theirs}:
		l.dialed.Add(1)
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// localConn is a connection from this machine.
type localConn struct{ net.Conn }

func (localConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1234} }

// inMemory serves a gateway on connections in memory. The function that it returns ends
// them.
func inMemory(c *client) (*http.Client, *memoryListener, func()) {
	l := newMemoryListener()
	server := &http.Server{Handler: c.handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(l)
	}()
	transport := &http.Transport{DialContext: l.dial}
	return &http.Client{Transport: transport}, l, func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		<-ended
		synctest.Wait()
	}
}

// onSocket runs f with a WebSocket of a new rehearsal, in fake time.
func onSocket(t *testing.T, query string, f func(t *testing.T, c *client, s *testSocket)) {
	t.Helper()
	onSocketOf(t, "", query, f)
}

// onSocketOf does the same with these fields of the conversation besides to.
func onSocketOf(t *testing.T, fields, query string, f func(t *testing.T, c *client, s *testSocket)) {
	t.Helper()
	inBubble(t, nil, func(t *testing.T, c *client) {
		path := c.create(fields)
		web, _, end := inMemory(c)
		defer end()
		s, leave := openSocket(t, web, path, query)
		defer leave()
		f(t, c, s)
	})
}

// openSocket opens the socket of a conversation. The function that it returns closes it.
func openSocket(t *testing.T, web *http.Client, path, query string) (s *testSocket, leave func()) {
	t.Helper()
	s = &testSocket{t: t, messages: make(chan Entry, 10_000), stall: make(chan time.Duration, 1), path: path}
	var err error
	s.conn, _, err = websocket.Dial(t.Context(), "ws://127.0.0.1:8880"+path+"/socket"+query, &websocket.DialOptions{
		HTTPClient: web, Subprotocols: []string{socketProtocol},
	})
	if err != nil {
		t.Fatal(err)
	}
	if s.conn.Subprotocol() != socketProtocol {
		t.Errorf("the subprotocol is %q", s.conn.Subprotocol())
	}
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		s.listen(t.Context())
	}()
	return s, func() {
		_ = s.conn.CloseNow() // it may be closed
		<-listening
	}
}

// testSocket is the client's end of a socket.
type testSocket struct {
	t        *testing.T
	path     string
	conn     *websocket.Conn
	messages chan Entry // as they come
	ended    error      // why no more come
	seen     []Entry
	stall    chan time.Duration // for which nothing is read

	mu    sync.Mutex
	heard []byte // binary messages
}

// listen reads all messages, until the connection ends.
func (s *testSocket) listen(ctx context.Context) {
	defer close(s.messages)
	for {
		select {
		case d := <-s.stall:
			time.Sleep(d)
		default:
		}
		var e Entry
		kind, data, err := s.conn.Read(ctx)
		if kind == websocket.MessageBinary {
			s.mu.Lock()
			s.heard = append(s.heard, data...)
			s.mu.Unlock()
			continue
		}
		if err == nil {
			err = json.Unmarshal(data, &e)
		}
		if err != nil {
			s.ended = err
			return
		}
		s.messages <- e
	}
}

func (s *testSocket) order(text string) {
	s.t.Helper()
	if err := s.conn.Write(s.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		s.t.Fatal(err)
	}
}

// speak sends seconds of samples at 24 kHz, in messages of 100 ms.
func (s *testSocket) speak(seconds float64) {
	s.t.Helper()
	audio := make([]byte, int(seconds*2*echo.DefaultRate))
	for piece := range slices.Chunk(audio, 4800) {
		if err := s.conn.Write(s.t.Context(), websocket.MessageBinary, piece); err != nil {
			s.t.Fatal(err)
		}
	}
}

// await reads until a message of a type has a text in it, and returns its data.
func (s *testSocket) await(kind, text string) string {
	s.t.Helper()
	limit := time.After(10 * time.Minute)
	for {
		select {
		case e, ok := <-s.messages:
			if !ok {
				s.t.Fatalf("the connection has ended before %s with %s: %v", kind, text, s.ended)
			}
			s.seen = append(s.seen, e)
			if e.Type == kind && strings.Contains(string(e.Data), text) {
				return string(e.Data)
			}
		case <-limit:
			s.t.Fatalf("no %s with %s has arrived", kind, text)
		}
	}
}

// Marks are reported in order when they were heard, and the receipt follows at the end.
func TestSocketSpeaks(t *testing.T) {
	onSocket(t, "?format=s16le&rate=24000", func(t *testing.T, c *client, s *testSocket) {
		begin := time.Now()
		s.order(`{"type":"start","name":"greeting"}`)
		s.speak(1)
		s.order(`{"type":"mark","name":"one"}`)
		s.speak(2)
		s.order(`{"type":"mark","name":"three"}`)
		s.order(`{"type":"end"}`)
		for _, want := range []struct {
			name  string
			after time.Duration
		}{{"one", time.Second}, {"three", 3 * time.Second}} {
			data := s.await("mark", want.name)
			late := time.Since(begin) - want.after
			if late < 0 || late > 300*time.Millisecond || !strings.Contains(data, `"heard":true`) {
				t.Errorf("mark %s is told %v after its time: %s", want.name, late, data)
			}
		}
		var spoken SpokenPart
		if err := json.Unmarshal([]byte(s.await("receipt", "")), &spoken); err != nil {
			t.Fatal(err)
		}
		if r := spoken.Receipt; r.Outcome != echo.Finished || r.Samples != 72000 || r.Source != "greeting" {
			t.Errorf("the receipt is %+v", r)
		}
		s.speak(0.5) // starts one by itself
		s.order(`{"type":"end"}`)
		s.await("receipt", `"samples":12000`)
	})
}

// An interrupt stops the replica and reports the marks that were not heard. Audio after it
// begins another utterance.
func TestSocketInterrupts(t *testing.T) {
	onSocket(t, "", func(t *testing.T, c *client, s *testSocket) {
		s.speak(1)
		s.order(`{"type":"mark","name":"early"}`)
		s.speak(20)
		s.order(`{"type":"mark","name":"late"}`)
		s.await("mark", "early")
		s.order(`{"type":"interrupt"}`)
		if late := s.await("mark", "late"); !strings.Contains(late, `"heard":false`) {
			t.Errorf("the mark is %s", late)
		}
		s.await("interrupted", `"outcome":"interrupted"`)
		s.speak(1)
		s.order(`{"type":"end"}`)
		s.await("receipt", `"outcome":"finished"`)
	})
}

// The gateway drops the audio of a refused utterance to its end, however much of it follows
// the refusal. Audio after that end begins another utterance.
func TestSocketDropsTheAudioOfARefusedUtterance(t *testing.T) {
	onSocket(t, "", func(t *testing.T, c *client, s *testSocket) {
		s.speak(5)
		s.order(`{"type":"end"}`)
		s.await("event", "started_speaking")
		s.order(`{"type":"start","queue":"reject","name":"refused"}`)
		s.await("error", `"busy"`)
		s.await("utterance", `"over"`)
		s.speak(3)
		s.order(`{"type":"end"}`)
		s.speak(1)
		s.order(`{"type":"end"}`)
		s.await("receipt", `"samples":24000`)
		var list struct{ Utterances []UtteranceInfo }
		c.do("GET", s.path+"/utterances", nil, http.StatusOK, &list)
		if len(list.Utterances) != 2 {
			t.Errorf("the utterances are %+v, want two", list.Utterances)
		}
	})
}

// If the connection is lost in the middle of an utterance, that utterance is cut off. An
// utterance that was ended continues.
func TestSocketIsLost(t *testing.T) {
	for _, test := range []struct {
		name, order string
		want        echo.Outcome
		err         string
	}{
		{"before the end", `{"type":"mark","name":"m"}`, echo.Interrupted, "the body was cut off"},
		{"after the end", `{"type":"end"}`, echo.Finished, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			onSocket(t, "", func(t *testing.T, c *client, s *testSocket) {
				s.speak(3)
				s.order(test.order)
				s.await("event", "started_speaking")
				_ = s.conn.CloseNow()
				time.Sleep(10 * time.Second)
				var list struct{ Utterances []UtteranceInfo }
				c.do("GET", s.path+"/utterances", nil, http.StatusOK, &list)
				if len(list.Utterances) != 1 || list.Utterances[0].Receipt == nil {
					t.Fatalf("the utterances are %+v", list)
				}
				u := list.Utterances[0]
				isSilent := (u.Error == "") == (test.err == "")
				if u.Receipt.Outcome != test.want || !strings.Contains(u.Error, test.err) || !isSilent {
					t.Errorf("the outcome is %s, the error %q", u.Receipt.Outcome, u.Error)
				}
			})
		})
	}
}

// A client that sends faster than the replica speaks is held back, and none of its audio is
// lost.
func TestSocketBackpressure(t *testing.T) {
	const total = pipeLimit/(2*echo.DefaultRate) + 60 // seconds
	onSocket(t, "", func(t *testing.T, c *client, s *testSocket) {
		sent := make(chan time.Duration, 1)
		begin := time.Now()
		go func() {
			s.speak(total)
			s.order(`{"type":"end"}`)
			sent <- time.Since(begin)
		}()
		s.await("receipt", `"outcome":"finished"`)
		if took := <-sent; took < 30*time.Second {
			t.Errorf("%d s of audio were taken within %v", total, took)
		}
		if last := string(s.seen[len(s.seen)-1].Data); !strings.Contains(last, `"sent_seconds":`+number(total)) {
			t.Errorf("the receipt is %s", last)
		}
	})
}

// Pause and resume, texts and messages work, and each mistake gets an error without further
// harm.
func TestSocketCommands(t *testing.T) {
	onSocket(t, "", func(t *testing.T, c *client, s *testSocket) {
		for _, test := range []struct{ order, want string }{
			{`{"type":"sing"}`,
				"it must be start, end, continue, mark, say, message, interrupt, pause, resume, listen or unlisten"},
			{`{"typ":"end"}`, "unknown field"},
			{`[]`, "it must be one JSON object"},
			{`{"type":"end"}`, "no utterance was started"},
			{`{"type":"mark","name":"m"}`, "no utterance takes audio"},
			{`{"type":"say","text":" "}`, "no text in the input"},
			{`{"type":"start","format":"mp4"}`, "format: there are"},
			{`{"type":"message","message":{"event_type":"conversation.echo"}}`, "they have to wait for their turn"},
			{`{"type":"message","message":[]}`, "message: "},
		} {
			s.order(test.order)
			s.await("error", test.want)
		}
		s.order(`{"type":"say","text":"Hello there."}`)
		s.await("accepted", `"id"`)
		s.await("receipt", `"outcome":"finished"`)
		s.order(`{"type":"end"}`) // of the start that was refused
		s.speak(5)
		s.order(`{"type":"end"}`)
		s.await("event", "started_speaking")
		s.order(`{"type":"pause"}`)
		s.await("state", `"replica":"paused"`)
		s.order(`{"type":"resume"}`)
		s.await("receipt", `"resumes"`)
		s.await("utterance", `"over"`)
		respond := `{"message_type":"conversation","event_type":"conversation.respond","properties":{"text":"x"}}`
		s.order(`{"type":"message","message":` + respond + `}`)
		s.await("event", `"kind":"utterance"`)
		c.do("DELETE", s.path, nil, http.StatusOK, nil)
		s.await("state", `"ended"`)
		if _, more := <-s.messages; more || websocket.CloseStatus(s.ended) != websocket.StatusNormalClosure {
			t.Errorf("after the end of the conversation: more is %t, %v", more, s.ended)
		}
	})
}

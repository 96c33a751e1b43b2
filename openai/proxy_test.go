package openai_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/coder/websocket"

	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/openai"
)

// counter is a speaker that only counts samples, as fast as it can.
type counter struct {
	mu     sync.Mutex
	spoken []spoken
	ended  chan struct{} // gets a value for each utterance, if it is not nil
}

type spoken struct {
	samples int
	text    string
	err     error
}

func (c *counter) Speak(ctx context.Context, speech echo.Speech) (echo.Receipt, error) {
	s := spoken{text: speech.Text}
	p := make([]float32, 4096)
	for s.err == nil {
		n, err := speech.Samples.ReadSamples(p)
		s.samples += n
		s.err = err
	}
	if s.err == io.EOF {
		s.err = nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spoken = append(c.spoken, s)
	if c.ended != nil {
		c.ended <- struct{}{}
	}
	return echo.Receipt{Outcome: echo.Finished, SpokenSeconds: float64(s.samples) / echo.DefaultRate}, s.err
}

func (c *counter) Progress() echo.Progress { return echo.Progress{} }

// begin starts a proxy in front of a service.
func begin(t testing.TB, service http.Handler, o openai.Options) (url string, end func()) {
	t.Helper()
	upstream := httptest.NewServer(service)
	o.Upstream = upstream.URL + "/v1"
	transport := &http.Transport{}
	o.Transport = transport
	proxy, err := openai.New(o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(proxy)
	end = sync.OnceFunc(func() {
		server.Close()
		proxy.Close()
		transport.CloseIdleConnections()
		upstream.Close()
	})
	t.Cleanup(end)
	return server.URL + "/v1", end
}

// post requests speech, as a program does.
func post(t testing.TB, url, body string) (*http.Response, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/audio/speech", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer key-of-the-program")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	return response, answer
}

// second is a second of samples.
func second() []byte {
	out := make([]byte, 48000)
	for i := range 24000 {
		binary.LittleEndian.PutUint16(out[2*i:], uint16(i*13))
	}
	return out
}

// asServerSentEvents returns audio in the format of stream_format sse.
func asServerSentEvents(audio []byte) []byte {
	var out bytes.Buffer
	for part := range slices.Chunk(audio, 1001) {
		fmt.Fprintf(&out, "data: {\"type\":\"speech.audio.delta\",\"audio\":\"%s\"}\n\n",
			base64.StdEncoding.EncodeToString(part))
	}
	out.WriteString(
		"data: {\"type\":\"speech.audio.done\"," +
			"\"usage\":{\"input_tokens\":14,\"output_tokens\":101,\"total_tokens\":115}}\n\n")
	return out.Bytes()
}

// The program gets what the service sent, byte for byte, and the replica says it, in each
// format.
func TestSpeechIsPassedOnAndSpoken(t *testing.T) {
	wav, err := os.ReadFile("../testdata/speech.wav")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, kind, request string
		body                []byte
		samples             int
	}{
		{"pcm", "audio/pcm", `{"model":"tts-1","input":"Hello.","response_format":"pcm"}`, second(), 24000},
		{"pcm, by its type", "audio/pcm", `{`, second(), 24000},
		{"wav", "audio/wav", `{"input":"Hello.","response_format":"wav"}`, wav, -1},
		{"pcm in events", "text/event-stream; charset=utf-8", `{"input":"Hello.","response_format":"pcm",` +
			`"stream_format":"sse"}`, asServerSentEvents(second()), 24000},
		{"wav in events", "text/event-stream", `{"input":"Hello.","response_format":"wav","stream_format":"sse"}`,
			asServerSentEvents(wav), -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			speaker := &counter{ended: make(chan struct{}, 1)}
			url, end := begin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if string(body) != c.request || r.URL.Path != "/v1/audio/speech" ||
					r.Header.Get("Authorization") != "Bearer key-of-the-program" {
					t.Errorf("the service was asked %s %q", r.URL.Path, body)
				}
				w.Header().Set("Content-Type", c.kind)
				for part := range slices.Chunk(c.body, 997) {
					_, _ = w.Write(part)
					w.(http.Flusher).Flush()
				}
			}), openai.Options{Speaker: speaker, Warn: func(text string) { t.Error(text) }})
			response, answer := post(t, url, c.request)
			if !bytes.Equal(answer, c.body) || response.Header.Get("Content-Type") != c.kind {
				t.Errorf("%d bytes of %s came back, and %d were sent", len(answer), response.Header.Get("Content-Type"),
					len(c.body))
			}
			testwait.Receive(t, speaker.ended)
			end()
			if len(speaker.spoken) != 1 || speaker.spoken[0].err != nil || c.samples >= 0 &&
				speaker.spoken[0].samples != c.samples || speaker.spoken[0].samples < 24000 {
				t.Errorf("the replica said %+v", speaker.spoken)
			}
			if want := strings.Contains(c.request, "Hello."); (speaker.spoken[0].text == "Hello.") != want {
				t.Errorf("the text is %q", speaker.spoken[0].text)
			}
		})
	}
}

// Requests that are not for speech are forwarded, and nothing is spoken.
func TestOtherRequestsArePassedOn(t *testing.T) {
	speaker := &counter{}
	url, end := begin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Request-Id", "req_1")
		if r.URL.Path == "/v1/audio/speech" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":{"message":"Incorrect API key provided"}}`)
			return
		}
		fmt.Fprintf(w, "%s %s", r.Method, r.RequestURI)
	}), openai.Options{Speaker: speaker})
	for _, path := range []string{"/models?limit=2", "/models/owner%2Fname", "/models/caf%C3%A9%20au%20lait?x=a%2Fb"} {
		response, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if string(body) != "GET /v1"+path || response.Header.Get("X-Request-Id") != "req_1" {
			t.Errorf("got %q", body)
		}
	}
	if response, answer := post(t, url, `{}`); response.StatusCode != 401 ||
		!strings.Contains(string(answer), "Incorrect API key") {
		t.Errorf("got %d %s", response.StatusCode, answer)
	}
	end()
	if len(speaker.spoken) != 0 {
		t.Errorf("the replica said %+v", speaker.spoken)
	}
}

// An answer that breaks ends with an interrupt. If the service cannot be reached, the program
// gets an error.
func TestBrokenAnswerIsInterrupted(t *testing.T) {
	speaker := &counter{}
	warned := make(chan string, 1)
	url, end := begin(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "audio/pcm")
		w.Header().Set("Content-Length", "96000")
		_, _ = w.Write(second())
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}), openai.Options{Speaker: speaker, Warn: func(text string) { warned <- text }})
	response, err := http.Post(url+"/audio/speech", "application/json", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err == nil {
		t.Error("the program was told that the answer is whole")
	}
	testwait.Receive(t, warned)
	end()
	if len(speaker.spoken) != 1 || speaker.spoken[0].err == nil {
		t.Errorf("the replica said %+v", speaker.spoken)
	}
	proxy, err := openai.New(openai.Options{Upstream: "http://127.0.0.1:1/v1", Speaker: speaker})
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	w := httptest.NewRecorder()
	proxy.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/v1/audio/speech", strings.NewReader(`{}`)))
	if w.Code != http.StatusBadGateway || !strings.Contains(w.Body.String(), "cannot be reached") {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	for _, address := range []string{"api.openai.com", "ftp://host", "://"} {
		if _, err := openai.New(openai.Options{Upstream: address}); err == nil {
			t.Errorf("%s is taken for a service", address)
		}
	}
}

// The program gets the same bytes, however the service cuts its answer.
func FuzzSpeechIsByteEqual(f *testing.F) {
	var mu sync.Mutex
	var parts [][]byte
	url, _ := begin(f, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Type", "audio/pcm")
		for _, part := range parts {
			_, _ = w.Write(part)
			w.(http.Flusher).Flush()
		}
	}), openai.Options{Speaker: &counter{}})
	f.Add([]byte("RIFF\x00\x00"), []byte{1, 2})
	f.Add(second()[:3000], []byte{255, 1, 0, 7})
	f.Fuzz(func(t *testing.T, body, cuts []byte) {
		mu.Lock()
		parts = cut(body, cuts)
		mu.Unlock()
		if _, answer := post(t, url, `{"response_format":"pcm"}`); !bytes.Equal(answer, body) {
			t.Errorf("%q came back of %q", answer, body)
		}
	})
}

// cut cuts data into parts with the lengths in cuts.
func cut(data, cuts []byte) (parts [][]byte) {
	for _, length := range cuts {
		n := min(int(length), len(data))
		parts, data = append(parts, data[:n]), data[n:]
	}
	return append(parts, data)
}

// echoing is a service that sends every message back in the same number of frames.
func echoing(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"realtime"}})
	if err != nil {
		return
	}
	conn.SetReadLimit(1 << 24)
	for {
		kind, data, err := conn.Read(context.Background())
		if err != nil {
			return
		}
		if conn.Write(context.Background(), kind, data) != nil {
			return
		}
	}
}

// Every message of a Realtime session arrives unchanged, in whatever frames it is sent.
func FuzzRealtimeIsByteEqual(f *testing.F) {
	url, _ := begin(f, http.HandlerFunc(echoing), openai.Options{Speaker: &counter{}})
	conn, _, err := websocket.Dial(f.Context(), strings.Replace(url, "http", "ws", 1)+"/realtime?model=m", nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = conn.Close(websocket.StatusNormalClosure, "") })
	conn.SetReadLimit(1 << 24)
	for _, seed := range []string{
		`{"type":"response.output_audio.delta","item_id":"i","content_index":0,"delta":"AAAA"}`,
		`{"type":"response.audio.delta"`,
		`{"type":"session.updated","session":{"audio":{"output":{"format":{"type":"audio/pcmu"}}}}}`, `[]`, ``,
		`{"type":"conversation.item.truncate","item_id":"i"}`, `{"type":"error","error":{"event_id":"echocast_1"}}`,
		`{"type":"input_audio_buffer.speech_started"}`, `{"type":"response.done","response":{"id":"r"}}`,
	} {
		f.Add([]byte(seed), []byte{3, 10}, seed != `[]`)
	}
	f.Fuzz(func(t *testing.T, message, cuts []byte, isText bool) {
		kind := websocket.MessageBinary
		if isText {
			kind = websocket.MessageText
		}
		ctx := testwait.Context(t)
		w, err := conn.Writer(ctx, kind)
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range cut(message, cuts) {
			_, _ = w.Write(part)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for {
			got, data, err := conn.Read(ctx)
			if err != nil {
				t.Fatal(err)
			}
			var own struct {
				EventID string `json:"event_id"`
			}
			if json.Unmarshal(data, &own) == nil && strings.HasPrefix(own.EventID, "echocast_") && !bytes.Equal(data, message) {
				continue // what the proxy told the service, which sent it back
			}
			if got != kind || !bytes.Equal(data, message) {
				t.Errorf("%q came back of %q", data, message)
			}
			return
		}
	})
}

// If the service refuses a session, the program gets the refusal. The program's subprotocol
// and its headers reach the service.
func TestRealtimeHandshake(t *testing.T) {
	refuses := true
	url, _ := begin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuses {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":{"code":"invalid_api_key"}}`)
			return
		}
		if r.URL.RawQuery != "model=m" || r.Header.Get("Authorization") != "Bearer k" ||
			r.Header.Get("Echocast-Audio") != "" {
			t.Errorf("the service was asked %s with %v", r.URL, r.Header)
		}
		echoing(w, r)
	}), openai.Options{Speaker: &counter{}})
	url = strings.Replace(url, "http", "ws", 1) + "/realtime?model=m&echocast-audio=none"
	_, response, err := websocket.Dial(t.Context(), url, nil)
	if err == nil || response == nil || response.StatusCode != 401 {
		t.Fatalf("got %v, %v", response, err)
	}
	if body, _ := io.ReadAll(response.Body); !strings.Contains(string(body), "invalid_api_key") {
		t.Errorf("the program is told %q", body)
	}
	refuses = false
	conn, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{
		Subprotocols: []string{"realtime", "openai-insecure-api-key.k"},
		HTTPHeader:   http.Header{"Authorization": {"Bearer k"}, "Echocast-Audio": {"none"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if conn.Subprotocol() != "realtime" {
		t.Errorf("the subprotocol is %q", conn.Subprotocol())
	}
	for _, text := range []string{`{"type":"response.output_audio.delta","delta":"AAAA"}`,
		`{"type":"response.output_audio_transcript.delta","delta":"Hi"}`} {
		if err := conn.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if _, data, err := conn.Read(testwait.Context(t)); err != nil || !strings.Contains(string(data), "transcript") {
		t.Errorf("without audio the program got %q, %v", data, err)
	}
	_ = conn.Close(websocket.StatusNormalClosure, "")
}

// A request for speech that is too long to be inspected is forwarded whole.
func TestLongRequestIsPassedOn(t *testing.T) {
	long := strings.Repeat("x", 3<<20)
	url, end := begin(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		if err != nil || string(got) != long {
			t.Errorf("the service got %d bytes of %d: %v", len(got), len(long), err)
		}
		w.WriteHeader(http.StatusBadRequest)
	}), openai.Options{Speaker: &counter{}})
	defer end()
	if response, _ := post(t, url, long); response.StatusCode != http.StatusBadRequest {
		t.Errorf("the answer is %s", response.Status)
	}
}

// A request with a broken body does not reach the service as if it were complete. If the break
// is known before the service is asked, the client gets an error.
func TestBrokenRequestIsNotCompleted(t *testing.T) {
	for path, status := range map[string]int{
		"/v1/audio/speech": http.StatusBadRequest, "/v1/files": http.StatusBadGateway,
	} {
		whole := make(chan []byte, 1)
		service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if got, err := io.ReadAll(r.Body); err == nil {
				whole <- got
			}
		}))
		transport := &http.Transport{}
		proxy, err := openai.New(openai.Options{Upstream: service.URL + "/v1", Transport: transport, Speaker: &counter{}})
		if err != nil {
			t.Fatal(err)
		}
		broken := io.MultiReader(strings.NewReader(`{"input":"Hi."}`), iotest.ErrReader(errors.New("it is cut off")))
		w := httptest.NewRecorder()
		proxy.ServeHTTP(w, httptest.NewRequestWithContext(testwait.Context(t), "POST", path, broken))
		if got := strings.TrimSpace(w.Body.String()); w.Code != status || !strings.HasSuffix(got, "it is cut off") {
			t.Errorf("%s: the answer is %d %s", path, w.Code, got)
		}
		proxy.Close()
		transport.CloseIdleConnections()
		service.Close() // waits for its handler
		select {
		case got := <-whole:
			t.Errorf("%s: the service got %s", path, got)
		default:
		}
	}
}

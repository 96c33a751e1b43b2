package gateway

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"echocast/internal/testwait"
)

// service is a stand-in for OpenAI's service, with one answer of half a second.
func service(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/v1/audio/speech":
		w.Header().Set("Content-Type", "audio/pcm")
		_, _ = io.Copy(w, tone(0.5))
	case "/v1/realtime":
		conn, err := websocket.Accept(w, r, nil)
		if err == nil {
			_ = conn.Write(r.Context(), websocket.MessageText, []byte(`{"type":"session.created"}`))
			_, _, _ = conn.Read(r.Context())
		}
	default:
		w.Header().Set("Cache-Control", "max-age=5")
		_, _ = io.WriteString(w, r.URL.EscapedPath()+" "+r.Header.Get("Authorization"))
	}
}

// A program with the base URL of a conversation gets the service's answers, and the replica
// says the audio, in its turn and with a receipt.
func TestOpenAI(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(service))
	defer upstream.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	g := New(&Options{Rehearse: true, OpenAI: upstream.URL + "/v1", MaxLateness: time.Hour})
	server := httptest.NewServer(g.Handler())
	defer server.Close()
	c := rehearsal(t, g, "")
	for _, base := range []string{"/openai/" + c.ID, "/openai/" + c.ID + "/v1", "/openai/" + c.ID +
		"." + c.Token + "/v1"} {
		response, err := http.Post(server.URL+base+"/audio/speech", "application/json",
			strings.NewReader(`{"input":"Hi.","response_format":"pcm"}`))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || len(body) != 24000 {
			t.Errorf("%s answered %d bytes, %v", base, len(body), err)
		}
	}
	c.mu.Lock()
	spoken := append([]*Utterance(nil), c.utterances...)
	c.mu.Unlock()
	for _, u := range spoken {
		if receipt, err := u.Wait(testwait.Context(t)); err != nil || receipt.Samples != 12000 || receipt.Words == nil {
			t.Errorf("the receipt is %+v, %v", receipt, err)
		}
	}
	model := server.URL + "/openai/" + c.ID + "/v1/models/owner%2Fname"
	request, _ := http.NewRequestWithContext(t.Context(), "GET", model, nil)
	request.Header.Set("Authorization", "Bearer of-the-service")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if string(body) != "/v1/models/owner%2Fname Bearer of-the-service" ||
		len(response.Header.Values("Cache-Control")) != 1 {
		t.Errorf("other requests are answered %q %v", body, response.Header)
	}
	url := strings.Replace(server.URL, "http", "ws", 1) + "/openai/" + c.ID + "/v1/realtime?model=m"
	conn, _, err := websocket.Dial(testwait.Context(t), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, data, err := conn.Read(testwait.Context(t)); err != nil || !strings.Contains(string(data), "session.created") {
		t.Errorf("the session begins with %q, %v", data, err)
	}
	for path, status := range map[string]int{"nobody": http.StatusNotFound, c.ID + ".wrong": http.StatusUnauthorized,
		"nobody.x": http.StatusUnauthorized} {
		response, err := http.Get(server.URL + "/openai/" + path + "/v1/models")
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != status {
			t.Errorf("%s is answered with %d, want %d", path, response.StatusCode, status)
		}
	}
	if err := c.End(testwait.Context(t)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := conn.Read(testwait.Context(t)); err == nil {
		t.Error("the session continues after its conversation")
	}
	g.Close(t.Context())
	if _, err := c.proxy(); err == nil {
		t.Error("a conversation that has ended begins another")
	}
}

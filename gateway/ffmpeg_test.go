package gateway

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"echocast/echo"
	"echocast/internal/testwait"
)

// recorded returns a second of sound in a format of ffmpeg.
func recorded(t *testing.T, arguments ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip(err)
	}
	all := append([]string{"-v", "error", "-f", "lavfi", "-i", "sine=frequency=440:duration=1"}, arguments...)
	made, err := exec.CommandContext(testwait.Context(t), "ffmpeg", all...).Output()
	if err != nil {
		t.Skipf("this ffmpeg writes no such file: %v", err)
	}
	return made
}

// The gateway speaks formats that only ffmpeg reads, also AAC of OpenAI's protocol, if it has
// ffmpeg. Otherwise the client is told what to do.
func TestFFmpeg(t *testing.T) {
	t.Parallel()
	webM := recorded(t, "-c:a", "libopus", "-f", "webm", "pipe:1")
	aac := recorded(t, "-c:a", "aac", "-f", "adts", "pipe:1")
	m4a := recorded(t, "-c:a", "aac", "-movflags", "frag_keyframe+empty_moov", "-f", "mp4", "pipe:1")
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "audio/aac")
		_, _ = w.Write(aac)
	}))
	defer service.Close()
	web := &http.Client{Timeout: testwait.Limit}
	defer web.CloseIdleConnections()
	for _, program := range []string{"ffmpeg", ""} {
		g := New(&Options{Rehearse: true, FFmpeg: program, OpenAI: service.URL + "/v1"})
		c := rehearsal(t, g, "")
		server := httptest.NewServer(g.Handler())
		url := server.URL + "/v1/conversations/" + c.ID
		for name, body := range map[string][]byte{"WebM": webM, "M4A": m4a, "AAC": aac} {
			status, text := request(t, web, "POST", url+"/speech", bytes.NewReader(body))
			switch {
			case program == "" && (status != http.StatusUnsupportedMediaType || !strings.Contains(text, "install ffmpeg")):
				t.Errorf("without ffmpeg %s is answered with %d %s", name, status, text)
			case program != "" && (status != http.StatusOK || !strings.Contains(text, `"outcome":"finished"`)):
				t.Errorf("%s is answered with %d %s", name, status, text)
			}
		}
		status, text := request(t, web, "POST", server.URL+"/openai/"+c.ID+"/audio/speech",
			strings.NewReader(`{"input":"Hi.","response_format":"aac"}`))
		if status != http.StatusOK || text != string(aac) {
			t.Errorf("the answer of the service is %d, %d bytes", status, len(text))
		}
		checkAAC(t, c, program != "")
		server.Close()
		g.Close(t.Context())
	}
}

// checkAAC checks that the answer in AAC was spoken, or that a warning says why not.
func checkAAC(t *testing.T, c *Conversation, isSpoken bool) {
	t.Helper()
	want := `"samples":2`
	if !isSpoken {
		want = "install ffmpeg"
	}
	for ctx, after := testwait.Context(t), int64(0); ; {
		entries, _, changed := c.history.since(after)
		for _, e := range entries {
			after = e.ID
			if isEnd := e.Type == "warning" || e.Type == "receipt" && strings.Contains(string(e.Data), "Hi."); !isEnd {
				continue
			}
			if !strings.Contains(string(e.Data), want) {
				t.Errorf("spoken: %t, and AAC ends in %s", isSpoken, e.Data)
			}
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatal("the gateway neither spoke the AAC nor warned that it cannot")
		}
	}
}

// Only maxFFmpegs uploads are decoded by ffmpeg at a time. The next one is refused.
func TestFFmpegsAreBounded(t *testing.T) {
	t.Parallel()
	webM := recorded(t, "-c:a", "libopus", "-f", "webm", "pipe:1")
	g := New(&Options{Rehearse: true, FFmpeg: "ffmpeg"})
	defer g.Close(t.Context())
	g.ffmpegs = make(chan struct{}, 1)
	g.ffmpegs <- struct{}{}
	c := rehearsal(t, g, "")
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusOK, http.StatusOK} {
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(testwait.Context(t), "POST",
			"http://127.0.0.1:8880/v1/conversations/"+c.ID+"/speech", bytes.NewReader(webM))
		g.Handler().ServeHTTP(w, r)
		if w.Code != status {
			t.Errorf("answered with %d %s, want %d", w.Code, w.Body, status)
		}
		if status == http.StatusServiceUnavailable {
			<-g.ffmpegs
		}
	}
	if len(g.ffmpegs) > 0 {
		t.Error("a slot is taken after the end")
	}
}

// When a client leaves, the ffmpeg of its upload ends.
func TestFFmpegEndsWithItsRequest(t *testing.T) {
	t.Parallel()
	webM := recorded(t, "-c:a", "libopus", "-f", "webm", "pipe:1")
	g := New(&Options{Rehearse: true, FFmpeg: "ffmpeg"})
	defer g.Close(t.Context())
	c := rehearsal(t, g, "")
	server := httptest.NewServer(g.Handler())
	defer server.Close()
	body, sender := io.Pipe()
	go func() {
		_, _ = sender.Write(webM)
		for ctx := testwait.Context(t); len(g.ffmpegs) == 0 && ctx.Err() == nil; {
			time.Sleep(time.Millisecond) // nothing tells that a process has begun
		}
		_ = sender.CloseWithError(io.ErrUnexpectedEOF) // the client is gone
	}()
	r, _ := http.NewRequestWithContext(testwait.Context(t), "POST", server.URL+"/v1/conversations/"+c.ID+"/speech", body)
	if response, err := server.Client().Do(r); err == nil {
		_ = response.Body.Close()
	}
	c.mu.Lock()
	u := c.utterances[0]
	c.mu.Unlock()
	if receipt, err := u.Wait(testwait.Context(t)); err == nil || receipt.Outcome == echo.Finished {
		t.Errorf("the receipt is %+v", receipt)
	}
	if len(g.ffmpegs) > 0 {
		t.Error("its ffmpeg runs on")
	}
}

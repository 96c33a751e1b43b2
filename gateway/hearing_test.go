package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"echocast/hear"
	"echocast/internal/pcm"
)

// create creates a rehearsal with these fields besides to.
func (c *client) create(fields string) (path string) {
	c.t.Helper()
	var info Info
	c.do("POST", "/v1/conversations", strings.NewReader(`{"to":"rehearsal"`+fields+`}`), http.StatusCreated, &info)
	return "/v1/conversations/" + info.ID
}

// get sends a request from an address.
func (c *client) get(ctx context.Context, path, from string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, "GET", "http://127.0.0.1:8880"+path, nil)
	r.RemoteAddr = from + ":1234"
	return r
}

// listenAlong sends a listen request. heard returns its answer after the conversation has
// ended.
func (c *client) listenAlong(path string) (heard func() *httptest.ResponseRecorder) {
	w := httptest.NewRecorder()
	var listening sync.WaitGroup
	listening.Go(func() { c.handler.ServeHTTP(w, c.get(c.t.Context(), path, "127.0.0.1")) })
	synctest.Wait()
	return func() *httptest.ResponseRecorder {
		listening.Wait()
		return w
	}
}

// loud returns the part from the first to the last loud sample.
func loud(samples []int16) []int16 {
	isLoud := func(s int16) bool { return s > 1000 || s < -1000 }
	first := max(slices.IndexFunc(samples, isLoud), 0)
	last := len(samples)
	for last > first && !isLoud(samples[last-1]) {
		last--
	}
	return samples[first:last]
}

// checkTone checks that samples are a second of a tone, with silence before and after it.
func checkTone(t *testing.T, samples []int16, hertz, rate float64) {
	t.Helper()
	samples = loud(samples)
	n, is := float64(len(samples)), hertzOf(samples, rate)
	if math.Abs(n-rate) > 0.01*rate || math.Abs(is-hertz) > 5 {
		t.Errorf("%v samples at %v Hz of %.1f Hz were heard, not a second of %v Hz", n, rate, is, hertz)
	}
}

// The user and the replica of a rehearsal are heard, each alone or both, as WAV or as samples,
// at any rate, in real time, until the conversation ends.
func TestListen(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *client) {
		path := c.create(`,"hear":"all"`)
		user := c.listenAlong(path + "/listen?from=user&rate=16000&format=s16le")
		replica := c.listenAlong(path + "/listen?from=replica")
		all := c.listenAlong(path + "/listen?rate=8000")
		begin := time.Now()
		c.do("POST", path+"/user?format=s16le&rate=24000", sine(300, 1), http.StatusOK, nil)
		c.do("POST", path+raw, sine(700, 1), http.StatusOK, nil)
		time.Sleep(time.Second)
		lasted := time.Since(begin).Seconds()
		c.do("DELETE", path, nil, http.StatusOK, nil)
		if w := user(); w.Header().Get("Content-Type") != "application/octet-stream" {
			t.Errorf("samples are %v", w.Header())
		}
		samples := pcm.Samples(user().Body.Bytes())
		checkTone(t, samples, 300, 16000)
		if seconds := float64(len(samples)) / 16000; seconds < lasted-0.5 || seconds > lasted {
			t.Errorf("%v s were heard in %v s", seconds, lasted)
		}
		body := replica().Body.Bytes()
		if !bytes.HasPrefix(body, hear.WAVHeader(24000)) || replica().Header().Get("Content-Type") != "audio/wav" {
			t.Fatalf("the WAV begins with %q", body[:min(len(body), 44)])
		}
		checkTone(t, pcm.Samples(body[len(hear.WAVHeader(24000)):]), 700, 24000)
		body = all().Body.Bytes()
		samples = loud(pcm.Samples(body[len(hear.WAVHeader(8000)):]))
		if len(samples) < 16000 {
			t.Errorf("of both %d samples were heard", len(samples))
		}
	})
}

// A listener that does not read loses audio, is told how much, and does not slow down others.
func TestSlowListener(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *client) {
		path := c.create(`,"hear":"user"`)
		id := strings.TrimPrefix(path, "/v1/conversations/")
		conversation, err := c.gateway.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		var lost time.Duration
		heard := 0
		slow := writerFunc(func(p []byte) (int, error) {
			if heard == 0 {
				time.Sleep(10 * time.Second)
			}
			heard += len(p) / 2
			return len(p), nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		var listening sync.WaitGroup
		listening.Go(func() {
			_ = conversation.Hear(ctx, HearOptions{OnLost: func(d time.Duration) { lost += d }}, slow)
		})
		c.do("POST", path+"/user?format=s16le&rate=24000", sine(300, 3), http.StatusOK, nil)
		if said := time.Since(begin); said != 3*time.Second {
			t.Errorf("the user spoke for %v", said)
		}
		time.Sleep(27 * time.Second)
		cancel()
		listening.Wait()
		if total := time.Duration(heard)*time.Second/24000 + lost; lost < 7*time.Second || lost > 10*time.Second ||
			total < 29*time.Second || total > 30*time.Second {
			t.Errorf("%v were lost, and with what was heard it is %v of 30 s", lost, total)
		}
	})
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A listener without permission is refused, and so is a side that the conversation does not
// hear.
func TestListenIsRefused(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *client) {
		deaf, path := c.create(""), c.create(`,"hear":"user"`)
		for query, want := range map[string]string{
			deaf + "/listen": "create it with", path + "/listen?from=replica": "only the user is heard",
			path + "/listen?from=x": "user, replica or all", path + "/listen?rate=11025": "must be one of",
			path + "/listen?rate=x": "must be one of", path + "/listen?format=mp3": "wav or s16le",
			path + "/listen?of=x": "no such parameter",
		} {
			var p Problem
			c.request(c.get(t.Context(), query, "127.0.0.1"), http.StatusUnprocessableEntity, &p)
			if !strings.Contains(p.Detail, want) {
				t.Errorf("%s is refused with %s", query, p.Detail)
			}
		}
		c.request(c.get(t.Context(), path+"/listen", "192.0.2.1"), http.StatusUnauthorized, nil)
		c.do("DELETE", path, nil, http.StatusOK, nil)
		c.request(c.get(t.Context(), path+"/listen", "127.0.0.1"), http.StatusGone, nil)
		c.do("POST", path+"/user", nil, http.StatusGone, nil)
	})
}

// The user of a rehearsal says one thing at a time, and falls silent when the program that
// sends the audio leaves.
func TestRehearsalUser(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *client) {
		path := c.create(`,"barge_in":true`)
		r := httptest.NewRequestWithContext(t.Context(), "POST", "http://127.0.0.1:8880"+path+raw, tone(10))
		r.Header.Set("Prefer", "respond-async")
		var u UtteranceInfo
		c.request(r, http.StatusAccepted, &u)
		time.Sleep(2 * time.Second)
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan struct{})
		go func() {
			defer close(left)
			r := httptest.NewRequestWithContext(ctx, "POST", "http://127.0.0.1:8880"+path+"/user?format=s16le", sine(300, 60))
			c.handler.ServeHTTP(httptest.NewRecorder(), r)
		}()
		time.Sleep(time.Second)
		c.do("POST", path+"/user?format=s16le", sine(300, 1), http.StatusConflict, nil)
		c.do("GET", path+"/utterances/"+u.ID, nil, http.StatusOK, &u)
		if u.Phase != Over || u.Receipt.Outcome != "interrupted" || u.Receipt.SpokenSeconds > 2.1 {
			t.Errorf("the user spoke, and the utterance is %+v %+v", u, u.Receipt)
		}
		leave()
		<-left
		synctest.Wait()
		if events := c.events(path, ""); strings.Count(events, `"type":"conversation.stopped_speaking","role":"user"`) != 1 {
			t.Errorf("the user continues after the program has left:\n%s", events)
		}
		c.do("POST", path+"/user?format=s16le", strings.NewReader(""), http.StatusUnprocessableEntity, nil)
	})
}

// A WebSocket sends what is said in the room as binary messages, from the command listen to
// unlisten.
func TestListenOnASocket(t *testing.T) {
	onSocket(t, "", func(t *testing.T, c *client, s *testSocket) {
		s.order(`{"type":"listen"}`)
		if e := s.await("error", ""); !strings.Contains(e, "create it with") {
			t.Errorf("listening is answered with %s", e)
		}
	})
	onSocketOf(t, `,"hear":"user"`, "", func(t *testing.T, c *client, s *testSocket) {
		s.order(`{"type":"listen","rate":16000}`)
		if is := s.await("listening", ""); is != `{"from":"user","format":"s16le","rate":16000,"channels":1}` {
			t.Errorf("listening is answered with %s", is)
		}
		c.do("POST", s.path+"/user?format=s16le&rate=24000", sine(300, 1), http.StatusOK, nil)
		time.Sleep(time.Second)
		s.order(`{"type":"listen","from":"user","rate":8000}`)
		s.await("listening", "")
		checkTone(t, s.takeHeard(), 300, 16000)
		time.Sleep(time.Second)
		s.order(`{"type":"unlisten"}`)
		s.order(`{"type":"say","text":"Hi."}`) // its answer comes after the last audio
		s.await("accepted", "")
		second := len(s.takeHeard())
		if second < 6000 || second > 8000 {
			t.Errorf("%d samples of a second at 8 kHz were heard", second)
		}
		time.Sleep(time.Second)
		if more := len(s.takeHeard()); more > 0 {
			t.Errorf("%d samples were heard after the end of listening", more)
		}
	})
}

// If the client of a WebSocket does not read, it loses audio, and is told how much.
func TestSlowSocket(t *testing.T) {
	onSocketOf(t, `,"hear":"user"`, "", func(t *testing.T, c *client, s *testSocket) {
		s.order(`{"type":"listen"}`)
		s.await("listening", "")
		s.stall <- 10 * time.Second
		var lost Lost
		if err := json.Unmarshal([]byte(s.await("lost", "")), &lost); err != nil || lost.Seconds < 5 || lost.Seconds > 10 {
			t.Errorf("lost: %+v, %v", lost, err)
		}
	})
}

// takeHeard returns the audio that has arrived so far.
func (s *testSocket) takeHeard() []int16 {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	samples := pcm.Samples(s.heard)
	s.heard = nil
	return samples
}

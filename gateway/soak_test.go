package gateway

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"echocast/internal/testwait"
)

// After a day of conversations, a gateway holds what it held after two hours: the same number
// of goroutines and objects, no conversation, and no more history than its limits.
func TestDayOfConversations(t *testing.T) {
	inBubble(t, &Options{MaxConversations: 3}, func(t *testing.T, c *client) {
		web, _, end := inMemory(c)
		defer end()
		hourOfConversations(t, c, web)
		hourOfConversations(t, c, web)
		goroutines, objects := atRest(c)
		hours := testwait.Trials(22)
		for range hours {
			hourOfConversations(t, c, web)
		}
		goroutinesNow, objectsNow := atRest(c)
		if goroutinesNow > goroutines+3 { // those of the runtime come and go
			t.Errorf("there were %d goroutines, and are %d", goroutines, goroutinesNow)
		}
		// An hour has 75 utterances, 240 pings and 480 lines that show that a stream lives.
		if n := objectsNow - objects; n > 50*hours+200 {
			t.Errorf("%d objects stay of %d hours", n, hours)
		}
	})
}

// atRest counts the goroutines and objects of a gateway that holds only ended conversations.
func atRest(c *client) (goroutines, objects int) {
	synctest.Wait()
	c.gateway.mu.Lock()
	if n := len(c.gateway.all); n > 0 {
		c.t.Errorf("%d conversations are open", n)
	}
	if n := len(c.gateway.ended); n > keptEnded {
		c.t.Errorf("%d conversations are kept", n)
	}
	c.gateway.ended = nil
	c.gateway.mu.Unlock()
	return runtime.NumGoroutine(), heapObjects()
}

// hourOfConversations holds three conversations for an hour: it speaks in one by a WebSocket
// each minute, in one by uploads, and only follows the third.
func hourOfConversations(t *testing.T, c *client, web *http.Client) {
	t.Helper()
	paths := []string{c.open(), c.open(), c.open()}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	var clients sync.WaitGroup
	s, leave := openSocket(t, web, paths[0], "?format=s16le&rate=24000")
	clients.Go(func() { speakEachMinute(ctx, s) })
	clients.Go(func() {
		for ctx.Err() == nil {
			status, text := request(t, web, "POST", origin+paths[1]+raw, tone(2))
			if status != http.StatusOK || !strings.Contains(text, `"finished"`) {
				t.Errorf("status %d, %s", status, text)
			}
			pauseFor(ctx, 4*time.Minute)
		}
	})
	clients.Go(func() { follow(ctx, t, web, paths[1]) })
	clients.Go(func() { follow(ctx, t, web, paths[2]) })
	clients.Wait()
	for _, path := range paths {
		id := path[strings.LastIndexByte(path, '/')+1:]
		one, err := c.gateway.Get(id)
		if err != nil {
			t.Fatal(err)
		}
		c.do("DELETE", path, nil, http.StatusOK, nil)
		if n, m := len(one.history.entries), len(one.utterances); n > maxEntries || m > keptUtterances {
			t.Errorf("a conversation keeps %d entries and %d utterances", n, m)
		}
	}
	leave()
	web.CloseIdleConnections()
}

// speakEachMinute speaks two seconds each minute, with a mark, and interrupts each fifth
// utterance.
func speakEachMinute(ctx context.Context, s *testSocket) {
	for n := 1; ctx.Err() == nil; n++ {
		s.speak(2)
		s.order(`{"type":"mark","name":"m"}`)
		if n%5 == 0 {
			s.await("event", "started_speaking")
			s.order(`{"type":"interrupt"}`)
			s.await("receipt", `"interrupted"`)
		} else {
			s.order(`{"type":"end"}`)
			s.await("receipt", `"finished"`)
		}
		pauseFor(ctx, time.Minute)
	}
}

// follow reads the events of a conversation.
func follow(ctx context.Context, t *testing.T, web *http.Client, path string) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:8880"+path+"/events", nil)
	if err != nil {
		t.Error(err)
		return
	}
	answer, err := web.Do(r)
	if err != nil {
		t.Error(err)
		return
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body) // until ctx ends
}

func pauseFor(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

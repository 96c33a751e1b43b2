package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"echocast/internal/testwait"
)

// With 200 conversations, the overview sends at most two messages a second, and only the
// conversations that have changed.
func TestOverviewOfMany(t *testing.T) {
	const many, speakers, length = 200, 10, 5
	if testwait.HasRaceDetector {
		// Go 1.26 may crash where a bubble has more than 255 goroutines and they wait for timers on
		// more than one processor: its race detector has 255 slots, and all timers share one context.
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}
	inBubble(t, &Options{MaxConversations: many}, func(t *testing.T, c *client) {
		isSpeaker := map[string]bool{}
		for n := range many {
			label := "listener"
			if n < speakers {
				label = "speaker"
			}
			var info Info
			c.do("POST", "/v1/conversations", strings.NewReader(fmt.Sprintf(`{"to":"rehearsal","label":%q}`, label)),
				http.StatusCreated, &info)
			if n < speakers {
				isSpeaker[info.ID] = true
				go c.do("POST", "/v1/conversations/"+info.ID+raw, tone(length), http.StatusOK, nil)
			}
		}
		ctx, leave := context.WithTimeout(t.Context(), length*time.Second)
		defer leave()
		w := httptest.NewRecorder()
		c.handler.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "http://127.0.0.1/v1/events", nil))
		messages := strings.Split(w.Body.String(), "\n\n")
		messages = messages[:len(messages)-1]
		if most := 1 + length*int(time.Second/overviewInterval); len(messages) > most || len(messages) < most/2 {
			t.Errorf("%d messages in %d s, want at most %d", len(messages), length, most)
		}
		for n, message := range messages {
			var o Overview
			if err := json.Unmarshal([]byte(message[strings.Index(message, "data: ")+6:]), &o); err != nil {
				t.Fatal(err)
			}
			for _, changed := range o.Changed {
				var info Info
				if err := json.Unmarshal(changed, &info); err != nil {
					t.Fatal(err)
				}
				if n > 0 && !isSpeaker[info.ID] {
					t.Errorf("message %d tells of a conversation in which nothing happened", n)
				}
			}
			if n == 0 && len(o.Changed) != many {
				t.Errorf("the first message tells of %d conversations, want %d", len(o.Changed), many)
			}
		}
		time.Sleep(length * time.Second) // until all was spoken
		synctest.Wait()
	})
}

// The last words also include what the replica says by itself.
func TestLastWords(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *client) {
		path := c.open()
		const respond = `{"message_type":"conversation","event_type":"conversation.respond",
			"properties":{"text":"Good day."}}`
		c.do("POST", path+"/messages", strings.NewReader(respond), http.StatusAccepted, nil)
		time.Sleep(time.Minute)
		var info Info
		c.do("GET", path, nil, http.StatusOK, &info)
		if info.LastText != "Good day." {
			t.Errorf("the last words are %q", info.LastText)
		}
	})
}

// owningCluster is a Cluster of one node, which holds what isKnown says.
type owningCluster struct {
	Cluster
	isKnown bool
}

func (*owningCluster) Failure() error                      { return nil }
func (*owningCluster) Peers() []string                     { return nil }
func (c *owningCluster) Owner(string) (string, bool, bool) { return "", c.isKnown, c.isKnown }

// A conversation that this node takes over while it asks for the list is in no list. It has
// not ended.
func TestTakenConversationHasNotEnded(t *testing.T) {
	shared := &owningCluster{isKnown: true}
	a := &api{gateway: New(&Options{Rehearse: true, Cluster: shared})}
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/v1/events", nil)
	known := map[string][]byte{"c1": []byte("{}")}
	if o := a.changes(r, known); len(o.Ended) > 0 {
		t.Errorf("%v is said to have ended", o.Ended)
	}
	shared.isKnown = false
	if o := a.changes(r, known); len(o.Ended) != 1 {
		t.Errorf("%v is said to have ended", o.Ended)
	}
}

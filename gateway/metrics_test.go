package gateway

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLateness(t *testing.T) {
	begin := time.Unix(1000, 0)
	l := newLateness()
	for range minChunks - 1 {
		l.add(begin, time.Second)
	}
	if got := l.p99(begin); got != 0 {
		t.Errorf("of few chunks it is %v", got)
	}
	l = newLateness()
	for i := range 1000 {
		late := time.Millisecond
		if i >= 985 {
			late = 80 * time.Millisecond
		}
		l.add(begin, late)
	}
	if got := l.p99(begin); got < 80*time.Millisecond || got > 100*time.Millisecond {
		t.Errorf("where 15 of 1000 are 80 ms late it is %v", got)
	}
	for range 1000 {
		l.add(begin.Add(latenessWindow), time.Millisecond)
	}
	if got := l.p99(begin.Add(latenessWindow)); got > time.Millisecond {
		t.Errorf("where 15 of 2000 are late it is %v", got)
	}
	if got := l.p99(begin.Add(2*latenessWindow - 1)); got == 0 {
		t.Error("the last seconds are forgotten")
	}
	if got := l.p99(begin.Add(4 * latenessWindow)); got != 0 {
		t.Errorf("later it is still %v", got)
	}
}

// A machine that is late accepts no conversation until it is in time again.
func TestAdmissionByLateness(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *client) {
		const path, rehearsal = "/v1/conversations", `{"to":"rehearsal"}`
		c.open()
		for range minChunks {
			c.gateway.late.add(time.Now(), DefaultMaxLateness+20*time.Millisecond)
		}
		var p Problem
		header := c.do("POST", path, strings.NewReader(rehearsal), http.StatusServiceUnavailable, &p)
		if header.Get("Retry-After") == "" || p.Detail != ErrLate.Error() {
			t.Errorf("refused by %+v, to ask again after %q s", p, header.Get("Retry-After"))
		}
		c.do("GET", "/readyz", nil, http.StatusServiceUnavailable, nil)
		time.Sleep(3 * latenessWindow)
		c.open()
		c.do("GET", "/readyz", nil, http.StatusOK, nil)
	})
}

// The metrics count what happened, by kind of room, and name no conversation.
func TestMetrics(t *testing.T) {
	inBubble(t, &Options{MaxConversations: 2}, func(t *testing.T, c *client) {
		path := c.open()
		c.open()
		c.do("POST", "/v1/conversations", strings.NewReader(`{"to":"rehearsal"}`), 503, nil)
		c.do("POST", path+raw, tone(2), 200, nil)
		go c.do("POST", path+raw, tone(60), 200, nil)
		time.Sleep(2 * time.Second)
		c.do("POST", path+"/interrupt", nil, 200, nil)
		w := httptest.NewRecorder()
		c.handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1/metrics", nil))
		text := w.Body.String()
		for _, want := range []string{
			`echocast_conversations{kind="rehearsal",state="open"} 2`,
			`echocast_conversations_created_total{kind="rehearsal"} 2`,
			`echocast_conversations_refused_total{reason="slots"} 1`,
			`echocast_utterances_total{kind="rehearsal",outcome="finished"} 1`,
			`echocast_utterances_total{kind="rehearsal",outcome="interrupted"} 1`,
			`echocast_interrupts_total{kind="rehearsal"} 1`,
			`echocast_underruns_total{kind="rehearsal"} 0`,
			`echocast_first_audio_seconds_count{kind="rehearsal"} 2`,
			`echocast_chunk_lateness_seconds_count{kind="rehearsal"} `,
			`echocast_sent_bytes_total{kind="rehearsal"} `,
			`echocast_admission_slots 2`, `echocast_admission_slots_used 2`, `echocast_ready 0`,
		} {
			if !strings.Contains(text, want) {
				t.Errorf("the metrics have no %s", want)
			}
		}
		families, err := c.gateway.metrics.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			for _, metric := range family.GetMetric() {
				for _, label := range metric.GetLabel() {
					known := []string{"kind", "state", "reason", "outcome"}
					if strings.HasPrefix(family.GetName(), "echocast") && !slices.Contains(known, label.GetName()) {
						t.Errorf("%s has a label %s", family.GetName(), label.GetName())
					}
				}
			}
		}
		if id := strings.TrimPrefix(path, "/v1/conversations/"); strings.Contains(text, id) {
			t.Error("the metrics name a conversation")
		}
	})
}

// The overview first lists all conversations, then those that have changed or ended. It ends
// with the gateway.
func TestOverview(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *client) {
		first := c.open()
		w := httptest.NewRecorder()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			c.handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1/v1/events", nil))
		}()
		time.Sleep(overviewInterval / 2)
		second := c.open()
		time.Sleep(time.Minute)
		c.do("DELETE", first, nil, 200, nil)
		time.Sleep(overviewInterval)
		c.gateway.Close(t.Context())
		<-ended
		events := strings.Split(strings.TrimSpace(strings.ReplaceAll(w.Body.String(), ": still there\n\n", "")), "\n\n")
		id := func(path string) string { return `"` + strings.TrimPrefix(path, "/v1/conversations/") + `"` }
		if len(events) < 3 || !strings.Contains(events[0], id(first)) || strings.Contains(events[0], id(second)) ||
			!strings.Contains(events[1], id(second)) || !strings.Contains(events[2], `"ended":[`+id(first)+`]`) {
			t.Errorf("%d events: %s", len(events), strings.Join(events, "\n"))
		}
		if strings.Contains(w.Body.String(), "token") {
			t.Error("the overview has a token")
		}
	})
}

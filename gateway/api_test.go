package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"echocast/echo"
)

// inBubble runs f with a gateway in fake time, and ends the gateway.
func inBubble(t *testing.T, options *Options, f func(t *testing.T, c *client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := New(options)
		defer g.Close(t.Context())
		f(t, &client{t: t, gateway: g, handler: g.Handler()})
	})
}

// client makes requests to a gateway in the same process.
type client struct {
	t       *testing.T
	gateway *Gateway
	handler http.Handler
}

// do makes a request. If into is not nil, it decodes the answer into it.
func (c *client) do(method, path string, body io.Reader, status int, into any) http.Header {
	c.t.Helper()
	r := httptest.NewRequestWithContext(c.t.Context(), method, "http://127.0.0.1:8880"+path, body)
	return c.request(r, status, into)
}

func (c *client) request(r *http.Request, status int, into any) http.Header {
	c.t.Helper()
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, r)
	if w.Code != status {
		c.t.Errorf("%s %s: status %d, want %d: %s", r.Method, r.URL, w.Code, status, w.Body)
	}
	if into != nil {
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			c.t.Errorf("%s %s: %v: %s", r.Method, r.URL, err, w.Body)
		}
	}
	return w.Header()
}

// open creates a rehearsal and returns its path.
func (c *client) open() string {
	c.t.Helper()
	var info Info
	header := c.do("POST", "/v1/conversations", strings.NewReader(`{"to":"rehearsal"}`), http.StatusCreated, &info)
	if info.State != Open || info.Token == "" || header.Get("Location") != "/v1/conversations/"+info.ID {
		c.t.Errorf("created %+v at %s", info, header.Get("Location"))
	}
	return "/v1/conversations/" + info.ID
}

// The receipts and events of a rehearsal have the replica's own count of underruns.
func TestReceiptsCountReplicaUnderruns(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *client) {
		path := c.open()
		body, sender := io.Pipe()
		go func() {
			_, _ = io.Copy(sender, tone(1)) // to memory
			time.Sleep(5 * time.Second)
			_, _ = io.Copy(sender, tone(1))
			_ = sender.Close()
		}()
		var spoken SpokenPart
		c.do("POST", path+raw, body, http.StatusOK, &spoken)
		if r := spoken.Receipt; r.Underruns != 1 || r.UnderrunsBy != "replica" {
			t.Errorf("the receipt is %+v", r)
		}
		var info Info
		c.do("GET", path, nil, http.StatusOK, &info)
		if events := c.events(path, ""); info.Underruns != 1 ||
			strings.Count(events, `"underruns":1,"underruns_by":"replica"`) != 1 {
			t.Errorf("the conversation is %+v, and the events are\n%s", info, events)
		}
	})
}

// tone returns raw samples at 24 kHz of a tone of this length.
func tone(seconds float64) *bytes.Reader {
	samples := make([]byte, 2*int(seconds*echo.DefaultRate))
	for i := 0; i < len(samples); i += 2 {
		samples[i+1] = byte(i / 100 % 32)
	}
	return bytes.NewReader(samples)
}

const raw = "/speech?format=s16le&rate=24000"

// events returns the events of a conversation so far.
func (c *client) events(path, lastID string) string {
	c.t.Helper()
	ctx, stop := context.WithCancel(c.t.Context())
	r := httptest.NewRequestWithContext(ctx, "GET", "http://127.0.0.1:8880"+path+"/events", nil)
	r.Header.Set("Last-Event-ID", lastID)
	w := httptest.NewRecorder()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.handler.ServeHTTP(w, r)
	}()
	synctest.Wait()
	stop()
	<-ended
	return w.Body.String()
}

func TestConversation(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *client) {
		path := c.open()
		var spoken SpokenPart
		c.do("POST", path+raw, tone(2), http.StatusOK, &spoken)
		if r := spoken.Receipt; r.Outcome != echo.Finished || r.Samples != 48000 || r.SpokenBy != echo.ByEvent {
			t.Errorf("the receipt is %+v", r)
		}
		var info Info
		c.do("GET", path, nil, http.StatusOK, &info)
		if info.Utterances != 1 || info.Replica != echo.Idle {
			t.Errorf("the conversation is %+v", info)
		}
		var list struct{ Conversations []Info }
		c.do("GET", "/v1/conversations", nil, http.StatusOK, &list)
		if len(list.Conversations) != 1 || list.Conversations[0].Token != "" {
			t.Errorf("the list is %+v", list)
		}
		all := c.events(path, "")
		for _, want := range []string{
			"event: state", `"kind":"started_speaking"`, `"kind":"stopped_speaking"`, "event: receipt", `"phase":"over"`,
		} {
			if strings.Count(all, want) != 1 {
				t.Errorf("%s is there %d times in the events\n%s", want, strings.Count(all, want), all)
			}
		}
		if rest := c.events(path, "4"); !strings.HasPrefix(rest, "id: 5\n") {
			t.Errorf("after event 4 comes\n%s", rest)
		}
		c.do("DELETE", path, nil, http.StatusOK, &info)
		if info.State != Ended || info.Error != "" {
			t.Errorf("the conversation is %+v", info)
		}
		c.do("POST", path+raw, tone(1), http.StatusGone, nil)
		c.do("DELETE", path, nil, http.StatusOK, nil)
		if last := c.events(path, ""); !strings.Contains(last, `"state":"ended"`) {
			t.Errorf("the last events are\n%s", last)
		}
	})
}

// Utterances are spoken in the order of their requests. The queue policy decides what happens
// to earlier ones.
func TestQueuePolicies(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *client) {
		path := c.open()
		answers := make(chan SpokenPart, 3)
		for _, name := range []string{"&name=a", "&name=b"} {
			go func() {
				var spoken SpokenPart
				c.do("POST", path+raw+name, tone(5), http.StatusOK, &spoken)
				answers <- spoken
			}()
			synctest.Wait()
		}
		time.Sleep(time.Second)
		c.do("POST", path+raw+"&queue=reject", tone(1), http.StatusConflict, nil)
		c.do("POST", path+raw+"&queue=first", tone(1), http.StatusUnprocessableEntity, nil)
		var spoken SpokenPart
		c.do("POST", path+raw+"&queue=replace&name=c", tone(1), http.StatusOK, &spoken)
		if spoken.Receipt.Outcome != echo.Finished || spoken.Receipt.Source != "c" {
			t.Errorf("the utterance that replaces is %+v", spoken.Receipt)
		}
		for range 2 {
			r := (<-answers).Receipt
			least, most := 0.5, 1.5 // of the one that is spoken
			if r.Source == "b" {
				least, most = 0, 0
			}
			if r.Outcome != echo.Interrupted || r.SpokenSeconds < least || r.SpokenSeconds > most {
				t.Errorf("an utterance that is replaced is %+v", r)
			}
		}
	})
}

func TestInterrupt(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *client) {
		path := c.open()
		var none, both struct{ Receipts []SpokenPart }
		c.do("POST", path+"/interrupt", nil, http.StatusOK, &none)
		if len(none.Receipts) != 0 {
			t.Errorf("nothing is spoken, and %+v interrupted", none)
		}
		for range 2 {
			go c.do("POST", path+raw, tone(60), http.StatusOK, nil)
			synctest.Wait()
		}
		time.Sleep(3 * time.Second)
		c.do("POST", path+"/interrupt", nil, http.StatusOK, &both)
		if len(both.Receipts) != 2 || both.Receipts[0].Receipt.SpokenSeconds < 2 || both.Receipts[1].Receipt.Chunks != 0 {
			t.Errorf("interrupted %+v", both)
		}
		c.do("POST", path+raw, tone(1), http.StatusOK, nil)
	})
}

// The end of a conversation interrupts its speech, and every utterance has a receipt.
func TestDeleteWhileSpeaking(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *client) {
		path := c.open()
		answer := make(chan SpokenPart, 1)
		go func() {
			var spoken SpokenPart
			c.do("POST", path+raw, tone(60), http.StatusOK, &spoken)
			answer <- spoken
		}()
		time.Sleep(2 * time.Second)
		c.do("DELETE", path, nil, http.StatusOK, nil)
		if r := (<-answer).Receipt; r.Outcome != echo.Interrupted || r.SpokenSeconds < 1 {
			t.Errorf("the receipt is %+v", r)
		}
	})
}

// A gateway that ends accepts nothing new. It finishes what is spoken within Options.Drain, or
// interrupts and reports it.
func TestDrain(t *testing.T) {
	inBubble(t, &Options{Drain: 10 * time.Second}, func(t *testing.T, c *client) {
		short, long, idle := c.open(), c.open(), c.open()
		answers := make(chan SpokenPart, 2)
		for path, seconds := range map[string]float64{short: 5, long: 60} {
			go func() {
				var spoken SpokenPart
				c.do("POST", path+raw, tone(seconds), http.StatusOK, &spoken)
				answers <- spoken
			}()
		}
		time.Sleep(time.Second)
		c.do("GET", "/readyz", nil, http.StatusOK, nil)
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			c.gateway.Close(t.Context())
		}()
		synctest.Wait()
		c.do("GET", "/readyz", nil, http.StatusServiceUnavailable, nil)
		c.do("GET", "/healthz", nil, http.StatusOK, nil)
		create := strings.NewReader(`{"to":"rehearsal"}`)
		header := c.do("POST", "/v1/conversations", create, http.StatusServiceUnavailable, nil)
		if header.Get("Retry-After") == "" {
			t.Error("the refusal does not say when to ask again")
		}
		c.do("POST", short+raw, tone(1), http.StatusServiceUnavailable, nil)
		c.do("POST", idle+raw, tone(1), http.StatusGone, nil)
		if r := (<-answers).Receipt; r.Outcome != echo.Finished {
			t.Errorf("the short utterance is %+v", r)
		}
		if r := (<-answers).Receipt; r.Outcome != echo.Interrupted || r.SpokenSeconds < 9 {
			t.Errorf("the long utterance is %+v", r)
		}
		<-closed
	})
}

func TestSlots(t *testing.T) {
	inBubble(t, &Options{MaxConversations: 2}, func(t *testing.T, c *client) {
		first := c.open()
		c.open()
		c.do("GET", "/readyz", nil, http.StatusServiceUnavailable, nil)
		c.do("POST", "/v1/conversations", strings.NewReader(`{"to":"rehearsal"}`), http.StatusServiceUnavailable, nil)
		c.do("DELETE", first, nil, http.StatusOK, nil)
		c.open()
	})
}

// An invalid request gets one line that says what is wrong, and the right status.
func TestRefusals(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *client) {
		path := c.open()
		for _, test := range []struct {
			method, path, body string
			status             int
			detail             string
		}{
			{"POST", "/v1/conversations", `{}`, 422,
				`to: name a room, "rehearsal" for a stand-in replica, or a PAL with pal`},
			{"POST", "/v1/conversations", `{"too":"rehearsal"}`, 422,
				`body: it must be one JSON object: unknown field "too"`},
			{"POST", "/v1/conversations", `{"to":"rehearsal"} {}`, 422,
				`body: it must be one JSON object: something follows the object`},
			{"POST", "/v1/conversations", `{"to":5}`, 422,
				`body: it must be one JSON object: the value of "to" is of the wrong kind: number`},
			{"POST", "/v1/conversations", `[]`, 422, `body: it must be one JSON object: it is of another kind: array`},
			{"POST", "/v1/conversations", ``, 422, `body: it must be one JSON object: it is empty`},
			{"POST", "/v1/conversations", `{"to":`, 422, `body: it must be one JSON object: it breaks off`},
			{"GET", path + "/events?after=x", ``, 422, `after: it must be the id of an event`},
			{"POST", "/v1/conversations", `{"to":"rehearsal","lead_seconds":1e9}`, 422,
				`lead_seconds: it must be from 0 to 30`},
			{"POST", "/v1/conversations", `{"to":"` + strings.Repeat("x", longestJSON) + `"}`, 413,
				`http: request body too large`},
			{"POST", "/v1/conversations", `{"to":"gopher://x"}`, 422, ``},
			{"POST", "/v1/conversations", `{"pal":"p1"}`, 422,
				`pal: this gateway has no API key of Tavus: start it with TAVUS_API_KEY or --api-key-file`},
			{"POST", path + "/speech", `this is no audio`, 415, ``},
			{"POST", path + "/speech", ``, 422, `the input is empty`},
			{"POST", path + "/speech?rate=16000", `x`, 422,
				`format: rate and channels describe raw samples: add their format, such as s16le`},
			{"POST", path + "/speech?format=s16le&rate=1", `xx`, 422, ``},
			{"POST", path + "/speech?format=mp4", `x`, 422, ``},
			{"POST", path + "/speech?speed=2", `x`, 422,
				`speed: there is no such parameter; there are format, rate, channels, queue, name, text`},
			{"POST", path + "/speech?format=s16le&name=%1b%5b2J", `xx`, 422,
				`name: it must be printable, and have at most 200 bytes`},
			{"GET", "/v1/conversations/none", ``, 404, `there is no such conversation`},
			{"GET", "/v1/nothing", ``, 404, `there is nothing at this path; /openapi.yaml lists what there is`},
			{"PATCH", path, ``, 405, `this path does not take this method; the header Allow lists those that it takes`},
		} {
			var p Problem
			header := c.do(test.method, test.path, strings.NewReader(test.body), test.status, &p)
			kind := header.Get("Content-Type")
			if kind != "application/problem+json" || p.Status != test.status || p.Detail == "" || p.Kind == "" {
				t.Errorf("%s %.50s: the problem is %+v (%s)", test.method, test.path, p, kind)
			}
			if test.detail != "" && p.Detail != test.detail {
				t.Errorf("%s %.50s: %q, want %q", test.method, test.path, p.Detail, test.detail)
			}
		}
		c.do("POST", path+raw, tone(1), http.StatusOK, nil) // the conversation is unharmed
	})
}

// A page of another site is refused, whatever name it uses for this machine.
func TestForeignPagesAreRefused(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *client) {
		for _, test := range []struct {
			host, header, value string
			status              int
			says                string
		}{
			{"127.0.0.1:8880", "Origin", "http://evil.example", 403, "--allow-origin"},
			{"127.0.0.1:8880", "Origin", "null", 403, "--allow-origin"},
			{"127.0.0.1:8880", "Sec-Fetch-Site", "cross-site", 403, "--allow-origin"},
			{"evil.example:8880", "X-Nothing", "", 403, "the host must be localhost"},
			{"127.0.0.1:8880", "Origin", "http://127.0.0.1:8880", 200, ""},
			{"localhost:8880", "Sec-Fetch-Site", "same-origin", 200, ""},
			{"[::1]:8880", "X-Nothing", "", 200, ""},
		} {
			r := httptest.NewRequestWithContext(t.Context(), "GET", "http://"+test.host+"/v1/conversations", nil)
			r.Header.Set(test.header, test.value)
			var p Problem
			c.request(r, test.status, &p)
			if !strings.Contains(p.Detail, test.says) {
				t.Errorf("%s, %s: %q", test.host, test.value, p.Detail)
			}
		}
	})
}

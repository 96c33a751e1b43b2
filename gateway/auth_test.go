package gateway

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"echocast/gateway/token"
)

// secretOf returns the token that tokensOf registers under a name.
func secretOf(name string) string { return strings.Repeat(name, token.MinLength) }

// tokensOf makes a file of tokens with these scopes, by their names.
func tokensOf(t *testing.T, scopes map[string]string) *token.File {
	t.Helper()
	var text strings.Builder
	for name, words := range scopes {
		hash := token.Hash(secretOf(name))
		fmt.Fprintf(&text, "%s %s %s\n", hex.EncodeToString(hash[:]), words, name)
	}
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := token.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Each request needs its scope. The token of a conversation is valid for that conversation
// only.
func TestTokens(t *testing.T) {
	tokens := tokensOf(t, map[string]string{"all": "create,speak,listen", "speaker": "speak", "listener": "listen"})
	inBubble(t, &Options{Tokens: tokens, MaxPerToken: 2}, func(t *testing.T, c *client) {
		ask := func(secret, method, path, body string, status int, into any) http.Header {
			t.Helper()
			r := httptest.NewRequestWithContext(t.Context(), method, "http://gateway.example"+path, strings.NewReader(body))
			if secret != "" {
				r.Header.Set("Authorization", "Bearer "+secret)
			}
			return c.request(r, status, into)
		}
		all, rehearsal := secretOf("all"), `{"to":"rehearsal"}`
		var mine, other Info
		ask(all, "POST", "/v1/conversations", rehearsal, 201, &mine)
		ask(all, "POST", "/v1/conversations", rehearsal, 201, &other)
		if header := ask(all, "POST", "/v1/conversations", rehearsal, 429, nil); header.Get("Retry-After") == "" {
			t.Error("the refusal does not say when to ask again")
		}
		path := "/v1/conversations/" + mine.ID
		for _, test := range []struct {
			secret, method, path string
			status               int
		}{
			{"", "GET", path, 401},
			{"wrong", "GET", path, 401},
			{all + "x", "GET", path, 401},
			{all, "GET", path, 200},
			{"", "POST", "/v1/conversations", 401},
			{"", "GET", "/healthz", 200},
			{secretOf("listener"), "GET", path, 200},
			{secretOf("listener"), "POST", path + "/interrupt", 403},
			{secretOf("listener"), "GET", "/v1/conversations", 403},
			{secretOf("speaker"), "POST", path + "/interrupt", 200},
			{secretOf("speaker"), "GET", path + "/events", 403},
			{secretOf("speaker"), "GET", path + "/socket", 403},
			{mine.Token, "GET", path, 200},
			{mine.Token, "POST", path + "/interrupt", 200},
			{mine.Token, "GET", "/v1/conversations/" + other.ID, 401},
			{mine.Token, "GET", "/v1/conversations", 401},
			{mine.Token, "DELETE", path, 200},
			{other.Token, "DELETE", path, 401},
		} {
			header := ask(test.secret, test.method, test.path, "", test.status, nil)
			if test.status == 401 && header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s %s: 401 without WWW-Authenticate", test.method, test.path)
			}
		}
	})
}

// Programs on this machine need no token, but a wrong one is refused.
func TestWrongTokenIsRefused(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *client) {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "http://127.0.0.1:8880/v1/conversations", nil)
		r.Header.Set("Authorization", "Bearer "+secretOf("wrong"))
		c.request(r, http.StatusUnauthorized, nil)
	})
}

// A browser sends the token of a WebSocket as a subprotocol.
func TestBearer(t *testing.T) {
	for _, test := range []struct{ header, value, want string }{
		{"Authorization", "Bearer abc", "abc"},
		{"Authorization", "bearer abc", "abc"},
		{"Authorization", "Basic abc", ""},
		{"Sec-WebSocket-Protocol", "echocast.v1, echocast.token.abc", "abc"},
		{"Sec-WebSocket-Protocol", "echocast.v1", ""},
	} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.Header.Set(test.header, test.value)
		if got := bearer(r); got != test.want {
			t.Errorf("%s: %s has the token %q, want %q", test.header, test.value, got, test.want)
		}
	}
}

// Pages of an allowed origin may send requests, and the browser is told so.
func TestAllowedOrigins(t *testing.T) {
	inBubble(t, &Options{AllowOrigins: []string{"https://app.example"}}, func(t *testing.T, c *client) {
		for _, test := range []struct {
			method, origin string
			status         int
		}{
			{"GET", "https://app.example", 200},
			{"OPTIONS", "https://app.example", 204},
			{"GET", "https://app.example.evil.example", 403},
			{"OPTIONS", "https://evil.example", 403},
		} {
			r := httptest.NewRequestWithContext(t.Context(), test.method, "http://127.0.0.1:8880/v1/conversations", nil)
			r.Header.Set("Origin", test.origin)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Access-Control-Request-Method", "POST")
			header := c.request(r, test.status, nil)
			if allowed := header.Get("Access-Control-Allow-Origin") != ""; allowed != (test.status < 300) {
				t.Errorf("%s from %s: allowed is %t", test.method, test.origin, allowed)
			}
		}
	})
}

// A request that is repeated with its key is carried out once.
func TestIdempotency(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *client) {
		ask := func(path, key, body string, audio io.Reader, status int, into any) {
			t.Helper()
			if audio == nil {
				audio = strings.NewReader(body)
			}
			r := httptest.NewRequestWithContext(t.Context(), "POST", "http://127.0.0.1:8880"+path, audio)
			r.Header.Set("Idempotency-Key", key)
			c.request(r, status, into)
		}
		const create, rehearsal = "/v1/conversations", `{"to":"rehearsal"}`
		var first, again, third Info
		ask(create, "k1", rehearsal, nil, 201, &first)
		ask(create, "k1", rehearsal, nil, 201, &again)
		ask(create, "k2", rehearsal, nil, 201, &third)
		if first.ID != again.ID || first.Token != again.Token || first.ID == third.ID {
			t.Errorf("created %s, %s and %s", first.ID, again.ID, third.ID)
		}
		ask(create, "k1", `{"to":"rehearsal","label":"other"}`, nil, 422, nil)
		ask(create, "k\x1b", rehearsal, nil, 422, nil)
		path := "/v1/conversations/" + first.ID
		var one, same, two SpokenPart
		ask(path+raw, "s1", "", tone(1), 200, &one)
		ask(path+raw, "s1", "", tone(1), 200, &same)
		ask(path+raw, "s2", "", tone(1), 200, &two)
		if one.Utterance != same.Utterance || one.Receipt.InferenceID != same.Receipt.InferenceID ||
			one.Utterance == two.Utterance {
			t.Errorf("spoke %s, %s and %s", one.Utterance, same.Utterance, two.Utterance)
		}
	})
}

// A client that does not wait gets the address of the receipt. What it sent is spoken after it
// has left.
func TestAsync(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *client) {
		path := c.open()
		r := httptest.NewRequestWithContext(t.Context(), "POST", "http://127.0.0.1:8880"+path+raw, tone(3))
		r.Header.Set("Prefer", "wait=10, respond-async")
		var u UtteranceInfo
		header := c.request(r, http.StatusAccepted, &u)
		place := header.Get("Location")
		if u.Phase == Over || place != path+"/utterances/"+u.ID || header.Get("Preference-Applied") != "respond-async" {
			t.Errorf("accepted %+v at %s", u, place)
		}
		c.gateway.mu.Lock()
		conversation := c.gateway.all[strings.TrimPrefix(path, "/v1/conversations/")]
		c.gateway.mu.Unlock()
		spoken, _ := conversation.Utterance(u.ID)
		<-spoken.over
		c.do("GET", place, nil, http.StatusOK, &u)
		if u.Phase != Over || u.Receipt.Samples != 72000 || u.Receipt.Outcome != "finished" {
			t.Errorf("the utterance is %+v, %+v", u, u.Receipt)
		}
		c.do("GET", path+"/utterances/none", nil, http.StatusNotFound, nil)
		broken := io.MultiReader(tone(1), brokenBody{})
		r = httptest.NewRequestWithContext(t.Context(), "POST", "http://127.0.0.1:8880"+path+raw, broken)
		r.Header.Set("Prefer", "respond-async")
		c.request(r, http.StatusBadRequest, nil)
	})
}

// brokenBody is the body of a client that was lost.
type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// Pause, resume, texts and messages by single requests.
func TestOtherRequests(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, c *client) {
		path := c.open()
		var spoken SpokenPart
		c.do("POST", path+"/say", strings.NewReader(`{"text":"Hello."}`), 200, &spoken)
		if spoken.Receipt.Characters != 6 {
			t.Errorf("the receipt is %+v", spoken.Receipt)
		}
		c.do("POST", path+"/say", strings.NewReader(`{"text":""}`), 422, nil)
		for message, status := range map[string]int{
			`{"message_type":"conversation","event_type":"conversation.respond","properties":{"text":"Hi"}}`: 202,
			`{"event_type":"conversation.echo"}`:      422,
			`{"event_type":"conversation.interrupt"}`: 202,
		} {
			c.do("POST", path+"/messages", strings.NewReader(message), status, nil)
		}
		var info Info
		c.do("POST", path+"/pause", nil, 200, &info)
		answer := make(chan struct{})
		go func() {
			defer close(answer)
			c.do("POST", path+raw, tone(1), 200, nil)
		}()
		select {
		case <-answer:
			t.Error("an utterance was spoken in a pause")
		case <-t.Context().Done():
		case <-afterAMinute():
		}
		c.do("POST", path+"/resume", nil, 200, &info)
		<-answer
	})
}

func afterAMinute() <-chan time.Time { return time.After(time.Minute) }

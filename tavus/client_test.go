package tavus_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"echocast/internal/testwait"
	"echocast/tavus"
	"echocast/tavus/tavustest"
)

// canary is a key that must not appear anywhere.
const canary = `canary-"key"/+&-5f0c1d`

func newKey(t *testing.T) tavus.Key {
	t.Helper()
	key, err := tavus.NewKey(" " + canary + "\n")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// inMemory is a client of a stand-in that it reaches without a network.
func inMemory(t *testing.T, server *tavustest.Server) *tavus.Client {
	t.Helper()
	server.Key = canary
	return &tavus.Client{Key: newKey(t), BaseURL: "http://127.0.0.1", HTTP: server.Client()}
}

// onLoopback is a client of a stand-in behind a real connection.
func onLoopback(t *testing.T, server *tavustest.Server) *tavus.Client {
	t.Helper()
	server.Key = canary
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	return &tavus.Client{Key: newKey(t), BaseURL: listener.URL, HTTP: listener.Client()}
}

func fixture(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "protocol", "rest", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func sameJSON(t *testing.T, got any, want []byte) {
	t.Helper()
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var a, b any
	if err := errors.Join(json.Unmarshal(text, &a), json.Unmarshal(want, &b)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

// Requests match the documentation.
func TestRequestsAreTheDocumentedOnes(t *testing.T) {
	spec := tavus.Spec{PAL: "p1234567890a", Face: "r1234567890a", Name: "echocast-1", MaxDuration: 10 * time.Minute}
	for name, c := range map[string]struct {
		old  bool
		call func(*tavus.Client) error
	}{
		"create_conversation_request": {call: func(c *tavus.Client) error {
			_, err := c.CreateConversation(testwait.Context(t), spec)
			return err
		}},
		"create_pal_echo_request": {call: func(c *tavus.Client) error {
			_, err := c.CreatePAL(testwait.Context(t), tavus.EchoPAL{Face: "r1234567890a"})
			return err
		}},
		"create_pal_livekit_request": {call: func(c *tavus.Client) error {
			_, err := c.CreatePAL(testwait.Context(t), tavus.EchoPAL{Face: "r1234567890a", Name: "echocast livekit",
				LiveKit: true})
			return err
		}},
		"create_persona_echo_request": {old: true, call: func(c *tavus.Client) error {
			_, err := c.CreatePAL(testwait.Context(t), tavus.EchoPAL{Face: "r1234567890a"})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			server := &tavustest.Server{OldNames: c.old}
			if err := c.call(inMemory(t, server)); err != nil {
				t.Fatal(err)
			}
			all := server.Requests()
			sameJSON(t, all[len(all)-1].Body, fixture(t, name))
		})
	}
}

// Optional fields are at their documented places.
func TestOptionsOfAConversation(t *testing.T) {
	server := &tavustest.Server{}
	client := inMemory(t, server)
	made, err := client.CreateConversation(t.Context(), tavus.Spec{
		PAL: "p1", Callback: "https://hooks.example.org/x", DailyRoom: "https://ours.daily.co/room", DynamicGreeting: true,
	})
	if err != nil || made.Callback != "https://hooks.example.org/x" || made.URL != "https://ours.daily.co/room" {
		t.Errorf("%+v, %v", made, err)
	}
	body := server.Requests()[0].Body
	if _, greets := body["custom_greeting"]; greets || body["enable_dynamic_greeting"] != true ||
		len(server.Complaints()) > 0 {
		t.Errorf("%v, %v", body, server.Complaints())
	}
	for want, spec := range map[string]tavus.Spec{
		"callback":   {PAL: "p1", Callback: "hooks.example.org"},
		"Daily room": {PAL: "p1", DailyRoom: "ftp://x/y"},
		"greeting":   {PAL: "p1", Greeting: "Hello", DynamicGreeting: true},
	} {
		if err := spec.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", spec, err)
		}
	}
}

// Answers are understood with the old and the new field names.
func TestAnswersInOldAndNewFieldNames(t *testing.T) {
	var listed struct{ Data []tavus.Info }
	if err := json.Unmarshal(fixture(t, "list_conversations_response"), &listed); err != nil || len(listed.Data) != 1 {
		t.Fatal(err)
	}
	if i := listed.Data[0]; i.PAL != "p1234567890a" || i.Face != "r1234567890a" || i.Status != tavus.Active {
		t.Errorf("%+v", i)
	}
	for name, want := range map[string]tavus.PAL{
		"create_pal_response":     {ID: "p1234567890a", Name: "echocast echo", Created: "2026-07-20T09:00:00.000001Z"},
		"create_persona_response": {ID: "p1234567890a", Name: "echocast echo", Created: "2026-02-01T09:00:00.000001Z"},
	} {
		var got tavus.PAL
		if err := json.Unmarshal(fixture(t, name), &got); err != nil || got != want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	var private, verbose tavus.Info
	if err := errors.Join(json.Unmarshal(fixture(t, "create_conversation_private_response"), &private),
		json.Unmarshal(fixture(t, "get_conversation_verbose_response"), &verbose)); err != nil {
		t.Fatal(err)
	}
	if private.JoinURL() != "https://tavus.daily.co/c0ffee1234567890?t=eyJ.fake.token" {
		t.Error(private.JoinURL())
	}
	if !verbose.HasEnded() || len(verbose.Events) != 3 || verbose.Shutdown != "participant_left_timeout" {
		t.Errorf("%+v", verbose)
	}
}

// A service that knows only the old names gets these.
func TestOldNames(t *testing.T) {
	for _, old := range []bool{false, true} {
		t.Run(fmt.Sprint("old ", old), func(t *testing.T) {
			server := &tavustest.Server{OldNames: old, Extra: true}
			client := onLoopback(t, server)
			ctx := testwait.Context(t)
			pal, err := client.CreatePAL(ctx, tavus.EchoPAL{Face: "r1234567890a", Microphone: true})
			if err != nil || pal.ID == "" {
				t.Fatal(pal, err)
			}
			if got, err := client.PAL(ctx, pal.ID); err != nil || got.Face != "r1234567890a" || got.Pipeline != "echo" ||
				got.Name != "echocast echo" {
				t.Errorf("%+v, %v", got, err)
			}
			n := 0
			for one, err := range client.PALs(ctx) {
				if n++; err != nil || one.ID != pal.ID {
					t.Errorf("%+v, %v", one, err)
				}
			}
			for face, err := range client.Faces(ctx) {
				if n++; err != nil || face.ID != "r1234567890a" || face.Name != "a face" {
					t.Errorf("%+v, %v", face, err)
				}
			}
			if n != 2 {
				t.Errorf("%d PALs and faces", n)
			}
			if face, err := client.Face(ctx, "r1234567890a"); err != nil || face.Status != "completed" {
				t.Errorf("%+v, %v", face, err)
			}
			made, err := client.CreateConversation(ctx, tavus.Spec{PAL: pal.ID, Face: "r1234567890a", Name: "n"})
			if err != nil {
				t.Fatal(err)
			}
			if got, err := client.Conversation(ctx, made.ID, true); err != nil || got.PAL != pal.ID ||
				got.Face != "r1234567890a" || len(got.Events) != 1 {
				t.Errorf("%+v, %v", got, err)
			}
			if err := errors.Join(client.EndConversation(ctx, made.ID), client.DeleteConversation(ctx, made.ID, true),
				client.DeletePAL(ctx, pal.ID)); err != nil {
				t.Error(err)
			}
			if _, err := client.PAL(ctx, pal.ID); status(err) != 404 {
				t.Errorf("a deleted PAL: %v", err)
			}
			if c := server.Complaints(); !old && len(c) > 0 {
				t.Error(c)
			}
		})
	}
}

func status(err error) int {
	if answer, ok := errors.AsType[*tavus.APIError](err); ok {
		return answer.Status
	}
	return 0
}

// Only if the service refuses the names does the client use the old ones.
func TestOtherRefusalsKeepTheNewNames(t *testing.T) {
	for _, body := range []string{`{"error":"Invalid pal_id"}`, `{"error":"face_id r1 was not found"}`,
		`{"message":"too many concurrent conversations"}`} {
		server := &tavustest.Server{}
		client := inMemory(t, server)
		server.Fail(tavustest.Fault{Status: 400, Body: body})
		if _, err := client.CreateConversation(testwait.Context(t), tavus.Spec{PAL: "p1"}); status(err) != 400 {
			t.Errorf("%s: %v", body, err)
		}
		server.Heal()
		server.Fail(tavustest.Fault{Method: "POST", Status: 400, Body: body, After: true})
		_, _ = client.CreateConversation(testwait.Context(t), tavus.Spec{PAL: "p1"})
		if n := server.Count("POST", "/v2/conversations"); n != 1 {
			t.Errorf("%s: asked for %d times", body, n)
		}
	}
}

// Every refusal has a type, quotes the service, and says what to do.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   []string
	}{
		{400, string(fixture(t, "error_400_error_key")), []string{"Invalid conversation_id", "check the ids"}},
		{400, string(fixture(t, "error_400_message_key")), []string{"too many concurrent", "end a conversation"}},
		{401, string(fixture(t, "error_401")), []string{"Invalid access token", "check the API key"}},
		{402, `{"error":{"message":"no credit"}}`, []string{"Payment Required: no credit", "no credit or plan"}},
		{403, `{"message":null,"error":"no"}`, []string{"Forbidden: no;", "may not"}},
		{404, ``, []string{"404 Not Found", "check the id"}},
		{409, `[]`, []string{"409 Conflict", "state"}},
		{422, `{"error":["a","b"]}`, []string{`["a","b"]`}},
		{418, "{\"message\":\"line one\\nline \\u001b[31mtwo\"}", []string{"line one line [31mtwo"}},
		{302, ``, []string{"redirects to elsewhere.test"}},
	} {
		server := &tavustest.Server{}
		client := inMemory(t, server)
		server.Fail(tavustest.Fault{Status: c.status, Body: c.body,
			Header: http.Header{"Location": {"https://elsewhere.test/x"}}})
		_, err := client.Conversation(testwait.Context(t), "c1", false)
		if status(err) != c.status {
			t.Errorf("%d: %v", c.status, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) || strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("%d: %q lacks %q", c.status, err, want)
			}
		}
	}
}

// Whatever a server sends, the client reads a limited amount and returns an error.
func TestInvalidAnswers(t *testing.T) {
	huge := strings.Repeat("x", 3<<20)
	for name, fault := range map[string]tavustest.Fault{
		"html":          {Status: 200, Body: "<html><body>Welcome</body></html>"},
		"html error":    {Status: 404, Body: "<html>" + strings.Repeat("<p>lost</p>", 1000)},
		"huge":          {Status: 200, Body: `{"conversation_id":"` + huge + `"}`},
		"huge error":    {Status: 403, Body: `{"error":"` + huge + `"}`},
		"empty":         {Status: 200},
		"another":       {Status: 200, Body: `{"conversation_id":"c2"}`},
		"an array":      {Status: 200, Body: `[1,2]`},
		"deep":          {Status: 200, Body: strings.Repeat("[", 100000)},
		"wrong kinds":   {Status: 200, Body: `{"conversation_id":17,"status":{}}`},
		"half an error": {Status: 400, Body: `{"error":"abc`},
	} {
		t.Run(name, func(t *testing.T) {
			server := &tavustest.Server{}
			client := onLoopback(t, server)
			server.Fail(fault)
			_, err := client.Conversation(testwait.Context(t), "c1", false)
			answer, ok := errors.AsType[*tavus.APIError](err)
			if !ok || answer.Status != fault.Status || len(answer.Body) > 600 || len(err.Error()) > 600 {
				t.Errorf("%.800v", err)
			}
		})
	}
}

// Safe requests are retried, and others are not.
func TestRetries(t *testing.T) {
	get := func(ctx context.Context, c *tavus.Client) error {
		_, err := c.Conversation(ctx, "c0ffee0000000001", false)
		return err
	}
	end := func(ctx context.Context, c *tavus.Client) error { return c.EndConversation(ctx, "c0ffee0000000001") }
	create := func(ctx context.Context, c *tavus.Client) error {
		_, err := c.CreateConversation(ctx, tavus.Spec{PAL: "p1", Name: "n"})
		return err
	}
	after := http.Header{"Retry-After": {"7"}}
	for name, c := range map[string]struct {
		call     func(context.Context, *tavus.Client) error
		fault    tavustest.Fault
		requests int // including the one that works, if one does
		ok       bool
		longer   time.Duration // than this it takes
	}{
		"get 500":          {get, tavustest.Fault{Status: 500, Times: 2}, 3, true, 0},
		"get 500 for ever": {get, tavustest.Fault{Status: 500}, 4, false, 0},
		"get reset":        {get, tavustest.Fault{Reset: true, Times: 3}, 4, true, 0},
		"get 404":          {get, tavustest.Fault{Status: 404}, 1, false, 0},
		"get 401":          {get, tavustest.Fault{Status: 401}, 1, false, 0},
		"get 429 asks":     {get, tavustest.Fault{Status: 429, Header: after, Times: 2}, 3, true, 14 * time.Second},
		"get 503 asks":     {get, tavustest.Fault{Status: 503, Header: after, Times: 1}, 2, true, 7 * time.Second},
		"get 429 asks a lot": {get, tavustest.Fault{Status: 429, Header: http.Header{"Retry-After": {"3600"}}},
			1, false, 0},
		"get 429 asks by date": {get,
			tavustest.Fault{Status: 429, Header: http.Header{"Retry-After": {"Sat, 01 Jan 2000 00:00:20 GMT"}}, Times: 1},
			2, true, 19 * time.Second},
		"get slow":        {get, tavustest.Fault{Delay: time.Hour, Times: 1}, 2, true, 30 * time.Second},
		"end 500 after":   {end, tavustest.Fault{Method: "POST", After: true, Status: 500, Times: 1}, 2, true, 0},
		"end reset after": {end, tavustest.Fault{Method: "POST", After: true, Reset: true, Times: 2}, 3, true, 0},
		"create 429":      {create, tavustest.Fault{Status: 429, Header: after, Times: 1}, 2, true, 7 * time.Second},
		"create 503":      {create, tavustest.Fault{Status: 503, Header: after, Times: 1}, 1, false, 0},
		"create 500":      {create, tavustest.Fault{Status: 500, Times: 1}, 1, false, 0},
		"create reset":    {create, tavustest.Fault{Reset: true, Times: 1}, 1, false, 0},
		"create slow":     {create, tavustest.Fault{Delay: time.Hour, Times: 1}, 1, false, 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &tavustest.Server{}
				client := inMemory(t, server)
				server.Add("n")
				tried := 0
				client.HTTP.Transport = countingTransport{client.HTTP.Transport, &tried}
				server.Fail(c.fault)
				start := time.Now()
				if err := c.call(t.Context(), client); (err == nil) != c.ok {
					t.Errorf("%v", err)
				}
				if took := time.Since(start); took < c.longer || took > c.longer+10*time.Second {
					t.Errorf("took %v, want a little more than %v", took, c.longer)
				}
				if tried != c.requests {
					t.Errorf("%d requests, want %d", tried, c.requests)
				}
			})
		})
	}
}

type countingTransport struct {
	http.RoundTripper
	n *int
}

func (c countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	*c.n++
	return c.RoundTripper.RoundTrip(r)
}

// A wait ends with its context, and the error says so.
func TestWaitsEndWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &tavustest.Server{}
		client := inMemory(t, server)
		server.Fail(tavustest.Fault{Status: 429, Header: http.Header{"Retry-After": {"50"}}})
		var told []time.Duration
		client.OnWait = func(_ error, wait time.Duration) { told = append(told, wait) }
		why := errors.New("the user left")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Second, why)
		defer cancel()
		start := time.Now()
		if _, err := client.Conversation(ctx, "c1", false); !errors.Is(err, why) || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if len(told) != 1 || told[0] != 50*time.Second {
			t.Errorf("told %v", told)
		}
	})
}

func TestServiceUnreachable(t *testing.T) {
	listener := httptest.NewServer(nil)
	listener.Close()
	client := &tavus.Client{Key: newKey(t), BaseURL: listener.URL}
	_, err := client.CreateConversation(testwait.Context(t), tavus.Spec{PAL: "p1"})
	if _, ok := errors.AsType[*tavus.TransportError](err); !ok || !errors.Is(err, syscall.ECONNREFUSED) ||
		!strings.HasPrefix(err.Error(), "tavus: POST /v2/conversations: dial tcp") {
		t.Errorf("%v", err)
	}
}

// The key is sent only to the service.
func TestRedirectsAreNotFollowed(t *testing.T) {
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	server := &tavustest.Server{}
	client := onLoopback(t, server)
	server.Fail(tavustest.Fault{Status: 307, Header: http.Header{"Location": {other.URL + "/" + canary}}})
	_, err := client.CreateConversation(testwait.Context(t), tavus.Spec{PAL: "p1"})
	if status(err) != 307 || reached {
		t.Errorf("reached %v: %v", reached, err)
	}
}

func TestCheckBaseURLAndKey(t *testing.T) {
	for base, ok := range map[string]bool{
		"": true, "https://tavusapi.com/": true, "http://127.0.0.1:80": true, "http://localhost:1": true,
		"http://[::1]:1":      true,
		"http://tavusapi.com": false, "ftp://x": false, "x": false, "https://u:p@x": false, "https://": false,
		"https://x?key=1": false, "http://127.0.0.1.evil.test": false,
	} {
		if err := (&tavus.Client{Key: newKey(t), BaseURL: base}).Check(); (err == nil) != ok {
			t.Errorf("%q: %v", base, err)
		}
	}
	if (&tavus.Client{}).Check() == nil {
		t.Error("no key is no objection")
	}
	for _, text := range []string{"", " \n", "a b", "a\nb", "schlüssel"} {
		if _, err := tavus.NewKey(text); err == nil || text != "" && len(text) > 2 && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// An id is never a path.
func TestIDsAreNotPaths(t *testing.T) {
	server := &tavustest.Server{}
	client := inMemory(t, server)
	for _, id := range []string{"", ".", "..", "a/b", "../pals", "a?b", "-x", "a%2fb", strings.Repeat("a", 200)} {
		_, one := client.Conversation(testwait.Context(t), id, false)
		_, two := client.PAL(testwait.Context(t), id)
		for _, err := range []error{one, two, client.EndConversation(testwait.Context(t), id),
			client.DeleteConversation(testwait.Context(t), id, false), client.DeletePAL(testwait.Context(t), id)} {
			if err == nil {
				t.Errorf("%q is taken", id)
			}
		}
	}
	if n := len(server.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// Lists are read to their end, however the service divides them into pages.
func TestPages(t *testing.T) {
	for _, longest := range []int{1, 7, 10, 50, 100} {
		server := &tavustest.Server{LongestPage: longest}
		client := inMemory(t, server)
		for i := range 123 {
			server.Add(fmt.Sprint(i))
		}
		seen := map[string]bool{}
		for info, err := range client.Conversations(testwait.Context(t), tavus.Active) {
			if err != nil {
				t.Fatal(err)
			}
			seen[info.Name] = true
		}
		if len(seen) != 123 || len(server.Complaints()) > 0 {
			t.Errorf("%d of 123 with pages of %d; %v", len(seen), longest, server.Complaints())
		}
	}
}

// A service that repeats the same page forever is not asked forever.
func TestEndlessPages(t *testing.T) {
	server := &tavustest.Server{}
	client := inMemory(t, server)
	server.Fail(tavustest.Fault{Status: 200, Body: `{"data":[{"conversation_id":"c1"}],"total_count":"many"}`})
	n := 0
	for range client.Conversations(testwait.Context(t), "") {
		n++
	}
	if n != 1 {
		t.Errorf("%d conversations", n)
	}
}

// In whatever way a key or its client is printed, the key is hidden.
func TestKeyIsNotPrinted(t *testing.T) {
	client := tavus.Client{Key: newKey(t)}
	hidden := struct {
		inner tavus.Client
		key   tavus.Key
	}{client, client.Key}
	var out bytes.Buffer
	for _, value := range []any{client.Key, &client.Key, client, &client, hidden, &hidden, []tavus.Key{client.Key},
		map[string]any{"k": client.Key}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("text", "value", value)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "value", value)
	}
	text, err := json.Marshal(map[string]any{"key": client.Key, "keys": []tavus.Key{client.Key}})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	noCanary(t, "what was printed", out.String())
	if !strings.Contains(string(text), `"redacted"`) {
		t.Errorf("%s", text)
	}
}

// noCanary fails if the key, or something it is easily had from, is in text.
func noCanary(t *testing.T, what, text string) {
	t.Helper()
	inJSON, _ := json.Marshal(canary)
	for _, form := range []string{canary, string(inJSON[1 : len(inJSON)-1]), fmt.Sprintf("%x", canary),
		fmt.Sprintf("%X", canary), fmt.Sprintf("%v", []byte(canary)), "5f0c1d"} {
		if strings.Contains(text, form) {
			t.Errorf("the key is in %s: %.400s", what, text)
		}
	}
}

// If a service repeats what it was sent, the client does not print the key.
func TestKeyInAnswersIsHidden(t *testing.T) {
	for _, code := range []int{400, 401, 403, 404, 418, 429, 500, 503} {
		synctest.Test(t, func(t *testing.T) {
			server := &tavustest.Server{}
			client := inMemory(t, server)
			server.Fail(tavustest.Fault{Mirror: true, Status: code, Body: "what?"})
			server.Add("x")
			_, one := client.Conversation(t.Context(), "c1", false)
			_, two := client.CreateConversation(t.Context(), tavus.Spec{PAL: "p1"})
			_, three := client.CreatePAL(t.Context(), tavus.EchoPAL{Face: "r1"})
			for _, err := range []error{one, two, three, client.EndConversation(t.Context(), "c1")} {
				answer, ok := errors.AsType[*tavus.APIError](err)
				if !ok || !strings.Contains(answer.Body, "redacted") {
					t.Fatalf("%d: %v", code, err)
				}
				noCanary(t, "an error", fmt.Sprintf("%v %+v %#v %#v", err, err, err, answer))
			}
		})
	}
}

// The same holds for a service that does not answer in HTTP.
func TestKeyInBrokenAnswersIsHidden(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			fmt.Fprintf(conn, "HTTP/1.1 %s what\r\n\r\n", r.Header.Get("X-Api-Key"))
			conn.Close()
		}
	}))
	defer server.Close()
	client := &tavus.Client{Key: newKey(t), BaseURL: server.URL}
	_, err := client.CreateConversation(testwait.Context(t), tavus.Spec{PAL: "p1"})
	if _, ok := errors.AsType[*tavus.TransportError](err); !ok || !strings.Contains(err.Error(), "redacted") {
		t.Errorf("%v", err)
	}
	noCanary(t, "an error", fmt.Sprintf("%v %+v %#v %v", err, err, err, errors.Unwrap(err)))
}

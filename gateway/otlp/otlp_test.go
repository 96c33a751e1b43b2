package otlp

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"echocast/gateway"
	"echocast/internal/testwait"
)

// receiver is a collector of traces.
type receiver struct {
	t *testing.T

	mu    sync.Mutex
	raw   []byte
	spans []*tracepb.Span
	names []string // service.name of each request
}

func (c *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	var in collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(text, &in)
	}
	if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		c.t.Errorf("%s %s: %v", r.URL.Path, r.Header.Get("Content-Type"), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.raw = append(c.raw, text...)
	for _, resource := range in.GetResourceSpans() {
		for _, a := range resource.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				c.names = append(c.names, a.GetValue().GetStringValue())
			}
		}
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(nil) // an empty answer is a full success
}

// of returns the only span with this name and this parent.
func (c *receiver) of(name, parent string) *tracepb.Span {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []*tracepb.Span
	for _, s := range c.spans {
		if s.GetName() == name && hex.EncodeToString(s.GetParentSpanId()) == parent {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		c.t.Fatalf("there are %d spans %s below %q, among %d", len(found), name, parent, len(c.spans))
	}
	return found[0]
}

func id(s *tracepb.Span) string { return hex.EncodeToString(s.GetSpanId()) }

// textOf returns an attribute of a span, or "" if it has none or it is not text.
func textOf(s *tracepb.Span, key string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == "echocast."+key {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

func eventsOf(s *tracepb.Span) (names []string) {
	for _, e := range s.GetEvents() {
		names = append(names, e.GetName())
	}
	return names
}

// traced serves a gateway that sends its spans to a receiver. The function that it returns
// ends the gateway, after which all spans are there.
func traced(t *testing.T) (c *receiver, url string, end func()) {
	t.Helper()
	c = &receiver{t: t}
	service := httptest.NewServer(c)
	t.Cleanup(service.Close)
	warn := func(err error) { t.Error(err) }
	tracer, err := Open(t.Context(), &Options{URL: service.URL + "/", Version: "1.0", Warn: warn})
	if err != nil {
		t.Fatal(err)
	}
	g := gateway.New(&gateway.Options{Rehearse: true, MaxLateness: testwait.Limit, Tracer: tracer})
	server := httptest.NewServer(g.Handler())
	return c, server.URL + "/v1/conversations", func() {
		g.Close(context.WithoutCancel(t.Context()))
		server.Close()
		http.DefaultClient.CloseIdleConnections()
		if err := tracer.Close(); err != nil {
			t.Error(err)
		}
	}
}

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	mine    = "00f067aa0ba902b7" // the span of the program that asks
)

// ask makes a request as a child of the span mine, if isTraced is set, and decodes the answer.
func ask(t *testing.T, method, url, body string, isTraced bool, into any) {
	t.Helper()
	r, err := http.NewRequestWithContext(testwait.Context(t), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if isTraced {
		r.Header.Set("Traceparent", "00-"+traceID+"-"+mine+"-01")
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil || answer.StatusCode >= http.StatusBadRequest {
		t.Fatalf("%s %s: %s, %v", method, url, answer.Status, err)
	}
}

// A conversation, and each upload, utterance and interrupt in it, is a span: a child of the
// request's span, or of the conversation's if the request names none. Spans hold nothing that
// was said, and no secret.
func TestSpans(t *testing.T) {
	c, url, end := traced(t)
	var conversation struct{ ID, Token string }
	ask(t, "POST", url, `{"label":"a private label"}`, true, &conversation)
	one := url + "/" + conversation.ID
	const raw = "/speech?format=s16le&rate=24000&name=a+private+name&text=private+words"
	const samples = "\x00\x11\x00\x22\x00\x33\x00\x44" // silence would look like an attribute that is 0
	sound := strings.Repeat(samples, 600)
	var first, second struct{ Utterance string }
	ask(t, "POST", one+raw, sound, true, &first)
	ask(t, "POST", one+raw, sound, false, &second)
	ask(t, "POST", one+"/interrupt", "", true, &struct{}{})
	ask(t, "POST", one+"/say", `{"text":"more private words"}`, false, &struct{}{})
	end()

	whole := c.of("conversation", mine)
	for _, test := range []struct{ span, parent, utterance string }{
		{"upload", mine, first.Utterance}, {"upload", id(whole), second.Utterance},
	} {
		upload := c.of(test.span, test.parent)
		u := c.of("utterance", id(upload))
		if textOf(u, "utterance") != test.utterance || textOf(u, "outcome") != "finished" {
			t.Errorf("the utterance %s is %v", test.utterance, u.GetAttributes())
		}
		if got := eventsOf(u); !slices.Equal(got, []string{"sent", "first_audio", "heard"}) &&
			!slices.Equal(got, []string{"first_audio", "sent", "heard"}) {
			t.Errorf("the events of an utterance are %v", got)
		}
	}
	said := c.of("utterance", id(whole))
	interrupt := c.of("interrupt", mine)
	for _, s := range []*tracepb.Span{whole, said, interrupt} {
		if hex.EncodeToString(s.GetTraceId()) != traceID || textOf(s, "conversation") != conversation.ID ||
			s.GetEndTimeUnixNano() < s.GetStartTimeUnixNano() || s.GetStatus().GetMessage() != "" {
			t.Errorf("the span %s is %v", s.GetName(), s)
		}
	}
	for _, secret := range []string{"private", conversation.Token, samples} {
		if bytes.Contains(c.raw, []byte(secret)) {
			t.Errorf("the spans hold %q", secret)
		}
	}
	if got := slices.Compact(c.names); !slices.Equal(got, []string{"echocast"}) {
		t.Errorf("the service is %q", c.names)
	}
}

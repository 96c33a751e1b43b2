package doctor

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"echocast/echo"
	"echocast/internal/text"
	"echocast/room"
	"echocast/room/rest"
	"echocast/tavus"
)

// liveSeconds is the length of the silence that a live check speaks: a few chunks at little
// cost.
const liveSeconds = 2

// LiveReport holds the measurements of a live check. It contains no key and no id.
type LiveReport struct {
	JoinedAfter time.Duration // from the creation until the replica had joined
	Requests    []LiveRequest
	Receipt     echo.Receipt
}

// LiveRequest is one sent message.
type LiveRequest struct {
	Status   string // HTTP status; empty if there was no answer
	Protocol string // such as HTTP/2.0
	Took     time.Duration
	Rate     []string // headers about rate limits, in order
}

// Live creates a conversation, which costs money. It speaks a short silence in it over
// REST, interrupts it, and ends the conversation. If there is an error, it still returns
// the report so far.
func Live(ctx context.Context, client *tavus.Client, spec tavus.Spec) (report *LiveReport, err error) {
	report = &LiveReport{}
	conversation, err := tavus.Open(ctx, client, spec)
	if err != nil {
		return report, err
	}
	defer func() { err = cmp.Or(err, conversation.Close(ctx)) }()
	created := time.Now()
	measured := *client
	measuring := &meter{base: http.DefaultTransport}
	if client.HTTP != nil && client.HTTP.Transport != nil {
		measuring.base = client.HTTP.Transport
	}
	measured.HTTP = &http.Client{Transport: measuring}
	defer func() { report.Requests = measuring.requests() }()
	joined, err := room.Join(ctx, rest.Scheme+":"+conversation.ID,
		&room.Options{Backend: &rest.Backend{Client: &measured}})
	if err != nil {
		return report, err
	}
	defer joined.Close()
	session, err := echo.NewSession(joined.Stage(), &echo.Options{SendTimeout: rest.SendTimeout})
	if err != nil {
		return report, err
	}
	defer session.Close()
	if err := session.WaitReady(ctx); err != nil {
		return report, err
	}
	report.JoinedAfter = time.Since(created)
	report.Receipt, err = session.Speak(ctx, echo.Speech{Samples: &silence{liveSeconds * echo.DefaultRate}})
	return report, cmp.Or(err, session.Send(ctx, echo.Interrupt{}))
}

// silence is a source of silent samples.
type silence struct{ left int }

func (s *silence) ReadSamples(p []float32) (int, error) {
	n := min(len(p), s.left)
	if n == 0 {
		return 0, io.EOF
	}
	clear(p[:n])
	s.left -= n
	return n, nil
}

// meter measures the messages that are sent over HTTP.
type meter struct {
	base http.RoundTripper

	mu  sync.Mutex
	all []LiveRequest
}

// RoundTrip implements http.RoundTripper.
func (m *meter) RoundTrip(r *http.Request) (*http.Response, error) {
	start := time.Now()
	response, err := m.base.RoundTrip(r)
	if !strings.HasSuffix(r.URL.Path, "/send-app-message") {
		return response, err
	}
	request := LiveRequest{Took: time.Since(start)}
	if err == nil {
		request.Status, request.Protocol = response.Status, response.Proto
		request.Rate = rateHeaders(response.Header)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, request)
	return response, err
}

func (m *meter) requests() []LiveRequest {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.all)
}

// rateHeaders returns the headers about rate limits.
func rateHeaders(h http.Header) (lines []string) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		plain := strings.ReplaceAll(strings.ToLower(name), "-", "")
		if strings.Contains(plain, "ratelimit") || plain == "retryafter" {
			lines = append(lines, text.OneLine(strings.ToLower(name)+": "+strings.Join(h[name], ", ")))
		}
	}
	return lines
}

// String returns the report as lines to copy.
func (r *LiveReport) String() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if r.JoinedAfter > 0 {
		line("the replica joined %.1f s after the conversation was created", r.JoinedAfter.Seconds())
	}
	line("%s sent:", text.Count(len(r.Requests), "message"))
	var took []time.Duration
	rates := map[string]bool{}
	for _, request := range r.Requests {
		line("  %-28s %-8s %5d ms", cmp.Or(request.Status, "no answer"), request.Protocol, request.Took.Milliseconds())
		took = append(took, request.Took)
		for _, rate := range request.Rate {
			rates[rate] = true
		}
	}
	if slices.Sort(took); len(took) > 0 {
		line("latency: %d to %d ms, median %d ms", took[0].Milliseconds(), took[len(took)-1].Milliseconds(),
			took[len(took)/2].Milliseconds())
	}
	if len(rates) == 0 {
		line("headers about the rate: none")
	}
	for _, rate := range slices.Sorted(maps.Keys(rates)) {
		line("header %s", rate)
	}
	line("receipt: %s, %.3f s acknowledged, spoken by the %s", cmp.Or(string(r.Receipt.Outcome), "none"),
		float64(max(r.Receipt.AcknowledgedSamples, 0))/echo.DefaultRate, cmp.Or(r.Receipt.SpokenBy, "clock"))
	return b.String()
}

package doctor_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"echocast/doctor"
	"echocast/tavus"
	"echocast/tavus/tavustest"
)

const apiKey = "canary-key-5f0c1d"

// A live check creates a conversation, measures each request in it, and ends it. The report is
// for publication, so it contains no key and no ids.
func TestLive(t *testing.T) {
	for name, c := range map[string]struct {
		fault *tavustest.Fault
		wants []string
		fails bool
	}{
		"all is well": {nil, []string{"joined 3.", "200 OK", "latency: 180 to 180 ms", "headers about the rate: none",
			"receipt: sent, 2.000 s acknowledged"}, false},
		"rate headers": {&tavustest.Fault{Status: 429, Times: 1, Header: http.Header{"X-Ratelimit-Limit": {"120"},
			"Retry-After": {"2"}}}, []string{"429 Too Many Requests", "header x-ratelimit-limit: 120", "header retry-after: 2"},
			false},
		"it is refused": {&tavustest.Fault{Status: 403, Body: `{"error":"no"}`},
			[]string{"403 Forbidden", "receipt: interrupted, 0.300 s acknowledged"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := &tavustest.Server{Key: apiKey}
				server.AppMessages = tavustest.AppMessages{JoinDelay: 3 * time.Second,
					Latency: func() time.Duration { return 180 * time.Millisecond }}
				key, err := tavus.NewKey(apiKey)
				if err != nil {
					t.Fatal(err)
				}
				if c.fault != nil {
					c.fault.Path, c.fault.Skip = "/v2/conversations/c0ffee0000000001/send", 1
					server.Fail(*c.fault)
				}
				client := &tavus.Client{Key: key, BaseURL: "http://127.0.0.1", HTTP: server.Client()}
				report, err := doctor.Live(t.Context(), client, tavus.Spec{PAL: "p123", Name: "n", StateDir: t.TempDir()})
				if (err != nil) != c.fails {
					t.Error(err)
				}
				for _, want := range c.wants {
					if !strings.Contains(report.String(), want) {
						t.Errorf("%q is not in:\n%s", want, report)
					}
				}
				if strings.Contains(report.String(), apiKey) || strings.Contains(report.String(), "c0ffee") ||
					strings.Contains(report.String(), "p123") {
					t.Errorf("a key or an id is in:\n%s", report)
				}
				heard := server.Close()
				if open := server.Open(); len(open) != 0 || len(heard) != 1 {
					t.Errorf("still open: %v; heard %v", open, heard)
				}
			})
		})
	}
}

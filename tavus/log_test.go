package tavus_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"echocast/logs"
	"echocast/tavus/tavustest"
)

// Requests and retries are logged with their status, and never with the key.
func TestRequestsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var server tavustest.Server
		client := inMemory(t, &server)
		server.Fail(tavustest.Fault{Status: 503, Body: "no, " + canary, Times: 1})
		var log bytes.Buffer
		ctx := logs.Into(t.Context(), slog.New(slog.NewTextHandler(&log, nil)))
		if _, err := client.Conversation(ctx, "c1", false); err == nil {
			t.Error("there is a conversation")
		}
		for _, want := range []string{"method=GET path=/v2/conversations/c1 status=503", "is made again",
			"status=400", "took="} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log does not say %q:\n%s", want, log.String())
			}
		}
		if strings.Contains(log.String(), "canary") {
			t.Errorf("the log shows the key:\n%s", log.String())
		}
	})
}

package rtc

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"echocast/internal/testwait"
	"echocast/logs"
)

// logBuffer keeps a log that several goroutines write.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: level}))
}

func (l *logBuffer) check(t *testing.T, wants ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, want := range wants {
		if !strings.Contains(l.b.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, l.b.String())
		}
	}
}

// Both ends log the progress of a connection, and why it ended.
func TestLog(t *testing.T) {
	var dialing, listening logBuffer
	l := listen(t, &Options{Log: listening.logger(slog.LevelInfo)})
	ctx := logs.Into(testwait.Context(t), dialing.logger(slog.LevelDebug))
	dialer, err := Dial(ctx, l.URL(), patient(nil))
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := accepted.Close(); err != nil {
		t.Error(err)
	}
	if _, err := dialer.Receive(ctx); err == nil {
		t.Error("a message came")
	}
	_ = dialer.Close()
	dialing.check(t, `msg="ICE candidate of this side"`, `msg="offer answered"`, "status=201", `msg="ICE path"`,
		"msg=DTLS", "state=connected", `msg="data channel open"`, "label=echocast",
		`msg="connection ended"`, "the peer has closed", "level=DEBUG", `by="pion ice"`)
	listening.check(t, "msg=offer", "answered=true", "state=connected", `msg="data channel open"`)
	if strings.Contains(listening.b.String(), "pion") {
		t.Error("pion speaks below the level of debug")
	}
}

// The log has the reason for a failed connection.
func TestLogOfFailure(t *testing.T) {
	var log logBuffer
	if _, err := Dial(testwait.Context(t), "http://127.0.0.1:1/", &Options{Log: log.logger(slog.LevelInfo)}); err == nil {
		t.Fatal("something answered")
	}
	log.check(t, `msg="sending an offer"`, `msg="no connection"`, "refused")
}

//go:build unix

package listen

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"echocast/echo"
)

// executed runs a command for events, and returns what was sent and what was
// reported.
func executed(t *testing.T, o ExecOptions, calls ...string) (sent, warned []string) {
	t.Helper()
	var mu sync.Mutex
	keep := func(to *[]string) Report {
		return func(format string, args ...any) {
			mu.Lock()
			defer mu.Unlock()
			*to = append(*to, fmt.Sprintf(format, args...))
		}
	}
	o.Stderr, o.Say, o.Warn = io.Discard, func(string, ...any) {}, keep(&warned)
	o.Send = func(_ context.Context, msg echo.Message) error {
		text, err := msg.AppendTo(nil, "c1")
		keep(&sent)("%s", text)
		return err
	}
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	o.Linger = time.Minute
	e := NewExecutor(o)
	for _, id := range calls {
		e.add(echo.Event{Kind: echo.KindToolCall, ToolCall: &echo.ToolCall{ID: id}}, []byte(`{"id":"`+id+`"}`))
	}
	e.Close()
	return sent, warned
}

const result = `{"event_type":"conversation.tool_result","properties":{"tool_call_id":"x"}}`

// Two commands that wait for each other end if two may run at the same time.
func TestExecJobs(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	line := "if grep -q first; then cat '" + fifo + "'; else echo '" + result + "' >'" + fifo + "'; fi"
	sent, warned := executed(t, ExecOptions{Line: line, Jobs: 2}, "first", "second")
	if len(sent) != 1 || !strings.Contains(sent[0], `"tool_call_id":"x"`) || len(warned) != 0 {
		t.Errorf("sent %q, warned %q", sent, warned)
	}
}

// The result is sent even if a leftover process of the command keeps its output open.
func TestExecResultDespiteLeftoverProcess(t *testing.T) {
	sent, warned := executed(t, ExecOptions{Line: "sleep 600 & echo '" + result + "'"}, "a")
	if len(sent) != 1 || len(warned) != 0 {
		t.Errorf("sent %q, warned %q", sent, warned)
	}
}

func TestExecErrors(t *testing.T) {
	for line, want := range map[string]string{
		"exit 3":         "the command failed: exit status 3",
		"exec sleep 600": "the command took longer than 100ms",
	} {
		o := ExecOptions{Line: line, SendErrors: true, Timeout: time.Minute}
		if strings.Contains(line, "sleep") {
			o.Timeout = 100 * time.Millisecond
		}
		sent, warned := executed(t, o, "a")
		if len(sent) != 1 || !strings.Contains(sent[0], `"tool_call_id":"a"`) ||
			!strings.Contains(sent[0], `"status":"error"`) || !strings.Contains(sent[0], want) {
			t.Errorf("%s: sent %q, warned %q", line, sent, warned)
		}
		o.SendErrors = false
		if sent, warned = executed(t, o, "a"); len(sent) != 0 || len(warned) != 1 {
			t.Errorf("%s: sent %q, warned %q", line, sent, warned)
		}
	}
}

//go:build unix

package cli

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"syscall"
	"testing"

	"echocast/echo"
	"echocast/internal/shutdown"
	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/rtc"
)

// endless returns a text-to-speech command that never ends, and starts other processes. gone
// is closed when all of them have ended.
func endless(t *testing.T) (command string, gone <-chan struct{}) {
	t.Helper()
	hold, gone := testwait.Holder(t)
	return hold + "sleep 600 & while :; do cat ../testdata/speech.wav; done", gone
}

// runConverse runs the command until it ends, and returns its output.
func runConverse(ctx context.Context, url string, arguments ...string) (code int, stdout, stderr string) {
	all := append([]string{"converse", "--to", url, "--json", "--on-utterance", "cat"}, arguments...)
	return run(ctx, all...)
}

// onlyReceipt returns the receipt of the only answer.
func onlyReceipt(t *testing.T, stdout string) echo.Receipt {
	t.Helper()
	receipts := receiptsOf(t, stdout)
	if len(receipts) != 1 {
		t.Fatalf("%d receipts: %s", len(receipts), stdout)
	}
	return receipts[0]
}

// When the user interrupts, the voice command and all its processes are killed. The
// conversation continues until Ctrl-C.
func TestConverseKillsVoiceCommand(t *testing.T) {
	url, ended := scripted(testwait.Context(t), t, replica.Options{}, userSays("", "i1", "Hello?"), userBegins)
	tts, gone := endless(t)
	ctx, cancel := context.WithCancelCause(testwait.Context(t))
	defer cancel(nil)
	go func() {
		if !testwait.Came(t, gone) {
			return
		}
		cancel(shutdown.SignalError{Signal: syscall.SIGINT})
	}()
	code, stdout, stderr := runConverse(ctx, url, "--false-interrupt", "0", "--tts", tts)
	report := ended()
	receipt := onlyReceipt(t, stdout)
	if code != 0 || receipt.Outcome != echo.Interrupted || receipt.SpokenBy != echo.ByEvent ||
		!strings.Contains(receipt.Error, "user") {
		t.Errorf("code %d, %+v, %s", code, receipt, stderr)
	}
	if len(report.Interrupts) != 1 || report.Utterances[0].Done || report.ComplaintCount != 0 {
		t.Errorf("the replica got %+v, %+v and complains of %+v", report.Interrupts, report.Utterances, report.Complaints)
	}
}

// Ctrl-C in the middle of an answer interrupts the replica and ends the voice command.
func TestConverseCtrlCDuringAnswer(t *testing.T) {
	ctx, cancel := context.WithCancelCause(testwait.Context(t))
	defer cancel(nil)
	url, ended := scripted(testwait.Context(t), t, replica.Options{OnEvent: func(e replica.Event) {
		if e.Kind == replica.EventStarted {
			cancel(shutdown.SignalError{Signal: syscall.SIGINT})
		}
	}}, userSays("", "i1", "Hello?"))
	tts, gone := endless(t)
	code, stdout, stderr := runConverse(ctx, url, "--false-interrupt", "0", "--tts", tts)
	report := ended()
	testwait.Receive(t, gone)
	if receipt := onlyReceipt(t, stdout); code != 0 || receipt.Outcome != echo.Interrupted ||
		receipt.SpokenBy != echo.ByEvent {
		t.Errorf("code %d, %+v, %s", code, receipt, stderr)
	}
	if len(report.Interrupts) != 1 || report.Utterances[0].Done || report.ComplaintCount != 0 {
		t.Errorf("the replica got %+v, %+v and complains of %+v", report.Interrupts, report.Utterances, report.Complaints)
	}
}

// A connection that is lost in the middle of an answer, and cannot be restored, ends the
// conversation with its exit code.
func TestConverseConnectionLost(t *testing.T) {
	t.Parallel()
	listener, err := rtc.Listen("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	script, err := replica.ParseScript(bytes.NewReader([]byte(userSays("", "i1", "Hello?"))))
	if err != nil {
		t.Fatal(err)
	}
	var playing sync.WaitGroup
	playing.Go(func() {
		defer listener.Close()
		conn, err := listener.Accept(testwait.Context(t))
		if err != nil {
			t.Error(err)
			return
		}
		_ = listener.Close() // nobody comes a second time
		_, _ = replica.New(conn, &replica.Options{Script: script, Faults: replica.Faults{DieAfter: 20},
			Die: func() { _ = conn.Close() }}).Run(testwait.Context(t))
		_ = conn.Close()
	})
	tts, gone := endless(t)
	code, stdout, stderr := runConverse(testwait.Context(t), listener.URL(), "--tts", tts, "--reconnect-timeout", "1s")
	playing.Wait()
	testwait.Receive(t, gone)
	if receipt := onlyReceipt(t, stdout); code != exitNotRejoined || receipt.Outcome != echo.Failed ||
		receipt.Samples == 0 {
		t.Errorf("code %d, %+v, %s", code, receipt, stderr)
	}
}

//go:build unix

package examples

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"echocast/internal/testenv"
	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/rtc/daily/dailytest"
)

// echocast is the program that the examples run.
var echocast string

func TestMain(m *testing.M) {
	testenv.Isolate()
	os.Setenv("ECHOCAST_LOST_AFTER", "1m") // a busy machine stands still for longer than the usual 3 s
	folder, err := os.MkdirTemp("", "examples")
	if err == nil {
		echocast = filepath.Join(folder, "echocast")
		err = exec.Command("go", "build", "-trimpath", "-tags", "urfave_cli_no_docs", "-o", echocast, "..").Run()
	}
	if err != nil {
		panic(err)
	}
	testwait.RunAndFindLeaks(m, func() { _ = os.RemoveAll(folder) })
}

// need skips a test if something is missing, or fails it if ECHOCAST_REQUIRE_BROWSER is set.
func need(t *testing.T, missing error) {
	t.Helper()
	switch {
	case missing == nil:
	case os.Getenv("ECHOCAST_REQUIRE_BROWSER") != "":
		t.Fatalf("%v (make browser installs what is missing)", missing)
	default:
		t.Skipf("NOT TESTED: %v (make browser installs what is missing)", missing)
	}
}

// testRoom is a Daily room, and a replica that may join it.
type testRoom struct {
	*dailytest.Room
	t       *testing.T
	options replica.Options

	seat   *dailytest.Participant
	cancel context.CancelFunc
	ended  sync.WaitGroup
	report replica.Report

	over chan struct{} // holds one when an utterance has ended

	mu    sync.Mutex
	heard []string // the messages that came to the replica
	came  chan struct{}
}

// newTestRoom opens a room without a replica.
func newTestRoom(t *testing.T, room dailytest.Options, options replica.Options) *testRoom {
	t.Helper()
	s := &testRoom{t: t, options: options, over: make(chan struct{}, 10), came: make(chan struct{})}
	s.options.OnUtterance = func(replica.Utterance) { s.over <- struct{}{} }
	room.Viewers = true
	var err error
	if s.Room, err = dailytest.NewRoom(room); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.end()
		s.Close()
		for _, complaint := range s.Complaints() {
			t.Errorf("the room complains: %s", complaint)
		}
	})
	return s
}

// callReplica lets the replica in.
func (s *testRoom) callReplica() {
	s.seat = s.Enter("Ann", "tavus-replica-1")
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(s.t.Context())
	s.ended.Go(func() { s.report, _ = replica.New(s, &s.options).Run(ctx) })
}

// end ends the replica's part, if it had any, and returns what it says of it.
func (s *testRoom) end() replica.Report {
	if s.seat == nil {
		return s.report
	}
	s.cancel()
	s.ended.Wait()
	s.seat.Leave()
	s.seat = nil
	for _, complaint := range s.report.Complaints {
		s.t.Errorf("the replica complains: %s", complaint.Text)
	}
	return s.report
}

func (s *testRoom) Send(ctx context.Context, msg []byte) error { return s.seat.Send(ctx, msg) }

// Receive keeps what the replica receives.
func (s *testRoom) Receive(ctx context.Context) ([]byte, error) {
	msg, err := s.seat.Receive(ctx)
	if err == nil {
		s.mu.Lock()
		s.heard = append(s.heard, string(msg))
		close(s.came)
		s.came = make(chan struct{})
		s.mu.Unlock()
	}
	return msg, err
}

// messages returns the messages that the replica has received, and a channel that is closed when
// the next one arrives.
func (s *testRoom) messages() ([]string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.heard), s.came
}

// await waits for n messages.
func (s *testRoom) await(ctx context.Context, n int) []string {
	s.t.Helper()
	for {
		messages, more := s.messages()
		if len(messages) >= n {
			return messages
		}
		select {
		case <-more:
		case <-ctx.Done():
			s.t.Fatalf("%d messages came, not %d", len(messages), n)
		}
	}
}

// awaitEnd waits until an utterance has ended.
func (s *testRoom) awaitEnd() {
	s.t.Helper()
	select {
	case <-s.over:
	case <-time.After(testwait.Limit):
		s.t.Error("the utterance neither ends nor is interrupted")
	}
}

// written is what a command wrote to a file, in lines. It waits for n of them: tee writes to the
// page first.
func written(t *testing.T, file string, n int) []string {
	t.Helper()
	for ctx := testwait.Context(t); ; time.Sleep(10 * time.Millisecond) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(string(text), "\n") >= n || ctx.Err() != nil {
			return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		}
	}
}

// checkHeard compares what came to the replica with the lines of echocast, and
// sees that one utterance was said to its end.
func (s *testRoom) checkHeard(lines []string) {
	s.t.Helper()
	s.awaitEnd()
	report := s.end()
	heard, _ := s.messages()
	if !slices.Equal(heard, lines) {
		s.t.Errorf("%d messages were heard and %d written, and they are not the same", len(heard), len(lines))
	}
	if done := strings.Count(strings.Join(heard, ""), `"done":true`); done != 1 {
		s.t.Errorf("done was said %d times", done)
	}
	if len(report.Utterances) != 1 || !report.Utterances[0].Done || report.Utterances[0].Interrupted ||
		report.Utterances[0].PlayedSamples != report.Samples {
		s.t.Errorf("the replica says: %+v", report.Utterances)
	}
}

// checkInterrupted sees that the last message of an utterance that was begun is
// an interrupt, and that nothing says done.
func (s *testRoom) checkInterrupted() {
	s.t.Helper()
	s.awaitEnd()
	report := s.end()
	heard, _ := s.messages()
	if len(report.Utterances) != 1 || report.Utterances[0].Done || !report.Utterances[0].Interrupted ||
		len(report.Interrupts) != 1 {
		s.t.Errorf("the replica says: %+v, %+v", report.Utterances, report.Interrupts)
	}
	if len(heard) == 0 || eventType(heard[len(heard)-1]) != "conversation.interrupt" {
		s.t.Errorf("the last of %d messages is no interrupt", len(heard))
	}
}

func eventType(message string) string {
	var m struct {
		EventType string `json:"event_type"`
	}
	_ = json.Unmarshal([]byte(message), &m)
	return m.EventType
}

// where is a program, or an error that says that it is missing.
func where(names ...string) error {
	for _, name := range names {
		if _, err := exec.LookPath(name); err == nil {
			return nil
		}
	}
	return errors.New("no " + names[0] + " in the PATH")
}

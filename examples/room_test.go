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

	"go.uber.org/goleak"

	"echocast/internal/testenv"
	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/rtc/daily/dailytest"
)

// echocast is the program that the examples run.
var echocast string

func TestMain(m *testing.M) {
	testenv.Isolate()
	folder, err := os.MkdirTemp("", "examples")
	if err == nil {
		echocast = filepath.Join(folder, "echocast")
		err = exec.Command("go", "build", "-o", echocast, "..").Run()
	}
	if err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(folder)
		os.Exit(code)
	}))
}

// need skips a test, or fails it where that is demanded, without what it needs.
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

// scene is a Daily room, and a replica that may come into it.
type scene struct {
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

// newScene opens a room without a replica.
func newScene(t *testing.T, room dailytest.Options, options replica.Options) *scene {
	t.Helper()
	s := &scene{t: t, options: options, over: make(chan struct{}, 10), came: make(chan struct{})}
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
func (s *scene) callReplica() {
	s.seat = s.Enter("Ann", "tavus-replica-1")
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(s.t.Context())
	s.ended.Go(func() { s.report, _ = replica.New(s, &s.options).Run(ctx) })
}

// end ends the replica's part, if it had any, and returns what it says of it.
func (s *scene) end() replica.Report {
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

func (s *scene) Send(ctx context.Context, msg []byte) error { return s.seat.Send(ctx, msg) }

// Receive keeps what the replica receives.
func (s *scene) Receive(ctx context.Context) ([]byte, error) {
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

// messages are those that came to the replica so far, and a channel that is
// closed when the next one comes.
func (s *scene) messages() ([]string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.heard), s.came
}

// await waits for so many messages.
func (s *scene) await(ctx context.Context, n int) []string {
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
func (s *scene) awaitEnd() {
	s.t.Helper()
	select {
	case <-s.over:
	case <-time.After(testwait.Limit):
		s.t.Error("the utterance neither ends nor is interrupted")
	}
}

// written is what a command wrote to a file, in lines.
func written(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// checkHeard compares what came to the replica with the lines of echocast, and
// sees that one utterance was said to its end.
func (s *scene) checkHeard(lines []string) {
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
func (s *scene) checkInterrupted() {
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

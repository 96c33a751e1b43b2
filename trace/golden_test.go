package trace

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"echocast/echo"
	"echocast/replica"
)

var update = flag.Bool("update", false, "record testdata/trace again")

const golden = "../testdata/trace/session.ndjson"

// link is a connection to a stand-in replica, slow in places, which can be cut.
type link struct {
	out, in chan []byte
	cut     chan struct{}
	once    sync.Once
	delay   func(n int) time.Duration // before message n is accepted
	sent    int
}

var errCut = errors.New("cut")

func newLink() *link {
	return &link{out: make(chan []byte, 1000), in: make(chan []byte, 1000), cut: make(chan struct{}),
		delay: func(int) time.Duration { return 0 }}
}

func (l *link) Send(ctx context.Context, msg []byte) error {
	time.Sleep(l.delay(l.sent))
	l.sent++
	select {
	case <-l.cut:
		return errCut
	case l.out <- bytes.Clone(msg):
		return nil
	}
}

func (l *link) Receive(ctx context.Context) ([]byte, error) { return receive(ctx, l.in, l.cut, errCut) }

func (l *link) close() { l.once.Do(func() { close(l.cut) }) }

// farEnd is the replica's end.
type farEnd struct{ *link }

func (f farEnd) Send(_ context.Context, msg []byte) error {
	f.in <- bytes.Clone(msg)
	return nil
}

func (f farEnd) Receive(ctx context.Context) ([]byte, error) {
	return receive(ctx, f.out, f.cut, io.EOF)
}

func receive(ctx context.Context, from chan []byte, cut chan struct{}, gone error) ([]byte, error) {
	select {
	case msg := <-from:
		return msg, nil
	case <-cut:
		return nil, gone
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// talk is a source that sounds a little like speech, and may stall.
type talk struct {
	at, end int
	stall   func(at int) time.Duration
}

func (s *talk) ReadSamples(p []float32) (int, error) {
	if s.at >= s.end {
		return 0, io.EOF
	}
	if s.stall != nil {
		time.Sleep(s.stall(s.at))
	}
	n := min(len(p), s.end-s.at, second/10)
	for i := range n {
		t := float64(s.at+i) / second
		syllable := math.Pow(math.Abs(math.Sin(2*math.Pi*1.9*t)), 1.5) * (0.6 + 0.4*math.Sin(2*math.Pi*0.31*t))
		pause := 1.0
		if math.Mod(t, 2.3) > 1.95 {
			pause = 0.02
		}
		p[i] = float32(0.7 * syllable * pause * math.Sin(2*math.Pi*(140+30*math.Sin(2*math.Pi*0.7*t))*t))
	}
	s.at += n
	return n, nil
}

const second = 16000 // samples: little is enough here

// record runs a session that has an underrun, an interrupt, events with twins
// and a lost connection, against the stand-in replica.
func record(t *testing.T, w io.Writer) {
	l := newLink()
	random := rand.New(rand.NewPCG(1, 2))
	l.delay = func(n int) time.Duration {
		d := time.Duration(random.ExpFloat64() * float64(1500*time.Microsecond))
		if n%41 == 40 {
			d += time.Duration(random.IntN(180)) * time.Millisecond
		}
		return d
	}
	var far sync.WaitGroup
	far.Go(func() { _, _ = replica.New(farEnd{l}, nil).Run(t.Context()) })
	rec := NewRecorder(w, "echocast test")
	session, err := echo.NewSession(echo.NewMessages(rec.Conn(l), "c123", 0),
		&echo.Options{Rate: second, Observe: rec.Observe})
	if err != nil {
		t.Fatal(err)
	}
	if err := session.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	say := func(name string, seconds float64, stall func(int) time.Duration) error {
		_, err := session.Speak(t.Context(),
			echo.Speech{Name: name, Samples: &talk{end: int(seconds * second), stall: stall}})
		time.Sleep(400 * time.Millisecond)
		return err
	}
	if err := say("welcome.wav", 2, nil); err != nil {
		t.Error(err)
	}
	stalled := false
	stalls := func(at int) time.Duration {
		if at > 7*second/5 && !stalled {
			stalled = true
			return 1500 * time.Millisecond
		}
		return 35 * time.Millisecond
	}
	if err := say("a live source", 2.6, stalls); err != nil {
		t.Error(err)
	}
	var user sync.WaitGroup
	user.Go(func() {
		time.Sleep(1400 * time.Millisecond)
		l.in <- []byte(`{"event_type":"conversation.started_speaking","properties":{"role":"user"}}`)
		time.Sleep(300 * time.Millisecond)
		_ = session.Interrupt(t.Context(), nil)
		time.Sleep(500 * time.Millisecond)
		l.in <- []byte(`{"event_type":"conversation.stopped_speaking","properties":{"role":"user","duration":0.8}}`)
	})
	if err := say("the long answer.mp3", 6, nil); !errors.Is(err, echo.ErrStopped) {
		t.Error(err)
	}
	user.Wait()
	time.AfterFunc(1300*time.Millisecond, l.close)
	if err := say("cut off.wav", 2.5, nil); !errors.Is(err, echo.ErrLost) {
		t.Error(err)
	}
	_ = session.Close()
	far.Wait()
	if err := rec.Close(); err != nil {
		t.Error(err)
	}
}

func TestRecordSession(t *testing.T) {
	var trace bytes.Buffer
	synctest.Test(t, func(t *testing.T) { record(t, &trace) })
	if *update {
		if err := os.WriteFile(golden, trace.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sessions, err := Sessions(&trace)
	if err != nil || len(sessions) != 1 {
		t.Fatalf("%d sessions, %v", len(sessions), err)
	}
	checkSession(t, sessions[0])
}

// The page and the replay are tested with this trace.
func TestGoldenTrace(t *testing.T) {
	checkSession(t, goldenSession(t))
}

func goldenSession(t *testing.T) *Session {
	t.Helper()
	file, err := os.Open(golden)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sessions, err := Sessions(file)
	if err != nil || len(sessions) != 1 {
		t.Fatalf("%d sessions, %v", len(sessions), err)
	}
	return sessions[0]
}

func checkSession(t *testing.T, s *Session) {
	t.Helper()
	f := FiguresOf([]*Session{s})
	if f.Utterances != 4 || f.Outcomes != "2 heard in full, 1 failed, 1 interrupted" || f.Worst != "bad" {
		t.Errorf("%d utterances: %s, %s", f.Utterances, f.Outcomes, f.Worst)
	}
	if f.Interrupts != 1 || f.Lost != 1 || f.Chunks == 0 || len(f.Late) != f.Chunks {
		t.Errorf("%d interrupts, %d lost, %d of %d chunks with a due time", f.Interrupts, f.Lost, len(f.Late), f.Chunks)
	}
	for i, u := range s.Utterances[:2] {
		if u.Receipt == nil || u.Underruns != u.Receipt.Underruns || u.Samples != u.Receipt.Samples || u.Underruns != i {
			t.Errorf("utterance %d: %d underruns, %d samples; receipt %+v", i, u.Underruns, u.Samples, u.Receipt)
		}
	}
	if len(s.Replica) != 4 || len(s.User) != 1 || s.Out == 0 || s.In == 0 {
		t.Errorf("the replica spoke %d times, the user %d times; %d out, %d in", len(s.Replica), len(s.User), s.Out, s.In)
	}
}

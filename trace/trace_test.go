package trace

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"echocast/echo"
	"echocast/internal/redact"
	"echocast/internal/testwait"
)

func TestMain(m *testing.M) { testwait.RunAndFindLeaks(m) }

// fixedConn is a connection that delivers fixed messages.
type fixedConn struct {
	in   [][]byte
	fail error
}

func (s *fixedConn) Send(context.Context, []byte) error {
	time.Sleep(2 * time.Millisecond)
	return s.fail
}

func (s *fixedConn) Receive(context.Context) ([]byte, error) {
	if len(s.in) == 0 {
		return nil, errors.New(`dial "wss://me:secret@room.example/x?t=secret": gone`)
	}
	msg := s.in[0]
	s.in = s.in[1:]
	return msg, nil
}

func entries(t *testing.T, r io.Reader) (all []Entry) {
	t.Helper()
	for e, err := range Read(r) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// What is read equals what was recorded.
func TestRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var file bytes.Buffer
		rec := NewRecorder(&file, "echocast 1.2.3")
		begin := time.Now()
		conn := rec.Conn(&fixedConn{in: [][]byte{[]byte(`{"event_type": "a<b>&c", "n": 1.50}`), []byte("not json\n")}})
		time.Sleep(1500 * time.Microsecond)
		if err := conn.Send(t.Context(), []byte(`{"x":[1,2]}`)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_, _ = conn.Receive(t.Context())
		}
		event := echo.Event{Kind: echo.StoppedSpeaking, Type: "conversation.stopped_speaking", Role: echo.RolePal,
			InferenceID: "e", Seq: 7, Turn: 2, Interrupted: true, Duration: 1500 * time.Millisecond}
		receipt := echo.Receipt{InferenceID: "u", Outcome: echo.Failed, Samples: 1200,
			Error: "get https://a.example/b?key=secret: no"}
		pcm := make([]float32, 1200)
		pcm[0], pcm[1199] = -1, 0.5
		for _, m := range []echo.Moment{
			{Kind: echo.MomentBegin, At: begin.Add(time.Second), InferenceID: "u", Text: "a.wav", Rate: 24000},
			{Kind: echo.MomentInput, At: begin.Add(time.Second), InferenceID: "u", Position: 5, Samples: 6},
			{Kind: echo.MomentChunk, At: begin.Add(1250001 * time.Microsecond), Due: begin.Add(1250 * time.Millisecond),
				InferenceID: "u", Samples: 1200, Bytes: 3422, Last: true, PCM: pcm},
			{Kind: echo.MomentEvent, At: begin.Add(2 * time.Second), InferenceID: "e", Event: &event},
			{Kind: echo.MomentReceipt, At: begin.Add(3 * time.Second), InferenceID: "u", Receipt: &receipt},
		} {
			rec.Observe(m)
		}
		if err := rec.Close(); err != nil || rec.Close() != nil {
			t.Fatal(err)
		}
		rec.Observe(echo.Moment{Kind: echo.MomentLost})
		if text := file.String(); strings.Contains(text, "secret") {
			t.Errorf("a secret is in the trace: %s", text)
		}
		got := entries(t, &file)
		receipt.Error = "get https://a.example/b no"
		want := []Entry{
			{Kind: KindStart, Format: Format, Start: begin.UTC(), Program: "echocast 1.2.3"},
			{Kind: KindOut, T: 0.0015, Accepted: new(0.0035), Message: json.RawMessage(`{"x":[1,2]}`)},
			{Kind: KindIn, T: 0.0035, Message: json.RawMessage(`{"event_type":"a<b>&c","n":1.50}`)},
			{Kind: KindIn, T: 0.0035, Data: []byte("not json\n")},
			{Kind: KindIn, T: 0.0035, Error: `dial "wss://room.example/x": gone`},
			{Kind: KindBegin, T: 1, ID: "u", Text: "a.wav", Rate: 24000},
			{Kind: KindInput, T: 1, ID: "u", Position: 5, Samples: 6},
			{Kind: KindChunk, T: 1.250001, Due: new(1.25), ID: "u", Samples: 1200, Bytes: 3422, Last: true,
				Peaks: []int{-127, 0, 0, 0, 0, 0, 0, 0, 0, 64}},
			{Kind: KindEvent, T: 2, ID: "e", Event: &Event{Kind: echo.StoppedSpeaking, Type: event.Type, Role: "pal",
				InferenceID: "e", Seq: 7, Turn: 2, Interrupted: true, Duration: new(1.5)}},
			{Kind: KindReceipt, T: 3, ID: "u", Receipt: &receipt},
		}
		if len(got) != len(want) {
			t.Fatalf("%d lines, want %d", len(got), len(want))
		}
		for i := range want {
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Errorf("line %d is\n%+v, want\n%+v", i+1, got[i], want[i])
			}
		}
	})
}

// slowDisk is a disk that accepts nothing until it is released.
type slowDisk struct {
	bytes.Buffer
	reached chan struct{} // holds one when a write waits
	open    chan struct{}
}

func (s *slowDisk) Write(p []byte) (int, error) {
	select {
	case s.reached <- struct{}{}:
	default:
	}
	<-s.open
	return s.Buffer.Write(p)
}

// A disk that hangs blocks nobody and costs limited memory; what is missing is reported.
func TestSlowDisk(t *testing.T) {
	for _, continues := range []bool{false, true} {
		recordOnSlowDisk(t, continues)
	}
}

// recordOnSlowDisk records more than may wait and, if it continues, a line after the disk is back.
func recordOnSlowDisk(t *testing.T, continues bool) {
	t.Helper()
	disk := &slowDisk{reached: make(chan struct{}, 1), open: make(chan struct{})}
	rec := NewRecorder(disk, "")
	testwait.Receive(t, disk.reached) // with the first line of a trace
	conn := rec.Conn(&fixedConn{})
	msg := append(append([]byte(`"`), bytes.Repeat([]byte("x"), 1<<20)...), '"')
	const fit, lost = mostPending >> 20, 2
	for range fit + lost {
		_ = conn.Send(t.Context(), msg)
	}
	close(disk.open)
	for ctx := testwait.Context(t); continues && rec.waiting() > 0 && ctx.Err() == nil; {
		time.Sleep(time.Millisecond)
	}
	if continues {
		rec.Observe(echo.Moment{Kind: echo.MomentConnected})
	}
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	out, missing := 0, 0
	for _, e := range entries(t, disk) {
		switch e.Kind {
		case KindOut:
			out++
		case KindGap:
			missing += e.Lines
		}
	}
	if out != fit || missing != lost {
		t.Errorf("continues %v: %d lines, %d missing, want %d and %d", continues, out, missing, fit, lost)
	}
}

func (r *Recorder) waiting() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pending.Len()
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// A full disk is reported once, at the end.
func TestFullDisk(t *testing.T) {
	rec := NewRecorder(fullDisk{}, "")
	var senders sync.WaitGroup
	conn := rec.Conn(&fixedConn{})
	for range 8 {
		senders.Go(func() {
			if err := conn.Send(t.Context(), []byte("{}")); err != nil {
				t.Error(err)
			}
		})
	}
	senders.Wait()
	if err := rec.Close(); err == nil || err.Error() != "no space left" {
		t.Errorf("Close says %v", err)
	}
}

const firstLine = `{"kind":"start","t":0,"format":"echocast-trace/1"}` + "\n"

// Damage is reported with its line; the trace of a killed process is read to its end.
func TestReadDamage(t *testing.T) {
	for _, c := range []struct {
		text    string
		entries int
		want    string // in the error; empty: none
	}{
		{"", 0, "not an echocast trace"},
		{"RIFF\x00\x00", 0, "line 1: this is not an echocast trace"},
		{"{}\n", 0, "line 1: this is not an echocast trace"},
		{`{"kind":"start","format":"echocast-trace/2"}`, 0, `"echocast-trace/2"`},
		{firstLine, 1, ""},
		{firstLine + `{"kind":"lost","t":1}`, 2, ""},
		{firstLine + `{"kind":"new","t":1,"more":{}}` + "\n", 2, ""},
		{firstLine + `{"kind":"lost","t":1}` + "\n" + `{"kind":"lo`, 2, "line 3: the last line is cut off"},
		{firstLine + "{\n{}\n", 1, "line 2: not a line of a trace"},
		{firstLine + `{"kind":"lost","t":1e300}` + "\n", 1, "line 2: a time"},
		{firstLine + `{"kind":"chunk","t":1,"samples":-1}` + "\n", 1, "line 2: a count of -1"},
		{firstLine + strings.Repeat("x", longestLine+1), 1, "line 2: longer than"},
	} {
		count, last := 0, error(nil)
		for _, err := range Read(strings.NewReader(c.text)) {
			if last = err; err == nil {
				count++
			}
		}
		if count != c.entries || (c.want == "") != (last == nil) || last != nil && !strings.Contains(last.Error(), c.want) {
			t.Errorf("%.80q: %d entries, %v", c.text, count, last)
		}
	}
}

func FuzzRead(f *testing.F) {
	data, err := os.ReadFile(golden)
	if err != nil {
		f.Fatal(err)
	}
	head := data[:bytes.IndexByte(data, '\n')+1]
	for line := range bytes.Lines(data[len(head):min(len(data), 60000)]) {
		if len(line) < 500 {
			f.Add(append(bytes.Clone(head), line...))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		sessions, err := Sessions(bytes.NewReader(data))
		if err != nil && len(sessions) == 0 {
			return
		}
		var page bytes.Buffer
		if err := (&Page{Title: "x", Sessions: sessions}).Render(&page); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(page.String(), "NaN") != strings.Contains(pageJS, "NaN") {
			t.Log("a figure is NaN") // where the trace says so in words
		}
		_ = Replay(t.Context(), Read(bytes.NewReader(data)), lostConn{}, &ReplayOptions{Burst: true})
	})
}

// lostConn is a connection that is gone.
type lostConn struct{}

func (lostConn) Send(context.Context, []byte) error      { return io.EOF }
func (lostConn) Receive(context.Context) ([]byte, error) { return nil, io.EOF }

func TestPercentile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(i + 1)
	}
	for _, c := range []struct {
		of      []float64
		p, want float64
	}{
		{hundred, 50, 50}, {hundred, 95, 95}, {hundred, 99, 99}, {hundred, 100, 100}, {hundred, 99.9, 100}, {hundred, 0, 1},
		{hundred[:20], 95, 19}, {[]float64{3}, 50, 3}, {[]float64{1, 2}, 50, 1}, {[]float64{1, 2, 3}, 50, 2},
	} {
		if got := Percentile(c.of, c.p); got != c.want {
			t.Errorf("p%g of %d values is %g, want %g", c.p, len(c.of), got, c.want)
		}
	}
	if got := Percentile(nil, 50); got == got {
		t.Errorf("p50 of nothing is %g", got)
	}
}

// The trace of a killed process shows everything but its last line.
func TestKilled(t *testing.T) {
	data, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut.ndjson")
	if err := os.WriteFile(cut, data[:len(data)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(cut)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sessions, err := Sessions(file)
	if err != nil || len(sessions) != 1 || !sessions[0].Cut || len(sessions[0].Chunks) < 50 {
		t.Errorf("%d sessions, %v", len(sessions), err)
	}
}

// A secret that the other side repeats, in a message or an error, is not recorded; sent
// messages stay unchanged.
func TestRecorderRedacts(t *testing.T) {
	var file bytes.Buffer
	rec := NewRecorder(&file, "")
	rec.Redact = redact.New("hunter2&more").Text
	conn := rec.Conn(&fixedConn{in: [][]byte{[]byte(`{"event_type":"x","said":"hunter2&more"}`),
		[]byte("not json: hunter2&more")}})
	if err := conn.Send(t.Context(), []byte(`{"text":"hunter2"}`)); err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Receive(t.Context())
	_, _ = conn.Receive(t.Context())
	rec.Observe(echo.Moment{Kind: echo.MomentLost, Text: "refused: Bearer hunter2\u0026more"})
	rec.Observe(echo.Moment{Kind: echo.MomentReceipt, Receipt: &echo.Receipt{Error: "key=hunter2%26more"}})
	if err := rec.Close(); err != nil {
		t.Fatal(err)
	}
	got := file.String()
	if strings.Contains(strings.Replace(got, `{"text":"hunter2"}`, "", 1), "hunter2") ||
		strings.Count(got, redact.Mark) != 3 {
		t.Errorf("the trace is\n%s", got)
	}
	n := 0
	for _, err := range Read(strings.NewReader(got)) {
		if n++; err != nil {
			t.Errorf("line %d: %v", n, err)
		}
	}
	if data := base64.StdEncoding.EncodeToString([]byte("hunter2&more")); strings.Contains(got, data[4:12]) {
		t.Errorf("the secret is there in base64:\n%s", got)
	}
}

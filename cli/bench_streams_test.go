package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"echocast/internal/testwait"
)

func TestBenchStreams(t *testing.T) {
	stdout, stderr, code := runBench(testwait.Context(t), "--streams", "1, 3", "--seconds", "0.22", "--together", "--json")
	if code != 0 {
		t.Fatalf("code %d, stderr %q", code, stderr)
	}
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines:\n%s", len(lines), stdout)
	}
	for i, line := range lines {
		var r streamsResult
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if n := []int{1, 3}[i]; r.Streams != n || r.Messages != 5*n || r.Wrong != 0 || r.LateP99 < r.LateP50 || r.LateMost < r.LateP99 {
			t.Errorf("%+v: want %d streams of 5 messages, all of them right", r, n)
		}
	}
}

// The process that receives tells what has come, to the last byte.
func TestBenchReceiver(t *testing.T) {
	in, stop := io.Pipe()
	out, stdout := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- Run(testwait.Context(t), []string{"echocast", "bench", "--receive"}, Streams{In: in, Out: stdout, Err: io.Discard})
		stdout.Close()
	}()
	lines := bufio.NewReader(out)
	address, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	s := connectStream(testwait.Context(t), strings.TrimSpace(address))
	if s.err != nil {
		t.Fatal(s.err)
	}
	for _, msg := range []string{`{"properties":{"inference_id":"i1","done":false}}`, `{"properties":{"inference_id":"i1","done":true}}`} {
		if err := s.Send(testwait.Context(t), []byte(msg)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.conn.Close(); err != nil {
		t.Fatal(err)
	}
	stop.Close()
	var came received
	if err := json.NewDecoder(lines).Decode(&came); err != nil {
		t.Fatal(err)
	}
	if testwait.Receive(t, code) != 0 || len(came.Streams) != 1 {
		t.Fatalf("received %+v", came)
	}
	if got := came.Streams[0]; got.ID != "i1" || got.Messages != 2 || got.Done != 1 || got.Sum != s.tally.Sum {
		t.Errorf("received %+v, sent %+v", got, s.tally)
	}
}

func TestStreamTallyCountsUnderruns(t *testing.T) {
	var tally streamTally
	start := time.Unix(100, 0)
	for _, ms := range []int{0, 10, 99, 149, 201, 252} { // each message plays 50 ms
		tally.add([]byte("x"), start.Add(time.Duration(ms)*time.Millisecond))
	}
	if tally.Underruns != 2 { // at 201, and at 252, since all was played at 251
		t.Errorf("%d underruns, want 2", tally.Underruns)
	}
}

func TestStreamsAreJudged(t *testing.T) {
	right := streamTally{ID: "a", Messages: 2, Done: 1, Sum: 7}
	for name, c := range map[string]struct {
		came streamTally
		late time.Duration
		good bool
	}{
		"right":       {right, 5 * time.Millisecond, true},
		"late":        {right, 6 * time.Millisecond, false},
		"lost":        {streamTally{ID: "a", Messages: 1, Done: 1, Sum: 7}, 0, false},
		"disordered":  {streamTally{ID: "a", Messages: 2, Done: 1, Sum: 8}, 0, false},
		"without end": {streamTally{ID: "a", Messages: 2, Sum: 7}, 0, false},
		"starved":     {streamTally{ID: "a", Messages: 2, Done: 1, Sum: 7, Underruns: 1}, 0, false},
		"another":     {streamTally{ID: "b", Messages: 2, Done: 1, Sum: 7}, 0, false},
	} {
		var r streamsResult
		r.judge([]*stream{{tally: right, late: []time.Duration{0, c.late}}}, received{Streams: []streamTally{c.came}})
		if r.Good != c.good {
			t.Errorf("%s: good is %v: %+v", name, r.Good, r)
		}
	}
}

func TestMostGoodStreams(t *testing.T) {
	for _, limit := range []int{0, 1, 7, 49, 50, 51, 163, 1999, mostStreams} {
		asked := 0
		got, err := mostGood(func(n int) (bool, error) { asked++; return n <= limit, nil })
		if err != nil || got > limit || limit-got > limit/20+1 || asked > 14 {
			t.Errorf("%d are good, found %d after %d attempts, %v", limit, got, asked, err)
		}
	}
}

func TestBenchStreamsRefusals(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--streams", "0"}, "from 1 to 2000"},
		{[]string{"--streams", "2001"}, "from 1 to 2000"},
		{[]string{"--streams", "1,,2"}, "or auto"},
		{[]string{"--streams", ""}, "or auto"},
		{[]string{"--streams", "1", "--seconds", "NaN"}, "--seconds NaN"},
		{[]string{"--streams", "1", "--chunk", "50ms"}, "does not go with"},
		{[]string{"--together"}, "goes with --streams"},
	} {
		var out, stderr bytes.Buffer
		code := Run(testwait.Context(t), append([]string{"echocast", "bench"}, c.args...), Streams{Out: &out, Err: &stderr})
		if code != exitUsage || out.Len() > 0 || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%q: code %d, stdout %q, stderr %q, want %q in it", c.args, code, out.String(), stderr.String(), c.want)
		}
	}
}

package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"echocast/internal/testwait"
)

func TestMain(m *testing.M) {
	if slices.Equal(os.Args[1:], []string{receiveArgument}) {
		receiveForBenchmark()
		return
	}
	testwait.RunAndFindLeaks(m)
}

// countdown is a context that ends after it was asked a number of times.
type countdown struct {
	context.Context
	asked, left int
}

func (c *countdown) Err() error {
	if c.asked++; c.asked > c.left {
		return context.Canceled
	}
	return nil
}

func TestMeasureEndsWithItsContext(t *testing.T) {
	ctx := &countdown{Context: testwait.Context(t), left: 3}
	c := Case{24000, 50 * time.Millisecond}
	result, err := c.Measure(ctx, time.Hour)
	if err != nil || result.Messages != 3*60 {
		t.Errorf("%d messages, %v; want the 180 of three batches", result.Messages, err)
	}
}

// The receiving process reports what arrived, to the last byte.
func TestReceive(t *testing.T) {
	in, stop := io.Pipe()
	out, stdout := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- Receive(in, stdout)
		stdout.Close()
	}()
	lines := bufio.NewReader(out)
	address, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	s := connect(testwait.Context(t), strings.TrimSpace(address))
	if s.err != nil {
		t.Fatal(s.err)
	}
	for _, msg := range []string{`{"properties":{"inference_id":"i1","done":false}}`,
		`{"properties":{"inference_id":"i1","done":true}}`} {
		if err := s.Send(testwait.Context(t), []byte(msg)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.conn.Close(); err != nil {
		t.Fatal(err)
	}
	stop.Close()
	var came arrivals
	if err := json.NewDecoder(lines).Decode(&came); err != nil {
		t.Fatal(err)
	}
	if err := testwait.Receive(t, ended); err != nil || len(came.Streams) != 1 {
		t.Fatalf("received %+v, %v", came, err)
	}
	if got := came.Streams[0]; got.ID != "i1" || got.Messages != 2 || got.Done != 1 || got.Sum != s.tally.Sum {
		t.Errorf("received %+v, sent %+v", got, s.tally)
	}
}

func TestTallyCountsUnderruns(t *testing.T) {
	var counted tally
	start := time.Unix(100, 0)
	for _, ms := range []int{0, 10, 99, 149, 201, 252} { // each message plays 50 ms
		counted.add([]byte("x"), start.Add(time.Duration(ms)*time.Millisecond))
	}
	if counted.Underruns != 2 { // at 201, and at 252, since all was played at 251
		t.Errorf("%d underruns, want 2", counted.Underruns)
	}
}

// Few conversations are due in the same millisecond of the 50 between their messages.
func TestConversationsAreDueAtDifferentTimes(t *testing.T) {
	for _, n := range []int{50, 100, 150, 200, 300} {
		var due [50]int
		for i := range n {
			begin := beginning(i)
			if begin < 0 || begin >= startWithin {
				t.Fatalf("conversation %d begins after %v", i, begin)
			}
			due[begin.Milliseconds()%50]++
		}
		if most := slices.Max(due[:]); most > 2*n/50 {
			t.Errorf("of %d conversations, %d are due in the same millisecond", n, most)
		}
	}
}

func TestConversationVerdicts(t *testing.T) {
	right := tally{ID: "a", Messages: 2, Done: 1, Sum: 7}
	for name, c := range map[string]struct {
		came tally
		late time.Duration
		good bool
	}{
		"right":       {right, 5 * time.Millisecond, true},
		"late":        {right, 6 * time.Millisecond, false},
		"lost":        {tally{ID: "a", Messages: 1, Done: 1, Sum: 7}, 0, false},
		"disordered":  {tally{ID: "a", Messages: 2, Done: 1, Sum: 8}, 0, false},
		"without end": {tally{ID: "a", Messages: 2, Sum: 7}, 0, false},
		"starved":     {tally{ID: "a", Messages: 2, Done: 1, Sum: 7, Underruns: 1}, 0, false},
		"another":     {tally{ID: "b", Messages: 2, Done: 1, Sum: 7}, 0, false},
	} {
		var r Result
		r.judge([]*conversation{{tally: right, late: []time.Duration{0, c.late}}}, arrivals{Streams: []tally{c.came}})
		if r.Good != c.good {
			t.Errorf("%s: good is %v: %+v", name, r.Good, r)
		}
	}
}

func TestFindMost(t *testing.T) {
	for _, limit := range []int{0, 1, 7, 49, 50, 51, 163, 1999, MaxConversations} {
		asked := 0
		got, err := FindMost(func(n int) (bool, error) { asked++; return n <= limit, nil })
		if err != nil || got.Least < limit-limit/20-1 || got.Median < got.Least || got.Greatest < got.Median ||
			got.Greatest > limit || asked > 14*searches {
			t.Errorf("%d are good, found %+v after %d attempts, %v", limit, got, asked, err)
		}
	}
}

// A noisy moment ends one search and not the others.
func TestFindMostThroughNoise(t *testing.T) {
	asked := 0
	got, err := FindMost(func(n int) (bool, error) { asked++; return n <= 160 && asked != 1, nil })
	if err != nil || got.Least >= 50 || got.Median < 152 || got.Greatest < got.Median {
		t.Errorf("found %+v, %v", got, err)
	}
	failed := errors.New("no more memory")
	if _, err := FindMost(func(n int) (bool, error) { return true, failed }); !errors.Is(err, failed) {
		t.Errorf("%v, want %v", err, failed)
	}
}

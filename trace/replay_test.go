package trace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"echocast/echo"
	"echocast/replica"
)

// listener records what is sent over a link, and when.
type listener struct {
	*link
	begin time.Time
	got   []heardMessage
	after int         // number of messages after which then is called
	then  func(*link) // in another goroutine
	calls sync.WaitGroup
}

type heardMessage struct {
	echo.AudioMessage
	raw []byte
	at  time.Duration
}

func (l *listener) Send(ctx context.Context, msg []byte) error {
	m := heardMessage{raw: bytes.Clone(msg), at: time.Since(l.begin)}
	_ = json.Unmarshal(msg, &m.AudioMessage)
	l.got = append(l.got, m)
	if l.then != nil && len(l.got) == l.after {
		l.calls.Go(func() { l.then(l.link) })
	}
	return l.link.Send(ctx, msg)
}

// sendAgain replays a trace to a stand-in replica, in a bubble.
func sendAgain(t *testing.T, ctx context.Context, data []byte, l *listener,
	options *ReplayOptions) (receipts []echo.Receipt, report replica.Report, err error) {
	t.Helper()
	var far sync.WaitGroup
	far.Go(func() { report, _ = replica.New(farEnd{l.link}, nil).Run(t.Context()) })
	l.begin = time.Now()
	options.OnReceipt = func(r echo.Receipt) { receipts = append(receipts, r) }
	err = Replay(ctx, Read(bytes.NewReader(data)), l, options)
	l.calls.Wait()
	l.close()
	far.Wait()
	return receipts, report, err
}

func goldenData(t *testing.T) []byte {
	t.Helper()
	data, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// sentIn are the messages that a trace says were accepted.
func sentIn(t *testing.T, data []byte) (all []Entry) {
	for _, e := range entries(t, bytes.NewReader(data)) {
		if e.Kind == KindOut && e.Error == "" {
			all = append(all, e)
		}
	}
	return all
}

func TestReplay(t *testing.T) {
	data := goldenData(t)
	recorded := sentIn(t, data)
	for _, options := range []ReplayOptions{{}, {Speed: 2}, {SameIDs: true}, {Conversation: `c"new\`}} {
		synctest.Test(t, func(t *testing.T) {
			l := &listener{link: newLink()}
			receipts, report, err := sendAgain(t, t.Context(), data, l, &options)
			if err != nil {
				t.Fatal(err)
			}
			if len(l.got) != len(recorded)+1 {
				t.Fatalf("%d messages, want %d and an interrupt", len(l.got), len(recorded))
			}
			if last := l.got[len(recorded)]; last.EventType != "conversation.interrupt" || options.Conversation == "" &&
				last.ConversationID != "c123" {
				t.Errorf("the last utterance has no end; it is ended by %s", last.raw)
			}
			speed := max(options.Speed, 1)
			ids := map[string]string{}
			for i, e := range recorded {
				checkSame(t, e, l.got[i], ids, &options)
				want := time.Duration((e.T - recorded[0].T) / speed * float64(time.Second))
				if (l.got[i].at - want).Abs() > time.Microsecond {
					t.Fatalf("message %d left at %v, want %v", i, l.got[i].at, want)
				}
			}
			if len(ids) != 4 || len(receipts) != 4 || len(report.Utterances) != 4 {
				t.Fatalf("%d ids, %d receipts, %d heard", len(ids), len(receipts), len(report.Utterances))
			}
			for i, want := range []echo.Outcome{echo.Finished, echo.Finished, echo.Interrupted, echo.Interrupted} {
				if options.Speed == 2 && i == 1 {
					want = echo.Interrupted // it is sent faster than it plays
				}
				if receipts[i].Outcome != want || receipts[i].SpokenBy != echo.ByEvent ||
					receipts[i].Samples != report.Utterances[i].Samples {
					t.Errorf("utterance %d: %+v", i, receipts[i])
				}
			}
		})
	}
}

// checkSame checks that nothing but the ids differs, and that ids differ as they
// should.
func checkSame(t *testing.T, e Entry, got heardMessage, ids map[string]string, options *ReplayOptions) {
	t.Helper()
	var m echo.AudioMessage
	if err := json.Unmarshal(e.Message, &m); err != nil {
		t.Fatal(err)
	}
	if id := m.Properties.InferenceID; id != "" {
		if ids[id] == "" {
			ids[id] = got.Properties.InferenceID
		}
		if ids[id] != got.Properties.InferenceID || (ids[id] == id) != options.SameIDs {
			t.Fatalf("%s became %s, and %s before", id, got.Properties.InferenceID, ids[id])
		}
	}
	want := strings.ReplaceAll(string(e.Message), `"`+m.Properties.InferenceID+`"`, `"`+got.Properties.InferenceID+`"`)
	if options.Conversation != "" {
		quoted, _ := json.Marshal(options.Conversation)
		want = strings.Replace(want, `"c123"`, string(quoted), 1)
	}
	if string(got.raw) != want {
		t.Fatalf("sent %.200s, want %.200s", got.raw, want)
	}
}

// A trace that a kill cut in mid-utterance ends with an interrupt, and no done is added.
func TestReplayKilled(t *testing.T) {
	data := goldenData(t)
	data = data[:len(data)/10]
	synctest.Test(t, func(t *testing.T) {
		l := &listener{link: newLink()}
		receipts, _, err := sendAgain(t, t.Context(), data, l, &ReplayOptions{})
		if err != nil || len(receipts) != 1 || receipts[0].Outcome != echo.Interrupted {
			t.Fatalf("%+v, %v", receipts, err)
		}
		if slices.ContainsFunc(l.got, func(m heardMessage) bool { return m.Properties.Done }) {
			t.Error("a done was made up")
		}
		if last := l.got[len(l.got)-1]; last.EventType != "conversation.interrupt" {
			t.Errorf("the last message is %s", last.raw)
		}
	})
}

// Ctrl-C and damage end in an interrupt, and damage is reported. A lost connection and another
// participant's interrupt end the replay.
func TestReplayBreaks(t *testing.T) {
	data := goldenData(t)
	cause := errors.New("stopped by hand")
	for name, c := range map[string]struct {
		then          func(l *link, cancel context.CancelCauseFunc)
		data          []byte
		want          string
		interruptSent bool // to the replica
	}{
		"cancelled": {func(_ *link, cancel context.CancelCauseFunc) { cancel(cause) }, data, cause.Error(), true},
		"lost":      {func(l *link, _ context.CancelCauseFunc) { l.close() }, data, echo.ErrLost.Error(), false},
		"damaged": {func(*link, context.CancelCauseFunc) {}, slices.Concat(data[:len(data)/10], []byte("}\n{}\n")),
			"not a line", true},
		"stopped": {func(l *link, _ context.CancelCauseFunc) {
			l.out <- []byte(`{"message_type":"conversation","event_type":"conversation.interrupt","conversation_id":"c123"}`)
		}, data, echo.ErrInterrupted.Error(), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				l := &listener{link: newLink(), after: 9}
				l.then = func(link *link) { c.then(link, cancel) }
				_, _, err := sendAgain(t, ctx, c.data, l, &ReplayOptions{})
				if err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("the replay ended with %v, want %s", err, c.want)
				}
				if interruptSent := l.got[len(l.got)-1].EventType == "conversation.interrupt"; interruptSent != c.interruptSent {
					t.Errorf("an interrupt was sent: %v", interruptSent)
				}
			})
		})
	}
}

// Replay ends even without a replica, messages or an answer.
func TestReplayWaits(t *testing.T) {
	data := goldenData(t)
	synctest.Test(t, func(t *testing.T) {
		l := newLink()
		err := Replay(t.Context(), Read(bytes.NewReader(data)), l, nil)
		if !errors.Is(err, echo.ErrNotReady) {
			t.Errorf("nobody is there: %v", err)
		}
		err = Replay(t.Context(), Read(strings.NewReader(firstLine)), l, nil)
		if !errors.Is(err, ErrNothing) {
			t.Errorf("nothing to send: %v", err)
		}
		l.in <- []byte(`{"event_type":"system.pal_joined"}`)
		trace := firstLine + `{"kind":"out","t":0,"message":{"event_type":"conversation.echo","properties":{"audio":"AAAA",` +
			`"inference_id":"a","done":true}}}`
		err = Replay(t.Context(), Read(strings.NewReader(trace)), l, &ReplayOptions{Burst: true})
		if !errors.Is(err, echo.ErrUnverified) {
			t.Errorf("nobody answers: %v", err)
		}
	})
}

func TestReplaceStrings(t *testing.T) {
	for _, c := range [][2]string{
		{`{"a":"x","b":{"a":"x","c":["x",{"a" : "x"}]},"d":"a","a":1}`,
			`{"a":"<y>","b":{"a":"<y>","c":["x",{"a" : "<y>"}]},"d":"a","a":1}`},
		{` {"q\"a":"x","a":"x","e":"\"a\":\"x\""} `, ` {"q\"a":"x","a":"<y>","e":"\"a\":\"x\""} `},
		{`{"a":"\u0078","n":1e5,"t":true,"z":null}`, `{"a":"<y>","n":1e5,"t":true,"z":null}`},
		{`"x"`, `"x"`}, {`[]`, `[]`}, {`12`, `12`},
	} {
		got, err := replaceStrings(nil, []byte(c[0]), func(key, value string) string {
			if key == "a" && value == "x" {
				return "<y>"
			}
			return value
		})
		want := strings.ReplaceAll(c[1], "<y>", fmt.Sprintf("%su003cy%su003e", `\`, `\`))
		if err != nil || string(got) != want {
			t.Errorf("%s became %s, want %s; %v", c[0], got, want, err)
		}
	}
	if _, err := replaceStrings(nil, []byte(`{"a":`), nil); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("half a message: %v", err)
	}
}

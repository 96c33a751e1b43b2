package replica

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"echocast/internal/testwait"
)

func TestMain(m *testing.M) { testwait.RunAndFindLeaks(m) }

// pipe is a Conn in memory. Both directions hand over without a queue, so a
// message arrives at the instant it is sent.
type pipe struct {
	in, out chan []byte
	gone    chan struct{}
}

func newPipe() *pipe {
	return &pipe{in: make(chan []byte), out: make(chan []byte), gone: make(chan struct{})}
}

func (p *pipe) Send(ctx context.Context, msg []byte) error {
	select {
	case p.out <- bytes.Clone(msg):
		return nil
	case <-p.gone:
		return net.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *pipe) Receive(ctx context.Context) ([]byte, error) {
	select {
	case msg := <-p.in:
		return msg, nil
	case <-p.gone:
		return nil, io.EOF
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// wire is an event as the peer sees it.
type wire struct {
	at  float64 // milliseconds
	raw []byte
	wireEvent
}

// peer is the sender's end of a scripted run.
type peer struct {
	t      *testing.T
	conn   *pipe
	start  time.Time
	next   int16 // value of the next sample, so that every recording is a ramp
	sent   []int16
	events []wire
	done   chan struct{}
}

// collect gathers events until the run is over.
func (p *peer) collect() {
	for {
		select {
		case raw := <-p.conn.out:
			w := wire{at: milliseconds(time.Since(p.start)), raw: raw}
			if err := json.Unmarshal(raw, &w.wireEvent); err != nil {
				p.t.Errorf("event %s: %v", raw, err)
			}
			p.events = append(p.events, w)
		case <-p.done:
			return
		}
	}
}

// at lets fake time pass until ms milliseconds after the start.
func (p *peer) at(ms float64) *peer {
	time.Sleep(time.Until(p.start.Add(time.Duration(ms * float64(time.Millisecond)))))
	return p
}

func (p *peer) raw(msg string) { p.conn.in <- []byte(msg) }

// say sends ms milliseconds of 24 kHz audio.
func (p *peer) say(id string, ms int, done bool) { p.samples(id, ms*24, 24000, done) }

func (p *peer) samples(id string, n, rate int, done bool) {
	pcm := make([]byte, 0, 2*n)
	for range n {
		pcm = append(pcm, byte(p.next), byte(p.next>>8))
		p.sent = append(p.sent, p.next)
		p.next += 7
	}
	p.raw(echoMessage(id, base64.StdEncoding.EncodeToString(pcm), rate, done))
}

func (p *peer) interrupt() { p.raw(interruptMessage) }

const interruptMessage = `{"message_type":"conversation","event_type":"conversation.interrupt","conversation_id":"c1"}`

func echoMessage(id, audio string, rate int, done bool) string {
	return fmt.Sprintf(`{"message_type":"conversation","event_type":"conversation.echo","conversation_id":"c1",`+
		`"properties":{"modality":"audio","audio":%q,"sample_rate":%d,"inference_id":%q,"done":%v}}`, audio, rate, id, done)
}

// outcome is what a scripted run left behind.
type outcome struct {
	Report
	err    error
	sent   []int16
	events []wire
}

// run plays a script against a replica in fake time; the peer leaves when the
// script returns.
func run(t *testing.T, opts *Options, script func(*peer)) (o outcome) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &peer{t: t, conn: newPipe(), start: time.Now(), done: make(chan struct{})}
		collected := make(chan struct{})
		go func() { defer close(collected); p.collect() }()
		go func() {
			defer close(p.done)
			o.Report, o.err = New(p.conn, opts).Run(t.Context())
		}()
		script(p)
		synctest.Wait()
		close(p.conn.gone)
		<-p.done
		<-collected
		o.sent, o.events = p.sent, p.events
	})
	return o
}

// speaking summarises the events of one role as "started 0 ID" lines.
func (o outcome) speaking(role string) []string {
	var lines []string
	for _, e := range o.events {
		if e.Properties == nil || e.Properties.Role != role {
			continue
		}
		line := fmt.Sprintf("%v %s", e.at, strings.TrimPrefix(e.EventType, "conversation."))
		if e.Properties.Duration != nil {
			line += fmt.Sprintf(" %v interrupted=%v", *e.Properties.Duration, *e.Properties.Interrupted)
		}
		lines = append(lines, line+" "+e.InferenceID)
	}
	return lines
}

func (o outcome) kinds() []Kind {
	kinds := []Kind{}
	for _, c := range o.Complaints {
		kinds = append(kinds, c.Kind)
	}
	return kinds
}

// noGoroutines fails if a goroutine of this package's Run is left in the
// bubble.
func noGoroutines(t *testing.T) {
	t.Helper()
	synctest.Wait()
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	if bytes.Contains(stacks, []byte("replica.(*Replica)")) {
		t.Errorf("a goroutine is left:\n%s", stacks)
	}
}

func TestRunEnds(t *testing.T) {
	broken, left := errors.New("broken"), errors.New("left")
	leave := func(_ context.CancelCauseFunc, p *pipe) { close(p.gone) }
	tests := []struct {
		name    string
		end     func(cancel context.CancelCauseFunc, p *pipe)
		receive error
		want    End
		err     error
	}{
		{name: "peer gone", end: leave, want: EndPeerGone},
		{name: "peer gone, in its own words", end: leave, receive: left, want: EndPeerGone},
		{name: "closed", end: leave, receive: net.ErrClosed, want: EndPeerGone},
		{name: "context ended", end: func(cancel context.CancelCauseFunc, _ *pipe) { cancel(nil) }, want: EndContext},
		{name: "context ended for a reason", end: func(cancel context.CancelCauseFunc, _ *pipe) { cancel(broken) },
			want: EndContext},
		{name: "broken", end: leave, receive: broken, want: EndFailed, err: broken},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				p := newPipe()
				end := make(chan struct{})
				var report Report
				var err error
				go func() {
					defer close(end)
					report, err = New(failing{p, test.receive, nil}, &Options{PeerGone: left}).Run(ctx)
				}()
				<-p.out
				<-p.out
				time.Sleep(1500 * time.Microsecond)
				test.end(cancel, p)
				<-end
				if report.End != test.want || report.EndMS != 1.5 || !errors.Is(err, test.err) {
					t.Errorf("end %q at %v ms, error %v; want %q at 1.5 ms, %v", report.End, report.EndMS, err, test.want, test.err)
				}
				noGoroutines(t)
			})
		})
	}
}

// failing replaces the end of a connection by an error, or fails to send.
type failing struct {
	*pipe
	receive, send error
}

func (f failing) Receive(ctx context.Context) ([]byte, error) {
	msg, err := f.pipe.Receive(ctx)
	if err != nil && f.receive != nil {
		err = f.receive
	}
	return msg, err
}

func (f failing) Send(ctx context.Context, msg []byte) error {
	if f.send != nil {
		return f.send
	}
	return f.pipe.Send(ctx, msg)
}

func TestRunReportsFailedSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, broken := newPipe(), errors.New("broken")
		time.AfterFunc(time.Second, func() { close(p.gone) })
		report, err := New(failing{p, nil, broken}, nil).Run(t.Context())
		if !errors.Is(err, broken) || report.EventsSent != 0 {
			t.Errorf("error %v after %d events, want %v after none", err, report.EventsSent, broken)
		}
	})
}

// stuck is a connection with a Send that waits only for its context.
type stuck struct{ *pipe }

func (stuck) Send(ctx context.Context, _ []byte) error {
	<-ctx.Done()
	return ctx.Err()
}

// A peer that leaves without reading an event does not block Run.
func TestRunEndsWhileSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe()
		time.AfterFunc(time.Second, func() { close(p.gone) })
		report, err := New(stuck{p}, nil).Run(t.Context())
		if err != nil || report.End != EndPeerGone || report.EndMS != 1000 {
			t.Errorf("end %q at %v ms, error %v", report.End, report.EndMS, err)
		}
		noGoroutines(t)
	})
}

// Messages keep their time of arrival while the replica is busy sending.
func TestArrivalsAreStampedWhileSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peer{t: t, conn: newPipe(), start: time.Now()}
		var report Report
		end := make(chan struct{})
		go func() {
			defer close(end)
			report, _ = New(p.conn, unlimited).Run(t.Context())
		}()
		p.at(10).say("a", 100, false)
		p.at(40).say("a", 10, false)
		p.at(90).say("a", 100, true)
		p.at(1000)
		for range 6 {
			<-p.conn.out
		}
		synctest.Wait()
		close(p.conn.gone)
		<-end
		u := report.Utterances[0]
		if u.FirstChunkMS != 10 || u.LargestGapMS != 50 || *u.StartedMS != 10 || *u.StoppedMS != 220 ||
			len(u.Underruns) != 0 {
			t.Errorf("first chunk %v, gap %v, started %v, stopped %v, underruns %v",
				u.FirstChunkMS, u.LargestGapMS, *u.StartedMS, *u.StoppedMS, u.Underruns)
		}
	})
}

func TestJoinDelay(t *testing.T) {
	o := run(t, &Options{JoinDelay: 300 * time.Millisecond, MessageLimit: -1}, func(p *peer) {
		p.at(299).say("early", 100, true)
		p.at(300).say("late", 100, true)
		p.at(1000)
	})
	if *o.JoinedMS != 300 || o.events[0].at != 300 || o.events[0].EventType != "system.replica_joined" {
		t.Errorf("joined at %v, first event %s at %v", *o.JoinedMS, o.events[0].EventType, o.events[0].at)
	}
	if got := o.kinds(); len(got) != 1 || got[0] != KindBeforeJoin {
		t.Errorf("complaints %v", got)
	}
	if len(o.Utterances) != 1 || o.Utterances[0].ID != "late" {
		t.Errorf("utterances %+v", o.Utterances)
	}
}

func TestPeerLeavesBeforeJoin(t *testing.T) {
	o := run(t, &Options{JoinDelay: time.Hour}, func(p *peer) { p.at(5) })
	if o.JoinedMS != nil || len(o.events) != 0 || o.err != nil {
		t.Errorf("joined %v, events %v, error %v", o.JoinedMS, o.events, o.err)
	}
}

func TestObservers(t *testing.T) {
	var got []string
	opts := &Options{
		MessageLimit: -1,
		OnEvent: func(e Event) {
			got = append(got, fmt.Sprintf("%s %v %s", e.Kind, e.AtMS, e.Utterance))
		},
		OnUtterance: func(u Utterance) {
			got = append(got, fmt.Sprintf("utterance %s %v", u.ID, u.PlayedSeconds))
		},
	}
	run(t, opts, func(p *peer) {
		p.say("a", 100, false)
		p.at(150).say("a", 50, true)
		p.at(300).raw(clean(eventAppend, `{"context":"x"}`))
		p.at(400).interrupt()
		p.at(500).say("b", 10, false)
	})
	want := []string{
		"joined 0 ", "receiving 0 a", "started 0 a", "underrun 100 a", "stopped 200 a", "utterance a 0.15",
		"noted 300 ", "interrupt 400 ", "receiving 500 b", "complaint 500 b", "utterance b 0",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("observed\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

package room_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"echocast/echo"
	"echocast/replica"
	"echocast/room"
	"echocast/room/roomtest"
)

// track is a microphone in a room without a replica: it plays what it is given.
type track struct {
	mu      sync.Mutex
	samples int
}

func (m *track) Begin(echo.Utterance) error      { return nil }
func (m *track) Interrupt(context.Context) error { return nil }
func (m *track) HeardAlone() bool                { return true }
func (m *track) Played(context.Context) error    { return nil }
func (m *track) Speak(_ context.Context, pcm []float32, _ bool) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.samples += len(pcm)
	return 2 * len(pcm), nil
}

func (m *track) Next(ctx context.Context) (echo.Event, error) {
	<-ctx.Done()
	return echo.Event{}, context.Cause(ctx)
}

// trackBackend joins a room as people do.
type trackBackend struct {
	track *track
	joins []room.Options
}

func (b *trackBackend) Join(_ context.Context, _ string, o *room.Options) (*room.Connection, error) {
	b.joins = append(b.joins, *o)
	return &room.Connection{Stage: b.track, Close: func() error { return nil }}, nil
}

// leavingBackend is a backend whose connection reports after a while that the replica left.
// After it is joined again, the connection breaks.
type leavingBackend struct {
	room.Backend
	after  time.Duration
	breaks bool
	joins  int
}

func (b *leavingBackend) Join(ctx context.Context, address string, o *room.Options) (*room.Connection, error) {
	if b.joins++; b.joins > 1 && b.breaks {
		return nil, errors.New("nobody answers")
	}
	with := *o
	with.Wrap = func(c echo.Conn) echo.Conn {
		return &leavingConn{Conn: c, at: time.Now().Add(b.after), breaks: b.breaks}
	}
	return b.Backend.Join(ctx, address, &with)
}

type leavingConn struct {
	echo.Conn
	at     time.Time
	left   bool
	breaks bool
}

func (c *leavingConn) Receive(ctx context.Context) ([]byte, error) {
	limited, cancel := context.WithDeadline(ctx, c.at)
	defer cancel()
	if c.left {
		<-ctx.Done() // who has left says no more
		return nil, context.Cause(ctx)
	}
	message, err := c.Conn.Receive(limited)
	if err == nil || ctx.Err() != nil {
		return message, err
	}
	if c.left = true; c.breaks {
		return nil, io.ErrUnexpectedEOF
	}
	return []byte(`{"message_type":"conversation","event_type":"conversation.left","properties":{"role":"replica"}}`), nil
}

// If the replica is lost, the microphone says the rest from where it was heard, and everything
// after it: whether the replica leaves in an utterance, between two, or with the connection.
func TestFallback(t *testing.T) {
	for name, c := range map[string]struct {
		after  time.Duration
		breaks bool
		second int // samples by the microphone
	}{
		"in an utterance":    {3 * time.Second, false, 10*24000 + 24000},
		"between utterances": {12 * time.Second, false, 24000},
		"no connection":      {3 * time.Second, true, 10*24000 + 24000},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				memory := roomtest.Open(&replica.Options{})
				microphone := &trackBackend{track: &track{}}
				usual, err := room.Lookup(memory.Address)
				if err != nil {
					t.Fatal(err)
				}
				var why []error
				joined, err := room.Join(t.Context(), memory.Address, &room.Options{
					Backend:  &leavingBackend{Backend: usual, after: c.after, breaks: c.breaks},
					Fallback: &room.Fallback{Backend: microphone, OnFall: func(err error) { why = append(why, err) }},
				})
				if err != nil {
					t.Fatal(err)
				}
				session, err := echo.NewSession(joined.Stage(), &echo.Options{
					Redial: joined.Rejoin, OnEvent: joined.Notice, OnLoss: echo.ReconnectResume, AwayTimeout: 5 * time.Second,
				})
				if err != nil {
					t.Fatal(err)
				}
				feed := echo.NewFeed(&samples{left: 10 * 24000}, echo.FeedOptions{Keep: time.Minute})
				if _, err := session.Speak(t.Context(), echo.Speech{Samples: feed, Abort: feed.Abort}); err != nil {
					t.Error(err)
				}
				_ = feed.Close()
				time.Sleep(10 * time.Second)
				if _, err := session.Speak(t.Context(), echo.Speech{Samples: &samples{left: 24000}}); err != nil {
					t.Error(err)
				}
				_ = session.Close()
				_ = joined.Close()
				heard := 0
				for _, report := range memory.Close() {
					for _, u := range report.Utterances {
						heard += int(u.PlayedSamples)
					}
				}
				// What the replica held when it left may be played or not.
				if n := microphone.track.samples; n < min(c.second, 11*24000-heard) || n > c.second || len(microphone.joins) != 1 {
					t.Errorf("%d samples by the microphone, of %d; %d by the replica; %d joins", n, c.second, heard,
						len(microphone.joins))
				}
				if len(microphone.joins) == 0 {
					return
				}
				if o := microphone.joins[0]; !o.Microphone || !o.WithoutReplica || len(why) != 1 {
					t.Errorf("joined with %+v, because of %v", o, why)
				}
			})
		})
	}
}

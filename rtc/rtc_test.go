package rtc

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"echocast/internal/testwait"
)

func TestMain(m *testing.M) {
	if os.Getenv(onlyIPv6Env) != "" {
		os.Exit(talkOverIPv6())
	}
	testwait.RunAndFindLeaks(m)
}

// If this variable is set, the test binary connects to itself on a machine that has
// nothing but ::1.
const onlyIPv6Env = "ECHOCAST_TEST_ONLY_IPV6"

// patient returns options with the timeouts of tests where o has none: on a busy machine nothing
// takes too long. A test with ticks of its own keeps the usual PingTimeout, which is a number of
// them.
func patient(o *Options) *Options {
	var full Options
	if o != nil {
		full = *o
	}
	if full.ticks == nil {
		full.PingTimeout = cmp.Or(full.PingTimeout, testwait.Limit)
	}
	full.ConnectTimeout = cmp.Or(full.ConnectTimeout, testwait.Limit)
	full.CloseTimeout = cmp.Or(full.CloseTimeout, testwait.Limit)
	full.finish = cmp.Or(full.finish, testwait.Limit)
	full.gather = cmp.Or(full.gather, testwait.Limit)
	return &full
}

// listen starts a patient listener that the end of the test closes.
func listen(t testing.TB, o *Options) *Listener {
	t.Helper()
	l, err := Listen("127.0.0.1:0", patient(o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// pair returns two connected ends, which the end of the test closes.
func pair(t testing.TB, dialing, listening *Options) (dialer, accepted *Conn) {
	t.Helper()
	l := listen(t, listening)
	dialer, err := Dial(testwait.Context(t), l.URL(), patient(dialing))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dialer.Close() })
	accepted, err = l.Accept(testwait.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = accepted.Close() })
	return dialer, accepted
}

// message is 3.4 kB, as 50 ms of speech are, and carries its number.
func message(number int) []byte {
	return fmt.Appendf(nil, "%08d%s", number, strings.Repeat("a", 3426))
}

func mustReceive(t *testing.T, c *Conn, want []byte) {
	t.Helper()
	got, err := c.Receive(testwait.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("received %.20q, want %.20q", got, want)
	}
}

func mustSend(t *testing.T, c *Conn, msg []byte) {
	t.Helper()
	if err := c.Send(testwait.Context(t), msg); err != nil {
		t.Fatal(err)
	}
}

// fill sends until the receive buffer of the peer, who does not read, is full
// but for 64 KiB and more than HighWater waits on this side. What waits cannot
// all be delivered then, and no more than a few further messages are taken. It
// returns how many messages were sent.
func fill(t *testing.T, c *Conn) int {
	t.Helper()
	for sent := 0; ; {
		waiting := int(c.messages.BufferedAmount())
		full := sent*len(message(0))-waiting > 1<<20-64<<10
		switch {
		case waiting <= c.options.HighWater:
			mustSend(t, c, message(sent))
			sent++
		case full:
			return sent
		default:
			runtime.Gosched()
		}
	}
}

// sendUntilError sends numbered messages until a Send fails. When the error has
// come, sent is the number of the message that was not sent.
func sendUntilError(ctx context.Context, c *Conn, first int) (failed <-chan error, sent *int) {
	result := make(chan error, 1)
	sent = &first
	go func() {
		for {
			if err := c.Send(ctx, message(*sent)); err != nil {
				result <- err
				return
			}
			*sent++
		}
	}()
	return result, sent
}

func TestMessagesArriveInOrderAndWhole(t *testing.T) {
	for _, direction := range []string{"dialer sends", "listener sends"} {
		t.Run(direction, func(t *testing.T) {
			from, to := pair(t, nil, nil)
			if direction == "listener sends" {
				from, to = to, from
			}
			const count = 3000
			var sending sync.WaitGroup
			sending.Go(func() {
				for i := range count {
					if err := from.Send(testwait.Context(t), message(i)); err != nil {
						t.Error(err)
						return
					}
				}
			})
			for i := range count {
				mustReceive(t, to, message(i))
			}
			sending.Wait()
		})
	}
}

func TestEveryLengthArrives(t *testing.T) {
	from, to := pair(t, nil, nil)
	for _, length := range []int{0, 1, 1200, 4096, firstReadBuffer - 1, firstReadBuffer, firstReadBuffer + 1, 256 << 10} {
		want := bytes.Repeat([]byte("m"), length)
		mustSend(t, from, want)
		mustReceive(t, to, want)
	}
}

func TestReceivedMessageBelongsToCaller(t *testing.T) {
	from, to := pair(t, nil, nil)
	msg := message(1)
	mustSend(t, from, msg)
	copy(msg, message(2)) // Send must not have kept it
	mustSend(t, from, msg)
	first, err := to.Receive(testwait.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	mustReceive(t, to, message(2))
	if !bytes.Equal(first, message(1)) {
		t.Errorf("the first message changed into %.20q", first)
	}
}

// The peer reads one message at a time while the sender has many more.
func TestSlowReaderHoldsTheSenderBack(t *testing.T) {
	from, to := pair(t, nil, nil)
	sent := fill(t, from)
	ctx, cancel := context.WithCancel(testwait.Context(t))
	failed, next := sendUntilError(ctx, from, sent)
	most := uint64(0)
	received := 0
	for ; received < sent+2000; received++ {
		mustReceive(t, to, message(received))
		most = max(most, from.messages.BufferedAmount())
	}
	cancel()
	if err := testwait.Receive(t, failed); !errors.Is(err, context.Canceled) {
		t.Errorf("Send: %v, want %v", err, context.Canceled)
	}
	for ; received < *next; received++ {
		mustReceive(t, to, message(received))
	}
	if limit := uint64(128<<10 + 3434); most > limit {
		t.Errorf("%d bytes waited for the reader, want at most %d", most, limit)
	}
	t.Logf("%d messages were taken before anything was read, at most %d bytes waited", sent, most)
}

func TestSendEndedByContext(t *testing.T) {
	from, to := pair(t, nil, nil)
	sent := fill(t, from)
	ctx, cancel := context.WithCancelCause(testwait.Context(t))
	cause := errors.New("interrupted")
	failed, next := sendUntilError(ctx, from, sent)
	cancel(cause)
	if err := testwait.Receive(t, failed); !errors.Is(err, cause) {
		t.Errorf("got %v, want %v", err, cause)
	}
	for i := range *next {
		mustReceive(t, to, message(i))
	}
	mustSend(t, from, []byte("still open"))
	mustReceive(t, to, []byte("still open"))
}

func TestReceiveEndedByContext(t *testing.T) {
	from, to := pair(t, nil, nil)
	cause := errors.New("interrupted")
	for i := range 200 {
		ctx, cancel := context.WithCancelCause(testwait.Context(t))
		result := make(chan error, 1)
		go func() {
			_, err := to.Receive(ctx)
			result <- err
		}()
		cancel(cause)
		if err := testwait.Receive(t, result); !errors.Is(err, cause) {
			t.Fatalf("round %d: got %v, want %v", i, err, cause)
		}
		mustSend(t, from, message(i))
		mustReceive(t, to, message(i))
	}
}

// countingStream counts the reads of a stream.
type countingStream struct {
	channel
	reads atomic.Int64
}

func (s *countingStream) ReadDataChannel(p []byte) (int, bool, error) {
	s.reads.Add(1)
	return s.channel.ReadDataChannel(p)
}

// A cancelled call wakes the next call at most once, and does not make it spin until a message
// arrives.
func TestReadInterruptIsCleared(t *testing.T) {
	from, to := pair(t, nil, nil)
	counting := &countingStream{channel: to.messages}
	to.messages = counting
	to.interruptRead()
	received := make(chan error, 1)
	go func() {
		_, err := to.Receive(testwait.Context(t))
		received <- err
	}()
	for counting.reads.Load() < 2 {
		runtime.Gosched()
	}
	mustSend(t, from, message(0))
	if err := testwait.Receive(t, received); err != nil {
		t.Fatal(err)
	}
	if reads := counting.reads.Load(); reads > 5 {
		t.Errorf("one message took %d reads", reads)
	}
}

// If a context ends at the moment when a message arrives, neither the message nor the next
// call is lost.
func TestCancelledReceiveLosesNoMessage(t *testing.T) {
	from, to := pair(t, nil, nil)
	const count = 500
	for next := 0; next < count; {
		ctx, cancel := context.WithCancel(testwait.Context(t))
		var sending sync.WaitGroup
		sending.Go(func() {
			defer cancel()
			if err := from.Send(testwait.Context(t), message(next)); err != nil {
				t.Error(err)
			}
		})
		got, err := to.Receive(ctx)
		sending.Wait()
		if err != nil {
			got, err = to.Receive(testwait.Context(t))
		}
		if err != nil || !bytes.Equal(got, message(next)) {
			t.Fatalf("message %d: %.20q, %v", next, got, err)
		}
		next++
	}
}

func TestPeerCloses(t *testing.T) {
	for _, closer := range []string{"dialer closes", "listener closes"} {
		t.Run(closer, func(t *testing.T) {
			leaving, staying := pair(t, nil, nil)
			if closer == "listener closes" {
				leaving, staying = staying, leaving
			}
			const count = 50
			for i := range count {
				mustSend(t, leaving, message(i))
			}
			if err := leaving.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
			for i := range count {
				mustReceive(t, staying, message(i))
			}
			for range 2 {
				if _, err := staying.Receive(testwait.Context(t)); !errors.Is(err, ErrPeerGone) {
					t.Fatalf("Receive after the last message: %v, want %v", err, ErrPeerGone)
				}
			}
			if err := staying.Send(testwait.Context(t), nil); !errors.Is(err, ErrPeerGone) {
				t.Errorf("Send: %v, want %v", err, ErrPeerGone)
			}
		})
	}
}

// A reader that closes reads what is on its way. Otherwise the sender, with its goodbye queued
// behind it, could not answer before the timeout: here, an hour.
func TestPeerClosesWhileBothAreBlocked(t *testing.T) {
	dialer, accepted := pair(t, nil, &Options{CloseTimeout: time.Hour})
	testwait.Receive(t, dialer.answered)
	sent := fill(t, dialer)
	sending, _ := sendUntilError(testwait.Context(t), dialer, sent)
	receiving := make(chan error, 1)
	go func() {
		_, err := dialer.Receive(testwait.Context(t))
		receiving <- err
	}()
	if err := accepted.Close(); err != nil {
		t.Fatal(err)
	}
	if err := testwait.Receive(t, sending); !errors.Is(err, ErrPeerGone) {
		t.Errorf("Send: %v, want %v", err, ErrPeerGone)
	}
	if err := testwait.Receive(t, receiving); !errors.Is(err, ErrPeerGone) {
		t.Errorf("Receive: %v, want %v", err, ErrPeerGone)
	}
}

func TestClosedConn(t *testing.T) {
	c, _ := pair(t, nil, nil)
	receiving := make(chan error, 1)
	go func() {
		_, err := c.Receive(testwait.Context(t))
		receiving <- err
	}()
	var closing sync.WaitGroup
	for range 3 {
		closing.Go(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	closing.Wait()
	if err := testwait.Receive(t, receiving); !errors.Is(err, net.ErrClosed) {
		t.Errorf("blocked Receive: %v, want %v", err, net.ErrClosed)
	}
	if _, err := c.Receive(testwait.Context(t)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Receive: %v, want %v", err, net.ErrClosed)
	}
	if err := c.Send(testwait.Context(t), nil); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Send: %v, want %v", err, net.ErrClosed)
	}
}

// Close ends a blocked Receive first, however long the goodbye takes: here until the silent
// peer counts as lost.
func TestCloseEndsReceiveBeforeTheGoodbye(t *testing.T) {
	c, silent := pair(t, &Options{CloseTimeout: time.Hour}, nil)
	goSilent(t, silent)
	mustSend(t, c, []byte("to nobody"))
	receiving, closing := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := c.Receive(testwait.Context(t))
		receiving <- err
	}()
	for len(c.receiveLock) == 0 {
		runtime.Gosched()
	}
	go func() { closing <- c.Close() }()
	if err := testwait.Receive(t, receiving); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Receive: %v, want %v", err, net.ErrClosed)
	}
	c.end(ErrLost)
	if err := testwait.Receive(t, closing); !errors.Is(err, ErrLost) {
		t.Errorf("Close: %v, want %v", err, ErrLost)
	}
}

func TestBothClose(t *testing.T) {
	t.Parallel()
	a, b := pair(t, nil, nil)
	var closing sync.WaitGroup
	closing.Go(func() { _ = a.Close() })
	closing.Go(func() { _ = b.Close() })
	closing.Wait()
}

// Every message for which Send returned nil before Close must arrive.
func TestCloseDuringSends(t *testing.T) {
	from, to := pair(t, nil, nil)
	var sending sync.WaitGroup
	counts := make([]int, 4)
	started := make(chan struct{}, len(counts))
	for i := range counts {
		sending.Go(func() {
			for from.Send(testwait.Context(t), message(i)) == nil {
				if counts[i]++; counts[i] == 1 {
					started <- struct{}{}
				}
			}
		})
	}
	received := make(chan int, 1)
	go func() {
		n := 0
		for {
			if _, err := to.Receive(testwait.Context(t)); err != nil {
				if !errors.Is(err, ErrPeerGone) {
					t.Error(err)
				}
				received <- n
				return
			}
			n++
		}
	}()
	for range counts {
		testwait.Receive(t, started)
	}
	if err := from.Close(); err != nil {
		t.Error(err)
	}
	sending.Wait()
	sent := counts[0] + counts[1] + counts[2] + counts[3]
	if got := testwait.Receive(t, received); got != sent {
		t.Errorf("%d messages received, %d sent", got, sent)
	}
}

func TestCloseSaysWhatWasNotDelivered(t *testing.T) {
	from, to := pair(t, &Options{CloseTimeout: 50 * time.Millisecond}, nil)
	testwait.Receive(t, to.answered) // before, the end of the association counts as a close
	fill(t, from)
	err := from.Close()
	if err == nil || !strings.Contains(err.Error(), "bytes not acknowledged within 50ms") {
		t.Errorf("Close with a reader that does not read: %v", err)
	}
	for err = nil; err == nil; {
		_, err = to.Receive(testwait.Context(t))
	}
	if !errors.Is(err, ErrLost) {
		t.Errorf("Receive after a close that broke off: %v, want %v", err, ErrLost)
	}
}

// If a peer without a ping channel breaks off while Close waits for it, Close ends at once.
func TestCloseNoticesThatThePeerIsGone(t *testing.T) {
	l := listen(t, &Options{CloseTimeout: time.Hour})
	p, _ := newForeignPeer(t)
	leave := sync.OnceFunc(p.close)
	defer leave()
	if err := p.open(messageLabel, p.messages); err != nil {
		t.Fatal(err)
	}
	exchangeOffer(t, p, l.URL())
	c, err := l.Accept(testwait.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	fill(t, c)
	closing := make(chan error, 1)
	go func() { closing <- c.Close() }()
	testwait.Receive(t, c.supervised) // nobody else watches the peer
	leave()
	if err := testwait.Receive(t, closing); err == nil || !strings.Contains(err.Error(), "bytes not delivered") {
		t.Errorf("Close: %v", err)
	}
}

func TestOversizedMessages(t *testing.T) {
	from, to := pair(t, nil, &Options{MaxMessage: 5000})
	if got := from.MaxMessage(); got != 5000 {
		t.Errorf("MaxMessage is %d, the peer said 5000", got)
	}
	if err := from.Send(testwait.Context(t), make([]byte, 5001)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Send: %v, want %v", err, ErrTooLarge)
	}
	mustSend(t, from, make([]byte, 5000))
	mustReceive(t, to, make([]byte, 5000))

	to.options.MaxMessage = 4000 // a peer that does not care for what it was told
	to.buffer = make([]byte, 4000)
	mustSend(t, from, make([]byte, 4001))
	for range 2 {
		if _, err := to.Receive(testwait.Context(t)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("Receive: %v, want %v", err, ErrTooLarge)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, bad := range []*Options{
		{LowWater: 2000, HighWater: 1000},
		{MaxMessage: 1<<20 + 1},
	} {
		if _, err := Listen("127.0.0.1:0", bad); err == nil {
			t.Errorf("Listen took %+v", bad)
		}
		if _, err := Dial(testwait.Context(t), "http://127.0.0.1:1", bad); err == nil {
			t.Errorf("Dial took %+v", bad)
		}
	}
	full, err := (&Options{HighWater: 1000}).withDefaults()
	if err != nil || full.LowWater != 250 {
		t.Errorf("LowWater is %d (%v), want a quarter of HighWater", full.LowWater, err)
	}
}

func BenchmarkSend(b *testing.B) {
	from, to := pair(b, nil, nil)
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			if _, err := to.Receive(context.Background()); err != nil {
				return
			}
		}
	})
	msg := message(0)
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		if err := from.Send(b.Context(), msg); err != nil {
			b.Fatal(err)
		}
	}
	_ = from.Close()
	reading.Wait()
}

// BenchmarkDial is the time from the first call to a closed connection.
func BenchmarkDial(b *testing.B) {
	l := listen(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		dialer, err := Dial(b.Context(), l.URL(), patient(nil))
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		accepted, err := l.Accept(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		_ = dialer.Close()
		_ = accepted.Close()
		b.StartTimer()
	}
}

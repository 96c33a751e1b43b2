package rest_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/room"
	"echocast/room/rest"
	"echocast/tavus"
	"echocast/tavus/tavustest"
)

func TestMain(m *testing.M) { testwait.RunAndFindLeaks(m) }

const sampleRate = 24000

// testService is a service with one active conversation, a backend that reaches it, and the
// recording of its replica.
type testService struct {
	t         *testing.T
	server    *tavustest.Server
	backend   *rest.Backend
	id        string
	recording wavMemory
	reports   map[string]replica.Report // once the server is closed
}

// newWorld makes one with requests that take as long as latency says.
func newWorld(t *testing.T, latency func() time.Duration) *testService {
	t.Helper()
	w := &testService{t: t, server: &tavustest.Server{Key: "a-key"}}
	w.server.AppMessages = tavustest.AppMessages{Latency: latency, Replica: &replica.Options{Record: &w.recording}}
	key, err := tavus.NewKey("a-key")
	if err != nil {
		t.Fatal(err)
	}
	w.backend = &rest.Backend{Client: &tavus.Client{Key: key, BaseURL: "http://127.0.0.1", HTTP: w.server.Client()}}
	w.id = w.server.Add("a conversation")
	return w
}

func (w *testService) join(o *room.Options) *room.Room {
	w.t.Helper()
	joined, err := room.Join(w.t.Context(), rest.Scheme+":"+w.id, withBackend(o, w.backend))
	if err != nil {
		w.t.Fatal(err)
	}
	return joined
}

func withBackend(o *room.Options, b room.Backend) *room.Options {
	if o == nil {
		o = &room.Options{}
	}
	o.Backend = b
	return o
}

// session opens a session in the conversation.
func (w *testService) session(o *echo.Options) *echo.Session {
	w.t.Helper()
	if o == nil {
		o = &echo.Options{}
	}
	o.SendTimeout = rest.SendTimeout
	session, err := echo.NewSession(w.join(nil).Stage(), o)
	if err != nil {
		w.t.Fatal(err)
	}
	return session
}

// close ends the service and returns what the replica reports.
func (w *testService) close() replica.Report {
	w.reports = w.server.Close()
	return w.reports[w.id]
}

// wavMemory is a WAV file in memory.
type wavMemory struct {
	bytes []byte
	at    int
}

func (t *wavMemory) Write(p []byte) (int, error) {
	t.bytes = append(t.bytes[:min(t.at, len(t.bytes))],
		append(slices.Clone(p), t.bytes[min(t.at+len(p), len(t.bytes)):]...)...)
	t.at += len(p)
	return len(p), nil
}

func (t *wavMemory) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		t.at = int(offset)
	case io.SeekCurrent:
		t.at += int(offset)
	case io.SeekEnd:
		t.at = len(t.bytes) + int(offset)
	}
	return int64(t.at), nil
}

// samples are those recorded.
func (t *wavMemory) samples() []int16 {
	if len(t.bytes) < 44 {
		return nil
	}
	pcm := make([]int16, (len(t.bytes)-44)/2)
	_, _ = binary.Decode(t.bytes[44:], binary.LittleEndian, pcm)
	return pcm
}

// noise is a source whose samples reveal their position: no sequence of 200 samples occurs
// twice.
type noise struct {
	at, end int
	stalls  map[int]time.Duration // before the read at this position
}

// sampleAt is the sample at a position, as 16 bits.
func sampleAt(i int) int16 {
	x := uint32(i)*2654435761 + 12345
	x ^= x >> 15
	x *= 2246822519
	return int16(x >> 17)
}

func (n *noise) ReadSamples(p []float32) (int, error) {
	if n.at == n.end {
		return 0, io.EOF
	}
	size := min(len(p), n.end-n.at)
	for at, stall := range n.stalls {
		switch {
		case at == n.at:
			time.Sleep(stall)
			delete(n.stalls, at)
		case at > n.at:
			size = min(size, at-n.at)
		}
	}
	for i := range size {
		p[i] = float32(sampleAt(n.at+i)) / 32768
	}
	n.at += size
	return size, nil
}

// Rewind implements echo.Rewinder.
func (n *noise) Rewind(position int64) (int64, error) {
	n.at = int(position)
	return position, nil
}

func isWhole(pcm []int16, length int) error {
	if len(pcm) != length {
		return fmt.Errorf("%d samples of %d", len(pcm), length)
	}
	for i, v := range pcm {
		if v != sampleAt(i) {
			return fmt.Errorf("another sample at %d", i)
		}
	}
	return nil
}

// jitter is a latency between low and high.
func jitter(seed uint64, low, high time.Duration) func() time.Duration {
	random := rand.New(rand.NewPCG(seed, 1))
	return func() time.Duration { return low + time.Duration(random.Int64N(int64(high-low)+1)) }
}

// mostInAnyMinute is the largest number of requests in 60 s.
func mostInAnyMinute(times []time.Time) (most int) {
	from := 0
	for i, at := range times {
		for at.Sub(times[from]) >= time.Minute {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// Up to ten minutes are recorded bit for bit, however long requests take; with up to 250 ms
// there is no gap.
func TestMinutesOfSpeech(t *testing.T) {
	for name, c := range map[string]struct{ low, high, minutes time.Duration }{
		"20 ms":         {20, 20, 1},
		"20 to 250 ms":  {20, 250, time.Duration(testwait.Trials(10))},
		"250 ms":        {250, 250, 1},
		"200 to 400 ms": {200, 400, time.Duration(testwait.Trials(10))},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, jitter(1, c.low*time.Millisecond, c.high*time.Millisecond))
				session := w.session(nil)
				length := 60 * sampleRate * int(c.minutes)
				receipt, err := session.Speak(t.Context(), echo.Speech{Samples: &noise{end: length}})
				if err != nil || receipt.Outcome != echo.Sent || receipt.Samples != int64(length) ||
					receipt.SpokenBy != echo.ByClock {
					t.Errorf("%+v, %v", receipt, err)
				}
				if receipt.AcknowledgedSamples != int64(length) || receipt.UncertainSamples != 0 {
					t.Errorf("acknowledged %d, uncertain %d", receipt.AcknowledgedSamples, receipt.UncertainSamples)
				}
				_ = session.Close()
				report := w.close()
				if err := isWhole(w.recording.samples(), length); err != nil {
					t.Error(err)
				}
				if c.high <= 250 && report.Underruns != 0 {
					t.Errorf("%d underruns", report.Underruns)
				}
				u := report.Utterances[0]
				first := *u.StartedMS - u.FirstChunkMS + float64(c.high)/2
				if limit := 2*float64(c.high) + 400; first > limit {
					t.Errorf("first audio after %.0f ms, more than %.0f", first, limit)
				}
				if report.ComplaintCount != 0 || len(w.server.Complaints()) != 0 {
					t.Error(report.Complaints, w.server.Complaints())
				}
				if most := mostInAnyMinute(w.server.MessageTimes()); most > tavus.AppMessages {
					t.Errorf("%d requests in a minute", most)
				}
				t.Logf("%d requests, at most %d in a minute, first audio after %.0f ms, %d underruns", report.Messages,
					mostInAnyMinute(w.server.MessageTimes()), first, report.Underruns)
			})
		})
	}
}

// A stalling input loses nothing.
func TestStallingInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, jitter(2, 20*time.Millisecond, 400*time.Millisecond))
		session := w.session(nil)
		const length = 60 * sampleRate
		stalls := map[int]time.Duration{100: time.Second, sampleRate: 3 * time.Second,
			7*sampleRate + 11: 700 * time.Millisecond, 30 * sampleRate: 20 * time.Second, length - 1: 2 * time.Second}
		receipt, err := session.Speak(t.Context(), echo.Speech{Samples: &noise{end: length, stalls: stalls}})
		if err != nil || receipt.Samples != length {
			t.Errorf("%+v, %v", receipt, err)
		}
		_ = session.Close()
		report := w.close()
		if err := isWhole(w.recording.samples(), length); err != nil || report.ComplaintCount != 0 {
			t.Error(err, report.Complaints)
		}
	})
}

// Hundreds of short utterances, sent as fast as possible, keep to the rate limit without long
// waits, and the service refuses none.
func TestManyShortUtterancesKeepToTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, jitter(3, 20*time.Millisecond, 200*time.Millisecond))
		session := w.session(&echo.Options{SkipHeard: true})
		longest := time.Duration(0)
		for i := range 300 {
			start := time.Now()
			if _, err := session.Speak(t.Context(), echo.Speech{Samples: &noise{end: sampleRate / 2}}); err != nil {
				t.Fatal(i, err)
			}
			longest = max(longest, time.Since(start))
		}
		_ = session.Close()
		_ = w.close()
		times := w.server.MessageTimes()
		if most := mostInAnyMinute(times); most > tavus.AppMessages || most < tavus.AppMessages*3/4 ||
			longest > 5*time.Second {
			t.Errorf("%d requests, at most %d in a minute; one utterance took %v", len(times), most, longest)
		}
	})
}

// An interrupt leaves within the time of one request while speech is sent, however full the
// window is.
func TestInterruptDoesNotWaitBehindSpeech(t *testing.T) {
	for _, latency := range []time.Duration{20 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond} {
		for _, mode := range []echo.Mode{echo.LeadMode, echo.BurstMode} {
			for _, after := range []time.Duration{10 * time.Millisecond, 1234 * time.Millisecond, 50 * time.Second} {
				if after > time.Minute/2 && latency != 200*time.Millisecond && testwait.Trials(10) < 10 {
					continue
				}
				t.Run(fmt.Sprint(latency, mode, after), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { interruptAfter(t, latency, mode, after) })
				})
			}
		}
	}
}

func interruptAfter(t *testing.T, latency time.Duration, mode echo.Mode, after time.Duration) {
	w := newWorld(t, func() time.Duration { return latency })
	session := w.session(&echo.Options{Pace: echo.Pace{Mode: mode}})
	spoken := make(chan error, 1)
	var receipt echo.Receipt
	go func() {
		var err error
		receipt, err = session.Speak(t.Context(), echo.Speech{Samples: &noise{end: 400 * sampleRate}})
		spoken <- err
	}()
	if err := session.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	asked := time.Now()
	if err := session.Interrupt(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := <-spoken; !errors.Is(err, echo.ErrStopped) {
		t.Error(err)
	}
	_ = session.Close()
	report := w.close()
	times := w.server.MessageTimes()
	if len(report.Interrupts) != 1 {
		t.Fatalf("%d interrupts", len(report.Interrupts))
	}
	if late := times[len(times)-1].Sub(asked); late > latency {
		t.Errorf("on the wire after %v, with requests of %v", late, latency)
	}
	if receipt.Outcome != echo.Interrupted || receipt.Samples != report.Samples {
		t.Errorf("%d samples delivered; %+v", report.Samples, receipt)
	}
	if most := mostInAnyMinute(times); most > tavus.AppMessages {
		t.Errorf("%d requests in a minute", most)
	}
}

// Options that such a room cannot support are refused before a request is made.
func TestJoinRefuses(t *testing.T) {
	w := newWorld(t, nil)
	defer w.close()
	for name, c := range map[string]struct {
		address string
		options room.Options
		is      func(error) bool
	}{
		"no id":              {"tavus:", room.Options{}, isA[*room.AddressError]},
		"a path":             {"tavus:../pals", room.Options{}, isA[*room.AddressError]},
		"hearing":            {"tavus:c1", room.Options{Hear: true}, isA[*room.OptionError]},
		"a microphone":       {"tavus:c1", room.Options{Microphone: true}, isA[*room.OptionError]},
		"an avatar":          {"tavus:c1", room.Options{Avatar: "a"}, isA[*room.OptionError]},
		"two conversations":  {"tavus:c1", room.Options{Conversation: "c2"}, isA[*room.OptionError]},
		"too large messages": {"tavus:c1", room.Options{MaxMessage: 70000}, isA[*room.OptionError]},
	} {
		_, err := room.Join(t.Context(), c.address, withBackend(&c.options, w.backend))
		if !c.is(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := room.Join(t.Context(), "tavus:c1", nil); !isA[*room.CredentialError](err) {
		t.Errorf("without a key: %v", err)
	}
	if n := len(w.server.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
	if _, err := room.Join(t.Context(), "tavus:c1", withBackend(nil, w.backend)); !isA[*tavus.APIError](err) {
		t.Errorf("no such conversation: %v", err)
	}
	if err := w.backend.Client.EndConversation(t.Context(), w.id); err != nil {
		t.Fatal(err)
	}
	if _, err := room.Join(t.Context(), "tavus:"+w.id, withBackend(nil, w.backend)); !isA[*rest.EndedError](err) {
		t.Errorf("an ended conversation: %v", err)
	}
}

func isA[E error](err error) bool { _, ok := errors.AsType[E](err); return ok }

// Speech waits for the replica to join, and reports if it does not.
func TestWaitsForTheReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.server.AppMessages.JoinDelay = 7 * time.Second
		w.id = w.server.Add("another")
		session := w.session(&echo.Options{ReadyTimeout: 5 * time.Second})
		if _, err := session.Speak(t.Context(), echo.Speech{Samples: &noise{end: 100}}); !errors.Is(err, echo.ErrNotReady) {
			t.Error(err)
		}
		if _, err := session.Speak(t.Context(), echo.Speech{Samples: &noise{end: 100}}); err != nil {
			t.Error(err)
		}
		_ = session.Close()
		if report := w.close(); report.Samples != 100 {
			t.Errorf("%+v", report)
		}
	})
}

// A service that has a problem for a while, or is busy, is asked again; one that refuses is not.
func TestWaitsThroughProblemsOfTheService(t *testing.T) {
	for status, isTemporary := range map[int]bool{500: true, 503: true, 429: true, 401: false, 404: false} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			w.server.AppMessages.JoinDelay = time.Second
			w.id = w.server.Add("another")
			session := w.session(nil)
			w.server.Fail(tavustest.Fault{Method: "GET", Path: "/v2/conversations/" + w.id, Status: status, Times: 20})
			_, err := session.Speak(t.Context(), echo.Speech{Samples: &noise{end: 100}})
			if (err == nil) != isTemporary {
				t.Errorf("status %d: %v", status, err)
			}
			_ = session.Close()
			w.close()
		})
	}
}

// A Backend of a program that runs for years remembers few of its conversations. One that is
// joined again soon is no new one.
func TestPastConversationsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		joins := 0
		w.backend.OnJoin = func(tavus.Info) { joins++ }
		first, many := w.id, 1000
		for range many {
			for range 2 {
				_ = w.join(nil).Close()
			}
			w.id = w.server.Add("another")
		}
		if joins != many {
			t.Errorf("%d conversations were new, of %d", joins, many)
		}
		_ = w.join(nil).Close() // one too many: the first is forgotten
		w.id = first
		_ = w.join(nil).Close()
		if joins != many+2 {
			t.Errorf("%d conversations were new, of %d", joins, many+2)
		}
		w.close()
	})
}

// Other messages go the same way.
func TestMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		session := w.session(nil)
		if err := session.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, msg := range []echo.Message{echo.Respond{Text: "Hello."}, echo.AppendContext{Context: "It rains."},
			echo.Sensitivity{Pause: "low"}} {
			if err := session.Send(t.Context(), msg); err != nil {
				t.Errorf("%T: %v", msg, err)
			}
		}
		receipt, err := session.Say(t.Context(), echo.Words("Welcome."))
		if err != nil || receipt.Outcome != echo.Sent {
			t.Errorf("%+v, %v", receipt, err)
		}
		_ = session.Close()
		report := w.close()
		if len(report.Responds) != 1 || len(report.Contexts) != 1 || len(report.Sensitivities) != 1 ||
			report.ComplaintCount != 0 {
			t.Errorf("%+v", report)
		}
	})
}

// An interrupt sent as a message waits no longer than another: hundreds of short messages
// leave slots for it.
func TestInterruptMessageDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		session := w.session(nil)
		if err := session.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		for range 60 {
			if err := session.Send(t.Context(), echo.AppendContext{Context: "It rains."}); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		if err := session.Send(t.Context(), echo.Interrupt{}); err != nil || time.Since(start) > 0 {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		start = time.Now()
		if err := session.Send(t.Context(), echo.AppendContext{Context: "It rains."}); err != nil || time.Since(start) == 0 {
			t.Errorf("another message left after %v: %v", time.Since(start), err)
		}
		_ = session.Close()
		w.close()
	})
}

// events passes on what a replica says, as a receiver of webhooks does.
type events struct {
	all chan []byte
	// twice passes each on twice.
	twice bool
}

func (e *events) hook(_ string, event []byte) {
	e.all <- slices.Clone(event)
	if e.twice {
		e.all <- slices.Clone(event)
	}
}

func (e *events) ReceiveEvent(ctx context.Context, _ string) ([]byte, error) {
	select {
	case event := <-e.all:
		return event, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// If events arrive, receipts are by event.
func TestReceiptsByEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, jitter(4, 20*time.Millisecond, 200*time.Millisecond))
		received := &events{all: make(chan []byte, 1000), twice: true}
		w.server.AppMessages.Webhook = received.hook
		w.backend.Events = received
		session := w.session(nil)
		receipt, err := session.Speak(t.Context(), echo.Speech{Samples: &noise{end: 3 * sampleRate}})
		if err != nil || receipt.Outcome != echo.Finished || receipt.SpokenBy != echo.ByEvent || receipt.SpokenSeconds != 3 {
			t.Errorf("%+v, %v", receipt, err)
		}
		_ = session.Close()
		w.close()
	})
}

// Without events, the receipt comes when the replica has played everything.
func TestReceiptsByClockWaitForThePlayout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, jitter(5, 20*time.Millisecond, 200*time.Millisecond))
		session := w.session(nil)
		receipt, err := session.Speak(t.Context(), echo.Speech{Samples: &noise{end: 4 * sampleRate}})
		if err != nil || receipt.SpokenBy != echo.ByClock || receipt.SpokenSeconds != 4 ||
			receipt.Delivery != echo.Acknowledged {
			t.Errorf("%+v, %v", receipt, err)
		}
		_ = session.Close()
		if report := w.close(); report.PlayedSeconds != 4 {
			t.Errorf("%.3f s were played when Speak returned", report.PlayedSeconds)
		}
	})
}

func retryAfter(seconds string) http.Header { return http.Header{"Retry-After": {seconds}} }

func messagePath(id string) string { return "/v2/conversations/" + id + "/send-app-message" }

// The error of a refusal quotes the service.
func TestRefusalsQuoteTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		session := w.session(nil)
		w.server.Fail(tavustest.Fault{Path: messagePath(w.id), Skip: 1, Times: 1, Status: 413,
			Body: `{"error":"Request body exceeds 65536 bytes"}`})
		receipt, err := session.Speak(t.Context(), echo.Speech{Samples: &noise{end: 5 * sampleRate}})
		if !isA[*tavus.APIError](err) || errors.Is(err, echo.ErrLost) ||
			!strings.Contains(receipt.Error, "Request body exceeds 65536 bytes") {
			t.Errorf("%+v, %v", receipt, err)
		}
		_ = session.Close()
		if report := w.close(); len(report.Interrupts) != 1 || report.Samples != receipt.Samples {
			t.Errorf("%+v", report)
		}
	})
}

// userSpeaks is the event of a user who begins or stops to speak.
func userSpeaks(id, event string, seq int) []byte {
	return fmt.Appendf(nil, `{"message_type":"conversation","event_type":"conversation.%s_speaking","conversation_id":%q,`+
		`"seq":%d,"properties":{"role":"user"}}`, event, id, 1000+seq)
}

// With events, the user's speech interrupts the replica, and the utterance continues where it
// was heard.
func TestBargeInByEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func() time.Duration { return 100 * time.Millisecond })
		received := &events{all: make(chan []byte, 1000)}
		w.server.AppMessages.Webhook, w.backend.Events = received.hook, received
		var parts []echo.Receipt
		session := w.session(&echo.Options{BargeIn: true, Resume: true,
			OnReceipt: func(r echo.Receipt) { parts = append(parts, r) }})
		source := &rewindRecorder{noise: noise{end: 6 * sampleRate}}
		time.AfterFunc(3*time.Second, func() { received.all <- userSpeaks(w.id, "started", 1) })
		time.AfterFunc(4*time.Second, func() { received.all <- userSpeaks(w.id, "stopped", 2) })
		receipt, err := session.Speak(t.Context(), echo.Speech{Samples: source})
		if err != nil || receipt.Outcome != echo.Finished || receipt.SpokenBy != echo.ByEvent || len(parts) != 2 ||
			parts[0].Outcome != echo.Interrupted {
			t.Errorf("%+v, %v; %+v", receipt, err, parts)
		}
		_ = session.Close()
		report := w.close()
		heard := report.Utterances[0].PlayedSamples
		if len(source.from) != 1 || int64(source.from[0]) > heard || int64(source.from[0]) < heard-sampleRate {
			t.Errorf("%d samples were heard, and it went on at %v", heard, source.from)
		}
	})
}

// Without events, a pause continues at a position that the replica has surely reached.
func TestPauseByClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, jitter(8, 20*time.Millisecond, 300*time.Millisecond))
		session := w.session(nil)
		source := &rewindRecorder{noise: noise{end: 6 * sampleRate}}
		spoken := make(chan error, 1)
		go func() {
			_, err := session.Speak(t.Context(), echo.Speech{Samples: source})
			spoken <- err
		}()
		time.Sleep(3 * time.Second)
		if err := session.Pause(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		session.Resume()
		if err := <-spoken; err != nil {
			t.Error(err)
		}
		_ = session.Close()
		report := w.close()
		heard := report.Utterances[0].PlayedSamples
		if len(source.from) != 1 || int64(source.from[0]) > heard || int64(source.from[0]) < heard-sampleRate {
			t.Errorf("%d samples were heard, and it went on at %v", heard, source.from)
		}
	})
}

// All requests of an utterance use one connection, one after the other.
func TestOneConnection(t *testing.T) {
	w := newWorld(t, func() time.Duration { return 20 * time.Millisecond })
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(w.server)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	w.backend.Client.BaseURL, w.backend.Client.HTTP = server.URL, server.Client()
	session := w.session(&echo.Options{SkipHeard: true})
	if receipt, err := session.Speak(testwait.Context(t), echo.Speech{Samples: &noise{end: 2 * sampleRate}}); err != nil ||
		receipt.Chunks != 4 {
		t.Errorf("%+v, %v", receipt, err)
	}
	_ = session.Close()
	w.close()
	if n := connections.Load(); n != 1 || len(w.server.Complaints()) != 0 {
		t.Errorf("%d connections; %v", n, w.server.Complaints())
	}
}

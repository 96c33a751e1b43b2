package echo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"echocast/chunker"
)

// room is a Conn. The test is its far end.
type room struct {
	in   chan []byte // to the session
	stop chan struct{}
	once sync.Once

	mu   sync.Mutex
	got  []sentMessage
	hook func(m sentMessage) // called for each message, without mu
	raw  func(msg []byte)    // called for each message as it stands
	fail error               // of Send
	full chan struct{}       // while not nil, Send blocks until it is closed
}

// sentMessage is a message as the far end reads it.
type sentMessage struct {
	EventType  string `json:"event_type"`
	Properties struct {
		Audio       []byte `json:"audio"`
		InferenceID string `json:"inference_id"`
		Done        bool   `json:"done"`
	} `json:"properties"`
	at time.Time
}

func (m sentMessage) interrupts() bool { return m.EventType == "conversation.interrupt" }

func newRoom() *room { return &room{in: make(chan []byte, 100), stop: make(chan struct{})} }

func (r *room) Send(ctx context.Context, msg []byte) error {
	r.mu.Lock()
	full, fail := r.full, r.fail
	r.mu.Unlock()
	if full != nil {
		select {
		case <-full:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if fail != nil {
		return fail
	}
	var m sentMessage
	if err := json.Unmarshal(msg, &m); err != nil {
		return err
	}
	m.at = time.Now()
	if r.raw != nil {
		r.raw(msg)
	}
	r.mu.Lock()
	r.got = append(r.got, m)
	hook := r.hook
	r.mu.Unlock()
	if hook != nil {
		hook(m)
	}
	return nil
}

func (r *room) Receive(ctx context.Context) ([]byte, error) {
	select {
	case msg := <-r.in:
		return msg, nil
	case <-r.stop:
		return nil, io.EOF
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (r *room) hangUp() { r.once.Do(func() { close(r.stop) }) }

func (r *room) say(format string, args ...any) { r.in <- fmt.Appendf(nil, format, args...) }

func (r *room) join() { r.say(`{"message_type":"system","event_type":"system.pal_joined"}`) }

func (r *room) started(id string) {
	for _, role := range []string{"pal", "replica"} {
		r.say(`{"event_type":"conversation.started_speaking","inference_id":%q,"properties":{"role":%q}}`, id, role)
	}
}

func (r *room) stopped(id string, seconds float64, interrupted bool) {
	for _, role := range []string{"pal", "replica"} {
		r.say(`{"event_type":"conversation.stopped_speaking","inference_id":%q,"properties":{"role":%q,"duration":%g,`+
			`"interrupted":%v}}`, id, role, seconds, interrupted)
	}
}

func (r *room) messages() []sentMessage {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// speech counts what arrived of the only utterance there is.
func (r *room) speech(t *testing.T) (samples, done, interrupts int, id string) {
	t.Helper()
	for _, m := range r.messages() {
		if m.interrupts() {
			interrupts++
			continue
		}
		if interrupts > 0 {
			t.Error("a chunk came after the interrupt")
		}
		if done > 0 {
			t.Error("a chunk came after done")
		}
		if id != "" && id != m.Properties.InferenceID {
			t.Errorf("the id changed from %s to %s", id, m.Properties.InferenceID)
		}
		id = m.Properties.InferenceID
		samples += len(m.Properties.Audio) / 2
		if m.Properties.Done {
			done++
		}
	}
	return samples, done, interrupts, id
}

// playReceived makes the far end play the audio that it receives: it starts 100 ms after the first
// chunk and stops when all was played. ids are changed by rename.
func (r *room) playReceived(rename func(string) string) {
	var samples int
	var begin time.Time
	r.hook = func(m sentMessage) {
		if m.interrupts() {
			samples = 0
			return
		}
		id := rename(m.Properties.InferenceID)
		if samples == 0 {
			begin = time.Now()
			time.AfterFunc(100*time.Millisecond, func() { r.started(id) })
		}
		samples += len(m.Properties.Audio) / 2
		if m.Properties.Done {
			length := durationOf(int64(samples), testRate)
			samples = 0
			time.AfterFunc(time.Until(begin.Add(100*time.Millisecond+length)), func() { r.stopped(id, length.Seconds(), false) })
		}
	}
}

// sendHeartbeats lets the replica report twice a second that it is present, for half a minute.
func (r *room) sendHeartbeats() {
	go func() {
		for range 60 {
			select {
			case <-time.After(500 * time.Millisecond):
				r.say(`{"message_type":"system","event_type":"system.pal_present"}`)
			case <-r.stop:
				return
			}
		}
	}()
}

func sameID(id string) string { return id }

// silent is a source of n samples, and then err.
type silent struct {
	n   int
	err error
}

func (s *silent) ReadSamples(p []float32) (int, error) {
	if s.n == 0 {
		return 0, s.err
	}
	n := min(len(p), s.n)
	clear(p[:n])
	s.n -= n
	return n, nil
}

// inRoom runs f in fake time with a session in a room where the replica has
// joined, and closes both.
func inRoom(t *testing.T, options *Options, f func(t *testing.T, r *room, s *Session)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom()
		s, err := NewSession(NewMessages(r, "c1", 0), options)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r.join()
		if err := s.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		f(t, r, s)
	})
}

func TestSpeak(t *testing.T) {
	for name, rename := range map[string]func(string) string{
		"same id":            sameID,
		"MD5 as a UUID":      func(id string) string { return eventIDs(id)[1] },
		"version 3":          func(id string) string { return eventIDs(id)[2] },
		"version 4":          func(id string) string { return eventIDs(id)[3] },
		"unknown derivation": func(id string) string { return "x" + id },
		"no id":              func(string) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
				r.playReceived(rename)
				const n = 3*testRate + 17
				receipt, err := s.Speak(t.Context(), Speech{Samples: &silent{n, io.EOF}, Name: "three seconds"})
				if err != nil {
					t.Fatal(err)
				}
				samples, done, interrupts, id := r.speech(t)
				if samples != n || done != 1 || interrupts != 0 {
					t.Errorf("%d samples, %d done, %d interrupts arrived", samples, done, interrupts)
				}
				want := Receipt{
					InferenceID: id, Source: "three seconds", Outcome: Finished, Samples: n, SentSeconds: 3.000708333,
					Chunks: 61, Bytes: receipt.Bytes, FirstMessageSeconds: 0, FirstAudioSeconds: 0.1,
					SpokenSeconds: 3.000708333, SpokenBy: ByEvent, HeardSamples: n, UnderrunsBy: ByClock, GapsBy: ByEvent,
					LeadSeconds: receipt.LeadSeconds, Delivery: Heard, AcknowledgedSamples: -1,
				}
				if receipt != want {
					t.Errorf("receipt\n%+v, want\n%+v", receipt, want)
				}
			})
		})
	}
}

func TestUtterancesFollowEachOther(t *testing.T) {
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		r.playReceived(sameID)
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if receipt, err := s.Speak(t.Context(), Speech{Samples: &silent{testRate, io.EOF}}); err != nil ||
					receipt.Outcome != Finished {
					t.Errorf("%v, %+v", err, receipt)
				}
			})
		}
		all.Wait()
		seen := map[string]bool{}
		last := ""
		for _, m := range r.messages() {
			if id := m.Properties.InferenceID; id != last {
				if seen[id] {
					t.Errorf("id %s comes back", id)
				}
				seen[id], last = true, id
			}
		}
		if len(seen) != 5 {
			t.Errorf("%d ids for 5 utterances", len(seen))
		}
	})
}

// Events of a finished utterance may arrive late, under an unknown id. They do not count for
// the next one.
func TestLateEventsOfEarlierUtterances(t *testing.T) {
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		strange := func(id string) string { return "x" + id }
		r.playReceived(strange)
		first, err := s.Speak(t.Context(), Speech{Samples: &silent{testRate, io.EOF}})
		if err != nil {
			t.Fatal(err)
		}
		play := r.hook
		r.hook = func(m sentMessage) {
			r.started(strange(first.InferenceID))
			r.stopped(strange(first.InferenceID), 1, false)
			play(m)
		}
		second, err := s.Speak(t.Context(), Speech{Samples: &silent{3 * testRate, io.EOF}})
		if err != nil || second.SpokenSeconds != 3 || second.FirstAudioSeconds != 0.1 {
			t.Errorf("%v, %+v", err, second)
		}
	})
}

func TestNothingIsSentToAnEmptyRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom()
		s, err := NewSession(NewMessages(r, "c1", 0), &Options{ReadyTimeout: 7 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r.say(`{"event_type":"conversation.started_speaking","properties":{"role":"user"}}`) // is no replica
		start := time.Now()
		if err := s.WaitReady(t.Context()); !errors.Is(err, ErrNotReady) || time.Since(start) != 7*time.Second {
			t.Errorf("after %v: %v, want ErrNotReady after 7 s", time.Since(start), err)
		}
		r.hangUp()
		if err := s.WaitReady(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("in a room that closed: %v, want ErrLost", err)
		}
	})
}

func TestNoAudio(t *testing.T) {
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		receipt, err := s.Speak(t.Context(), Speech{Samples: &silent{0, io.EOF}})
		if !errors.Is(err, ErrNoAudio) || receipt.Outcome != Failed || len(r.messages()) != 0 {
			t.Errorf("%v, %+v, %d messages", err, receipt, len(r.messages()))
		}
	})
}

// A broken input ends with an interrupt, and never with done.
func TestBrokenInput(t *testing.T) {
	broke := errors.New("the disk is gone")
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		r.hook = func(m sentMessage) {
			if m.interrupts() {
				time.AfterFunc(300*time.Millisecond, func() { r.stopped("whatever", 0.4, true) })
			} else if len(r.messages()) == 1 {
				r.started("whatever")
			}
		}
		start := time.Now()
		receipt, err := s.Speak(t.Context(), Speech{Samples: &silent{10*testRate + 5, broke}})
		if !errors.Is(err, broke) || receipt.Outcome != Interrupted {
			t.Errorf("%v, %+v", err, receipt)
		}
		samples, done, interrupts, _ := r.speech(t)
		if samples != 10*testRate || done != 0 || interrupts != 1 {
			t.Errorf("%d samples, %d done, %d interrupts arrived", samples, done, interrupts)
		}
		if receipt.SpokenSeconds != 0.4 || receipt.SpokenBy != ByEvent {
			t.Errorf("spoken %v by %s", receipt.SpokenSeconds, receipt.SpokenBy)
		}
		if took := time.Since(start); took != 9*time.Second+300*time.Millisecond-50*time.Millisecond {
			t.Errorf("it took %v", took)
		}
	})
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) { // before anything was sent
		_, err := s.Speak(t.Context(), Speech{Samples: &silent{100, broke}})
		if !errors.Is(err, broke) || len(r.messages()) != 0 {
			t.Errorf("%v, %d messages", err, len(r.messages()))
		}
	})
}

// blockedSource delivers n samples and then blocks until it is released.
type blockedSource struct {
	silent
	release chan struct{}
}

func (b *blockedSource) ReadSamples(p []float32) (int, error) {
	if b.n == 0 {
		<-b.release
	}
	return b.silent.ReadSamples(p)
}

// Whatever Speak waits for (its pace, a stalled input, or the playback), an interrupt leaves
// at once.
func TestInterruptIsImmediate(t *testing.T) {
	for name, c := range map[string]struct {
		seconds int
		hangs   bool
	}{"while pacing": {600, false}, "while the input hangs": {1, true}, "while being heard": {4, false}} {
		for _, byCall := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s by call %v", name, byCall), func(t *testing.T) {
				inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
					testInterrupt(t, r, s, c.seconds, c.hangs, byCall)
				})
			})
		}
	}
}

// Abort ends a read that hangs.
func TestAbortEndsHangingRead(t *testing.T) {
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		src := &blockedSource{silent{testRate, io.EOF}, make(chan struct{})}
		time.AfterFunc(4*time.Second, r.hangUp)
		start := time.Now()
		_, err := s.Speak(t.Context(), Speech{Samples: src, Abort: func() { close(src.release) }})
		if !errors.Is(err, ErrLost) || time.Since(start) != 4*time.Second {
			t.Errorf("%v after %v, want ErrLost after 4 s", err, time.Since(start))
		}
	})
}

func testInterrupt(t *testing.T, r *room, s *Session, seconds int, hangs, byCall bool) {
	why := errors.New("barge-in")
	const at, answer = 3500 * time.Millisecond, 150 * time.Millisecond
	r.hook = func(m sentMessage) {
		if m.interrupts() {
			time.AfterFunc(answer, func() { r.stopped("", 3, true) })
		} else if len(r.messages()) == 1 {
			r.started("")
		}
	}
	src := &blockedSource{silent{seconds * testRate, io.EOF}, make(chan struct{})}
	if !hangs {
		close(src.release)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	start := time.Now()
	time.AfterFunc(at, func() {
		if !byCall {
			cancel(why)
		} else if err := s.Interrupt(t.Context(), why); err != nil || time.Since(start) != at+answer {
			t.Errorf("Interrupt returned %v after %v, want %v", err, time.Since(start), at+answer)
		}
	})
	if hangs {
		time.AfterFunc(at+time.Second, func() { close(src.release) })
	}
	receipt, err := s.Speak(ctx, Speech{Samples: src})
	if !errors.Is(err, why) || receipt.Outcome != Interrupted || receipt.SpokenSeconds != 3 {
		t.Errorf("%v, %+v", err, receipt)
	}
	messages := r.messages()
	last := messages[len(messages)-1]
	if !last.interrupts() || last.at.Sub(start) != at {
		t.Errorf("the last message is %s, at %v, want an interrupt at %v", last.EventType, last.at.Sub(start), at)
	}
	r.speech(t)
}

// A peer that accepts nothing blocks the chunk and the interrupt; both end after a limit.
func TestInterruptOfAStuckPeerIsBounded(t *testing.T) {
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		r.hook = func(sentMessage) {
			r.mu.Lock()
			r.full = make(chan struct{})
			r.mu.Unlock()
		}
		time.AfterFunc(5*time.Second, func() { _ = s.Interrupt(t.Context(), nil) })
		start := time.Now()
		receipt, err := s.Speak(t.Context(), Speech{Samples: &silent{60 * testRate, io.EOF}})
		if !errors.Is(err, ErrStopped) || time.Since(start) != 7*time.Second {
			t.Errorf("%v after %v, want ErrStopped after 5 s + 2 s", err, time.Since(start))
		}
		if receipt.SpokenBy != ByClock {
			t.Errorf("spoken by %s", receipt.SpokenBy)
		}
	})
}

func TestInterruptWithoutAnAnswerIsBounded(t *testing.T) {
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		time.AfterFunc(1500*time.Millisecond, func() { _ = s.Interrupt(t.Context(), nil) })
		start := time.Now()
		receipt, err := s.Speak(t.Context(), Speech{Samples: &silent{60 * testRate, io.EOF}})
		if !errors.Is(err, ErrStopped) || time.Since(start) != 3500*time.Millisecond {
			t.Errorf("%v after %v, want ErrStopped after 1.5 s + 2 s", err, time.Since(start))
		}
		// Playback by the clock: it plays since 100 ms were there, 25 ms in.
		if receipt.SpokenBy != ByClock || receipt.SpokenSeconds != 1.475 {
			t.Errorf("spoken %v by %s, want 1.475 by clock", receipt.SpokenSeconds, receipt.SpokenBy)
		}
	})
}

func TestInterruptedBySomebodyElse(t *testing.T) {
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		r.hook = func(m sentMessage) {
			switch n := len(r.messages()); n {
			case 1:
				r.started(m.Properties.InferenceID)
			case 40:
				r.stopped(m.Properties.InferenceID, 0.9, true)
			}
		}
		receipt, err := s.Speak(t.Context(), Speech{Samples: &silent{60 * testRate, io.EOF}})
		if !errors.Is(err, ErrInterrupted) || receipt.Outcome != Interrupted || receipt.SpokenSeconds != 0.9 {
			t.Errorf("%v, %+v", err, receipt)
		}
		if _, done, interrupts, _ := r.speech(t); done != 0 || interrupts != 0 {
			t.Errorf("%d done, %d interrupts arrived", done, interrupts)
		}
	})
}

func TestNoEventsAtAll(t *testing.T) {
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		start := time.Now()
		receipt, err := s.Speak(t.Context(), Speech{Samples: &silent{2 * testRate, io.EOF}})
		if !errors.Is(err, ErrUnverified) || receipt.Outcome != Unverified || receipt.SpokenBy != ByClock ||
			receipt.SpokenSeconds != 2 {
			t.Errorf("%v, %+v", err, receipt)
		}
		// All is sent after 1 s less a chunk; it plays until 2.025 s.
		if took := time.Since(start); took != 7025*time.Millisecond {
			t.Errorf("gave up after %v, want 7.025 s", took)
		}
		if _, _, interrupts, _ := r.speech(t); interrupts != 0 {
			t.Error("an utterance that was sent whole was interrupted")
		}
	})
}

func TestSpokenDurationDiffersFromSent(t *testing.T) {
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		r.hook = func(m sentMessage) {
			if m.Properties.Done {
				r.started(m.Properties.InferenceID)
				r.stopped(m.Properties.InferenceID, 1.2, false)
			}
		}
		receipt, err := s.Speak(t.Context(), Speech{Samples: &silent{2 * testRate, io.EOF}})
		if !errors.Is(err, ErrUnverified) || receipt.SpokenSeconds != 1.2 || !strings.Contains(err.Error(), "2.000 s") {
			t.Errorf("%v, %+v", err, receipt)
		}
	})
}

// A stop before the last chunk means that the replica ran out of audio, not that the utterance
// ended.
func TestStopBeforeLastChunkIsUnderrun(t *testing.T) {
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		r.hook = func(m sentMessage) {
			id := m.Properties.InferenceID
			switch n := len(r.messages()); {
			case n == 5:
				r.started(id)
				r.stopped(id, 0.25, false)
			case n == 10:
				r.started(id)
			case m.Properties.Done:
				r.stopped(id, 1.75, false)
			}
		}
		receipt, err := s.Speak(t.Context(), Speech{Samples: &silent{2 * testRate, io.EOF}})
		if err != nil || receipt.SpokenSeconds != 2 {
			t.Errorf("%v, %+v", err, receipt)
		}
	})
}

func TestLostConnection(t *testing.T) {
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		time.AfterFunc(1500*time.Millisecond, r.hangUp)
		start := time.Now()
		receipt, err := s.Speak(t.Context(), Speech{Samples: &silent{60 * testRate, io.EOF}})
		if !errors.Is(err, ErrLost) || !errors.Is(err, io.EOF) || receipt.Outcome != Failed ||
			time.Since(start) != 1500*time.Millisecond {
			t.Errorf("%v after %v, %+v", err, time.Since(start), receipt)
		}
		if _, err := s.Speak(t.Context(), Speech{Samples: &silent{60, io.EOF}}); !errors.Is(err, ErrLost) {
			t.Errorf("afterwards: %v, want ErrLost", err)
		}
	})
	broke := errors.New("broken pipe")
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		r.fail = broke
		if _, err := s.Speak(t.Context(), Speech{Samples: &silent{60, io.EOF}}); !errors.Is(err, ErrLost) ||
			!errors.Is(err, broke) {
			t.Errorf("a send that fails: %v, want ErrLost", err)
		}
	})
}

// After a shutdown event the room accepts no more, whatever the connection does.
func TestShutdown(t *testing.T) {
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		time.AfterFunc(time.Second, func() {
			r.say(`{"message_type":"system","event_type":"system.shutdown","properties":{"shutdown_reason":"max_call_duration ` +
				`reached"}}`)
		})
		start := time.Now()
		_, err := s.Speak(t.Context(), Speech{Samples: &silent{60 * testRate, io.EOF}})
		if !errors.Is(err, ErrLost) || time.Since(start) != time.Second {
			t.Errorf("%v after %v, want ErrLost after 1 s", err, time.Since(start))
		}
	})
	synctest.Test(t, func(t *testing.T) { // before the replica has joined
		r := newRoom()
		s, err := NewSession(NewMessages(r, "c1", 0), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r.say(`{"message_type":"system","event_type":"system.shutdown"}`)
		start := time.Now()
		if err := s.WaitReady(t.Context()); !errors.Is(err, ErrLost) || time.Since(start) != 0 {
			t.Errorf("%v after %v, want ErrLost at once", err, time.Since(start))
		}
	})
}

func TestCloseEndsAll(t *testing.T) {
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		time.AfterFunc(time.Second, func() { _ = s.Close() })
		if _, err := s.Speak(t.Context(), Speech{Samples: &silent{60 * testRate, io.EOF}}); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("a second Close: %v", err)
		}
		if err := s.Interrupt(t.Context(), nil); err != nil {
			t.Errorf("an interrupt without an utterance: %v", err)
		}
	})
}

func TestSessionRefuses(t *testing.T) {
	for _, options := range []*Options{{Chunk: 100 * time.Millisecond}, {Pace: Pace{Mode: "slow"}},
		{Pace: Pace{MaxRate: 3}}} {
		if _, err := NewSession(NewMessages(newRoom(), "c1", 0), options); err == nil {
			t.Errorf("%+v was accepted", options)
		}
	}
	if _, err := NewSession(NewMessages(newRoom(), "c1", 100), nil); err == nil {
		t.Error("a limit of 100 bytes was accepted")
	}
}

// After a pause, progress begins at the position where the utterance continues. A source that
// has no audio yet is waited for.
func TestProgressOfAPausedUtterance(t *testing.T) {
	inRoom(t, &Options{Resume: true}, func(t *testing.T, r *room, s *Session) {
		r.playReceived(sameID)
		r.obeyAfter(100*time.Millisecond, 2)
		source := &stalling{Source: silence(10), at: 8 * testRate, stall: 3 * time.Second}
		feed := NewFeed(source, FeedOptions{Keep: 5 * time.Second})
		defer feed.Close()
		time.AfterFunc(2*time.Second, func() { _ = s.Pause(t.Context()) })
		time.AfterFunc(5*time.Second, s.Resume)
		var at []Progress
		for _, d := range []time.Duration{1500, 4000, 6000, 11000} {
			time.AfterFunc(d*time.Millisecond, func() { at = append(at, s.Progress()) })
		}
		if _, err := s.Speak(t.Context(), Speech{Samples: feed, Abort: feed.Abort}); err != nil {
			t.Fatal(err)
		}
		for i, want := range []Progress{
			{State: Speaking},
			{State: Paused},
			{State: Speaking, Begin: 2 * time.Second},
			{State: Speaking, Begin: 2 * time.Second, AwaitsInput: true},
		} {
			if got := at[i]; got.State != want.State || got.Begin != want.Begin || got.AwaitsInput != want.AwaitsInput {
				t.Errorf("%d: %+v, want %+v", i, got, want)
			}
		}
	})
}

// stalling is a source that stalls once, at a given sample.
type stalling struct {
	chunker.Source
	at    int
	stall time.Duration
}

func (s *stalling) ReadSamples(p []float32) (int, error) {
	if s.at <= 0 {
		time.Sleep(s.stall)
		s.stall = 0
	} else {
		p = p[:min(len(p), s.at)]
	}
	n, err := s.Source.ReadSamples(p)
	s.at -= n
	return n, err
}

func TestProgress(t *testing.T) {
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		r.playReceived(sameID)
		var states []State
		watch := time.NewTicker(40 * time.Millisecond)
		defer watch.Stop()
		spoken := make(chan struct{})
		go func() {
			defer close(spoken)
			_, _ = s.Speak(t.Context(), Speech{Samples: &silent{testRate, io.EOF}})
		}()
		for {
			select {
			case <-watch.C:
				p := s.Progress()
				if len(states) == 0 || states[len(states)-1] != p.State {
					states = append(states, p.State)
				}
				continue
			case <-spoken:
			}
			break
		}
		if want := []State{Sending, Speaking}; !slices.Equal(states, want) {
			t.Errorf("states %v, want %v", states, want)
		}
		if p := s.Progress(); p != (Progress{State: Idle}) {
			t.Errorf("afterwards %+v", p)
		}
	})
}

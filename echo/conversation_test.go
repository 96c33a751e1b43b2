package echo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// silence returns a source of n seconds of silence.
func silence(n float64) *silent { return &silent{int(n * testRate), io.EOF} }

// obeyAfter makes the far end obey an interrupt after a while.
func (r *room) obeyAfter(after time.Duration, spoken float64) {
	play := r.hook
	var id string
	r.hook = func(m sentMessage) {
		if play != nil {
			play(m)
		}
		if !m.interrupts() {
			id = m.Properties.InferenceID
			return
		}
		was := id
		time.AfterFunc(after, func() { r.stopped(was, spoken, true) })
	}
}

// user makes the user begin or end to speak.
func (r *room) user(what string) {
	r.say(`{"event_type":"conversation.%s_speaking","properties":{"role":"user"}}`, what)
}

// spoken is the outcome of one Speak in a test.
type spoken struct {
	receipt Receipt
	err     error
}

func speakLater(t *testing.T, s *Session, all *sync.WaitGroup, speech Speech) *spoken {
	var result spoken
	all.Go(func() { result.receipt, result.err = s.Speak(t.Context(), speech) })
	synctest.Wait() // it has its place in the line
	return &result
}

func TestQueuePolicies(t *testing.T) {
	for policy, want := range map[QueuePolicy][3]error{
		QueueWait:    {nil, nil, nil},
		QueueReplace: {ErrReplaced, ErrReplaced, nil},
		QueueReject:  {nil, ErrBusy, ErrBusy},
	} {
		t.Run(string(policy), func(t *testing.T) {
			inRoom(t, &Options{Queue: policy}, func(t *testing.T, r *room, s *Session) {
				r.playReceived(sameID)
				r.obeyAfter(50*time.Millisecond, 0.5)
				var all sync.WaitGroup
				var results []*spoken
				for range 3 {
					results = append(results, speakLater(t, s, &all, Speech{Samples: silence(4)}))
				}
				all.Wait()
				for i, result := range results {
					if !errors.Is(result.err, want[i]) || want[i] == nil && result.err != nil {
						t.Errorf("utterance %d: %v, want %v", i+1, result.err, want[i])
					}
				}
			})
		})
	}
}

func TestQueueIsBounded(t *testing.T) {
	inRoom(t, &Options{MaxQueue: 2}, func(t *testing.T, r *room, s *Session) {
		r.playReceived(sameID)
		var all sync.WaitGroup
		for range 3 {
			speakLater(t, s, &all, Speech{Samples: silence(1)})
		}
		if _, err := s.Speak(t.Context(), Speech{Samples: silence(1)}); !errors.Is(err, ErrBusy) {
			t.Errorf("the fourth: %v, want ErrBusy", err)
		}
		if p := s.Progress(); p.Waiting != 2 {
			t.Errorf("%d wait, want 2", p.Waiting)
		}
		all.Wait()
	})
}

func TestGap(t *testing.T) {
	inRoom(t, &Options{Gap: 700 * time.Millisecond}, func(t *testing.T, r *room, s *Session) {
		r.playReceived(sameID)
		var stopped, begun time.Time
		for range 2 {
			begun = time.Now()
			receipt, err := s.Speak(t.Context(), Speech{Samples: silence(1)})
			if err != nil {
				t.Fatal(err)
			}
			if !stopped.IsZero() && receipt.FirstMessageSeconds != 0 {
				t.Errorf("the first message took %v s", receipt.FirstMessageSeconds)
			}
			stopped = time.Now()
		}
		if took := stopped.Sub(begun); took != 1800*time.Millisecond {
			t.Errorf("the second took %v, want a gap of 700 ms and 1.1 s", took)
		}
	})
}

// An interrupt drops the waiting utterances. Later ones are spoken.
func TestInterruptDropsTheQueue(t *testing.T) {
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		r.playReceived(sameID)
		r.obeyAfter(50*time.Millisecond, 0.5)
		var all sync.WaitGroup
		var results []*spoken
		for range 4 {
			results = append(results, speakLater(t, s, &all, Speech{Samples: silence(10)}))
		}
		time.Sleep(2 * time.Second)
		if err := s.Interrupt(t.Context(), nil); err != nil {
			t.Error(err)
		}
		all.Wait()
		for i, result := range results {
			if !errors.Is(result.err, ErrStopped) || result.receipt.Outcome != Interrupted {
				t.Errorf("utterance %d: %v, %s", i+1, result.err, result.receipt.Outcome)
			}
		}
		if receipt, err := s.Speak(t.Context(), Speech{Samples: silence(1)}); err != nil || receipt.Outcome != Finished {
			t.Errorf("the next: %v, %+v", err, receipt)
		}
	})
}

// A source that hangs blocks its own Speak, and not the next one.
func TestHangingSourceDoesNotBlockQueue(t *testing.T) {
	inRoom(t, &Options{Queue: QueueReplace}, func(t *testing.T, r *room, s *Session) {
		r.playReceived(sameID)
		r.obeyAfter(50*time.Millisecond, 0.5)
		src := &blockedSource{*silence(1), make(chan struct{})}
		var all sync.WaitGroup
		first := speakLater(t, s, &all, Speech{Samples: src})
		time.Sleep(3 * time.Second)
		start := time.Now()
		if _, err := s.Speak(t.Context(), Speech{Samples: silence(1)}); err != nil ||
			time.Since(start) != 1150*time.Millisecond {
			t.Errorf("%v after %v, want 50 ms to interrupt, 100 ms to begin and 1 s", err, time.Since(start))
		}
		close(src.release)
		all.Wait()
		if !errors.Is(first.err, ErrReplaced) {
			t.Errorf("the first: %v", first.err)
		}
	})
}

func TestBargeIn(t *testing.T) {
	inRoom(t, &Options{BargeIn: true}, func(t *testing.T, r *room, s *Session) {
		r.playReceived(sameID)
		r.obeyAfter(80*time.Millisecond, 1.4)
		start := time.Now()
		time.AfterFunc(1500*time.Millisecond, func() { r.user("started") })
		receipt, err := s.Speak(t.Context(), Speech{Samples: silence(60)})
		if !errors.Is(err, ErrBargeIn) || receipt.Outcome != Interrupted || receipt.SpokenSeconds != 1.4 ||
			receipt.SpokenBy != ByEvent {
			t.Errorf("%v, %+v", err, receipt)
		}
		sent := r.messages()
		if last := sent[len(sent)-1]; !last.interrupts() || last.at.Sub(start) != 1500*time.Millisecond {
			t.Errorf("the interrupt left at %v", last.at.Sub(start))
		}
	})
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) { // only when it is asked for
		r.playReceived(sameID)
		time.AfterFunc(1500*time.Millisecond, func() { r.user("started") })
		if _, err := s.Speak(t.Context(), Speech{Samples: silence(3)}); err != nil {
			t.Error(err)
		}
	})
}

// said is the ids that were spoken, and how many samples of each.
func said(r *room) (ids []string, samples []int) {
	for _, m := range r.messages() {
		if m.interrupts() {
			continue
		}
		if id := m.Properties.InferenceID; len(ids) == 0 || ids[len(ids)-1] != id {
			ids, samples = append(ids, id), append(samples, 0)
		}
		samples[len(samples)-1] += len(m.Properties.Audio) / 2
	}
	return ids, samples
}

// A resumed utterance has several ids and one content.
func TestResume(t *testing.T) {
	for name, interrupt := range map[string]func(t *testing.T, r *room, s *Session){
		"after a barge-in": func(t *testing.T, r *room, s *Session) {
			time.AfterFunc(2*time.Second, func() { r.user("started") })
			time.AfterFunc(5*time.Second, func() { r.user("stopped") })
		},
		"after a pause": func(t *testing.T, r *room, s *Session) {
			time.AfterFunc(2*time.Second, func() { _ = s.Pause(t.Context()) })
			time.AfterFunc(5*time.Second, s.Resume)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var receipts []Receipt
			options := &Options{BargeIn: true, Resume: true, OnReceipt: func(r Receipt) { receipts = append(receipts, r) }}
			inRoom(t, options, func(t *testing.T, r *room, s *Session) {
				r.playReceived(sameID)
				r.obeyAfter(100*time.Millisecond, 2)
				feed := NewFeed(silence(10), FeedOptions{Keep: 5 * time.Second})
				defer feed.Close()
				interrupt(t, r, s)
				start := time.Now()
				receipt, err := s.Speak(t.Context(), Speech{Samples: feed, Abort: feed.Abort})
				if err != nil || receipt.Outcome != Finished {
					t.Fatalf("%v, %+v", err, receipt)
				}
				ids, samples := said(r)
				if len(ids) != 2 || samples[1] != 8*testRate {
					t.Fatalf("%d utterances of %v samples, want a second of 8 s", len(ids), samples)
				}
				if len(receipts) != 2 || receipts[1] != receipt || receipt.Resumes != receipts[0].InferenceID ||
					receipts[0].Outcome != Interrupted {
					t.Errorf("receipts %+v", receipts)
				}
				if took := time.Since(start); took != 13100*time.Millisecond {
					t.Errorf("it took %v, want 5 s, 100 ms and 8 s", took)
				}
			})
		})
	}
}

// If the event that the user stopped is lost, the replica does not stay silent.
func TestResumeWithoutUserStoppedEvent(t *testing.T) {
	inRoom(t, &Options{BargeIn: true, Resume: true}, func(t *testing.T, r *room, s *Session) {
		r.playReceived(sameID)
		r.obeyAfter(0, 1)
		feed := NewFeed(silence(5), FeedOptions{Keep: 5 * time.Second})
		defer feed.Close()
		time.AfterFunc(time.Second, func() { r.user("started") })
		if _, err := s.Speak(t.Context(), Speech{Samples: feed, Abort: feed.Abort}); err != nil {
			t.Error(err)
		}
	})
}

func TestPauseOfUnrewindableSource(t *testing.T) {
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		r.playReceived(sameID)
		time.AfterFunc(time.Second, func() { _ = s.Pause(t.Context()) })
		time.AfterFunc(9*time.Second, s.Resume)
		if receipt, err := s.Speak(t.Context(), Speech{Samples: silence(5)}); !errors.Is(err, ErrPaused) ||
			receipt.Outcome != Interrupted {
			t.Errorf("%v, %+v", err, receipt)
		}
	})
}

// No utterance begins during a pause, also if it began while the utterance waited for the
// replica.
func TestPauseBeforeTheReplicaJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoom()
		r.playReceived(sameID)
		s, err := NewSession(NewMessages(r, "c1", 0), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		time.AfterFunc(time.Second, func() { _ = s.Pause(t.Context()) })
		time.AfterFunc(2*time.Second, r.join)
		time.AfterFunc(5*time.Second, func() {
			if ids, _ := said(r); len(ids) > 0 {
				t.Error("an utterance began during the pause")
			}
			s.Resume()
		})
		start := time.Now()
		if _, err := s.Speak(t.Context(), Speech{Samples: silence(1)}); err != nil || time.Since(start) < 6*time.Second {
			t.Errorf("spoken after %v: %v", time.Since(start), err)
		}
	})
}

// rooms is what Redial finds: one room after the other.
type rooms struct {
	next []*room
	fail int // calls that fail before the next succeeds
	at   []time.Time
}

func (r *rooms) redial(context.Context) (Stage, error) {
	r.at = append(r.at, time.Now())
	if r.fail > 0 {
		r.fail--
		return nil, errors.New("no route")
	}
	if len(r.next) == 0 {
		return nil, errors.New("no room")
	}
	room := r.next[0]
	r.next = r.next[1:]
	time.AfterFunc(300*time.Millisecond, room.join)
	return NewMessages(room, "c1", 0), nil
}

func TestLossPolicies(t *testing.T) {
	for policy, want := range map[ReconnectPolicy]struct {
		err    error
		fewest int // samples in the second room
		most   int
	}{
		ReconnectAbandon: {ErrLost, 0, 0},
		ReconnectRestart: {nil, 10 * testRate, 10 * testRate},
		ReconnectResume:  {nil, 10*testRate - 2900*testRate/1000, 10*testRate - 2100*testRate/1000},
	} {
		t.Run(string(policy), func(t *testing.T) {
			dial := &rooms{fail: 2}
			var receipts []Receipt
			options := &Options{OnLoss: policy, Redial: dial.redial,
				OnReceipt: func(r Receipt) { receipts = append(receipts, r) }}
			inRoom(t, options, func(t *testing.T, r *room, s *Session) {
				second := newRoom()
				second.playReceived(sameID)
				dial.next = []*room{second}
				r.playReceived(sameID)
				r.sendHeartbeats()
				time.AfterFunc(3*time.Second, r.hangUp)
				feed := NewFeed(silence(10), FeedOptions{Keep: 20 * time.Second})
				defer feed.Close()
				receipt, err := s.Speak(t.Context(), Speech{Samples: feed, Abort: feed.Abort})
				if !errors.Is(err, want.err) || want.err == nil && err != nil {
					t.Fatalf("%v, want %v", err, want.err)
				}
				if receipts[0].Outcome != Failed || receipts[0].SpokenBy != ByClock || receipts[0].SpokenSeconds != 2.975 {
					t.Errorf("the receipt of the loss: %+v", receipts[0])
				}
				if _, samples := said(second); want.most > 0 && (len(samples) != 1 || samples[0] < want.fewest ||
					samples[0] > want.most) {
					t.Errorf("the second room heard %v samples, want %d to %d", samples, want.fewest, want.most)
				}
				if want.err == nil && (receipt.Outcome != Finished || receipt.Resumes != receipts[0].InferenceID) {
					t.Errorf("%+v", receipt)
				}
				// The room is there for what comes next.
				if receipt, err := s.Speak(t.Context(), Speech{Samples: silence(1)}); err != nil || receipt.Outcome != Finished {
					t.Errorf("the next: %v, %+v", err, receipt)
				}
				for i, pause := range []time.Duration{500 * time.Millisecond, time.Second} {
					if gap := dial.at[i+1].Sub(dial.at[i]); gap < pause*3/4 || gap > pause*5/4 {
						t.Errorf("the pause %d was %v, want %v and a quarter either way", i+1, gap, pause)
					}
				}
			})
		})
	}
}

func TestRedialTimeout(t *testing.T) {
	dial := &rooms{}
	inRoom(t, &Options{OnLoss: ReconnectResume, Redial: dial.redial, RedialTimeout: 20 * time.Second},
		func(t *testing.T, r *room, s *Session) {
			time.AfterFunc(3*time.Second, r.hangUp)
			feed := NewFeed(silence(10), FeedOptions{Keep: 20 * time.Second})
			defer feed.Close()
			start := time.Now()
			_, err := s.Speak(t.Context(), Speech{Samples: feed, Abort: feed.Abort})
			if !errors.Is(err, ErrNotRejoined) || time.Since(start) != 23*time.Second {
				t.Errorf("%v after %v, want ErrNotRejoined after 3 s + 20 s", err, time.Since(start))
			}
			if _, err := s.Speak(t.Context(), Speech{Samples: silence(1)}); !errors.Is(err, ErrNotRejoined) {
				t.Errorf("afterwards: %v", err)
			}
		})
}

// A peer that accepts no more messages is lost, even if no error says so.
func TestStuckPeerIsLost(t *testing.T) {
	dial := &rooms{}
	for _, policy := range []ReconnectPolicy{ReconnectAbandon, ReconnectResume} {
		inRoom(t, &Options{OnLoss: policy, Redial: dial.redial}, func(t *testing.T, r *room, s *Session) {
			second := newRoom()
			second.playReceived(sameID)
			dial.next = []*room{second}
			r.hook = func(sentMessage) {
				if len(r.messages()) == 30 {
					r.mu.Lock()
					r.full = make(chan struct{})
					r.mu.Unlock()
				}
			}
			feed := NewFeed(silence(10), FeedOptions{Keep: 20 * time.Second})
			defer feed.Close()
			receipt, err := s.Speak(t.Context(), Speech{Samples: feed, Abort: feed.Abort})
			if policy == ReconnectAbandon && (!errors.Is(err, ErrLost) || receipt.Chunks != 30) {
				t.Errorf("%v, %+v", err, receipt)
			}
			if policy == ReconnectResume && (err != nil || receipt.Outcome != Finished) {
				t.Errorf("%v, %+v", err, receipt)
			}
		})
	}
}

// After a loss, the repetition waits for the new connection, even if nothing waits for the
// replica.
func TestRepeatWaitsForReconnect(t *testing.T) {
	dial := &rooms{fail: 3}
	receipts := 0
	options := &Options{OnLoss: ReconnectRestart, Redial: dial.redial, SkipReady: true,
		OnReceipt: func(Receipt) { receipts++ }}
	inRoom(t, options, func(t *testing.T, r *room, s *Session) {
		second := newRoom()
		second.playReceived(sameID)
		dial.next = []*room{second}
		time.AfterFunc(time.Second, r.hangUp)
		feed := NewFeed(silence(3), FeedOptions{Keep: 20 * time.Second})
		defer feed.Close()
		receipt, err := s.Speak(t.Context(), Speech{Samples: feed, Abort: feed.Abort})
		if err != nil || receipt.Outcome != Finished || receipts != 2 {
			t.Errorf("%v, %+v, %d receipts", err, receipt, receipts)
		}
	})
}

// If a replica breaks at the same position each time, the session stops reconnecting after
// some attempts. If it makes progress, the session continues.
func TestRepeatedLossesAreLimited(t *testing.T) {
	for _, policy := range []ReconnectPolicy{ReconnectRestart, ReconnectResume} {
		for at, ends := range map[int]bool{10: false, 60: true} { // messages until it breaks; whether it is said to its end
			dial, receipts := &rooms{}, 0
			options := &Options{OnLoss: policy, Redial: dial.redial, OnReceipt: func(Receipt) { receipts++ }}
			inRoom(t, options, func(t *testing.T, r *room, s *Session) {
				breaks := func(r *room, after int) {
					r.playReceived(sameID)
					play := r.hook
					r.hook = func(m sentMessage) {
						play(m)
						if len(r.messages())%10 == 0 {
							r.say(`{"message_type":"system","event_type":"system.pal_present"}`)
						}
						if len(r.messages()) == after {
							r.hangUp()
						}
					}
				}
				breaks(r, at)
				after := at
				for range 20 {
					if policy == ReconnectRestart && at > 10 {
						after += 40 // it gets further each time
					}
					next := newRoom()
					breaks(next, after)
					dial.next = append(dial.next, next)
				}
				feed := NewFeed(silence(8), FeedOptions{Keep: 20 * time.Second})
				defer feed.Close()
				receipt, err := s.Speak(t.Context(), Speech{Samples: feed, Abort: feed.Abort})
				if ends != (err == nil) || !ends && receipts != mostLosses {
					t.Errorf("%s, %d messages: %v, %d receipts, %+v", policy, at, err, receipts, receipt)
				}
			})
		}
	}
}

// Without Redial, nothing is repeated.
func TestStuckPeerWithoutRedial(t *testing.T) {
	receipts := 0
	inRoom(t, &Options{OnLoss: ReconnectRestart, OnReceipt: func(Receipt) { receipts++ }},
		func(t *testing.T, r *room, s *Session) {
			r.full = make(chan struct{})
			feed := NewFeed(silence(3), FeedOptions{Keep: 20 * time.Second})
			defer feed.Close()
			if _, err := s.Speak(t.Context(), Speech{Samples: feed, Abort: feed.Abort}); !errors.Is(err, ErrLost) ||
				receipts != 1 {
				t.Errorf("%v, %d receipts", err, receipts)
			}
		})
}

// unacknowledgedRoom is a room with a fixed number of unacknowledged bytes.
type unacknowledgedRoom struct {
	*room
	waiting int
}

func (a *unacknowledgedRoom) Unacknowledged() int { return a.waiting }

func TestDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &unacknowledgedRoom{newRoom(), 8000} // two messages and a part of a third
		s, err := NewSession(NewMessages(r, "c1", 0), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		r.join()
		time.AfterFunc(1500*time.Millisecond, r.hangUp)
		receipt, err := s.Speak(t.Context(), Speech{Samples: silence(10)})
		if !errors.Is(err, ErrLost) || receipt.Delivery != Accepted ||
			receipt.AcknowledgedSamples != receipt.Samples-3*testRate/20 {
			t.Errorf("%v, %+v", err, receipt)
		}
	})
}

func TestEventsIterator(t *testing.T) {
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		events := s.Events(t.Context())
		r.say(`{"event_type":"conversation.new_thing","seq":1}`)
		r.user("started")
		time.AfterFunc(time.Second, r.hangUp)
		var types []string
		var last error
		for event, err := range events {
			last = err
			if err == nil {
				types = append(types, event.Type)
			}
		}
		if want := []string{"system.pal_joined", "conversation.new_thing",
			"conversation.started_speaking"}; !slices.Equal(types, want) || !errors.Is(last, ErrLost) {
			t.Errorf("%v, then %v", types, last)
		}
		for _, err := range s.Events(t.Context()) {
			if !errors.Is(err, ErrLost) {
				t.Errorf("of a session that is over: %v", err)
			}
		}
	})
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) { // who asks first gets what came before
		for seq := range 2*mostBacklog + 2 {
			r.say(`{"event_type":"conversation.new_thing","seq":%d}`, seq)
		}
		synctest.Wait()
		early, later := s.Events(t.Context()), s.Events(t.Context())
		r.hangUp()
		seq := int64(mostBacklog + 2)
		for event, err := range early {
			if err == nil && event.Seq != seq {
				t.Fatalf("seq %d, want %d", event.Seq, seq)
			}
			if seq++; err != nil && seq != 2*mostBacklog+3 {
				t.Errorf("%v at seq %d", err, seq)
			}
		}
		for event, err := range later {
			if err == nil {
				t.Errorf("the second reader got seq %d", event.Seq)
			}
		}
	})
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) { // nobody reads
		events := s.Events(t.Context())
		for range mostEvents + 1 {
			r.user("stopped")
		}
		synctest.Wait()
		n := 0
		for _, err := range events {
			if n++; err != nil && !errors.Is(err, ErrSlow) {
				t.Error(err)
			}
		}
		if n != mostEvents+1 {
			t.Errorf("%d pairs, want %d events and ErrSlow", n, mostEvents)
		}
	})
}

// If ids have no known form, late events of an abandoned utterance must not make each later
// one end with the events of the one before it.
func TestLateEventsDoNotShiftUtterances(t *testing.T) {
	inRoom(t, &Options{HeardTimeout: time.Second}, func(t *testing.T, r *room, s *Session) {
		n, late := 0, 3*time.Second // the first utterance is answered late
		r.hook = func(m sentMessage) {
			if !m.Properties.Done {
				return
			}
			n++
			id, delay := fmt.Sprintf("own-%d", n), time.Duration(0)
			if n == 1 {
				delay = late
			}
			time.AfterFunc(delay+100*time.Millisecond, func() { r.started(id) })
			time.AfterFunc(delay+2*time.Second, func() { r.stopped(id, 2, false) })
		}
		if _, err := s.Speak(t.Context(), Speech{Samples: silence(2)}); !errors.Is(err, ErrUnverified) {
			t.Errorf("the first: %v", err)
		}
		for i := range 5 {
			start := time.Now()
			receipt, err := s.Speak(t.Context(), Speech{Samples: silence(2)})
			if err != nil || time.Since(start) < 2*time.Second {
				t.Errorf("utterance %d: %v after %v, %+v", i+2, err, time.Since(start), receipt)
			}
		}
	})
}

// The error says why the room has ended.
func TestErrorHasEndReason(t *testing.T) {
	for msg, want := range map[string]string{
		`{"message_type":"system","event_type":"system.shutdown",` +
			`"properties":{"shutdown_reason":"participant_left_timeout"}}`: "the connection was lost: the room " +
			"was shut down (participant left timeout)",
		`{"message_type":"system","event_type":"system.shutdown",` +
			`"properties":{"shutdown_reason":"\u001b[2Jgone"}}`: "the connection was lost: the room was shut down ([2Jgone)",
		`{"message_type":"system",` +
			`"event_type":"system.shutdown"}`: "the connection was lost: the room was shut down",
		`{"event_type":"conversation.left","properties":{"role":"pal",` +
			`"reason":"ejected"}}`: "the connection was lost: the replica left the room (ejected)",
	} {
		inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
			time.AfterFunc(time.Second, func() { r.say("%s", msg) })
			if _, err := s.Speak(t.Context(), Speech{Samples: silence(5)}); !errors.Is(err, ErrLost) || err.Error() != want {
				t.Errorf("%s: %v, want %s", msg, err, want)
			}
		})
	}
}

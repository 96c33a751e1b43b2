package echo

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"echocast/chunker"
	"echocast/internal/testwait"
)

// dyingRoom is a room whose replica plays the audio that arrives, sends events, acknowledges
// messages, and crashes. Audio that it has not played by then is lost; the sender notices it later.
type dyingRoom struct {
	*room
	acknowledges bool
	late         time.Duration // of a message on its way
	preBuffer    time.Duration // that arrive before it plays
	lose         float64       // share of its events that are lost

	mu       sync.Mutex
	chance   *rand.Rand
	dead     bool
	sent     int // bytes
	acked    int // bytes
	id       string
	arrived  int64 // samples of id
	base     int64 // samples of id played before the run
	running  bool
	since    time.Time        // when the run began
	recorded map[string]int64 // samples played, by id
}

func newDyingRoom(chance *rand.Rand) *dyingRoom {
	m := &dyingRoom{
		room: newRoom(), acknowledges: chance.IntN(2) == 0,
		late:      time.Duration(1+chance.IntN(120)) * time.Millisecond,
		preBuffer: time.Duration(100+chance.IntN(80)) * time.Millisecond,
		lose:      max(0, chance.Float64()-0.6),
		chance:    rand.New(rand.NewPCG(chance.Uint64(), 0)), recorded: map[string]int64{},
	}
	m.in = make(chan []byte, 10000)
	m.raw = func(msg []byte) {
		m.mu.Lock()
		m.sent += len(msg)
		m.mu.Unlock()
	}
	m.hook = func(msg sentMessage) {
		size := m.sentSoFar()
		time.AfterFunc(m.late, func() { m.take(msg, size) })
	}
	return m
}

func (m *dyingRoom) sentSoFar() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sent
}

// live lets the replica join, and die after lifetime; 0: never. The connection
// ends a while later.
func (m *dyingRoom) live(lifetime, unnoticed time.Duration) {
	m.join()
	go func() {
		for {
			select {
			case <-time.After(time.Second):
				m.mu.Lock()
				m.sendEvent(`{"message_type":"system","event_type":"system.pal_present"}`)
				m.mu.Unlock()
			case <-m.stop:
				return
			}
		}
	}()
	if lifetime == 0 {
		return
	}
	time.AfterFunc(lifetime, func() {
		m.mu.Lock()
		m.recorded[m.id] = m.played()
		m.dead = true
		m.mu.Unlock()
	})
	time.AfterFunc(lifetime+unnoticed, m.hangUp)
}

// played is how much of id was played by now.
func (m *dyingRoom) played() int64 {
	if m.dead {
		return m.recorded[m.id]
	}
	if !m.running {
		return m.base
	}
	return min(m.arrived, m.base+samplesOf(time.Since(m.since), testRate))
}

// sendEvent sends an event, if the replica lives and chance does not lose the event.
func (m *dyingRoom) sendEvent(format string, args ...any) {
	if m.dead || m.chance.Float64() < m.lose {
		return
	}
	late := m.late + time.Duration(m.chance.IntN(100))*time.Millisecond
	time.AfterFunc(late, func() { m.say(format, args...) })
}

func (m *dyingRoom) take(msg sentMessage, size int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return
	}
	time.AfterFunc(m.late, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.acked = max(m.acked, size)
	})
	if msg.interrupts() {
		m.end(true)
		return
	}
	if id := msg.Properties.InferenceID; id != m.id {
		m.id, m.arrived, m.base, m.running = id, 0, 0, false
	}
	if m.running && m.played() == m.arrived { // it ran dry
		m.base, m.running = m.arrived, false
	}
	m.arrived += int64(len(msg.Properties.Audio) / 2)
	done := msg.Properties.Done
	if !m.running && (done || durationOf(m.arrived-m.base, testRate) >= m.preBuffer) {
		m.running, m.since = true, time.Now()
		if m.base == 0 {
			m.sendEvent(`{"event_type":"conversation.started_speaking","inference_id":%q,"properties":{"role":"pal"}}`, m.id)
		}
	}
	if done {
		id := m.id
		time.AfterFunc(durationOf(m.arrived-m.played(), testRate), func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.id == id {
				m.end(false)
			}
		})
	}
}

func (m *dyingRoom) end(interrupted bool) {
	if m.id == "" || m.dead {
		return
	}
	n := m.played()
	m.recorded[m.id] = n
	m.sendEvent(`{"event_type":"conversation.stopped_speaking","inference_id":%q,"properties":{"role":"pal",`+
		`"duration":%g,"interrupted":%v}}`,
		m.id, durationOf(n, testRate).Seconds(), interrupted)
	m.id = ""
}

// stage is a stage over the room; only some acknowledge.
func (m *dyingRoom) stage() Stage {
	if m.acknowledges {
		return NewMessages(acknowledgingDyingRoom{m}, "c1", 0)
	}
	return NewMessages(m, "c1", 0)
}

type acknowledgingDyingRoom struct{ *dyingRoom }

func (a acknowledgingDyingRoom) Unacknowledged() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.sent - a.acked
}

// rewindRecorder is a source that records where each utterance continues.
type rewindRecorder struct {
	Rewinder
	base []int64
}

func (r *rewindRecorder) Rewind(position int64) (int64, error) {
	moved, err := r.Rewinder.Rewind(position)
	r.base = append(r.base, r.base[len(r.base)-1]+moved)
	return moved, err
}

var _ chunker.Source = (*rewindRecorder)(nil)

// After all losses and pauses, the repetition begins at or before the position that the
// replica had really played, so nothing is skipped. Receipts never overstate what was heard,
// and never understate what may have been spoken.
func TestRepeatSkipsNothingUnheard(t *testing.T) {
	for seed := range uint64(testwait.Trials(1500)) {
		synctest.Test(t, func(t *testing.T) { loseAndResume(t, seed) })
		if t.Failed() {
			return
		}
	}
}

func loseAndResume(t *testing.T, seed uint64) {
	chance := rand.New(rand.NewPCG(seed, 181))
	length := int64(1+chance.IntN(8)) * testRate
	rooms := []*dyingRoom{}
	next := func() *dyingRoom {
		m := newDyingRoom(chance)
		rooms = append(rooms, m)
		lifetime := time.Duration(0)
		if len(rooms) <= 3 {
			lifetime = time.Duration(1+chance.IntN(6000)) * time.Millisecond
		}
		m.live(lifetime, time.Duration(chance.IntN(8000))*time.Millisecond)
		return m
	}
	var receipts []Receipt
	s, err := NewSession(next().stage(), &Options{
		Rate: testRate, OnLoss: ReconnectResume,
		Redial:    func(context.Context) (Stage, error) { return next().stage(), nil },
		OnReceipt: func(r Receipt) { receipts = append(receipts, r) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = s.Close()
		for _, m := range rooms {
			m.hangUp()
		}
	}()
	if chance.IntN(2) == 0 {
		time.AfterFunc(time.Duration(chance.IntN(6000))*time.Millisecond, func() {
			_ = s.Pause(context.Background())
			time.Sleep(time.Second)
			s.Resume()
		})
	}
	feed := NewFeed(&silent{int(length), io.EOF}, FeedOptions{Rate: testRate, Keep: time.Minute})
	defer feed.Close()
	source := &rewindRecorder{feed, []int64{0}}
	_, err = s.Speak(context.Background(), Speech{Samples: source, Abort: feed.Abort})
	if err != nil && !errors.Is(err, ErrUnverified) && !errors.Is(err, ErrLost) {
		t.Errorf("seed %d: %v", seed, err)
	}
	compareWithRecorded(t, seed, rooms, receipts, source.base)
}

func compareWithRecorded(t *testing.T, seed uint64, rooms []*dyingRoom, receipts []Receipt, base []int64) {
	t.Helper()
	recorded := func(id string) int64 {
		for _, m := range rooms {
			m.mu.Lock()
			n, ok := m.recorded[id]
			if id == m.id {
				n, ok = m.played(), true
			}
			m.mu.Unlock()
			if ok {
				return n
			}
		}
		return 0
	}
	for i, r := range receipts {
		heard := recorded(r.InferenceID)
		if r.HeardSamples > heard {
			t.Errorf("seed %d: %d samples of %+v were heard", seed, heard, r)
		}
		if r.SpokenAtMost && durationOf(heard, testRate).Seconds() > r.SpokenSeconds+0.05 {
			t.Errorf("seed %d: %d samples of %+v were heard: more than at most", seed, heard, r)
		}
		if i+1 < len(base) && base[i+1] > base[i]+heard {
			t.Errorf("seed %d: it continues at %d, and was heard from %d to %d: %+v", seed, base[i+1], base[i], base[i]+heard, r)
		}
	}
}

// A replica that stalls shows it only by the time between its start and stop events.
func TestGapsByEvents(t *testing.T) {
	for name, c := range map[string]struct {
		events    [][2]any // milliseconds after the first chunk, and what it says
		gap       float64
		underruns int
		by        string
	}{
		"no stall":       {[][2]any{{100, "start"}, {3100, 3.0}}, 0, 0, ByClock},
		"late events":    {[][2]any{{100, "start"}, {3250, 3.0}}, 0, 0, ByClock},
		"a stall":        {[][2]any{{100, "start"}, {3851, 3.0}}, 0.751, 1, ByEvent},
		"it ran dry":     {[][2]any{{100, "start"}, {1100, 1.0}, {1600, "start"}, {3600, 2.0}}, 0.5, 1, ByEvent},
		"it lost starts": {[][2]any{{3851, 3.0}}, 0, 0, ByClock},
	} {
		t.Run(name, func(t *testing.T) {
			inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
				r.hook = func(m sentMessage) {
					r.hook = nil
					for _, e := range c.events {
						time.AfterFunc(time.Duration(e[0].(int))*time.Millisecond, func() {
							if seconds, stops := e[1].(float64); stops {
								r.stopped(m.Properties.InferenceID, seconds, false)
								return
							}
							r.started(m.Properties.InferenceID)
						})
					}
				}
				receipt, err := s.Speak(t.Context(), Speech{Samples: silence(3)})
				if err != nil || receipt.Outcome != Finished {
					t.Fatalf("%v, %+v", err, receipt)
				}
				if diff := receipt.GapSeconds - c.gap; diff < -0.01 || diff > 0.01 || receipt.Underruns != c.underruns ||
					receipt.UnderrunsBy != c.by {
					t.Errorf("%+v", receipt)
				}
			})
		})
	}
}

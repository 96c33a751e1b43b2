package echo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"echocast/internal/testwait"
)

// unreliableRoom is a room whose far end plays what it gets, and whose events and
// connection fail by chance.
type unreliableRoom struct {
	*room
	own       bool // its ids have nothing to do with ours
	lose      float64
	twice     float64
	late      time.Duration // events come up to so much later, and overtake one another
	hangUpAt  int           // message at which the connection breaks; 0: never
	stuckAt   int           // message after which nothing is taken any more
	stuckFor  time.Duration // 0: for good
	otherAt   int           // message at which somebody else interrupts
	shutsDown bool          // the room says that it is over before it breaks

	mu      sync.Mutex
	chance  *rand.Rand
	n       int
	id      string // being played
	dead    string // interrupted: its later chunks are dropped
	samples int
	begun   time.Time
	end     *time.Timer // of the playing
}

func newUnreliableRoom(chance *rand.Rand) *unreliableRoom {
	f := &unreliableRoom{
		room: newRoom(), chance: rand.New(rand.NewPCG(chance.Uint64(), 0)),
		own: chance.IntN(3) == 0, late: time.Duration(chance.IntN(4)) * 200 * time.Millisecond,
	}
	f.in = make(chan []byte, 10000)
	for _, share := range []*float64{&f.lose, &f.twice} {
		*share = max(0, chance.Float64()-0.4)
	}
	for _, at := range []*int{&f.hangUpAt, &f.stuckAt, &f.otherAt} {
		if chance.IntN(3) == 0 {
			*at = 1 + chance.IntN(120)
		}
	}
	f.stuckFor = time.Duration(chance.IntN(3)) * 4 * time.Second
	f.shutsDown = chance.IntN(6) == 0
	f.hook = f.take
	time.AfterFunc(time.Duration(chance.IntN(3))*time.Second, f.join)
	return f
}

// sendEvent sends an event, unless chance loses it.
func (f *unreliableRoom) sendEvent(kind, id, role string, seconds float64, interrupted bool) {
	if f.own && id != "" {
		id = "own-" + id
	}
	msg := fmt.Appendf(nil, `{"event_type":"conversation.%s_speaking","inference_id":%q,"properties":{"role":%q,`+
		`"duration":%g,"interrupted":%v}}`, kind, id, role, seconds, interrupted)
	for range 2 { // twins
		if f.chance.Float64() < f.lose {
			continue
		}
		times := 1
		if f.chance.Float64() < f.twice {
			times = 2
		}
		for range times {
			time.AfterFunc(time.Duration(f.chance.Int64N(int64(f.late)+1)), func() { f.in <- msg })
		}
	}
}

// take is the far end's part.
func (f *unreliableRoom) take(m sentMessage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	f.failByChance()
	id := m.Properties.InferenceID
	switch {
	case m.interrupts():
		f.stop()
		return
	case id == f.dead:
		return
	case id != f.id:
		f.id, f.samples, f.begun = id, 0, time.Now().Add(100*time.Millisecond)
		f.sendEvent("started", id, "pal", 0, false)
	}
	if f.samples += len(m.Properties.Audio) / 2; m.Properties.Done {
		length := durationOf(int64(f.samples), testRate)
		f.end = time.AfterFunc(time.Until(f.begun.Add(length)), func() {
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.id == id {
				f.sendEvent("stopped", id, "pal", length.Seconds(), false)
				f.id = ""
			}
		})
	}
	if f.n == f.otherAt {
		f.stop()
	}
}

func (f *unreliableRoom) stop() {
	if f.id == "" {
		return
	}
	played := min(max(time.Since(f.begun), 0), durationOf(int64(f.samples), testRate))
	f.sendEvent("stopped", f.id, "pal", played.Seconds(), true)
	f.dead, f.id = f.id, ""
}

func (f *unreliableRoom) failByChance() {
	if f.n == f.hangUpAt {
		if f.shutsDown {
			f.say(`{"message_type":"system","event_type":"system.shutdown"}`)
		}
		f.hangUp()
	}
	if f.n != f.stuckAt {
		return
	}
	full := make(chan struct{})
	f.room.mu.Lock()
	f.full = full
	f.room.mu.Unlock()
	if f.stuckFor > 0 {
		time.AfterFunc(f.stuckFor, func() { close(full) })
	}
}

// broken reports whether an interrupt may have been lost, or was not needed.
func (f *unreliableRoom) broken() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, at := range []int{f.hangUpAt, f.stuckAt, f.otherAt} {
		if 0 < at && at <= f.n {
			return true
		}
	}
	return false
}

// trial is a session and all that happens to it, by chance.
type trial struct {
	chance   *rand.Rand
	dialled  *rand.Rand // chance of the listener's goroutine
	session  *Session
	mu       sync.Mutex
	rooms    []*unreliableRoom
	receipts map[string][]Receipt // by the name of the utterance
}

// redial finds a few rooms, and then none any more.
func (r *trial) redial(context.Context) (Stage, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dialled.IntN(3) == 0 || len(r.rooms) > 3 {
		return nil, errors.New("no room")
	}
	next := newUnreliableRoom(r.dialled)
	r.rooms = append(r.rooms, next)
	return NewMessages(next, "c1", 0), nil
}

func (r *trial) options() *Options {
	pick := r.chance.IntN
	o := &Options{
		Queue:    []QueuePolicy{QueueWait, QueueReplace, QueueReject}[pick(3)],
		OnLoss:   []ReconnectPolicy{ReconnectAbandon, ReconnectRestart, ReconnectResume}[pick(3)],
		MaxQueue: 1 + pick(8), Gap: time.Duration(pick(2)) * 300 * time.Millisecond,
		BargeIn: pick(2) == 0, Resume: pick(2) == 0, SkipHeard: pick(4) == 0, SkipReady: pick(6) == 0,
		RedialTimeout: 20 * time.Second,
		OnReceipt: func(receipt Receipt) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.receipts[receipt.Source] = append(r.receipts[receipt.Source], receipt)
		},
	}
	if pick(4) > 0 {
		o.Redial = r.redial
	}
	return o
}

// speakRandom speaks an utterance of a random kind, and returns its receipt.
func (r *trial) speakRandom(name string, kind, length, limit int) (Receipt, error) {
	ctx := context.Background()
	if limit > 0 {
		limited, cancel := context.WithTimeout(ctx, time.Duration(limit)*time.Second)
		defer cancel()
		ctx = limited
	}
	source := &silent{length * testRate / 4, io.EOF}
	switch kind {
	case 0:
		return r.session.Say(ctx, Text{Pieces: Words("Hello there").Pieces, Name: name})
	case 1:
		source.err = errors.New("the input broke")
	case 2:
		source.n = 0
	case 3, 4, 5:
		feed := NewFeed(source, FeedOptions{Keep: time.Minute})
		defer feed.Close()
		return r.session.Speak(ctx, Speech{Samples: feed, Name: name, Abort: feed.Abort})
	}
	return r.session.Speak(ctx, Speech{Samples: source, Name: name})
}

// disturb lets users speak and programs interrupt for a while.
func (r *trial) disturb(all *sync.WaitGroup) {
	r.mu.Lock()
	first := r.rooms[0]
	r.mu.Unlock()
	for range r.chance.IntN(6) {
		at, what := time.Duration(r.chance.IntN(20_000))*time.Millisecond, r.chance.IntN(4)
		all.Go(func() {
			time.Sleep(at)
			switch what {
			case 0:
				_ = r.session.Interrupt(context.Background(), nil)
			case 1:
				_ = r.session.Pause(context.Background())
				time.Sleep(3 * time.Second)
				r.session.Resume()
			case 2:
				first.user("started")
				time.Sleep(2 * time.Second)
				first.user("stopped")
			case 3:
				first.user("started") // and nothing tells that it has ended
			}
		})
	}
}

// longestTrial bounds all waits of one: no utterance waits for ever.
const longestTrial = 30 * time.Minute

// Whatever is lost, repeated, late, interrupted, paused or broken, by whatever policy: each
// utterance ends, and has one receipt for each of its parts. The last receipt is what the call
// returned. What receipts say about sent messages is true.
func TestEveryUtteranceHasAReceipt(t *testing.T) {
	for seed := range uint64(testwait.Trials(1500)) {
		synctest.Test(t, func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("that was seed %d", seed)
				}
			}()
			newTrial(t, seed).run(t)
		})
		if t.Failed() {
			return
		}
	}
}

func newTrial(t *testing.T, seed uint64) *trial {
	r := &trial{chance: rand.New(rand.NewPCG(seed, 3)), dialled: rand.New(rand.NewPCG(seed, 4)),
		receipts: map[string][]Receipt{}}
	first := newUnreliableRoom(r.chance)
	r.rooms = []*unreliableRoom{first}
	session, err := NewSession(NewMessages(first, "c1", 0), r.options())
	if err != nil {
		t.Fatal(err)
	}
	r.session = session
	return r
}

func (r *trial) run(t *testing.T) {
	began := time.Now()
	var all sync.WaitGroup
	r.disturb(&all)
	for i := range 1 + r.chance.IntN(8) {
		name, at := fmt.Sprint("utterance ", i), time.Duration(r.chance.IntN(8000))*time.Millisecond
		kind, length, limit := r.chance.IntN(8), 1+r.chance.IntN(20), max(0, r.chance.IntN(30)-15)
		all.Go(func() {
			time.Sleep(at)
			receipt, err := r.speakRandom(name, kind, length, limit)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.compare(t, name, receipt, err)
		})
	}
	all.Wait()
	if took := time.Since(began); took > longestTrial {
		t.Errorf("it took %v", took)
	}
	if p := r.session.Progress(); p.State != Idle || p.Waiting != 0 {
		t.Errorf("afterwards %+v", p)
	}
	_ = r.session.Close()
	for _, room := range r.rooms {
		room.hangUp()
	}
	r.wire(t)
}

// compare holds the receipts of an utterance against what its call returned.
func (r *trial) compare(t *testing.T, name string, returned Receipt, err error) {
	receipts := r.receipts[name]
	if len(receipts) == 0 || receipts[len(receipts)-1] != returned {
		t.Errorf("%s: the receipts %+v do not end with %+v", name, receipts, returned)
		return
	}
	good := returned.Outcome == Finished || returned.Outcome == Sent
	if good != (err == nil) || good != (returned.Error == "") {
		t.Errorf("%s: %v, and the receipt %+v", name, err, returned)
	}
	earlier := ""
	for _, receipt := range receipts {
		if receipt.Resumes != earlier {
			t.Errorf("%s: %+v continues from %q", name, receipts, earlier)
		}
		earlier = receipt.InferenceID
	}
}

// onWire is what the room received of an id.
type onWire struct {
	samples, chunks, done int
	after                 int // chunks after done, or after an interrupt
	over                  bool
	stopped               bool // by an interrupt before done
	room                  *unreliableRoom
}

// wire compares the receipts with the messages that the rooms received: done is on the last chunk
// of an id, no chunk follows an interrupt, and no id has two receipts.
func (r *trial) wire(t *testing.T) {
	came := map[string]*onWire{}
	for _, room := range r.rooms {
		for _, m := range room.messages() {
			id := m.Properties.InferenceID
			if m.interrupts() {
				for _, w := range came {
					w.stopped = w.stopped || !w.over && w.room == room
					w.over = true
				}
				continue
			}
			if came[id] == nil {
				came[id] = &onWire{room: room}
			}
			w := came[id]
			if w.over {
				w.after++
			}
			w.chunks++
			w.samples += len(m.Properties.Audio) / 2
			if m.Properties.Done {
				w.done, w.over = w.done+1, true
			}
		}
	}
	for _, receipts := range r.receipts {
		for _, receipt := range receipts {
			if receipt.InferenceID == "" {
				continue
			}
			w := came[receipt.InferenceID]
			if w == nil {
				w = &onWire{}
			}
			delete(came, receipt.InferenceID)
			whole := receipt.Outcome == Finished || receipt.Outcome == Sent || receipt.Outcome == Unverified
			if w.after > 0 || w.done > 1 || whole && w.done != 1 || int64(w.samples) != receipt.Samples ||
				w.chunks != receipt.Chunks {
				t.Errorf("%+v came of %+v", *w, receipt)
			}
			broke := strings.Contains(receipt.Error, "the input broke")
			if w.done == 1 && broke {
				t.Errorf("a broken input was done: %+v", receipt)
			}
			if broke && w.chunks > 0 && !w.stopped && !w.room.broken() {
				t.Errorf("a broken input was not interrupted: %+v", receipt)
			}
		}
	}
	for id, w := range came {
		t.Errorf("%+v came under %s, which has no receipt", *w, id)
	}
}

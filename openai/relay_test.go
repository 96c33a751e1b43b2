package openai_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/openai"
	"echocast/playout"
	"echocast/replica"
	"echocast/room"
	"echocast/room/roomtest"
)

func TestMain(m *testing.M) { testwait.RunAndFindLeaks(m) }

// pipe is one end of a WebSocket in memory. When the other end is closed, Write fails a little
// before Read tells the goodbye, as with the library.
type pipe struct {
	in, out chan []byte
	closed  chan struct{} // of both ends
	close   func()
}

// goodbye is what a pipe is closed with.
var goodbye = websocket.CloseError{Code: 4001, Reason: "no credit is left"}

func newPipe() (a, b *pipe) {
	there, back, closed := make(chan []byte, 4096), make(chan []byte, 4096), make(chan struct{})
	end := sync.OnceFunc(func() { close(closed) })
	return &pipe{there, back, closed, end}, &pipe{back, there, closed, end}
}

func (p *pipe) Read(context.Context) (websocket.MessageType, []byte, error) {
	select {
	case data := <-p.in:
		return websocket.MessageText, data, nil
	case <-p.closed:
		time.Sleep(time.Millisecond)
		return 0, nil, goodbye
	}
}

func (p *pipe) Write(_ context.Context, _ websocket.MessageType, data []byte) error {
	select {
	case <-p.closed:
		return net.ErrClosed
	default:
	}
	select {
	case p.out <- data:
		return nil
	case <-p.closed:
		return net.ErrClosed
	}
}

func (p *pipe) Close(websocket.StatusCode, string) error {
	p.close()
	return nil
}

// names are the names of the events that carry audio.
type names struct{ delta, done string }

var (
	current = names{"response.output_audio.delta", "response.output_audio.done"}
	earlier = names{"response.audio.delta", "response.audio.done"}
)

// standIn is the service, written from its published events, as far as audio is concerned: it
// makes audio faster than it plays, stops when the user begins to speak, and refuses to
// truncate audio that it has not made.
type standIn struct {
	t     *testing.T
	names names
	conn  *pipe
	order []string // of the items

	mu        sync.Mutex
	audio     map[string]int // milliseconds made of each item
	truncated map[string]int // milliseconds
	errors    []string
}

func (s *standIn) send(event map[string]any) {
	data, _ := json.Marshal(event)
	_ = s.conn.Write(context.Background(), 0, data) // to memory
}

// respond makes the items of one response, and stops when the user speaks.
func (s *standIn) respond(ctx context.Context, response string, lengths []int, random *rand.Rand) {
	s.send(map[string]any{"type": "response.created", "response": map[string]string{"id": response}})
	status := "completed"
	for i, length := range lengths {
		item := fmt.Sprintf("%s_item_%d", response, i)
		s.order = append(s.order, item)
		s.send(map[string]any{"type": "response.output_item.added", "response_id": response,
			"item": map[string]string{"id": item}})
		for s.audio[item] < length && ctx.Err() == nil {
			s.delta(response, item, min(20+10*random.IntN(40), length-s.audio[item]))
			time.Sleep(time.Duration(random.IntN(100)) * time.Millisecond)
		}
		if ctx.Err() != nil {
			status = "cancelled"
			s.delta(response, item, 200) // was on its way
			break
		}
		s.send(map[string]any{"type": s.names.done, "response_id": response, "item_id": item, "content_index": 0})
	}
	s.send(map[string]any{"type": "response.done", "response": map[string]string{"id": response, "status": status}})
}

func (s *standIn) delta(response, item string, milliseconds int) {
	s.mu.Lock()
	s.audio[item] += milliseconds // before it is sent: the answer may be a truncation
	s.mu.Unlock()
	s.send(map[string]any{
		"type": s.names.delta, "response_id": response, "item_id": item, "output_index": 0, "content_index": 0,
		"delta": base64.StdEncoding.EncodeToString(make([]byte, 48*milliseconds)),
	})
}

// read reads the events of the client.
func (s *standIn) read(done chan<- struct{}) {
	defer close(done)
	for {
		_, data, err := s.conn.Read(context.Background())
		if err != nil {
			return
		}
		var e struct {
			Type, EventID string
			ItemID        string `json:"item_id"`
			AudioEndMS    *int   `json:"audio_end_ms"`
		}
		if err := json.Unmarshal(data, &e); err != nil {
			s.t.Errorf("%s: %v", data, err)
		}
		if e.Type == "conversation.item.truncate" {
			s.truncate(e.ItemID, *e.AudioEndMS)
		}
	}
}

func (s *standIn) truncate(item string, milliseconds int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	made, exists := s.audio[item]
	_, again := s.truncated[item]
	switch {
	case !exists:
		s.errors = append(s.errors, "there is no item "+item)
	case milliseconds > made || again:
		s.errors = append(s.errors, fmt.Sprintf("audio content of %d ms is already shorter than %d ms", made, milliseconds))
	}
	s.truncated[item] = milliseconds
}

// bargeIn runs one session in fake time: there are some responses, the user interrupts at a
// random time, and what the service was told is compared with the stand-in replica's record.
func bargeIn(t *testing.T, seed uint64, byClock bool) (worst time.Duration) {
	random := rand.New(rand.NewPCG(seed, 21))
	var mu sync.Mutex
	played := 0 // samples
	options := replica.Options{
		PreBuffer: time.Duration(1+random.IntN(400)) * time.Millisecond,
		Faults:    replica.Faults{Seed: seed, Jitter: time.Duration(1+random.IntN(80)) * time.Millisecond},
	}
	if byClock {
		options.Faults = replica.Faults{Drop: []replica.Sent{replica.SentStarted, replica.SentStopped}}
	}
	options.OnSound = func(_ time.Time, _ int, samples []int16) {
		mu.Lock()
		defer mu.Unlock()
		played += len(samples)
	}
	place := roomtest.Open(&options)
	joined, err := room.Join(t.Context(), place.Address, nil)
	if err != nil {
		t.Fatal(err)
	}
	session, err := echo.NewSession(joined.Stage(), nil)
	if err != nil {
		t.Fatal(err)
	}
	client, clientEnd := newPipe()
	serviceEnd, service := newPipe()
	s := &standIn{t: t, names: current, conn: service, audio: map[string]int{}, truncated: map[string]int{}}
	if random.IntN(2) == 0 {
		s.names = earlier
	}
	var heard []playout.Heard
	over, reading := make(chan struct{}), make(chan struct{})
	go s.read(reading)
	go func() {
		defer close(over)
		openai.Relay(t.Context(), clientEnd, serviceEnd, openai.RelayOptions{VoiceOptions: openai.VoiceOptions{
			Speaker: session, OnHeard: func(h playout.Heard) { heard = append(heard, h) },
		}})
	}()
	time.Sleep(time.Second)
	lengths := []int{}
	for range 1 + random.IntN(3) {
		lengths = append(lengths, 300+10*random.IntN(500))
	}
	total := 0
	for _, length := range lengths {
		total += length
	}
	after := time.Duration(random.IntN(total+500)) * time.Millisecond
	speaking, cut := context.WithCancel(t.Context())
	responded := make(chan struct{})
	go func() {
		defer close(responded)
		s.respond(speaking, "resp_1", lengths, random)
	}()
	time.Sleep(after)
	s.send(map[string]any{"type": "input_audio_buffer.speech_started", "audio_start_ms": 1, "item_id": "user_1"})
	cut()
	<-responded
	time.Sleep(10 * time.Second)
	mu.Lock()
	left := played / 24 // milliseconds that were heard
	mu.Unlock()
	client.close()
	service.close()
	<-over
	<-reading
	_ = session.Close()
	_ = joined.Close()
	place.Close()
	if len(s.errors) > 0 {
		t.Fatalf("seed %d: the service refuses %q", seed, s.errors)
	}
	for _, h := range heard {
		if h.IsCleared && h.Heard > h.From && h.By == echo.ByClock != byClock {
			t.Fatalf("seed %d: what was heard is known by %s", seed, h.By)
		}
	}
	for _, item := range s.order {
		made := s.audio[item]
		really := min(left, made)
		told, isTruncated := s.truncated[item]
		if !isTruncated {
			told = made
		}
		off := time.Duration(told-really) * time.Millisecond
		if worst = max(worst, off.Abs()); !byClock && off.Abs() > 100*time.Millisecond {
			t.Fatalf("seed %d: of %s (%d ms) %d ms were heard, and the service was told %d (truncated: %t): %+v",
				seed, item, made, really, told, isTruncated, heard)
		}
		left -= really
	}
	return worst
}

// The user interrupts 1,000 times: what the service is told differs by at most 100 ms from the
// stand-in replica's record, if events tell it. Without events it is an estimate that assumes
// a pre-buffer of 100 ms; here it differs by up to 400 ms.
func TestBargeInTruncation(t *testing.T) {
	for _, c := range []struct {
		name    string
		byClock bool
		count   int
	}{{"by event", false, 1000}, {"by clock", true, 300}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			worst := []time.Duration{}
			for seed := range testwait.Trials(c.count) {
				synctest.Test(t, func(t *testing.T) { worst = append(worst, bargeIn(t, uint64(seed), c.byClock)) })
			}
			slices.Sort(worst)
			t.Logf("%d barge-ins: the truncation is off by %v at the median, %v at the most", len(worst), worst[len(worst)/2],
				worst[len(worst)-1])
			if most := worst[len(worst)-1]; most > 350*time.Millisecond {
				t.Errorf("off by %v", most)
			}
		})
	}
}

// closings records with what a pipe is closed first.
type closings struct {
	*pipe
	first chan websocket.CloseError
}

func (c *closings) Close(code websocket.StatusCode, reason string) error {
	select {
	case c.first <- websocket.CloseError{Code: code, Reason: reason}:
	default:
	}
	return c.pipe.Close(code, reason)
}

// A client learns the service's reason to close also if it was sending just then.
func TestReasonToCloseReachesClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, clientEnd := newPipe()
		serviceEnd, service := newPipe()
		service.close()
		_ = client.Write(t.Context(), websocket.MessageText, []byte(`{"type":"input_audio_buffer.commit"}`))
		told := &closings{clientEnd, make(chan websocket.CloseError, 1)}
		openai.Relay(t.Context(), told, serviceEnd, openai.RelayOptions{VoiceOptions: openai.VoiceOptions{
			Speaker: &echo.Session{},
		}})
		if got := <-told.first; got != goodbye {
			t.Errorf("the client was told %v, want %v", got, goodbye)
		}
	})
}

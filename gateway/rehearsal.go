package gateway

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/pion/rtp"

	"echocast/audio"
	"echocast/echo"
	"echocast/internal/memconn"
	"echocast/internal/pcm"
	"echocast/replica"
	"echocast/room"
)

// Rehearsal is the address of a conversation with a stand-in replica in this
// process: nobody hears it, and it costs nothing.
const Rehearsal = "rehearsal"

// standIn joins rooms in memory, each with a stand-in replica and a user who says what
// programs send. Nothing leaves the process.
type standIn struct {
	ctx     context.Context //nolint:containedctx // of the replicas, until close
	stop    context.CancelFunc
	running sync.WaitGroup
	onEvent func(replica.Event)

	user   sync.Mutex // held while the user speaks
	mu     sync.Mutex
	room   *replica.Room // nil until it was joined
	sound  *sound        // nil if the room is not heard
	spoken []underruns   // of the last utterances, in order
}

// underruns says how often the replica ran out of audio in an utterance that is over.
type underruns struct {
	utterance string
	count     int
}

func newStandIn(onEvent func(replica.Event)) *standIn {
	s := &standIn{onEvent: onEvent}
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s
}

// Join makes a room with a replica in it.
func (s *standIn) Join(_ context.Context, _ string, o *room.Options) (*room.Connection, error) {
	ours, theirs := memconn.Pair()
	options := &replica.Options{OnEvent: s.onEvent, OnUtterance: s.keepUnderruns}
	made := &room.Connection{Stage: o.Messages(ours, room.LocalConversation, o.MaxMessage), Close: ours.Close}
	var heard *sound
	if o.Hear {
		heard = &sound{ctx: s.ctx, start: time.Now(), rate: o.HearRate, tracks: map[string]*track{}}
		options.OnSound = func(at time.Time, rate int, samples []int16) { heard.play(room.Replica, at, rate, samples) }
		made.Hearer = heard
	}
	there := replica.NewRoom(options)
	s.mu.Lock()
	s.room, s.sound = there, heard
	s.mu.Unlock()
	s.running.Go(func() {
		defer theirs.Close()
		var joined sync.WaitGroup
		joined.Go(func() { _ = there.Join(s.ctx, theirs, "") }) // Run returns its error
		_, _ = there.Run(s.ctx)                                 // its error is the end of the room
		joined.Wait()
	})
	return made, nil
}

// close ends the replicas, and waits for them.
func (s *standIn) close() {
	s.stop()
	s.running.Wait()
}

// keepUnderruns stores the replica's own count for an utterance that is over. The event for
// its end follows.
func (s *standIn) keepUnderruns(u replica.Utterance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spoken = append(s.spoken, underruns{u.ID, len(u.Underruns)})
	s.spoken = slices.Delete(s.spoken, 0, max(0, len(s.spoken)-keptUtterances))
}

// withUnderruns returns the receipt with the replica's own count, if the replica is in this
// process and has finished the utterance.
func (s *standIn) withUnderruns(r echo.Receipt) echo.Receipt {
	if s == nil || r.Chunks == 0 {
		return r
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.spoken {
		if u.utterance == r.InferenceID {
			r.Underruns, r.UnderrunsBy = u.count, "replica"
		}
	}
	return r
}

// userFrame is the playing time of a packet of the user's voice.
const userFrame = 20 * time.Millisecond

// say lets the user say mono samples at hearRate, in real time, and returns how long they have
// spoken. The error is echo.ErrBusy while they already say something else, the cause of ctx, a
// read error, or ErrEnded.
func (s *standIn) say(ctx context.Context, samples audio.Source) (said time.Duration, err error) {
	if !s.user.TryLock() {
		return 0, echo.ErrBusy
	}
	defer s.user.Unlock()
	s.mu.Lock()
	there, heard := s.room, s.sound
	s.mu.Unlock()
	if there == nil {
		return 0, ErrEnded
	}
	frame, quantised := make([]float32, hearRate/50), make([]int16, hearRate/50)
	for begin := time.Now(); ; said += userFrame {
		n, err := readFull(samples, frame)
		if n == 0 && said > 0 {
			there.UserSpeaks(false)
		}
		switch {
		case n == 0 && said == 0 && errors.Is(err, io.EOF):
			return 0, echo.ErrNoAudio
		case n == 0 && errors.Is(err, io.EOF):
			return said, nil
		case n == 0:
			return said, err
		case said == 0:
			begin = time.Now()
			there.UserSpeaks(true)
		}
		clear(frame[n:])
		pcm.Quantise(quantised, frame)
		if heard != nil {
			heard.play(room.User, begin.Add(said), hearRate, quantised)
		}
		if err := s.sleepUntil(ctx, begin.Add(said+userFrame)); err != nil {
			there.UserSpeaks(false)
			return said, err
		}
	}
}

// readFull fills p as far as there are samples. It returns an error only if it read nothing.
func readFull(from audio.Source, p []float32) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = from.ReadSamples(p[n:])
		n += k
	}
	return n, err
}

func (s *standIn) sleepUntil(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-s.ctx.Done():
		return ErrEnded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// sound implements room.Hearer for the room of a rehearsal. It has one listener.
type sound struct {
	ctx   context.Context //nolint:containedctx // of the room
	start time.Time
	rate  int // Hz of the packets

	mu     sync.Mutex
	packet func(track string, p *rtp.Packet) // nil: nobody listens
	from   string
	tracks map[string]*track
}

// track numbers the packets of one speaker.
type track struct {
	sequence uint16
	next     int64 // the sample after the last packet
}

// Hear passes on what is said, until ctx or the room ends.
func (s *sound) Hear(ctx context.Context, from string, packet func(track string, p *rtp.Packet), _ func(string)) error {
	s.mu.Lock()
	s.packet, s.from = packet, from
	s.mu.Unlock()
	var err error
	select {
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-s.ctx.Done():
		err = room.ErrOver
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packet = nil
	return err
}

// payloadL16 is the payload type of samples, as RFC 3551 numbers it.
const payloadL16 = 11

// adjoining is the largest gap between two pieces that count as continuous.
const adjoining = 5 * time.Millisecond

// play takes samples. The first of them was due at the given time. It does not block. Samples
// at another rate than that of the packets are not heard.
func (s *sound) play(name string, at time.Time, rate int, samples []int16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.packet == nil || rate != s.rate || s.from != room.All && s.from != name {
		return
	}
	t := s.tracks[name]
	if t == nil {
		t = &track{}
		s.tracks[name] = t
	}
	position := int64(math.Round(at.Sub(s.start).Seconds() * float64(rate)))
	if position-t.next > int64(adjoining.Seconds()*float64(rate)) {
		t.next = position
	}
	for len(samples) > 0 {
		n := min(len(samples), rate/50)
		s.packet(name, t.packet(rate, samples[:n]))
		samples = samples[n:]
	}
}

// packet returns the next packet of a track.
func (t *track) packet(rate int, samples []int16) *rtp.Packet {
	payload := make([]byte, 0, 2*len(samples))
	for _, sample := range samples {
		payload = append(payload, byte(sample>>8), byte(sample))
	}
	p := &rtp.Packet{Payload: payload, Header: rtp.Header{
		Version: 2, PayloadType: payloadL16, SequenceNumber: t.sequence,
		Timestamp: uint32(t.next * 48000 / int64(rate)),
	}}
	t.sequence++
	t.next += int64(len(samples))
	return p
}

// UserSaid says how long the user of a rehearsal has spoken.
type UserSaid struct {
	Seconds float64 `json:"seconds"`
}

// user lets the user of a rehearsal say the body, in real time, and answers when they have
// finished. When the client leaves they fall silent.
func (a *api) user(w http.ResponseWriter, r *http.Request) error {
	c, err := a.conversation(r)
	if err != nil {
		return err
	}
	said, err := audioOf(r.URL.Query())
	if err != nil {
		return err
	}
	if _, err := c.openSession(); err != nil {
		return err
	}
	if c.standIn == nil {
		return invalid("user", "only a rehearsal has a user who says what you send")
	}
	a.gateway.allowFFmpeg(&said.Prepare)
	b := &body{from: r.Body, control: http.NewResponseController(w)}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	defer context.AfterFunc(ctx, b.abort)()
	said.Prepare.Rate = hearRate
	prepared, err := audio.Prepare(ctx, b, &said.Prepare)
	if err != nil {
		return err
	}
	defer prepared.Close() //nolint:errcheck // nothing was written
	spoken, err := c.standIn.say(ctx, prepared)
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, UserSaid{spoken.Seconds()})
}

package replica

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// inboxSize is how many messages may wait for the session. Each message has its time of
	// arrival, so waiting does not affect how it is judged.
	inboxSize = 256

	// outboxSize is how many messages may wait for a participant to read them.
	outboxSize = 1024

	// maxHeld is how many samples of one participant the room holds: 23 minutes at 24 kHz,
	// or 64 MB. Above that, the room reads the participant's messages no faster than they
	// play.
	maxHeld = 32 << 20

	// goodbyeTimeout bounds the wait until the last events are sent, when the replica
	// itself leaves.
	goodbyeTimeout = 5 * time.Second
)

// The errors of Room.Join, for errors.Is.
var (
	// ErrEnded means that the room has ended. A room that has ended accepts no new
	// participants.
	ErrEnded = errors.New("replica: the room has ended")
	// ErrTooSlow means that a participant did not read its messages.
	ErrTooSlow = errors.New("replica: the participant does not read its messages")
)

// Room is one replica and its participants, as in a video room. Every participant gets all
// events of the replica. It also gets all messages of the other participants, as with
// broadcast messages of a Daily room. Every participant may interrupt all speech.
//
// The documentation does not say what the service does with two senders at the same time.
// This replica plays each utterance whole. Utterances play in the order of their first
// chunks. An utterance that begins while another plays waits until that one ends. An open
// utterance ends when its sender leaves, or when it has had no chunk for 5 s while another
// waits.
//
// If a participant's audio fills the render buffer, the room reads that participant's
// messages at the speed of playback. This limits the amount of audio held. The
// participant's interrupt then waits behind the messages sent before it. The interrupt of
// another participant does not.
type Room struct {
	opts    Options
	maxHeld int64 // samples of a participant
	inbox   chan arrival
	ended   chan struct{} // closed when Run no longer reads inbox

	reading sync.Mutex // held while a message is put into inbox, and during a stall
	stall   stall

	writers sync.WaitGroup
	sent    atomic.Int64 // events

	mu       sync.Mutex
	members  map[*participant]bool
	isClosed bool  // nobody can join
	sendErr  error // the first failure to send an event
}

// participant is one connection in a room.
type participant struct {
	name   string
	conn   Conn
	cancel context.CancelCauseFunc // ends reader and writer
	out    chan outMessage         // closed when it has left
	done   chan struct{}           // closed when the writer has ended

	maxHeld int64         // samples
	held    atomic.Int64  // samples received and not yet played
	space   chan struct{} // signalled when held has become less

	// Fields of the session:
	since    time.Time  // when it came
	open     *utterance // the utterance to which its chunks are added
	isClosed bool       // nothing more is queued
}

// outMessage is a message on its way to a participant.
type outMessage struct {
	msg     []byte
	isEvent bool // of the replica, not of another participant
}

// arrival is what a participant's reader reports: that it has joined, a message,
// or the end of its connection.
type arrival struct {
	from    *participant
	isJoin  bool
	msg     []byte
	err     error
	end     End // why there is an error
	at      time.Time
	isStall bool // the room stalls after it

	do func(s *session, at time.Time) // something other than a message
}

// samples returns about how many samples a message can hold, as base64 of 16-bit samples.
// They count while the message waits for the session.
func (a *arrival) samples() int64 { return int64(len(a.msg)) * 3 / 8 }

// NewRoom returns an empty room. A nil opts means the defaults.
func NewRoom(opts *Options) *Room {
	o := opts.withDefaults()
	return &Room{
		opts: o, maxHeld: maxHeld, inbox: make(chan arrival, inboxSize), ended: make(chan struct{}),
		members: map[*participant]bool{},
		stall:   stall{after: o.Faults.StallAfter, time: o.Faults.StallFor, limit: o.MessageLimit},
	}
}

// HasEnded reports whether the room can no longer be joined.
func (r *Room) HasEnded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.isClosed
}

// Join adds a participant. It returns when the participant has left, ctx has ended or the
// room has ended. The error is ErrEnded if the room had already ended, or the error of the
// connection if that failed. name is for reports and may be empty. Join does not close
// conn.
func (r *Room) Join(ctx context.Context, conn Conn, name string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := &participant{
		name: name, conn: conn, cancel: cancel, maxHeld: r.maxHeld, space: make(chan struct{}, 1),
		out: make(chan outMessage, outboxSize), done: make(chan struct{}),
	}
	if !r.add(p) {
		return ErrEnded
	}
	r.writers.Go(func() { r.write(ctx, p) })
	last := r.read(ctx, p)
	<-p.done
	if last.end == EndFailed {
		return last.err
	}
	if cause := context.Cause(ctx); errors.Is(cause, ErrTooSlow) {
		return cause
	}
	return nil
}

func (r *Room) add(p *participant) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.isClosed {
		r.members[p] = true
	}
	return !r.isClosed
}

// UserSpeaks sends the events of a user who begins or stops to speak. It does
// nothing in a room that has ended.
func (r *Room) UserSpeaks(speaking bool) {
	r.schedule(func(s *session, at time.Time) { s.userSpeaks(speaking, at) })
}

// SetFaults replaces the faults, except those of StallAfter. The times of InterruptAfter
// and UserAt count from now on. It does nothing in a room that has ended.
func (r *Room) SetFaults(faults Faults) {
	r.schedule(func(s *session, at time.Time) { s.setFaults(faults) })
}

// schedule runs a function in the session.
func (r *Room) schedule(do func(s *session, at time.Time)) {
	select {
	case r.inbox <- arrival{do: do, at: time.Now()}:
	case <-r.ended:
	}
}

// Run plays until the last participant has left, ctx ends or a fault ends the run, and
// returns as Replica.Run does. It waits for the first participant. Run must be called only
// once.
func (r *Room) Run(ctx context.Context) (Report, error) {
	s := newSession(r.opts, time.Now())
	end := r.serve(ctx, s)
	for _, p := range r.closeAll(nil) {
		p.close()
	}
	close(r.ended)
	r.writers.Wait()
	s.end(end)
	s.report.EventsSent = int(r.sent.Load())
	return s.report, runError(s, r.sendErr, end)
}

// serve runs the session until it ends, and returns why it ended.
func (r *Room) serve(ctx context.Context, s *session) arrival {
	timer := time.NewTimer(0)
	defer timer.Stop()
	over := ctx.Done()
	for {
		select {
		case a := <-r.inbox:
			if end, isOver := r.take(s, a); isOver {
				return end
			}
		case <-timer.C:
			s.advance(time.Now())
		case <-over:
			if len(r.closeAll(context.Cause(ctx))) == 0 {
				return arrival{end: EndContext, at: time.Now()}
			}
			over = nil // the last participant to leave ends the run
		}
		s.sendDue(time.Now())
		timer.Stop()
		if wait, ok := s.untilDue(time.Now()); ok {
			timer.Reset(wait)
		}
	}
}

// take handles an arrival, and reports whether it ends the run.
func (r *Room) take(s *session, a arrival) (end arrival, isOver bool) {
	if a.at.Before(s.start) {
		a.at = s.start // it arrived before Run
	}
	switch {
	case a.isJoin:
		s.addParticipant(a.from, a.at)
	case a.do != nil:
		s.advance(a.at)
		a.do(s, a.at)
	case a.err != nil:
		isLast := r.remove(a.from)
		s.depart(a.from, a.at, isLast)
		return a, isLast
	default:
		a.from.hold(-a.samples())
		s.relay(a.from, a.msg)
		s.receive(a.from, a.msg, a.at)
		if a.isStall {
			s.fault(a.at, "stops reading")
		}
	}
	if s.ending == "" {
		return arrival{}, false
	}
	r.leave(s)
	return arrival{end: s.ending, at: a.at}, true
}

// leave ends the connections when a fault makes the replica leave.
func (r *Room) leave(s *session) {
	if s.ending == EndDied {
		r.opts.Die()
		return
	}
	s.sendDue(time.Now())
	timeout := time.NewTimer(goodbyeTimeout)
	defer timeout.Stop()
	for _, p := range s.participants {
		p.close()
		select {
		case <-p.done:
		case <-timeout.C:
			return
		}
	}
}

// remove removes a participant and ends its connection. If it was the last one, remove also
// closes the room.
func (r *Room) remove(p *participant) (isLast bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, p)
	r.isClosed = r.isClosed || len(r.members) == 0
	p.cancel(nil)
	p.close()
	return len(r.members) == 0
}

// closeAll closes the room and ends the connections of its participants. It returns the
// participants.
func (r *Room) closeAll(cause error) []*participant {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.isClosed = true
	for p := range r.members {
		p.cancel(cause)
	}
	return slices.Collect(maps.Keys(r.members))
}

// read passes messages to the session until the connection ends.
func (r *Room) read(ctx context.Context, p *participant) arrival {
	r.put(ctx, arrival{from: p, isJoin: true, at: time.Now()})
	for {
		p.waitForSpace(ctx)
		msg, err := p.conn.Receive(ctx)
		a := arrival{from: p, msg: msg, err: err, end: r.reason(ctx, err), at: time.Now()}
		p.held.Add(a.samples())
		if !r.put(ctx, a) || err != nil {
			return a
		}
	}
}

// put passes an arrival to the session, and reports false if the room has ended.
func (r *Room) put(ctx context.Context, a arrival) (ok bool) {
	r.reading.Lock()
	defer r.reading.Unlock()
	a.isStall = a.msg != nil && r.stall.beginsAfter(a.msg)
	select {
	case r.inbox <- a:
	case <-r.ended:
		return false
	}
	if a.isStall {
		r.stall.wait(ctx)
	}
	return true
}

// write sends the queued messages of p until p is closed.
func (r *Room) write(ctx context.Context, p *participant) {
	defer close(p.done)
	for m := range p.out {
		err := p.conn.Send(ctx, m.msg)
		switch {
		case err == nil && m.isEvent:
			r.sent.Add(1)
		case err != nil && r.reason(ctx, err) == EndFailed:
			r.failToSend(err)
		}
	}
}

func (r *Room) failToSend(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sendErr = cmp.Or(r.sendErr, err)
}

// reason returns why a connection ended: by ctx, by the peer, or by a failure.
func (r *Room) reason(ctx context.Context, err error) End {
	switch {
	case ctx.Err() != nil && (errors.Is(err, ctx.Err()) || errors.Is(err, context.Cause(ctx))):
		return EndContext
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return EndPeerGone
	case r.opts.PeerGone != nil && errors.Is(err, r.opts.PeerGone):
		return EndPeerGone
	}
	return EndFailed
}

// post queues a message for p. If p reads too slowly, messages of other participants are
// dropped. If it falls further behind, p is removed.
func (p *participant) post(m outMessage) {
	if !m.isEvent && len(p.out) > cap(p.out)/2 {
		return
	}
	select {
	case p.out <- m:
	default:
		p.cancel(ErrTooSlow)
	}
}

// close ends the writer once it has sent the queued messages. The session calls it.
func (p *participant) close() {
	if !p.isClosed {
		p.isClosed = true
		close(p.out)
	}
}

// hold adds a number to the samples that the room holds for p. The number may be negative.
func (p *participant) hold(samples int64) {
	if p.held.Add(samples) <= p.maxHeld && samples < 0 {
		select {
		case p.space <- struct{}{}:
		default: // the reader already knows
		}
	}
}

// waitForSpace waits until the room can hold more audio of p.
func (p *participant) waitForSpace(ctx context.Context) {
	for p.held.Load() > p.maxHeld && ctx.Err() == nil {
		select {
		case <-p.space:
		case <-ctx.Done():
		}
	}
}

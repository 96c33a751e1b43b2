// Package replica is a stand-in for a live replica (a Tavus PAL): the far end
// that a sender of speech talks to when there is no account, and the judge of
// what that sender puts on the wire. It reads the documented message by itself
// and shares no code with any sender, so a mistake cannot hide by being made on
// both sides.
//
// # What comes in
//
// One JSON object per message. Audio is a [conversation.echo]:
//
//	{"message_type":"conversation","event_type":"conversation.echo","conversation_id":"c…",
//	 "properties":{"modality":"audio","audio":"<base64 of s16le mono PCM>",
//	               "sample_rate":24000,"inference_id":"utt-1","done":false}}
//
// All chunks of an utterance carry the same inference_id; done is true on its
// last chunk and on no other. conversation.interrupt, which has no properties,
// ends all speech at once. What deviates from the documentation is accepted
// where a tolerant peer can make sense of it, and always ends in a [Complaint].
//
// A text echo is spoken too, without sound: it takes 60 ms a character and no
// less than 300 ms, tags such as <emotion value="sad"/> not counted. A respond
// begins a new turn, and is answered by saying the same. The context messages,
// sensitivity and tool results are judged and reported.
//
// # How it is rendered
//
// Received audio waits in one first-in-first-out render buffer, shared by all
// utterances. Playback of a silent replica starts when 100 ms are buffered
// (Options.PreBuffer) or when the utterance is complete; from then on every
// sample has its due time: start + n/rate, on the monotonic clock. The next
// utterance follows without a pause when some of it is already there.
//
// When the buffer runs dry within an open utterance, the listener hears
// silence: an underrun. Playback resumes when 100 ms are buffered again or the
// utterance is complete, and the silence is measured from the sample that was
// due to the sample that came. A chunk that arrives exactly when its first
// sample is due is in time. When the buffer runs dry and done was seen, the
// utterance is over.
//
// Nothing ticks. Due times are computed, and one timer waits for the next of
// them, so that under testing/synctest every number is exact.
//
// # What goes out
//
// First system.replica_joined and its twin system.pal_joined: only now does
// somebody listen. For each utterance conversation.started_speaking and
// conversation.stopped_speaking, each sent twice with the same payload and the
// same seq, once with the role "pal" and once with the role "replica". They
// carry a UUID made from the MD5 of the sender's inference_id, not the id itself
// (see [IDForm]). Nothing acknowledges a chunk or an interrupt. The words of a
// text are sent as conversation.utterance, before it is begun or, of one that
// comes in pieces, when they are complete.
//
// What goes out can be spoiled on its way, and the replica can misbehave, as
// [Faults] says; a [Script] adds events of any kind.
//
// [conversation.echo]: https://docs.tavus.io/sections/event-schemas/conversation-echo
package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Defaults of Options.
const (
	DefaultMessageLimit = 4096                   // bytes of JSON a Daily room carries in one app-message
	DefaultPreBuffer    = 100 * time.Millisecond // the cushion the Pipecat mock of a replica waits for
	DefaultFaceID       = "stand-in"
	DefaultUserFor      = time.Second
	DefaultUserSays     = "Excuse me."
)

// inboxSize is how many messages may wait while an event is being sent. They
// carry their time of arrival, so waiting here costs no precision.
const inboxSize = 256

// Conn is the connection to the sender: whole messages, in order.
type Conn interface {
	// Send transmits one message and does not keep msg.
	Send(ctx context.Context, msg []byte) error
	// Receive waits for the next message, which then belongs to the caller. It
	// returns an error when the peer is gone (io.EOF, net.ErrClosed or
	// Options.PeerGone) or when ctx ends (ctx.Err or its cause).
	Receive(ctx context.Context) ([]byte, error)
}

// Options tune a Replica. The zero value is the replica of an ordinary room.
type Options struct {
	// ConversationID is the id that messages must carry. When empty, any id is
	// taken, as long as it stays the same.
	ConversationID string

	// FaceID is the id the replica joins with; DefaultFaceID when empty.
	FaceID string

	// JoinDelay is the time before the replica joins; none by default. Messages
	// that arrive earlier are lost, as they are in a real room.
	JoinDelay time.Duration

	// IDs chooses how events name an utterance; IDVersion3 by default.
	IDs IDForm

	// Legacy adds the events named conversation.replica.started_speaking and
	// conversation.replica.stopped_speaking beside the current ones; off by
	// default.
	Legacy bool

	// MessageLimit is the most bytes a message may have; larger ones are
	// dropped. Zero is DefaultMessageLimit, a negative value is no limit.
	MessageLimit int

	// PreBuffer is how much audio is waited for before playback starts or
	// resumes. Zero is DefaultPreBuffer, a negative value is none.
	PreBuffer time.Duration

	// Record receives what was heard as 16-bit mono WAV, while it plays. By
	// default nothing is recorded. Run completes the header but does not close
	// the file.
	Record io.WriteSeeker

	// PeerGone is one more error by which the Conn says that the peer has left
	// in an orderly way; none by default.
	PeerGone error

	// Faults are what the replica does wrong on purpose; nothing by default.
	Faults Faults

	// Die is called when Faults.DieAfter comes true, to break the connection
	// without a goodbye. Without it Run just returns.
	Die func()

	// Script holds events to be sent beside the replica's own; none by default.
	Script Script

	// OnEvent is told what happens as it happens, from the goroutine of Run. It
	// must not block: playback waits for it. Nobody is told by default.
	OnEvent func(Event)

	// OnSound is told what is being played, 20 ms of it at a time, under the
	// same conditions as OnEvent: at is when its first sample was due, rate is
	// in Hz. It must not keep samples. Nobody is told by default.
	OnSound func(at time.Time, rate int, samples []int16)

	// OnUtterance is told of every utterance that has ended, under the same
	// conditions. Those still open when the connection ends are told then.
	OnUtterance func(Utterance)
}

// withDefaults returns a copy with every default filled in; o may be nil.
func (o *Options) withDefaults() Options {
	if o == nil {
		o = &Options{}
	}
	opts := *o
	if opts.FaceID == "" {
		opts.FaceID = DefaultFaceID
	}
	if opts.MessageLimit == 0 {
		opts.MessageLimit = DefaultMessageLimit
	}
	if opts.PreBuffer == 0 {
		opts.PreBuffer = DefaultPreBuffer
	}
	if opts.Faults.UserFor == 0 {
		opts.Faults.UserFor = DefaultUserFor
	}
	if opts.Faults.UserSays == "" {
		opts.Faults.UserSays = DefaultUserSays
	}
	if opts.Die == nil {
		opts.Die = func() {}
	}
	if opts.OnEvent == nil {
		opts.OnEvent = func(Event) {}
	}
	if opts.OnUtterance == nil {
		opts.OnUtterance = func(Utterance) {}
	}
	return opts
}

// A Replica renders, judges and records what one connection delivers.
type Replica struct {
	conn Conn
	opts Options
}

// New returns a replica that listens on conn once Run is called. A nil opts
// means the defaults.
func New(conn Conn, opts *Options) *Replica {
	return &Replica{conn: conn, opts: opts.withDefaults()}
}

// arrival is a message, or the end of them, and when it came.
type arrival struct {
	msg []byte
	err error
	end End // why there is an error
	at  time.Time

	stalls bool // nothing is read after it for a while
}

// Run plays until the peer is gone, ctx ends or a fault ends it, all of which
// are normal ends, and returns the report in every case. Audio still queued at the end is
// recorded, but reported as not played. It is called once.
//
// The error says what went wrong on the replica's own side: the recording could
// not be written (playback goes on without it), an event could not be sent, or
// the connection broke in another way than by its end.
func (r *Replica) Run(ctx context.Context) (Report, error) {
	// Events are of no use once nothing more is received: the reader's end ends
	// a Send that is still waiting.
	ctx, peerGone := context.WithCancel(ctx)
	defer peerGone()

	s := newSession(r.opts, time.Now())
	inbox := make(chan arrival, inboxSize)
	go func() {
		defer close(inbox)
		defer peerGone()
		r.read(ctx, inbox)
	}()

	end := r.serve(ctx, peerGone, s, inbox)
	s.end(end)
	return s.report, verdict(s, end)
}

// read forwards what the connection delivers until it ends. The session reads
// inbox until it is closed, so the hand-over never blocks for good.
func (r *Replica) read(ctx context.Context, inbox chan<- arrival) {
	stall := stall{after: r.opts.Faults.StallAfter, time: r.opts.Faults.StallFor, limit: r.opts.MessageLimit}
	for {
		msg, err := r.conn.Receive(ctx)
		a := arrival{msg: msg, err: err, end: r.reason(ctx, err), at: time.Now()}
		a.stalls = err == nil && stall.begins(msg)
		inbox <- a
		if err != nil {
			return
		}
		if a.stalls {
			stall.wait(ctx)
		}
	}
}

// serve owns the session until the reader has ended, and returns its last word.
// stop ends the reader.
func (r *Replica) serve(ctx context.Context, stop func(), s *session, inbox <-chan arrival) (end arrival) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case a, ok := <-inbox:
			if !ok {
				return end
			}
			if a.err != nil {
				end = a
				continue
			}
			r.receive(s, a)
			if s.gone != "" {
				return r.quit(ctx, stop, s, inbox, a)
			}
		case <-timer.C:
			s.advance(time.Now())
		}
		r.send(ctx, s)
		timer.Stop()
		if wait, ok := s.untilDue(time.Now()); ok {
			timer.Reset(wait)
		}
	}
}

func (r *Replica) receive(s *session, a arrival) {
	s.receive(a.msg, a.at)
	if a.stalls {
		s.fault(a.at, "stops reading")
	}
}

// quit ends the run from this side, and waits for the reader.
func (r *Replica) quit(ctx context.Context, stop func(), s *session, inbox <-chan arrival, last arrival) arrival {
	if s.gone == EndDied {
		r.opts.Die()
	} else {
		r.send(ctx, s)
	}
	stop()
	for range inbox { // what comes now is nobody's
	}
	return arrival{end: s.gone, at: last.at}
}

// send transmits the events that have come due. All events pass here, and only
// here.
func (r *Replica) send(ctx context.Context, s *session) {
	for {
		msg, ok := s.outbox.take(time.Now())
		if !ok {
			return
		}
		if err := r.conn.Send(ctx, msg); err != nil {
			if s.sendErr == nil && r.reason(ctx, err) == EndFailed {
				s.sendErr = err
			}
			continue
		}
		s.report.EventsSent++
	}
}

// reason tells the normal ends of a connection from its failures.
func (r *Replica) reason(ctx context.Context, err error) End {
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

// verdict joins what went wrong on the replica's own side.
func verdict(s *session, last arrival) error {
	var errs []error
	if s.recorder.err != nil {
		errs = append(errs, fmt.Errorf("replica: record: %w", s.recorder.err))
	}
	if s.sendErr != nil {
		errs = append(errs, fmt.Errorf("replica: send event: %w", s.sendErr))
	}
	if last.end == EndFailed {
		errs = append(errs, fmt.Errorf("replica: receive: %w", last.err))
	}
	return errors.Join(errs...)
}

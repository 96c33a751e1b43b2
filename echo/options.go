package echo

import (
	"context"
	"errors"
	"time"
)

// What callers may test with errors.Is.
var (
	// ErrNotReady: the replica did not come into the room in time.
	ErrNotReady = errors.New("the replica did not join in time")
	// ErrLost: the connection broke, the peer left, or it takes nothing more.
	ErrLost = errors.New("the connection was lost")
	// ErrNotRejoined: a lost connection could not be made again.
	ErrNotRejoined = errors.New("the connection was lost and could not be made again")
	// ErrNoAudio: the source ended without a sample.
	ErrNoAudio = errors.New("no audio in the input")
	// ErrNoText: the text to be said is empty.
	ErrNoText = errors.New("no text in the input")
	// ErrInterrupted: somebody else interrupted the replica.
	ErrInterrupted = errors.New("interrupted by somebody else")
	// ErrBargeIn: the user began to speak, and Options.BargeIn is set.
	ErrBargeIn = errors.New("interrupted by the user's speech")
	// ErrReplaced: an utterance that came later took the place of this one.
	ErrReplaced = errors.New("replaced by the next utterance")
	// ErrPaused: Session.Pause interrupted it.
	ErrPaused = errors.New("paused")
	// ErrStopped is the cause of an utterance that Interrupt ended.
	ErrStopped = errors.New("interrupted")
	// ErrBusy: another utterance is being spoken, or too many wait.
	ErrBusy = errors.New("another utterance is being spoken")
	// ErrUnverified: all was sent, and no event said in time that it was
	// heard, or it said something else.
	ErrUnverified = errors.New("sent, but not confirmed as heard")
	// ErrUnsupported: the room has no such message.
	ErrUnsupported = errors.New("this room does not carry such messages")
	// ErrSlow: who reads the events is too far behind.
	ErrSlow = errors.New("too many events wait to be read")
	// ErrClosed: the session was closed.
	ErrClosed = errors.New("the session is closed")
)

// QueuePolicy is how overlapping calls of Speak and Say are scheduled.
type QueuePolicy string

// The queue policies.
const (
	QueueWait    QueuePolicy = "queue"   // it waits for its turn; the default
	QueueReplace QueuePolicy = "replace" // it interrupts the other, and all that wait
	QueueReject  QueuePolicy = "reject"  // it is refused with ErrBusy
)

// ReconnectPolicy is what happens to an utterance that a lost connection
// interrupted, once the connection is made again.
type ReconnectPolicy string

// The reconnect policies.
const (
	ReconnectAbandon ReconnectPolicy = "abandon" // it fails; the default
	ReconnectRestart ReconnectPolicy = "restart" // it is said again from its beginning, with a new id
	ReconnectResume  ReconnectPolicy = "resume"  // it goes on where it was last heard, with a new id
)

// Options tune a session. Nil is fine, and so is each zero value.
type Options struct {
	Rate  int           // Hz of the audio that Speak is given; 0: DefaultRate
	Chunk time.Duration // 0: DefaultChunk, or what the room allows
	Pace  Pace
	// Queue is the queue policy; empty: QueueWait.
	Queue QueuePolicy
	// MaxQueue is how many utterances may wait for their turn; 0: 1000.
	MaxQueue int
	// Gap is the silence between one utterance that was heard to its end and
	// the next.
	Gap time.Duration
	// BargeIn interrupts the replica, and drops what waits, when the user
	// begins to speak.
	BargeIn bool
	// Resume goes on with an utterance that a barge-in or somebody else
	// interrupted, where it was last heard and with a new id, once the user is
	// silent. Its source must be a Rewinder.
	Resume bool
	// OnLoss says what to do with an utterance whose connection was lost;
	// empty: ReconnectAbandon. The others need Redial, and a Rewinder as source. An
	// utterance that is lost five times, without a second more of it being heard,
	// fails.
	OnLoss ReconnectPolicy
	// Redial makes a lost connection again; nil: a loss is for good. It frees
	// the old one itself. It is called again after a growing pause while it
	// fails.
	Redial func(ctx context.Context) (Stage, error)
	// RedialTimeout bounds all calls of Redial after one loss; 0: 60 s.
	RedialTimeout time.Duration
	// ReadyTimeout bounds the wait for the replica; 0: 30 s.
	ReadyTimeout time.Duration
	// SkipReady sends to a room without knowing that the replica is there.
	SkipReady bool
	// SendTimeout bounds the wait for a peer that takes nothing; 0: 10 s.
	SendTimeout time.Duration
	// HeardTimeout bounds the wait for the replica's word that it has
	// finished, beyond the time the audio needs; 0: 5 s.
	HeardTimeout time.Duration
	// InterruptTimeout bounds the wait for the replica's word that it has
	// stopped; 0: 2 s.
	InterruptTimeout time.Duration
	// SkipHeard ends an utterance when it is sent. Leaving then may cut the
	// replica off.
	SkipHeard bool
	// OnEvent is called with every event, from the session's goroutine.
	OnEvent func(Event)
	// OnReceipt is called with the receipt of every utterance, from the
	// goroutine of its Speak or Say: also with those that Resume or OnLoss
	// went on from.
	OnReceipt func(Receipt)
	// Observe is called with everything that happens, from several
	// goroutines. It must not block.
	Observe func(Moment)
}

func (o *Options) withDefaults() Options {
	var set Options
	if o != nil {
		set = *o
	}
	set.Rate = orDefault(set.Rate, DefaultRate)
	set.Queue = orDefault(set.Queue, QueueWait)
	set.MaxQueue = orDefault(set.MaxQueue, 1000)
	set.OnLoss = orDefault(set.OnLoss, ReconnectAbandon)
	set.RedialTimeout = orDefault(set.RedialTimeout, 60*time.Second)
	set.ReadyTimeout = orDefault(set.ReadyTimeout, 30*time.Second)
	set.SendTimeout = orDefault(set.SendTimeout, 10*time.Second)
	set.HeardTimeout = orDefault(set.HeardTimeout, 5*time.Second)
	set.InterruptTimeout = orDefault(set.InterruptTimeout, 2*time.Second)
	if set.Observe == nil {
		set.Observe = func(Moment) {}
	}
	if set.OnReceipt == nil {
		set.OnReceipt = func(Receipt) {}
	}
	if set.OnEvent == nil {
		set.OnEvent = func(Event) {}
	}
	return set
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

package echo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors that callers can test with errors.Is.
var (
	// ErrNotReady: the replica did not join the room in time.
	ErrNotReady = errors.New("the replica did not join in time")
	// ErrLost: the connection broke, the peer left, or it accepts no more data.
	ErrLost = errors.New("the connection was lost")
	// errMayNot: Options.MaySend said no.
	errMayNot = fmt.Errorf("%w: another process may speak there now", ErrLost)
	// ErrNotRejoined: Redial did not restore a lost connection in time.
	ErrNotRejoined = errors.New("the connection was lost and could not be made again")
	// ErrNoAudio: the source ended without a sample.
	ErrNoAudio = errors.New("no audio in the input")
	// ErrNoText: the text to be said is empty.
	ErrNoText = errors.New("no text in the input")
	// ErrInterrupted: somebody else interrupted the replica.
	ErrInterrupted = errors.New("interrupted by somebody else")
	// ErrBargeIn: the user began to speak, and Options.BargeIn is set.
	ErrBargeIn = errors.New("interrupted by the user's speech")
	// ErrReplaced: a later utterance replaced this one (QueueReplace).
	ErrReplaced = errors.New("replaced by the next utterance")
	// ErrPaused: Session.Pause interrupted it.
	ErrPaused = errors.New("paused")
	// ErrStopped is the cause of an utterance that Interrupt ended.
	ErrStopped = errors.New("interrupted")
	// ErrBusy: another utterance is being spoken (QueueReject), or too many wait.
	ErrBusy = errors.New("another utterance is being spoken")
	// ErrUnverified: all was sent, but no event confirmed in time that it was heard, or
	// the event reports a different length.
	ErrUnverified = errors.New("sent, but not confirmed as heard")
	// ErrUnsupported: the room does not carry such messages.
	ErrUnsupported = errors.New("this room does not carry such messages")
	// ErrSlow: a reader of Session.Events is too far behind.
	ErrSlow = errors.New("too many events wait to be read")
	// ErrClosed: the session was closed.
	ErrClosed = errors.New("the session is closed")
)

// QueuePolicy says how overlapping calls of Speak and Say are scheduled.
type QueuePolicy string

// The queue policies.
const (
	QueueWait    QueuePolicy = "queue"   // the new utterance waits for its turn; the default
	QueueReplace QueuePolicy = "replace" // it interrupts the current one and drops the queue
	QueueReject  QueuePolicy = "reject"  // it is refused with ErrBusy
)

// ReconnectPolicy says what happens to the interrupted utterance after a reconnect.
type ReconnectPolicy string

// The reconnect policies.
const (
	ReconnectAbandon ReconnectPolicy = "abandon" // it fails; the default
	ReconnectRestart ReconnectPolicy = "restart" // it is said again from its beginning, with a new id
	ReconnectResume  ReconnectPolicy = "resume"  // it continues where it was last heard, with a new id
)

// Options configure a session. Nil and zero values select the defaults.
type Options struct {
	Rate  int           // Hz of the audio that Speak is given; 0: DefaultRate
	Chunk time.Duration // 0: DefaultChunk, or what the room allows
	Pace  Pace
	// Queue is the queue policy; empty: QueueWait.
	Queue QueuePolicy
	// MaxQueue is how many utterances may wait for their turn; 0: 1000.
	MaxQueue int
	// Gap is the pause after an utterance that was heard to its end.
	Gap time.Duration
	// BargeIn interrupts the replica and drops the queue when the user begins
	// to speak.
	BargeIn bool
	// Resume continues an utterance that a barge-in or another participant
	// interrupted, from where it was last heard and with a new id, once the
	// user is silent. Its source must be a Rewinder.
	Resume bool
	// OnLoss is the reconnect policy; empty: ReconnectAbandon. The others need
	// Redial, and a Rewinder as source. After five losses with less than a
	// second of progress the utterance fails.
	OnLoss ReconnectPolicy
	// Redial replaces a lost connection, and closes the old one; nil: a loss is final.
	// If it fails, the session calls it again after a growing pause.
	Redial func(ctx context.Context) (Stage, error)
	// RedialTimeout bounds all calls of Redial after one loss; 0: 60 s.
	RedialTimeout time.Duration
	// AwayTimeout is how long the replica may be away from the room before Redial is
	// called, as for a lost connection; 0: no limit. If the replica leaves during an
	// utterance, that utterance is lost at once.
	AwayTimeout time.Duration
	// ReadyTimeout bounds the wait for the replica to join; 0: 30 s.
	ReadyTimeout time.Duration
	// SkipReady sends without waiting for the replica to join.
	SkipReady bool
	// SendTimeout bounds the wait for a peer that accepts no data; 0: 10 s.
	SendTimeout time.Duration
	// HeardTimeout bounds the wait for the event that the replica has
	// finished, beyond the playing time of the audio; 0: 5 s.
	HeardTimeout time.Duration
	// InterruptTimeout bounds the wait for the event that the replica has
	// stopped; 0: 2 s.
	InterruptTimeout time.Duration
	// MaySend, if set, is called before each message to the room. If it returns false, the
	// message is not sent, and the connection counts as lost.
	MaySend func() bool
	// SkipHeard ends an utterance once it is sent, without waiting until it is heard.
	// Leaving the room then may cut the replica off.
	SkipHeard bool
	// OnEvent is called with every event, from the session's goroutine.
	OnEvent func(Event)
	// OnReceipt is called with the receipt of every utterance, including those that
	// Resume or OnLoss continues, from the goroutine of its Speak or Say.
	OnReceipt func(Receipt)
	// Observe is called with every Moment of the session, from several goroutines. It
	// must not block.
	Observe func(Moment)
}

func (o *Options) withDefaults() Options {
	var set Options
	if o != nil {
		set = *o
	}
	set.Rate = cmp.Or(set.Rate, DefaultRate)
	set.Queue = cmp.Or(set.Queue, QueueWait)
	set.MaxQueue = cmp.Or(set.MaxQueue, 1000)
	set.OnLoss = cmp.Or(set.OnLoss, ReconnectAbandon)
	set.RedialTimeout = cmp.Or(set.RedialTimeout, 60*time.Second)
	set.ReadyTimeout = cmp.Or(set.ReadyTimeout, 30*time.Second)
	set.SendTimeout = cmp.Or(set.SendTimeout, 10*time.Second)
	set.HeardTimeout = cmp.Or(set.HeardTimeout, 5*time.Second)
	set.InterruptTimeout = cmp.Or(set.InterruptTimeout, 2*time.Second)
	if set.MaySend == nil {
		set.MaySend = func() bool { return true }
	}
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

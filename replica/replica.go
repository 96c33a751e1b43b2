// Package replica is a stand-in for a live replica (a Tavus PAL). With it, senders of
// speech can be tested without an account. It reports every deviation from the documented
// protocol. It has a separate parser and shares no code with a sender, so the two cannot
// share a mistake.
//
// # Messages to the replica
//
// One JSON object per message. Audio is a [conversation.echo]:
//
//	{"message_type":"conversation","event_type":"conversation.echo","conversation_id":"c…",
//	 "properties":{"modality":"audio","audio":"<base64 of s16le mono PCM>",
//	               "sample_rate":24000,"inference_id":"utt-1","done":false}}
//
// All chunks of an utterance carry the same inference_id. done is true on the last chunk
// and on no other. conversation.interrupt has no properties and ends all speech at once.
// The replica accepts a deviation if a tolerant peer could accept it, and reports each as a
// [Complaint].
//
// A text echo is spoken without sound. It takes 60 ms for each character, not counting tags
// such as <emotion value="sad"/>, and at least 300 ms. A respond begins a new turn, which
// the replica answers by repeating it. The replica checks and reports the context messages,
// sensitivity and tool results.
//
// # Rendering
//
// Received audio waits in one first-in-first-out render buffer that all utterances share.
// Playback starts when 100 ms are buffered (Options.PreBuffer), when the utterance is
// complete, or when no chunk has arrived for 500 ms. From then on every sample has a due
// time: start + n/rate, on the monotonic clock. The next utterance follows without a pause
// if some of it has been received.
//
// If the buffer runs out within an open utterance, the listener hears silence: an underrun.
// Playback resumes under the same conditions under which it starts. The silence is measured
// from the due time of the missing sample until playback resumes. A chunk that arrives
// exactly when its first sample is due is in time. If the buffer runs out after done, the
// utterance has ended.
//
// The replica does not poll. It computes due times, and one timer waits for the next of
// them. So under testing/synctest every number is exact.
//
// # Events from the replica
//
// The first events are system.replica_joined and its twin system.pal_joined. Messages that
// arrive earlier are lost. For each utterance the replica sends
// conversation.started_speaking and conversation.stopped_speaking. It sends each twice with
// the same payload and the same seq, once with the role "pal" and once with the role
// "replica". They carry a UUID that is derived from the MD5 of the sender's inference_id,
// not the id itself (see [IDForm]). Neither chunks nor interrupts are acknowledged. The
// words of a text are sent as conversation.utterance. It is sent before the text starts or,
// if the text arrives in pieces, when the text is complete.
//
// [Faults] make the replica and its connection misbehave; a [Script] adds events
// of any kind.
//
// [conversation.echo]: https://docs.tavus.io/sections/event-schemas/conversation-echo
package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Defaults of Options.
const (
	DefaultMessageLimit = 4096                   // bytes of JSON in one app-message of a Daily room
	DefaultPreBuffer    = 100 * time.Millisecond // as in Pipecat's mock of a replica
	DefaultFaceID       = "stand-in"
	DefaultUserFor      = time.Second
	DefaultUserSays     = "Excuse me."
)

// Conn is the connection to the sender: whole messages, in order.
type Conn interface {
	// Send transmits one message and does not keep msg.
	Send(ctx context.Context, msg []byte) error
	// Receive waits for the next message, which then belongs to the caller. It
	// returns an error when the peer is gone (io.EOF, net.ErrClosed or
	// Options.PeerGone) or when ctx ends (ctx.Err or its cause).
	Receive(ctx context.Context) ([]byte, error)
}

// Options configure a Replica. The zero value is the replica of an ordinary room.
type Options struct {
	// ConversationID is the id that messages must carry. If it is empty, they must carry
	// the id of the first message.
	ConversationID string

	// FaceID is the id with which the replica joins. Empty means DefaultFaceID.
	FaceID string

	// JoinDelay is the time before the replica joins. The default is 0. Messages that
	// arrive earlier are lost, as in a real room.
	JoinDelay time.Duration

	// IDs is the form of ids in events. The default is IDVersion3.
	IDs IDForm

	// Legacy adds the events named conversation.replica.started_speaking and
	// conversation.replica.stopped_speaking to the current ones. The default is false.
	Legacy bool

	// MessageLimit is the maximum size of a message in bytes. Larger messages are dropped.
	// Zero means DefaultMessageLimit, and a negative value means no limit.
	MessageLimit int

	// PreBuffer is how much audio is buffered before playback starts or resumes. Zero means
	// DefaultPreBuffer, and a negative value means none.
	PreBuffer time.Duration

	// Record receives what was heard as 16-bit mono WAV while it plays. By default nothing
	// is recorded. Run completes the header but does not close the file.
	Record io.WriteSeeker

	// PeerGone is a further error of Receive that means that the peer has left normally.
	// The default is none.
	PeerGone error

	// Faults are the faults to simulate. The default is none.
	Faults Faults

	// Die is called for Faults.DieAfter, and should break the connection without a goodbye.
	// If it is nil, Run only returns.
	Die func()

	// Script holds events to send in addition to the replica's events. The default is none.
	Script Script

	// OnEvent is called when something happens, from the goroutine of Run. It must not
	// block, because playback waits for it. It may be nil.
	OnEvent func(Event)

	// OnSound is called with the audio that plays, every 20 ms or more often, under the
	// conditions of OnEvent. at is when the first sample was due, and rate is in Hz. It must
	// not keep samples. It may be nil.
	OnSound func(at time.Time, rate int, samples []int16)

	// OnChunk is called with the length of the audio in each accepted message, under the
	// conditions of OnEvent. at is when the message arrived. It may be nil.
	OnChunk func(at time.Time, participant, utterance string, length time.Duration)

	// OnUtterance is called for each utterance that has ended, under the
	// conditions of OnEvent. An open utterance ends with the connection.
	OnUtterance func(Utterance)
}

// withDefaults returns a copy with every default filled in. o may be nil.
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
	if opts.OnChunk == nil {
		opts.OnChunk = func(time.Time, string, string, time.Duration) {}
	}
	if opts.OnUtterance == nil {
		opts.OnUtterance = func(Utterance) {}
	}
	return opts
}

// A Replica plays, checks and records the messages of one connection. It is a Room with
// one participant.
type Replica struct {
	conn Conn
	room *Room
}

// New returns a replica that starts to listen on conn when Run is called. A nil opts means
// the defaults.
func New(conn Conn, opts *Options) *Replica { return &Replica{conn, NewRoom(opts)} }

// Run plays until the peer is gone, ctx ends or a fault ends the run. All of these are
// normal ends. Audio that is still queued is recorded and is reported as not played. Run
// must be called only once, and always returns the report.
//
// It returns an error if the recording could not be written (playback continues
// without it), if an event could not be sent, or if the connection failed.
func (r *Replica) Run(ctx context.Context) (Report, error) {
	var joined sync.WaitGroup
	joined.Go(func() { _ = r.room.Join(ctx, r.conn, "") }) // Run returns its error
	report, err := r.room.Run(ctx)
	joined.Wait()
	return report, err
}

// runError returns the error of Run.
func runError(s *session, sendErr error, last arrival) error {
	var errs []error
	if s.recorder.err != nil {
		errs = append(errs, fmt.Errorf("replica: record: %w", s.recorder.err))
	}
	if sendErr != nil {
		errs = append(errs, fmt.Errorf("replica: send event: %w", sendErr))
	}
	if last.end == EndFailed {
		errs = append(errs, fmt.Errorf("replica: receive: %w", last.err))
	}
	return errors.Join(errs...)
}

// Package converse holds a conversation with the user of a room: one command answers
// what the user said, another makes audio of the answer, and the replica speaks it
// until the user begins to speak.
//
// If the user makes a sound without words, such as a cough, nothing is lost. An answer in
// preparation is held back, and an answer being spoken is paused; then it continues. Every
// abandoned answer is reported with its reason.
package converse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"echocast/audio"
	"echocast/echo"
	"echocast/internal/text"
)

// Session has the methods of *echo.Session that a conversation needs. Its
// Options.BargeIn must be off: the conversation decides when to interrupt an answer.
type Session interface {
	Events(ctx context.Context) iter.Seq2[echo.Event, error]
	Speak(ctx context.Context, speech echo.Speech) (echo.Receipt, error)
	Pause(ctx context.Context) error
	Resume()
}

// Options say how to answer. OnUtterance and TTS are required.
type Options struct {
	// OnUtterance is a command line that reads what the user said and prints the
	// answer.
	OnUtterance string
	// TTS is a command line that reads text and prints audio of it.
	TTS string
	// Recogniser is a command line that reads the user's voice and prints a line
	// for each utterance; empty: the room recognises speech. It needs Listen.
	Recogniser string
	// Listen starts to write the user's voice to a writer, in the format that the
	// Recogniser reads. stop ends the writing and waits for its end.
	Listen func(ctx context.Context, to io.Writer) (stop func() error, err error)

	// JSON gives OnUtterance an object instead of plain text: "text" is what the user
	// said, "previous" is the previous answer and what was heard of it. Without JSON, the
	// environment variable ECHOCAST_HEARD has the words heard.
	JSON bool

	Greeting string // text said first; empty: none
	Fallback string // text said if OnUtterance fails without output; empty: none

	// IgnoreUser speaks each answer to its end even if the user speaks. What the user says
	// meanwhile is answered afterwards.
	IgnoreUser bool
	// FalseInterrupt is how long an answer waits for words after a sound of the user. If
	// none follow, the answer continues. 0: 2 s; negative: a sound abandons the answer at
	// once.
	FalseInterrupt time.Duration
	// Count ends the conversation after this many answers; 0: it ends with the room.
	Count int

	ThinkTimeout time.Duration // how long OnUtterance may print nothing; 0: 60 s
	TTSTimeout   time.Duration // how long TTS may print nothing while it has text; 0: 30 s
	// PerSentence runs TTS once for each sentence, and for the next one while one is spoken.
	PerSentence bool
	// CacheDir stores the audio of each sentence for reuse; empty: no cache. It needs
	// PerSentence.
	CacheDir string

	Prepare audio.PrepareOptions // how the audio is read and what is changed
	Keep    time.Duration        // audio kept so that a paused answer can continue; 0: 11 s

	// Stderr receives the commands' standard error; may be nil.
	Stderr io.Writer
	// OnNote, if set, is called with each Note, from several goroutines.
	OnNote func(Note)
	// Speak speaks an answer; nil: Session.Speak does.
	Speak func(ctx context.Context, name string, in Audio, speech echo.Speech) (echo.Receipt, error)
}

// Previous is the previous answer and the part of it that was heard. The user knows only
// that part.
type Previous struct {
	Answer string           `json:"answer"`          // all of its text
	Heard  *echo.HeardWords `json:"heard,omitempty"` // nil: not known
}

// Note reports what happens in a conversation.
type Note struct {
	Kind   NoteKind
	Answer string // such as "answer 3" or "greeting"
	Text   string // what was said
	Reason string
}

// NoteKind is the kind of a Note.
type NoteKind int

// The kinds of notes.
const (
	NoteUser       NoteKind = iota // Text was said by the user, and is answered now
	NoteQueued                     // Text was said by the user, and is answered later
	NoteUnanswered                 // Text was said by the user and is not answered, for a Reason
	NoteReply                      // Text is the answer
	NoteSilent                     // there was nothing to say
	NoteHeld                       // the answer waits: the user makes a sound
	NoteContinued                  // the answer continues: no words followed the sound
	NoteAbandoned                  // the answer was abandoned, for a Reason
	NoteSlow                       // a command has printed nothing for a while: Reason
	NoteFailed                     // a command failed: Reason; the conversation continues
)

// IsProblem reports whether the user's words or an answer were lost.
func (n Note) IsProblem() bool { return n.Kind == NoteUnanswered || n.Kind == NoteFailed }

// Line returns the note as one line of text.
func (n Note) Line() string {
	said := text.OneLine(n.Text)
	switch n.Kind {
	case NoteUser:
		return "user: " + said
	case NoteQueued:
		return "user: " + said + " (answered after this answer)"
	case NoteUnanswered:
		return "user: " + said + ": not answered: " + n.Reason
	case NoteReply:
		return "pal: " + said
	case NoteSilent:
		return n.Answer + ": nothing to say"
	case NoteHeld:
		return n.Answer + ": waiting: the user makes a sound"
	case NoteContinued:
		return n.Answer + ": continuing: the user said no words"
	case NoteAbandoned:
		return n.Answer + ": abandoned: " + n.Reason
	}
	return n.Answer + ": " + text.FirstLine(n.Reason)
}

// ErrAbandoned is the cause with which an answer is abandoned.
var ErrAbandoned = errors.New("the user continued to speak")

// Defaults of Options.
const (
	defaultFalseInterrupt = 2 * time.Second
	defaultThinkTimeout   = 60 * time.Second
	defaultTTSTimeout     = 30 * time.Second
	defaultKeep           = 11 * time.Second
)

// maxQueue is how many utterances wait at most with Options.IgnoreUser.
const maxQueue = 100

// conversation is the state of one call of Run. Only the goroutine of Run uses it, except
// for note.
type conversation struct {
	options Options
	session Session
	policy  bargeInPolicy
	make    func(ctx context.Context, r request) (*answerAudio, error)
	// understand runs the recogniser once
	understand func(ctx context.Context, in *switchWriter, hand func(userEvent) bool) (isUseful bool, err error)

	state    state
	now      *answer   // nil when idle
	previous *Previous // nil before the first answer
	queue    []string
	turns    int // answers that were begun
	hold     *time.Timer
}

// Run answers the user until the room ends, ctx ends or the session is lost. It returns nil
// if the room ended, and the cause of ctx if that ended. Abandoned or failed answers do not
// end it. Everything that Run starts has ended when it returns.
func Run(ctx context.Context, session Session, options Options) error {
	return newConversation(session, options).talk(ctx)
}

// talk listens to the user and answers.
func (c *conversation) talk(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	events := c.session.Events(ctx) // subscribe before the greeting: the user may speak early
	heard := make(chan userEvent)
	hand := func(e userEvent) bool {
		select {
		case heard <- e:
			return true
		case <-ctx.Done():
			return false
		}
	}
	var listening sync.WaitGroup
	listening.Go(func() { c.userEvents(ctx, events, hand) })
	if c.options.Recogniser != "" {
		listening.Go(func() { c.recognise(ctx, hand) })
	}
	err := c.run(ctx, heard)
	cancel(err)
	listening.Wait()
	if errors.Is(err, ErrRoomEnded) || errors.Is(err, errCounted) {
		return nil
	}
	return err
}

func newConversation(session Session, o Options) *conversation {
	orDefault := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	orDefault(&o.FalseInterrupt, defaultFalseInterrupt)
	orDefault(&o.ThinkTimeout, defaultThinkTimeout)
	orDefault(&o.TTSTimeout, defaultTTSTimeout)
	orDefault(&o.Keep, defaultKeep)
	if o.OnNote == nil {
		o.OnNote = func(Note) {}
	}
	if o.Stderr == nil {
		o.Stderr = io.Discard
	}
	if o.Speak == nil {
		o.Speak = func(ctx context.Context, _ string, _ Audio, speech echo.Speech) (echo.Receipt, error) {
			return session.Speak(ctx, speech)
		}
	}
	c := &conversation{
		options: o, session: session,
		policy: bargeInPolicy{ignoresUser: o.IgnoreUser, givesUp: o.FalseInterrupt < 0},
		hold:   time.NewTimer(maxHold),
	}
	c.hold.Stop()
	c.make, c.understand = c.runCommands, c.recogniseOnce
	return c
}

func (c *conversation) note(n Note) { c.options.OnNote(n) }

// errCounted ends a conversation after Options.Count answers.
var errCounted = errors.New("all answers were given")

// run is the main loop: it waits for the next event, and acts on it.
func (c *conversation) run(ctx context.Context, heard <-chan userEvent) (err error) {
	defer func() { c.end(err) }()
	if c.options.Greeting != "" {
		c.state, c.now = preparing, c.begin(ctx, "", c.options.Greeting)
	}
	for {
		var ready <-chan struct{}
		var ended <-chan error
		if c.now != nil {
			ready, ended = c.now.ready, c.now.ended
		}
		select {
		case user := <-heard:
			if user.err != nil {
				return user.err
			}
			c.handle(ctx, user.kind, user.text)
		case <-c.hold.C:
			c.handle(ctx, holdExpired, "")
		case <-ready:
			c.now.ready = nil // it is ready only once
			c.handle(ctx, audioReady, "")
		case <-ended:
			c.now.cancel(nil)
			c.finishAnswer()
			c.handle(ctx, answerEnded, "")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if c.options.Count > 0 && c.turns >= c.options.Count && c.state == idle {
			return errCounted
		}
		if c.state == idle && len(c.queue) > 0 {
			next := c.queue[0]
			c.queue = c.queue[1:]
			c.handle(ctx, userSaid, next)
		}
	}
}

// handle decides on the actions after an event, and performs them.
func (c *conversation) handle(ctx context.Context, e event, text string) {
	wasHeld := isHeld(c.state)
	next, actions := c.policy.decide(c.state, e)
	c.state = next
	for _, a := range actions {
		c.act(ctx, a, text)
	}
	switch isHeld := isHeld(next); {
	case isHeld && !wasHeld:
		c.note(Note{Kind: NoteHeld, Answer: c.now.name})
	case wasHeld && e == holdExpired:
		c.note(Note{Kind: NoteContinued, Answer: c.now.name})
	}
}

func (c *conversation) act(ctx context.Context, a action, text string) {
	switch a {
	case begin:
		c.turns++
		c.note(Note{Kind: NoteUser, Text: text})
		c.now = c.begin(ctx, text, "")
	case enqueue:
		c.enqueue(text)
	case abandonForSound:
		c.abandon("the user began to speak")
	case abandonForWords:
		c.abandon("the user said something else")
	case permit:
		close(c.now.permitted)
	case pause:
		_ = c.session.Pause(ctx) // if it fails, the session is lost and its events end
	case resume:
		c.session.Resume()
	case awaitStop:
		c.hold.Reset(maxHold)
	case awaitWords:
		c.hold.Reset(c.options.FalseInterrupt)
	case stopWaiting:
		c.hold.Stop()
	}
}

func (c *conversation) enqueue(text string) {
	if len(c.queue) == maxQueue {
		c.note(Note{Kind: NoteUnanswered, Text: text, Reason: fmt.Sprintf("%d utterances wait already", maxQueue)})
		return
	}
	c.queue = append(c.queue, text)
	c.note(Note{Kind: NoteQueued, Text: text})
}

// abandon ends the current answer, and waits for its end.
func (c *conversation) abandon(reason string) {
	c.now.cancel(ErrAbandoned)
	if err := <-c.now.ended; err != nil { // nil: the answer had just ended by itself
		c.note(Note{Kind: NoteAbandoned, Answer: c.now.name, Reason: reason})
	}
	c.finishAnswer()
	c.session.Resume() // the next answer must not begin paused
}

// finishAnswer records the answer that has just ended as the previous one.
func (c *conversation) finishAnswer() {
	if c.now.spoken != nil {
		c.previous = c.now.spoken
	}
	c.now = nil
}

// end abandons the current answer and drops queued words when the conversation ends.
func (c *conversation) end(why error) {
	c.hold.Stop()
	if c.now != nil {
		c.now.cancel(why)
		if err := <-c.now.ended; err != nil {
			c.note(Note{Kind: NoteAbandoned, Answer: c.now.name, Reason: why.Error()})
		}
	}
	for _, text := range c.queue {
		c.note(Note{Kind: NoteUnanswered, Text: text, Reason: why.Error()})
	}
}

package cli

import (
	"context"
	"errors"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/echo"
	"echocast/tavus"
)

// reaching is how the commands that talk to a replica reach it.
type reaching struct {
	to           string
	readyTimeout time.Duration
	redialFor    time.Duration
	trace        string
	avatar       string
	daily        dailyRoom
	peering      peering
	creating
}

func (r *reaching) reachFlags() []cli.Flag {
	return append([]cli.Flag{
		&cli.StringFlag{Name: "to", Destination: &r.to, DefaultText: "a replica in this process", Usage: "`URL` of the replica: that of echocast replica, of a Daily room, or livekit+wss://HOST/ROOM"},
		&cli.DurationFlag{Name: "ready-timeout", Value: 30 * time.Second, Destination: &r.readyTimeout, Usage: "wait at most this `TIME` for the replica to join"},
		&cli.DurationFlag{Name: "reconnect-timeout", Value: 60 * time.Second, Destination: &r.redialFor, Usage: "try for this `TIME` to make a lost connection again"},
		&cli.StringFlag{Name: "trace", Destination: &r.trace, DefaultText: "none", Usage: "record what happens, and when, in `FILE`; echocast report makes a picture of it"},
		avatarFlag(&r.avatar),
	}, joined(r.createFlags(), r.daily.flags(), r.peering.dialFlags())...)
}

func (r *reaching) checkReach() error {
	switch {
	case r.readyTimeout <= 0:
		return usagef("--ready-timeout %v: waiting takes time", r.readyTimeout)
	case r.redialFor <= 0:
		return usagef("--reconnect-timeout %v: trying takes time", r.redialFor)
	}
	if _, err := r.peering.options(r.warn); err != nil {
		return err
	}
	return r.checkCreate(r.to, "")
}

// place is what a target needs to know of a conversation.
type place struct {
	conversation string
	limit        int    // bytes of a message
	record       string // file for what the replica in this process hears
	microphone   bool   // speak by an audio track
	hear         bool   // somebody wants to hear the room
	apart        bool   // one who only hears it, beside a sender
	hearRate     int    // Hz, of samples that come decoded
	users        bool   // somebody wants to know when people speak
	// wrap, if it is set, stands between the connection and its user.
	wrap func(echo.Conn) echo.Conn
}

// messages is the stage of a connection with messages.
func (p *place) messages(conn echo.Conn, limit int) echo.Stage {
	return echo.NewMessages(p.wrapped(conn), p.conversation, limit)
}

// wrapped is a connection with what stands before it.
func (p *place) wrapped(conn echo.Conn) echo.Conn {
	if p.wrap == nil {
		return conn
	}
	return p.wrap(conn)
}

// presence is a room that was joined.
type presence struct {
	stage echo.Stage
	limit int // bytes of a message
	leave func() error
	ears  ears // nil where place.hear is not set
}

// joiner joins a room. It is called again after a loss.
type joiner func(ctx context.Context) (*presence, error)

// target is what is spoken to: a room, and the replica in it where that is in
// this process.
type target struct {
	reaching
	out   *reporter
	join  joiner
	room  *presence
	local *localReplica // nil where the replica is elsewhere
	tape  *tape         // nil where nothing is recorded
	// heard has one slot, for the ears of the room that was joined last.
	heard chan ears
	// abandons says that an input whose connection is lost ends the run.
	abandons bool
	// conversation was created to be spoken in; nil where there was one.
	conversation *tavus.Conversation
	ended        func()          // takes the duty to end it away
	ctx          context.Context // of the run, for the end of the conversation
}

// connect joins the room that the options name.
func (r *reaching) connect(ctx context.Context, at place, out *reporter) (*target, error) {
	t := &target{reaching: *r, out: out, ctx: ctx, heard: make(chan ears, 1)}
	t.streams = Streams{Out: out.data, Err: out.people}
	if r.trace != "" {
		tape, err := newTape(r.trace)
		if err != nil {
			return nil, err
		}
		t.tape, at.wrap = tape, wrapped(tape.recorder.Conn, at.wrap)
	}
	if err := t.enter(ctx, &at); err != nil {
		return nil, first(err, t.close())
	}
	return t, nil
}

// enter joins the room, which is made before where there is none.
func (t *target) enter(ctx context.Context, at *place) error {
	switch {
	case t.spec.PAL != "":
		conversation, err := t.create(ctx, t.to, t.avatar, t.out)
		if err != nil {
			return err
		}
		t.conversation = conversation
		t.ended = atExit.add(func() { _ = conversation.Close(ctx) })
		at.conversation = conversation.ID
		t.join = t.conversationJoiner(at)
	case t.to == "":
		local, err := startLocalReplica(at.record, at.limit, t.out)
		if err != nil {
			return err
		}
		t.out.underruns = local.underruns
		t.local = local
		t.join = func(ctx context.Context) (*presence, error) { return joinPeer(ctx, local.url(), nil, at) }
	default:
		t.join = t.joiner(t.to, at)
	}
	room, err := t.join(ctx)
	if err != nil {
		return asUnreachable(err)
	}
	t.use(room)
	return nil
}

// use makes a room the one that is spoken to and heard.
func (t *target) use(room *presence) {
	t.room = room
	select {
	case <-t.heard: // nobody took it in time
	default:
	}
	if room.ears != nil {
		t.heard <- room.ears
	}
}

// conversationJoiner is how the room of the created conversation is joined.
func (t *target) conversationJoiner(at *place) joiner {
	if isLiveKit(t.to) {
		return t.joiner(t.to, at)
	}
	t.daily.token = t.conversation.Token
	return t.joiner(dailyScheme+t.conversation.URL, at)
}

// wrapped is one wrap in another, which may be nil.
func wrapped(inner, outer func(echo.Conn) echo.Conn) func(echo.Conn) echo.Conn {
	if outer == nil {
		return inner
	}
	return func(conn echo.Conn) echo.Conn { return outer(inner(conn)) }
}

// asUnreachable makes an error of joining one of a replica out of reach, unless
// it is one of the command line.
func asUnreachable(err error) error {
	_, usage := errors.AsType[usageError](err)
	_, refused := errors.AsType[*keyError](err)
	if usage || refused {
		return err
	}
	return &unreachable{err}
}

// session opens a session on the target.
func (t *target) session(options *echo.Options) (*echo.Session, error) {
	options.ReadyTimeout = t.readyTimeout
	options.RedialTimeout = t.redialFor
	if t.local == nil {
		options.Redial = t.redial
	}
	if t.tape != nil {
		options.Observe = t.tape.recorder.Observe
	}
	session, err := echo.NewSession(t.room.stage, options)
	if err != nil {
		return nil, settingsError(err)
	}
	return session, nil
}

// redial makes a lost connection again. The session's listener calls it.
func (t *target) redial(ctx context.Context) (echo.Stage, error) {
	if t.room != nil {
		t.progress("the connection was lost; making it again")
		_ = t.room.leave() // it is lost
		t.room = nil
	}
	room, err := t.join(ctx)
	if err != nil {
		return nil, err
	}
	t.use(room)
	t.progress("the connection is there again")
	return room.stage, nil
}

// progress says how a loss is made good, where the run does not end with it.
func (t *target) progress(text string) {
	if !t.abandons || !t.out.speaking.Load() {
		t.out.say("%s", text)
	}
}

// close leaves the room, after its session was closed: what was sent is
// delivered first.
func (t *target) close() error {
	if t.room != nil {
		_ = t.room.leave() // what it could not deliver, receipts tell
	}
	return first(t.closeLocal(), t.end(), t.endTape())
}

func (t *target) closeLocal() error {
	if t.local == nil {
		return nil
	}
	return t.local.close()
}

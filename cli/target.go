package cli

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/echo"
	"echocast/internal/shutdown"
	"echocast/room"
	"echocast/room/daily"
	"echocast/room/peer"
	"echocast/rtc"
	"echocast/tavus"
)

// targetOptions say which room a command talks in, and how it is joined.
type targetOptions struct {
	to               string
	readyTimeout     time.Duration
	reconnectTimeout time.Duration
	trace            string
	avatar           string
	readyWhen        string
	daily            dailyOptions
	peer             peerOptions
	create           createOptions
}

func (o *targetOptions) flags() []cli.Flag {
	return joined([]cli.Flag{
		&cli.StringFlag{Name: "to", Destination: &o.to, DefaultText: "a replica in this process", Usage: "`URL` of the replica: that of echocast replica, of a Daily room, or livekit+wss://HOST/ROOM"},
		&cli.DurationFlag{Name: "ready-timeout", Value: 30 * time.Second, Destination: &o.readyTimeout, Usage: "wait at most this `TIME` for the replica to join"},
		&cli.DurationFlag{Name: "reconnect-timeout", Value: 60 * time.Second, Destination: &o.reconnectTimeout, Usage: "try for this `TIME` to make a lost connection again"},
		&cli.StringFlag{Name: "trace", Destination: &o.trace, DefaultText: "none", Usage: "record what happens, and when, in `FILE`; echocast report draws it"},
		avatarFlag(&o.avatar),
		&cli.StringFlag{Name: "ready-when", Destination: &o.readyWhen, DefaultText: "video, or 10s in the room", Usage: "in a LiveKit room: speak when the avatar has joined, or published audio or video: `WHAT` is joined, audio or video"},
	}, o.create.flags(), o.daily.flags(), o.peer.dialFlags())
}

// check refuses what can be refused before anything is opened. warn is told of
// secrets that others can read.
func (o *targetOptions) check(warn warnFunc) error {
	switch {
	case o.readyTimeout <= 0:
		return usagef("--ready-timeout must be more than 0")
	case o.reconnectTimeout <= 0:
		return usagef("--reconnect-timeout must be more than 0")
	}
	if err := oneOf("--ready-when", o.readyWhen, "", "joined", "audio", "video"); err != nil {
		return err
	}
	if _, err := o.peer.options(warn); err != nil {
		return err
	}
	return cmp.Or(o.create.check(o.to), checkOutputs(map[string]string{"--trace": o.trace}, nil))
}

// isSet reports whether a room was named, or is to be created.
func (o *targetOptions) isSet() bool { return o.to != "" || o.create.spec.PAL != "" }

// isDaily reports whether the room is one of Daily's.
func (o *targetOptions) isDaily() bool {
	return isDaily(o.to) || o.to == "" && o.create.spec.PAL != ""
}

func isDaily(address string) bool {
	backend, err := room.Lookup(address)
	_, ok := backend.(*daily.Backend)
	return err == nil && ok
}

// takesAnyChunk reports whether the room limits no message, as far as is known
// before it is joined.
func (o *targetOptions) takesAnyChunk() bool {
	backend, _ := room.Lookup(o.to)
	limiter, ok := backend.(echo.Limiter)
	return ok && limiter.Limits().MaxMessage == 0
}

// speechRate is the sampling rate in Hz that the replica takes.
func (o *targetOptions) speechRate() int {
	backend, _ := room.Lookup(o.to)
	if rater, ok := backend.(room.SpeechRater); ok {
		return rater.SpeechRate(o.avatar)
	}
	return echo.DefaultRate
}

// backend is what joins the room at an address, with the settings of the flags.
// A nil backend is the registered one.
func (o *targetOptions) backend(address string, warn warnFunc) (room.Backend, error) {
	registered, _ := room.Lookup(address) // room.Join tells the error
	switch registered.(type) {
	case *daily.Backend:
		return o.daily.backend(warn)
	case *peer.Backend:
		options, err := o.peer.options(warn)
		if err != nil {
			return nil, err
		}
		options.BusyTimeout = o.readyTimeout
		return &peer.Backend{Options: *options}, nil
	}
	return registered, nil
}

// join joins the room at an address.
func (o *targetOptions) join(ctx context.Context, address string, with *room.Options, warn warnFunc) (*room.Room, error) {
	if with.Backend == nil {
		var err error
		if with.Backend, err = o.backend(address, warn); err != nil {
			return nil, err
		}
	}
	with.Avatar, with.ReadyWhen, with.Insecure = o.avatar, o.readyWhen, o.peer.insecure
	with.Warn = func(text string) { warn("%s", text) }
	r, err := room.Join(ctx, address, with)
	return r, asJoinError(err)
}

// joinFlags are the flags whose values a backend may refuse, by the names that
// it has for them.
var joinFlags = map[string]string{
	"Core": "--daily-core ", "Microphone": "--as microphone: ", "from": "--from all: ",
	"ReadyWhen": "--ready-when: ",
}

// asJoinError sorts the errors of joining a room by whose fault they are, and
// says which option may help.
func asJoinError(err error) error {
	if option, ok := errors.AsType[*room.OptionError](err); ok {
		return usagef("%s%v", joinFlags[option.Option], option.Err)
	}
	if address, ok := errors.AsType[*room.AddressError](err); ok {
		return usagef("--to: %v", address)
	}
	if credential, ok := errors.AsType[*room.CredentialError](err); ok {
		return usagef("%v", credential)
	}
	return asPeerError(err)
}

// target is the room that a command talks in, and what was made for it.
type target struct {
	options *targetOptions
	out     *reporter
	room    *room.Room
	limit   int            // bytes of a message
	local   *localReplica  // nil where the replica is elsewhere
	trace   *traceRecorder // nil where nothing is recorded
	// abandons reports whether an input whose connection is lost ends the run.
	abandons bool
	// conversation was created to be spoken in; nil where there was one.
	conversation  *tavus.Conversation
	cancelCleanup func()          // the process need not end the conversation any more
	ctx           context.Context // of the run, for the end of the conversation
}

// connect joins the room that the options name, or one that is made before: a
// conversation with --pal, and without --to a replica in this process, which
// records what it hears in a file.
func (o *targetOptions) connect(ctx context.Context, with room.Options, record string, out *reporter) (*target, error) {
	t := &target{options: o, out: out, ctx: ctx, limit: cmp.Or(with.MaxMessage, echo.DefaultMaxMessage)}
	if o.trace != "" {
		recorder, err := newTraceRecorder(o.trace, o.secrets())
		if err != nil {
			return nil, err
		}
		t.trace, with.Wrap = recorder, wrapped(recorder.Conn, with.Wrap)
	}
	if err := t.enter(ctx, with, record); err != nil {
		return nil, cmp.Or(err, t.close())
	}
	t.limit = cmp.Or(t.room.Limits().MaxMessage, t.limit)
	return t, nil
}

// enter joins the room, after making it where there is none.
func (t *target) enter(ctx context.Context, with room.Options, record string) (err error) {
	if with.MaxMessage == echo.DefaultMaxMessage {
		with.MaxMessage = 0 // not asked for
	}
	address, options := t.options.to, *t.options
	switch {
	case options.create.spec.PAL != "":
		if address, err = t.createConversation(ctx, &options); err != nil {
			return err
		}
		with.Conversation = t.conversation.ID
	case address == "":
		if t.local, err = startLocalReplica(record, t.limit, t.out); err != nil {
			return err
		}
		t.out.underruns = t.local.underruns
		address, with.Backend = t.local.url(), &peer.Backend{}
	}
	t.room, err = options.join(ctx, address, &with, t.out.warn)
	return err
}

// createConversation creates the conversation of --pal, and returns the address
// of its room.
func (t *target) createConversation(ctx context.Context, o *targetOptions) (address string, err error) {
	conversation, err := o.create.conversation(ctx, o.to, o.avatar, t.out)
	if err != nil {
		return "", err
	}
	t.conversation = conversation
	t.cancelCleanup = shutdown.AtExit(func() { _ = conversation.Close(ctx) })
	if o.to != "" { // a LiveKit room
		return o.to, nil
	}
	o.daily.token = conversation.Token
	return "daily+" + conversation.URL, nil
}

// wrapped is one wrap in another, which may be nil.
func wrapped(inner, outer func(echo.Conn) echo.Conn) func(echo.Conn) echo.Conn {
	if outer == nil {
		return inner
	}
	return func(conn echo.Conn) echo.Conn { return outer(inner(conn)) }
}

// session opens a session on the target.
func (t *target) session(options *echo.Options) (*echo.Session, error) {
	options.ReadyTimeout = t.options.readyTimeout
	options.RedialTimeout = t.options.reconnectTimeout
	if t.local == nil {
		options.Redial = t.redial
	}
	if t.trace != nil {
		options.Observe = t.trace.Observe
	}
	session, err := echo.NewSession(t.room.Stage(), options)
	if err != nil {
		return nil, settingsError(err)
	}
	return session, nil
}

// redial makes a lost connection again. The session's listener calls it.
func (t *target) redial(ctx context.Context) (echo.Stage, error) {
	if t.room.Stage() != nil {
		t.progress("the connection was lost; making it again")
	}
	stage, err := t.room.Rejoin(ctx)
	if err != nil {
		return nil, asPeerError(err)
	}
	t.progress("the connection is there again")
	return stage, nil
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
		_ = t.room.Close() // what it could not deliver, receipts tell
	}
	return cmp.Or(t.closeLocal(), t.endConversation(), t.endTrace())
}

func (t *target) closeLocal() error {
	if t.local == nil {
		return nil
	}
	return t.local.close()
}

// hasEnded reports whether an error is the end of a room in good order.
func hasEnded(err error) bool {
	return errors.Is(err, room.ErrOver) || errors.Is(err, rtc.ErrPeerGone)
}

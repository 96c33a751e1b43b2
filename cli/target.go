package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/echo"
	"echocast/hear"
	"echocast/internal/outfile"
	"echocast/internal/shutdown"
	"echocast/replica/serve"
	"echocast/room"
	"echocast/room/daily"
	"echocast/room/peer"
	"echocast/room/rest"
	"echocast/rtc"
	"echocast/tavus"
	"echocast/webhook"
)

// targetOptions say which room a command uses, and how it is joined.
type targetOptions struct {
	to               string
	readyTimeout     time.Duration
	reconnectTimeout time.Duration
	trace            string
	avatar           string
	readyWhen        string
	daily            dailyOptions
	peer             peerOptions
	rehearse         bool
	way              wayOptions
	fallback         string
	create           createOptions
}

// flags are those of commands that may speak to a stand-in or create a
// conversation.
func (o *targetOptions) flags() []cli.Flag {
	return append(o.roomFlags(), o.speechFlags()...)
}

func (o *targetOptions) speechFlags() []cli.Flag {
	return append(o.create.flags(), boolOption(&o.rehearse, "rehearse", "speak to a stand-in replica in this process, "+
		"also where a real one is configured"))
}

// roomFlags are those of commands that need a room.
func (o *targetOptions) roomFlags() []cli.Flag {
	return joined([]cli.Flag{
		option(&o.to, "to", "", "`URL` of the room: that of echocast replica, of a Daily room, livekit+wss://HOST/ROOM, or "+
			"tavus:CONVERSATION (default: none)"),
		option(&o.readyTimeout, "ready-timeout", 30*time.Second, "wait at most this `TIME` for the replica to join"),
		option(&o.reconnectTimeout, "reconnect-timeout", 60*time.Second, "try for this `TIME` to make a lost connection "+
			"again"),
		option(&o.trace, "trace", "", "record what happens, and when, in `FILE`; echocast report draws it (default: none)"),
		avatarFlag(&o.avatar),
		option(&o.readyWhen, "ready-when", "", "in a LiveKit room: speak when the avatar has joined, or published audio or "+
			"video: `WHAT` is joined, audio or video (default: video, or 10s in the room)"),
	}, o.way.flags(), o.create.service.flags(), o.daily.flags(), o.peer.dialFlags())
}

// check validates the options before anything is opened. It warns of secret files
// that other users can read.
func (o *targetOptions) check(warn warnFunc) error {
	hideTokenOf(o.to)
	switch {
	case o.readyTimeout <= 0:
		return usagef("--ready-timeout must be more than 0")
	case o.reconnectTimeout <= 0:
		return usagef("--reconnect-timeout must be more than 0")
	case o.rehearse && o.isSet():
		return usagef("--rehearse speaks to a stand-in replica in this process, and --to and --pal name another; " +
			"leave one of them out")
	}
	if err := oneOf("--ready-when", o.readyWhen, "", "joined", "audio", "video"); err != nil {
		return err
	}
	if _, err := o.peer.options(warn); err != nil {
		return err
	}
	return cmp.Or(o.create.check(o.to), o.checkFallback(), checkOutputs(map[string]string{"--trace": o.trace}, nil))
}

// isSet reports whether a room was named, or is to be created.
func (o *targetOptions) isSet() bool { return o.to != "" || o.create.spec.PAL != "" }

// palVariables name the PAL for conversation create.
var palVariables = []string{"TAVUS_PAL_ID", "TAVUS_PERSONA_ID"}

// resolve finds the room of the conversation if --to names none. If the options or
// the environment name a real replica that cannot be reached, it fails, rather than
// let the command speak to a stand-in.
func (o *targetOptions) resolve(conversation string) error {
	isNamed := conversation != "" && conversation != room.LocalConversation
	switch {
	case o.isSet(), o.rehearse:
		return nil
	case isNamed && !o.create.service.hasKey():
		return usagef("conversation %s is not joined without an API key: set TAVUS_API_KEY, or name its room "+
			"with --to URL; --rehearse speaks to a stand-in", conversation)
	case isNamed:
		o.to = rest.Scheme + ":" + conversation
		return nil
	}
	for _, variable := range palVariables {
		if pal := os.Getenv(variable); pal != "" {
			return usagef("%s names a PAL, and nobody would hear it: --pal %s creates a conversation, which costs "+
				"money, --to URL joins one, and --rehearse speaks to a stand-in", variable, pal)
		}
	}
	return nil
}

// needRoom fails if no room is named, for commands without a stand-in.
func (o *targetOptions) needRoom(command, conversation string) error {
	if err := o.resolve(conversation); err != nil {
		return err
	}
	if !o.isSet() {
		return usagef("%s needs a room: name it with --to URL, or name a conversation with --conversation ID", command)
	}
	return nil
}

// isDaily reports whether the room is one of Daily's.
func (o *targetOptions) isDaily() bool {
	if o.namesConversation() || o.to == "" && o.create.spec.PAL != "" {
		return !o.isREST()
	}
	return isDaily(o.to)
}

func isDaily(address string) bool {
	backend, err := room.Lookup(address)
	_, ok := backend.(*daily.Backend)
	return err == nil && ok
}

// takesAnyChunk reports whether the room is known to limit no message before it is
// joined.
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
		options.BusyTimeout, options.ConnectTimeout = o.readyTimeout, o.readyTimeout
		return &peer.Backend{Options: *options}, nil
	}
	return registered, nil
}

// join joins the room at an address.
func (o *targetOptions) join(ctx context.Context, address string, with *room.Options,
	warn warnFunc) (*room.Room, error) {
	if with.Backend == nil {
		var err error
		if with.Backend, err = o.backend(address, warn); err != nil {
			return nil, err
		}
	}
	if _, ok := inviter(address); ok {
		with.Avatar, with.ReadyWhen = o.avatar, o.readyWhen
	}
	with.Insecure = o.peer.insecure
	if with.Conversation == room.LocalConversation {
		with.Conversation = "" // that of the room
	}
	with.Warn = func(text string) { warn("%s", text) }
	r, err := room.Join(ctx, address, with)
	return r, asJoinError(err)
}

// joinFlags are the flags for the names in a room.OptionError.
var joinFlags = map[string]string{
	"Core": "--daily-core ", "Microphone": "--as microphone: ", "Hear": "--hear: ", "ReadyWhen": "--ready-when: ",
	"Conversation": "--conversation: ", "MaxMessage": "--max-message: ",
}

// asJoinError gives an error of joining a room its exit code, and names the option
// that may help.
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

// target is the joined room of a command, with what was created for it.
type target struct {
	options *targetOptions
	out     *reporter
	room    *room.Room
	limit   int            // bytes of a message
	local   *serve.Local   // nil where the replica is elsewhere
	trace   *traceRecorder // nil where nothing is recorded
	// abandons reports whether a lost connection ends the run.
	abandons bool
	// conversation was created for this run; nil if it existed before.
	conversation  *tavus.Conversation
	cancelCleanup func()            // the process need not end the conversation any more
	receiver      *webhook.Receiver // of events, over REST; nil where there is none
	ctx           context.Context   //nolint:containedctx // of the run, for the end of the conversation
}

// connect joins the room that the options name. With --pal it creates a conversation
// first; without --to and --pal it starts a replica in this process, which records
// what it hears in the file record.
func (o *targetOptions) connect(ctx context.Context, with room.Options, record string, out *reporter) (*target, error) {
	t := &target{options: o, out: out, ctx: ctx, limit: cmp.Or(with.MaxMessage, echo.DefaultMaxMessage)}
	if err := cmp.Or(o.resolve(with.Conversation), o.checkWay()); err != nil {
		return nil, err
	}
	if o.trace != "" {
		recorder, err := newTraceRecorder(o.trace)
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

// enter joins the room, and creates it first if need be.
func (t *target) enter(ctx context.Context, with room.Options, record string) (err error) {
	if with.MaxMessage == echo.DefaultMaxMessage {
		with.MaxMessage = 0 // not asked for
	}
	address, options := t.options.to, *t.options
	if options.isREST() {
		if with.Backend, err = t.restBackend(); err != nil {
			return err
		}
	}
	switch {
	case options.create.spec.PAL != "":
		if address, err = t.createConversation(ctx, &options); err != nil {
			return err
		}
		with.Conversation = t.conversation.ID
	case address == "":
		t.out.rehearsal = true
		t.out.say("rehearsal: a stand-in replica in this process; nobody hears this")
		if record != "" { // refused before anything is said
			if err := outfile.Check(record); err != nil {
				return fmt.Errorf("--record %s: %w", record, plain(err))
			}
		}
		if t.local, err = serve.StartLocal(&serve.LocalOptions{Record: record, MessageLimit: t.limit,
			OnComplaint: func(text string) { t.out.say("the replica complains: %s", text) }}); err != nil {
			return err
		}
		t.out.underruns = t.local.Underruns
		address, with.Backend = t.local.URL(), &peer.Backend{}
	case options.namesConversation() && !options.isREST():
		if address, err = t.dailyAddress(ctx); err != nil {
			return err
		}
	}
	if err = t.fallBack(&with); err != nil {
		return err
	}
	t.room, err = options.join(ctx, address, &with, t.out.warn)
	return err
}

// createConversation creates a conversation with the PAL of --pal, and returns the
// address of its room.
func (t *target) createConversation(ctx context.Context, o *targetOptions) (address string, err error) {
	o.create.spec.Callback = o.way.webhookURL
	conversation, err := o.create.conversation(ctx, o.to, o.avatar, t.out)
	if err != nil {
		return "", err
	}
	t.conversation = conversation
	t.cancelCleanup = shutdown.AtExit(func() { _ = t.closeConversation() })
	if o.to != "" { // a LiveKit room
		return o.to, nil
	}
	if o.isREST() {
		return rest.Scheme + ":" + conversation.ID, nil
	}
	o.daily.token = conversation.Token
	return "daily+" + conversation.URL, nil
}

// wrapped applies inner, and then outer if it is not nil.
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
	if _, isREST := t.room.Stage().(*rest.Stage); isREST {
		options.SendTimeout = rest.SendTimeout
	}
	if t.trace != nil {
		options.Observe = t.trace.Observe
	}
	t.followReplica(options)
	session, err := echo.NewSession(t.room.Stage(), options)
	if err != nil {
		return nil, settingsError(err)
	}
	return session, nil
}

// redial reconnects after a loss. The session calls it.
func (t *target) redial(ctx context.Context) (echo.Stage, error) {
	if t.room.Stage() != nil {
		t.progress("the connection was lost; reconnecting")
	}
	stage, err := t.room.Rejoin(ctx)
	if err != nil {
		return nil, asPeerError(err)
	}
	t.progress("reconnected")
	return stage, nil
}

// progress reports reconnecting, unless a lost connection ends the run.
func (t *target) progress(text string) {
	if !t.abandons || !t.out.speaking.Load() {
		t.out.say("%s", text)
	}
}

// close leaves the room after what was sent is delivered. The session must be closed
// before.
func (t *target) close() error {
	if t.room != nil {
		_ = t.room.Close() // what it could not deliver, receipts tell
	}
	t.closeReceiver()
	return cmp.Or(t.closeLocal(), t.endConversation(), t.endTrace())
}

func (t *target) closeLocal() error {
	if t.local == nil {
		return nil
	}
	return t.local.Close()
}

// hasEnded reports whether err means that the room has ended normally.
func hasEnded(err error) bool {
	return errors.Is(err, room.ErrOver) || errors.Is(err, rtc.ErrPeerGone) || errors.Is(err, hear.ErrCommandEnded)
}

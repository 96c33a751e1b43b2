package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/call"
	"echocast/echo"
	"echocast/hear"
	"echocast/internal/option"
	"echocast/internal/outfile"
	"echocast/internal/output"
	"echocast/internal/redact"
	"echocast/internal/roomoption"
	"echocast/internal/shutdown"
	"echocast/room"
	"echocast/room/daily"
	"echocast/room/peer"
	"echocast/room/rest"
	"echocast/rtc"
	"echocast/tavus"
	"echocast/trace"
)

// targetOptions say which room a command uses, and how it is joined.
type targetOptions struct {
	to               string
	readyTimeout     time.Duration
	reconnectTimeout time.Duration
	trace            string
	avatar           string
	readyWhen        string
	daily            roomoption.Daily
	peer             roomoption.Peer
	rehearse         bool
	via              viaOptions
	fallback         string
	page             bool // of a rehearsal
	willRecord       bool // the call
	create           createOptions
}

// flags returns the flags of commands that may speak to a stand-in or create a
// conversation.
func (o *targetOptions) flags() []cli.Flag {
	return append(o.roomFlags(), o.speechFlags()...)
}

func (o *targetOptions) speechFlags() []cli.Flag {
	return append(o.create.flags(), option.Bool(&o.rehearse, "rehearse", "speak to a stand-in replica in this process, "+
		"even if a real one is configured"))
}

// roomFlags returns the flags of commands that need a room.
func (o *targetOptions) roomFlags() []cli.Flag {
	return option.Join([]cli.Flag{
		option.New(&o.to, "to", "", "`URL` of the room: that of echocast replica, of a Daily room, "+
			"livekit+wss://HOST/ROOM, or tavus:CONVERSATION (default: none)"),
		option.New(&o.readyTimeout, "ready-timeout", 30*time.Second, "wait at most this `TIME` for the replica to join"),
		option.New(&o.reconnectTimeout, "reconnect-timeout", 60*time.Second, "try for this `TIME` to restore a lost "+
			"connection"),
		option.New(&o.trace, "trace", "", "record what happens and when in `FILE`, for echocast report (default: "+
			"none)"),
		avatarFlag(&o.avatar),
		option.New(&o.readyWhen, "ready-when", "", "in a LiveKit room: speak when the avatar has joined, or published "+
			"audio or video: `WHAT` is joined, audio or video (default: video, or 10s in the room)"),
	}, o.via.flags(), o.create.service.Flags(), o.daily.Flags(), o.peer.DialFlags())
}

// check validates the options before anything is opened. It warns of secret files
// that other users can read.
func (o *targetOptions) check(warn output.WarnFunc) error {
	switch {
	case o.readyTimeout <= 0:
		return usagef("--ready-timeout must be more than 0")
	case o.reconnectTimeout <= 0:
		return usagef("--reconnect-timeout must be more than 0")
	case o.rehearse && o.isSet():
		return usagef("--rehearse speaks to a stand-in replica in this process, and --to and --pal name another; " +
			"leave one of them out")
	}
	if err := option.OneOf("--ready-when", o.readyWhen, "", "joined", "audio", "video"); err != nil {
		return err
	}
	if _, err := room.Lookup(o.to); o.to != "" && err != nil {
		return asJoinError(err)
	}
	if _, err := o.peer.Options(warn); err != nil {
		return err
	}
	return cmp.Or(o.via.check(), o.create.check(o.to), o.checkFallback(),
		outfile.CheckAll(map[string]string{"--trace": o.trace}, nil))
}

// checkSpeech validates the settings of what is spoken in the room.
func (o *targetOptions) checkSpeech(s *settings, names []string) error {
	s.prepare.MaxDuration = o.create.longestInput(s.prepare.MaxDuration)
	s.anyChunk = s.anyChunk || o.takesAnyChunk()
	s.limits = o.restLimits(s.maxMessage)
	s.speechRate = cmp.Or(s.speechRate, o.speechRate())
	return s.check(names)
}

// isSet reports whether a room is named or will be created.
func (o *targetOptions) isSet() bool { return o.to != "" || o.create.spec.PAL != "" }

// palVariables name the PAL for conversation create.
var palVariables = []string{"TAVUS_PAL_ID", "TAVUS_PERSONA_ID"}

// resolve finds the room of the conversation if --to names none. If the options or the
// environment name a real replica that cannot be reached, it fails, so that the command does
// not speak to a stand-in by mistake.
func (o *targetOptions) resolve(conversation string) error {
	isNamed := conversation != "" && conversation != room.LocalConversation
	switch {
	case o.isSet(), o.rehearse:
		return nil
	case isNamed && !o.create.service.HasKey():
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

// takesAnyChunk reports whether the room is known, before it is joined, to have no limit for
// messages.
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

func (o *targetOptions) backend(address string, warn output.WarnFunc) (room.Backend, error) {
	registered, _ := room.Lookup(address) // room.Join returns the error
	switch registered.(type) {
	case *daily.Backend:
		return o.daily.Backend(warn)
	case *peer.Backend:
		options, err := o.peer.Options(warn)
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
	warn output.WarnFunc) (*room.Room, error) {
	if with.Backend == nil {
		var err error
		if with.Backend, err = o.backend(address, warn); err != nil {
			return nil, err
		}
	}
	if _, ok := inviter(address); ok {
		with.Avatar, with.ReadyWhen = o.avatar, o.readyWhen
	}
	with.Insecure = o.peer.Insecure
	if with.Conversation == room.LocalConversation {
		with.Conversation = "" // the room has its own
	}
	with.Warn = func(text string) { warn("%s", text) }
	r, err := room.Join(ctx, address, with)
	if _, isPeer := with.Backend.(*peer.Backend); isPeer && errors.Is(err, syscall.ECONNREFUSED) {
		err = fmt.Errorf("%w; is echocast replica running there?", err)
	}
	return r, asJoinError(err)
}

// joinFlags maps the names in a room.OptionError to flags.
var joinFlags = map[string]string{
	"Core": "--daily-core ", "Microphone": "--as microphone: ", "Hear": "--hear: ", "ReadyWhen": "--ready-when: ",
	"Conversation": "--conversation: ", "MaxMessage": "--max-message: ",
}

// asJoinError gives an error of joining a room its exit code, and names the option that may
// help.
func asJoinError(err error) error {
	if option, ok := errors.AsType[*room.OptionError](err); ok {
		return usagef("%s%v", joinFlags[option.Option], option.Err)
	}
	if address, ok := errors.AsType[*room.AddressError](err); ok {
		return usagef("--to: %v", address)
	}
	if unknown, ok := errors.AsType[*room.UnknownSchemeError](err); ok {
		return usagef("--to %s: not the address of a room: it begins with http:// or https:// (echocast replica, Daily), "+
			"livekit+wss:// or tavus:", unknown.Address)
	}
	if credential, ok := errors.AsType[*room.CredentialError](err); ok {
		return usagef("%v", credential)
	}
	return roomoption.ExplainPeer(err)
}

// target is the joined room of a command, with what was created for it.
type target struct {
	*call.Call
	onLeave []func() error // called before the session is closed, or the room is left
	onClose []func() error // called after the room was left
}

// connect joins the room that the options name. With --pal it creates a conversation
// first; without --to and --pal it starts a replica in this process, which records
// what it hears in the file record.
func (o *targetOptions) connect(ctx context.Context, with room.Options, record string, out *reporter) (*target, error) {
	if err := cmp.Or(o.resolve(with.Conversation), o.checkVia()); err != nil {
		return nil, err
	}
	options, err := o.call(with, out)
	if err != nil {
		return nil, err
	}
	if !o.isSet() {
		out.isRehearsal = true
		out.say("rehearsal: a stand-in replica in this process; nobody hears this")
		options.Record = record
	}
	joined, err := call.Join(ctx, options)
	if err != nil {
		return nil, asCallError(shutdown.Cause(ctx, err))
	}
	if local := joined.Local(); local != nil {
		out.underruns = local.Underruns
	}
	return &target{Call: joined}, nil
}

// call returns how the room is joined.
func (o *targetOptions) call(with room.Options, out *reporter) (*call.Options, error) {
	if with.MaxMessage == echo.DefaultMaxMessage {
		with.MaxMessage = 0 // the user did not set it
	}
	options := &call.Options{
		Address: o.to, Room: with, OverREST: o.isREST(), HasFallback: o.fallback != "",
		HasPage: o.page, WillRecord: o.willRecord,
		Join: func(ctx context.Context, address string, with *room.Options) (*room.Room, error) {
			return o.join(ctx, address, with, out.warn)
		},
		Explain: roomoption.ExplainPeer,
		Client:  func() (*tavus.Client, error) { return o.create.service.Client(out.warn) },
		Daily:   func() (*daily.Backend, error) { return o.daily.Backend(out.warn) },
		OnJoin:  out.showAddress, Webhook: o.via.address(), WebhookURL: o.via.webhookURL,
		ReadyTimeout: o.readyTimeout, ReconnectTimeout: o.reconnectTimeout,
		Say: out.say, Warn: out.warn, OnReconnect: out.progress,
		OnEndFailed: func(err error) {
			out.warn("%v", err)
			out.warn("end it with: echocast conversation end-mine")
		},
	}
	if o.create.spec.PAL != "" {
		options.Create = func(ctx context.Context) (*tavus.Conversation, error) {
			o.create.spec.Callback = o.via.webhookURL
			return o.create.conversation(ctx, o.to, o.avatar, out)
		}
	}
	if o.trace != "" {
		recorder, err := trace.Create(o.trace, "echocast "+Version, redact.Hide)
		if err != nil {
			return nil, fmt.Errorf("--trace %s: %w", o.trace, plain(err))
		}
		options.Trace = recorder
	}
	return options, nil
}

// talk opens a session, calls do when the replica has joined, and leaves the room.
func (t *target) talk(ctx context.Context, options *echo.Options, out *reporter, do func(*echo.Session) error) error {
	session, err := t.Session(options)
	if err != nil {
		return cmp.Or(settingsError(err), t.close())
	}
	out.say("waiting for the replica")
	if err = session.WaitReady(ctx); err == nil {
		err = do(session)
	}
	if err != nil {
		err = shutdown.Cause(ctx, err)
	}
	left := t.leave()
	_ = session.Close() // never fails
	return cmp.Or(err, left, t.close())
}

// leave ends what runs beside the session. It returns the first error.
func (t *target) leave() error {
	err := callAll(t.onLeave)
	t.onLeave = nil
	return err
}

// close leaves the room. The session must be closed before.
func (t *target) close() error {
	return cmp.Or(t.leave(), asCallError(t.Close()), callAll(t.onClose))
}

// callAll calls functions one after the other. It returns the first error.
func callAll(all []func() error) (err error) {
	for _, f := range all {
		err = cmp.Or(err, f())
	}
	return err
}

// asCallError gives an error of joining or leaving its exit code, and names the option
// that may help.
func asCallError(err error) error {
	if address, ok := errors.AsType[*call.WebhookError](err); ok {
		return listenError("--webhook", address.Address, address.Err)
	}
	if _, ok := errors.AsType[*call.EndError](err); ok {
		return &output.PrintedError{Err: err}
	}
	if _, ok := errors.AsType[*trace.IncompleteError](err); ok {
		return fmt.Errorf("--trace %w", err)
	}
	if errors.Is(err, call.ErrNoDailyRoom) {
		return fmt.Errorf("%w: give --via rest", err)
	}
	return err
}

// hasEnded reports whether err means that the room has ended normally.
func hasEnded(err error) bool {
	return errors.Is(err, room.ErrOver) || errors.Is(err, rtc.ErrPeerGone) || errors.Is(err, hear.ErrCommandEnded)
}

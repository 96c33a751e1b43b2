// Package room joins any room by its address, and speaks and hears there in the
// same way whatever carries it:
//
//	import _ "echocast/room/daily" // registers Daily rooms
//
//	r, err := room.Join(ctx, "https://tavus.daily.co/c0123456789abcdef", nil)
//	session, err := echo.NewSession(r.Stage(), &echo.Options{Redial: r.Rejoin})
//
// Each kind of room is a package that registers the addresses it joins, as the
// drivers of database/sql do: room/peer (http and https), room/daily (Daily
// rooms) and room/livekit (livekit+wss). Package room/roomtest has a room in
// memory, for tests.
package room

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pion/rtp"

	"echocast/echo"
	"echocast/rtc"
)

// Who is heard in a room.
const (
	User    = rtc.SoundUser    // everybody but the replica
	Replica = rtc.SoundReplica // the replica alone
	All     = rtc.SoundAll     // both; not every room can
)

// Hearer passes on what is said in a room.
type Hearer interface {
	// Hear calls packet for each RTP packet of those that from names (User,
	// Replica or All) with the name of its track, and left for each track that
	// is over. It ends with ctx or with the room; its error says which.
	Hear(ctx context.Context, from string, packet func(track string, p *rtp.Packet), left func(track string)) error
}

// TrackOwner is a Hearer that knows whose a track is.
type TrackOwner interface {
	// IsReplica reports whether the track of this name is the replica's.
	IsReplica(track string) bool
}

// What callers may test with errors.Is.
var (
	// ErrOver says that the room has ended in good order.
	ErrOver = errors.New("the room has ended")
	// ErrClosed says that the room was closed by its Close.
	ErrClosed = errors.New("the room was closed")
	// ErrNoHearing says that the room was joined without Options.Hear.
	ErrNoHearing = errors.New("the room was joined without hearing")
)

// Options say how a room is joined. Nil and each zero value mean the default.
type Options struct {
	// Backend joins the room, with settings of its own such as a key. The
	// default is the one that is registered for the address.
	Backend Backend

	// Conversation is the id of the conversation that messages carry. The default
	// is the one that the address names, or "local" with a replica of echocast.
	Conversation string

	// MaxMessage is how many bytes a message may have at most. The default is
	// what the room takes.
	MaxMessage int

	// Hear asks for what is said in the room.
	Hear bool

	// HearRate is the sampling rate in Hz of packets that come decoded, from
	// Daily's library. The default is 48000.
	HearRate int

	// ListenOnly joins as one more participant, beside one who speaks.
	ListenOnly bool

	// UserEvents asks for events when people begin and stop to speak, in rooms
	// that tell it only to those who ask.
	UserEvents bool

	// Microphone speaks by an audio track instead of messages, in rooms that
	// can.
	Microphone bool

	// WithoutReplica makes the microphone speak to the people in the room, also where
	// no replica is in it.
	WithoutReplica bool

	// Fallback, if it is set, is how Rejoin joins once the replica is lost. Notice has
	// to be told of events.
	Fallback *Fallback

	// Avatar is the identity of the participant to speak through, in rooms
	// where it has to be named.
	Avatar string

	// ReadyWhen says what the replica has to do before it is spoken to, in LiveKit
	// rooms: "joined", or publish "audio" or "video". The default is video, or to
	// be in the room for 10 s.
	ReadyWhen string

	// Insecure permits to join a LiveKit room on another machine without TLS, which
	// shows the token to the network.
	Insecure bool

	// Warn, if it is set, is called with what goes wrong without an error.
	Warn func(text string)

	// Wrap, if it is set, stands between the connection and its user, in rooms
	// that carry messages.
	Wrap func(echo.Conn) echo.Conn
}

// Messages is the stage of a connection that carries messages, of limit bytes
// at most, or where limit is 0 of echo.DefaultMaxMessage. conversation is the
// default of Options.Conversation. It is for backends.
func (o *Options) Messages(conn echo.Conn, conversation string, limit int) *echo.Messages {
	if o.Conversation != "" && o.Conversation != LocalConversation {
		conversation = o.Conversation
	}
	return echo.NewMessages(o.Wrapped(conn), conversation, limit)
}

// LocalConversation is the id of the conversation with a replica of echocast. It
// names no real one, and is not sent to one.
const LocalConversation = "local"

// Wrapped is a connection with what Options.Wrap puts in front of it. It is for
// backends.
func (o *Options) Wrapped(conn echo.Conn) echo.Conn {
	if o.Wrap == nil {
		return conn
	}
	return o.Wrap(conn)
}

// Connection is what a Backend makes: one stay in a room.
type Connection struct {
	Stage  echo.Stage
	Hearer Hearer       // nil where nothing can be heard
	Close  func() error // leaves the room once what was sent is delivered
}

// Room is a room that was joined. Its methods may be called by anybody at any
// time.
type Room struct {
	address string
	options Options
	backend Backend

	mu       sync.Mutex
	now      *Connection   // nil between a loss and the next connection
	isClosed bool          // by Close
	changed  chan struct{} // closed when now or closed changes

	hasReplicaLeft bool  // by the last event of it
	failures       int   // of Rejoin in a row
	failed         error // the last one
	hasFallen      bool  // the fallback was taken
}

// Join joins the room at an address. The error is an *AddressError or
// *UnknownSchemeError of the address, an *OptionError of the options, a
// *CredentialError, or else an *UnreachableError.
func Join(ctx context.Context, address string, o *Options) (*Room, error) {
	r := &Room{address: address, changed: make(chan struct{})}
	if o != nil {
		r.options = *o
	}
	if r.backend = r.options.Backend; r.backend == nil {
		var err error
		if r.backend, err = Lookup(address); err != nil {
			return nil, err
		}
	}
	now, err := r.join(ctx)
	if err != nil {
		return nil, err
	}
	r.now = now
	return r, nil
}

func (r *Room) join(ctx context.Context) (*Connection, error) {
	now, err := r.backend.Join(ctx, r.address, &r.options)
	_, option := errors.AsType[*OptionError](err)
	_, address := errors.AsType[*AddressError](err)
	_, credential := errors.AsType[*CredentialError](err)
	if err == nil || option || address || credential {
		return now, err
	}
	return nil, &UnreachableError{err}
}

// Stage is where utterances are spoken, until the next Rejoin; nil where that
// failed.
func (r *Room) Stage() echo.Stage {
	if now, _ := r.current(); now != nil {
		return now.Stage
	}
	return nil
}

// Limits are what the room's messages have to keep to. A session reads them from
// the stage.
func (r *Room) Limits() echo.Limits { return echo.LimitsOf(r.Stage()) }

func (r *Room) current() (now *Connection, changed <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now, r.changed
}

// Rejoin leaves the room, whose connection was lost, and joins it again. It is
// what echo.Options.Redial wants.
func (r *Room) Rejoin(ctx context.Context) (echo.Stage, error) {
	r.leave()
	now, err := r.again(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isClosed {
		_ = now.Close() // nobody has used it
		return nil, fmt.Errorf("room: join again: %w", ErrClosed)
	}
	r.now = now
	r.change()
	return now.Stage, nil
}

// leave ends the connection, if there is one.
func (r *Room) leave() {
	r.mu.Lock()
	now := r.now
	r.now = nil
	r.change()
	r.mu.Unlock()
	if now != nil {
		_ = now.Close() // what it could not deliver, receipts tell
	}
}

// change wakes those who wait for a connection; r.mu is held.
func (r *Room) change() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// Close leaves the room, once what was sent is delivered. It may be called
// twice.
func (r *Room) Close() error {
	r.mu.Lock()
	r.isClosed = true
	r.mu.Unlock()
	r.leave()
	return nil
}

// Hear hears the room by the present connection, as Hearer says, and ends with
// it. The error is ErrNoHearing where Options.Hear was not set, ErrOver where
// the room has ended in good order, or what the connection says.
func (r *Room) Hear(ctx context.Context, from string, packet func(track string, p *rtp.Packet),
	left func(track string)) error {
	now, _ := r.current()
	switch {
	case now == nil:
		return fmt.Errorf("room: hear: %w", ErrClosed)
	case now.Hearer == nil:
		return fmt.Errorf("room: hear: %w", ErrNoHearing)
	}
	return asOver(now.Hearer.Hear(ctx, from, packet, left))
}

// IsReplica reports whether a track that Hear names is the replica's.
func (r *Room) IsReplica(track string) bool {
	if now, _ := r.current(); now != nil {
		if owner, ok := now.Hearer.(TrackOwner); ok {
			return owner.IsReplica(track)
		}
	}
	return track == Replica
}

// asOver makes the peer's orderly end of the connection the end of the room.
func asOver(err error) error {
	if errors.Is(err, rtc.ErrPeerGone) {
		return fmt.Errorf("%w: %w", ErrOver, err)
	}
	return err
}

// HearOn hears the room as Hear does, and goes on after each Rejoin, until ctx
// ends or the room is closed. It calls lost with the error of each connection that
// is not heard any more.
func (r *Room) HearOn(ctx context.Context, from string, packet func(track string, p *rtp.Packet),
	left func(track string), lost func(error)) {
	var heard *Connection
	for {
		r.mu.Lock()
		now, changed, closed := r.now, r.changed, r.isClosed
		r.mu.Unlock()
		if closed {
			return
		}
		if now != nil && now != heard && now.Hearer != nil {
			heard = now
			if err := now.Hearer.Hear(ctx, from, packet, left); ctx.Err() == nil {
				lost(asOver(err))
			}
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// Package room joins any kind of room by its address, to speak and hear in the same way
// in all of them:
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

// Whom to hear in a room.
const (
	User    = rtc.SoundUser    // everybody but the replica
	Replica = rtc.SoundReplica // the replica alone
	All     = rtc.SoundAll     // both; not every room can
)

// Hearer passes on the sound of a room.
type Hearer interface {
	// Hear calls packet for each RTP packet of the participants that from selects
	// (User, Replica or All) with the name of its track, and left for each track that
	// ends. It returns when ctx or the room ends; its error says which.
	Hear(ctx context.Context, from string, packet func(track string, p *rtp.Packet), left func(track string)) error
}

// TrackOwner is a Hearer that knows the owner of a track.
type TrackOwner interface {
	// IsReplica reports whether the track of this name is the replica's.
	IsReplica(track string) bool
}

// Errors for errors.Is.
var (
	// ErrOver reports that the room has ended normally.
	ErrOver = errors.New("the room has ended")
	// ErrClosed reports that the room was closed by its Close.
	ErrClosed = errors.New("the room was closed")
	// ErrNoHearing reports that the room was joined without Options.Hear.
	ErrNoHearing = errors.New("the room was joined without hearing")
)

// Options say how to join a room. Nil and each zero value mean the default.
type Options struct {
	// Backend joins the room, with its own settings such as a key. The default is the
	// one registered for the address.
	Backend Backend

	// Conversation is the id of the conversation that messages carry. The default is
	// the id in the address, or "local" for a replica of echocast.
	Conversation string

	// MaxMessage is the largest message in bytes. The default is the room's limit.
	MaxMessage int

	// Hear asks for the sound of the room.
	Hear bool

	// HearRate is the sampling rate in Hz of packets that Daily's library decodes. The
	// default is 48000.
	HearRate int

	// ListenOnly joins as one more participant, in addition to one that speaks.
	ListenOnly bool

	// UserEvents asks for events when people begin and stop to speak, in rooms that
	// send them only on request.
	UserEvents bool

	// Microphone speaks by an audio track instead of messages, in rooms that support
	// it.
	Microphone bool

	// WithoutReplica makes the microphone speak to the people in the room, even if no
	// replica is in it.
	WithoutReplica bool

	// Fallback, if set, says how Rejoin joins once the replica is lost. It needs the
	// events that Notice takes.
	Fallback *Fallback

	// Avatar is the identity of the participant to speak through, in rooms where it
	// must be named.
	Avatar string

	// ReadyWhen says what the replica must do before audio is sent, in LiveKit rooms:
	// "joined", or publish "audio" or "video". The default is video, or 10 s in the
	// room.
	ReadyWhen string

	// Insecure permits joining a LiveKit room on another machine without TLS, which
	// shows the token to the network.
	Insecure bool

	// Warn, if set, is called with warnings.
	Warn func(text string)

	// MaySend, if it is set, is asked before each datagram that leaves, in rooms with a
	// connection of this process (room/peer). Where it says no, the datagram is dropped.
	MaySend func() bool

	// Wrap, if set, wraps the connection, in rooms that carry messages.
	Wrap func(echo.Conn) echo.Conn
}

// Messages returns the stage of a connection that carries messages of at most limit
// bytes; 0: echo.DefaultMaxMessage. conversation is the default of
// Options.Conversation. It is for backends.
func (o *Options) Messages(conn echo.Conn, conversation string, limit int) *echo.Messages {
	if o.Conversation != "" && o.Conversation != LocalConversation {
		conversation = o.Conversation
	}
	return echo.NewMessages(o.Wrapped(conn), conversation, limit)
}

// LocalConversation is the id of the conversation with a replica of echocast. It is
// never sent to a real one.
const LocalConversation = "local"

// Wrapped applies Options.Wrap to a connection. It is for backends.
func (o *Options) Wrapped(conn echo.Conn) echo.Conn {
	if o.Wrap == nil {
		return conn
	}
	return o.Wrap(conn)
}

// Connection is one connection to a room, made by a Backend.
type Connection struct {
	Stage  echo.Stage
	Hearer Hearer       // nil if nothing can be heard
	Close  func() error // delivers what was sent, and leaves the room
}

// Room is a joined room. Its methods may be called from any goroutine.
type Room struct {
	address string
	options Options
	backend Backend

	mu       sync.Mutex
	now      *Connection   // nil between a loss and the next connection
	isClosed bool          // by Close
	changed  chan struct{} // closed when now or closed changes

	hasReplicaLeft bool  // according to its last event
	failures       int   // of Rejoin in a row
	failed         error // the last one
	hasFallen      bool  // the fallback is in use
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

// Stage returns the stage to speak on, until the next Rejoin; nil if that failed.
func (r *Room) Stage() echo.Stage {
	if now := r.current(); now != nil {
		return now.Stage
	}
	return nil
}

// Limits returns the limits of the room's messages. A session reads them from the
// stage.
func (r *Room) Limits() echo.Limits { return echo.LimitsOf(r.Stage()) }

func (r *Room) current() *Connection {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// Rejoin leaves the room after its connection was lost, and joins it again. Use it as
// echo.Options.Redial.
func (r *Room) Rejoin(ctx context.Context) (echo.Stage, error) {
	r.leave()
	now, err := r.again(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isClosed {
		_ = now.Close() // it was not used yet
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
		_ = now.Close() // receipts report what was not delivered
	}
}

// change wakes those who wait for a connection; r.mu is held.
func (r *Room) change() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// Close delivers what was sent, and leaves the room. It may be called twice.
func (r *Room) Close() error {
	r.mu.Lock()
	r.isClosed = true
	r.mu.Unlock()
	r.leave()
	return nil
}

// Hear hears the room by the present connection, as Hearer says, and ends with it. The
// error is ErrNoHearing if Options.Hear was not set, ErrOver if the room has ended
// normally, or the error of the connection.
func (r *Room) Hear(ctx context.Context, from string, packet func(track string, p *rtp.Packet),
	left func(track string)) error {
	now := r.current()
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
	if now := r.current(); now != nil {
		if owner, ok := now.Hearer.(TrackOwner); ok {
			return owner.IsReplica(track)
		}
	}
	return track == Replica
}

// asOver converts the normal end of a connection to ErrOver.
func asOver(err error) error {
	if errors.Is(err, rtc.ErrPeerGone) {
		return fmt.Errorf("%w: %w", ErrOver, err)
	}
	return err
}

// HearOn hears the room as Hear does, and continues after each Rejoin, until ctx ends
// or the room is closed. It calls lost with the error of each connection that is not
// heard any more.
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

// Package room joins rooms of any kind by address. A program speaks and hears in the same
// way in all of them:
//
//	import _ "echocast/room/daily" // registers Daily rooms
//
//	r, err := room.Join(ctx, "https://tavus.daily.co/c0123456789abcdef", nil)
//	session, err := echo.NewSession(r.Stage(), &echo.Options{Redial: r.Rejoin})
//
// Each kind of room has a package that registers the addresses that it joins, as the
// drivers of database/sql do: room/peer (http and https), room/daily (Daily rooms) and
// room/livekit (livekit+wss). Package room/roomtest has a room in memory, for tests.
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

// The participants whom Hear can select.
const (
	User    = rtc.SoundUser    // everybody but the replica
	Replica = rtc.SoundReplica // only the replica
	All     = rtc.SoundAll     // both; not supported by every room
)

// Hearer passes on the sound of a room.
type Hearer interface {
	// Hear receives sound from the participants that from selects (User, Replica or All).
	// It calls packet for each RTP packet with the name of its track, and left for each
	// track that ends. It returns when ctx or the room ends. The error says which.
	Hear(ctx context.Context, from string, packet func(track string, p *rtp.Packet), left func(track string)) error
}

// TrackOwner is a Hearer that knows the owner of a track.
type TrackOwner interface {
	// IsReplica reports whether the track with this name belongs to the replica.
	IsReplica(track string) bool
}

// Errors for errors.Is.
var (
	// ErrOver reports that the room has ended normally.
	ErrOver = errors.New("the room has ended")
	// ErrClosed reports that Room.Close was called.
	ErrClosed = errors.New("the room was closed")
	// ErrNoHearing reports that the room was joined without Options.Hear.
	ErrNoHearing = errors.New("the room was joined without hearing")
)

// Options say how to join a room. nil and each zero value mean the default.
type Options struct {
	// Backend joins the room, with its own settings such as a key. The default is the
	// one registered for the address.
	Backend Backend

	// Conversation is the conversation id in messages. The default is the id in the
	// address, or "local" for a replica of echocast.
	Conversation string

	// MaxMessage is the maximum size of a message in bytes. The default is the room's
	// limit.
	MaxMessage int

	// Hear asks for the sound of the room.
	Hear bool

	// HearRate is the sampling rate in Hz of packets that Daily's library decodes. The
	// default is 48000.
	HearRate int

	// ListenOnly joins as an additional participant that only listens.
	ListenOnly bool

	// UserEvents asks for events when people begin and stop to speak, in rooms that
	// send them only on request.
	UserEvents bool

	// Microphone speaks through an audio track instead of messages, in rooms that support
	// that.
	Microphone bool

	// WithoutReplica makes the microphone speak to the people in the room even if there is
	// no replica.
	WithoutReplica bool

	// Fallback, if set, says how Rejoin joins after the replica is lost. Room.Notice must
	// then get the room's events.
	Fallback *Fallback

	// Avatar is the identity of the participant that speaks for us, in rooms where it must
	// be named.
	Avatar string

	// ReadyWhen says, for LiveKit rooms, what the replica must do before audio is sent:
	// "joined", or publish "audio" or "video". The default is video, or 10 s in the room
	// without video.
	ReadyWhen string

	// Insecure permits joining a LiveKit room on another machine without TLS. The token is
	// then visible on the network.
	Insecure bool

	// Warn, if set, is called with warnings.
	Warn func(text string)

	// MaySend, if set, is called before each datagram is sent, in rooms with a connection
	// of this process (room/peer). If it returns false, the datagram is dropped.
	MaySend func() bool

	// Wrap, if set, wraps the connection, in rooms that carry messages.
	Wrap func(echo.Conn) echo.Conn
}

// Messages returns the stage of a connection that carries messages of at most limit bytes.
// 0 means echo.DefaultMaxMessage. conversation is the default of Options.Conversation.
// Backends call it.
func (o *Options) Messages(conn echo.Conn, conversation string, limit int) *echo.Messages {
	if o.Conversation != "" && o.Conversation != LocalConversation {
		conversation = o.Conversation
	}
	return echo.NewMessages(o.Wrapped(conn), conversation, limit)
}

// LocalConversation is the conversation id for a replica of echocast. It is never sent to a
// real replica.
const LocalConversation = "local"

// Wrapped applies Options.Wrap to a connection. Backends call it.
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
	changed  chan struct{} // closed when now or isClosed changes

	hasReplicaLeft bool  // according to its last event
	failures       int   // failures of Rejoin in a row
	failed         error // the last failure
	hasFallen      bool  // the fallback is in use
}

// Join joins the room at an address. The error is an *AddressError or *UnknownSchemeError
// (about the address), an *OptionError, a *CredentialError, a *RefusedError, or an
// *UnreachableError.
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
	_, refused := errors.AsType[*RefusedError](err)
	if err == nil || option || address || credential || refused {
		return now, err
	}
	return nil, &UnreachableError{err}
}

// Stage returns the stage to speak on until the next Rejoin, or nil if the last Rejoin
// failed.
func (r *Room) Stage() echo.Stage {
	if now := r.current(); now != nil {
		return now.Stage
	}
	return nil
}

// Limits returns the limits of the room's messages. A session gets them from the stage.
func (r *Room) Limits() echo.Limits { return echo.LimitsOf(r.Stage()) }

func (r *Room) current() *Connection {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// Rejoin leaves the room after its connection was lost, and joins it again. Set
// echo.Options.Redial to it.
func (r *Room) Rejoin(ctx context.Context) (echo.Stage, error) {
	r.leave()
	now, err := r.joinAgain(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isClosed {
		_ = now.Close() // it has not been used
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

// change wakes everyone who waits for a connection. The caller holds r.mu.
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

// Hear hears the room over the current connection, as Hearer describes, and ends with that
// connection. The error is ErrNoHearing if Options.Hear was not set, ErrOver if the room
// has ended normally, or the error of the connection.
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

// IsReplica reports whether a track that Hear reported belongs to the replica.
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

// HearOn hears the room as Hear does. It continues after each Rejoin, until ctx ends or the
// room is closed. It calls lost with the error of each connection that it no longer hears.
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

// Package livekit is an echo.Stage in a LiveKit room. The replica is an avatar worker that
// joins the same room, receives the audio as data, and publishes video and sound to
// everybody in the room.
//
//	to, err := livekit.ParseAddress("livekit+wss://example.livekit.cloud/demo-room")
//	with, err := livekit.CredentialsFrom(os.Getenv)
//	room, err := livekit.Join(ctx, to, with, nil)
//	session, err := echo.NewSession(room, nil)
//
// # On the wire
//
// The protocol is that between LiveKit's agents and their avatars, so every avatar worker
// understands it:
//
//	sender                                    avatar
//	waits for its video track            <-   joins, publishes audio and video
//	subscribes to its audio              ->   some wait for that before the video
//	byte stream "lk.audio_stream"        ->   one per utterance: header, chunks, trailer
//	     <-  RPC lk.playback_started     ""   optional
//	     <-  RPC lk.playback_finished    {"playback_position": 2.34, "interrupted": false}
//	RPC lk.clear_buffer                  ->   stop; playback_finished reports how much was played
//
// The chunks are signed 16-bit little-endian mono PCM of at most 15,000 bytes. They are
// reliable, in order, and sent only to the avatar. The header's attributes sample_rate and
// num_channels are texts. The trailer ends the utterance. The name of the stream is the
// inference id of the utterance.
//
// # Events
//
// The avatar's video track becomes echo.ReplicaJoined, because before it the avatar may
// miss audio. An avatar that publishes nothing until it gets audio counts as ready after
// Options.ReadyFallback. Options.ReadyWhen changes both.
//
// The two playback RPCs become echo.StartedSpeaking and echo.StoppedSpeaking with the
// inference id of their stream. They name no stream, so a Room works out which one is
// meant: see ledger. lk.playback_started is optional: for an avatar that never sends it
// there is only echo.StoppedSpeaking.
//
// With Options.HearUsers the Room subscribes to the microphones of everybody but the
// avatar. When the server reports that one of them speaks, or that none does any more, that
// becomes an echo.StartedSpeaking or echo.StoppedSpeaking of the user, some 400 ms late.
//
// Everything else becomes events of kind echo.Unknown with the types below.
//
// # Delivery
//
// Speak blocks while the server is behind. The server buffers what the avatar has not taken
// yet, and does not say how much that is. Only lk.playback_finished says what was played.
// The SDK resumes a broken connection without loss. If that fails, the SDK makes a new
// connection, within about two minutes. The utterance that was being spoken is then lost
// and fails.
//
// # Goroutines
//
// A Room starts one goroutine for each call of lk.clear_buffer, and one for each track that
// it hears. Close waits for them, and for those of the SDK's two peer connections.
package livekit

import (
	"cmp"
	"errors"
	"time"
)

// Errors for errors.Is. After Close every call fails with net.ErrClosed.
var (
	// ErrAvatarGone reports that the avatar has left the room.
	ErrAvatarGone = errors.New("the avatar has left the room")
	// ErrLost reports that the connection to the server was lost, or had to be replaced in
	// the middle of an utterance.
	ErrLost = errors.New("connection lost")
	// ErrRefused reports that the server refused the key, the secret or the token.
	ErrRefused = errors.New("the server refuses the credentials")
	// ErrUnsafe reports that the token would cross the network without TLS. Only
	// Options.Insecure permits that.
	ErrUnsafe = errors.New("not safe")
	// ErrRejected reports that the avatar does not obey this sender.
	ErrRejected = errors.New("the avatar rejects our commands; it obeys another sender")
)

// The default identities. The avatar's is that of LiveKit's own plugin.
const (
	DefaultAvatar   = "tavus-avatar-agent"
	DefaultIdentity = "echocast"
)

// Types of the events that only a LiveKit room has.
const (
	TypeAvatarReady      = "livekit.avatar_ready"
	TypePlaybackStarted  = "lk.playback_started"
	TypePlaybackFinished = "lk.playback_finished"
	TypeReconnecting     = "livekit.reconnecting"
	TypeReconnected      = "livekit.reconnected"
	TypeSpeakers         = "livekit.active_speakers"
)

const methodClear = "lk.clear_buffer"

// Options configure a Room. A nil *Options and every zero field mean the default.
type Options struct {
	// Avatar is the identity of the avatar. The default is DefaultAvatar.
	Avatar string

	// Identity is the sender's identity, if the token names none. The default is
	// DefaultIdentity.
	Identity string

	// ReadyWhen says what the avatar must do before audio is sent. The default is
	// ReadyAuto.
	ReadyWhen ReadyPolicy

	// ReadyFallback is how long ReadyAuto waits for the video of an avatar that is
	// in the room. The default is 10 s.
	ReadyFallback time.Duration

	// Warn is called with a warning, such as an avatar that obeys another sender. The
	// default is to say nothing.
	Warn func(text string)

	// Insecure lets a Room send its token without TLS to another machine.
	Insecure bool

	// HearUsers adds events when people in the room speak. The Room then subscribes to
	// their microphones, which the token must allow.
	HearUsers bool

	// HighWater is how many bytes may wait for the server's acknowledgement before Speak
	// blocks. Speak continues when a quarter of that is left. The default is 128 KiB.
	HighWater int

	// ConnectTimeout bounds each of the three steps of Join: signalling, and one peer
	// connection in each direction. The default is 10 s.
	ConnectTimeout time.Duration

	// ClearTimeout bounds the wait for the avatar's answer to lk.clear_buffer.
	// The default is 2 s.
	ClearTimeout time.Duration

	// CloseTimeout bounds how long Close waits for the server to acknowledge
	// what was sent. The default is 1 s.
	CloseTimeout time.Duration
}

// connectTimeout is the default of Options.ConnectTimeout, and the value that a Worker
// uses. The SDK's default is 5 s, which a busy machine exceeds. LiveKit's library for
// browsers waits for 15 s.
const connectTimeout = 10 * time.Second

func (o *Options) withDefaults() Options {
	var set Options
	if o != nil {
		set = *o
	}
	set.Avatar = cmp.Or(set.Avatar, DefaultAvatar)
	set.Identity = cmp.Or(set.Identity, DefaultIdentity)
	set.ReadyFallback = cmp.Or(set.ReadyFallback, 10*time.Second)
	if set.Warn == nil {
		set.Warn = func(string) {}
	}
	set.HighWater = cmp.Or(set.HighWater, 128<<10)
	set.ConnectTimeout = cmp.Or(set.ConnectTimeout, connectTimeout)
	set.ClearTimeout = cmp.Or(set.ClearTimeout, 2*time.Second)
	set.CloseTimeout = cmp.Or(set.CloseTimeout, time.Second)
	return set
}

// Package daily connects to a Daily room, such as that of a Tavus conversation_url, and
// sends and receives app-messages.
//
//	conn, err := daily.Join(ctx, "https://tavus.daily.co/c0123456789abcdef", nil)
//	err = conn.Send(ctx, []byte(`{"event_type":"conversation.echo"}`))
//
// Daily documents no protocol. So this package joins with Daily's library daily-js in a
// headless Chromium. Chromium must be installed, and a conversation takes 50 to 400 MB of
// memory (see [Browser]). With [Options].Library the package joins with Daily's native
// library instead.
//
//	Conn ── data channel of package rtc ── page ── daily-js ── Daily's servers
//
// The package serves the page on 127.0.0.1, under a path that cannot be guessed. daily-js
// is a local file ([Options].DailyJS), or the release Version from the public CDN that
// Daily's samples use. The browser checks that release by its hash. daily-js loads the
// rest, its call machine, from Daily. The page joins without camera and microphone, and
// subscribes to no track unless Conn.Audio asks for one. With [Options].Microphone it
// publishes an audio track that plays what a [Microphone] speaks.
//
// # Messages
//
// A message is one JSON object and is passed on unchanged. daily-js parses and reprints it,
// so numbers beyond 2^53 must be strings. Daily delivers a message to everyone in the room
// at that moment, but never to its sender.
//
// # Who is in the room
//
// Receive also delivers what happens in the room, as messages of the type
// "room":
//
//	{"message_type":"room","event_type":"room.participant_joined",
//	 "properties":{"session_id":"…","user_id":"…","user_name":"…","role":"person"}}
//	{"message_type":"room","event_type":"room.participant_left","properties":{…the same…}}
//	{"message_type":"room","event_type":"room.rejoined",
//	 "properties":{"reason":"the page has crashed"}}
//
// Participants who were already in the room are reported as joined. The role is "replica"
// for the replica and "person" for everyone else. The replica is the first participant
// whose user_id contains Options.ReplicaName or whose user_name equals it. If there is
// none, it is the first participant who sends an event that only a replica sends
// (message_type "system", or a started_speaking or stopped_speaking). That participant is
// then reported as joined again, with the new role.
//
// If there are several replicas in the room, ours is the one whose events name
// Options.Conversation. Events of the others are not delivered.
//
// Messages are sent to the replica. While the replica is not known, they are sent to
// everyone.
//
// The event room.network_interrupted reports that Daily's signalling is interrupted. Send
// then waits until room.network_connected.
//
// # Reconnecting
//
// If a page or a browser crashes, the Conn rejoins the room, once, with a new page and, if
// necessary, a new browser. Send waits for that, and sends again what daily-js had not
// taken. What others send in the meantime is lost. After room.rejoined, the Conn reports
// which participants have joined or left. A second crash ends the connection with ErrLost.
//
// # Goroutines
//
// A Conn runs two goroutines: one watches the connection, and one reads the messages of the
// page. A running browser has one for its HTTP server, and those of chromedp. Close returns
// after all of them and the browser have ended.
package daily

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"echocast/rtc"
)

// Version is the release of daily-js that is loaded unless Options.DailyJS names a file.
// Integrity is the hash of its dist/daily.js.
const (
	Version   = "0.92.2"
	Integrity = "sha384-qkOcWks7O6ZM0W8bDQRvE2Zigs/pWm7ioqYeangGqWoaqMEFUNeAKYLp8J+qWiUS"
)

// DefaultMaxMessage is the message limit of a room that announces none.
const DefaultMaxMessage = 4096

// DefaultReplicaName is part of the user_id of a Tavus replica.
const DefaultReplicaName = "tavus-replica"

// Errors that end a connection (apart from net.ErrClosed, after its Close), and the error
// of a message that was too large. They are those of package rtc.
var (
	// ErrPeerGone says that Daily has ended the call: the room has expired or
	// was closed, or this participant was ejected.
	ErrPeerGone = rtc.ErrPeerGone

	// ErrLost reports that the connection broke: there was a second crash, or Daily's
	// servers cannot be reached.
	ErrLost = rtc.ErrLost

	// ErrTooLarge says that a message is larger than the room takes. Only that
	// message fails.
	ErrTooLarge = rtc.ErrTooLarge
)

// Errors of joining a room.
var (
	// ErrNoBrowser reports that there is no Chromium, and says how to get it.
	ErrNoBrowser = errors.New("no Chromium")

	// ErrRefused reports that Daily refused this participant. The error is a
	// *RefusedError.
	ErrRefused = errors.New("refused")
)

// RefusedError is Daily's reason for refusing a participant.
type RefusedError struct {
	Type    string // such as "no-room", "exp-room", "meeting-full" or "not-allowed"
	Message string // Daily's words
}

// Error returns Daily's reason and words.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("%v: %s: %s", ErrRefused, e.Type, e.Message)
}

// Unwrap makes every RefusedError an ErrRefused.
func (e *RefusedError) Unwrap() error { return ErrRefused }

// Options configure a connection. A nil *Options and every zero field mean the default.
type Options struct {
	// Token is the meeting token of a private room.
	Token string

	// UserName is the name that others see. The default is "echocast".
	UserName string

	// ReplicaName distinguishes the replica from people (see the package comment). The
	// default is DefaultReplicaName.
	ReplicaName string

	// Conversation is the id of the conversation to speak in. If a room has replicas of
	// several conversations, their events show which replica belongs to this one.
	Conversation string

	// Microphone publishes an audio track, for NewMicrophone. It is silent until audio is
	// spoken.
	Microphone bool

	// Library joins the room without a browser. Package core loads such a library. A
	// Microphone needs a browser.
	Library Library

	// SoundRate is the sampling rate in Hz of the sound that the library decodes. The
	// default is 48000.
	SoundRate int

	// MaxMessage is the assumed message limit of a room that announces none. The
	// default is DefaultMaxMessage.
	MaxMessage int

	// Browser is a browser shared with other conversations. By default the connection
	// starts a browser that nobody else uses, at the path Chromium.
	Browser *Browser

	// Chromium is the path of the browser. By default FindBrowser looks for it.
	Chromium string

	// DailyJS is the path of a dist/daily.js. The default is the release
	// Version from the CDN.
	DailyJS string

	// CallMachine is the http or https address of a folder with Daily's file
	// call-machine-object-bundle.js. The default is Daily's server.
	CallMachine string

	// JoinTimeout bounds the time from the start of the browser to the joined
	// room. The default is 30 s.
	JoinTimeout time.Duration

	// LeaveTimeout bounds how long Close waits for the page to have left the
	// room. The default is 2 s.
	LeaveTimeout time.Duration
}

// withDefaults returns a copy of o with a value in every field that needs one.
func (o *Options) withDefaults() *Options {
	var full Options
	if o != nil {
		full = *o
	}
	full.UserName = cmp.Or(full.UserName, "echocast")
	full.ReplicaName = cmp.Or(full.ReplicaName, DefaultReplicaName)
	full.SoundRate = cmp.Or(full.SoundRate, opusRate)
	full.MaxMessage = cmp.Or(full.MaxMessage, DefaultMaxMessage)
	full.JoinTimeout = cmp.Or(full.JoinTimeout, 30*time.Second)
	full.LeaveTimeout = cmp.Or(full.LeaveTimeout, 2*time.Second)
	if full.Browser == nil {
		full.Browser = &Browser{Path: full.Chromium}
	}
	return &full
}

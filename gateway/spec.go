package gateway

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"echocast/echo"
	"echocast/room"
	"echocast/tavus"
)

// Spec describes a conversation to be created.
type Spec struct {
	// To is the address of the room, or Rehearsal. With a PAL it is a LiveKit room, or empty:
	// then the service creates a room for the conversation.
	To string `json:"to,omitempty"`
	// PAL is the id of a PAL of Tavus. The conversation costs money until it ends.
	PAL        string  `json:"pal,omitempty"`
	Face       string  `json:"face,omitempty"`        // empty: the PAL's own
	MaxMinutes float64 `json:"max_minutes,omitempty"` // of a PAL; 0: 60
	// Via says how the room of a PAL is joined: "daily" (the default), or "rest", which needs
	// no browser and has no events.
	Via        string `json:"via,omitempty"`
	Avatar     string `json:"avatar,omitempty"`     // in a LiveKit room: whom to speak through
	Microphone bool   `json:"microphone,omitempty"` // speak by an audio track, in rooms that can
	Label      string `json:"label,omitempty"`      // for people

	// Bot is called after the room was joined, and holds the conversation.
	Bot *Bot `json:"bot,omitempty"`
	// Hear says who in the room can be listened to: user, replica or all. Empty: nobody, or
	// the user if there is a bot.
	Hear string `json:"hear,omitempty"`

	BargeIn bool                 `json:"barge_in,omitempty"` // fall silent when the user speaks
	Resume  bool                 `json:"resume,omitempty"`   // and continue from the last pause that was heard
	OnLoss  echo.ReconnectPolicy `json:"on_loss,omitempty"`  // empty: abandon
	// LeadSeconds is how far ahead of playout audio is sent; 0: 1.
	LeadSeconds float64 `json:"lead_seconds,omitempty"`
	GapSeconds  float64 `json:"gap_seconds,omitempty"` // of silence after an utterance
}

// The longest values of a Spec.
const (
	longestLabel = 200
	longestLead  = 30 // seconds
	longestGap   = 600
)

var onLoss = []echo.ReconnectPolicy{"", echo.ReconnectAbandon, echo.ReconnectRestart, echo.ReconnectResume}

// check refuses values that contradict each other or are out of range.
func (s *Spec) check() error {
	switch {
	case s.To == "" && s.PAL == "":
		return invalid("to", "name a room, %q for a stand-in replica, or a PAL with pal", Rehearsal)
	case s.To == Rehearsal && s.PAL != "":
		return invalid("pal", "a rehearsal has a stand-in replica; leave out pal, or to")
	case len(s.Label) > longestLabel:
		return invalid("label", "it has more than %d bytes", longestLabel)
	case !(s.LeadSeconds >= 0 && s.LeadSeconds <= longestLead):
		return invalid("lead_seconds", "it must be from 0 to %d", longestLead)
	case !(s.GapSeconds >= 0 && s.GapSeconds <= longestGap):
		return invalid("gap_seconds", "it must be from 0 to %d", longestGap)
	case !slices.Contains([]string{"", viaDaily, viaREST}, s.Via):
		return invalid("via", "it must be %s or %s", viaDaily, viaREST)
	case s.Hear != "" && !slices.Contains(sides, s.Hear):
		return invalid("hear", "it must be user, replica or all")
	case s.heard() != "" && kindOf(s) == viaREST:
		return invalid("hear", "a conversation by REST has no sound; leave out via")
	case s.heard() == room.All && kindOf(s) == viaDaily:
		return invalid("hear", "in a Daily room only one side can be heard: user or replica; with a bot, the user")
	case !slices.Contains(onLoss, s.OnLoss):
		return invalid("on_loss", "it must be abandon, restart or resume")
	}
	if s.PAL != "" {
		if err := s.tavus().Check(); err != nil {
			return invalid("pal", "%v", err)
		}
	}
	if s.Bot != nil {
		return s.Bot.check()
	}
	return nil
}

// withoutSecrets returns a copy without what may be secret: the queries of addresses, and the
// parameters of a bot. hasSecret reports whether there were any.
func (s Spec) withoutSecrets() (public Spec, hasSecret bool) {
	s.To, _, hasSecret = strings.Cut(s.To, "?")
	if s.Bot != nil {
		bot := *s.Bot
		url, _, hasQuery := strings.Cut(bot.URL, "?")
		hasSecret = hasSecret || hasQuery || len(bot.Parameters) > 0
		bot.URL, bot.Parameters = url, nil
		s.Bot = &bot
	}
	return s, hasSecret
}

// heard returns which side of the room is heard, for listeners and for the bot.
func (s *Spec) heard() string {
	switch {
	case s.Bot == nil:
		return s.Hear
	case s.Hear == "", s.Hear == room.User:
		return room.User
	}
	return room.All
}

// hearsUser reports whether the room's user is heard, so that a bot can be called.
func (s *Spec) hearsUser() bool { return s.heard() == room.User || s.heard() == room.All }

// tavus returns the request for Tavus.
func (s *Spec) tavus() tavus.Spec {
	return tavus.Spec{PAL: s.PAL, Face: s.Face, Name: "echocast", MaxDuration: seconds(s.MaxMinutes * 60)}
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// InvalidError says that a value of a request is refused.
type InvalidError struct {
	Field  string
	Reason string
}

// Error names the value and says what it must be.
func (e *InvalidError) Error() string { return e.Field + ": " + e.Reason }

func invalid(field, format string, args ...any) error {
	return &InvalidError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

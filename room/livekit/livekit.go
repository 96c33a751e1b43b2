// Package livekit registers LiveKit rooms with package room:
// livekit+wss://HOST/ROOM, and without TLS livekit+ws. The key and the secret of
// the server, or a token, are in the environment: LIVEKIT_API_KEY and
// LIVEKIT_API_SECRET, or LIVEKIT_TOKEN.
package livekit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"echocast/echo"
	"echocast/room"
	"echocast/rtc/livekit"
)

func init() {
	room.Register("livekit+wss", Backend{})
	room.Register("livekit+ws", Backend{})
}

// Backend joins LiveKit rooms.
type Backend struct{}

// Limits are none: there are no messages.
func (Backend) Limits() echo.Limits { return echo.Limits{} }

// SpeechRate is that of the avatar's vendor.
func (Backend) SpeechRate(avatar string) int { return livekit.SpeechRate(avatar) }

// parse reads the address, and the credentials of the environment.
func parse(address string) (to livekit.Address, with livekit.Credentials, err error) {
	if to, err = livekit.ParseAddress(address); err != nil {
		return to, with, &room.AddressError{Err: err}
	}
	if with, err = livekit.CredentialsFrom(os.Getenv); err != nil {
		return to, with, &room.CredentialError{Err: err}
	}
	return to, with, nil
}

// Join joins the room.
func (Backend) Join(ctx context.Context, address string, o *room.Options) (*room.Connection, error) {
	if o.ReadyWhen != "" && !slices.Contains(livekit.ReadyPolicies(), livekit.ReadyPolicy(o.ReadyWhen)) {
		return nil, &room.OptionError{Option: "ReadyWhen", Err: fmt.Errorf("%q is none of joined, audio and video", o.ReadyWhen)}
	}
	if o.Microphone {
		return nil, &room.OptionError{Option: "Microphone", Err: errors.New("LiveKit rooms take speech as data")}
	}
	to, with, err := parse(address)
	if err != nil {
		return nil, err
	}
	options := &livekit.Options{
		Avatar: o.Avatar, HearUsers: o.UserEvents, ReadyWhen: livekit.ReadyPolicy(o.ReadyWhen), Insecure: o.Insecure, Warn: o.Warn,
	}
	if o.ListenOnly {
		options.Identity = livekit.DefaultEarIdentity
	}
	r, err := livekit.Join(ctx, to, with, options)
	if errors.Is(err, livekit.ErrUnsafe) {
		return nil, &room.AddressError{Err: err}
	}
	if err != nil {
		return nil, err
	}
	c := &room.Connection{Stage: r, Close: r.Close}
	if o.Hear {
		c.Hearer = r
	}
	return c, nil
}

// invitationLife is how long an invited avatar may take to join.
const invitationLife = time.Hour

// Invite makes the token with which an avatar joins the room, and tells the URL
// of its server.
func (Backend) Invite(address, avatar string) (server, token string, err error) {
	to, with, err := parse(address)
	if err != nil {
		return "", "", err
	}
	if with.Key == "" {
		return "", "", &room.CredentialError{Err: errors.New("a token for the replica is made with LIVEKIT_API_KEY and LIVEKIT_API_SECRET")}
	}
	token, err = livekit.AvatarToken(with.Key, with.Secret, to.Room, cmp.Or(avatar, livekit.DefaultAvatar), livekit.DefaultIdentity, invitationLife)
	return to.URL, token, err
}

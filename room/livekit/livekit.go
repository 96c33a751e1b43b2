// Package livekit registers LiveKit rooms with package room: livekit+wss://HOST/ROOM, or
// livekit+ws without TLS. It reads the credentials from the environment: the key and secret
// of the server (LIVEKIT_API_KEY and LIVEKIT_API_SECRET), or a token (LIVEKIT_TOKEN).
package livekit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
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

// Limits returns no limits: speech is not sent as messages.
func (Backend) Limits() echo.Limits { return echo.Limits{} }

// SpeechRate returns the rate in Hz that the avatar's vendor uses.
func (Backend) SpeechRate(avatar string) int { return livekit.SpeechRate(avatar) }

// parse reads the address, and the credentials from the environment.
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
		return nil,
			&room.OptionError{Option: "ReadyWhen", Err: fmt.Errorf("%q is none of joined, audio and video", o.ReadyWhen)}
	}
	if o.Microphone {
		return nil, &room.OptionError{Option: "Microphone", Err: errors.New("LiveKit rooms take speech as data")}
	}
	to, with, err := parse(address)
	if err != nil {
		return nil, err
	}
	options := &livekit.Options{
		Avatar: o.Avatar, HearUsers: o.UserEvents, ReadyWhen: livekit.ReadyPolicy(o.ReadyWhen),
		Insecure: o.Insecure, Warn: o.Warn,
	}
	if o.ListenOnly {
		options.Identity = livekit.DefaultListenerIdentity
	}
	r, err := livekit.Join(ctx, to, with, options)
	if errors.Is(err, livekit.ErrUnsafe) {
		return nil, &room.AddressError{Err: err}
	}
	if errors.Is(err, livekit.ErrRefused) {
		return nil, &room.RefusedError{Err: err}
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

// Invite makes a token with which an avatar joins the room. It returns the token and the
// URL of the server.
func (Backend) Invite(address, avatar string) (server, token string, err error) {
	to, with, err := parse(address)
	if err != nil {
		return "", "", err
	}
	if with.Key == "" {
		return "", "",
			&room.CredentialError{Err: errors.New("a token for the replica is made with LIVEKIT_API_KEY and LIVEKIT_API_SECRET")}
	}
	token, err = livekit.AvatarToken(with.Key, with.Secret, to.Room, cmp.Or(avatar, livekit.DefaultAvatar),
		livekit.DefaultIdentity, invitationLife)
	return to.URL, token, err
}

// CheckCredentials checks the credentials in the environment.
func (Backend) CheckCredentials(address string) error {
	_, _, err := parse(address)
	if _, ok := errors.AsType[*room.AddressError](err); ok {
		return nil // CheckServer reports that
	}
	return err
}

// CheckServer requests the page that validates tokens. Without a token, a LiveKit server
// answers 401 (since release 1.0). Other servers do not have the page.
func (Backend) CheckServer(ctx context.Context, client *http.Client, address string) error {
	to, err := livekit.ParseAddress(address)
	if err != nil {
		return &room.AddressError{Err: err}
	}
	page, err := url.Parse("http" + strings.TrimPrefix(to.URL, "ws"))
	if err != nil {
		return &room.AddressError{Err: err}
	}
	page = page.JoinPath("rtc", "validate")
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page.String(), nil)
	if err != nil {
		return &room.AddressError{Err: err}
	}
	response, err := client.Do(request)
	if inner, ok := errors.AsType[*url.Error](err); ok {
		err = fmt.Errorf("%s: %w", page.Host, inner.Err)
	}
	if err != nil {
		return &room.UnreachableError{Err: err}
	}
	_ = response.Body.Close() // only the status counts
	if response.StatusCode != http.StatusUnauthorized {
		return &room.UnreachableError{Err: fmt.Errorf("%s is no LiveKit server: it answers %d to %s", page.Host,
			response.StatusCode, request.URL.Path)}
	}
	return nil
}

// Package livekitrooms is what a program with LiveKit's library gives package
// cli, which does without that library.
package livekitrooms

import (
	"cmp"
	"context"
	"os"
	"time"

	"echocast/cli"
	"echocast/echo"
	"echocast/rtc/livekit"
)

// Rooms are the rooms of LiveKit.
func Rooms() *cli.LiveKitRooms { return &cli.LiveKitRooms{Join: join, Invite: invite} }

// find reads the address, and the credentials of the environment.
func find(address string) (to livekit.Address, with livekit.Credentials, err error) {
	if to, err = livekit.ParseAddress(address); err != nil {
		return to, with, cli.Refuse("--to: %v", err)
	}
	if with, err = livekit.CredentialsFrom(os.Getenv); err != nil {
		return to, with, cli.Refuse("%v", err)
	}
	return to, with, nil
}

// invitation is how long a replica may take to come.
const invitation = time.Hour

func invite(address, avatar string) (url, token string, err error) {
	to, with, err := find(address)
	if err != nil {
		return "", "", err
	}
	if with.Key == "" {
		return "", "", cli.Refuse("a token for the replica is made with LIVEKIT_API_KEY and LIVEKIT_API_SECRET")
	}
	token, err = livekit.AvatarToken(with.Key, with.Secret, to.Room, cmp.Or(avatar, livekit.DefaultAvatar), livekit.DefaultIdentity, invitation)
	return to.URL, token, err
}

func join(ctx context.Context, address string, as cli.LiveKitRole) (stage echo.Stage, leave func() error, err error) {
	to, with, err := find(address)
	if err != nil {
		return nil, nil, err
	}
	options := &livekit.Options{Avatar: as.Avatar, HearUsers: as.Users}
	if as.Hear {
		options.Identity = livekit.DefaultEarIdentity
	}
	room, err := livekit.Join(ctx, to, with, options)
	if err != nil {
		return nil, nil, err
	}
	return room, room.Close, nil
}

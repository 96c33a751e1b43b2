// Echocast-livekit is echocast with LiveKit rooms.
//
// LiveKit's library brings some fifty modules and doubles the size of the
// program, and what it costs to start. So echocast does without, and runs this
// one in its place where the address of a LiveKit room is among its arguments.
package main

import (
	"cmp"
	"context"
	"os"
	"time"

	"echocast/cli"
	"echocast/echo"
	"echocast/rtc/livekit"
)

func main() {
	cli.LiveKit = &cli.LiveKitRooms{Join: join, JoinToHear: joinToHear, Invite: invite}
	os.Exit(cli.Main())
}

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

func join(ctx context.Context, address, avatar string) (stage echo.Stage, leave func() error, err error) {
	return enter(ctx, address, &livekit.Options{Avatar: avatar})
}

func joinToHear(ctx context.Context, address, avatar string) (stage echo.Stage, leave func() error, err error) {
	return enter(ctx, address, &livekit.Options{Avatar: avatar, Identity: livekit.DefaultEarIdentity})
}

func enter(ctx context.Context, address string, options *livekit.Options) (stage echo.Stage, leave func() error, err error) {
	to, with, err := find(address)
	if err != nil {
		return nil, nil, err
	}
	room, err := livekit.Join(ctx, to, with, options)
	if err != nil {
		return nil, nil, err
	}
	return room, room.Close, nil
}

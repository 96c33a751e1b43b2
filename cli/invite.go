package cli

import (
	"github.com/urfave/cli/v2"

	"echocast/internal/option"
	"echocast/internal/output"
	"echocast/room"
)

// avatarFlag names who speaks in a LiveKit room.
func avatarFlag(avatar *string) cli.Flag {
	return option.New(avatar, "avatar", "", "in a LiveKit room: `IDENTITY` of the participant to speak through (default: "+
		"tavus-avatar-agent)")
}

// invitation is what a service needs to let its avatar join a LiveKit room. Its fields have
// Tavus's names.
type invitation struct {
	URL   string `json:"livekit_ws_url"`
	Token string `json:"livekit_room_token"`
}

func inviteCommand(streams Streams) *cli.Command {
	var to, avatar string
	return &cli.Command{
		Name:      "invite",
		Usage:     "make the token with which an avatar joins a LiveKit room",
		UsageText: "echocast invite --to livekit+wss://HOST/ROOM",
		Description: `Prints, as one JSON object, the address of the server and a token for the avatar.
The token is a secret and valid for an hour: hand it to the service that runs the
avatar. It is made from LIVEKIT_API_KEY and LIVEKIT_API_SECRET. Tavus needs no
invitation: send --to livekit+wss://HOST/ROOM --pal ID does all of it.`,
		Flags: []cli.Flag{
			option.New(&to, "to", "", "`URL` of the room: livekit+wss://HOST/ROOM"),
			avatarFlag(&avatar),
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("invite takes no inputs, and %s is one", c.Args().First())
			}
			var err error
			var made invitation
			if made.URL, made.Token, err = invite(to, avatar); err != nil {
				return err
			}
			return output.JSON(streams.Out, made)
		},
	}
}

// inviter returns the backend that invites an avatar to the room at an address.
func inviter(to string) (room.Inviter, bool) {
	backend, err := room.Lookup(to)
	inviter, ok := backend.(room.Inviter)
	return inviter, err == nil && ok
}

// invite makes the token with which an avatar joins a room.
func invite(to, avatar string) (server, token string, err error) {
	i, ok := inviter(to)
	switch {
	case to == "":
		return "", "", usagef("invite needs a LiveKit room: name it with --to livekit+wss://HOST/ROOM")
	case !ok:
		return "", "", usagef("--to %s: not the address of a LiveKit room (livekit+wss://HOST/ROOM)", to)
	}
	server, token, err = i.Invite(to, avatar)
	return server, token, asJoinError(err)
}

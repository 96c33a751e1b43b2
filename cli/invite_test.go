package cli

import (
	"bytes"
	"context"
	"testing"

	"echocast/echo"
	"echocast/internal/testwait"
)

// withLiveKit stands in for the program that has LiveKit.
func withLiveKit(t *testing.T, rooms *LiveKitRooms) {
	before := LiveKit
	LiveKit = rooms
	t.Cleanup(func() { LiveKit = before })
}

func TestInvite(t *testing.T) {
	withLiveKit(t, &LiveKitRooms{
		Join: func(context.Context, string, LiveKitRole) (echo.Stage, func() error, error) {
			t.Error("an invitation joins no room")
			return nil, nil, nil
		},
		Invite: func(address, avatar string) (string, string, error) { return "wss://h", address + " " + avatar, nil },
	})
	for _, c := range []struct {
		arguments   []string
		code        int
		out, errors string
	}{
		{[]string{"--to", "livekit+wss://h/r", "--avatar", "a"}, 0, `{"livekit_ws_url":"wss://h","livekit_room_token":"livekit+wss://h/r a"}` + "\n", ""},
		{[]string{"--to", "https://h/r"}, 2, "", "echocast: --to https://h/r: not the address of a LiveKit room (livekit+wss://HOST/ROOM)\n"},
		{[]string{"--to", "livekit+wss://h/r", "x.wav"}, 2, "", "echocast: invite takes no inputs, and x.wav is one\n"},
	} {
		var stdout, stderr bytes.Buffer
		code := Run(testwait.Context(t), append([]string{"echocast", "invite"}, c.arguments...), Streams{Out: &stdout, Err: &stderr})
		if code != c.code || stdout.String() != c.out || stderr.String() != c.errors {
			t.Errorf("%v: code %d, %q, %q", c.arguments, code, stdout.String(), stderr.String())
		}
	}
}

func TestInviteNeedsTheProgram(t *testing.T) {
	withLiveKit(t, nil)
	var stderr bytes.Buffer
	code := Run(testwait.Context(t), []string{"echocast", "invite", "--to", "livekit+wss://h/r"}, Streams{Err: &stderr})
	if want := "echocast: --to livekit+wss://h/r: LiveKit rooms need the program echocast-livekit\n"; code != 2 || stderr.String() != want {
		t.Errorf("code %d, %q", code, stderr.String())
	}
}

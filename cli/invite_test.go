package cli

import (
	"bytes"
	"context"
	"testing"

	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/room"
)

// fakeLiveKit stands in for LiveKit rooms with TLS. Those without TLS are not registered, as
// in the program without LiveKit's library.
type fakeLiveKit struct{}

func init() { room.Register("livekit+wss", fakeLiveKit{}) }

func (fakeLiveKit) Join(context.Context, string, *room.Options) (*room.Connection, error) {
	joined := newJoinedStage()
	joined.Stage = silentStage{}
	return &room.Connection{Stage: joined, Close: func() error { return nil }}, nil
}

func (fakeLiveKit) Limits() echo.Limits { return echo.Limits{} }

func (fakeLiveKit) Invite(address, avatar string) (server, token string, err error) {
	return "wss://h", address + " " + avatar, nil
}

// newJoinedStage returns a room with a replica that takes only audio.
func newJoinedStage() joinedStage {
	s := joinedStage{joined: make(chan echo.Event, 1)}
	s.joined <- echo.Event{Kind: echo.ReplicaJoined, Role: echo.RolePal}
	return s
}

type joinedStage struct {
	echo.Stage
	joined chan echo.Event
}

func (s joinedStage) Next(ctx context.Context) (echo.Event, error) {
	select {
	case event := <-s.joined:
		return event, nil
	case <-ctx.Done():
		return echo.Event{}, context.Cause(ctx)
	}
}

func TestInvite(t *testing.T) {
	for _, c := range []struct {
		arguments   []string
		code        int
		out, errors string
	}{
		{[]string{"--to", "livekit+wss://h/r", "--avatar", "a"}, 0,
			`{"livekit_ws_url":"wss://h","livekit_room_token":"livekit+wss://h/r a"}` + "\n", ""},
		{[]string{"--to", "https://h/r"}, 2, "", "echocast: --to https://h/r: not the address of a LiveKit " +
			"room (livekit+wss://HOST/ROOM)\n"},
		{nil, 2, "", "echocast: invite needs a LiveKit room: name it with --to livekit+wss://HOST/ROOM\n"},
		{[]string{"--to", "livekit+wss://h/r", "x.wav"}, 2, "", "echocast: invite takes no inputs, and x.wav is one\n"},
	} {
		var stdout, stderr bytes.Buffer
		code := Run(testwait.Context(t), append([]string{"echocast", "invite"}, c.arguments...),
			Streams{Out: &stdout, Err: &stderr})
		if code != c.code || stdout.String() != c.out || stderr.String() != c.errors {
			t.Errorf("%v: code %d, %q, %q", c.arguments, code, stdout.String(), stderr.String())
		}
	}
}

// A command for a room that only echocast-server joins stops at once: it reads nothing,
// wherever --to stands.
func TestCommandsNeedEchocastServer(t *testing.T) {
	for _, arguments := range [][]string{
		{"invite", "--to", "livekit+ws://h/r"},
		{"send", "x.wav", "--to=livekit+ws://h/r"},
		{"respond", "-", "--to", "livekit+ws://h/r"},
		{"context", "append", "--to", "LiveKit+ws://h/r", "text"},
		{"doctor", "-to", "livekit+ws://h/r"},
	} {
		var stderr bytes.Buffer
		code := Run(testwait.Context(t), append([]string{"echocast"}, arguments...), Streams{Err: &stderr}) // In is nil
		if want := "echocast: LiveKit rooms need the program echocast-server beside echocast; make build " +
			"makes both\n"; code != 2 || stderr.String() != want {
			t.Errorf("%v: code %d, %q", arguments, code, stderr.String())
		}
	}
}

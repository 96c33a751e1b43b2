package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"echocast/internal/shutdown"
	"echocast/replica"
	"echocast/room"
)

func TestReplicaJoinRefusals(t *testing.T) {
	t.Setenv("ECHOCAST_LOST_AFTER", "") // it is for the replica's own room
	run := func(server *Server, line string) (string, error) {
		errs := &bytes.Buffer{}
		err := runApp(t.Context(), strings.Fields("echocast replica "+line), Streams{Out: &bytes.Buffer{}, Err: errs}, server)
		return errs.String(), err
	}
	const address = "livekit+wss://example.com/room"
	for line, want := range map[string]string{
		"--join " + address + " --listen :0":        "--listen is for the replica's own room",
		"--join " + address + " --fault mute":       "--fault is for the replica's own room",
		"--join " + address + " --once":             "--once is for the replica's own room",
		"--render face.sh":                          "--render is for a replica in a LiveKit room",
		"--avatar me":                               "--avatar is for a replica in a LiveKit room",
		"--join " + address:                         "LiveKit rooms need the program echocast-server",
		"--join " + address + " --record /nowhere/": "--record",
	} {
		server := &Server{}
		if strings.Contains(line, "record") {
			server.Join = func(context.Context, *Guest) (replica.Report, error) { return replica.Report{}, nil }
		}
		if _, err := run(server, line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
	var got Guest
	join := func(err error) *Server {
		return &Server{Join: func(_ context.Context, g *Guest) (replica.Report, error) {
			got = *g
			g.Note("joined the room")
			return replica.Report{Start: time.Now()}, err
		}}
	}
	stopped := shutdown.SignalError{Signal: syscall.SIGINT}
	text, err := run(join(stopped), "--join "+address+" --avatar me --render draw --render-delay 1s --insecure")
	if err != nil || got.To != address || got.Identity != "me" || got.Program != "draw" ||
		got.Delay != time.Second || !got.Insecure {
		t.Errorf("%+v: %v", got, err)
	}
	if !strings.Contains(text, "joined the room") || !strings.Contains(text, "utterances") {
		t.Errorf("it says %q", text)
	}
	if _, err := run(join(&room.AddressError{Err: errors.New("no room")}), "--join "+
		address); exitCode(err) != exitUsage ||
		!strings.HasPrefix(err.Error(), "--join: ") {
		t.Errorf("a bad address: %v", err)
	}
}

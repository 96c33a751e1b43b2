package cli

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/internal/option"
	"echocast/internal/outfile"
	"echocast/internal/shutdown"
	"echocast/replica"
	"echocast/room"
)

// Guest is a stand-in replica in a room that another program runs.
type Guest struct {
	To, Identity string
	Insecure     bool
	Program      string        // that draws the pictures; empty: none
	Delay        time.Duration // of sound and pictures; 0: the default
	Record       io.WriteSeeker
	OnEvent      func(replica.Event)
	OnUtterance  func(replica.Utterance)
	Note         func(text string)
}

const helpJoin = `
--join livekit+wss://HOST/ROOM makes it an avatar worker in a LiveKit room: it plays
what LiveKit's agents or echocast send there, shows its face and lets everybody hear
it. LIVEKIT_API_KEY and LIVEKIT_API_SECRET, or LIVEKIT_TOKEN, let it in. It obeys the
participant that its token names, or else the first that speaks. --render COMMAND shows another face: it reads
16-bit mono PCM at 24 kHz in real time, and prints pictures (docs/avatar.md).`

// guestFlags returns the options of a replica that joins a room.
func (s *replicaCmd) guestFlags() []cli.Flag {
	return []cli.Flag{
		option.New(&s.guest.To, "join", "", "join the LiveKit room at `URL`, livekit+wss://HOST/ROOM, rather than listen"),
		option.New(&s.guest.Identity, "avatar", "", "with --join: the replica's `IDENTITY` in the room (default: that of "+
			"the token, or tavus-avatar-agent)"),
		option.New(&s.guest.Program, "render", "", "with --join: this `COMMAND` draws pictures of what it hears"),
		option.New(&s.guest.Delay, "render-delay", 0, "with --render: publish the sound this `TIME` after the command "+
			"receives it (default: 200ms)"),
	}
}

// flagsWithJoin are the options that are allowed beside --join.
var flagsWithJoin = []string{"join", "avatar", "render", "render-delay", "record", "json", "quiet", "q", "insecure"}

// join checks the options, and joins the room.
func (s *replicaCmd) join(c *cli.Context, server *Server) error {
	for _, name := range c.LocalFlagNames() {
		if !slices.Contains(flagsWithJoin, name) {
			return usagef("--%s is for the replica's own room; leave it out with --join", name)
		}
	}
	if err := cmp.Or(outfile.CheckEnding("--record", s.record, ".wav"),
		outfile.CheckAll(map[string]string{"--record": s.record}, nil)); err != nil {
		return err
	}
	if server == nil || server.Join == nil {
		return needsServerError{livekitNeeds}
	}
	g, observer := s.guest, s.observer()
	g.Insecure, g.OnEvent, g.OnUtterance = s.peer.Insecure, observer.Event, observer.Utterance
	g.Note = func(text string) { s.say("%s", text) }
	var file *os.File
	if s.record != "" {
		var err error
		if file, err = outfile.Create(s.record); err != nil {
			return err
		}
		g.Record = file
	}
	return s.joinRoom(c.Context, &g, file, server)
}

func (s *replicaCmd) joinRoom(ctx context.Context, g *Guest, file *os.File, server *Server) error {
	report, err := server.Join(ctx, g)
	if file != nil {
		err = cmp.Or(err, file.Close())
	}
	if !report.Start.IsZero() {
		s.report(report)
	}
	if _, ok := errors.AsType[shutdown.SignalError](err); ok {
		err = nil // Ctrl-C is the normal end
	}
	if address, ok := errors.AsType[*room.AddressError](err); ok {
		err = usagef("--join: %v", address)
	}
	return cmp.Or(asJoinError(err), s.failed)
}

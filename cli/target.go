package cli

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/echo"
	"echocast/rtc"
)

// reaching is how the commands that talk to a replica reach it.
type reaching struct {
	to           string
	readyTimeout time.Duration
	redialFor    time.Duration
}

func (r *reaching) reachFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "to", Destination: &r.to, DefaultText: "a replica in this process", Usage: "`URL` of the replica"},
		&cli.DurationFlag{Name: "ready-timeout", Value: 30 * time.Second, Destination: &r.readyTimeout, Usage: "wait at most this `TIME` for the replica to join"},
		&cli.DurationFlag{Name: "reconnect-timeout", Value: 60 * time.Second, Destination: &r.redialFor, Usage: "try for this `TIME` to make a lost connection again"},
	}
}

func (r *reaching) checkReach() error {
	switch {
	case r.readyTimeout <= 0:
		return usagef("--ready-timeout %v: waiting takes time", r.readyTimeout)
	case r.redialFor <= 0:
		return usagef("--reconnect-timeout %v: trying takes time", r.redialFor)
	}
	return nil
}

// place is what a target needs to know of a conversation.
type place struct {
	conversation string
	limit        int    // bytes of a message
	record       string // file for what the replica in this process hears
}

// target is what is spoken to: a room, and the replica in it where that is in
// this process.
type target struct {
	reaching
	place
	out   *reporter
	conn  *rtc.Conn
	local *localReplica // nil where the replica is elsewhere
}

func (r *reaching) connect(ctx context.Context, at place, out *reporter) (*target, error) {
	t := &target{reaching: *r, place: at, out: out}
	address := r.to
	if address == "" {
		local, err := startLocalReplica(at.record, at.limit, out)
		if err != nil {
			return nil, err
		}
		out.underruns = local.underruns
		t.local, address = local, local.url()
	}
	conn, err := rtc.Dial(ctx, address, nil)
	if err != nil {
		return nil, first(&unreachable{err}, t.closeLocal())
	}
	t.conn = conn
	return t, nil
}

// session opens a session on the target.
func (t *target) session(options *echo.Options) (*echo.Session, error) {
	options.ReadyTimeout = t.readyTimeout
	options.RedialTimeout = t.redialFor
	options.MaxMessage = t.limit
	if t.local == nil {
		options.Redial = t.redial
	}
	session, err := echo.NewSession(t.stage(), options)
	if err != nil {
		return nil, settingsError(err)
	}
	return session, nil
}

func (t *target) stage() echo.Stage { return echo.NewMessages(t.conn, t.conversation, t.limit) }

// redial makes a lost connection again. The session's listener calls it.
func (t *target) redial(ctx context.Context) (echo.Stage, error) {
	_ = t.conn.Close() // it is lost
	t.out.say("the connection was lost; making it again")
	conn, err := rtc.Dial(ctx, t.to, nil)
	if err != nil {
		return nil, err
	}
	t.conn = conn
	t.out.say("the connection is there again")
	return t.stage(), nil
}

// close leaves the room, after its session was closed: what was sent is
// delivered first.
func (t *target) close() error {
	_ = t.conn.Close() // what it could not deliver, receipts tell
	return t.closeLocal()
}

func (t *target) closeLocal() error {
	if t.local == nil {
		return nil
	}
	return t.local.close()
}

package daily

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/pion/rtp"

	"echocast/rtc"
)

// Hear calls packet for each packet of the replica (rtc.SoundReplica) or of the first
// who is neither the replica nor named as we are (rtc.SoundUser), from one session id
// after the other: it waits for somebody to join, and continues after a page that
// broke. left is called for each session that is not heard any more.
//
// It ends with the cause of ctx, net.ErrClosed, ErrPeerGone or ErrLost. Like
// Audio it takes the place of another Hear or Audio.
func (c *Conn) Hear(ctx context.Context, from string, packet func(session string, p *rtp.Packet),
	left func(session string)) error {
	if from == rtc.SoundAll {
		return errors.New("daily: hear: one participant at a time is heard")
	}
	replica := from == rtc.SoundReplica
	for {
		session, err := c.speaker(ctx, replica)
		if err != nil {
			return fmt.Errorf("daily: hear: %w", err)
		}
		audio, err := c.audio(ctx, session)
		if err == nil {
			err = c.pass(ctx, audio, session, replica, packet)
			_ = audio.Close()
			left(session)
		} else if next, _ := c.waiting(replica); next == session && c.lifetime.Stopped(ctx) == nil && !c.lifetime.HasEnded() {
			return fmt.Errorf("daily: hear: %w", err) // nothing changed that would explain it
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("daily: hear: %w", err)
		}
	}
}

// speaker waits for somebody to hear.
func (c *Conn) speaker(ctx context.Context, replica bool) (session string, err error) {
	for {
		if err := c.lifetime.Stopped(ctx); err != nil {
			return "", err
		}
		session, changed := c.waiting(replica)
		if session != "" {
			return session, nil
		}
		select {
		case <-changed:
		case <-c.lifetime.Ended():
			return "", c.lifetime.Cause()
		case <-c.lifetime.Closing():
		case <-ctx.Done():
		}
	}
}

// waiting returns the session that would be heard now, if any, and a channel that is
// closed when that may have changed.
func (c *Conn) waiting(replica bool) (session string, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport == nil || c.transport.HasEnded() {
		return "", c.changed
	}
	if replica {
		return c.roster.recipient(), c.changed
	}
	for _, p := range c.roster.people {
		if !p.isReplica && p.UserName != c.options.UserName { // other participants named echocast have no sound
			return p.SessionID, c.changed
		}
	}
	return "", c.changed
}

// pass passes packets on as long as this session is the one to hear.
func (c *Conn) pass(ctx context.Context, a *Audio, session string, replica bool,
	packet func(session string, p *rtp.Packet)) error {
	for {
		now, changed := c.waiting(replica)
		if now != session {
			return nil
		}
		select {
		case p := <-a.packets:
			packet(session, p)
		case <-changed:
		case <-a.broken:
			return nil
		case <-a.closed:
			return net.ErrClosed
		case <-c.lifetime.Closing():
			return net.ErrClosed
		case <-ctx.Done():
			return nil
		}
	}
}

// notifyChange wakes all that wait for a change; c.mu is held.
func (c *Conn) notifyChange() {
	close(c.changed)
	c.changed = make(chan struct{})
}

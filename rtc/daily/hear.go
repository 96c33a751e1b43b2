package daily

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/pion/rtp"

	"echocast/rtc"
)

// Hear calls packet for each packet of sound in the room. With rtc.SoundReplica it hears
// the replica. With rtc.SoundUser it hears the first participant who is neither the replica
// nor has our name. It waits until such a participant joins, and hears one session at a
// time. It continues after a page that broke. It calls left for each session that is no
// longer heard.
//
// It ends with the cause of ctx, net.ErrClosed, ErrPeerGone or ErrLost. Like Audio, it ends
// any other Hear or Audio of this Conn.
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

// pass passes packets on while this session is the one to hear.
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

// notifyChange wakes everyone who waits for a change. The caller holds c.mu.
func (c *Conn) notifyChange() {
	close(c.changed)
	c.changed = make(chan struct{})
}

package daily

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/pion/rtp"
)

// Hear passes on what the replica says, or what the first says who is not the
// replica, from one session id after the other: it waits for somebody to come,
// and goes on after a page that broke. packet is called for each packet, left
// for each session that is heard no more, from the goroutine of Hear.
//
// It ends with the cause of ctx, net.ErrClosed, ErrPeerGone or ErrLost. Like
// Audio it takes the ear of another that hears at the same time.
func (c *Conn) Hear(ctx context.Context, replica bool, packet func(session string, p *rtp.Packet), left func(session string)) error {
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

// waiting is who would be heard now, if anybody, and is closed when that may
// have changed.
func (c *Conn) waiting(replica bool) (session string, changed <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport == nil || c.transport.HasEnded() {
		return "", c.changed
	}
	if replica {
		return c.roster.replica, c.changed
	}
	for _, p := range c.roster.people {
		if p.SessionID != c.roster.replica {
			return p.SessionID, c.changed
		}
	}
	return "", c.changed
}

// pass passes on packets while it is this one that is to be heard.
func (c *Conn) pass(ctx context.Context, a *Audio, session string, replica bool, packet func(session string, p *rtp.Packet)) error {
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

// stir wakes those who wait for a change; c.mu is held.
func (c *Conn) stir() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Package peer registers the addresses http://HOST:PORT and https://HOST:PORT with package
// room. They lead to a replica of echocast, or to another program that serves a WebRTC data
// channel as package rtc does.
package peer

import (
	"cmp"
	"context"
	"errors"
	"net/url"

	"echocast/echo"
	"echocast/room"
	"echocast/rtc"
)

func init() {
	room.Register("http", &Backend{})
	room.Register("https", &Backend{})
}

// Backend dials replicas of echocast.
type Backend struct {
	Options rtc.Options // keys, certificates, STUN and TURN servers
}

// Join dials the replica.
func (b *Backend) Join(ctx context.Context, address string, o *room.Options) (*room.Connection, error) {
	if o.Microphone {
		return nil, &room.OptionError{Option: "Microphone", Err: errors.New("a data channel has no audio track to speak by")}
	}
	if u, err := url.Parse(address); err != nil || u.Hostname() == "" {
		return nil, &room.AddressError{Err: errors.New("it has no host: http://HOST:PORT, or https://HOST")}
	}
	with := b.Options
	with.Sound, with.MaySend = o.Hear, o.MaySend
	conn, err := rtc.Dial(ctx, address, &with)
	if err != nil {
		return nil, err
	}
	limit := o.MaxMessage
	if most := conn.MaxMessage(); most < cmp.Or(limit, echo.DefaultMaxMessage) {
		limit = most // the limit in the replica's answer
	}
	c := &room.Connection{Stage: o.Messages(conn, room.LocalConversation, limit), Close: conn.Close}
	if o.Hear {
		c.Hearer = conn
	}
	return c, nil
}

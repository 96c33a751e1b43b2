// Package daily registers Daily rooms with package room. Their addresses are those of hosts
// below https://daily.co, such as a Tavus conversation_url, and for any other host
// daily+https://HOST/ROOM. The address may carry the meeting token of a private room as
// ?t=, as for Daily's pages.
package daily

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"echocast/logs"
	"echocast/room"
	"echocast/rtc/daily"
	"echocast/rtc/daily/core"
)

// Scheme is the prefix for the address of a Daily room on a host outside daily.co.
const Scheme = "daily+"

func init() {
	room.Register("https://daily.co", &Backend{})
	room.Register(Scheme+"https", &Backend{})
	room.Register(Scheme+"http", &Backend{})
}

// Backend joins Daily rooms. It uses Daily's library if it finds one, otherwise a browser
// with daily-js.
type Backend struct {
	// Token is the meeting token of a private room. It replaces the token in the address.
	Token string
	// Core is the path of Daily's library or of its SDK. By default the Backend looks in
	// the usual places.
	Core string
	// Chromium, DailyJS and CallMachine are as in the options of package rtc/daily. If any
	// of them is set, the Backend uses a browser, unless Core is set.
	Chromium, DailyJS, CallMachine string
}

// Transport says with what Daily rooms are joined on this machine.
type Transport struct {
	Name    string // text for people
	Reason  string // why this one is used
	Browser string // path; empty if none is needed
	Library string // path; empty if a browser is used
}

// Load opens Daily's library.
func (t Transport) Load() (daily.Library, error) {
	library, err := core.Load(t.Library)
	if err != nil {
		return nil, fmt.Errorf("daily: %w", err)
	}
	return library, nil
}

// Transport chooses what joins a room. It is Daily's library if this program can open one,
// unless the options name a browser or a microphone needs one. If a named library cannot be
// used, the error is a *room.OptionError.
func (b *Backend) Transport(microphone bool) (Transport, error) {
	if microphone {
		return b.browser("only a browser has a microphone")
	}
	library, err := core.Find(b.Core)
	switch {
	case b.Core != "" && err != nil:
		return Transport{}, &room.OptionError{Option: "Core", Err: err}
	case b.Core != "" && !core.Supported:
		return Transport{},
			&room.OptionError{Option: "Core", Err: fmt.Errorf("%s: %w; the usual build can", b.Core, core.ErrUnsupported)}
	case b.Core != "":
		return Transport{Name: "Daily's library", Reason: "it was named", Library: library}, nil
	case b.Chromium != "":
		return b.browser("it was named")
	case b.DailyJS != "" || b.CallMachine != "":
		return b.browser("what was named needs a browser")
	case err != nil:
		return b.browser("Daily's library was not found")
	case !core.Supported:
		return b.browser(core.ErrUnsupported.Error())
	}
	return Transport{Name: "Daily's library", Reason: "it was found at " + library, Library: library}, nil
}

func (b *Backend) browser(reason string) (Transport, error) {
	browser, err := daily.FindBrowser(b.Chromium)
	if err != nil {
		return Transport{}, err
	}
	return Transport{Name: "Chromium with daily-js", Reason: reason, Browser: browser}, nil
}

// parse removes the meeting token from an address.
func (b *Backend) parse(address string) (page, token string, err error) {
	u, err := url.Parse(strings.TrimPrefix(address, Scheme))
	if err != nil || u.Hostname() == "" {
		return "", "", &room.AddressError{Err: errors.New("not the URL of a Daily room")} // url's error quotes the token
	}
	query := u.Query()
	token = cmp.Or(b.Token, query.Get("t"))
	query.Del("t")
	u.RawQuery = query.Encode()
	return u.String(), token, nil
}

// conversation returns the id of the conversation in a room. Tavus names the room after it.
func conversation(page string) string {
	u, err := url.Parse(page)
	if err != nil {
		return ""
	}
	return strings.Trim(u.Path, "/")
}

// Join joins the room. The message limit is that of the room, or Options.MaxMessage if that
// is smaller.
func (b *Backend) Join(ctx context.Context, address string, o *room.Options) (*room.Connection, error) {
	page, token, err := b.parse(address)
	if err != nil {
		return nil, err
	}
	with := &daily.Options{
		Token: token, Chromium: b.Chromium, DailyJS: b.DailyJS, CallMachine: b.CallMachine,
		Microphone: o.Microphone, SoundRate: o.HearRate, Conversation: cmp.Or(o.Conversation, conversation(page)),
	}
	by, err := b.Transport(o.Microphone)
	if err != nil {
		return nil, err
	}
	logs.From(ctx).Info("joining a Daily room", "by", by.Name, "because", by.Reason)
	if by.Library != "" {
		with.MaxMessage = o.MaxMessage // the library does not report the room's limit
		if with.Library, err = by.Load(); err != nil {
			return nil, err
		}
	}
	conn, err := daily.Join(ctx, page, with)
	if errors.Is(err, daily.ErrRefused) {
		return nil, &room.RefusedError{Err: err}
	}
	if err != nil {
		return nil, err
	}
	c := &room.Connection{Close: conn.Close}
	if o.Hear {
		c.Hearer = conn
	}
	if o.Microphone {
		microphone := daily.NewMicrophone(conn, o.Wrapped(conn))
		microphone.Alone = o.WithoutReplica
		c.Stage = microphone
		return c, nil
	}
	limit := conn.MaxMessage()
	if o.MaxMessage > 0 {
		limit = min(limit, o.MaxMessage)
	}
	c.Stage = o.Messages(conn, conversation(page), limit)
	return c, nil
}

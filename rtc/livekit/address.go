package livekit

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// Address names a room on a LiveKit server.
type Address struct {
	URL  string // of the server: wss://host[:port], or ws:// without TLS
	Room string // the room's name
}

// ErrAddress reports a text that is not the address of a LiveKit room.
var ErrAddress = errors.New("not the address of a LiveKit room (livekit+wss://host/room)")

// ParseAddress reads livekit+wss://host[:port]/room, or livekit+ws for a connection without
// TLS. Characters that a path cannot contain must be percent-encoded.
func ParseAddress(text string) (Address, error) {
	u, err := url.Parse(text)
	if err != nil {
		return Address{}, fmt.Errorf("%w: it does not parse", ErrAddress) // the error of url quotes what may be secret
	}
	scheme, found := strings.CutPrefix(u.Scheme, "livekit+")
	room := strings.TrimSuffix(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	switch {
	case !found || scheme != "ws" && scheme != "wss":
		return Address{}, fmt.Errorf("%w: it begins with neither livekit+wss:// nor livekit+ws://", ErrAddress)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return Address{}, fmt.Errorf("%w: keys and tokens belong in the environment, not before @ or after ? or #",
			ErrAddress)
	case u.Hostname() == "":
		return Address{}, fmt.Errorf("%w: it has no host", ErrAddress)
	case room == "":
		return Address{}, fmt.Errorf("%w: it has no room after %s", ErrAddress, u.Host)
	case strings.Contains(room, "/"):
		return Address{}, fmt.Errorf("%w: the room %q has a slash, which is written %%2F", ErrAddress, room)
	}
	name, err := url.PathUnescape(room)
	if err != nil {
		return Address{}, fmt.Errorf("%w: the room %q does not decode", ErrAddress, room)
	}
	return Address{URL: scheme + "://" + u.Host, Room: name}, nil
}

// String returns the address in the form that ParseAddress reads.
func (a Address) String() string {
	return "livekit+" + a.URL + "/" + url.PathEscape(a.Room)
}

// Credentials are a token, or a key and its secret to make one.
type Credentials struct {
	Key, Secret string
	Token       string // used if it is set
}

// CredentialsFrom reads LIVEKIT_TOKEN, or LIVEKIT_API_KEY and LIVEKIT_API_SECRET, through
// lookup, such as os.Getenv.
func CredentialsFrom(lookup func(name string) string) (Credentials, error) {
	c := Credentials{Key: lookup("LIVEKIT_API_KEY"), Secret: lookup("LIVEKIT_API_SECRET"), Token: lookup("LIVEKIT_TOKEN")}
	switch {
	case c.Token != "" || c.Key != "" && c.Secret != "":
		return c, nil
	case c.Key != "":
		return Credentials{}, errors.New("LIVEKIT_API_KEY is set and LIVEKIT_API_SECRET is not")
	case c.Secret != "":
		return Credentials{}, errors.New("LIVEKIT_API_SECRET is set and LIVEKIT_API_KEY is not")
	}
	return Credentials{}, errors.New("a LiveKit room needs LIVEKIT_API_KEY and LIVEKIT_API_SECRET, or LIVEKIT_TOKEN")
}

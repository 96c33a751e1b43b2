package rtc

import (
	"net"
	"net/url"
	"os"
)

// Risk returns what makes a Listener with these options unsafe if other machines can reach
// it, or "" if nothing does.
func (o *Options) Risk() string {
	switch {
	case o.Key == "" && o.TLS == nil:
		return "there is no room key and no TLS: whoever reaches this machine can connect, and who is on " +
			"the network path can listen in"
	case o.Key == "":
		return "there is no room key: whoever reaches this machine can connect"
	case o.TLS == nil:
		return "there is no TLS: who is on the network path can listen in, and see the room key"
	}
	return ""
}

// DialURL returns the address at which others dial a Listener with this URL, and
// whether other machines can reach it.
func DialURL(listening string) (address string, public bool) {
	u, err := url.Parse(listening)
	if err != nil {
		return listening, false // rtc has made this address
	}
	ip := net.ParseIP(u.Hostname())
	if host, err := os.Hostname(); err == nil && ip.IsUnspecified() {
		u.Host = net.JoinHostPort(host, u.Port())
	}
	return u.String(), !ip.IsLoopback()
}

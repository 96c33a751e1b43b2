package cli

import (
	"cmp"
	"net/url"
	"strings"

	"github.com/mdp/qrterminal/v3"
	"github.com/urfave/cli/v2"

	"echocast/echo"
	"echocast/internal/option"
	"echocast/room/rest"
	"echocast/tavus"
)

// The values of --via: how to reach a conversation of Tavus.
const (
	viaREST    = "rest"    // requests to the REST API: an API key is enough
	viaDaily   = "daily"   // its Daily room
	viaLiveKit = "livekit" // a LiveKit room that the replica is invited to
)

// viaOptions say how to reach a conversation of Tavus, and where its events come from.
type viaOptions struct {
	transport  string // viaREST, viaDaily or viaLiveKit; "": as the other options need it
	webhook    string // address to receive events on
	webhookURL string // URL at which the service reaches it
	// needsRoom is the option or command that works only in a room, such as "--hear"; "" if
	// there is none.
	needsRoom string
}

func (o *viaOptions) flags() []cli.Flag {
	return []cli.Flag{
		option.New(&o.transport, "via", "", "reach a conversation of --conversation or --pal by `WAY`: rest (an API key is "+
			"enough), daily (its room), or livekit, with --to (default: rest, unless an option needs a room)"),
	}
}

// defaultWebhook is the address that receives events if only --webhook-url is given.
const defaultWebhook = "127.0.0.1:8871"

func (o *viaOptions) webhookFlags() []cli.Flag {
	return []cli.Flag{
		option.New(&o.webhook, "webhook", "", "via rest: receive the events of the conversation on this `ADDRESS`[/PATH] "+
			"(default: none; "+defaultWebhook+" with --webhook-url)"),
		webhookURLFlag(&o.webhookURL),
	}
}

// webhookURLFlag is --webhook-url.
func webhookURLFlag(into *string) cli.Flag {
	return option.New(into, "webhook-url", "", "`URL` at which the service reaches the address of --webhook, such as "+
		"that of a tunnel (default: none)")
}

// check refuses a --webhook-url that no service can reach.
func (o *viaOptions) check() error {
	u, err := url.Parse(o.webhookURL)
	if o.webhookURL != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http") {
		return usagef("--webhook-url %s: it must be https://HOST or http://HOST", o.webhookURL)
	}
	return nil
}

// receives reports whether events of a conversation are received by webhooks.
func (o *viaOptions) receives() bool { return o.webhook != "" || o.webhookURL != "" }

// namesConversation reports whether the address names a conversation and not its room.
func (o *targetOptions) namesConversation() bool {
	return strings.HasPrefix(o.to, rest.Scheme+":")
}

// isREST reports whether the conversation is reached over REST: --via says so, or says nothing
// and no option needs a room.
func (o *targetOptions) isREST() bool {
	if !o.namesConversation() && (o.to != "" || o.create.spec.PAL == "") {
		return false
	}
	return o.via.transport == viaREST || o.via.transport == "" && o.via.needsRoom == ""
}

// checkVia refuses a --via that does not fit the named room.
func (o *targetOptions) checkVia() error {
	via := &o.via
	if via.transport != "" {
		if err := option.OneOf("--via", via.transport, viaREST, viaDaily, viaLiveKit); err != nil {
			return err
		}
	}
	_, invites := inviter(o.to)
	switch {
	case via.transport == viaLiveKit && !invites:
		return usagef("--via livekit needs the room: --to livekit+wss://HOST/ROOM")
	case via.transport != "" && via.transport != viaLiveKit && o.to != "" && !o.namesConversation():
		return usagef("--via %s reaches a conversation of Tavus, and --to names another room; leave one of them "+
			"out", via.transport)
	case via.transport != "" && !o.isSet():
		return usagef("--via %s needs a conversation: name one with --conversation ID, or create one with --pal "+
			"ID", via.transport)
	case via.transport == viaREST && via.needsRoom != "":
		return usagef("%s needs a room, and there is none over REST: give --via daily", via.needsRoom)
	case via.receives() && !o.isREST():
		return usagef("--webhook receives the events of a conversation that is reached over REST; in a room " +
			"they arrive without it")
	}
	return nil
}

// restLimits returns the limits of a conversation that is reached over REST, or nil for other
// rooms.
func (o *targetOptions) restLimits(maxMessage int) *echo.Limits {
	if !o.isREST() {
		return nil
	}
	limits := rest.Limits(o.messageLimit(maxMessage))
	return &limits
}

// messageLimit returns the limit of a message in bytes, if the user set one.
func (o *targetOptions) messageLimit(asked int) int {
	if o.isREST() && asked == echo.DefaultMaxMessage { // the user did not set it
		return tavus.MaxAppMessage
	}
	return asked
}

// address returns where events are received, or "" if nowhere.
func (o *viaOptions) address() string {
	if o.webhookURL != "" {
		return cmp.Or(o.webhook, defaultWebhook)
	}
	return o.webhook
}

// showAddress prints the address at which a browser shows the face. On a terminal it also
// prints a QR code.
func (r *reporter) showAddress(info tavus.Info) {
	r.say("open this address in a browser to see the face")
	if address := info.JoinURL(); address != "" && !r.settings.quiet && r.people.IsTerminal() {
		qrterminal.GenerateHalfBlock(address, qrterminal.L, r.people)
	}
}

// fallbackFlag returns --fallback.
func fallbackFlag(o *targetOptions) cli.Flag {
	return option.New(&o.fallback, "fallback", "", "if the replica is lost in a Daily room, continue from "+
		"where it was heard by `WAY`: microphone, an audio track for the people there (default: none)")
}

// checkFallback refuses --fallback in a room without audio tracks.
func (o *targetOptions) checkFallback() error {
	switch {
	case o.fallback == "":
		return nil
	case !o.isDaily() && !o.isREST():
		return usagef("--fallback microphone needs a Daily room for its audio track: leave it out")
	}
	if err := option.OneOf("--fallback", o.fallback, asMicrophone); err != nil {
		return err
	}
	backend, err := o.daily.Backend(func(string, ...any) {})
	if err == nil {
		_, err = backend.Transport(true) // this fails without a browser
	}
	return err
}

package gateway

import (
	"cmp"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"echocast/carrier"
	"echocast/carrier/twilio"
	"echocast/carrier/vonage"
)

// The carriers that a bot can be called as.
const (
	Twilio = "twilio"
	Vonage = "vonage"
)

// What a conversation does when its bot hangs up.
const (
	EndOnHangup  = "end"
	KeepOnHangup = "keep"
)

// Bot is a voice bot made for the telephone. It hears the room's user, and the replica says
// what it answers.
type Bot struct {
	Carrier string `json:"carrier,omitempty"` // twilio or vonage; empty: twilio
	// URL is the address of the bot's WebSocket. Options.BotHosts says which hosts may be
	// called.
	URL  string `json:"url"`
	Rate int    `json:"rate,omitempty"` // Hz, with vonage: 8000, 16000 or 24000; 0: 16000
	// Parameters are passed to the bot: by twilio as custom parameters, by vonage as headers.
	Parameters map[string]string `json:"parameters,omitempty"`
	// OnHangup says what happens when the bot hangs up or its connection is lost: the
	// conversation ends (the default), or is kept for others to speak in.
	OnHangup string `json:"on_hangup,omitempty"`
}

// BotState is the state of the call of a bot.
type BotState string

// The states of a call.
const (
	BotConnected BotState = "connected" // it hears the user, and may speak
	BotHungUp    BotState = "hung_up"   // the bot has ended the call
	BotLost      BotState = "lost"      // the connection broke; BotInfo.Error says why
	BotStopped   BotState = "stopped"   // a request has ended the call, or the conversation
)

// BotInfo describes the call of a bot.
type BotInfo struct {
	Carrier string   `json:"carrier"`
	State   BotState `json:"state"`
	Error   string   `json:"error,omitempty"`
}

// BotMark reports that a mark of a bot was heard or cleared. The bot gets the same report.
type BotMark struct {
	Name    string `json:"name"`
	IsHeard bool   `json:"heard"` // false: it was cleared before it was heard
}

// The largest values of a Bot.
const (
	longestURL        = 2048 // bytes
	longestParameters = 8192 // bytes of names and values together
)

// check refuses an invalid Bot. It does not check the host.
func (b *Bot) check() error {
	u, err := url.Parse(b.URL)
	size := 0
	for name, value := range b.Parameters {
		size += len(name) + len(value)
	}
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "ws" && u.Scheme != "wss":
		return invalid("bot.url", "the address of a WebSocket begins with wss:// or ws://")
	case u.User != nil || u.Fragment != "" || len(b.URL) > longestURL:
		return invalid("bot.url", "it must have no user, no fragment, and at most %d bytes", longestURL)
	case !slices.Contains([]string{"", Twilio, Vonage}, b.Carrier):
		return invalid("bot.carrier", "it must be twilio or vonage")
	case b.Rate != 0 && (b.Carrier != Vonage || !slices.Contains(vonage.Rates(), b.Rate)):
		return invalid("bot.rate", "it is for vonage: 8000, 16000 or 24000")
	case !slices.Contains([]string{"", EndOnHangup, KeepOnHangup}, b.OnHangup):
		return invalid("bot.on_hangup", "it must be end or keep")
	case size > longestParameters:
		return invalid("bot.parameters", "they must have at most %d bytes", longestParameters)
	}
	return nil
}

func (b *Bot) carrier() string { return cmp.Or(b.Carrier, Twilio) }

// checkBotHost refuses a bot on a host that the operator has not allowed.
func (o *Options) checkBotHost(b *Bot) error {
	u, err := url.Parse(b.URL)
	if err != nil {
		return invalid("bot.url", "%v", err)
	}
	host := strings.ToLower(u.Hostname())
	ip := net.ParseIP(host)
	isLocal := host == "localhost" || ip != nil && ip.IsLoopback()
	isListed := slices.ContainsFunc(o.BotHosts, func(listed string) bool { return matchesHost(listed, host, u.Port()) })
	switch {
	case !isListed && !(isLocal && o.Rehearse):
		return invalid("bot.url", "this gateway may not call bots at %s: start it with --bot-host %[1]s", u.Host)
	case u.Scheme == "ws" && !isLocal && !o.Insecure:
		return invalid("bot.url", "the user's voice would be sent in clear: use wss://, or start the gateway with --insecure")
	}
	return nil
}

// matchesHost reports whether an entry of BotHosts allows a host and a port. The port is empty
// if the address has none. An entry without a port allows all ports.
func matchesHost(listed, host, port string) bool {
	listed = strings.ToLower(listed)
	if h, p, err := net.SplitHostPort(listed); err == nil {
		if p != port {
			return false
		}
		listed = h
	}
	if domain, ok := strings.CutPrefix(listed, "*."); ok {
		return strings.HasSuffix(host, "."+domain)
	}
	return strings.Trim(listed, "[]") == host
}

// protocol returns the protocol of the carrier, and the headers to dial the bot with.
func (b *Bot) protocol(o *Options) (carrier.Protocol, http.Header, error) {
	if b.Carrier == Vonage {
		rate := b.Rate
		if rate == 0 {
			rate = 16000
		}
		leg, err := vonage.New(rate, b.Parameters)
		return leg, nil, err
	}
	var header http.Header
	if o.TwilioAuthToken != "" {
		header = http.Header{twilio.SignatureHeader: {twilio.Sign(o.TwilioAuthToken, b.URL)}}
	}
	return twilio.New(b.Parameters), header, nil
}

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"echocast/echo"
	"echocast/rtc"
	"echocast/rtc/daily"
	"echocast/rtc/daily/core"
)

// joiner is how the room at an address is joined.
func (r *reaching) joiner(address string, at *place) joiner {
	if isLiveKit(address) {
		return func(ctx context.Context) (*presence, error) {
			return joinLiveKit(ctx, address, LiveKitRole{r.avatar, at.apart, at.users}, at)
		}
	}
	if room, ok := dailyAddress(address); ok {
		return func(ctx context.Context) (*presence, error) { return r.daily.join(ctx, room, at) }
	}
	options, err := r.peering.options(r.warn)
	return func(ctx context.Context) (*presence, error) {
		if err != nil {
			return nil, err
		}
		return joinPeer(ctx, address, options, at)
	}
}

// joinPeer joins a replica of echocast.
func joinPeer(ctx context.Context, address string, options *rtc.Options, at *place) (*presence, error) {
	if at.hear {
		with := rtc.Options{}
		if options != nil {
			with = *options
		}
		with.Sound = true
		options = &with
	}
	conn, err := rtc.Dial(ctx, address, options)
	if err != nil {
		return nil, asPeering(err)
	}
	room := &presence{stage: at.messages(conn, at.limit), limit: at.limit, leave: conn.Close}
	if at.hear {
		room.ears = &peerEars{conn}
	}
	return room, nil
}

// joinLiveKit joins a LiveKit room.
func joinLiveKit(ctx context.Context, address string, as LiveKitRole, at *place) (*presence, error) {
	if LiveKit == nil {
		return nil, needsLiveKit(address)
	}
	stage, leave, err := LiveKit.Join(ctx, address, as)
	if err != nil {
		return nil, err
	}
	room := &presence{stage: stage, limit: at.limit, leave: leave}
	if at.hear {
		hearer, ok := stage.(ears)
		if !ok {
			return nil, errors.Join(fmt.Errorf("%s cannot be heard: its stage has no method Hear", address), leave())
		}
		room.ears = hearer
	}
	return room, nil
}

// dailyScheme marks the address of a Daily room that does not look like one.
const dailyScheme = "daily+"

// dailyAddress takes the address of a Daily room: one on daily.co, as Tavus
// gives out, or any with daily+ before it.
func dailyAddress(address string) (room string, ok bool) {
	if room, ok := strings.CutPrefix(address, dailyScheme); ok {
		return room, true
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" {
		return "", false
	}
	return address, u.Hostname() == "daily.co" || strings.HasSuffix(u.Hostname(), ".daily.co")
}

// dailyRoom is how Daily rooms are joined.
type dailyRoom struct {
	token       string // that came with the conversation
	core        string // path of Daily's library
	tokenFile   string
	chromium    string
	dailyJS     string
	callMachine string
}

func (d *dailyRoom) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "room-token-file", Destination: &d.tokenFile, DefaultText: "none", Usage: "`FILE` with the meeting token of a private Daily room"},
		&cli.StringFlag{Name: "daily-core", Destination: &d.core, EnvVars: []string{"DAILY_CORE_PATH"}, DefaultText: "looked for", Usage: "`PATH` of Daily's shared library, " + core.FileName() + ", or of the SDK's folder, to join Daily rooms without a browser"},
		&cli.StringFlag{Name: "chromium", Destination: &d.chromium, EnvVars: []string{"ECHOCAST_CHROMIUM"}, DefaultText: "looked for", Usage: "`PATH` of the browser that joins Daily rooms"},
		&cli.StringFlag{Name: "daily-js", Destination: &d.dailyJS, EnvVars: []string{"ECHOCAST_DAILY_JS"}, DefaultText: "release " + daily.Version + " from the public CDN", Usage: "a local `FILE` of Daily's library, dist/daily.js"},
		&cli.StringFlag{Name: "daily-call-machine", Destination: &d.callMachine, EnvVars: []string{"ECHOCAST_DAILY_CALL_MACHINE"}, DefaultText: "Daily's own", Usage: "`URL` of a folder that has Daily's call-machine-object-bundle.js"},
	}
}

// way is what joins Daily rooms here.
type way struct {
	name, why string
	browser   string // path; empty where none is needed
	library   string // path; empty where a browser is used
}

// load opens Daily's library.
func (w way) load() (daily.Library, error) {
	library, err := core.Load(w.library)
	if err != nil {
		return nil, &unreachable{fmt.Errorf("--daily-core: %w", err)}
	}
	return library, nil
}

// way decides it: Daily's library, where there is one that this program can
// open, unless a browser is asked for: by name, or because only that has a
// microphone. A library that was named is used, or is an error.
func (d *dailyRoom) way(microphone bool) (way, error) {
	if microphone {
		return d.browser("only a browser has a microphone")
	}
	path, err := core.Find(d.core)
	switch {
	case d.core != "" && err != nil:
		return way{}, usagef("--daily-core %v", err)
	case d.core != "" && !core.Supported:
		return way{}, usagef("--daily-core %s: %v; the usual build can", d.core, core.ErrUnsupported)
	case d.core != "":
		return way{name: "Daily's library", why: "it was named", library: path}, nil
	case d.chromium != "":
		return d.browser("it was named")
	case d.dailyJS != "" || d.callMachine != "":
		return d.browser("what was named needs a browser")
	case err != nil:
		return d.browser("Daily's library was not found")
	case !core.Supported:
		return d.browser(core.ErrUnsupported.Error())
	}
	return way{name: "Daily's library", why: "it was found at " + path, library: path}, nil
}

// browser is the way by a browser.
func (d *dailyRoom) browser(why string) (way, error) {
	path, err := daily.FindBrowser(d.chromium)
	if err != nil {
		return way{}, err
	}
	return way{name: "Chromium with daily-js", why: why, browser: path}, nil
}

// admission finds the token of a private room: in a file, or in its address as
// ?t=, where Daily's own pages take it.
func (d *dailyRoom) admission(room string) (address, token string, err error) {
	u, err := url.Parse(room)
	if err != nil {
		return "", "", usagef("--to: not a URL of a room")
	}
	query := u.Query()
	token = query.Get("t")
	query.Del("t")
	u.RawQuery = query.Encode()
	if d.tokenFile != "" {
		text, err := os.ReadFile(d.tokenFile)
		if err != nil {
			return "", "", usagef("--room-token-file %s: %v", d.tokenFile, plain(err))
		}
		token = strings.TrimSpace(string(text))
	}
	return u.String(), cmp.Or(token, d.token), nil
}

// join joins a Daily room.
func (d *dailyRoom) join(ctx context.Context, room string, at *place) (*presence, error) {
	room, token, err := d.admission(room)
	if err != nil {
		return nil, err
	}
	options := &daily.Options{Token: token, Chromium: d.chromium, DailyJS: d.dailyJS, CallMachine: d.callMachine, Microphone: at.microphone, SoundRate: at.hearRate}
	way, err := d.way(at.microphone)
	if err != nil {
		return nil, err
	}
	if way.library != "" {
		options.MaxMessage = at.limit // the library does not tell the room's
		if options.Library, err = way.load(); err != nil {
			return nil, err
		}
	}
	conn, err := daily.Join(ctx, room, options)
	if err != nil {
		return nil, err
	}
	if at.microphone {
		return &presence{daily.NewMicrophone(conn, at.wrapped(conn)), at.limit, conn.Close, &dailyEars{conn}}, nil
	}
	limit := conn.MaxMessage()
	if at.limit != echo.DefaultMaxMessage {
		limit = min(limit, at.limit) // asked for
	}
	if _, err := (*echo.Options)(nil).ChunkSamples(echo.Limits{MaxMessage: limit, ConversationID: at.conversation}); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("the room takes messages of %d bytes: %w", limit, err)
	}
	return &presence{at.messages(conn, limit), limit, conn.Close, &dailyEars{conn}}, nil
}

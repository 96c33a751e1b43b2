package cli

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/echo"
	"echocast/room"
)

// fallbackAway is how long the replica may be away before the fallback is taken.
const fallbackAway = 5 * time.Second

// fallbackFlag is --fallback.
func fallbackFlag(o *targetOptions) cli.Flag {
	return option(&o.fallback, "fallback", "", "once the replica is lost, go on speaking to the people "+
		"in the Daily room by "+
		"a `microphone`, from where it was heard (default: none)")
}

// checkFallback refuses a fallback where there is no track to speak by.
func (o *targetOptions) checkFallback() error {
	switch {
	case o.fallback == "":
		return nil
	case !o.isDaily() && !o.isREST():
		return usagef("--fallback microphone publishes an audio track in a Daily room, and this is none: leave it out")
	}
	if err := oneOf("--fallback", o.fallback, asMicrophone); err != nil {
		return err
	}
	backend, err := o.daily.backend(func(string, ...any) {})
	if err == nil {
		_, err = backend.Transport(true) // there is a browser
	}
	return err
}

// fallBack makes the room join by the fallback once the replica is lost.
func (t *target) fallBack(with *room.Options) error {
	if t.options.fallback == "" {
		return nil
	}
	f := &room.Fallback{OnFall: func(why error) {
		t.out.warn("the replica is lost (%v): going on by a microphone", why)
	}}
	with.Fallback = f
	backend, err := t.options.daily.backend(t.out.warn)
	if err != nil {
		return err
	}
	f.Backend = backend
	if t.options.isREST() {
		f.Address = func(ctx context.Context) (string, error) {
			if c := t.conversation; c != nil {
				backend.Token = c.Token
				return "daily+" + c.URL, nil
			}
			return t.dailyAddress(ctx)
		}
	}
	return nil
}

// followReplica makes a session notice that the replica is lost, for the fallback.
func (t *target) followReplica(options *echo.Options) {
	if t.options.fallback == "" {
		return
	}
	options.OnEvent, options.AwayTimeout = t.room.Notice, fallbackAway
	if options.OnLoss == echo.ReconnectAbandon || options.OnLoss == "" {
		options.OnLoss = echo.ReconnectResume
	}
}

package cli

import (
	"github.com/urfave/cli/v2"

	"echocast/internal/option"
)

// fallbackFlag is --fallback.
func fallbackFlag(o *targetOptions) cli.Flag {
	return option.New(&o.fallback, "fallback", "", "once the replica is lost, go on speaking to the people "+
		"in the Daily room by `WAY`, which is microphone, from where it was heard (default: none)")
}

// checkFallback refuses a fallback where there is no track to speak by.
func (o *targetOptions) checkFallback() error {
	switch {
	case o.fallback == "":
		return nil
	case !o.isDaily() && !o.isREST():
		return usagef("--fallback microphone publishes an audio track in a Daily room, and this is none: leave it out")
	}
	if err := option.OneOf("--fallback", o.fallback, asMicrophone); err != nil {
		return err
	}
	backend, err := o.daily.Backend(func(string, ...any) {})
	if err == nil {
		_, err = backend.Transport(true) // there is a browser
	}
	return err
}

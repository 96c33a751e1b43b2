package cli

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/internal/account"
	"echocast/internal/option"
	"echocast/internal/redact"
	"echocast/tavus"
)

// longestWithPAL is the longest input for a conversation that was created for it, unless
// --max-duration says otherwise: a small file can hold hours of audio, and every minute costs
// money.
const longestWithPAL = 30 * time.Minute

// longestInput returns the value of --max-duration, or a safe default.
func (o *createOptions) longestInput(asked time.Duration) time.Duration {
	if asked == 0 && o.spec.PAL != "" {
		return longestWithPAL
	}
	return asked
}

// createOptions describe the conversation that a command creates, uses and ends.
type createOptions struct {
	service    account.Options
	spec       tavus.Spec
	maxMinutes float64
}

// flags declares no environment variable for --pal: a conversation costs money, so the user
// must ask for it each time.
func (o *createOptions) flags() []cli.Flag {
	return []cli.Flag{
		option.New(&o.spec.PAL, "pal", "", "create a Tavus conversation with the PAL of this `ID`, speak in it, and end it; "+
			"needs TAVUS_API_KEY (default: none)"),
		option.New(&o.spec.Face, "face", "", "with --pal: `ID` of the face (default: the PAL's own) [$TAVUS_FACE_ID, "+
			"$TAVUS_REPLICA_ID]"),
		option.New(&o.maxMinutes, "max-minutes", tavus.DefaultMaxDuration.Minutes(), "with --pal: the service ends the "+
			"conversation after `N` minutes, whatever happens"),
	}
}

func (o *createOptions) check(to string) error {
	if o.spec.PAL == "" {
		return nil
	}
	o.spec.Name = "echocast"
	o.spec.MaxDuration = time.Duration(o.maxMinutes * float64(time.Minute))
	_, invites := inviter(to)
	switch {
	case to != "" && !invites:
		return usagef("--pal creates a conversation in a new room, and --to names another room; leave one of them out")
	case o.spec.MaxDuration < time.Minute:
		return usagef("--max-minutes must be 1 or more")
	}
	if err := o.spec.Check(); err != nil {
		return usagef("%v", err)
	}
	_, err := o.service.Client(func(string, ...any) {}) // connect warns
	return err
}

// conversation creates the conversation. The caller ends it.
func (o *createOptions) conversation(ctx context.Context, to, avatar string,
	out *reporter) (*tavus.Conversation, error) {
	client, err := o.service.Client(out.warn)
	if err != nil {
		return nil, err
	}
	spec := o.spec
	if to != "" {
		if spec.LiveKitURL, spec.LiveKitToken, err = invite(to, avatar); err != nil {
			return nil, err
		}
	}
	conversation, err := account.Open(ctx, client, spec, out.warn)
	if err != nil {
		return nil, err
	}
	redact.Known.Add(conversation.Token, spec.LiveKitToken)
	out.say("conversation %s: %s", conversation.ID, conversation.URL)
	return conversation, nil
}

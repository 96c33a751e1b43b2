package cli

import (
	"context"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/tavus"
)

// creating is a conversation that a command creates for itself, and ends.
type creating struct {
	service
	spec       tavus.Spec
	maxMinutes float64
}

// createFlags are the options of it. --pal has no variable of the environment:
// what costs money is asked for each time.
func (c *creating) createFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "pal", Destination: &c.spec.PAL, DefaultText: "none", Usage: "create a Tavus conversation with the PAL of this `ID`, speak in it, and end it; needs TAVUS_API_KEY"},
		&cli.StringFlag{Name: "face", EnvVars: []string{"TAVUS_FACE_ID", "TAVUS_REPLICA_ID"}, Destination: &c.spec.Face, DefaultText: "the PAL's own", Usage: "with --pal: `ID` of the face"},
		&cli.Float64Flag{Name: "max-minutes", Value: tavus.DefaultMaxDuration.Minutes(), Destination: &c.maxMinutes, Usage: "with --pal: the conversation ends after `N` minutes, whatever happens"},
		&cli.StringFlag{Name: "api-key-file", Destination: &c.keyFile, DefaultText: "TAVUS_API_KEY", Usage: "with --pal: read the API key from `FILE`"},
		&cli.StringFlag{Name: "base-url", EnvVars: []string{"TAVUS_BASE_URL"}, Destination: &c.baseURL, DefaultText: tavus.DefaultBaseURL, Usage: "with --pal: `URL` of the service"},
	}
}

func (c *creating) checkCreate(to, record string) error {
	if c.spec.PAL == "" {
		return nil
	}
	c.spec.Name = "echocast"
	c.spec.MaxDuration = time.Duration(c.maxMinutes * float64(time.Minute))
	switch {
	case to != "" && !isLiveKit(to):
		return usagef("--pal creates a conversation with a room of its own, and --to names another; leave one of them out")
	case record != "":
		return usagef("--record is for the replica in this process, and --pal calls a real one")
	case c.spec.MaxDuration < time.Minute:
		return usagef("--max-minutes %g: a conversation takes a minute or more", c.maxMinutes)
	}
	if err := c.spec.Check(); err != nil {
		return usagef("%v", err)
	}
	_, err := c.client()
	return err
}

// create creates the conversation. What is in it has to be ended by end.
func (c *creating) create(ctx context.Context, to, avatar string, out *reporter) (*tavus.Conversation, error) {
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	spec := c.spec
	if isLiveKit(to) {
		if LiveKit == nil {
			return nil, needsLiveKit(to)
		}
		if spec.LiveKitURL, spec.LiveKitToken, err = LiveKit.Invite(to, avatar); err != nil {
			return nil, err
		}
	}
	conversation, err := tavus.Open(ctx, client, spec)
	if err != nil {
		return nil, (&conversing{service: c.service}).uncertain(ctx, err)
	}
	out.say("conversation %s: %s", conversation.ID, conversation.URL)
	return conversation, nil
}

// end ends the conversation, where there is one, and says that it did.
func (t *target) end() error {
	if t.conversation == nil {
		return nil
	}
	if err := t.conversation.Close(t.ctx); err != nil {
		t.out.warn("%v", err)
		t.out.warn("end it with: echocast conversation end-mine")
		return said{err}
	}
	t.ended()
	t.out.say("conversation %s has ended", t.conversation.ID)
	return nil
}

package cli

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/internal/terminal"
	"echocast/tavus"
)

// conversationCmd is the conversation commands.
type conversationCmd struct {
	serviceCmd
	spec       tavus.Spec
	maxMinutes float64
	status     string
	limit      int
	verbose    bool
	all        bool
}

func conversationCommand(streams Streams) *cli.Command {
	v := &conversationCmd{serviceCmd: serviceCmd{streams: streams}}
	return &cli.Command{
		Name:      "conversation",
		Usage:     "create, list and end conversations of a Tavus account",
		UsageText: "echocast conversation COMMAND [OPTIONS]",
		Description: `A conversation costs money from its creation to its end. create records it in a
file (in ECHOCAST_STATE_DIR, or where this system keeps such files). end-mine ends
all recorded conversations, including those of processes that died.

` + helpKey,
		Action: needsVerb("echocast conversation"),
		Subcommands: []*cli.Command{
			{Name: "create", Usage: "create a conversation and print its id and address", Flags: v.createFlags(),
				Action: v.command(v.create)},
			{Name: "list", Usage: "list conversations", Flags: append([]cli.Flag{
				option(&v.status, "status", tavus.Active, "`STATUS` of those that are listed: active, ended or all"),
				option(&v.limit, "limit", 100, "list at most `N`"),
			}, v.flags()...), Action: v.command(v.list)},
			{Name: "get", Usage: "show a conversation", ArgsUsage: "ID", Flags: append([]cli.Flag{
				boolOption(&v.verbose, "verbose", "with its events; --json prints them"),
			}, v.flags()...), Action: v.command(v.get)},
			{Name: "end", Usage: "end a conversation", ArgsUsage: "ID", Flags: v.flags(), Action: v.command(v.end)},
			{Name: "end-mine", Usage: "end every conversation that echocast created here and did not end",
				Flags: append([]cli.Flag{
					boolOption(&v.all, "all", "those of processes that still run, and of other machines, too"),
				}, v.flags()...), Action: v.command(v.endMine)},
		},
	}
}

func (v *conversationCmd) createFlags() []cli.Flag {
	return append([]cli.Flag{
		option(&v.spec.PAL, "pal", "", "`ID` of the PAL (formerly persona) [$TAVUS_PAL_ID, $TAVUS_PERSONA_ID]"),
		option(&v.spec.Face, "face", "", "`ID` of the face (formerly replica) (default: the PAL's own) [$TAVUS_FACE_ID, "+
			"$TAVUS_REPLICA_ID]"),
		option(&v.spec.Name, "name", "echocast", "`NAME` of the conversation, which is made unique by what is appended"),
		option(&v.maxMinutes, "max-minutes", tavus.DefaultMaxDuration.Minutes(), "end it after `N` minutes, whatever "+
			"happens"),
		option(&v.spec.LeftTimeout, "left-timeout", tavus.DefaultLeftTimeout, "end it this `TIME` after everybody has left"),
		option(&v.spec.AbsentTimeout, "absent-timeout", tavus.DefaultAbsentTimeout, "end it after this `TIME` if nobody "+
			"comes"),
		option(&v.spec.Greeting, "greeting", "", "let the replica say this `TEXT` first (default: none)"),
		boolOption(&v.spec.Private, "private", "only who has the token in the printed address may enter"),
		boolOption(&v.spec.TestMode, "test-mode", "create one that costs nothing, has ended, and has no replica"),
	}, v.flags()...)
}

func (v *conversationCmd) create(c *cli.Context, client *tavus.Client) error {
	if err := noInputs(c); err != nil {
		return err
	}
	if v.spec.PAL == "" {
		return usagef("no PAL is named: give --pal, or set TAVUS_PAL_ID; echocast pal create makes one")
	}
	v.spec.MaxDuration = time.Duration(v.maxMinutes * float64(time.Minute))
	for name, d := range map[string]time.Duration{"max-minutes": v.spec.MaxDuration, "left-timeout": v.spec.LeftTimeout,
		"absent-timeout": v.spec.AbsentTimeout} {
		if d < time.Second {
			return usagef("--%s: a limit is a second or more", name)
		}
	}
	if err := v.spec.Check(); err != nil {
		return usagef("%v", err)
	}
	conversation, err := openConversation(c.Context, client, v.spec, v.streams.warn)
	if err != nil {
		return err
	}
	if err := v.print([]any{conversation.Info}, "", [][]string{{conversation.ID, conversation.JoinURL()}}); err != nil {
		// It could not be printed, so the user does not know its id.
		return cmp.Or(conversation.Close(c.Context), err)
	}
	if terminal.IsNowhere(v.streams.Out) {
		v.streams.warn("conversation %s: %s", conversation.ID, conversation.URL)
		v.streams.warn("standard output goes nowhere, so this is said here; end it with: echocast conversation end %s",
			conversation.ID)
	}
	return nil
}

// uncertain reports what to do if a conversation may have been created, also if a
// signal ended the run.
func uncertain(ctx context.Context, err error, warn warnFunc) error {
	if _, unsure := errors.AsType[*tavus.UncertainError](err); unsure {
		warn("%v", err)
		warn("end it with: echocast conversation end-mine")
		return said{cancelled(ctx, err)}
	}
	return err
}

func (v *conversationCmd) list(c *cli.Context, client *tavus.Client) error {
	if err := noInputs(c); err != nil {
		return err
	}
	status := v.status
	switch {
	case status == "all":
		status = ""
	case status != tavus.Active && status != tavus.Ended:
		return usagef("--status %s: must be active, ended or all", status)
	case v.limit < 1:
		return usagef("--limit must be more than 0")
	}
	var values []any
	var rows [][]string
	for info, err := range client.Conversations(c.Context, status) {
		if err != nil {
			return err
		}
		if len(rows) == v.limit {
			v.streams.warn("there are more than %d; --limit lists more", v.limit)
			break
		}
		values, rows = append(values, info), append(rows, row(info))
	}
	return v.print(values, conversationHead, rows)
}

const conversationHead = "ID\tSTATUS\tCREATED\tNAME\tURL"

func row(i tavus.Info) []string { return []string{i.ID, i.Status, i.Created, i.Name, i.URL} }

func (v *conversationCmd) get(c *cli.Context, client *tavus.Client) error {
	id, err := oneID(c, "conversation")
	if err != nil {
		return err
	}
	info, err := client.Conversation(c.Context, id, v.verbose)
	if err != nil {
		return err
	}
	rows := [][]string{row(info)}
	for _, event := range info.Events {
		rows = append(rows, []string{"", event.Type, event.Time})
	}
	return v.print([]any{info}, conversationHead, rows)
}

func (v *conversationCmd) end(c *cli.Context, client *tavus.Client) error {
	id, err := oneID(c, "conversation")
	if err != nil {
		return err
	}
	if err := client.EndConversation(c.Context, id); err != nil {
		if _, refused := errors.AsType[*tavus.APIError](err); !refused {
			v.streams.warn("conversation %s may still be open, and cost money; end it with: echocast conversation end %s", id, id)
		}
		return err
	}
	if err := tavus.Forget("", id); err != nil {
		return err
	}
	return v.print([]any{map[string]string{"conversation_id": id, "status": tavus.Ended}}, "",
		[][]string{{id, tavus.Ended}})
}

func (v *conversationCmd) endMine(c *cli.Context, client *tavus.Client) error {
	if err := noInputs(c); err != nil {
		return err
	}
	results, err := tavus.EndMine(c.Context, client, tavus.EndOptions{All: v.all})
	var values []any
	var rows [][]string
	for _, r := range results {
		values, rows = append(values, r), append(rows, []string{r.ID, string(r.Outcome), r.Name})
		switch r.Outcome {
		case tavus.OutcomeInUse:
			v.streams.warn("%s belongs to process %d on %s, which runs or cannot be asked; --all ends it, too", r.Name, r.PID, r.Host)
		case tavus.OutcomeForeign:
			v.streams.warn("%s was created with another key, or at another --base-url; end it with those", r.Name)
		case tavus.OutcomeUnsettled:
			v.streams.warn("%s was asked for less than %v ago and may still appear; run this again then", r.Name, tavus.DefaultSettle)
		}
	}
	head := ""
	if len(rows) > 0 {
		head = "ID\tOUTCOME\tNAME"
	} else if err == nil {
		v.streams.warn("there is nothing to end")
	}
	return cmp.Or(v.print(values, head, rows), err)
}

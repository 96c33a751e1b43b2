package account

import (
	"cmp"
	"errors"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/internal/option"
	"echocast/internal/output"
	"echocast/internal/terminal"
	"echocast/tavus"
)

// conversationCmd implements the conversation commands.
type conversationCmd struct {
	accountCmd
	spec       tavus.Spec
	maxMinutes float64
	status     string
	limit      int
	verbose    bool
	all        bool
}

// ConversationCommand returns the command conversation.
func ConversationCommand(streams output.Streams) *cli.Command {
	v := &conversationCmd{accountCmd: accountCmd{streams: streams}}
	return &cli.Command{
		Name:      "conversation",
		Usage:     "create, list and end conversations of a Tavus account",
		UsageText: "echocast conversation COMMAND [OPTIONS]",
		Description: `A conversation costs money from its creation to its end. create records it in a
file (in ECHOCAST_STATE_DIR, or where this system keeps such files). end-mine ends
all recorded conversations, including those of processes that died.

` + HelpKey,
		Action: option.NeedsCommand("echocast conversation"),
		Subcommands: []*cli.Command{
			{Name: "create", Usage: "create a conversation and print its id and address", Flags: v.createFlags(),
				Action: v.command(v.create)},
			{Name: "list", Usage: "list conversations", Flags: append([]cli.Flag{
				option.New(&v.status, "status", tavus.Active, "list conversations of this `STATUS`: active, ended or all"),
				option.New(&v.limit, "limit", 100, "list at most `N`"),
			}, v.flags()...), Action: v.command(v.list)},
			{Name: "get", Usage: "show a conversation", ArgsUsage: "ID", Flags: append([]cli.Flag{
				option.Bool(&v.verbose, "verbose", "show its events too; --json prints them"),
			}, v.flags()...), Action: v.command(v.get)},
			{Name: "end", Usage: "end a conversation", ArgsUsage: "ID", Flags: v.flags(), Action: v.command(v.end)},
			{Name: "end-mine", Usage: "end every conversation that echocast created here and did not end",
				Flags: append([]cli.Flag{
					option.Bool(&v.all, "all", "end also those of running processes, and of other machines"),
				}, v.flags()...), Action: v.command(v.endMine)},
		},
	}
}

func (v *conversationCmd) createFlags() []cli.Flag {
	return append([]cli.Flag{
		option.New(&v.spec.PAL, "pal", "", "`ID` of the PAL (formerly persona) [$TAVUS_PAL_ID, $TAVUS_PERSONA_ID]"),
		option.New(&v.spec.Face, "face", "", "`ID` of the face (formerly replica) (default: the PAL's own) [$TAVUS_FACE_ID, "+
			"$TAVUS_REPLICA_ID]"),
		option.New(&v.spec.Name, "name", "echocast", "`NAME` of the conversation; echocast makes it unique"),
		option.New(&v.maxMinutes, "max-minutes", tavus.DefaultMaxDuration.Minutes(), "end it after `N` minutes, whatever "+
			"happens"),
		option.New(&v.spec.LeftTimeout, "left-timeout", tavus.DefaultLeftTimeout, "end it this `TIME` after everybody has "+
			"left"),
		option.New(&v.spec.AbsentTimeout, "absent-timeout", tavus.DefaultAbsentTimeout, "end it after this `TIME` if nobody "+
			"comes"),
		option.New(&v.spec.Greeting, "greeting", "", "let the replica say this `TEXT` first (default: none)"),
		option.Bool(&v.spec.Private, "private", "let in only those who have the token in the printed address"),
		option.Bool(&v.spec.TestMode, "test-mode", "create one that costs nothing, has no replica, and is ended already"),
	}, v.flags()...)
}

func (v *conversationCmd) create(c *cli.Context, client *tavus.Client) error {
	if err := option.NoInputs(c); err != nil {
		return err
	}
	if v.spec.PAL == "" {
		return option.Errorf("no PAL is named: give --pal, or set TAVUS_PAL_ID; echocast pal create makes one")
	}
	v.spec.MaxDuration = time.Duration(v.maxMinutes * float64(time.Minute))
	for name, d := range map[string]time.Duration{"max-minutes": v.spec.MaxDuration, "left-timeout": v.spec.LeftTimeout,
		"absent-timeout": v.spec.AbsentTimeout} {
		if d < time.Second {
			return option.Errorf("--%s must be at least 1s", name)
		}
	}
	if err := v.spec.Check(); err != nil {
		return option.Errorf("%v", err)
	}
	conversation, err := Open(c.Context, client, v.spec, v.streams.Warn)
	if err != nil {
		return err
	}
	if err := v.print([]any{conversation.Info}, "", [][]string{{conversation.ID, conversation.JoinURL()}}); err != nil {
		// The id could not be printed, so the user does not know it.
		return cmp.Or(conversation.Close(c.Context), err)
	}
	if terminal.IsNowhere(v.streams.Out) {
		v.streams.Warn("conversation %s: %s", conversation.ID, conversation.URL)
		v.streams.Warn("standard output is discarded, so the id is printed here; end it with: echocast conversation end %s",
			conversation.ID)
	}
	return nil
}

func (v *conversationCmd) list(c *cli.Context, client *tavus.Client) error {
	if err := option.NoInputs(c); err != nil {
		return err
	}
	status := v.status
	switch {
	case status == "all":
		status = ""
	case status != tavus.Active && status != tavus.Ended:
		return option.Errorf("--status %s: must be active, ended or all", status)
	case v.limit < 1:
		return option.Errorf("--limit must be more than 0")
	}
	var values []any
	var rows [][]string
	for info, err := range client.Conversations(c.Context, status) {
		if err != nil {
			return err
		}
		if len(rows) == v.limit {
			v.streams.Warn("there are more than %d; --limit lists more", v.limit)
			break
		}
		values, rows = append(values, info), append(rows, row(info))
	}
	return v.print(values, conversationHead, rows)
}

const conversationHead = "ID\tSTATUS\tCREATED\tNAME\tURL"

func row(i tavus.Info) []string { return []string{i.ID, i.Status, i.Created, i.Name, i.URL} }

func (v *conversationCmd) get(c *cli.Context, client *tavus.Client) error {
	id, err := option.OneID(c, "conversation")
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
	id, err := option.OneID(c, "conversation")
	if err != nil {
		return err
	}
	if err := client.EndConversation(c.Context, id); err != nil {
		if _, refused := errors.AsType[*tavus.APIError](err); !refused {
			v.streams.Warn("conversation %s may still be open, and cost money; end it with: echocast conversation end "+
				"%s", id, id)
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
	if err := option.NoInputs(c); err != nil {
		return err
	}
	results, err := tavus.EndMine(c.Context, client, tavus.EndOptions{All: v.all})
	var values []any
	var rows [][]string
	for _, r := range results {
		values, rows = append(values, r), append(rows, []string{r.ID, string(r.Outcome), r.Name})
		switch r.Outcome {
		case tavus.OutcomeInUse:
			v.streams.Warn("%s belongs to process %d on %s, which runs or cannot be asked; --all ends it, "+
				"too", r.Name, r.PID, r.Host)
		case tavus.OutcomeForeign:
			v.streams.Warn("%s was created with another key, or at another --base-url; end it with those", r.Name)
		case tavus.OutcomeUnsettled:
			v.streams.Warn("%s was asked for less than %v ago and may still appear; run this again "+
				"then", r.Name, tavus.DefaultSettle)
		}
	}
	head := ""
	if len(rows) > 0 {
		head = "ID\tOUTCOME\tNAME"
	} else if err == nil {
		v.streams.Warn("there is nothing to end")
	}
	return cmp.Or(v.print(values, head, rows), err)
}

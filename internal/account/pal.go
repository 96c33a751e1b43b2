package account

import (
	"github.com/urfave/cli/v2"

	"echocast/internal/option"
	"echocast/internal/output"
	"echocast/tavus"
)

// palCmd implements the pal commands.
type palCmd struct {
	accountCmd
	spec tavus.EchoPAL
	echo bool
}

// PALCommand returns the command pal.
func PALCommand(streams output.Streams) *cli.Command {
	p := &palCmd{accountCmd: accountCmd{streams: streams}}
	return &cli.Command{
		Name:        "pal",
		Usage:       "create, list and delete the PALs (formerly personas) of a Tavus account",
		UsageText:   "echocast pal COMMAND [OPTIONS]",
		Description: "A PAL in echo mode says what it is sent. It costs nothing by itself.\n\n" + HelpKey,
		Action:      option.NeedsCommand("echocast pal"),
		Subcommands: []*cli.Command{
			{Name: "create", Usage: "create an echo PAL and print its id", Flags: append([]cli.Flag{
				option.Bool(&p.echo, "echo", "create it in echo mode; echocast creates no other PALs"),
				option.New(&p.spec.Face, "face", "", "`ID` of the face it has by default [$TAVUS_FACE_ID, $TAVUS_REPLICA_ID]"),
				option.New(&p.spec.Name, "name", "echocast echo", "its `NAME`"),
				option.Bool(&p.spec.Microphone, "microphone", "let it echo an audio track, by an undocumented setting"),
			}, p.flags()...), Action: p.command(p.create)},
			{Name: "list", Usage: "list the PALs", Flags: p.flags(), Action: p.command(p.list)},
			{Name: "get", Usage: "show a PAL", ArgsUsage: "ID", Flags: p.flags(), Action: p.command(p.get)},
			{Name: "delete", Usage: "delete a PAL", ArgsUsage: "ID", Flags: p.flags(), Action: p.command(p.remove)},
		},
	}
}

func (p *palCmd) create(c *cli.Context, client *tavus.Client) error {
	if err := option.NoInputs(c); err != nil {
		return err
	}
	switch {
	case !p.echo:
		return option.Errorf("only PALs in echo mode are created here: add --echo")
	case p.spec.Face == "":
		return option.Errorf("no face is named: give --face, or set TAVUS_FACE_ID")
	}
	pal, err := client.CreatePAL(c.Context, p.spec)
	if err != nil {
		return err
	}
	return p.print([]any{pal}, "", [][]string{{pal.ID, pal.Name}})
}

const palHead = "ID\tMODE\tFACE\tNAME"

func palRow(p tavus.PAL) []string { return []string{p.ID, p.Pipeline, p.Face, p.Name} }

func (p *palCmd) list(c *cli.Context, client *tavus.Client) error {
	if err := option.NoInputs(c); err != nil {
		return err
	}
	var values []any
	var rows [][]string
	for pal, err := range client.PALs(c.Context) {
		if err != nil {
			return err
		}
		values, rows = append(values, pal), append(rows, palRow(pal))
	}
	return p.print(values, palHead, rows)
}

func (p *palCmd) get(c *cli.Context, client *tavus.Client) error {
	id, err := option.OneID(c, "PAL")
	if err != nil {
		return err
	}
	pal, err := client.PAL(c.Context, id)
	if err != nil {
		return err
	}
	return p.print([]any{pal}, palHead, [][]string{palRow(pal)})
}

func (p *palCmd) remove(c *cli.Context, client *tavus.Client) error {
	id, err := option.OneID(c, "PAL")
	if err != nil {
		return err
	}
	if err := client.DeletePAL(c.Context, id); err != nil {
		return err
	}
	return p.print([]any{map[string]string{"pal_id": id, "status": "deleted"}}, "", [][]string{{id, "deleted"}})
}

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/tavus"
)

// warnFunc reports something to people.
type warnFunc func(format string, args ...any)

// serviceOptions say how the Tavus API is called.
type serviceOptions struct {
	keyFile string
	baseURL string
}

const helpKey = `The API key is read from TAVUS_API_KEY, or from the file that --api-key-file
names. It is not an option itself, because other users can see those.`

// client makes a client. It warns of retries, and of a key file that other users can
// read.
func (o *serviceOptions) client(warn warnFunc) (*tavus.Client, error) {
	key, err := o.key(warn)
	if err != nil {
		return nil, err
	}
	client := &tavus.Client{Key: key, BaseURL: o.baseURL, OnWait: func(why error, wait time.Duration) {
		warn("%v; trying again in %v", why, wait.Round(100*time.Millisecond))
	}}
	if err := client.Check(); err != nil {
		return nil, usagef("--base-url: %v", err)
	}
	return client, nil
}

func (o *serviceOptions) key(warn warnFunc) (tavus.Key, error) {
	where := "--api-key-file " + o.keyFile
	if !o.hasKey() {
		return tavus.Key{}, usagef("there is no API key: set TAVUS_API_KEY, or name a file with --api-key-file")
	}
	if o.keyFile == "" {
		where = "TAVUS_API_KEY"
	}
	text, err := secret("--api-key-file", o.keyFile, "TAVUS_API_KEY", warn)
	if err != nil {
		return tavus.Key{}, err
	}
	key, err := tavus.NewKey(text)
	if err != nil {
		return key, usagef("%s: %v", where, err)
	}
	return key, nil
}

// hasKey reports whether an API key is given, valid or not.
func (o *serviceOptions) hasKey() bool {
	_, ok := os.LookupEnv("TAVUS_API_KEY")
	return ok || o.keyFile != ""
}

// flags are the flags of commands that call the API.
func (o *serviceOptions) flags() []cli.Flag {
	return []cli.Flag{
		option(&o.keyFile, "api-key-file", "", "read the API key from `FILE` (default: TAVUS_API_KEY)"),
		option(&o.baseURL, "base-url", "", "`URL` of the service (default: "+tavus.DefaultBaseURL+") [$TAVUS_BASE_URL]"),
	}
}

// serviceCmd is shared by the commands that call the Tavus API.
type serviceCmd struct {
	streams Streams
	service serviceOptions
	json    bool
}

func (s *serviceCmd) flags() []cli.Flag {
	return append(s.service.flags(),
		boolOption(&s.json, "json", "print JSON, one object a line"))
}

// command makes the action of a command that needs a client.
func (s *serviceCmd) command(do func(*cli.Context, *tavus.Client) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		client, err := s.service.client(s.streams.warn)
		if err != nil {
			return err
		}
		if err := do(c, client); err != nil {
			return cancelled(c.Context, err)
		}
		return nil
	}
}

// print prints values as lines of JSON, or rows as a table with a head.
func (s *serviceCmd) print(values []any, head string, rows [][]string) error {
	var text strings.Builder
	if s.json {
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false) // the addresses are for people to copy
		for _, value := range values {
			if err := encoder.Encode(value); err != nil {
				return err
			}
		}
	} else {
		table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
		if head != "" {
			fmt.Fprintln(table, head)
		}
		for _, row := range rows {
			fmt.Fprintln(table, printableRow(row))
		}
		_ = table.Flush() // into memory
	}
	return printText(s.streams.Out, text.String())
}

// printableRow joins the cells of a row.
func printableRow(row []string) string {
	cells := make([]string, len(row))
	for i, cell := range row {
		if cells[i] = printable(cell); cell == "" {
			cells[i] = "-"
		}
	}
	return strings.Join(cells, "\t")
}

// oneID returns the only argument of a command, an id.
func oneID(c *cli.Context, what string) (string, error) {
	if c.NArg() != 1 || c.Args().First() == "" {
		return "", usagef("%s takes the id of one %s", c.Command.HelpName, what)
	}
	return c.Args().First(), nil
}

// noInputs fails if a command without inputs is given any.
func noInputs(c *cli.Context) error {
	if c.Args().Present() {
		return usagef("%s takes options only, and no %q", c.Command.HelpName, c.Args().First())
	}
	return nil
}

// withoutInputs is the action of a command that takes options only.
func withoutInputs(run func(context.Context) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if err := noInputs(c); err != nil {
			return err
		}
		return run(c.Context)
	}
}

// withInputs is the action of a command that takes inputs.
func withInputs(run func(ctx context.Context, names []string) error) cli.ActionFunc {
	return func(c *cli.Context) error { return run(c.Context, c.Args().Slice()) }
}

// needsVerb is the action of a command that only has commands below it. Alone it shows its help,
// see answer.
func needsVerb(name string) cli.ActionFunc {
	return func(c *cli.Context) error {
		return usagef("%s has no command %q; %s --help lists them", name, c.Args().First(), name)
	}
}

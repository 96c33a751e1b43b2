package option

import (
	"context"

	"github.com/urfave/cli/v2"
)

// OneID returns the only argument of a command, an id. what names the kind of id for
// errors.
func OneID(c *cli.Context, what string) (string, error) {
	if c.NArg() != 1 || c.Args().First() == "" {
		return "", Errorf("%s takes the id of one %s", c.Command.HelpName, what)
	}
	return c.Args().First(), nil
}

// NoInputs returns an error if a command that takes no inputs has any.
func NoInputs(c *cli.Context) error {
	if c.Args().Present() {
		return Errorf("%s takes options only, and no %q", c.Command.HelpName, c.Args().First())
	}
	return nil
}

// WithoutInputs returns the action of a command that takes only options.
func WithoutInputs(run func(context.Context) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if err := NoInputs(c); err != nil {
			return err
		}
		return run(c.Context)
	}
}

// WithInputs returns the action of a command that takes inputs.
func WithInputs(run func(ctx context.Context, names []string) error) cli.ActionFunc {
	return func(c *cli.Context) error { return run(c.Context, c.Args().Slice()) }
}

// NeedsCommand returns the action of a command that only has subcommands.
func NeedsCommand(name string) cli.ActionFunc {
	return func(c *cli.Context) error {
		return Errorf("%s has no command %q; %s --help lists them", name, c.Args().First(), name)
	}
}

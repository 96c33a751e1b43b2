package option

import (
	"context"

	"github.com/urfave/cli/v2"
)

// OneID returns the only argument of a command, the id of what it is about.
func OneID(c *cli.Context, what string) (string, error) {
	if c.NArg() != 1 || c.Args().First() == "" {
		return "", Errorf("%s takes the id of one %s", c.Command.HelpName, what)
	}
	return c.Args().First(), nil
}

// NoInputs fails if a command without inputs is given any.
func NoInputs(c *cli.Context) error {
	if c.Args().Present() {
		return Errorf("%s takes options only, and no %q", c.Command.HelpName, c.Args().First())
	}
	return nil
}

// WithoutInputs makes the action of a command that takes options only.
func WithoutInputs(run func(context.Context) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if err := NoInputs(c); err != nil {
			return err
		}
		return run(c.Context)
	}
}

// WithInputs makes the action of a command that takes inputs.
func WithInputs(run func(ctx context.Context, names []string) error) cli.ActionFunc {
	return func(c *cli.Context) error { return run(c.Context, c.Args().Slice()) }
}

// NeedsCommand makes the action of a command that only has commands below it.
func NeedsCommand(name string) cli.ActionFunc {
	return func(c *cli.Context) error {
		return Errorf("%s has no command %q; %s --help lists them", name, c.Args().First(), name)
	}
}

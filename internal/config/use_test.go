package config

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/urfave/cli/v2"
)

// A typed option overrides the file, by any of its names, and the command sees the result.
func TestTypedOptionsOverrideFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte("lead = 5s\nto = http://127.0.0.1:1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		typed []string
		lead  string
		to    string
		isSet []string
	}{
		"nothing":     {nil, "5s", "http://127.0.0.1:1", []string{"lead", "to"}},
		"by its name": {[]string{"--lead", "2s"}, "2s", "http://127.0.0.1:1", []string{"lead", "to"}},
		"by another":  {[]string{"-l", "3s"}, "3s", "http://127.0.0.1:1", []string{"lead", "to"}},
		"both":        {[]string{"-l", "3s", "--to", "x"}, "3s", "x", []string{"lead", "to"}},
	} {
		t.Run(name, func(t *testing.T) {
			var lead, to string
			var set []string
			app := &cli.App{Name: "test", Commands: []*cli.Command{{
				Name: "speak",
				Flags: []cli.Flag{
					&cli.StringFlag{Name: "lead", Aliases: []string{"l"}, Destination: &lead},
					&cli.StringFlag{Name: "to", Destination: &to},
					&cli.StringFlag{Name: "unused"},
				},
				Action: func(c *cli.Context) error {
					for _, option := range []string{"lead", "to", "unused"} {
						if c.IsSet(option) {
							set = append(set, option)
						}
					}
					return nil
				},
			}}}
			sources := &Sources{Getenv: func(name string) string { return map[string]string{"ECHOCAST_CONFIG": file}[name] }}
			sources.Use(app, t.Errorf)
			if err := app.Run(append([]string{"test", "speak"}, c.typed...)); err != nil {
				t.Fatal(err)
			}
			if lead != c.lead || to != c.to || !slices.Equal(set, c.isSet) {
				t.Errorf("lead %q, to %q, set %q; want %q, %q, %q", lead, to, set, c.lead, c.to, c.isSet)
			}
		})
	}
}

package cli

import (
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"echocast/internal/config"
	"echocast/internal/manual"
	"echocast/internal/option"
	"echocast/internal/output"
	"echocast/internal/redact"
)

const helpSettings = `Every option of every command can be set in the environment or in a file. The
variable of --max-rate is ECHOCAST_MAX_RATE. The file is ~/.config/echocast/config:

    # settings above the first heading always apply
    lead = 500ms

    [work]
    to = livekit+wss://example.com/room
    api-key-file = ~/keys/tavus
    send.max-rate = 30

With --profile work, the settings below [work] apply too. A name such as
send.max-rate applies to one command. Switches are true or false, an option that may
be repeated has a line for each value, and ~/ is your home directory.

The command line overrides the environment, the environment overrides the profile,
the profile overrides the settings above the first heading, and those override the
defaults. echocast config COMMAND shows the settings in force, and where each comes
from.

The file is in XDG_CONFIG_HOME if that is set, on Windows in %AppData%.
ECHOCAST_CONFIG names another file, and ECHOCAST_PROFILE a profile. Keep secrets in
separate files, and name those here. --yes works on the command line only.`

// sources are the environment and the settings file.
var sources = config.Sources{
	Typed: []string{"yes", "help", "version"},
	Rivals: [][2]string{{"rehearse", "to"}, {"rehearse", "pal"}, {"ffmpeg", "no-ffmpeg"},
		{"barge-in", "no-barge-in"}, {"live", "resampler"}},
	OnFound: redact.KnowIn,
}

// configCmd is the config command.
type configCmd struct {
	streams Streams
	json    bool
}

func configCommand(streams Streams) *cli.Command {
	o := &configCmd{streams: streams}
	return &cli.Command{
		Name:      "config",
		Usage:     "show the settings in force, and where they come from",
		UsageText: "echocast config [COMMAND]\n\n   echocast config\n   echocast config send --profile work",
		Description: `Without a command it lists what the environment and the file set. For a secret it
shows only whether it is set.`,
		Flags: []cli.Flag{option.Bool(&o.json, "json", "print JSON, one object a line")},
		Action: func(c *cli.Context) error {
			return o.show(newManual(c.App), c.Args().Slice(), config.TypedProfile(c))
		},
	}
}

// show prints the settings of a command or, if none is named, all that differ from
// their defaults.
func (o *configCmd) show(m *manual.Manual, words []string, profile config.Profile) error {
	command, left := m.Command(words)
	if len(words) > 0 && (command == nil || len(left) > 0) {
		return unknownCommand(m, words[0])
	}
	all, err := sources.Show(m.App, strings.Join(words, " "), command, profile)
	if err != nil {
		return err
	}
	all = append(all, o.set()...)
	var rows [][]string
	for _, v := range all {
		for i, text := range v.Texts {
			v.Texts[i] = redact.Hide(text)
		}
		rows = append(rows, []string{v.Option, strings.Join(v.Texts, ", "), v.Source})
	}
	if o.json {
		return output.JSONLines(o.streams.Out, all)
	}
	return output.Table(o.streams.Out, "OPTION\tVALUE\tFROM", rows)
}

// set lists the secret variables that are set, without their values.
func (o *configCmd) set() (all []config.Value) {
	for _, variable := range secretVariables {
		if os.Getenv(variable) != "" {
			all = append(all, config.Value{Option: "(secret)", Texts: []string{"not shown"}, Source: variable})
		}
	}
	return all
}

// secretVariables are the environment variables that hold secrets.
var secretVariables = []string{
	"TAVUS_API_KEY", "ECHOCAST_ROOM_KEY", "ECHOCAST_ICE_CREDENTIAL", "LIVEKIT_API_SECRET", "LIVEKIT_TOKEN",
	"TWILIO_AUTH_TOKEN", "OPENAI_API_KEY", "ELEVENLABS_API_KEY",
}

package cli

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"echocast/audio"
	"echocast/echo"
	"echocast/internal/buildinfo"
	"echocast/internal/config"
	"echocast/internal/logline"
	"echocast/internal/manual"
	"echocast/internal/output"
	"echocast/internal/terminal"
	"echocast/preset"
	"echocast/replica"
	"echocast/room"
	"echocast/tavus"
)

// newManual returns the manual of the command line.
func newManual(app *cli.App) *manual.Manual {
	return &manual.Manual{
		App: app, Groups: optionGroups, Sections: commandSections, Common: commonOptions, Choices: choices(),
		Topics: []manual.Topic{
			{Name: "settings", Usage: "options from the environment and from a file", Text: helpSettings,
				Foot: "options from the environment (--lead as ECHOCAST_LEAD) and from a file"},
			{Name: "exit-codes", Usage: "what the exit codes mean", Text: helpExitCodes, Foot: "what the exit codes mean"},
			{Name: "inputs", Usage: "audio formats that echocast reads", Text: helpMoreInputs},
		},
	}
}

// commandSections are the headings of the list of commands.
var commandSections = []manual.Group{
	{Name: "commands", Members: []string{"send", "say", "converse", "bridge", "listen", "hear", "interrupt", "replica",
		"serve", "encode", "probe", "doctor"}},
	{Name: "messages to a replica", Members: []string{"respond", "context", "sensitivity", "emotion",
		"tool-result", "send-raw"}},
	{Name: "conversations of an account", Members: []string{"conversation", "pal", "invite"}},
	{Name: "what happened", Members: []string{"report", "replay", "test", "bench"}},
	{Name: "the rest", Members: []string{"config", "preset", "mcp", "completion", "version", "help"}},
}

// optionGroups are the headings of the options of a command.
var optionGroups = []manual.Group{
	{Name: "input", Members: []string{"format", "rate", "channels", "preset", "field", "payload", "inside",
		"ffmpeg", "no-ffmpeg", "force-format", "piper-voice"}},
	{Name: "sound", Members: []string{"channel", "trim-silence", "gain", "loudness", "pad", "pad-before",
		"resampler", "live"}},
	{Name: "room", Members: []string{"to", "ready-timeout", "ready-when", "reconnect-timeout", "room-key-file",
		"room-token-file", "ice-server", "ice-credential-file", "lost-after",
		"relay-only", "tls-ca", "tls-cert", "tls-key", "insecure", "chromium", "daily-js", "daily-core",
		"daily-call-machine", "avatar", "listen", "carrier", "carrier-rate", "param"}},
	{Name: "conversation", Members: []string{"pal", "face", "max-minutes", "absent-timeout", "left-timeout",
		"test-mode", "private", "api-key-file", "base-url", "conversation", "webhook-url"}},
	{Name: "speaking", Members: []string{"as", "wait", "gap", "slow", "idle-timeout", "barge-in", "no-barge-in",
		"resume", "on-loss", "stop-on-error", "text", "hear", "hear-from"}},
	{Name: "pace", Members: []string{"pace", "lead", "max-rate", "chunk", "max-message", "speech-rate", "speed"}},
	{Name: "output", Members: []string{"record", "transcript", "trace", "json", "verbose", "log-format", "log-level",
		"quiet", "dry-run", "output", "profile"}},
}

// commonOptions are the options in the short help of a long command.
var commonOptions = map[string][]string{
	"send": {"to", "pal", "preset", "format", "rate", "lead", "barge-in", "record", "trace", "dry-run"},
	"encode": {"conversation", "preset", "format", "rate", "channels", "pace", "max-message",
		"loudness", "json", "dry-run"},
	"say":      {"to", "pal", "wait", "barge-in", "trace", "json", "quiet"},
	"converse": {"to", "pal", "agent", "asr", "on-utterance", "tts", "greet", "preset", "transcript", "trace", "json"},
	"bridge":   {"to", "pal", "carrier", "carrier-rate", "param", "trace", "json", "quiet"},
	"listen":   {"to", "webhook", "only", "exec", "transcript", "count", "trace", "json"},
	"hear":     {"to", "from", "rate", "duration", "exec", "json"},
	"replica":  {"listen", "record", "fault", "script", "user", "once", "json", "room-key-file"},
	"replay":   {"to", "speed", "trace", "json", "quiet"},
	"serve":    {"listen", "rehearse", "max-conversations", "drain", "quiet"},
}

// choices returns the possible values of options that have few. Those of "show " may follow
// the command show.
func choices() map[string][]string {
	presets := make([]string, 0, 50)
	for _, p := range preset.All() {
		presets = append(presets, p.Name)
	}
	faultNames := []string{"list"}
	for _, f := range replica.AllFaults() {
		faultNames = append(faultNames, f.Name)
	}
	return map[string][]string{
		"hear format":    {"s16le", "wav"},
		"interrupt wait": nil,
		"format":         append([]string{"wav", "aiff", "au", "mp3", "ogg", "flac", "ndjson"}, audio.RawEncodings()...),
		"preset":         presets,
		"show ":          presets,
		"fault":          faultNames,
		"pace":           {string(echo.LeadMode), string(echo.RealTimeMode), string(echo.BurstMode)},
		"wait":           {waitPlayed, waitSent},
		"as":             {asMessages, asMicrophone},
		"fallback":       {asMicrophone},
		"slow":           {string(echo.UnderrunWait), string(echo.UnderrunSilence), string(echo.UnderrunEnd)},
		"on-loss":        {string(echo.ReconnectAbandon), string(echo.ReconnectRestart), string(echo.ReconnectResume)},
		"resampler":      {"soxr", "zaf", "fir"},
		"payload":        {"base64", "hex"},
		"from":           {room.User, room.Replica, room.All},
		"hear-from":      {room.User, room.Replica, room.All},
		"ready-when":     {"joined", "audio", "video"},
		"log-format":     {logline.Text, logline.JSON},
		"log-level":      {"info", "debug"},
		"status":         {tavus.Active, tavus.Ended, "all"},
		"completion ":    manual.Shells,
	}
}

// answer answers requests for help and for completion, before urfave/cli parses the
// arguments. It returns false for everything else.
func answer(app *cli.App, args []string, out io.Writer) (answered bool, err error) {
	m := newManual(app)
	words := args[min(1, len(args)):]
	if len(words) == 0 {
		return true, showHelp(m, out, nil, true)
	}
	switch words[0] {
	case "help":
		short := slices.Contains(words, "-h")
		return true, showHelp(m, out, withoutFlags(words[1:]), short)
	case "__complete":
		if len(words) < 2 {
			return true, usagef("__complete :WORD BEFORE...")
		}
		m.Choices[config.ProfileOption] = sources.Profiles()
		m.Complete(out, strings.TrimPrefix(words[1], ":"), words[2:])
		return true, nil
	}
	asked, short := m.AsksForHelp(words)
	command, rest := m.Command(words)
	isIncomplete := command != nil && len(rest) == 0 && len(command.Subcommands) > 0 && len(command.Flags) == 0
	if !asked && !isIncomplete {
		return false, nil
	}
	return true, showHelp(m, out, words[:len(words)-len(rest)], short)
}

func withoutFlags(words []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(word string) bool { return strings.HasPrefix(word, "-") })
}

func showHelp(m *manual.Manual, out io.Writer, words []string, short bool) error {
	var page strings.Builder
	if !m.Help(&page, words, terminal.Columns(out), short) {
		return unknownCommand(m, words[0])
	}
	return output.Text(out, page.String())
}

// unknownCommand returns the error for a word that is not a command.
func unknownCommand(m *manual.Manual, word string) error {
	meant := ""
	var names []string
	for _, c := range m.App.Commands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	if name := manual.Closest(word, names); name != "" {
		meant = fmt.Sprintf("did you mean echocast %s? ", name)
	} else if _, err := os.Stat(word); err == nil {
		meant = fmt.Sprintf("did you mean echocast send %s? ", word)
	}
	return usagef("no command is called %q; %sechocast --help lists them", word, meant)
}

// completionCommand prints the completion script of a shell.
func completionCommand(streams Streams) *cli.Command {
	return &cli.Command{
		Name:  "completion",
		Usage: "print the completion for a shell",
		UsageText: "echocast completion bash|zsh|fish|powershell\n\n   source <(echocast completion bash)\n" +
			"   echocast completion fish > ~/.config/fish/completions/echocast.fish",
		Description: `A line in the shell's own settings loads it each time, in bash and zsh
  source <(echocast completion bash)
in fish
  echocast completion fish | source
in PowerShell
  echocast completion powershell | Out-String | Invoke-Expression`,
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef("usage: echocast completion %s", strings.Join(manual.Shells, "|"))
			}
			script, err := newManual(c.App).Script(c.Args().First())
			if err != nil {
				return usagef("%v", err)
			}
			return output.Text(streams.Out, script)
		},
	}
}

// manCommand writes the manual pages, for packages.
func manCommand() *cli.Command {
	return &cli.Command{
		Name: "man", Hidden: true, Usage: "write a manual page for each command", UsageText: "echocast man FOLDER",
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usagef("usage: echocast man FOLDER")
			}
			return newManual(c.App).WriteMan(c.Args().First())
		},
	}
}

// versionCommand prints the version of this program.
func versionCommand(streams Streams, server *Server) *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version, the commit and the kind of build", UsageText: "echocast version",
		Action: func(*cli.Context) error {
			name := "echocast"
			if server != nil {
				name = serverProgram
			}
			return output.Text(streams.Out, buildinfo.Text(name, Version)+"\n")
		},
	}
}

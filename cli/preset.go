package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"echocast/audio"
	"echocast/internal/option"
	"echocast/internal/output"
	"echocast/preset"
)

// presetOptions say how a known source delivers its audio, and which rate counts if a header
// states another.
type presetOptions struct {
	name  string
	voice string // a Piper voice's JSON file
	force bool
}

func (s *settings) presetFlags() []cli.Flag {
	p := &s.preset
	return []cli.Flag{
		option.New(&p.name, "preset", "", "read the inputs as this `SOURCE` delivers them; echocast preset list shows all"),
		option.New(&p.voice, "piper-voice", "", "take the rate from this Piper voice's `FILE` (VOICE.onnx.json); implies "+
			"--preset piper"),
		option.Bool(&p.force, "force-format", "use the rate of --preset or --rate even if a header states another"),
	}
}

// resolve turns the preset into options of audio.Open. --rate and --channels
// take precedence over it.
func (s *settings) resolve() error {
	p := &s.preset
	if p.voice != "" && p.name == "" {
		p.name = "piper"
	}
	if p.name == "" {
		return s.resolveForced()
	}
	if s.audio.Encoding != "" {
		return usagef("--preset and -f both say how to read the inputs: give one of them")
	}
	found, err := preset.Find(p.name)
	switch {
	case err != nil:
		return usagef("--preset: %v; echocast preset list shows all", err)
	case s.audio.JSON.Encoding != "":
		return usagef("--preset and --inside both say what the audio is: give one of them")
	case !found.Raw() && s.audio.Raw.Channels != 0:
		return usagef("--channels is for raw samples; --preset %s is for audio with a header that states them", p.name)
	}
	s.expectRate(s.audio.Raw.Rate, "--rate")
	if s.audio.Raw.Rate == 0 {
		s.expectRate(found.Rate, "--preset "+p.name)
		if err := s.readVoice(); err != nil {
			return err
		}
	}
	found.Apply(&s.audio, s.prepare.ExpectRate)
	return nil
}

// expectRate sets the rate that a header has to state, and the option that says so.
func (s *settings) expectRate(rate int, by string) {
	s.prepare.ExpectRate, s.prepare.ExpectedBy, s.prepare.TrustExpected = rate, by, s.preset.force
}

// resolveForced handles --force-format without a preset: --rate overrides the header.
func (s *settings) resolveForced() error {
	if !s.preset.force {
		return nil
	}
	if s.audio.Raw.Rate == 0 || s.audio.Encoding != "" && !hasHeader(s.audio.Encoding) {
		return usagef("--force-format needs --preset or --rate, and inputs with a header to override")
	}
	s.expectRate(s.audio.Raw.Rate, "--rate")
	s.audio.Raw = audio.Format{}
	return nil
}

func hasHeader(encoding string) bool { return !slices.Contains(audio.RawEncodings(), encoding) }

// readVoice takes the rate from the description of a Piper voice. The option may also name the
// model: the description is the file beside it.
func (s *settings) readVoice() error {
	p := &s.preset
	if p.voice == "" {
		return nil
	}
	if !strings.HasPrefix(p.name, "piper") {
		return usagef("--piper-voice is for Piper, not for --preset %s", p.name)
	}
	rate, said, err := preset.PiperVoiceRate(p.voice)
	if err != nil {
		return inputError(said, err)
	}
	s.expectRate(rate, "--piper-voice")
	return nil
}

// presetCmd is the preset command.
type presetCmd struct {
	streams Streams
	json    bool
}

func presetCommand(streams Streams) *cli.Command {
	l := &presetCmd{streams: streams}
	return &cli.Command{
		Name:  "preset",
		Usage: "show how text-to-speech services deliver their audio, and what to ask them for",
		UsageText: "echocast preset list [--json]\n   echocast preset show NAME [--json]\n\n" +
			"   echocast preset show elevenlabs",
		Description: `A preset says what the bytes of raw samples cannot: encoding, rate and channels.
Audio that begins with a header is read as the header says. If the header states
another rate than the preset, echocast refuses the input; --force-format overrides
the header.`,
		Flags: []cli.Flag{
			option.Bool(&l.json, "json", "print JSON, one preset a line"),
		},
		Action: func(c *cli.Context) error { return l.run(c.Args().Slice()) },
	}
}

func (l *presetCmd) run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "list":
		return l.list(preset.All())
	case len(args) == 2 && args[0] == "show":
		found, err := preset.Find(args[1])
		if err != nil {
			return usagef("%v", err)
		}
		return l.show(found)
	}
	return usagef("usage: echocast preset list | show NAME")
}

func (l *presetCmd) list(all []preset.Preset) error {
	if l.json {
		return output.JSONLines(l.streams.Out, all)
	}
	return output.Text(l.streams.Out, preset.Table(all))
}

func (l *presetCmd) show(p preset.Preset) error {
	if l.json {
		return output.JSONLines(l.streams.Out, []preset.Preset{p})
	}
	return output.Text(l.streams.Out, p.Text())
}

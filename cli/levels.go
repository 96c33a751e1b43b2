package cli

import (
	"errors"

	"github.com/urfave/cli/v2"

	"echocast/audio"
)

// levelFlags are the options that change what is heard.
func (s *settings) levelFlags() []cli.Flag {
	o := &s.prepare
	return []cli.Flag{
		&cli.StringFlag{Name: "channel", Value: string(audio.MixChannels), Destination: (*string)(&o.Channel), Usage: "speak this `CHANNEL`: left, right, or the mix of all"},
		&cli.BoolFlag{Name: "trim-silence", Destination: &o.TrimSilence, Usage: "leave out the silence at both ends, but for 50 ms; live input is held back in pauses"},
		&cli.Float64Flag{Name: "gain", Destination: &o.Gain, DefaultText: "0", Usage: "louder by `DB`, or softer where it is negative; may clip"},
		&cli.Float64Flag{Name: "loudness", Destination: &o.Loudness, DefaultText: "as it is", Usage: "bring files to this loudness in `LUFS` (EBU R128), such as -16; never clips"},
		&cli.DurationFlag{Name: "pad", Destination: &o.PadAfter, Usage: "add this `TIME` of silence at the end"},
		&cli.DurationFlag{Name: "pad-before", Destination: &o.PadBefore, Usage: "add this `TIME` of silence in front"},
	}
}

// prepareFlags are the options that set the fields of audio.PrepareOptions.
var prepareFlags = map[string]string{
	"Channel": "--channel", "Gain": "--gain", "Loudness": "--loudness", "PadAfter": "--pad", "PadBefore": "--pad-before", "Method": "--resampler",
	"MaxDuration": "--max-duration",
}

// optionError makes an *audio.OptionError a refusal that names the option.
func optionError(err error) error {
	var refused *audio.OptionError
	if !errors.As(err, &refused) {
		return err
	}
	return usagef("%s %v: %s", prepareFlags[refused.Option], refused.Value, refused.Reason)
}

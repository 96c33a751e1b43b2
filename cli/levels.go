package cli

import (
	"errors"

	"github.com/urfave/cli/v2"

	"echocast/audio"
	"echocast/internal/option"
)

// levelFlags are the options that change the sound.
func (s *settings) levelFlags() []cli.Flag {
	o := &s.prepare
	return []cli.Flag{
		option.New((*string)(&o.Channel), "channel", string(audio.MixChannels), "speak this `CHANNEL`: left, right, or the "+
			"mix of all"),
		option.Bool(&o.TrimSilence, "trim-silence", "leave out the silence at both ends, but for 50 ms; live input is held "+
			"back in pauses"),
		option.New(&o.Gain, "gain", 0, "louder by `DB`, or softer where it is negative; may clip (default: 0)"),
		option.New(&o.Loudness, "loudness", 0, "bring files to this loudness in `LUFS` (EBU R128), such as -16; never clips "+
			"(default: as it is)"),
		option.New(&o.PadAfter, "pad", 0, "add this `TIME` of silence at the end"),
		option.New(&o.PadBefore, "pad-before", 0, "add this `TIME` of silence in front"),
	}
}

// prepareFlags are the options that set the fields of audio.PrepareOptions.
var prepareFlags = map[string]string{
	"Channel": "--channel", "Gain": "--gain", "Loudness": "--loudness", "PadAfter": "--pad", "PadBefore": "--pad-before",
	"Method":      "--resampler",
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

package cli

import (
	"cmp"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/audio"
	"echocast/echo"
	"echocast/internal/option"
	"echocast/room"
)

const helpInputs = `An INPUT is an audio file, or - for standard input; each is one utterance, in
order. WAV, AIFF, AU, MP3, FLAC, Ogg Opus and Ogg Vorbis are recognised by their
content; raw samples need
-f, --rate and --channels, or a --preset. Options may stand before or after the inputs.`

const helpMoreInputs = helpInputs + `

echocast probe INPUT reports the format of an input, its loudness and likely faults.

--preset NAME reads the inputs as a text-to-speech service delivers them: it sets
encoding, rate and channels. echocast preset list names the services.

Lines of JSON with audio in a field, as services stream it, are read with -f ndjson,
or with the --preset of the service: --field is the path of the field, --payload how
the audio is written there, --inside its encoding.

Other recordings and films, such as AAC, M4A, MP4 and WebM, are read by ffmpeg where
it is installed; --no-ffmpeg refuses them.`

// settings are the options for inputs, pace and messages.
type settings struct {
	audio        audio.Options
	preset       presetOptions
	prepare      audio.PrepareOptions
	pace         string
	lead         time.Duration
	maxRate      float64
	chunk        time.Duration
	maxMessage   int
	speechRate   int          // Hz
	anyChunk     bool         // the room limits no message
	limits       *echo.Limits // of the room, if they are known and differ from --max-message
	conversation string
	ffmpeg       bool
	noFFmpeg     bool
	resampler    string
	live         bool
	quiet        bool
	json         bool
	printed      int // receipts
	dryRun       bool
}

func (s *settings) inputFlags() []cli.Flag {
	return append([]cli.Flag{
		option.New(&s.audio.Encoding, "format, f", "", "read the inputs as `ENCODING` instead of by their content: wav, "+
			"aiff, au, mp3, ogg, flac, ndjson (lines of JSON), or for raw samples "+strings.Join(audio.RawEncodings(), ", ")),
		option.New(&s.audio.Raw.Rate, "rate, ar", 0, "sampling rate of raw samples in `HZ` (default: none)"),
		option.New(&s.audio.Raw.Channels, "channels, ac", 0, "`NUMBER` of channels of raw samples (default: none)"),
		option.New(&s.audio.JSON.Field, "field", "", "with -f ndjson: the `PATH` of the field that holds the audio, such as "+
			"data.audio (default: delta)"),
		option.New(&s.audio.JSON.Payload, "payload", "", "with -f ndjson: the `CODING` of the audio there, base64 or hex "+
			"(default: base64)"),
		option.New(&s.audio.JSON.Encoding, "inside", "", "with -f ndjson: the `ENCODING` of that audio, as -f names it "+
			"(default: by its content)"),
		option.Bool(&s.ffmpeg, "ffmpeg", "decode other formats by an ffmpeg process (default: if ffmpeg "+
			"is installed)"),
		option.Bool(&s.noFFmpeg, "no-ffmpeg", "refuse formats that only ffmpeg can decode"),
		option.New(&s.resampler, "resampler", "", "resample by `METHOD`: soxr (libsoxr), zaf (the same by way of "+
			"zaf/resample), or fir (in Go, with less delay) (default: "+string(audio.DefaultMethod())+")"),
		option.Bool(&s.live, "live", "for a live input: resample with the least delay, 3 to 6 ms, by --resampler fir"),
	}, s.presetFlags()...)
}

// method returns the method of resampling. It is the same for all kinds of input, so that the
// same input gives the same messages.
func (s *settings) method() audio.Method {
	switch {
	case s.live:
		return audio.FIR
	case s.resampler != "":
		return audio.Method(s.resampler)
	}
	return audio.DefaultMethod()
}

func (s *settings) checkMethod() error {
	if s.live && s.resampler != "" && s.method() != audio.Method(s.resampler) {
		return usagef("--live resamples by fir, and --resampler says %s; leave one of them out", s.resampler)
	}
	if err := s.method().Check(); err != nil {
		return usagef("--resampler %s: %v", s.resampler, err)
	}
	return nil
}

func (s *settings) messageFlags(pace echo.Mode) []cli.Flag {
	return []cli.Flag{
		conversationFlag(&s.conversation),
		option.New(&s.pace, "pace", string(pace), "`PACE` of sending: lead (ahead of playout), realtime, or burst (as fast "+
			"as it is taken)"),
		option.New(&s.lead, "lead", echo.DefaultLead, "keep the replica this `TIME` ahead, with --pace lead"),
		option.New(&s.prepare.MaxDuration, "max-duration", 0, "refuse or interrupt an input that plays longer than this "+
			"`TIME` (default: no limit; with --pal "+longestWithPAL.String()+")"),
		option.New(&s.maxRate, "max-rate", 0, "at most `N` messages a second (default: twice as many as play in a second)"),
		option.New(&s.chunk, "chunk", 0, "playing `TIME` of a message (default: 50ms, or what fits --max-message)"),
		option.New(&s.speechRate, "speech-rate", 0, "sampling rate in `HZ` of what is sent (default: 24000, or what a "+
			"LiveKit avatar's vendor takes)"),
		option.New(&s.maxMessage, "max-message", echo.DefaultMaxMessage, "limit each message to `BYTES`"),
	}
}

func (s *settings) outputFlags() []cli.Flag {
	return []cli.Flag{
		option.Bool(&s.dryRun, "dry-run", "print the plan and send nothing"),
		option.Bool(&s.json, "json", "print receipts, or the plan, as JSON lines on stdout"),
		option.Quiet(&s.quiet),
	}
}

// conversationFlag names the conversation that messages carry.
func conversationFlag(id *string) cli.Flag {
	return option.New(id, "conversation", "", "`ID` of the conversation, written in the messages; without --to also "+
		"the one to speak in (default: that of the room)")
}

// conversationID is the id in messages that are only printed.
func (s *settings) conversationID() string { return cmp.Or(s.conversation, room.LocalConversation) }

// session returns the options of a session.
func (s *settings) session() *echo.Options {
	return &echo.Options{
		Rate:  s.speechRate,
		Chunk: s.chunk,
		Pace:  echo.Pace{Mode: echo.Mode(s.pace), Lead: s.lead, MaxRate: s.maxRate},
	}
}

// check fills in the preset, and validates the settings before anything is opened.
func (s *settings) check(inputs []string) error {
	if err := checkNames(inputs); err != nil {
		return err
	}
	switch {
	case s.speechRate < 0:
		return usagef("--speech-rate must not be negative")
	case s.chunk < 0:
		return usagef("--chunk must not be negative")
	case s.maxMessage <= 0:
		return usagef("--max-message must be more than 0")
	case s.lead <= 0:
		return usagef("--lead must be more than 0; --pace realtime sends without a lead")
	case s.maxRate < 0:
		return usagef("--max-rate must not be negative")
	}
	if err := s.prepare.Check(); err != nil {
		return optionError(err)
	}
	if s.ffmpeg && s.noFFmpeg {
		return usagef("--ffmpeg and --no-ffmpeg contradict each other: give one of them")
	}
	if _, err := exec.LookPath("ffmpeg"); s.ffmpeg || err == nil && !s.noFFmpeg {
		s.audio.FFmpeg = "ffmpeg"
	}
	if err := s.resolve(); err != nil {
		return err
	}
	for _, check := range []func() error{s.checkEncoding, s.checkRaw, s.checkMethod} {
		if err := check(); err != nil {
			return err
		}
	}
	s.speechRate = cmp.Or(s.speechRate, echo.DefaultRate)
	s.prepare.Input, s.prepare.Method, s.prepare.Rate = &s.audio, s.method(), s.speechRate
	_, err := s.chunkSamples()
	return err
}

func (s *settings) checkEncoding() error {
	known := append([]string{"", "wav", "aiff", "au", "mp3", "ogg", "flac", "ndjson"}, audio.RawEncodings()...)
	for _, encoding := range []string{s.audio.Encoding, s.audio.JSON.Encoding} {
		if !slices.Contains(known, encoding) {
			return usagef("no encoding is called %q; there are %s", encoding, strings.Join(known[1:], ", "))
		}
	}
	return nil
}

func (s *settings) checkRaw() error {
	encoding := s.audio.Encoding
	if encoding == "ndjson" {
		encoding = s.audio.JSON.Encoding
	} else if s.audio.JSON != (audio.JSONOptions{}) {
		return usagef("--field, --payload and --inside are for audio in lines of JSON: add -f ndjson")
	}
	raw := s.audio.Raw
	switch {
	case !slices.Contains(audio.RawEncodings(), encoding):
		if raw != (audio.Format{}) {
			return usagef("--rate and --channels are for raw samples; name their encoding with -f, for example -f s16le")
		}
		return nil
	case raw.Rate == 0 || raw.Channels == 0:
		return usagef("raw samples have no header: give --rate and --channels, for example --rate 22050 --channels 1")
	}
	if err := raw.Check(); err != nil {
		return usagef("--rate %d, --channels %d: %v", raw.Rate, raw.Channels, err)
	}
	return nil
}

// chunkSamples returns the length of a chunk in samples, or an error if the settings
// contradict each other.
func (s *settings) chunkSamples() (int, error) {
	limits := echo.Limits{MaxMessage: s.maxMessage, ConversationID: s.conversationID()}
	switch {
	case s.limits != nil:
		limits = *s.limits
	case s.anyChunk:
		limits = echo.Limits{}
	}
	samples, err := s.session().ChunkSamples(limits)
	if err != nil {
		return 0, settingsError(err)
	}
	return samples, nil
}

// levelFlags are the options that change the sound.
func (s *settings) levelFlags() []cli.Flag {
	o := &s.prepare
	return []cli.Flag{
		option.New((*string)(&o.Channel), "channel", string(audio.MixChannels), "speak this `CHANNEL`: left, right, or the "+
			"mix of all"),
		option.Bool(&o.TrimSilence, "trim-silence", "remove silence at both ends except 50 ms; delays live input "+
			"in pauses"),
		option.New(&o.Gain, "gain", 0, "amplify by `DB`, or attenuate if it is negative; may clip (default: 0)"),
		option.New(&o.Loudness, "loudness", 0, "change files to this loudness in `LUFS` (EBU R128), such as -16; never "+
			"clips (default: unchanged)"),
		option.New(&o.PadAfter, "pad", 0, "add this `TIME` of silence at the end"),
		option.New(&o.PadBefore, "pad-before", 0, "add this `TIME` of silence at the beginning"),
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

package cli

import (
	"cmp"
	"context"
	"io"
	"os"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"echocast/echo"
	"echocast/internal/option"
	"echocast/internal/outfile"
	"echocast/internal/shutdown"
	"echocast/internal/terminal"
	"echocast/recording"
	"echocast/room"
	"echocast/speak"
)

// sendCmd is the send command.
type sendCmd struct {
	settings
	target      targetOptions
	streams     Streams
	record      string
	wait        string
	as          string
	gap         time.Duration
	bargeIn     bool
	hear        string // file
	hearFrom    string
	resume      bool
	onLoss      string
	idle        time.Duration
	slow        string
	stopOnError bool
	monitor     string // monitorPlay, or a file
	text        string // what the input says, or the file that has it
}

func sendCommand(streams Streams) *cli.Command {
	s := &sendCmd{streams: streams}
	return &cli.Command{
		Name:  "send",
		Usage: "speak the inputs through a replica",
		UsageText: "echocast send [OPTIONS] INPUT...\n\n   espeak-ng --stdout \"Hello there\" | echocast send -\n" +
			"   echocast send --to http://127.0.0.1:8870 speech.mp3 more.wav",
		Description: helpInputs + `

Without --to or --pal this is a rehearsal: a stand-in replica in this process
listens, over a real WebRTC data channel, and nobody hears it. With --conversation
it speaks in that conversation by the REST API, which needs an API key.

Ctrl-C interrupts the replica and exits; a second Ctrl-C exits at once. SIGUSR2, or
space on a terminal, interrupts the replica and drops the waiting inputs; with
--resume it pauses, and the next one continues.`,
		Flags: option.Join(s.target.flags(), s.target.via.webhookFlags(), s.speakFlags(), s.inputFlags(), s.levelFlags(),
			s.messageFlags(echo.LeadMode), s.outputFlags()),
		Action: func(c *cli.Context) error {
			return s.printFailure(streams.Out, s.run(c.Context, c.Args().Slice()))
		},
	}
}

func (s *sendCmd) speakFlags() []cli.Flag {
	return []cli.Flag{
		option.New(&s.record, "record", "", "in a rehearsal: write exactly the samples that the replica heard to "+
			"`FILE`.wav; to FILE.webm or FILE.mp4, or in a room to FILE.wav, the call, replica left, user right, and its "+
			"words as .vtt"),
		option.Bool(&s.target.page, "page", "in a rehearsal: print the address of a page that shows the replica, speak when "+
			"a browser has opened it, and stay until it is closed"),
		option.New(&s.wait, "wait", waitPlayed, "`WHEN` an utterance has ended: once it was played, or sent"),
		option.New(&s.as, "as", asMessages, "`WAY` to speak: messages (conversation.echo), or microphone: an audio track "+
			"in a Daily room"),
		option.New(&s.gap, "gap", 0, "silence of this `TIME` between two inputs (default: none)"),
		option.New(&s.monitor, "monitor", "", "play the audio that the replica gets, in time with it, or write it to a WAV "+
			"file: `WHERE` is play (also if no value follows) or the name of the file (default: neither)"),
		option.New(&s.hear, "hear", "", "write what is said in the room to `FILE`: WAV, or else samples of 16 "+
			"bits; 16 kHz, mono (default: nothing)"),
		option.New(&s.hearFrom, "hear-from", room.User, "with --hear: hear `WHOM`: user, replica or all"),
		option.Bool(&s.bargeIn, "barge-in", "fall silent when the user begins to speak"),
		option.Bool(&s.resume, "resume", "after an interrupt, continue from the last pause that was heard"),
		option.New(&s.onLoss, "on-loss", string(echo.ReconnectAbandon), "`WHAT` to do when the connection is lost in "+
			"mid-utterance: abandon it, or connect again and restart or resume it"),
		fallbackFlag(&s.target),
		option.New(&s.idle, "idle-timeout", 0, "end the utterance when the input gives nothing for this `TIME`; what "+
			"follows is another utterance (default: never)"),
		option.Bool(&s.stopOnError, "stop-on-error", "stop after the first utterance that is not confirmed as heard, "+
			"instead of listing all of them at the end"),
		option.New(&s.text, "text", "", "what the input says: a `FILE`, or the text itself; the receipt then has the words "+
			"that were heard (default: not known)"),
		option.New(&s.slow, "slow", string(echo.UnderrunWait), "`WHAT` to do when the input is slower than playback: "+
			"wait, say silence, or end the utterance"),
	}
}

// The values of --wait.
const (
	waitPlayed = "played"
	waitSent   = "sent"
)

// The values of --as.
const (
	asMessages   = "messages"
	asMicrophone = "microphone"
)

func (s *sendCmd) checkAs() error {
	if err := option.OneOf("--as", s.as, asMessages, asMicrophone); err != nil || s.as == asMessages {
		return err
	}
	if s.target.isDaily() {
		return nil
	}
	return usagef("--as microphone publishes an audio track in a Daily room: name one with --to, or create one with --pal")
}

// needsRoom returns the given option that works only in a room, or "".
func (s *sendCmd) needsRoom() string {
	switch {
	case s.as == asMicrophone:
		return "--as microphone"
	case s.hear != "":
		return "--hear"
	case s.recordsCall():
		return "--record"
	case s.bargeIn && !s.target.via.receives():
		return "--barge-in without --webhook"
	}
	return ""
}

func (s *sendCmd) check(names []string) error {
	s.target.via.needsRoom = s.needsRoom()
	if !s.dryRun {
		if err := cmp.Or(s.target.resolve(s.conversation), s.target.checkVia()); err != nil {
			return err
		}
	}
	if err := s.checkValues(names); err != nil {
		return err
	}
	if s.target.fallback != "" && s.onLoss == string(echo.ReconnectAbandon) {
		s.onLoss = string(echo.ReconnectResume) // otherwise there is nothing to continue with
	}
	if err := cmp.Or(s.checkAs(), s.target.check(s.streams.Warn)); err != nil {
		return err
	}
	if err := checkFrom("--hear-from", s.hearFrom, &s.target); err != nil {
		return err
	}
	if err := s.checkFiles(names); err != nil {
		return err
	}
	s.anyChunk = s.as == asMicrophone
	return s.target.checkSpeech(&s.settings, names)
}

func (s *sendCmd) checkValues(names []string) error {
	switch {
	case s.wait != waitPlayed && s.wait != waitSent:
		return usagef("--wait %s: wait for played or for sent", s.wait)
	case s.recordsCall() && checkRecording(s.record) != nil:
		return checkRecording(s.record)
	case s.target.page && s.target.isSet():
		return usagef("--page shows the stand-in of a rehearsal, and --to and --pal name another replica; leave one out")
	case s.text != "" && len(names) != 1:
		return usagef("--text is the text of one input, and there are %d", len(names))
	case s.gap < 0:
		return usagef("--gap must not be negative")
	case s.idle < 0:
		return usagef("--idle-timeout must not be negative")
	case s.resume && s.pace == string(echo.BurstMode):
		return usagef("--resume repeats what was not heard, and --pace burst sends everything at once; " +
			"leave one of them out")
	}
	return cmp.Or(option.OneOf("--on-loss", s.onLoss, string(echo.ReconnectAbandon), string(echo.ReconnectRestart),
		string(echo.ReconnectResume)),
		option.OneOf("--slow", s.slow, string(echo.UnderrunWait), string(echo.UnderrunSilence), string(echo.UnderrunEnd)))
}

// checkFiles refuses files that cannot be written.
func (s *sendCmd) checkFiles(names []string) error {
	if s.hear == "-" {
		return usagef("--hear -: standard output is for receipts; name a file, or hear from another process: echocast hear")
	}
	monitored, err := s.checkMonitor(names)
	if err != nil {
		return err
	}
	return cmp.Or(outfile.CheckEnding("--record", s.record, ".wav", ".webm", ".mp4"),
		outfile.CheckEnding("--hear", s.hear, heardEndings...), outfile.CheckEnding("--monitor", monitored, ".wav"),
		outfile.CheckAll(map[string]string{
			"--record": s.record, "--trace": s.target.trace, "--hear": s.hear, "--monitor": monitored,
			"--record (subtitles)": s.subtitles()}, names))
}

// recordsCall reports whether --record means both sides of the call, and not what the stand-in
// of a rehearsal heard.
func (s *sendCmd) recordsCall() bool {
	return s.record != "" && (s.target.isSet() || isVideoName(s.record))
}

// subtitles returns the name of the subtitles of the call, or "" if none are written.
func (s *sendCmd) subtitles() string {
	if !s.recordsCall() {
		return ""
	}
	return recording.Subtitles(s.record)
}

func (s *sendCmd) session() *echo.Options {
	options := s.settings.session()
	options.SkipHeard = s.wait == waitSent
	options.Gap = s.gap
	options.BargeIn, options.Resume = s.bargeIn, s.resume
	options.OnLoss = echo.ReconnectPolicy(s.onLoss)
	return options
}

// How much audio a feed keeps to repeat it: after an interrupt, the lead, the error of the
// clock, and the time back to the last pause; for a restart, the whole utterance up to this
// length.
const (
	keptToResume  = 10 * time.Second
	keptToRestart = 10 * time.Minute
)

func (s *sendCmd) feed() *echo.FeedOptions {
	f := &echo.FeedOptions{Idle: s.idle, OnUnderrun: echo.UnderrunPolicy(s.slow)}
	switch {
	case s.onLoss == string(echo.ReconnectRestart):
		f.Keep = keptToRestart
	case s.resume || s.onLoss == string(echo.ReconnectResume):
		f.Keep = keptToResume + s.lead
	}
	return f
}

// openStdin opens standard input before a conversation is created, so that none is created if
// the input is not audio.
func (s *sendCmd) openStdin(ctx context.Context, names []string, stdin io.Reader) (*speak.Input, error) {
	if s.target.create.spec.PAL == "" || !slices.Contains(names, stdinName) {
		return nil, nil
	}
	in, err := speak.OpenStdin(ctx, stdin, &s.prepare)
	return in, inputFailure(ctx, err)
}

// readText returns the text of --text: the content of the file with this name or, if there is
// none, the value itself.
func readText(given string) (string, error) {
	info, err := os.Stat(given)
	if given == "" || err != nil {
		return given, nil
	}
	if !info.Mode().IsRegular() || info.Size() > maxText {
		return "", usagef("--text %s: it must be a file of at most %d bytes", given, maxText)
	}
	data, err := os.ReadFile(given)
	if err != nil {
		return "", usagef("--text %s: %v", given, plain(err))
	}
	return string(data), nil
}

// roomOptions returns how the room is joined.
func (s *sendCmd) roomOptions() room.Options {
	return room.Options{
		Conversation: s.conversation, MaxMessage: s.maxMessage, Microphone: s.as == asMicrophone,
		UserEvents: s.bargeIn, Hear: s.hear != "", HearRate: asrRate,
	}
}

func (s *sendCmd) run(ctx context.Context, names []string) error {
	if err := s.check(names); err != nil {
		return err
	}
	if err := checkInputs(ctx, names, s.streams.In, &s.settings); err != nil {
		return err
	}
	known, err := readText(s.text)
	if err != nil {
		return err
	}
	stdin, restore := terminal.ReadUntil(ctx, s.streams.In)
	defer restore()
	if s.dryRun {
		return s.printPlans(ctx, names, stdin, s.streams)
	}
	out := s.newReporter(s.streams)
	out.awaitsHeard, out.abandons = s.wait == waitPlayed, s.onLoss == string(echo.ReconnectAbandon)
	opened, err := s.openStdin(ctx, names, stdin)
	if err != nil {
		return err
	}
	if opened != nil {
		defer opened.Close()
	}
	heard, both := s.record, ""
	if s.recordsCall() {
		heard, both = "", s.record
	}
	s.target.willRecord = both != ""
	target, err := s.target.connect(ctx, s.roomOptions(), heard, out)
	if err != nil {
		return err
	}
	options := s.session()
	options.OnReceipt = out.receive
	if err := cmp.Or(s.recordHeard(ctx, target, out), s.startMonitor(target, options)); err != nil {
		return cmp.Or(err, target.close())
	}
	if err := target.record(ctx, both, options); err != nil {
		return cmp.Or(shutdown.Cause(ctx, err), target.close())
	}
	return target.talk(ctx, options, out, func(session *echo.Session) error {
		if err := s.target.openPage(ctx, target, out); err != nil {
			return err
		}
		defer s.control(session, out)()
		speaker := out.speaker(ctx, session, stdin)
		speaker.Opened, speaker.Feed, speaker.Text, speaker.StopOnError = opened, s.feed(), known, s.stopOnError
		err := inputFailure(ctx, speaker.All(ctx, names))
		if err == nil {
			s.target.stayForPage(ctx, target, out)
		}
		return err
	})
}

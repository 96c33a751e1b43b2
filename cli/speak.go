package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"echocast/echo"
	"echocast/internal/output"
	"echocast/internal/redact"
	"echocast/internal/terminal"
	"echocast/speak"
)

// settingsError makes an error of the settings a usage error, and names the option to
// change.
func settingsError(err error) error {
	var chunk *echo.ChunkError
	if errors.As(err, &chunk) {
		if chunk.Longest == 0 {
			return fmt.Errorf("%w; raise --max-message", err)
		}
		return fmt.Errorf("%w: give --chunk %v, or raise --max-message", err, chunk.Longest)
	}
	return usagef("%v", err)
}

// reporter reports each utterance, to people and as JSON.
type reporter struct {
	settings    *settings
	data        io.Writer // receipts as JSON
	people      *terminal.Console
	status      func() // ends the status line; nil: there is none
	awaitsHeard bool   // the run waits until the utterances were heard
	// underruns returns the replica's own count, if it is in this process.
	underruns   func(id string) (int, bool)
	receipts    []echo.Receipt // of the input that is being spoken
	isSpeaking  atomic.Bool    // from begin to end, or to the end of the run after a loss
	isRehearsal bool           // the replica is a stand-in in this process
	abandons    bool           // a lost connection ends the run
	// keys returns what the keys of the terminal do in a state, or "" if none are read.
	keys func(echo.State) string
}

// receive keeps a receipt until its input has ended.
func (r *reporter) receive(receipt echo.Receipt) { r.receipts = append(r.receipts, receipt) }

func (s *settings) newReporter(streams Streams) *reporter {
	r := &reporter{settings: s, data: streams.Out, people: terminal.NewConsole(streams.Err),
		keys: func(echo.State) string { return "" }}
	s.audio.Notify = func(text string) { r.say("%s", text) }
	return r
}

// speaker speaks the inputs of a run, and reports each utterance.
func (r *reporter) speaker(ctx context.Context, session *echo.Session, stdin io.Reader) *speak.Speaker {
	return &speak.Speaker{
		Session: session, Prepare: &r.settings.prepare, Stdin: stdin,
		Begin: func(in *speak.Input) { r.begin(ctx, in, session) }, End: r.end,
	}
}

func (r *reporter) say(format string, args ...any) {
	if !r.settings.quiet {
		r.warn(format, args...)
	}
}

// progress reports reconnecting, unless a lost connection ends the run.
func (r *reporter) progress(text string) {
	if !r.abandons || !r.isSpeaking.Load() {
		r.say("%s", text)
	}
}

// warn reports something even with --quiet.
func (r *reporter) warn(format string, args ...any) {
	Streams{Err: r.people}.Warn(format, args...)
}

func (r *reporter) begin(ctx context.Context, in *speak.Input, session *echo.Session) {
	r.isSpeaking.Store(true)
	r.say("%s: %s", in.Title(), describe(in))
	if !r.settings.quiet {
		r.status = r.people.StartStatus(r.playback(ctx, in, session))
	}
}

// outcomeColors are the colors of outcomes on a terminal. What was only sent has none.
var outcomeColors = map[echo.Outcome]terminal.Color{
	echo.Finished: terminal.Green, echo.Failed: terminal.Red,
	echo.Interrupted: terminal.Yellow, echo.Unverified: terminal.Yellow,
}

// sayOutcome reports how an utterance ended. awaited says that the run waits until it was
// heard.
func (r *reporter) sayOutcome(name string, receipt *echo.Receipt, awaited bool) {
	if !r.settings.quiet {
		outcome := r.people.Paint(outcomeColors[receipt.Outcome], output.ForPeople(receipt.Summary(awaited)))
		fmt.Fprintf(r.people, "echocast: %s: %s\n", output.ForPeople(name), outcome)
	}
}

// end reports how the utterances of an input ended. It fails if a receipt cannot be
// written.
func (r *reporter) end(in *speak.Input, err error) error {
	r.isSpeaking.Store(errors.Is(err, echo.ErrLost)) // the loss ends the run
	if r.status != nil {
		r.status()
		r.status = nil
	}
	for _, warning := range in.Warnings() {
		r.say("%s: %s", in.Title(), warning)
	}
	receipts := r.receipts
	r.receipts = nil
	for i, receipt := range receipts {
		if i == len(receipts)-1 && err != nil {
			receipt.Error = redact.Hide(explained(err).Error())
		}
		r.count(&receipt)
		if receipt.Chunks > 0 && (i < len(receipts)-1 || !isPrinted(err)) {
			r.sayOutcome(in.Title(), &receipt, r.awaitsHeard)
		}
		if failed := r.print(inputReceipt{receipt, in.Audio.FramesRead(), in.Audio.Info().Format.Rate,
			r.isRehearsal}); failed != nil {
			return failed
		}
	}
	return nil
}

func (r *reporter) count(receipt *echo.Receipt) {
	if r.underruns == nil || receipt.Chunks == 0 {
		return
	}
	if n, ok := r.underruns(receipt.InferenceID); ok {
		receipt.Underruns, receipt.UnderrunsBy = n, echo.ByReplica
	}
}

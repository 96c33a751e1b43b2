package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"echocast/echo"
)

// speakAll speaks each input as one utterance, in order, and stops at the first
// that fails.
func speakAll(ctx context.Context, session *echo.Session, names []string, stdin io.Reader, s *settings, out *reporter) error {
	for _, name := range names {
		in, err := s.open(ctx, name, stdin)
		if err != nil {
			return cancelled(ctx, err)
		}
		err = speakOne(ctx, session, in, out)
		in.close()
		if err != nil {
			return cancelled(ctx, err)
		}
	}
	return nil
}

func speakOne(ctx context.Context, session *echo.Session, in *input, out *reporter) error {
	out.begin(in, session)
	receipt, err := session.Speak(ctx, echo.Speech{Samples: in.source, Name: in.name, Abort: in.abort})
	err = in.failed(err)
	if err != nil {
		receipt.Error = err.Error()
	}
	return first(err, out.end(in, receipt, err))
}

// cancelled prefers the reason of the cancelling to the error it made, such as
// a read of the input that was closed for it.
func cancelled(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// settingsError makes a refusal of the settings one of usage, with the option
// that mends it.
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

// reporter tells people, and programs, what happens to each utterance.
type reporter struct {
	settings *settings
	data     io.Writer // receipts as JSON
	people   io.Writer
	status   *statusLine
	// heard says that somebody waits for what the replica says was heard.
	heard bool
	// underruns gives the replica's own count, where it can be asked.
	underruns func(id string) (int, bool)
}

func (s *settings) newReporter(data, people io.Writer) *reporter {
	return &reporter{settings: s, data: data, people: people}
}

func (r *reporter) say(format string, args ...any) {
	if !r.settings.quiet {
		fmt.Fprintf(r.people, "echocast: %s\n", printable(fmt.Sprintf(format, args...)))
	}
}

func (r *reporter) begin(in *input, session *echo.Session) {
	r.say("%s: %s", in.title(), in.describe())
	if !r.settings.quiet {
		r.status = startStatus(r.people, in, session)
	}
}

// end tells how an utterance ended, and fails where its receipt cannot be
// written.
func (r *reporter) end(in *input, receipt echo.Receipt, err error) error {
	r.status.stop()
	r.status = nil
	for _, warning := range in.warnings() {
		r.say("%s: %s", in.title(), warning)
	}
	r.count(&receipt)
	if receipt.Chunks > 0 && !quietError(err) {
		r.say("%s: %s", in.title(), r.summary(receipt))
	}
	if !r.settings.json {
		return nil
	}
	line, _ := json.Marshal(receipt) // numbers and strings always marshal
	if _, err := fmt.Fprintf(r.data, "%s\n", line); err != nil {
		return stdoutError{err}
	}
	return nil
}

func (r *reporter) count(receipt *echo.Receipt) {
	if r.underruns == nil || receipt.Chunks == 0 {
		return
	}
	if n, ok := r.underruns(receipt.InferenceID); ok {
		receipt.Underruns, receipt.UnderrunsBy = n, "replica"
	}
}

// summary is the receipt in one line.
func (r *reporter) summary(receipt echo.Receipt) string {
	text := fmt.Sprintf("%s: %d samples (%.3f s) sent in %d messages", receipt.Outcome, receipt.Samples, receipt.SentSeconds, receipt.Chunks)
	if !r.heard {
		return text
	}
	text += fmt.Sprintf(", %.3f s spoken (by %s)", receipt.SpokenSeconds, receipt.SpokenBy)
	if receipt.FirstAudioSeconds >= 0 {
		text += fmt.Sprintf(", first audio after %.3f s", receipt.FirstAudioSeconds)
	}
	return text + fmt.Sprintf(", %s (by %s)", counted(receipt.Underruns, "underrun"), receipt.UnderrunsBy)
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

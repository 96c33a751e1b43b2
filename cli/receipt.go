package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"echocast/echo"
)

// inputReceipt is a receipt with what is known of its input.
type inputReceipt struct {
	echo.Receipt
	SamplesIn int64 `json:"samples_in"` // read from the input so far, for each channel
	RateIn    int   `json:"rate_in"`    // Hz
	Rehearsal bool  `json:"rehearsal,omitempty"`
}

// plainReceipt is a receipt of what has no audio input.
type plainReceipt struct {
	echo.Receipt
	Rehearsal bool `json:"rehearsal,omitempty"`
}

// print prints a receipt as a line of JSON, with --json.
func (r *reporter) print(receipt any) error {
	if !r.settings.json {
		return nil
	}
	r.settings.printed++
	return printJSON(r.data, receipt)
}

func printJSON(out io.Writer, value any) error {
	line, _ := json.Marshal(value) // numbers and strings always marshal
	return printText(out, string(line)+"\n")
}

// printText writes to stdout.
func printText(out io.Writer, text string) error {
	_, err := io.WriteString(stdoutWriter{out}, text)
	return err
}

// printOne prints a value as a line of JSON with --json, else its text.
func (s *settings) printOne(out io.Writer, value any, text string) error {
	if s.json {
		return printJSON(out, value)
	}
	return printText(out, text)
}

// failureLine is a line of JSON in place of a receipt.
type failureLine struct {
	Kind    string `json:"kind"` // as exitKind has it
	Code    int    `json:"code"` // exit code
	Message string `json:"message"`
}

// orFailure prints a failure before the first receipt as a line of JSON, with --json.
// It returns err, or an error of printing.
func (s *settings) orFailure(out io.Writer, err error) error {
	code := exitCode(err)
	if !s.json || s.printed > 0 || code == exitOK {
		return err
	}
	if failed := printJSON(out, failureLine{exitKind(code), code, firstLine(err.Error())}); failed != nil {
		return failed
	}
	return err
}

// receiptLine summarises a receipt for people. awaited says that the run waited until
// the utterance was heard.
func receiptLine(r *echo.Receipt, awaited bool) string {
	sent := playingTime(r.SentSeconds)
	if r.Characters > 0 {
		sent = counted(r.Characters, "character")
	}
	if !awaited {
		verb := "sent in full: "
		if r.Outcome != echo.Sent {
			verb = string(r.Outcome) + ": sent "
		}
		return verb + sent + " in " + counted(r.Chunks, "message") + stalls(r.Input)
	}
	line := ""
	switch r.Outcome {
	case echo.Finished:
		line = "heard in full: " + playingTime(r.SpokenSeconds)
	case echo.Unverified:
		line = "sent in full, but not confirmed as heard: " + sent
	case echo.Sent:
		line = "sent in full: " + sent
	case echo.Interrupted, echo.Failed:
		line = fmt.Sprintf("%s: %s heard of %s sent", r.Outcome, about(r)+playingTime(r.SpokenSeconds), sent)
	}
	if r.FirstAudioSeconds >= 0 {
		line += fmt.Sprintf(", started after %d ms", int64(r.FirstAudioSeconds*1000+0.5))
	}
	if r.SpokenSeconds > 0 && r.Characters == 0 {
		line += ", " + gaps(r)
	}
	return line + stalls(r.Input)
}

// about marks a time that was estimated by the clock.
func about(r *echo.Receipt) string {
	switch {
	case r.SpokenAtMost:
		return "at most "
	case r.SpokenBy == echo.ByClock:
		return "about "
	}
	return ""
}

// gaps tells how often and how long the replica had nothing to say.
func gaps(r *echo.Receipt) string {
	switch {
	case r.GapSeconds > 0 && r.Underruns == 0:
		return "gaps of " + playingTime(r.GapSeconds)
	case r.GapSeconds > 0:
		return counted(r.Underruns, "gap") + " of " + playingTime(r.GapSeconds)
	case r.Underruns > 0:
		return counted(r.Underruns, "gap")
	}
	return "no gaps"
}

// stalls reports how often an input was slower than speech.
func stalls(input *echo.FeedStats) string {
	if input == nil || input.Stalls == 0 {
		return ""
	}
	times := fmt.Sprintf("%d times", input.Stalls)
	if input.Stalls == 1 {
		times = "once"
	}
	return fmt.Sprintf("; the input stalled %s; otherwise it came at %.2f × real time", times, input.Factor)
}

// playingTime formats seconds with one decimal, or two below a second.
func playingTime(seconds float64) string {
	if d := time.Duration(seconds * float64(time.Second)); d < time.Second && d > 0 {
		return fmt.Sprintf("%.2f s", seconds)
	}
	return fmt.Sprintf("%.1f s", seconds)
}

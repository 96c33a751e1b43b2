package cli

import (
	"io"

	"echocast/echo"
	"echocast/internal/output"
	"echocast/internal/redact"
)

// inputReceipt is a receipt with the length and the rate of its input.
type inputReceipt struct {
	echo.Receipt
	SamplesIn int64 `json:"samples_in"` // read from the input so far, for each channel
	RateIn    int   `json:"rate_in"`    // Hz
	Rehearsal bool  `json:"rehearsal,omitempty"`
}

// plainReceipt is a receipt of an utterance without an audio input.
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
	return output.JSON(r.data, receipt)
}

// printOne prints a value as a line of JSON with --json, else its text.
func (s *settings) printOne(out io.Writer, value any, text string) error {
	if s.json {
		return output.JSON(out, value)
	}
	return output.Text(out, text)
}

// failureLine is a line of JSON in place of a receipt.
type failureLine struct {
	Kind    string `json:"kind"` // as exitKind has it
	Code    int    `json:"code"` // exit code
	Message string `json:"message"`
}

// printFailure prints a failure before the first receipt as a line of JSON, with --json.
// It returns err, or an error of printing.
func (s *settings) printFailure(out io.Writer, err error) error {
	code := exitCode(err)
	if !s.json || s.printed > 0 || code == exitOK {
		return err
	}
	if failed := output.JSON(out, failureLine{exitKind(code), code, firstLine(redact.Hide(err.Error()))}); failed != nil {
		return failed
	}
	return err
}

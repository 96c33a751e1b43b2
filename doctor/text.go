package doctor

import (
	"fmt"

	"echocast/internal/text"
)

// Text returns the finding as a line for people.
func (f Finding) Text() string {
	line := fmt.Sprintf("%-4s  %-18s  %s", f.Status, f.Name, f.Detail)
	if f.Fix != "" {
		line += "; " + f.Fix
	}
	return line
}

// Text returns the use as a line for people.
func (u Use) Text() string {
	if u.Ready {
		return fmt.Sprintf("ready for %s: %s", u.Name, u.Line)
	}
	return fmt.Sprintf("not ready for %s: %s; %s", u.Name, u.Missing, u.Line)
}

// ChecksError reports how many checks failed. It wraps the error of the first.
type ChecksError struct {
	Failed, All int
	First       error
}

// Error says what is wrong.
func (e *ChecksError) Error() string {
	return fmt.Sprintf("%d of %s failed", e.Failed, text.Count(e.All, "check"))
}

// Unwrap returns the cause.
func (e *ChecksError) Unwrap() error { return e.First }

// Failed returns a *ChecksError about the failed checks, or nil if none failed.
func Failed(findings []Finding) *ChecksError {
	failed := &ChecksError{All: len(findings)}
	for _, f := range findings {
		if f.Status != Fail {
			continue
		}
		if failed.Failed++; failed.Failed == 1 {
			failed.First = f.Err
		}
	}
	if failed.Failed == 0 {
		return nil
	}
	return failed
}

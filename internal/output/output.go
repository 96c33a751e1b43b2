// Package output writes the data of a command to stdout, and lines for people to stderr.
// These lines begin with "echocast: ". They contain no secrets, and no control characters
// from another machine.
package output

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"text/tabwriter"

	"echocast/internal/redact"
	"echocast/internal/text"
)

// Prefix begins each line for people.
const Prefix = "echocast: "

// Streams are the standard streams of a run. If In is an io.Closer, a cancelled run closes
// it to end a blocked read.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// WarnFunc prints a line for people.
type WarnFunc func(format string, args ...any)

// Warn prints a line for people. Several goroutines may call it at the same time.
func (s Streams) Warn(format string, args ...any) {
	fmt.Fprintf(s.Err, Prefix+"%s\n", ForPeople(fmt.Sprintf(format, args...)))
}

// ForPeople returns a message with secrets hidden and control characters escaped.
func ForPeople(words string) string { return text.Printable(redact.Hide(words)) }

// Error reports that writing to stdout failed.
type Error struct{ Err error }

// Error says what is wrong with stdout.
func (e *Error) Error() string { return "stdout: " + text.WithoutPath(e.Err).Error() }

// Unwrap returns the error of the write.
func (e *Error) Unwrap() error { return e.Err }

// ReaderHasClosed reports whether err means that the reader of stdout has closed it. That is
// not a failure.
func ReaderHasClosed(err error) bool {
	broken, ok := errors.AsType[*Error](err)
	return ok && errors.Is(broken, syscall.EPIPE)
}

// PrintedError is an error that was already printed. It only determines the exit code.
type PrintedError struct{ Err error }

// Error returns the text that was printed.
func (e *PrintedError) Error() string { return e.Err.Error() }

// Unwrap returns the error that was printed.
func (e *PrintedError) Unwrap() error { return e.Err }

// Writer returns a writer to stdout. Its errors are of type *Error.
func Writer(out io.Writer) io.Writer { return writer{out} }

type writer struct{ io.Writer }

func (w writer) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	if err != nil {
		err = &Error{err}
	}
	return n, err
}

// Text writes a text to stdout.
func Text(out io.Writer, text string) error {
	_, err := io.WriteString(writer{out}, text)
	return err
}

// JSON writes a value to stdout as a line of JSON.
func JSON(out io.Writer, value any) error {
	line, _ := json.Marshal(value) // numbers and strings always marshal
	return Text(out, string(line)+"\n")
}

// JSONLines writes values to stdout as lines of JSON. It does not escape characters for
// HTML, so that people can copy addresses and commands.
func JSONLines[T any](out io.Writer, values []T) error {
	var lines strings.Builder
	encoder := json.NewEncoder(&lines)
	encoder.SetEscapeHTML(false)
	for _, value := range values {
		if err := encoder.Encode(value); err != nil {
			return err
		}
	}
	return Text(out, lines.String())
}

// Table writes rows to stdout in columns. head holds the names of the columns, separated by
// tabs. If it is empty, Table writes only the rows.
func Table(out io.Writer, head string, rows [][]string) error {
	var lines strings.Builder
	table := tabwriter.NewWriter(&lines, 0, 0, 2, ' ', 0)
	if head != "" {
		fmt.Fprintln(table, head)
	}
	for _, row := range rows {
		fmt.Fprintln(table, printableRow(row))
	}
	_ = table.Flush() // it writes into memory
	return Text(out, lines.String())
}

// printableRow joins the cells of a row.
func printableRow(row []string) string {
	cells := make([]string, len(row))
	for i, cell := range row {
		if cells[i] = text.Printable(cell); cell == "" {
			cells[i] = "-"
		}
	}
	return strings.Join(cells, "\t")
}

package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"echocast/internal/opener"
	"echocast/internal/option"
	"echocast/internal/outfile"
	"echocast/internal/output"
	"echocast/internal/shutdown"
	"echocast/internal/terminal"
	"echocast/internal/text"
	"echocast/speak"
	"echocast/trace"
)

// reportCmd is the report command.
type reportCmd struct {
	streams Streams
	output  string
	opens   bool
}

func reportCommand(streams Streams) *cli.Command {
	r := &reportCmd{streams: streams}
	return &cli.Command{
		Name:  "report",
		Usage: "make an HTML page from the trace of a session",
		UsageText: "echocast report [OPTIONS] TRACE\n\n   echocast send --trace session.ndjson speech.wav\n" +
			"   echocast report session.ndjson",
		Description: `A TRACE is a file that --trace recorded, or - for standard input. The page is one
HTML file without external parts. If the process was killed while it recorded, the
page shows what was recorded until then.`,
		Flags: []cli.Flag{
			option.New(&r.output, "output, o", "", "write the page to `FILE`; - is stdout (default: TRACE with .html)"),
			option.Bool(&r.opens, "open", "show the page in the browser"),
		},
		Action: option.WithInputs(r.run),
	}
}

// run draws the page of one trace.
func (r *reportCmd) run(ctx context.Context, names []string) error {
	name, err := traceName(names, r.streams.In)
	if err != nil {
		return err
	}
	file := r.output
	if file == "" {
		file = stdinName
		if name != stdinName {
			file = strings.TrimSuffix(name, filepath.Ext(name)) + ".html"
		}
	}
	if r.opens && file == stdinName {
		return usagef("--open shows a file: name one with --output")
	}
	if file != stdinName {
		if err := checkOutput(file, name, r.output == ""); err != nil {
			return err
		}
	}
	stdin, restore := terminal.ReadUntil(ctx, r.streams.In)
	defer restore()
	in, err := openTrace(name, stdin)
	if err != nil {
		return err
	}
	defer in.Close()
	sessions, err := trace.Sessions(in)
	if err != nil {
		return shutdown.Cause(ctx, inputError(speak.Title(name), err))
	}
	err = r.write(file, &trace.Page{Title: filepath.Base(speak.Title(name)), Sessions: sessions})
	if err != nil || !r.opens {
		return err
	}
	if err := opener.Open(ctx, file); err != nil {
		return fmt.Errorf("%s: open it in a browser; --open failed: %w", text.Printable(file), err)
	}
	return nil
}

func (r *reportCmd) write(file string, page *trace.Page) error {
	if file == stdinName {
		if err := page.Render(r.streams.Out); err != nil {
			return &output.Error{Err: err}
		}
		return nil
	}
	if err := page.WriteFile(file); err != nil {
		return named(file, err)
	}
	r.streams.Warn("the report is in %s", file)
	return nil
}

// traceName returns the name of the trace. It fails unless there is exactly one.
func traceName(names []string, stdin io.Reader) (string, error) {
	if len(names) != 1 {
		return "", usagef("name one trace, or - for standard input; --trace of echocast send records one")
	}
	if names[0] == stdinName && terminal.Is(stdin) {
		return "", usagef("standard input is a terminal; name a trace that --trace recorded, such as session.ndjson")
	}
	return names[0], nil
}

// checkOutput fails if the output would overwrite the trace or, if its name is the default,
// anything but a report.
func checkOutput(output, name string, isDefault bool) error {
	target, err := os.Stat(output)
	if err != nil {
		return outfile.CheckAll(map[string]string{"--output": output}, nil)
	}
	if in, err := os.Stat(name); err == nil && os.SameFile(target, in) {
		return usagef("-o %s would overwrite the trace", output)
	}
	if isDefault && !trace.IsReport(output) {
		return usagef("%s exists and is not a report: name another file with --output, or this one to replace it", output)
	}
	return outfile.CheckAll(map[string]string{"--output": output}, nil)
}

// openTrace opens a trace. The caller closes it.
func openTrace(name string, stdin io.Reader) (io.ReadCloser, error) {
	if name == stdinName {
		return io.NopCloser(stdin), nil
	}
	file, err := trace.Open(name)
	if err != nil {
		return nil, inputError(name, err)
	}
	return file, nil
}

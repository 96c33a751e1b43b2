package cli

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"

	"github.com/urfave/cli/v2"

	"echocast/internal/option"
	"echocast/internal/outfile"
	"echocast/internal/output"
	"echocast/internal/redact"
	"echocast/voicetest"
)

// errTalkFailed says that a talk was not heard as it expects.
var errTalkFailed = errors.New("some utterances were not heard as expected")

// testCmd is the test command.
type testCmd struct {
	streams Streams
	junit   string
	json    bool
}

func testCommand(streams Streams) *cli.Command {
	t := &testCmd{streams: streams}
	return &cli.Command{
		Name:  "test",
		Usage: "speak scripted talks to a stand-in replica, and fail if it does not hear them as expected",
		UsageText: "echocast test [OPTIONS] TALK...\n\n   echocast test talk.yaml\n" +
			"   echocast test --junit report.xml talks/*.yaml",
		Description: `A TALK is a file in YAML that lists what to speak (files, or what commands print),
how each utterance ends, and bounds: on first audio, gaps, lead, lateness and the
time that an interrupt takes. docs/voice-ci.md describes the file. echocast itself
uses no network; the commands may.`,
		Flags: []cli.Flag{
			option.New(&t.junit, "junit", "", "write the results to `FILE` as JUnit XML (default: not written)"),
			option.Bool(&t.json, "json", "print one JSON object a line"),
		},
		Action: option.WithInputs(t.run),
	}
}

// run reads all talks before it speaks the first.
func (t *testCmd) run(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return usagef("name a talk, a file in YAML such as: say: [{file: hello.wav}]")
	}
	if err := outfile.CheckAll(map[string]string{"--junit": t.junit}, names); err != nil {
		return err
	}
	talks := make([]*voicetest.Talk, len(names))
	for i, name := range names {
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			return inputError(name, errors.New("is a directory; name the talks in it"))
		}
		file, err := os.Open(name)
		if err != nil {
			return inputError(name, err)
		}
		talks[i], err = voicetest.Read(file, name)
		_ = file.Close() // it was only read
		if err != nil {
			return err
		}
	}
	return t.speak(ctx, names, talks)
}

// speak speaks the talks and writes their results, also if ctx ends.
func (t *testCmd) speak(ctx context.Context, names []string, talks []*voicetest.Talk) error {
	var results []voicetest.Result
	var failed, broken, err error
	for i := 0; i < len(talks) && cmp.Or(err, broken) == nil; i++ {
		err = talks[i].Run(ctx, names[i], func(r voicetest.Result) {
			results = append(results, r)
			if !r.Passed {
				failed = errTalkFailed
			}
			if t.json {
				broken = cmp.Or(broken, output.JSON(t.streams.Out, r))
			} else {
				broken = cmp.Or(broken, output.Text(t.streams.Out, redact.Hide(r.Text())))
			}
		})
	}
	if err != nil {
		t.streams.Warn("%s", voicetest.Summary(results, talks))
	}
	var written error
	if t.junit != "" {
		written = named(t.junit, outfile.Write(t.junit, func(w io.Writer) error { return voicetest.WriteJUnit(w, results) }))
	}
	return cmp.Or(err, broken, written, failed)
}

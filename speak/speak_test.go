package speak_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"echocast/audio"
	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/speak"
)

const speech = "../testdata/speech.wav"

func TestSpeaker(t *testing.T) {
	ctx := testwait.Context(t)
	var out bytes.Buffer
	lines := echo.NewLines(&out, false)
	session, err := echo.NewSession(echo.NewMessages(lines, "c1", 0), &echo.Options{
		SkipReady: true, SkipHeard: true, Pace: echo.Pace{Mode: echo.BurstMode}})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	stdin, err := os.Open(speech)
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	opened, err := speak.OpenStdin(ctx, stdin, &audio.PrepareOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	var begun, ended []string
	speaker := &speak.Speaker{
		Session: session, Prepare: &audio.PrepareOptions{}, Opened: opened, Feed: &echo.FeedOptions{},
		Begin: func(in *speak.Input) { begun = append(begun, in.Title()) },
		End: func(in *speak.Input, err error) error {
			ended = append(ended, in.Title())
			return err
		},
	}
	err = speaker.All(ctx, []string{speech, speak.Stdin, "missing.wav", speech})
	if want := "missing.wav: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	want := speech + " standard input"
	if strings.Join(begun, " ") != want || strings.Join(ended, " ") != want {
		t.Errorf("begun %q, ended %q", begun, ended)
	}
	if err := lines.Flush(); err != nil || strings.Count(out.String(), `"done":true`) != 2 {
		t.Errorf("%v; %d utterances", err, strings.Count(out.String(), `"done":true`))
	}
}

// An input that cannot be spoken is refused with an error that names it.
func TestCheck(t *testing.T) {
	folder := t.TempDir()
	empty := filepath.Join(folder, "empty.wav")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		speech: "", speak.Stdin: "", os.DevNull: "",
		"missing.wav":               "missing.wav: no such file",
		"https://example.com/a.wav": "https://example.com/a.wav: an input is a file, not a URL; pipe it",
		folder:                      folder + ": is a directory",
		empty:                       empty + ": the input is empty",
	} {
		err := speak.Check(testwait.Context(t), name, &audio.PrepareOptions{Loudness: -16})
		_, isInputError := errors.AsType[*speak.InputError](err)
		if (err == nil) != (want == "") || err != nil && (!isInputError || !strings.HasPrefix(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	_, err := speak.OpenStdin(testwait.Context(t), strings.NewReader(""), &audio.PrepareOptions{})
	if err == nil || err.Error() != "standard input: the input is empty" {
		t.Error(err)
	}
}

// hum is audio that warns of each read.
type hum struct {
	speak.Audio
	left  int // samples
	stop  context.CancelFunc
	reads []string
}

func (h *hum) ReadSamples(p []float32) (int, error) {
	if h.reads = append(h.reads, "a read"); len(h.reads) == 10 {
		h.stop()
	}
	n := min(len(p), h.left)
	if h.left -= n; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (h *hum) Warnings() []string { return h.reads }

func (h *hum) Words() []audio.Word { return nil }

func (h *hum) Close() error { return nil }

// While an input is read ahead, its warnings are neither complete nor safe to ask for: an
// utterance that is ended early has none.
func TestWarningsWaitForTheEndOfTheInput(t *testing.T) {
	for name, samples := range map[string]int{"ended early": 1 << 40, "whole": pumped} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(testwait.Context(t))
			defer cancel()
			session, err := echo.NewSession(echo.NewMessages(echo.NewLines(io.Discard, false), "c1", 0), &echo.Options{
				SkipReady: true, SkipHeard: true, Pace: echo.Pace{Mode: echo.BurstMode}})
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			var warnings []string
			speaker := &speak.Speaker{
				Session: session, Feed: &echo.FeedOptions{},
				Opened: &speak.Input{Name: speak.Stdin, Audio: &hum{left: samples, stop: cancel}},
				Begin:  func(*speak.Input) {},
				End: func(in *speak.Input, err error) error {
					warnings = in.Warnings()
					return err
				},
			}
			err = speaker.All(ctx, []string{speak.Stdin})
			if isWhole := samples == pumped; isWhole != (err == nil) || isWhole != (len(warnings) > 0) {
				t.Errorf("%d warnings, %v", len(warnings), err)
			}
		})
	}
}

// pumped is a number of samples that takes few reads.
const pumped = 2400

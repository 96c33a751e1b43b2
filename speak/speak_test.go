package speak_test

import (
	"bytes"
	"errors"
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
		"missing.wav": "missing.wav: no such file",
		folder:        folder + ": is a directory",
		empty:         empty + ": the input is empty",
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

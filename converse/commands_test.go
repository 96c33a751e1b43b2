//go:build unix

package converse

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"echocast/audio"
	"echocast/audio/audiotest"
	"echocast/echo"
	"echocast/internal/testwait"
)

// speech is a text-to-speech command: a WAV of half a second for any text.
const speech = "cat >/dev/null; head -c 22094 ../testdata/speech.wav"

// listener collects the notes and the samples of a conversation without a room.
type listener struct {
	mu      sync.Mutex
	notes   []Note
	samples map[string]int
	errs    map[string]error
}

func (l *listener) note(n Note) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notes = append(l.notes, n)
}

func (l *listener) speak(_ context.Context, name string, _ Audio, speech echo.Speech) (echo.Receipt, error) {
	samples, err := audiotest.Collect(speechSource{speech})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.samples[name], l.errs[name] = len(samples), err
	return echo.Receipt{}, err
}

// speechSource gives the samples of a speech a format.
type speechSource struct{ echo.Speech }

func (s speechSource) Format() audio.Format {
	return audio.Format{Rate: audio.DefaultRate, Channels: 1}
}
func (s speechSource) ReadSamples(p []float32) (int, error) { return s.Samples.ReadSamples(p) }

func (l *listener) texts(kind NoteKind) (texts []string) {
	for _, n := range l.notes {
		if n.Kind == kind {
			texts = append(texts, strings.TrimSpace(n.Text+" "+n.Reason))
		}
	}
	return texts
}

// answerOnce lets the user say something once, and returns the notes and samples of the answer.
func answerOnce(t *testing.T, o Options) *listener {
	t.Helper()
	l := &listener{samples: map[string]int{}, errs: map[string]error{}}
	o.Count, o.OnNote = 1, l.note
	if o.Speak == nil {
		o.Speak = l.speak
	}
	session := &fakeSession{events: make(chan echo.Event, 1)}
	session.events <- echo.Event{Kind: echo.KindUtterance, Role: echo.RoleUser, Text: "Hello there. How are you?"}
	if err := Run(testwait.Context(t), session, o); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestCommandsAnswer(t *testing.T) {
	l := answerOnce(t, Options{OnUtterance: "cat", TTS: speech})
	if l.samples["answer 1"] != 12000 || !slices.Equal(l.texts(NoteReply), []string{"Hello there. How are you?"}) {
		t.Errorf("%d samples, %+v", l.samples["answer 1"], l.notes)
	}
}

// A voice command that dies in the middle of its audio has failed.
func TestVoiceCommandDies(t *testing.T) {
	l := answerOnce(t, Options{OnUtterance: "cat", TTS: "head -c 22094 ../testdata/speech.wav; exit 7"})
	if _, isBroken := errors.AsType[*audio.InputError](l.errs["answer 1"]); !isBroken ||
		!strings.Contains(fmt.Sprint(l.texts(NoteFailed)), "the tts command failed: exit status 7") {
		t.Errorf("%v, %+v", l.errs, l.notes)
	}
}

// A command that hangs is killed, and the fallback text is spoken instead.
func TestThinkTimeoutAndFallback(t *testing.T) {
	l := answerOnce(t, Options{OnUtterance: "exec sleep 600", TTS: speech, ThinkTimeout: 100 * time.Millisecond,
		Fallback: "Sorry."})
	failed := fmt.Sprint(l.texts(NoteFailed))
	if l.samples["answer 1"] != 12000 || !slices.Equal(l.texts(NoteReply), []string{"Sorry."}) ||
		!strings.Contains(failed, "the on-utterance command printed nothing for 100ms and was killed") {
		t.Errorf("%v, %+v", l.samples, l.notes)
	}
}

func TestTTSTimeout(t *testing.T) {
	l := answerOnce(t, Options{OnUtterance: "cat", TTS: "exec sleep 600", TTSTimeout: 100 * time.Millisecond})
	if failed := fmt.Sprint(l.texts(NoteFailed)); !strings.Contains(failed,
		"the tts command printed nothing for 100ms and was killed") {
		t.Errorf("%+v", l.notes)
	}
}

// The timeout of the voice does not count while it waits for text. On a slow machine it may
// count afterwards, but a voice that is ended before ends the command that makes the text.
func TestTTSTimeoutWaitsForText(t *testing.T) {
	answered := filepath.Join(t.TempDir(), "answered")
	l := answerOnce(t, Options{OnUtterance: "sleep 0.6; >'" + answered + "'; cat", TTS: speech,
		TTSTimeout: 300 * time.Millisecond})
	if _, err := os.Stat(answered); err != nil {
		t.Errorf("it was ended before it had text (%v): %+v", err, l.notes)
	}
	if l.samples["answer 1"] != 12000 && len(l.texts(NoteFailed)) == 0 {
		t.Errorf("%v, %+v", l.samples, l.notes)
	}
}

// Each sentence is one run of the voice. The second time, the audio comes from the cache.
func TestSentenceCache(t *testing.T) {
	folder := t.TempDir()
	log := filepath.Join(t.TempDir(), "log")
	o := Options{OnUtterance: "cat", TTS: "cat >>'" + log + "'; head -c 22094 ../testdata/speech.wav",
		PerSentence: true, CacheDir: folder}
	o.Prepare.PadAfter = 100 * time.Millisecond
	for range 2 {
		if l := answerOnce(t, o); l.samples["answer 1"] != 2*12000+2400 || l.errs["answer 1"] != nil {
			t.Errorf("%v, %v, %+v", l.samples, l.errs, l.notes)
		}
	}
	said, err := os.ReadFile(log)
	if err != nil || string(said) != "Hello there.\nHow are you?\n" {
		t.Errorf("the voice was given %q, %v", said, err)
	}
	kept, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(kept) != 2 {
		t.Errorf("kept %v, %v", kept, err)
	}
}

// The times of words count from the beginning of the answer, even if each sentence is one run
// of the voice.
func TestWordsOfSentences(t *testing.T) {
	sound := base64.StdEncoding.EncodeToString(make([]byte, 24000)) // half a second
	file := filepath.Join(t.TempDir(), "voice.json")
	if err := os.WriteFile(file,
		[]byte(`{"audio":"`+sound+`","timestamps":[{"word":"w","start_time":0.1,"end_time":0.3}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for sentences, want := range map[bool][]int{true: {200, 700}, false: {200}} {
		var starts []int
		o := Options{OnUtterance: "cat", TTS: "cat >/dev/null; cat '" + file + "'", PerSentence: sentences}
		o.Prepare.PadBefore = 100 * time.Millisecond
		o.Prepare.Input = &audio.Options{Encoding: "s16le", TrustHeader: true,
			Raw: audio.Format{Rate: audio.DefaultRate, Channels: 1}}
		o.Speak = func(_ context.Context, _ string, _ Audio, speech echo.Speech) (echo.Receipt, error) {
			_, err := audiotest.Collect(speechSource{speech})
			for _, w := range speech.MoreWords() {
				starts = append(starts, int(w.Start.Milliseconds()))
			}
			return echo.Receipt{}, err
		}
		answerOnce(t, o)
		if !slices.Equal(starts, want) {
			t.Errorf("by sentence %v: words begin at %v, want %v", sentences, starts, want)
		}
	}
}

// A sentence without audio, or whose voice failed, is not cached, and fails the answer.
func TestFailedSentenceIsNotCached(t *testing.T) {
	for _, command := range []string{
		"head -c 22094 ../testdata/speech.wav; exit 7",
		"true", // a service that answers nothing, and says that all is well
		"echo '<html>502 Bad Gateway</html>'",
	} {
		folder := t.TempDir()
		l := answerOnce(t, Options{OnUtterance: "cat", TTS: "cat >/dev/null; " + command, PerSentence: true,
			CacheDir: folder})
		kept, err := filepath.Glob(filepath.Join(folder, "*"))
		if err != nil || len(kept) != 0 || len(l.texts(NoteFailed)) != 1 {
			t.Errorf("%s: kept %v, %v, %+v", command, kept, err, l.notes)
		}
	}
}

func TestLines(t *testing.T) {
	for text, want := range map[string][]string{
		"one\ntwo\r\n\n three":                             {"one", "two", "three"},
		"he\rhello\rhello there\nyes\r\r\n":                {"hello there", "yes"},
		strings.Repeat("x", maxLine) + "\nend":             {strings.Repeat("x", maxLine), "end"},
		strings.Repeat("x", maxLine+9) + "\nok":            {"error", "ok"},
		strings.Repeat("partial\r", maxLine/4) + "whole\n": {"whole"},
	} {
		var got []string
		for line, err := range readLines(strings.NewReader(text)) {
			if err != nil {
				line = "error"
			}
			got = append(got, line)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%.60q: %.200q", text, got)
		}
	}
}

// A recogniser that ends is restarted. Input that it does not read does not block the end of
// the conversation.
func TestRecogniserStartsAgain(t *testing.T) {
	started := filepath.Join(t.TempDir(), "started")
	l := &listener{samples: map[string]int{}, errs: map[string]error{}}
	o := Options{
		OnUtterance: "cat", TTS: speech, Count: 1, OnNote: l.note, Speak: l.speak,
		Recogniser: "if [ -e '" + started + "' ]; then echo Hello; exec sleep 600; fi; >'" + started + "'; exit 3",
		Listen: func(ctx context.Context, to io.Writer) (func() error, error) {
			var writing sync.WaitGroup
			writing.Go(func() {
				for ctx.Err() == nil {
					_, _ = to.Write(make([]byte, 4096))
				}
			})
			return func() error { writing.Wait(); return nil }, nil
		},
	}
	session := &fakeSession{events: make(chan echo.Event)}
	if err := Run(testwait.Context(t), session, o); err != nil {
		t.Fatal(err)
	}
	if failed := fmt.Sprint(l.texts(NoteFailed)); l.samples["answer 1"] != 12000 ||
		!strings.Contains(failed, "the recogniser command ended: exit status 3; it starts again in 1s") {
		t.Errorf("%v, %+v", l.samples, l.notes)
	}
}

// A command that was killed because its answer was cancelled is not reported as failed.
func TestCancelledCommandIsNotAnError(t *testing.T) {
	c := newConversation(&fakeSession{},
		Options{OnUtterance: "exec sleep 600", TTS: "head -c 22094 ../testdata/speech.wav"})
	for range 20 {
		m, err := c.runCommands(t.Context(), request{name: "answer 1", question: "Hello?"})
		if err != nil || m.err != nil {
			t.Fatal(err, m.err)
		}
		if err := m.finish(errors.New("the voice broke off")); err != nil {
			t.Fatal(err)
		}
	}
}

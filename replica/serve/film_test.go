package serve

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"echocast/internal/memconn"
	"echocast/internal/opusencoder"
	"echocast/internal/testenv"
	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/replica/page"
)

func ffmpeg(ctx context.Context, t *testing.T, program string, arguments ...string) string {
	t.Helper()
	out, err := exec.CommandContext(ctx, program, append([]string{"-v", "error"}, arguments...)...).Output()
	if err != nil {
		t.Fatalf("%s %v: %v", program, arguments, err)
	}
	return string(out)
}

// wordsMessage is a message that lets the replica say some words.
func wordsMessage(id string) string {
	return `{"message_type":"conversation","event_type":"conversation.echo","conversation_id":"c1",` +
		`"properties":{"modality":"text","text":"Some words.","inference_id":"` + id + `"}}`
}

// checkFile checks what is in a film, and how often the words are beside it.
func checkFile(t *testing.T, name string, words int) {
	t.Helper()
	streams := ffmpeg(testwait.Context(t), t, "ffprobe", "-show_entries", "stream=codec_name", "-of", "csv=p=0", name)
	if !slices.Equal(slices.Sorted(strings.FieldsSeq(streams)), []string{"opus", "vp8"}) {
		t.Errorf("the streams are %s", streams)
	}
	got, err := os.ReadFile(strings.TrimSuffix(name, ".webm") + ".vtt")
	if err != nil || strings.Count(string(got), "<v pal>Some words.") != words {
		t.Errorf("%v: %s", err, got)
	}
}

// A session of a connection is recorded as a film.
func TestFilmOfASession(t *testing.T) {
	testenv.NeedPrograms(t, "", "ffmpeg", "ffprobe")
	name := filepath.Join(t.TempDir(), "call.webm")
	url, _, ended := start(t, &Options{Record: name, Once: true})
	sender := dial(t, url)
	sender.send(wordsMessage("one"))
	sender.await("conversation.stopped_speaking")
	sender.conn.Close()
	if err := testwait.Receive(t, ended); err != nil && !errors.Is(err, errMissing) { // on a busy machine
		t.Fatal(err)
	}
	checkFile(t, name, 1)
}

// A film has the replica on the left channel at its times, and the face with an open mouth
// while it speaks and a closed one in pauses.
func TestFilm(t *testing.T) {
	testenv.NeedPrograms(t, "", "ffmpeg", "ffprobe")
	if !opusencoder.Available {
		t.Skip("ffmpeg writes the film, in real time; the tests of recordings compare its times")
	}
	name := filepath.Join(t.TempDir(), "call.webm")
	var spoken []span
	synctest.Test(t, func(t *testing.T) {
		s := &server{sound: newSoundOut(), options: Options{Record: name, Page: page.New()}, stop: func() {}}
		s.observer = Observer{Report: func(r replica.Report) { spoken = spans(r) }}.withDefaults()
		here, there := memconn.Pair()
		s.all.Go(func() { _ = s.session(t.Context()).Join(t.Context(), there, ParticipantName(1)) })
		sender := &guest{t, here}
		for _, id := range []string{"one", "two"} {
			sender.tone(id, 220, 1)
			sender.await("conversation.stopped_speaking")
			sender.send(wordsMessage("text-" + id))
			sender.await("conversation.stopped_speaking")
		}
		_ = here.Close()
		s.all.Wait()
		s.sound.close()
		s.options.Page.Close()
		if s.failed != nil {
			t.Fatal(s.failed)
		}
	})
	checkFile(t, name, 2)
	ctx := testwait.Context(t)
	checkSound(t, ffmpeg(ctx, t, "ffmpeg", "-copyts", "-i", name, "-af", "aresample=first_pts=0", "-f", "s16le", "-ar",
		"24000", "-ac", "2", "-"), spoken)
	checkMouth(t, ffmpeg(ctx, t, "ffmpeg", "-i", name, "-an", "-vf", "scale=320:352,format=gray", "-f", "rawvideo", "-"),
		spoken)
}

// A film that is written too slowly is reported as incomplete, and what waits at its end is
// written.
func TestSlowFilm(t *testing.T) {
	if !opusencoder.Available {
		t.Skip("a build without libopus writes no WebM")
	}
	for _, more := range []int{0, 1} {
		sound := newSoundOut()
		s := &server{sound: sound, options: Options{Record: filepath.Join(t.TempDir(), "call.webm")}}
		f, err := s.film(testwait.Context(t), 1)
		if err != nil {
			t.Fatal(err)
		}
		stalled, release, done := make(chan struct{}), make(chan struct{}), 0
		f.do(func() {
			close(stalled)
			<-release
		})
		testwait.Receive(t, stalled)
		for range soundBacklog + more {
			f.do(func() { done++ })
		}
		close(release)
		if err := f.close(); (more > 0) != errors.Is(err, errMissing) || more == 0 && err != nil {
			t.Errorf("%d too many: %v", more, err)
		}
		if done != soundBacklog {
			t.Errorf("%d of %d were done", done, soundBacklog)
		}
		s.all.Wait()
		sound.close()
	}
}

// span is a time in seconds.
type span struct{ from, to float64 }

// spans are when tones were spoken.
func spans(r replica.Report) (all []span) {
	for _, u := range r.Utterances {
		if u.Text == "" {
			all = append(all, span{*u.StartedMS / 1000, *u.StartedMS/1000 + u.PlayedSeconds})
		}
	}
	return all
}

// checkSound checks that the tones are on the left, and nothing on the right.
func checkSound(t *testing.T, sound string, spoken []span) {
	t.Helper()
	var starts []float64
	last := -24000
	for at := range len(sound) / 4 {
		left := int16(binary.LittleEndian.Uint16([]byte(sound[4*at:])))
		right := int16(binary.LittleEndian.Uint16([]byte(sound[4*at+2:])))
		if right > 500 {
			t.Fatalf("the user is heard at %.3f s", float64(at)/24000)
		}
		if left < 3000 {
			continue
		}
		if at-last > 6000 {
			starts = append(starts, float64(at)/24000)
		}
		last = at
	}
	if len(starts) != len(spoken) {
		t.Fatalf("tones begin at %v, of %v", starts, spoken)
	}
	const slack = 0.001 // seconds
	for i, start := range starts {
		if want := spoken[i].from; math.Abs(start-want) > slack {
			t.Errorf("tone %d begins at %.4f s, not %.4f", i, start, want)
		}
	}
}

// checkMouth checks the pictures: the inside of an open mouth is dark.
func checkMouth(t *testing.T, pictures string, spoken []span) {
	t.Helper()
	const width, height = 320, 352
	open, closed := 0, 0
	for n := range len(pictures) / (width * height) {
		dark := 0
		for y := 236; y < 262; y++ {
			if pictures[n*width*height+y*width+width/2] < 90 {
				dark++
			}
		}
		at := float64(n) / 25
		switch isOpen := dark >= 6; {
		case within(at, spoken, 0.2):
			open++
			if !isOpen {
				t.Errorf("the mouth is closed at %.2f s: %d of it are dark", at, dark)
			}
		case !within(at, spoken, -0.2):
			closed++
			if isOpen {
				t.Errorf("the mouth is open at %.2f s: %d of it are dark", at, dark)
			}
		}
	}
	if open < 10*len(spoken) || closed < 5 {
		t.Errorf("%d pictures while it speaks, and %d in pauses", open, closed)
	}
}

// within reports whether a time is in a span, at least margin from its ends.
func within(at float64, spans []span, margin float64) bool {
	for _, s := range spans {
		if at >= s.from+margin && at <= s.to-margin {
			return true
		}
	}
	return false
}

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

	"echocast/internal/opusencoder"
	"echocast/internal/testwait"
	"echocast/replica"
)

func ffmpeg(ctx context.Context, t *testing.T, program string, arguments ...string) string {
	t.Helper()
	out, err := exec.CommandContext(ctx, program, append([]string{"-v", "error"}, arguments...)...).Output()
	if err != nil {
		t.Fatalf("%s %v: %v", program, arguments, err)
	}
	return string(out)
}

// A session that is recorded as a film has the replica on the left, where its sound was
// due, and its face, whose mouth is open while it speaks and closed in a pause.
func TestFilm(t *testing.T) {
	for _, program := range []string{"ffmpeg", "ffprobe"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	reports := make(chan replica.Report, 1)
	name := filepath.Join(t.TempDir(), "call.webm")
	url, _, ended := start(t, &Options{Record: name, Once: true,
		Observer: Observer{Report: func(r replica.Report) { reports <- r }}})
	sender := dial(t, url)
	for _, id := range []string{"one", "two"} {
		sender.tone(id, 220, 1)
		sender.await("conversation.stopped_speaking")
		sender.send(`{"message_type":"conversation","event_type":"conversation.echo","conversation_id":"c1",` +
			`"properties":{"modality":"text","text":"Some words.","inference_id":"text-` + id + `"}}`)
		sender.await("conversation.stopped_speaking")
	}
	sender.conn.Close()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	spoken := spans(<-reports)
	ctx := testwait.Context(t)
	streams := ffmpeg(ctx, t, "ffprobe", "-show_entries", "stream=codec_name", "-of", "csv=p=0", name)
	if !slices.Equal(slices.Sorted(strings.FieldsSeq(streams)), []string{"opus", "vp8"}) {
		t.Errorf("the streams are %s", streams)
	}
	checkSound(t, ffmpeg(ctx, t, "ffmpeg", "-copyts", "-i", name, "-af", "aresample=first_pts=0", "-f", "s16le", "-ar",
		"24000", "-ac", "2", "-"), spoken)
	checkMouth(t, ffmpeg(ctx, t, "ffmpeg", "-i", name, "-an", "-vf", "scale=320:352,format=gray", "-f", "rawvideo", "-"),
		spoken)
	words, err := os.ReadFile(strings.TrimSuffix(name, ".webm") + ".vtt")
	if err != nil || strings.Count(string(words), "<v pal>Some words.") != 2 {
		t.Errorf("%v: %s", err, words)
	}
}

// A film that is written too slowly is not called whole, and what waits at its end is
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
	slack := 0.002 // seconds
	if !opusencoder.Available {
		slack = 0.005 // ffmpeg writes the container
	}
	for i, start := range starts {
		if apart, want := start-starts[0], spoken[i].from-spoken[0].from; math.Abs(apart-want) > slack {
			t.Errorf("tone %d begins %.4f s after the first, not %.4f", i, apart, want)
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

// within reports whether a time is in a span, and so far from its ends.
func within(at float64, spans []span, margin float64) bool {
	for _, s := range spans {
		if at >= s.from+margin && at <= s.to-margin {
			return true
		}
	}
	return false
}

package avatar

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/image/vp8"

	"echocast/internal/opusencoder"
	"echocast/internal/testwait"
)

var errOver = errors.New("the test is over")

// outlet keeps what is published.
type outlet struct {
	mu       sync.Mutex
	levels   []uint8 // of the packets, in order
	ticks    []int64
	pictures map[int64][]byte
	told     []notice
	came     chan notice
}

func (o *outlet) Sound(_ []byte, level uint8, tick int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.levels, o.ticks = append(o.levels, level), append(o.ticks, tick)
}

func (o *outlet) Picture(frame []byte, tick int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pictures[tick] = frame
}

func (o *outlet) Started(utterance string) { o.notify(notice{utterance: utterance, isStart: true}) }

func (o *outlet) Finished(utterance string, played time.Duration, interrupted bool) {
	o.notify(notice{utterance: utterance, played: played, isInterrupted: interrupted})
}

func (o *outlet) notify(n notice) {
	o.mu.Lock()
	o.told = append(o.told, n)
	o.mu.Unlock()
	o.came <- n
}

// loud counts the packets with sound in them.
func (o *outlet) loud() (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, level := range o.levels {
		if level < silence {
			n++
		}
	}
	return n
}

// runningAvatar is an avatar that runs in a bubble of synctest.
type runningAvatar struct {
	*Avatar
	*outlet
	t    *testing.T
	stop context.CancelCauseFunc
	over sync.WaitGroup
	work sync.WaitGroup
}

func needOpus(t *testing.T) {
	t.Helper()
	if !opusencoder.Available {
		t.Skip("this build has no libopus")
	}
}

// runAvatar starts an avatar without a face: its pictures are grey.
func runAvatar(t *testing.T, options Options) *runningAvatar {
	t.Helper()
	return runAvatarWith(t, options, func() (source, error) {
		grey := image.NewYCbCr(image.Rect(0, 0, 16, 16), image.YCbCrSubsampleRatio420)
		return func(int64, []int16) (*image.YCbCr, error) { return grey, nil }, nil
	})
}

// runAvatarWith starts an avatar with a face.
func runAvatarWith(t *testing.T, options Options, face func() (source, error)) *runningAvatar {
	t.Helper()
	needOpus(t)
	r := &runningAvatar{t: t, outlet: &outlet{pictures: map[int64][]byte{}, came: make(chan notice, 1000)}}
	var err error
	if r.Avatar, err = New(&options); err != nil {
		t.Fatal(err)
	}
	r.face = face
	ctx, stop := context.WithCancelCause(t.Context())
	r.stop = stop
	r.over.Go(func() {
		if _, err := r.Run(ctx, r.outlet); !errors.Is(err, errOver) {
			t.Errorf("the avatar has ended: %v", err)
		}
	})
	return r
}

// end ends the avatar.
func (r *runningAvatar) end() {
	r.work.Wait()
	r.stop(errOver)
	r.over.Wait()
}

// speak lets a stream of PCM come all at once.
func (r *runningAvatar) speak(id string, pcm []byte) {
	r.stream(Stream{id, bytes.NewReader(pcm), Rate, 1})
}

func (r *runningAvatar) stream(s Stream) {
	r.work.Go(func() {
		if err := r.Speak(r.t.Context(), s); err != nil {
			r.t.Error(err)
		}
	})
}

// await returns the next notice.
func (r *runningAvatar) await() notice {
	r.t.Helper()
	select {
	case n := <-r.came:
		return n
	case <-time.After(time.Minute):
		r.t.Fatal("nothing is told")
		return notice{}
	}
}

// tone is a tone of 16-bit samples.
func tone(rate, channels int, length time.Duration) []byte {
	var out []byte
	for i := range int(length * time.Duration(rate) / time.Second) {
		v := uint16(int16(9000 * math.Sin(2*math.Pi*440*float64(i)/float64(rate))))
		for range channels {
			out = binary.LittleEndian.AppendUint16(out, v)
		}
	}
	return out
}

// A stream is played byte for byte, its start and its end are reported, and every second
// packet has a picture with an open mouth.
func TestStreamIsPublished(t *testing.T) {
	needOpus(t)
	defer testwait.Goroutines(t)
	file, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	pcm := tone(Rate, 1, 1500*time.Millisecond)
	synctest.Test(t, func(t *testing.T) {
		r := runAvatarWith(t, Options{Record: file}, faceSource)
		time.Sleep(time.Second)
		r.speak("one", pcm)
		if n := r.await(); n != (notice{utterance: "one", isStart: true}) {
			t.Errorf("first it reports %+v", n)
		}
		if n := r.await(); n != (notice{utterance: "one", played: 1500 * time.Millisecond}) {
			t.Errorf("then it reports %+v", n)
		}
		r.speak("nothing", nil)
		if n := r.await(); n != (notice{utterance: "nothing"}) {
			t.Errorf("of an empty stream it reports %+v", n)
		}
		time.Sleep(time.Second)
		r.end()
		if loud := r.loud(); loud < 75 || loud > 76 {
			t.Errorf("%d packets have sound, and not 75", loud)
		}
		for i, tick := range r.ticks {
			if tick != int64(i) {
				t.Fatalf("packet %d is that of tick %d", i, tick)
			}
			if _, ok := r.pictures[tick]; ok != (i%pictureEvery == 0) && i < len(r.ticks)-2 {
				t.Errorf("tick %d has a picture: %v", tick, ok)
			}
		}
		d := vp8.NewDecoder()
		d.Init(bytes.NewReader(r.pictures[0]), len(r.pictures[0]))
		if header, err := d.DecodeFrameHeader(); err != nil || header.Width != faceWidth || !header.KeyFrame {
			t.Errorf("the first picture: %+v, %v", header, err)
		}
		quiet, moving := len(r.pictures[20]), len(r.pictures[int64(firstLoud(r.levels))/2*2+2])
		if moving < 2*quiet {
			t.Errorf("a picture has %d bytes while the mouth opens, and %d in silence", moving, quiet)
		}
	})
	recorded, err := os.ReadFile(file.Name())
	if err != nil || !bytes.Equal(recorded[len(recorded)-len(pcm):], pcm) {
		t.Errorf("%d bytes were recorded, and they are not the stream: %v", len(recorded), err)
	}
}

func firstLoud(levels []uint8) int {
	for i, level := range levels {
		if level < silence {
			return i
		}
	}
	return 0
}

// The position that an interrupt reports is what was published, within a frame, even if sound
// is published later than it is drawn.
func TestInterrupts(t *testing.T) {
	for _, delay := range []time.Duration{0, 200 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := runAvatar(t, Options{Delay: delay})
				pcm := tone(Rate, 1, 1500*time.Millisecond)
				random := rand.New(rand.NewPCG(1, 2))
				for i := range testwait.Trials(100) {
					before := r.loud()
					r.speak(fmt.Sprint(i), pcm)
					time.Sleep(time.Duration(random.Int64N(int64(1500 * time.Millisecond))))
					r.Clear()
					last := r.await()
					for last.isStart {
						last = r.await()
					}
					time.Sleep(500 * time.Millisecond)
					heard := time.Duration(r.loud()-before) * Tick
					if !last.isInterrupted || last.utterance != fmt.Sprint(i) || (last.played-heard).Abs() > Tick {
						t.Errorf("interrupt %d: %+v, and %v were published", i, last, heard)
					}
				}
				r.end()
			})
		})
	}
}

// A clear drops and reports everything that arrived before it. Audio after it is played, and a
// stream that was cleared may continue without harm.
func TestClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runAvatar(t, Options{})
		in, out := io.Pipe()
		r.stream(Stream{"open", in, Rate, 1})
		if _, err := out.Write(tone(Rate, 1, time.Second)); err != nil {
			t.Fatal(err)
		}
		if n := r.await(); !n.isStart {
			t.Fatalf("first it reports %+v", n)
		}
		r.speak("waits", tone(Rate, 1, time.Second))
		synctest.Wait()
		r.Clear()
		told := map[string]notice{}
		for range 2 {
			n := r.await()
			told[n.utterance] = n
		}
		if n := told["open"]; !n.isInterrupted || n.played > 2*Tick {
			t.Errorf("of the open stream it reports %+v", n)
		}
		if n := told["waits"]; !n.isInterrupted || n.played != 0 {
			t.Errorf("of the stream behind it, it reports %+v", n)
		}
		r.speak("after", tone(Rate, 1, time.Second))
		r.await()
		if n := r.await(); n != (notice{utterance: "after", played: time.Second}) {
			t.Errorf("of the next stream it reports %+v", n)
		}
		_, _ = out.Write(tone(Rate, 1, time.Second)) // nobody hears it
		_ = out.Close()
		time.Sleep(2 * time.Second)
		r.Clear() // nothing plays
		r.end()
		if loud := r.loud(); loud > 55 {
			t.Errorf("%d packets have sound", loud)
		}
	})
}

// A stream that is cleared before the replica has read any of it is reported too.
func TestClearBeforeTheReplicaReads(t *testing.T) {
	a, err := New(&Options{})
	if err != nil {
		t.Skip(err)
	}
	ctx := testwait.Context(t)
	a.Clear()
	if n := a.timeline.notices; len(n) != 0 {
		t.Errorf("without a stream it reports %+v", n)
	}
	known := Stream{"known", bytes.NewReader(tone(Rate, 1, 100*time.Millisecond)), Rate, 1}
	if err := a.Speak(ctx, known); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the interrupt, and a part of the stream
		if _, err := a.inlet.Receive(ctx); err != nil {
			t.Fatal(err)
		}
	}
	unknown := Stream{"unknown", bytes.NewReader(tone(Rate, 1, 100*time.Millisecond)), Rate, 1}
	if err := a.Speak(ctx, unknown); err != nil {
		t.Fatal(err)
	}
	a.Clear()
	if n := a.timeline.notices; len(n) != 1 || n[0] != (notice{utterance: "unknown", isInterrupted: true}) {
		t.Errorf("it reports %+v; the replica reports what it knows of", n)
	}
}

// Streams of any rate and number of channels play in the correct time.
func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runAvatar(t, Options{})
		for _, rate := range []int{8000, 16000, 22050, 44100, 48000} {
			for channels := 1; channels <= 2; channels++ {
				id := fmt.Sprint(rate, channels)
				r.stream(Stream{id, bytes.NewReader(tone(rate, channels, 500*time.Millisecond)), rate, channels})
				if n := r.await(); n != (notice{utterance: id, isStart: true}) {
					t.Errorf("first it reports %+v", n)
				}
				if n := r.await(); n != (notice{utterance: id, played: 500 * time.Millisecond}) {
					t.Errorf("then it reports %+v", n)
				}
			}
		}
		if r.Speak(t.Context(), Stream{"bad", bytes.NewReader(nil), 0, 1}) == nil {
			t.Error("no error for a rate of 0")
		}
		if n := r.await(); n != (notice{utterance: "bad"}) {
			t.Errorf("of a bad stream it reports %+v", n)
		}
		r.end()
	})
}

// A broken stream is played as far as it arrived.
func TestBrokenStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runAvatar(t, Options{})
		broken := errors.New("broken")
		in, out := io.Pipe()
		r.work.Go(func() {
			if err := r.Speak(t.Context(), Stream{"breaks", in, Rate, 1}); !errors.Is(err, broken) {
				t.Errorf("it ends with %v", err)
			}
		})
		if _, err := out.Write(tone(Rate, 1, time.Second)); err != nil {
			t.Fatal(err)
		}
		_ = out.CloseWithError(broken)
		r.await()
		if n := r.await(); n.isInterrupted || (time.Second-n.played).Abs() > Tick {
			t.Errorf("it reports %+v", n)
		}
		r.end()
	})
}

// Late sound makes a pause of whole frames.
func TestLateSound(t *testing.T) {
	l := newTimeline(0)
	now := time.Now()
	l.current = "one"
	l.sound(now, Rate, make([]int16, tickSamples+100))
	begin := now
	step := func() int {
		_, f, _ := l.step(begin.Add(clockLag + Tick))
		begin = begin.Add(Tick)
		return f.samples
	}
	got := []int{step(), step()}
	l.sound(now.Add(Tick+100*time.Second/Rate), Rate, make([]int16, 2*tickSamples))
	got = append(got, step(), step(), step())
	l.items = append(l.items, item{utterance: "one", isEnd: true})
	got = append(got, step(), step())
	if want := []int{tickSamples, 0, tickSamples, tickSamples, 0, 100, 0}; !slices.Equal(got, want) {
		t.Errorf("the frames have %d samples, want %d", got, want)
	}
}

// When the avatar ends, playing audio is reported as interrupted.
func TestEndReportsPlayingAudio(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runAvatar(t, Options{})
		r.speak("one", tone(Rate, 1, 2*time.Second))
		r.await()
		time.Sleep(time.Second)
		r.end()
		if n := r.await(); !n.isInterrupted || (n.played-time.Second).Abs() > 2*Tick {
			t.Errorf("it reports %+v", n)
		}
	})
}

func TestOptions(t *testing.T) {
	if !opusencoder.Available {
		if _, err := New(&Options{}); !errors.Is(err, ErrNoOpus) {
			t.Errorf("without libopus: %v", err)
		}
		return
	}
	for _, delay := range []time.Duration{-1, MaxDelay + 1} {
		if _, err := New(&Options{Delay: delay}); err == nil {
			t.Errorf("no error for a delay of %v", delay)
		}
	}
}

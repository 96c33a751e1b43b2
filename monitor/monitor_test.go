package monitor

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"echocast/echo"
	"echocast/internal/pcm"
	"echocast/internal/testwait"
	"echocast/replica/serve"
	"echocast/room"
	"echocast/room/peer"
)

func TestMain(m *testing.M) { testwait.RunAndFindLeaks(m) }

// ramp is a source of samples that count up, again and again.
type ramp struct{ at, end int }

func (r *ramp) ReadSamples(p []float32) (int, error) {
	if r.at == r.end {
		return 0, io.EOF
	}
	n := min(len(p), r.end-r.at)
	for i := range n {
		p[i] = float32((r.at+i)%65536) / 65536
	}
	r.at += n
	return n, nil
}

// The file holds exactly what the stand-in recorded, also after an interrupt. The utterance that
// is interrupted is sent about a second ahead: on a slow machine too, most of it is left.
func TestFileMatchesRecording(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	record, name := filepath.Join(dir, "record.wav"), filepath.Join(dir, "monitor.wav")
	local, err := serve.StartLocal(&serve.LocalOptions{Record: record})
	if err != nil {
		t.Fatal(err)
	}
	ctx := testwait.Context(t)
	joined, err := room.Join(ctx, local.URL(), &room.Options{Backend: &peer.Backend{}})
	if err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	file, speaks := NewFile(out), make(chan struct{}, 10)
	session, err := echo.NewSession(joined.Stage(), &echo.Options{
		HeardTimeout: testwait.Limit, InterruptTimeout: testwait.Limit,
		Observe: func(m echo.Moment) {
			file.Observe(m)
			if m.Kind == echo.MomentEvent && m.Event.Kind == echo.StartedSpeaking {
				speaks <- struct{}{}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := session.WaitReady(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := session.Speak(ctx, echo.Speech{Samples: &ramp{end: 3000}}); err != nil {
		t.Fatal(err)
	}
	testwait.Receive(t, speaks)
	for len(speaks) > 0 { // twins
		<-speaks
	}
	const long = 60 * 24000
	var interrupting sync.WaitGroup
	interrupting.Go(func() {
		testwait.Came(t, speaks)
		_ = session.Interrupt(ctx, nil)
	})
	receipt, err := session.Speak(ctx, echo.Speech{Samples: &ramp{end: long}})
	interrupting.Wait()
	if !errors.Is(err, echo.ErrStopped) || receipt.SpokenBy != echo.ByEvent {
		t.Fatalf("%+v, %v", receipt, err)
	}
	if _, err := session.Speak(ctx, echo.Speech{Samples: &ramp{end: 2000}}); err != nil {
		t.Fatal(err)
	}
	_ = session.Close()
	_ = joined.Close()
	if err := errors.Join(file.Close(), local.Close()); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v; the stand-in recorded %d", len(got), err, len(want))
	}
	if n := (len(want) - headerSize) / 2; n <= 5000 || n >= 3000+long {
		t.Errorf("%d samples were recorded: nothing was cut", n)
	}
}

// chunkMoments returns the moments of an utterance in chunks of 1200 samples, the first at the
// given time.
func chunkMoments(id string, at time.Time, samples int) (all []echo.Moment) {
	all = append(all, echo.Moment{Kind: echo.MomentBegin, InferenceID: id, At: at, Rate: 24000})
	source := &ramp{end: samples}
	for source.at < samples {
		chunk := make([]float32, 1200)
		n, _ := source.ReadSamples(chunk)
		all = append(all, echo.Moment{Kind: echo.MomentChunk, InferenceID: id, At: at, PCM: chunk[:n]})
	}
	return all
}

func receiptMoment(id string, r echo.Receipt) echo.Moment {
	return echo.Moment{Kind: echo.MomentReceipt, InferenceID: id, Receipt: &r}
}

func eventMoment(kind echo.Kind) echo.Moment {
	return echo.Moment{Kind: echo.MomentEvent, At: time.Now(), Event: &echo.Event{Kind: kind, Role: echo.RolePal}}
}

// program records what a player passes to it, and when.
type program struct {
	begin  time.Time
	mu     sync.Mutex
	bytes  []byte
	starts []time.Duration
	ends   int
	fails  error // to start
	ended  bool  // by itself, at once
}

func (p *program) start(int) (io.WriteCloser, func() error, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starts = append(p.starts, time.Since(p.begin))
	return p, func() error { return nil }, p.fails
}

func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return 0, io.ErrClosedPipe
	}
	p.bytes = append(p.bytes, b...)
	return len(b), nil
}

func (p *program) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends++
	return nil
}

// played returns how many samples the program has received.
func (p *program) played() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.bytes) / 2
}

// samplesOf returns the first samples of a ramp.
func samplesOf(n int) []byte {
	floats, all := make([]float32, n), make([]int16, n)
	_, _ = (&ramp{end: n}).ReadSamples(floats)
	pcm.Quantise(all, floats)
	return pcm.Bytes(all)
}

// The player passes on what is due, a little behind the replica, and stops at the sample at
// which the replica stopped.
func TestPlayerKeepsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &program{begin: time.Now()}
		player := NewPlayer(out.start)
		for _, m := range chunkMoments("a", time.Now(), 24000) {
			player.Observe(m)
		}
		time.Sleep(300 * time.Millisecond)
		player.Observe(eventMoment(echo.StartedSpeaking))
		time.Sleep(playbackDelay)
		if n := out.played(); n != 0 {
			t.Errorf("%d samples were played before the replica spoke", n)
		}
		time.Sleep(500*time.Millisecond + step)
		if n := out.played(); n < 12000 || n > 13000 {
			t.Errorf("%d samples were played after 500 ms", n)
		}
		player.Observe(echo.Moment{Kind: echo.MomentInterrupt, InferenceID: "a", At: time.Now()})
		before := out.played()
		time.Sleep(time.Second)
		if n := out.played(); n != before {
			t.Errorf("%d samples more were played after the interrupt", n-before)
		}
		player.Observe(receiptMoment("a", echo.Receipt{Outcome: echo.Interrupted, SpokenSeconds: 0.7,
			SpokenBy: echo.ByEvent}))
		for _, m := range chunkMoments("b", time.Now(), 2400) {
			player.Observe(m)
		}
		player.Observe(receiptMoment("b", echo.Receipt{Outcome: echo.Finished}))
		if err := player.Close(); err != nil {
			t.Error(err)
		}
		want := slices.Concat(samplesOf(16800), samplesOf(2400))
		if !bytes.Equal(out.bytes, want) || out.ends != 2 || len(out.starts) != 2 {
			t.Errorf("%d bytes, want %d; %d programs, %d ended", len(out.bytes), len(want), len(out.starts), out.ends)
		}
	})
}

// When the replica runs out of audio, so does the player. Nothing is lost or skipped.
func TestPlayerUnderrun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &program{begin: time.Now()}
		player := NewPlayer(out.start)
		all := chunkMoments("a", time.Now(), 4800)
		for _, m := range all[:3] {
			player.Observe(m)
		}
		player.Observe(eventMoment(echo.StartedSpeaking))
		time.Sleep(3 * time.Second)
		if n := out.played(); n != 2400 {
			t.Errorf("%d samples played", n)
		}
		for _, m := range all[3:] {
			player.Observe(m)
		}
		time.Sleep(50*time.Millisecond + step)
		if n := out.played(); n < 3600 || n > 2400+24*95 { // two steps more at most
			t.Errorf("%d samples were played 50 ms after the gap", n)
		}
		player.Observe(receiptMoment("a", echo.Receipt{Outcome: echo.Finished}))
		if err := player.Close(); err != nil || !bytes.Equal(out.bytes, samplesOf(4800)) {
			t.Errorf("%d bytes, %v", len(out.bytes), err)
		}
	})
}

// Without events the player begins on its own; without a receipt Close does not wait for one.
func TestPlayerWithoutEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &program{begin: time.Now()}
		player := NewPlayer(out.start)
		for _, m := range chunkMoments("a", time.Now(), 24000) {
			player.Observe(m)
		}
		time.Sleep(silentStart + 500*time.Millisecond + step)
		if n := out.played(); n < 11000 || n > 13000 {
			t.Errorf("%d samples", n)
		}
		for range 2 {
			if err := player.Close(); err != nil || out.ends != 1 {
				t.Errorf("%v, %d ended", err, out.ends)
			}
		}
		player.Observe(eventMoment(echo.StartedSpeaking)) // nothing happens
	})
}

// A program that cannot be started is an error, and blocks nothing.
func TestPlayerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("no sound card")
		player := NewPlayer((&program{begin: time.Now(), fails: broken}).start)
		for _, m := range chunkMoments("a", time.Now(), 24000) {
			player.Observe(m)
		}
		player.Observe(receiptMoment("a", echo.Receipt{Outcome: echo.Finished}))
		if err := player.Close(); !errors.Is(err, broken) {
			t.Error(err)
		}
	})
}

// A program that ends by itself is not started again.
func TestPlayerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ending := &program{begin: time.Now(), ended: true}
		player := NewPlayer(ending.start)
		for _, m := range chunkMoments("a", time.Now(), 24000) {
			player.Observe(m)
		}
		player.Observe(eventMoment(echo.StartedSpeaking))
		time.Sleep(time.Second) // the replica speaks
		player.Observe(receiptMoment("a", echo.Receipt{Outcome: echo.Finished}))
		if err := player.Close(); !errors.Is(err, io.ErrClosedPipe) {
			t.Error(err)
		}
		if n := len(ending.starts); n != 1 {
			t.Errorf("it was started %d times", n)
		}
	})
}

// fullDisk fails every write.
type fullDisk struct{ *os.File }

func (fullDisk) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// After a failed write, a File keeps no audio in memory.
func TestFileFails(t *testing.T) {
	file := NewFile(fullDisk{})
	for range 3 {
		for _, m := range chunkMoments("a", time.Now(), 24000) {
			file.Observe(m)
		}
	}
	for _, u := range file.all {
		if len(u.samples) > 0 {
			t.Errorf("%d samples are kept", len(u.samples))
		}
	}
	if err := file.Close(); !errors.Is(err, io.ErrShortWrite) {
		t.Error(err)
	}
}

// A session that says nothing leaves a valid WAV file without samples.
func TestEmptyFile(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "a.wav"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := NewFile(out).Close(); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(out.Name()); err != nil || !bytes.Equal(data, pcm.WAVHeader(24000, 1, 0)) {
		t.Errorf("%x, %v", data, err)
	}
}

// If chunks of an utterance arrive before the receipt of the one before, they wait for it.
func TestFileKeepsTheOrder(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "a.wav"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	file := NewFile(out)
	for _, m := range slices.Concat(chunkMoments("a", time.Now(), 4800), chunkMoments("b", time.Now(), 2400)) {
		file.Observe(m)
	}
	file.Observe(receiptMoment("a", echo.Receipt{Outcome: echo.Failed, HeardSamples: 1000}))
	file.Observe(receiptMoment("b", echo.Receipt{Outcome: echo.Finished}))
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	want := slices.Concat(pcm.WAVHeader(24000, 1, 6800), samplesOf(1000), samplesOf(2400))
	if data, err := os.ReadFile(out.Name()); err != nil || !bytes.Equal(data, want) {
		t.Errorf("%d bytes, want %d, %v", len(data), len(want), err)
	}
}

// playAtOnce plays more than a pipe holds to a program. All of it is due at once.
func playAtOnce(t *testing.T, program Program) error {
	t.Helper()
	player := NewPlayer(program)
	for _, m := range chunkMoments("a", time.Now(), 100_000) {
		player.Observe(m)
	}
	began := eventMoment(echo.StartedSpeaking)
	began.At = time.Now().Add(-time.Minute)
	player.Observe(began)
	player.Observe(receiptMoment("a", echo.Receipt{Outcome: echo.Finished}))
	closed := make(chan error, 1)
	go func() { closed <- player.Close() }()
	return testwait.Receive(t, closed)
}

// A program that does not read is killed, and Close returns with an error.
func TestPlayerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip(err)
	}
	if err := playAtOnce(t, command(path, []string{"1000"}, 10*time.Millisecond)); !errors.Is(err, errStalled) {
		t.Errorf("it says %v", err)
	}
}

// A player that ends early is reported with its last line, also where its exit status is 0.
func TestPlayerThatEndsEarly(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	err = playAtOnce(t, command(path, []string{"-c", "echo no sound card >&2"}, testwait.Limit))
	if !errors.Is(err, errEarly) || !strings.HasSuffix(err.Error(), "no sound card") {
		t.Errorf("it says %v", err)
	}
}

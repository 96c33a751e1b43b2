package acceptance

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"echocast/cli"
	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/rtc/daily/dailytest"
)

// samples reads 16-bit samples.
func samples(t *testing.T, pcm []byte) []int16 {
	t.Helper()
	out := make([]int16, len(pcm)/2)
	if err := binary.Read(bytes.NewReader(pcm), binary.LittleEndian, out); err != nil {
		t.Fatal(err)
	}
	return out
}

// frequency is that of a tone, by its waves between the first and the last
// upward crossing of zero.
func frequency(pcm []int16, rate int) float64 {
	first, last, waves := -1.0, 0.0, -1
	for i := 1; i < len(pcm); i++ {
		if a, b := float64(pcm[i-1]), float64(pcm[i]); a < 0 && b >= 0 {
			last = float64(i-1) - a/(b-a)
			if first < 0 {
				first = last
			}
			waves++
		}
	}
	return float64(waves) * float64(rate) / (last - first)
}

// steady is the median of the frequencies of quarters of a second: a browser on
// a busy machine makes a tone that clicks.
func steady(pcm []int16, rate int) float64 {
	var parts []float64
	for part := range slices.Chunk(pcm, rate/4) {
		parts = append(parts, frequency(part, rate))
	}
	slices.Sort(parts)
	return parts[len(parts)/2]
}

// loud is the part from the first to the last loud sample.
func loud(pcm []int16) []int16 {
	first, last := -1, 0
	for i, sample := range pcm {
		if sample > 1000 {
			last = i
			if first < 0 {
				first = i
			}
		}
	}
	if first < 0 {
		return nil
	}
	return pcm[first : last+1]
}

// hum writes a file of a tone of so many seconds each, with pauses of 3 s.
func hum(t *testing.T, hertz float64, seconds ...float64) string {
	t.Helper()
	header, _ := tone(0)
	file := header
	for i, length := range seconds {
		if i > 0 {
			file = append(file, make([]byte, 3*48000)...)
		}
		for n := range int(length * 24000) {
			file = binary.LittleEndian.AppendUint16(file, uint16(int16(9000*math.Sin(2*math.Pi*hertz*float64(n)/24000))))
		}
	}
	name := filepath.Join(t.TempDir(), "tone.wav")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// notices is a stderr that tells when a line has come.
type notices struct {
	mu    sync.Mutex
	text  strings.Builder
	await string
	came  chan struct{}
}

func awaiting(line string) *notices { return &notices{await: line, came: make(chan struct{})} }

func (n *notices) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.text.Write(p)
	if n.await != "" && strings.Contains(n.text.String(), n.await) {
		n.await = ""
		close(n.came)
	}
	return len(p), nil
}

func (n *notices) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String()
}

var errEnough = errors.New("enough")

// serveReplica is the replica command in this process; end ends it.
func serveReplica(t *testing.T, arguments ...string) (url string, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(testwait.Context(t))
	said := awaiting("send --to ")
	var ended sync.WaitGroup
	ended.Go(func() {
		cli.Run(ctx, append([]string{"echocast", "replica", "--listen", "127.0.0.1:0"}, arguments...), cli.Streams{Err: said})
	})
	testwait.Receive(t, said.came)
	_, url, _ = strings.Cut(said.String(), "send --to ")
	url, _, _ = strings.Cut(url, " ")
	return url, func() {
		cancel(errEnough)
		ended.Wait()
	}
}

// hearTo runs the hear command until it ends by itself.
func hearTo(t *testing.T, stderr *notices, arguments ...string) (code int, pcm []byte) {
	t.Helper()
	var stdout bytes.Buffer
	code = cli.Run(testwait.Context(t), append([]string{"echocast", "hear"}, arguments...),
		cli.Streams{Out: &stdout, Err: stderr})
	return code, stdout.Bytes()
}

// lost returns an error if packets were lost.
func lost(stderr *notices) error {
	if !strings.Contains(stderr.String(), " 0 were lost") {
		return fmt.Errorf("something was lost: %s", stderr)
	}
	return nil
}

// bestOfThree makes a trial until it succeeds, at most three times: a busy
// machine may lose or delay packets, a fault in the code does it each time.
func bestOfThree(t *testing.T, trial func() error) {
	t.Helper()
	var failures error
	for range 3 {
		err := trial()
		if err == nil {
			return
		}
		failures = errors.Join(failures, err)
	}
	t.Error(failures)
}

// What the replica plays is heard by another connection: the same tone, and a
// pause as long as it was.
func TestTheReplicaIsHeard(t *testing.T) {
	t.Parallel()
	url, end := serveReplica(t)
	defer end()
	bestOfThree(t, func() error { return hearReplica(t, url) })
}

func hearReplica(t *testing.T, url string) error {
	stderr := awaiting("hearing the replica")
	var sending sync.WaitGroup
	sending.Go(func() {
		if !testwait.Came(t, stderr.came) {
			return
		}
		if o := send(testwait.Context(t), t, &stage{arguments: []string{"--to", url}}, nil, hum(t, 440, 3, 2)); o.code != 0 {
			t.Error(o)
		}
	})
	code, pcm := hearTo(t, stderr, "--to", url, "--from", "replica", "--rate", "16000", "--duration", "11s")
	sending.Wait()
	all := samples(t, pcm)
	if code != 0 || len(all) != 11*16000 {
		t.Fatalf("code %d, %d samples: %s", code, len(all), stderr)
	}
	said := loud(all)
	if got := float64(len(said)) / 16000; math.Abs(got-8) > 0.02 {
		return errors.Join(fmt.Errorf("3 s, a pause of 3 s and 2 s are heard as %v s", got), lost(stderr))
	}
	for _, part := range [][]int16{said[:3*16000-480], said[6*16000+480:]} {
		if got := frequency(part[800:], 16000); math.Abs(got-440) > 0.44 {
			return fmt.Errorf("the tone has %v Hz", got)
		}
	}
	pause := said[3*16000+480 : 6*16000-480]
	for i, sample := range pause {
		if sample > 300 || sample < -300 { // the codec rings
			return fmt.Errorf("sample %d of the pause is %d", i, sample)
		}
	}
	return lost(stderr)
}

// The user's microphone is heard, into a WAV file whose header is complete.
func TestTheUserIsHeard(t *testing.T) {
	t.Parallel()
	bestOfThree(t, func() error { return hearUser(t) })
}

func hearUser(t *testing.T) error {
	url, end := serveReplica(t, "--user", hum(t, 300, 2))
	defer end()
	name := filepath.Join(t.TempDir(), "user.wav")
	stderr := awaiting("")
	if code, _ := hearTo(t, stderr, "--to", url, "--rate", "24000", "--duration", "3s", name); code != 0 {
		t.Fatal(stderr)
	}
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(file) != 44+3*48000 || binary.LittleEndian.Uint32(file[40:]) != 3*48000 ||
		binary.LittleEndian.Uint32(file[4:]) != 36+3*48000 {
		t.Errorf("%d bytes, header %q", len(file), file[:44])
	}
	return errors.Join(checkTone(samples(t, file[44:]), 24000, 300, 2), lost(stderr))
}

// checkTone looks for a tone of so many seconds.
func checkTone(all []int16, rate int, hertz, seconds float64) error {
	said := loud(all)
	if got := float64(len(said)) / float64(rate); math.Abs(got-seconds) > 0.03 {
		return fmt.Errorf("%v s are heard as %v s", seconds, got)
	}
	if got := frequency(said[rate/20:], rate); math.Abs(got-hertz) > hertz/1000 {
		return fmt.Errorf("the tone has %v Hz", got)
	}
	return nil
}

// A command takes the samples, and hearing ends with it.
func TestACommandHears(t *testing.T) {
	t.Parallel()
	url, end := serveReplica(t, "--user", hum(t, 300, 2))
	defer end()
	stderr := awaiting("")
	code, out := hearTo(t, stderr, "--to", url, "--exec", "head -c 16000 | wc -c")
	if code != 0 || strings.TrimSpace(string(out)) != "16000" {
		t.Errorf("code %d, %q: %s", code, out, stderr)
	}
}

// What the user says while the replica speaks is heard on the same connection.
func TestASenderHears(t *testing.T) {
	t.Parallel()
	bestOfThree(t, func() error {
		url, end := serveReplica(t, "--user", hum(t, 300, 3))
		defer end()
		name := filepath.Join(t.TempDir(), "user.wav")
		o := send(testwait.Context(t), t, &stage{arguments: []string{"--to", url}}, nil, "--hear", name, speech)
		if o.code != 0 || len(o.receipts) != 1 || o.receipts[0].Outcome != echo.Finished {
			t.Fatal(o)
		}
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return checkTone(samples(t, file[44:]), 16000, 300, 3)
	})
}

// --asr runs the user's own recogniser: it receives what the user says, and echocast
// answers what it prints.
func TestYourOwnRecogniser(t *testing.T) {
	t.Parallel()
	url, end := serveReplica(t, "--user", hum(t, 300, 3))
	defer end()
	var stdout bytes.Buffer
	stderr := awaiting("")
	code := cli.Run(testwait.Context(t), []string{"echocast", "converse", "--to", url, "--count", "1", "--json",
		"--asr", "head -c 64000 | wc -c; cat >/dev/null", "--on-utterance", "cat", "--tts",
		"cat >/dev/null; head -c 20044 " + speech},
		cli.Streams{Out: &stdout, Err: stderr})
	if code != 0 || strings.Count(stdout.String(), `"outcome":"finished"`) != 1 ||
		!strings.Contains(stderr.String(), "user: 64000\n") {
		t.Errorf("code %d, %s%s", code, &stdout, stderr)
	}
	code = cli.Run(testwait.Context(t), []string{"echocast", "converse", "--to", url, "--asr", "exit 3",
		"--on-utterance", "cat", "--tts", "cat"}, cli.Streams{Err: stderr})
	if code != 1 || !strings.Contains(stderr.String(), "the recogniser command ended 5 times without a line") {
		t.Errorf("code %d, %s", code, stderr)
	}
}

// dailyWays are the arguments by which either way into a Daily room is taken.
var dailyWays = map[string]func(t *testing.T, room *dailytest.Room) []string{
	"browser": func(t *testing.T, room *dailytest.Room) []string {
		needBrowser(t)
		awaitBrowser(t)
		return []string{"--daily-js", dailyJS, "--daily-call-machine", room.CallMachine()}
	},
	"library": func(t *testing.T, _ *dailytest.Room) []string { return []string{"--daily-core", needLibrary(t)} },
}

// In a Daily room the replica and the first of the others are heard.
func TestADailyRoomIsHeard(t *testing.T) {
	t.Parallel()
	for way, arguments := range dailyWays {
		for from, hertz := range map[string]int{"replica": 440, "user": 1000} {
			t.Run(way+", "+from, func(t *testing.T) {
				t.Parallel()
				room, err := dailytest.NewRoom(dailytest.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer room.Close()
				room.Enter("Ann", "tavus-replica-1").Hum(440)
				stderr := awaiting("hearing ")
				var coming sync.WaitGroup
				coming.Go(func() {
					if !testwait.Came(t, stderr.came) {
						return
					}
					room.Enter("Bob", "").Hum(1000) // comes later
				})
				code, pcm := hearTo(t, stderr, append(arguments(t, room), "--to", "daily+"+room.URL(),
					"--from", from, "--rate", "48000", "--duration", heardFor().String())...)
				coming.Wait()
				if code != 0 {
					t.Fatal(stderr)
				}
				said := loud(samples(t, pcm))
				if len(said) < 2*48000 {
					t.Fatalf("only %d samples are loud: %s", len(said), stderr)
				}
				if got := steady(said[24000:], 48000); math.Abs(got-float64(hertz)) > float64(hertz)/1000 {
					t.Errorf("the %s hums %v Hz, want %d", from, got, hertz)
				}
			})
		}
	}
}

// A pause of 3 s in a Daily room is as long in the stream.
func TestAPauseInADailyRoom(t *testing.T) {
	t.Parallel()
	for way, arguments := range dailyWays {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			room, err := dailytest.NewRoom(dailytest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer room.Close()
			join := append(arguments(t, room), "--to", "daily+"+room.URL(), "--from", "replica", "--rate",
				"16000", "--duration", "8s")
			bestOfThree(t, func() error { return hearPause(t, room, join) })
		})
	}
}

// hearPause lets a replica in the room hum, pause and hum again, and compares how
// long the pause was with how long it is in the stream.
func hearPause(t *testing.T, room *dailytest.Room, join []string) error {
	var pause float64
	ann := room.Enter("Ann", "tavus-replica-1")
	defer ann.Leave()
	ann.Hum(440)
	stderr := awaiting("hearing ")
	var humming sync.WaitGroup
	humming.Go(func() {
		if !testwait.Came(t, stderr.came) {
			return
		}
		time.Sleep(2500 * time.Millisecond)
		began := time.Now()
		ann.Hum(0)
		time.Sleep(3 * time.Second)
		ann.Hum(440)
		pause = time.Since(began).Seconds()
	})
	code, pcm := hearTo(t, stderr, join...)
	humming.Wait()
	if code != 0 {
		t.Fatal(stderr)
	}
	longest, quiet := 0, 0
	for _, v := range loud(samples(t, pcm)) {
		quiet++
		if v > 500 || v < -500 {
			longest, quiet = max(longest, quiet), 0
		}
	}
	// What a busy machine delays stays below a fifth; a pause that is left out does not.
	if got := float64(longest) / 16000; math.Abs(got-pause) > pause/5 {
		return fmt.Errorf("a pause of %v s is heard as %v s", pause, got)
	}
	return lost(stderr)
}

// heardFor is how long a Daily room is heard: ECHOCAST_HEAR_LONG makes it 30 s.
func heardFor() time.Duration {
	if os.Getenv("ECHOCAST_HEAR_LONG") != "" {
		return 32 * time.Second
	}
	return 5 * time.Second
}

// A call in a Daily room is recorded by two more participants, each side in its channel.
func TestACallInADailyRoomIsRecorded(t *testing.T) {
	t.Parallel()
	room, err := dailytest.NewRoom(dailytest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer room.Close()
	arguments := dailyWays["library"](t, room)
	room.Enter("Ann", "tavus-replica-1").Hum(440)
	name := filepath.Join(t.TempDir(), "call.wav")
	stderr := awaiting("recording in ")
	var coming sync.WaitGroup
	coming.Go(func() {
		if testwait.Came(t, stderr.came) {
			room.Enter("Bob", "").Hum(1000) // after those who record
		}
	})
	code := cli.Run(testwait.Context(t),
		append([]string{"echocast", "hear", "--to", "daily+" + room.URL(), "--record", name,
			"--duration", "6s"}, arguments...), cli.Streams{Err: stderr})
	coming.Wait()
	data, err := os.ReadFile(name)
	if code != 0 || err != nil || len(data) < 44+4*24000*3 {
		t.Fatalf("code %d, %d bytes, %v: %s", code, len(data), err, stderr)
	}
	both := samples(t, data[44:])
	for side, hertz := range []float64{440, 1000} {
		var one []int16
		for at := side; at < len(both); at += 2 {
			one = append(one, both[at])
		}
		if said := loud(one); len(said) < 2*24000 {
			t.Errorf("only %d samples of side %d are loud: %s", len(said), side, stderr)
		} else if got := steady(said[12000:], 24000); math.Abs(got-hertz) > hertz/1000 {
			t.Errorf("side %d hums %v Hz, want %v", side, got, hertz)
		}
	}
}

package acceptance

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"echocast/cli"
	"echocast/echo"
	"echocast/internal/shutdown"
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

// steady is the median of the frequencies of those twentieths of a second that are loud: a browser
// on a busy machine makes a tone that clicks, and has gaps.
func steady(pcm []int16, rate int) float64 {
	var parts []float64
	for part := range slices.Chunk(pcm, rate/20) {
		isWhole := len(part) == rate/20
		for window := range slices.Chunk(part, rate/100) {
			isWhole = isWhole && slices.Max(window) > 1000
		}
		if isWhole {
			parts = append(parts, frequency(part, rate))
		}
	}
	if len(parts) == 0 {
		return math.NaN()
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

// hum writes a file of tones with the given lengths in seconds, and pauses of 3 s.
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

// notices is a stderr that reports when a line has arrived.
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

// loudTape stores samples. It stops the writer when isEnough says so of the loud seconds, and of
// those since the last loud one.
type loudTape struct {
	rate     int
	isEnough func(heard, paused float64) bool
	stop     context.CancelCauseFunc
	pcm      []byte
	seen     int // bytes of windows that were looked at
	loud     int // of them, windows
	quiet    int // of them, windows since the last loud one
}

func (h *loudTape) Write(p []byte) (int, error) {
	h.pcm = append(h.pcm, p...)
	for window := h.rate / 100 * 2; h.seen+window <= len(h.pcm); h.seen += window {
		h.quiet++
		if isLoud(h.pcm[h.seen : h.seen+window]) {
			h.loud++
			h.quiet = 0
		}
	}
	if h.isEnough(float64(h.loud)/100, float64(h.quiet)/100) {
		h.stop(shutdown.SignalError{Signal: syscall.SIGINT})
	}
	return len(p), nil
}

// forSeconds is enough at the next pause after so many loud seconds, or after three more.
func forSeconds(seconds float64) func(heard, paused float64) bool {
	return func(heard, paused float64) bool {
		return heard >= seconds && (paused >= pauseSeconds || heard >= seconds+3)
	}
}

// isLoud reports whether 10 ms are part of a tone.
func isLoud(window []byte) bool {
	for ; len(window) > 1; window = window[2:] {
		if int16(binary.LittleEndian.Uint16(window)) > 1000 {
			return true
		}
	}
	return false
}

// hearLoud runs the hear command until it was enough.
func hearLoud(t *testing.T, stderr *notices, rate int, isEnough func(heard, paused float64) bool,
	arguments ...string) []int16 {
	t.Helper()
	ctx, stop := context.WithCancelCause(testwait.Context(t))
	defer stop(nil)
	out := &loudTape{rate: rate, isEnough: isEnough, stop: stop}
	code := cli.Run(ctx, append([]string{"echocast", "hear", "--rate", strconv.Itoa(rate)}, arguments...),
		cli.Streams{Out: out, Err: stderr})
	if code != 0 {
		t.Fatalf("code %d, %d samples: %s", code, len(out.pcm)/2, stderr)
	}
	return samples(t, out.pcm)
}

// pauseSeconds is how long a pause between two tones is at least.
const pauseSeconds = 1.5

// tones are the parts with sound, between pauses.
func tones(pcm []int16, rate int) (parts [][]int16) {
	pause := int(pauseSeconds * float64(rate))
	quiet := pause
	for window := range slices.Chunk(pcm, rate/100) {
		switch isQuiet := slices.Max(window) <= 1000; {
		case isQuiet:
			quiet += len(window)
		case quiet >= pause:
			parts = append(parts, nil)
			fallthrough
		default:
			parts[len(parts)-1] = append(parts[len(parts)-1], window...)
			quiet = 0
		}
	}
	return parts
}

var lostPackets = regexp.MustCompile(` (\d+) were lost`)

// lost is how many seconds the hear command says it lacks, in packets of 20 ms.
func lost(t *testing.T, stderr *notices) float64 {
	t.Helper()
	found := lostPackets.FindStringSubmatch(stderr.String())
	if found == nil {
		t.Fatalf("it does not say how many packets were lost: %s", stderr)
	}
	packets, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return 0.02 * float64(packets)
}

// checkTones looks for tones of so many seconds in all, with pauses between. A machine that stands
// still makes a gap in a tone, and the next pause shorter by it, so the tones are not told apart.
// They may lack those seconds that are said to be lost; the tests of package hear compare each
// sample.
func checkTones(t *testing.T, all []int16, rate int, hertz, lost float64, seconds ...float64) {
	t.Helper()
	sum := 0.0
	for _, length := range seconds {
		sum += length
	}
	sound := slices.Concat(tones(all, rate)...)
	heard := float64(len(sound)) / float64(rate)
	if least := max(sum/2, sum*0.95-2*lost); heard < least || heard > sum*1.05 {
		t.Errorf("%v s are heard as %v s, of which %v s were lost", sum, heard, lost)
	}
	pauses, paused := len(seconds)-1, float64(len(loud(all)))/float64(rate)-heard
	if pauses > 0 && paused < pauseSeconds*float64(pauses) {
		t.Errorf("%d tones are heard with pauses of %v s", len(seconds), paused)
	}
	if got := steady(sound, rate); !(math.Abs(got-hertz) <= hertz/1000) {
		t.Errorf("the tone has %v Hz", got)
	}
}

// Another connection hears what the replica plays: the same tone, and a pause.
func TestHearReplica(t *testing.T) {
	t.Parallel()
	url, end := serveReplica(t)
	defer end()
	stderr := awaiting("hearing the replica")
	var sending sync.WaitGroup
	var hasSent atomic.Bool
	sending.Go(func() {
		defer hasSent.Store(true)
		if !testwait.Came(t, stderr.came) {
			return
		}
		if o := send(testwait.Context(t), t, &stage{arguments: []string{"--to", url}}, nil, hum(t, 440, 3, 2)); o.code != 0 {
			t.Error(o)
		}
	})
	untilSilent := func(_, paused float64) bool { return hasSent.Load() && paused >= pauseSeconds }
	all := hearLoud(t, stderr, 16000, untilSilent, "--to", url, "--from", "replica")
	sending.Wait()
	checkTones(t, all, 16000, 440, lost(t, stderr), 3, 2)
}

// The user's microphone is heard, and written to a WAV file with a complete header.
func TestHearUser(t *testing.T) {
	t.Parallel()
	url, end := serveReplica(t, "--user", hum(t, 300, 2))
	defer end()
	name := filepath.Join(t.TempDir(), "user.wav")
	stderr := awaiting("")
	if code, _ := hearTo(t, stderr, "--to", url, "--rate", "24000", "--duration", "8s", name); code != 0 {
		t.Fatal(stderr)
	}
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(file) != 44+8*48000 || binary.LittleEndian.Uint32(file[40:]) != 8*48000 ||
		binary.LittleEndian.Uint32(file[4:]) != 36+8*48000 {
		t.Errorf("%d bytes, header %q", len(file), file[:44])
	}
	checkTones(t, samples(t, file[44:]), 24000, 300, lost(t, stderr), 2)
}

// A command gets the samples, and hearing ends when the command does.
func TestHearExec(t *testing.T) {
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
func TestSendHear(t *testing.T) {
	t.Parallel()
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
	checkTones(t, samples(t, file[44:]), 16000, 300, 1, 3) // send does not say what was lost
}

// --asr runs the user's own recogniser: it receives what the user says, and echocast
// answers what it prints.
func TestConverseRecogniserCommand(t *testing.T) {
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

// In a Daily room, the replica and the first of the other participants can be heard.
func TestHearDailyRoom(t *testing.T) {
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
				said := loud(hearLoud(t, stderr, 48000, forSeconds(heardFor().Seconds()),
					append(arguments(t, room), "--to", "daily+"+room.URL(), "--from", from)...))
				coming.Wait()
				if got := steady(said[24000:], 48000); !(math.Abs(got-float64(hertz)) <= float64(hertz)/1000) {
					t.Errorf("the %s hums %v Hz, want %d", from, got, hertz)
				}
			})
		}
	}
}

// A pause in a Daily room is a pause in the stream. The tests of package hear check its
// length.
func TestHearPauseInDailyRoom(t *testing.T) {
	t.Parallel()
	for way, arguments := range dailyWays {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			room, err := dailytest.NewRoom(dailytest.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer room.Close()
			join := append(arguments(t, room), "--to", "daily+"+room.URL(), "--from", "replica")
			ann := room.Enter("Ann", "tavus-replica-1")
			ann.Hum(440)
			stderr := awaiting("hearing ")
			var humming sync.WaitGroup
			humming.Go(func() {
				if !testwait.Came(t, stderr.came) {
					return
				}
				time.Sleep(2500 * time.Millisecond)
				ann.Hum(0)
				time.Sleep(3 * time.Second)
				ann.Hum(440)
			})
			all := hearLoud(t, stderr, 16000, forSeconds(4), join...)
			humming.Wait()
			if n := len(tones(all, 16000)); n < 2 {
				t.Errorf("the pause is not heard: %s", stderr)
			}
		})
	}
}

// heardFor is how much is heard in a Daily room: ECHOCAST_HEAR_LONG makes it 32 s.
func heardFor() time.Duration {
	if os.Getenv("ECHOCAST_HEAR_LONG") != "" {
		return 32 * time.Second
	}
	return 2 * time.Second
}

// recordedSide returns what a recording has of one side so far.
func recordedSide(name string, side int) (pcm []int16) {
	data, _ := os.ReadFile(name) // it may not be there yet
	for at := 44 + 2*side; at+1 < len(data); at += 4 {
		pcm = append(pcm, int16(binary.LittleEndian.Uint16(data[at:])))
	}
	return pcm
}

// Two more participants record a call in a Daily room, each side in its channel.
func TestRecordCallInDailyRoom(t *testing.T) {
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
	ctx, stop := context.WithCancelCause(testwait.Context(t))
	defer stop(nil)
	var coming sync.WaitGroup
	coming.Go(func() {
		if !testwait.Came(t, stderr.came) {
			return
		}
		room.Enter("Bob", "").Hum(1000) // after those who record
		for len(loud(recordedSide(name, 1))) < 3*24000 && ctx.Err() == nil {
			time.Sleep(100 * time.Millisecond)
		}
		stop(shutdown.SignalError{Signal: syscall.SIGINT})
	})
	code := cli.Run(ctx, append([]string{"echocast", "hear", "--to", "daily+" + room.URL(), "--record", name},
		arguments...), cli.Streams{Err: stderr})
	coming.Wait()
	if code != 0 {
		t.Fatalf("code %d: %s", code, stderr)
	}
	for side, hertz := range []float64{440, 1000} {
		if said := loud(recordedSide(name, side)); len(said) < 2*24000 {
			t.Errorf("only %d samples of side %d are loud: %s", len(said), side, stderr)
		} else if got := steady(said[12000:], 24000); !(math.Abs(got-hertz) <= hertz/1000) {
			t.Errorf("side %d hums %v Hz, want %v", side, got, hertz)
		}
	}
}

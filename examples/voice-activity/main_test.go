package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"echocast/cli"
	"echocast/internal/testenv"
	"echocast/internal/testwait"
)

// If this variable is set, the test binary is echocast.
const runAsEchocast = "ECHOCAST_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(runAsEchocast) != "" {
		os.Exit(cli.Main(nil))
	}
	testenv.Isolate()
	os.Setenv("ECHOCAST_LOST_AFTER", "1m") // a busy machine stands still for longer than the usual 3 s
	os.Exit(m.Run())
}

// tone returns seconds of a tone, or of silence.
func tone(seconds, amplitude float64, rate int) (samples []byte) {
	for n := range int(seconds * float64(rate)) {
		v := amplitude * math.Sin(2*math.Pi*440*float64(n)/float64(rate))
		samples = binary.LittleEndian.AppendUint16(samples, uint16(int16(32767*v)))
	}
	return samples
}

func TestDetector(t *testing.T) {
	const rate = 8000
	input := bytes.Join([][]byte{
		// One utterance, with a breath in it.
		tone(1, 0, rate), tone(1.5, 0.3, rate), tone(0.4, 0, rate), tone(0.5, 0.3, rate),
		tone(1, 0.001, rate),                      // too quiet
		tone(0.04, 0.3, rate), tone(0.5, 0, rate), // too short
		tone(1, 0.3, rate), // to the end of the input
	}, nil)
	var got []utterance
	d := &detector{rate: rate, threshold: -45, pause: 0.6, emit: func(u utterance) error {
		got = append(got, u)
		return nil
	}}
	if err := d.run(bytes.NewReader(append(input, 1))); err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 {
		t.Fatalf("%d utterances", len(got))
	}
	for i, want := range []utterance{{Start: 0.8, End: 3.4}, {Start: 4.74, End: 5.94}} {
		if math.Abs(got[i].Start-want.Start) > 0.021 || math.Abs(got[i].End-want.End) > 0.021 {
			t.Errorf("%v to %v, want %v to %v", got[i].Start, got[i].End, want.Start, want.End)
		}
		if length := float64(len(got[i].samples)) / 2 / rate; length < got[i].End-got[i].Start-0.001 {
			t.Errorf("%v s of samples", length)
		}
	}
}

// A user speaks in the room, their voice is cut into utterances, and the replica repeats them,
// as with your own recogniser and voice. A machine that stands still makes a gap in the voice, so
// there may be more utterances than sentences.
func TestLoop(t *testing.T) {
	testenv.NeedPrograms(t, "ECHOCAST_REQUIRE_ESPEAK", "espeak-ng")
	user, length := spoken(t, "Good morning.", "What is the weather like?")
	url, heard := serve(t, user)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(runAsEchocast, "1")
	samples, write := io.Pipe()
	var hearing sync.WaitGroup
	var stderr bytes.Buffer
	hearing.Go(func() {
		code := cli.Run(testwait.Context(t), []string{"echocast", "hear", "--to", url, "--rate", "16000", "--duration",
			"1m", "-"}, cli.Streams{Out: write, Err: &stderr})
		if _ = write.Close(); code != 0 {
			t.Errorf("hear: code %d: %s", code, &stderr)
		}
	})
	var found []utterance
	cut := 0.0 // seconds of them
	d := &detector{rate: 16000, threshold: -45, pause: 0.6, emit: func(u utterance) error {
		found = append(found, u)
		cut += u.End - u.Start
		err := u.hand("'" + self + "' send --quiet --pace burst --to " + url + " -")
		if cut > 0.8*length {
			_ = samples.CloseWithError(syscall.EPIPE) // as a program that reads no more
		}
		return err
	}}
	if err := d.run(samples); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
	hearing.Wait()
	utterances, said := heard()
	isCut := func(u heardUtterance) bool { return !u.Done }
	if len(found) < 2 || len(utterances) != len(found) || slices.ContainsFunc(utterances, isCut) {
		t.Fatalf("%+v were found, and the replica heard %+v", found, utterances)
	}
	if math.Abs(cut-length) > 0.6*float64(len(found)) {
		t.Errorf("the utterances are %v s long, and were %v s", cut, length)
	}
	if level(said) < -40 {
		t.Errorf("the replica said something of %v dBFS", level(said))
	}
}

// spoken is a WAV file of the sentences with pauses of 1.5 s after them, and how
// long they are.
func spoken(t *testing.T, sentences ...string) (name string, length float64) {
	t.Helper()
	const rate = 22050 // espeak-ng's
	var all []byte
	for _, sentence := range sentences {
		wav, err := exec.CommandContext(testwait.Context(t), "espeak-ng", "--stdout", sentence).Output()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, wav[44:]...)
		all = append(all, tone(1.5, 0, rate)...)
		length += float64(len(wav)-44) / 2 / rate
	}
	name = filepath.Join(t.TempDir(), "user.wav")
	if err := os.WriteFile(name, append(wavHeader(rate, len(all)), all...), 0o600); err != nil {
		t.Fatal(err)
	}
	return name, length
}

// heardUtterance is what of the replica's report is looked at.
type heardUtterance struct {
	Done bool `json:"done"`
}

// said is the stderr of the replica command. It reports when a line has arrived.
type said struct {
	mu    sync.Mutex
	text  bytes.Buffer
	until chan struct{}
	once  sync.Once
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(p)
	if bytes.Contains(s.text.Bytes(), []byte("send --to ")) {
		s.once.Do(func() { close(s.until) })
	}
	return len(p), nil
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

var errEnough = errors.New("enough")

// serve is the replica command, with a user in its room. heard ends it.
func serve(t *testing.T, user string) (url string, heard func() ([]heardUtterance, []byte)) {
	t.Helper()
	record := filepath.Join(t.TempDir(), "heard.wav")
	ctx, stop := context.WithCancelCause(testwait.Context(t))
	lines := &said{until: make(chan struct{})}
	var stdout bytes.Buffer
	var ended sync.WaitGroup
	ended.Go(func() {
		cli.Run(ctx, []string{"echocast", "replica", "--listen", "127.0.0.1:0", "--json", "--user", user, "--record", record},
			cli.Streams{Out: &stdout, Err: lines})
	})
	testwait.Receive(t, lines.until)
	_, url, _ = strings.Cut(lines.String(), "send --to ")
	url = strings.Fields(url)[0]
	return url, func() (all []heardUtterance, pcm []byte) {
		stop(errEnough)
		ended.Wait()
		for line := range strings.Lines(stdout.String()) {
			var report struct {
				Utterances []heardUtterance `json:"utterances"`
			}
			if err := json.Unmarshal([]byte(line), &report); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			all = append(all, report.Utterances...)
		}
		file, err := os.ReadFile(record)
		if err != nil {
			t.Fatal(err)
		}
		return all, file[44:]
	}
}

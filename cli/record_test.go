package cli_test

import (
	"context"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"echocast/cli"
	"echocast/internal/opusencoder"
	"echocast/internal/pcm"
	"echocast/internal/shutdown"
	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/replica/serve"
	"echocast/rtc"
)

// background runs a command until stop is called. stop returns its exit code.
func background(t *testing.T, args ...string) (stderr *safeBuffer, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(testwait.Context(t))
	var out safeBuffer
	stderr = &safeBuffer{}
	var code int
	var running sync.WaitGroup
	running.Go(func() {
		code = cli.Run(ctx, append([]string{"echocast"}, args...),
			cli.Streams{In: strings.NewReader(""), Out: &out, Err: stderr})
	})
	return stderr, func() int {
		cancel(shutdown.SignalError{Signal: syscall.SIGINT})
		running.Wait()
		return code
	}
}

// awaitText waits until a command has printed a text.
func awaitText(t *testing.T, in *safeBuffer, text *regexp.Regexp) string {
	t.Helper()
	for ctx := testwait.Context(t); ctx.Err() == nil; time.Sleep(5 * time.Millisecond) {
		if found := text.FindString(in.String()); found != "" {
			return found
		}
	}
	t.Fatalf("there is no %v in %s", text, in.String())
	return ""
}

// serveReplica serves a stand-in with a file as the user's voice.
func serveReplica(t *testing.T, options *serve.Options) (url string) {
	t.Helper()
	listener, err := rtc.Listen("127.0.0.1:0", &rtc.Options{MuLaw: !opusencoder.Available, PingTimeout: testwait.Limit})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(testwait.Context(t))
	var running sync.WaitGroup
	running.Go(func() { _ = serve.Run(ctx, listener, options) }) // it ends with ctx
	t.Cleanup(func() { stop(); _ = listener.Close(); running.Wait() })
	return listener.URL()
}

// readSides returns the two channels of a 16-bit WAV file.
func readSides(t *testing.T, name string) (sides [2][]int16) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) < 44 || binary.LittleEndian.Uint16(data[22:]) != 2 ||
		int(binary.LittleEndian.Uint32(data[40:])) != len(data)-44 {
		t.Fatalf("the header of %d bytes: % x", len(data), data[:min(44, len(data))])
	}
	for b := data[44:]; len(b) >= 4; b = b[4:] {
		for side := range sides {
			sides[side] = append(sides[side], int16(binary.LittleEndian.Uint16(b[2*side:])))
		}
	}
	return sides
}

// loudFor returns for how many milliseconds samples at 24 kHz are not silent. A busy machine
// loses some of what is sent over the network.
func loudFor(samples []int16) (ms int) {
	for len(samples) >= 240 {
		loud := false
		for _, v := range samples[:240] {
			loud = loud || v > 200 || v < -200
		}
		if samples = samples[240:]; loud {
			ms += 10
		}
	}
	return ms
}

// hear records both sides, each on a channel, and the user's subtitles. With FILE it also
// writes the user's voice alone.
func TestHearRecordsTheCall(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"", filepath.Join(t.TempDir(), "user.wav")} {
		t.Run(filepath.Base(user), func(t *testing.T) {
			t.Parallel()
			hearRecordsTheCall(t, user)
			if user == "" {
				return
			}
			data, err := os.ReadFile(user)
			if err != nil || len(data) < 44 {
				t.Fatalf("%d bytes of the user alone, %v", len(data), err)
			}
			if ms := loudFor(pcm.Samples(data[44:])); ms < 500 || ms > 8000 {
				t.Errorf("the user alone is heard for %d ms", ms)
			}
		})
	}
}

func hearRecordsTheCall(t *testing.T, user string) {
	t.Helper()
	script, err := replica.ParseScript(strings.NewReader(`{"on":"started_speaking",` +
		`"event":{"message_type":"conversation",` +
		`"event_type":"conversation.utterance","properties":{"role":"user","speech":"Hi & bye."}}}`))
	if err != nil {
		t.Fatal(err)
	}
	url := serveReplica(t, &serve.Options{User: "../testdata/speech.wav", Replica: replica.Options{Script: script}})
	name := filepath.Join(t.TempDir(), "call.wav")
	arguments := []string{"hear", "--to", url, "--rate", "24000", "--record", name}
	if user != "" {
		arguments = append(arguments, user)
	}
	said, stop := background(t, arguments...)
	awaitText(t, said, regexp.MustCompile(`recording in .*\n`))
	if r := run(t, nil, "send", "--to", url, "../testdata/speech.wav"); r.code != 0 {
		t.Fatalf("code %d: %s", r.code, r.stderr)
	}
	if code := stop(); code != 0 {
		t.Fatalf("code %d: %s", code, said.String())
	}
	sides := readSides(t, name)
	for side, samples := range sides {
		if ms := loudFor(samples); ms < 500 || ms > 8000 {
			t.Errorf("side %d is heard for %d ms", side, ms)
		}
	}
	words, err := os.ReadFile(strings.TrimSuffix(name, ".wav") + ".vtt")
	if err != nil || !strings.Contains(string(words), "<v user>Hi &amp; bye.") {
		t.Errorf("%v: %s", err, words)
	}
}

// In a rehearsal, --record with a video name records the call and the heard words; otherwise
// it records what the replica heard.
func TestSendRecordsTheCall(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ffmpeg"); err != nil && !opusencoder.Available {
		t.Skip("nothing here writes WebM")
	}
	name := filepath.Join(t.TempDir(), "call.webm")
	r := run(t, nil, "send", "--rehearse", "--text", "All of this was heard.", "--record", name, "../testdata/speech.wav")
	if r.code != 0 {
		t.Fatalf("code %d: %s", r.code, r.stderr)
	}
	data, err := os.ReadFile(name)
	if err != nil || len(data) < 10000 || binary.BigEndian.Uint32(data) != 0x1a45dfa3 {
		t.Errorf("%d bytes of WebM, %v", len(data), err)
	}
	words, err := os.ReadFile(strings.TrimSuffix(name, ".webm") + ".vtt")
	cue := regexp.MustCompile(`(\S+) --> (\S+)\n<v pal>All of this was heard\.`).FindStringSubmatch(string(words))
	// It lasts as long as the speech, more than 7 s, less the delay of the event that it began.
	if err != nil || cue == nil || clock(t, cue[2])-clock(t, cue[1]) < 2*time.Second {
		t.Errorf("%v: %s", err, words)
	}
}

// clock is a time in subtitles.
func clock(t *testing.T, text string) time.Duration {
	t.Helper()
	at, err := time.Parse("15:04:05.000", text)
	if err != nil {
		t.Fatal(err)
	}
	return at.Sub(at.Truncate(24 * time.Hour))
}

// A conversation is recorded with the words of both sides.
func TestConverseRecordsTheCall(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("the commands are of a Unix shell")
	}
	script, err := replica.ParseScript(strings.NewReader(`{"event":{"message_type":"conversation",` +
		`"event_type":"conversation.utterance","inference_id":"i1","properties":{"role":"user","speech":"Say it."}}}`))
	if err != nil {
		t.Fatal(err)
	}
	url := serveReplica(t, &serve.Options{Replica: replica.Options{Script: script}})
	name := filepath.Join(t.TempDir(), "call.wav")
	r := run(t, nil, "converse", "--to", url, "--count", "1", "--record", name,
		"--on-utterance", "cat >/dev/null; echo one two", "--tts", "cat >/dev/null; head -c 88244 ../testdata/speech.wav")
	if r.code != 0 {
		t.Fatalf("code %d: %s", r.code, r.stderr)
	}
	sides := readSides(t, name)
	if ms := loudFor(sides[0]); ms < 300 || ms > 2100 || loudFor(sides[1]) > 0 {
		t.Errorf("the replica is heard for %d ms, the user for %d", ms, loudFor(sides[1]))
	}
	words, err := os.ReadFile(strings.TrimSuffix(name, ".wav") + ".vtt")
	if err != nil || !strings.Contains(string(words), "<v pal>one two") {
		t.Errorf("%v: %s", err, words)
	}
}

func TestRecordRefusals(t *testing.T) {
	t.Setenv("ECHOCAST_LOST_AFTER", "") // it is for the replica's own room
	for line, want := range map[string]string{
		"hear --to http://127.0.0.1:1 --record call.flac":              "the name ends with .wav, .webm or .mp4",
		"hear --to http://127.0.0.1:1 --record call.wav call.wav":      "are one file: name two",
		"send --to http://127.0.0.1:1 --record call.ogg a.wav":         "the name ends with .wav, .webm or .mp4",
		"send --page --to http://127.0.0.1:1 a.wav":                    "--page shows the stand-in of a rehearsal",
		"replica --join livekit+ws://127.0.0.1:1/r --record call.webm": "the name must end with .wav",
		"converse --on-utterance cat --tts cat --record call.x":        "the name ends with .wav, .webm or .mp4",
	} {
		r := run(t, nil, strings.Fields(line)...)
		if r.code != 2 || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: code %d, %q, want %q", line, r.code, r.stderr, want)
		}
	}
}

// The page of a rehearsal is available before it speaks, and as long as a browser shows it.
func TestSendPage(t *testing.T) {
	t.Parallel()
	said, stop := background(t, "send", "--rehearse", "--page", "../testdata/speech.wav")
	address := awaitText(t, said, regexp.MustCompile(`http://127\.0\.0\.1:\d+/page/\S+/`))
	if strings.Contains(said.String(), "heard in full") {
		t.Error("it did not wait for a browser")
	}
	url, _, _ := strings.Cut(address, "/page/")
	browser, err := rtc.Dial(testwait.Context(t), url, &rtc.Options{Sound: true})
	if err != nil {
		t.Fatal(err)
	}
	awaitText(t, said, regexp.MustCompile(`heard in full`))
	awaitText(t, said, regexp.MustCompile(`Ctrl-C ends it`))
	if err := browser.Close(); err != nil {
		t.Error(err)
	}
	if code := stop(); code != 0 {
		t.Errorf("code %d: %s", code, said.String())
	}
}

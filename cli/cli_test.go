package cli_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"echocast/cli"
	"echocast/internal/testwait"
)

// result is the output of a run.
type result struct {
	stdout, stderr string
	code           int
}

// run runs echocast in this process.
func run(t *testing.T, stdin io.Reader, args ...string) result {
	t.Helper()
	return runContext(testwait.Context(t), stdin, args...)
}

func runContext(ctx context.Context, stdin io.Reader, args ...string) result {
	var stdout, stderr safeBuffer
	code := cli.Run(ctx, append([]string{"echocast"}, args...), cli.Streams{In: stdin, Out: &stdout, Err: &stderr})
	return result{stdout.String(), stderr.String(), code}
}

// safeBuffer is a buffer that the replica and the sender may both write to.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// message is a line that encode writes.
type message struct {
	EventType      string `json:"event_type"`
	ConversationID string `json:"conversation_id"`
	Properties     struct {
		Audio       []byte `json:"audio"`
		SampleRate  int    `json:"sample_rate"`
		InferenceID string `json:"inference_id"`
		Done        bool   `json:"done"`
	} `json:"properties"`
}

func messages(t *testing.T, stdout string) (all []message) {
	t.Helper()
	for line := range strings.Lines(stdout) {
		var m message
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("%v: %.100s", err, line)
		}
		all = append(all, m)
	}
	return all
}

func audioOf(all []message) (pcm []byte) {
	for _, m := range all {
		pcm = append(pcm, m.Properties.Audio...)
	}
	return pcm
}

// wav returns a 16-bit WAV file with a sweep of n frames.
func wav(rate, channels, n int) (file, pcm []byte) {
	for i := range n * channels {
		t := float64(i/channels) / float64(rate)
		v := 12000 * math.Sin(2*math.Pi*(150+200*t+40*float64(i%channels))*t)
		pcm = binary.LittleEndian.AppendUint16(pcm, uint16(int16(math.RoundToEven(v))))
	}
	head := []byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00")
	head = binary.LittleEndian.AppendUint16(head, uint16(channels))
	head = binary.LittleEndian.AppendUint32(head, uint32(rate))
	head = binary.LittleEndian.AppendUint32(head, uint32(rate*channels*2))
	head = binary.LittleEndian.AppendUint16(head, uint16(channels*2))
	head = append(head, "\x10\x00data"...)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(pcm)))
	return append(head, pcm...), pcm
}

func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// 24 kHz mono 16-bit input is sent bit for bit.
func TestEncodeIsBitExact(t *testing.T) {
	for _, n := range []int{1, 1199, 1200, 1201, 2400, 50001} {
		file, pcm := wav(24000, 1, n)
		r := run(t, bytes.NewReader(file), "encode", "-")
		all := messages(t, r.stdout)
		if r.code != 0 || !bytes.Equal(audioOf(all), pcm) {
			t.Fatalf("%d samples: code %d, other audio came out; %s", n, r.code, r.stderr)
		}
		for i, m := range all {
			if m.Properties.Done != (i == len(all)-1) || m.Properties.SampleRate != 24000 ||
				m.Properties.InferenceID != all[0].Properties.InferenceID {
				t.Errorf("%d samples: message %d of %d is %+v", n, i+1, len(all), m)
			}
		}
	}
}

func TestEachInputIsAnUtterance(t *testing.T) {
	one, pcm1 := wav(24000, 1, 3000)
	two, pcm2 := wav(24000, 1, 1200)
	r := run(t, bytes.NewReader(two), "encode", "--conversation", "c9", write(t, "one.wav", one), "-")
	var got [][]byte
	ids := map[string]bool{}
	for _, m := range messages(t, r.stdout) {
		if m.ConversationID != "c9" {
			t.Errorf("conversation %q", m.ConversationID)
		}
		if id := m.Properties.InferenceID; !ids[id] {
			ids[id] = true
			got = append(got, nil)
		}
		got[len(got)-1] = append(got[len(got)-1], m.Properties.Audio...)
	}
	if r.code != 0 || len(got) != 2 || !bytes.Equal(got[0], pcm1) || !bytes.Equal(got[1], pcm2) {
		t.Errorf("code %d, %d utterances", r.code, len(got))
	}
}

// The same input gives the same bytes, except ids, however the reads split it.
func TestEncodeDoesNotDependOnReads(t *testing.T) {
	file, _ := wav(44100, 2, 30011)
	mp3, err := os.ReadFile("../testdata/mp3/speech_22050hz_mono_cbr64.mp3")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"wav": file, "mp3": mp3} {
		want := audioOf(messages(t, run(t, bytes.NewReader(data), "encode", "-").stdout))
		if len(want) == 0 {
			t.Fatalf("%s: no audio", name)
		}
		for how, r := range map[string]io.Reader{
			"one byte": iotest.OneByteReader(bytes.NewReader(data)), "seven": &stepReader{data, 7},
			"half": iotest.HalfReader(bytes.NewReader(data)),
		} {
			if got := audioOf(messages(t, run(t, r, "encode", "-").stdout)); !bytes.Equal(got, want) {
				t.Errorf("%s read by %s: the audio differs", name, how)
			}
		}
	}
}

// stepReader reads n bytes at a time.
type stepReader struct {
	rest []byte
	n    int
}

func (s *stepReader) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.rest[:min(s.n, len(s.rest))])
	s.rest = s.rest[n:]
	return n, nil
}

// Both methods of resampling give the same length; --live selects the one in Go.
func TestResamplers(t *testing.T) {
	file, _ := wav(44100, 2, 44100)
	fir := run(t, bytes.NewReader(file), "encode", "--resampler", "fir", "-")
	live := run(t, bytes.NewReader(file), "encode", "--live", "-")
	standard := run(t, bytes.NewReader(file), "encode", "-")
	a, b, c := audioOf(messages(t, fir.stdout)), audioOf(messages(t, live.stdout)), audioOf(messages(t, standard.stdout))
	if fir.code != 0 || len(a) != 48000 || !bytes.Equal(a, b) || len(c) != len(a) {
		t.Errorf("code %d: %d, %d and %d bytes", fir.code, len(a), len(b), len(c))
	}
	for i := 0; i < len(a); i += 2 {
		x, y := int16(binary.LittleEndian.Uint16(a[i:])), int16(binary.LittleEndian.Uint16(c[i:]))
		if d := int(x) - int(y); d > 200 || d < -200 { // the first samples differ: the tone begins at once
			t.Fatalf("sample %d is %d by fir and %d by the default", i/2, x, y)
		}
	}
}

func TestFlagsMayFollowTheInputs(t *testing.T) {
	file, _ := wav(24000, 1, 2400)
	name := write(t, "x.wav", file)
	want := messages(t, run(t, nil, "encode", "--conversation", "c7", "--chunk", "20ms", name).stdout)
	for _, args := range [][]string{
		{"encode", name, "--conversation", "c7", "--chunk", "20ms"},
		{"encode", "--chunk=20ms", name, "--conversation=c7"},
		{"encode", "--conversation", "c7", "--chunk", "20ms", "--", name},
		{"encode", name, "-q", "--conversation", "c7", "--chunk", "20ms"},
	} {
		r := run(t, nil, args...)
		got := messages(t, r.stdout)
		if r.code != 0 || len(got) != len(want) || len(got) != 5 || got[0].ConversationID != "c7" {
			t.Errorf("%q: code %d, %d messages: %s", args, r.code, len(got), r.stderr)
		}
	}
	odd := filepath.Join(t.TempDir(), "-odd.wav")
	if err := os.WriteFile(odd, file, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(odd))
	if r := run(t, nil, "encode", "--", "-odd.wav"); r.code != 0 {
		t.Errorf("a name that begins with a dash: %d: %s", r.code, r.stderr)
	}
}

// Bad input gives one line that says what is wrong and what to do, the right exit code, and
// nothing on stdout.
func TestRefusals(t *testing.T) {
	t.Parallel()
	file, _ := wav(24000, 1, 2400)
	good := write(t, "good.wav", file)
	text := write(t, "text.txt", []byte("Hello there.\n"))
	empty := write(t, "empty.wav", nil)
	silent := write(t, "silent.wav", file[:44])
	noise := write(t, "noise.bin", bytes.Repeat([]byte{0xfe, 0x01, 0x80}, 3000))
	raw := []string{"-f", "s16le", "--rate", "8000", "--channels", "1"}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"encode"}, 2, "name an input"},
		{[]string{"encode", "-", "-"}, 2, "named 2 times"},
		{[]string{"encode", "nothing.wav"}, 3, "nothing.wav: no such file"},
		{[]string{"encode", good, "nothing.wav"}, 3, "nothing.wav: no such file"},
		{[]string{"send", good, text}, 3, "text-to-speech"},
		{[]string{"encode", t.TempDir()}, 3, "is a directory"},
		{[]string{"encode", empty}, 3, "the input is empty"},
		{[]string{"encode", silent}, 3, "no audio"},
		{[]string{"encode", "-"}, 3, "standard input: the input is empty; pipe audio into it, for example: espeak-ng"},
		{[]string{"send", noise}, 3, "need their encoding, rate and channels, for example: -f s16le --rate 24000"},
		{[]string{"say", "-"}, 3, `no text in the input; pipe text into it, or give the text: echocast say "Hello"`},
		{[]string{"encode", "-f", "s16le", good}, 2, "--rate and --channels"},
		{[]string{"encode", "-f", "s16le", "--rate", "8000", good}, 2, "--rate and --channels"},
		{[]string{"encode", "-f", "s16le", "--rate", "100", "--channels", "1", good}, 2, "100 Hz"},
		{[]string{"encode", "-f", "s16le", "--rate", "8000", "--channels", "70000", good}, 2, "70000 channels"},
		{[]string{"encode", "-f", "flv", "--rate", "8000", "--channels", "1", good}, 2, "flv"},
		{[]string{"encode", "--field", "audio", good}, 2, "add -f ndjson"},
		{[]string{"encode", "--json", good}, 2, "--dry-run"},
		{[]string{"encode", "--preset", "minimax", "--inside", "wav", good}, 2, "give one of them"},
		{[]string{"encode", "--preset", "elevenlabs-mp3", "--channels", "7", good}, 2, "a header that states them"},
		{[]string{"encode", "-f", "ndjson", good}, 3, "line 1"},
		{[]string{"encode", "-f", "ndjson", "--payload", "octal", good}, 3, "octal"},
		{[]string{"encode", "--rate", "8000", good}, 2, "raw samples"},
		{[]string{"encode", "--chunk", "100ms", good}, 7, "give --chunk 60ms, or raise --max-message"},
		{[]string{"encode", "--max-message", "100", good}, 7, "raise --max-message"},
		{[]string{"encode", "--chunk", "-1ms", good}, 2, "--chunk"},
		{[]string{"encode", "--chunk", "many", good}, 2, "--chunk many: a time has a unit, such as 1s or 500ms; " +
			"echocast encode --help lists the options"},
		{[]string{"encode", "--rate", "abc", good}, 2, "--rate abc: it must be a whole number, in digits; echocast encode"},
		{[]string{"encode", "-ar", "4.5", good}, 2, "--rate 4.5: it must be a whole number, in digits;"},
		{[]string{"encode", "--rate", "99999999999999999999", good}, 2,
			"--rate 99999999999999999999: the number is too large;"},
		{[]string{"encode", "--rate", "8000", "--ar", "8000", good}, 2,
			"--ar and --rate are one option: leave one of them out;"},
		{[]string{"encode", "--gain", "loud", good}, 2, "--gain loud: it must be a number, such as 2 or -0.5;"},
		{[]string{"encode", "--gain", "NaN", good}, 2, "--gain NaN: "},
		{[]string{"send", "--quiet=perhaps", good}, 2, "--quiet perhaps: it must be true or false;"},
		{[]string{"encode", "--chuck", "20ms", good}, 2, "chuck"},
		{[]string{"encode", "--pace", "slow", good}, 2, "lead, realtime or burst"},
		{[]string{"encode", "--pace", "lead", "--max-rate", "3", good}, 2, "20 are needed"},
		{[]string{"encode", "--lead", "0s", good}, 2, "--lead"},
		{[]string{"encode", "--resampler", "linear", good}, 2, "soxr, zaf and fir"},
		{[]string{"encode", "--resampler", "soxr", "--live", good}, 2, "leave one of them out"},
		{[]string{"send", "--speech-rate", "-1", good}, 2, "--speech-rate must not be negative"},
		{[]string{"send", "--ready-when", "soon", good}, 2, "--ready-when soon: must be one of joined, audio, video"},
		{[]string{"sing", "hello"}, 2, `no command is called "sing"`},
		{[]string{"send", "--wait", "never", good}, 2, "--wait never"},
		{[]string{"send", "--as", "song", good}, 2, "--as song"},
		{[]string{"send", "--as", "microphone", good}, 2, "--as microphone publishes an audio track in a Daily " +
			"room: name one with --to, or create one with --pal"},
		{[]string{"send", "--as", "microphone", "--to", "http://127.0.0.1:8870", good}, 2,
			"--as microphone publishes an audio track in a Daily room"},
		{[]string{"send", "--as", "microphone", "--to", "livekit+wss://example.org/r", good}, 2,
			"--as microphone publishes an audio track in a Daily room"},
		{[]string{"send", "--to", "http://127.0.0.1:1", "--record", "x.ogg", good}, 2, "--record"},
		{[]string{"send", "--to", "http://127.0.0.1:1", good}, 5, "127.0.0.1:1"},
		{[]string{"send", "--to", "nonsense", good}, 2, "--to nonsense: not the address of a room: it begins with http:// " +
			"or https:// (echocast replica, Daily), livekit+wss:// or tavus:"},
		{[]string{"say", "--to", "127.0.0.1:8870", "hello"}, 2, "--to 127.0.0.1:8870: not the address of a room"},
		{[]string{"interrupt", "--to", "wss://h/r"}, 2, "livekit+wss://"},
		{[]string{"listen", "--to", "http://h:99999"}, 2, `--to: "http://h:99999" has a malformed host or port`},
		{[]string{"hear", "--to", "http://"}, 2, "--to: it has no host"},
		{[]string{"listen", "--webhook", "127.0.0.1:0", "--webhook-url", "foo"}, 2,
			"--webhook-url foo: it must be https://HOST"},
		{[]string{"converse", "--agent", "elevenlabs:a", "--agent-url", "foo"}, 2,
			"--agent-url foo: the address of a WebSocket"},
		{[]string{"send", "--record", "/nowhere/x.wav", good}, 2, "/nowhere/x.wav"},
		{[]string{"replica", "extra"}, 2, "takes no inputs"},
		{[]string{"replica", "--listen", "0.0.0.0:0"}, 2, "needs a room key: give --room-key-file, --tls-cert and --tls-key"},
		{[]string{"replica", "--fault", "sulk"}, 2, `no fault is called "sulk"; --fault list lists them`},
		{[]string{"replica", "--fault", "mute,delay"}, 2, "write delay=TIME"},
		{[]string{"replica", "--fault", "mute=1"}, 2, "mute has no value"},
		{[]string{"replica", "--fault", "delay=-1s"}, 2, "300ms"},
		{[]string{"replica", "--fault", "drop-every=0"}, 2, "from 1"},
		{[]string{"replica", "--fault", "drop-events=words"}, 2, "joined, started, stopped"},
		{[]string{"replica", "--fault", "lose=2"}, 2, "no share"},
		{[]string{"replica", "--fault", "ids=v5"}, 2, "v3, v4, md5, raw and own"},
		{[]string{"replica", "--script", "/nowhere"}, 3, "--script /nowhere: no such file"},
		{[]string{"replica", "--script", good}, 3, "script line 1"},
		{append([]string{"send", "-"}, raw...), 3, "no audio"},
	} {
		r := run(t, strings.NewReader(""), c.args...)
		lines := strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n")
		last := lines[len(lines)-1]
		if r.code != c.code || !strings.Contains(last, c.want) || !strings.HasPrefix(last, "echocast: ") || r.stdout != "" {
			t.Errorf("%q: code %d, want %d with %q; stderr:\n%s\nstdout: %.100s", c.args, r.code, c.code,
				c.want, r.stderr, r.stdout)
		}
	}
}

// An input that breaks in mid-stream ends with an interrupt and never with done.
func TestBrokenInputNeverSaysDone(t *testing.T) {
	file, pcm := wav(24000, 1, 24000)
	broken := func() io.Reader {
		return io.MultiReader(bytes.NewReader(file[:44+2*18000]), iotest.ErrReader(errors.New("input/output error")))
	}
	r := run(t, broken(), "encode", "-")
	all := messages(t, r.stdout)
	if r.code != 3 || !strings.Contains(r.stderr, "standard input: broke off at 0.750 s: input/output error") {
		t.Errorf("code %d: %s", r.code, r.stderr)
	}
	if last := all[len(all)-1]; last.EventType != "conversation.interrupt" {
		t.Errorf("the last message is %s", last.EventType)
	}
	for _, m := range all {
		if m.Properties.Done {
			t.Error("a message says done")
		}
	}
	if got := audioOf(all); !bytes.HasPrefix(pcm, got) || len(got) == 0 {
		t.Errorf("%d bytes of audio are not the beginning of the input", len(got))
	}
	r = run(t, broken(), "send", "--json", "-")
	var receipt struct {
		Outcome string `json:"outcome"`
		Error   string `json:"error"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &receipt); err != nil || r.code != 3 || receipt.Outcome != "interrupted" ||
		strings.Contains(r.stderr, "complains") {
		t.Errorf("code %d, %v, %+v: %s", r.code, err, receipt, r.stderr)
	}
}

func TestInputShorterThanItsHeader(t *testing.T) {
	file, pcm := wav(24000, 1, 24000)
	r := run(t, bytes.NewReader(file[:44+24000]), "encode", "-")
	all := messages(t, r.stdout)
	if r.code != 0 || !bytes.Equal(audioOf(all), pcm[:24000]) || !all[len(all)-1].Properties.Done {
		t.Errorf("code %d, %d messages", r.code, len(all))
	}
	if !strings.Contains(r.stderr, "claims 1.000 s and the samples end after 0.500 s") {
		t.Errorf("no warning names both lengths: %s", r.stderr)
	}
}

// send speaks over a real data channel to a replica in this process, which
// records what it heard.
func TestSend(t *testing.T) {
	t.Parallel()
	heard := filepath.Join(t.TempDir(), "heard.wav")
	r := run(t, nil, "send", "--json", "--record", heard, "../testdata/mp3/speech_44100hz_joint_cbr160.mp3",
		"../testdata/mp3/speech_22050hz_mono_vbr2.mp3")
	if r.code != 0 || strings.Contains(r.stderr, "complains") {
		t.Fatalf("code %d: %s", r.code, r.stderr)
	}
	for line := range strings.Lines(r.stdout) {
		var receipt struct {
			Outcome       string  `json:"outcome"`
			SentSeconds   float64 `json:"sent_seconds"`
			SpokenSeconds float64 `json:"spoken_seconds"`
			SpokenBy      string  `json:"spoken_by"`
			UnderrunsBy   string  `json:"underruns_by"`
		}
		if err := json.Unmarshal([]byte(line), &receipt); err != nil {
			t.Fatal(err)
		}
		if receipt.Outcome != "finished" || receipt.SpokenBy != "event" || receipt.UnderrunsBy != "replica" ||
			math.Abs(receipt.SentSeconds-receipt.SpokenSeconds) > 1e-3 {
			t.Errorf("receipt %s", line)
		}
	}
	want := audioOf(messages(t, run(t, nil, "encode", "../testdata/mp3/speech_44100hz_joint_cbr160.mp3",
		"../testdata/mp3/speech_22050hz_mono_vbr2.mp3").stdout))
	got, err := os.ReadFile(heard)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got[44:], want) {
		t.Errorf("%d bytes were heard, %d sent, and they differ", len(got)-44, len(want))
	}
}

func TestQuietPrintsNothing(t *testing.T) {
	t.Parallel()
	r := run(t, nil, "send", "--quiet", "../testdata/mp3/speech_24000hz_mono_cbr64.mp3")
	if r.code != 0 || r.stdout != "" || r.stderr != "" {
		t.Errorf("code %d, stdout %q, stderr %q", r.code, r.stdout, r.stderr)
	}
}

func TestDryRun(t *testing.T) {
	file, _ := wav(44100, 2, 44100)
	r := run(t, bytes.NewReader(file), "send", "--dry-run", "--json", "-")
	var plan struct {
		Rate, Channels int
		Samples        int
		Messages       int
		Bytes          int
		FirstMessage   string `json:"first_message"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &plan); err != nil || r.code != 0 {
		t.Fatalf("code %d, %v: %s", r.code, err, r.stderr)
	}
	if plan.Rate != 44100 || plan.Channels != 2 || plan.Samples != 24000 || plan.Messages != 20 ||
		!strings.Contains(plan.FirstMessage, "...") {
		t.Errorf("plan %+v", plan)
	}
	encoded := run(t, bytes.NewReader(file), "encode", "-").stdout
	if want := len(encoded) - 20; plan.Bytes != want {
		t.Errorf("the plan has %d bytes, encode writes %d", plan.Bytes, want)
	}
	if r := run(t, bytes.NewReader(file), "send", "--dry-run", "-"); !strings.Contains(r.stdout, "20 of 50 ms") {
		t.Errorf("the plan for people: %s", r.stdout)
	}
	if r := run(t, bytes.NewReader(file[:44]), "send", "--dry-run", "-"); r.code != 3 {
		t.Errorf("a plan of nothing: code %d, %s", r.code, r.stderr)
	}
}

// A reader of stdout that has closed it is not an error; a full disk is.
func TestClosedStdout(t *testing.T) {
	file, _ := wav(24000, 1, 240000)
	for err, code := range map[error]int{syscall.EPIPE: 0, syscall.ENOSPC: 1} {
		for _, pace := range []string{"burst", "lead"} {
			var stderr safeBuffer
			got := cli.Run(testwait.Context(t), []string{"echocast", "encode", "--pace", pace, "-"},
				cli.Streams{In: bytes.NewReader(file), Out: failing{err}, Err: &stderr})
			if got != code {
				t.Errorf("%v, %s: code %d, want %d: %s", err, pace, got, code, stderr.String())
			}
			if err == syscall.EPIPE && strings.Contains(stderr.String(), "failed") {
				t.Errorf("%s: a reader that closed stdout early gets an error: %s", pace, stderr.String())
			}
			if err == syscall.ENOSPC && !strings.Contains(stderr.String(), "no space left on device") {
				t.Errorf("%s: stderr %q", pace, stderr.String())
			}
		}
	}
}

// The same is true of help, and of whatever else is written at once.
func TestClosedStdoutOfHelp(t *testing.T) {
	for _, command := range []string{"", "--help", "help send", "help exit-codes", "send -h", "context", "version",
		"completion bash"} {
		args := append([]string{"echocast"}, strings.Fields(command)...)
		for err, code := range map[error]int{syscall.EPIPE: 0, syscall.ENOSPC: 1} {
			var stderr safeBuffer
			got := cli.Run(testwait.Context(t), args, cli.Streams{Out: failing{err}, Err: &stderr})
			if said := stderr.String(); got != code || code == 0 && said != "" ||
				code != 0 && said != "echocast: stdout: no space left on device\n" {
				t.Errorf("%q, %v: code %d, want %d: %s", command, err, got, code, said)
			}
		}
	}
}

// --record must not overwrite the input.
func TestRecordOverTheInput(t *testing.T) {
	file, _ := wav(24000, 1, 2400)
	name := write(t, "a.wav", file)
	r := run(t, nil, "send", "--record", name, name)
	if left, err := os.ReadFile(name); r.code != 2 || err != nil || !bytes.Equal(left, file) {
		t.Errorf("code %d, %d of %d bytes left: %s", r.code, len(left), len(file), r.stderr)
	}
	if r := run(t, nil, "send", "--record", "/dev/full", name); r.code != 2 ||
		!strings.Contains(r.stderr, "this is none") {
		t.Errorf("a record that is no file: code %d: %s", r.code, r.stderr)
	}
}

// If the input breaks and stdout is closed, the broken input is reported.
func TestBrokenInputAndBrokenStdout(t *testing.T) {
	file, _ := wav(24000, 1, 24000)
	broken := io.MultiReader(bytes.NewReader(file[:20044]), iotest.ErrReader(errors.New("gone")))
	var stderr safeBuffer
	code := cli.Run(testwait.Context(t), []string{"echocast", "send", "--json", "--pace", "burst", "-"},
		cli.Streams{In: broken, Out: failing{syscall.EPIPE}, Err: &stderr})
	if code != 3 || !strings.Contains(stderr.String(), "gone") {
		t.Errorf("code %d: %s", code, stderr.String())
	}
}

// A receipt that cannot be written is an error.
func TestReceiptThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	var stderr safeBuffer
	args := []string{"echocast", "send", "--json", "../testdata/mp3/speech_24000hz_mono_cbr64.mp3"}
	code := cli.Run(testwait.Context(t), args, cli.Streams{Out: failing{syscall.ENOSPC}, Err: &stderr})
	if code != 1 || !strings.HasSuffix(stderr.String(), "echocast: stdout: no space left on device\n") {
		t.Errorf("code %d: %s", code, stderr.String())
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestHelpGoesToStdout(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"send", "--help"}, {"encode", "-h"}, {"replica", "--help"}, {}} {
		r := run(t, nil, args...)
		if r.code != 0 || r.stderr != "" || !strings.Contains(r.stdout, "echocast") {
			t.Errorf("%q: code %d, stderr %q, stdout %.60q", args, r.code, r.stderr, r.stdout)
		}
	}
	if r := run(t, nil, "help", "exit-codes"); !strings.Contains(r.stdout, fmt.Sprintf("%d", 130)) {
		t.Error("the help does not list the exit codes")
	}
}

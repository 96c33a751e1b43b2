package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"echocast/echo"
	"echocast/internal/memconn"
	"echocast/internal/testenv"
	"echocast/internal/testwait"
	"echocast/replica"
)

// buildFolder is where the program is built.
var buildFolder string

func TestMain(m *testing.M) {
	testenv.Isolate()
	var err error
	if buildFolder, err = os.MkdirTemp("", "echocast"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(buildFolder)
	os.Exit(code)
}

// build builds echocast, as make build does. The tests here run it as processes of its
// own, as its users do: without the race detector, which multiplies time and memory and
// watches the same code in the tests of cli.
var build = sync.OnceValues(func() (path string, err error) {
	path = filepath.Join(buildFolder, "echocast")
	out, err := exec.Command("go", "build", "-trimpath", "-tags", "urfave_cli_no_docs", "-o", path, ".").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// programPath is the path of echocast.
func programPath(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// patience is the setting --lost-after: a busy machine stands still for longer than the usual 3 s.
const patience = "ECHOCAST_LOST_AFTER=1m"

// program is echocast with these arguments. It is killed with the test, or after testwait.Limit.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path := programPath(t)
	cmd := exec.CommandContext(testwait.Context(t), path, args...)
	cmd.Env = append(os.Environ(), patience)
	return cmd
}

// replicaProcess is a stand-in replica in a separate process.
type replicaProcess struct {
	cmd    *exec.Cmd
	url    string
	record string
	lines  *bufio.Scanner // of its stderr
	stdout bytes.Buffer
}

func startReplica(t *testing.T, args ...string) *replicaProcess {
	t.Helper()
	r := &replicaProcess{record: filepath.Join(t.TempDir(), "heard.wav")}
	r.cmd = program(t, append([]string{"replica", "--listen", "127.0.0.1:0", "--once", "--json", "--record", r.record},
		args...)...)
	r.cmd.Stdout = &r.stdout
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.lines = bufio.NewScanner(stderr)
	line := r.await(t, "the replica listens")
	r.url = strings.Fields(line[strings.Index(line, "http://"):])[0]
	return r
}

// await reads the replica's lines up to one that holds want.
func (r *replicaProcess) await(t *testing.T, want string) string {
	t.Helper()
	for r.lines.Scan() {
		if strings.Contains(r.lines.Text(), want) {
			return r.lines.Text()
		}
	}
	t.Fatalf("the replica never said %q", want)
	return ""
}

// report waits for the end of the replica.
func (r *replicaProcess) report(t *testing.T) (report replica.Report, heard []byte) {
	t.Helper()
	for r.lines.Scan() { // or it could not write
	}
	if err := r.cmd.Wait(); err != nil {
		t.Fatalf("the replica: %v", err)
	}
	if err := json.Unmarshal(r.stdout.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	heard, err := os.ReadFile(r.record)
	if err != nil {
		t.Fatal(err)
	}
	return report, heard[44:]
}

// wavHeader begins a 16-bit WAV of unknown length, as a pipe has it.
func wavHeader(rate, channels int) []byte {
	head := []byte("RIFF\xff\xff\xff\xffWAVEfmt \x10\x00\x00\x00\x01\x00")
	head = binary.LittleEndian.AppendUint16(head, uint16(channels))
	head = binary.LittleEndian.AppendUint32(head, uint32(rate))
	head = binary.LittleEndian.AppendUint32(head, uint32(rate*channels*2))
	head = binary.LittleEndian.AppendUint16(head, uint16(channels*2))
	return append(head, "\x10\x00data\xff\xff\xff\xff"...)
}

// sweep is n samples of a tone that changes all the time, so that no piece of
// it can stand for another.
func sweep(n, rate int) []byte {
	pcm := make([]byte, 0, 2*n)
	for i := range n {
		t := float64(i) / float64(rate)
		v := 9000 * math.Sin(2*math.Pi*(120+3*t)*t)
		pcm = binary.LittleEndian.AppendUint16(pcm, uint16(int16(math.RoundToEven(v))))
	}
	return pcm
}

// reassembled decodes encode's output with a script that uses nothing of echocast.
func reassembled(t *testing.T, input string) []byte {
	t.Helper()
	encode := program(t, "encode", "--quiet", input)
	script := exec.CommandContext(t.Context(), "go", "run", "./testdata/reassemble")
	lines, err := encode.Output()
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	script.Stdin = bytes.NewReader(lines)
	pcm, err := script.Output()
	if err != nil {
		t.Fatalf("reassemble: %v", err)
	}
	return pcm
}

// Ten minutes of audio reach a replica in another process byte for byte. They
// are sent in a burst; make acceptance sends them at the usual pace.
func TestTenMinutesToAnotherProcess(t *testing.T) {
	t.Parallel()
	input := filepath.Join(t.TempDir(), "ten-minutes.wav")
	if err := os.WriteFile(input, append(wavHeader(22050, 1), sweep(600*22050, 22050)...), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startReplica(t)
	out, err := program(t, "send", "--pace", "burst", "--wait", "sent", "--to", r.url, input).CombinedOutput()
	if err != nil {
		t.Fatalf("send: %v: %s", err, out)
	}
	report, heard := r.report(t)
	want := reassembled(t, input)
	if len(want) != 2*600*24000 || !bytes.Equal(heard, want) {
		t.Errorf("%d bytes were sent and %d heard, or they differ", len(want), len(heard))
	}
	if len(report.Utterances) != 1 || !report.Utterances[0].Done || report.ComplaintCount != 0 {
		t.Errorf("the replica complains: %+v", report.Complaints)
	}
}

// interruptTimeout is how long echocast waits until the replica confirms that it stopped.
const interruptTimeout = 2 * time.Second

// Ctrl-C while the replica speaks and the input hangs.
func TestSignals(t *testing.T) {
	t.Parallel()
	for signal, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			r := startReplica(t)
			send := program(t, "send", "--json", "--to", r.url, "-")
			stdin, err := send.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			send.Stdout, send.Stderr = &stdout, &stderr
			if err := send.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := stdin.Write(append(wavHeader(24000, 1), sweep(72000, 24000)...)); err != nil {
				t.Fatal(err)
			}
			r.await(t, "speaking")
			signalled := time.Now()
			if err := send.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			_ = send.Wait() // its code is looked at below
			if got := send.ProcessState.ExitCode(); got != code || strings.Contains(stderr.String(), "goroutine") {
				t.Errorf("exit code %d, want %d: %s", got, code, stderr.String())
			}
			var receipt echo.Receipt
			isLate := time.Since(signalled) >= interruptTimeout // perhaps the replica did not run meanwhile
			if err := json.Unmarshal(stdout.Bytes(), &receipt); err != nil || receipt.Outcome != echo.Interrupted ||
				receipt.SpokenBy != echo.ByEvent && !isLate {
				t.Errorf("receipt %+v, %v", receipt, err)
			}
			report, _ := r.report(t)
			if len(report.Utterances) != 1 || !report.Utterances[0].Interrupted || report.Utterances[0].Done ||
				report.ComplaintCount != 0 {
				t.Errorf("the replica saw %+v, %+v", report.Utterances, report.Complaints)
			}
		})
	}
}

// A sender that dies leaves the replica with no done, and the replica notices.
func TestKilledSender(t *testing.T) {
	t.Parallel()
	r := startReplica(t, "--lost-after", "3s")
	send := program(t, "send", "--to", r.url, "testdata/speech.wav")
	if err := send.Start(); err != nil {
		t.Fatal(err)
	}
	r.await(t, "speaking")
	if err := send.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = send.Wait() // killed
	report, _ := r.report(t)
	if len(report.Utterances) != 1 || report.Utterances[0].Done {
		t.Errorf("the replica saw %+v", report.Utterances)
	}
}

// The fault die-after ends the process like a kill.
func TestReplicaDiesByItself(t *testing.T) {
	t.Parallel()
	r := startReplica(t, "--fault", "die-after=3")
	err := program(t, "send", "--to", r.url, "--lost-after", "3s", "testdata/speech.wav").Run()
	if code := exitCodeOf(err); code != 6 {
		t.Errorf("the sender ends with %d, %v", code, err)
	}
	r.await(t, "fault: the replica dies")
	if code := exitCodeOf(r.cmd.Wait()); code != 137 || r.stdout.Len() > 0 {
		t.Errorf("the replica ends with %d, and reports %s", code, r.stdout.String())
	}
}

func exitCodeOf(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}

// LiveKit rooms need another program, which is missing here.
func TestLiveKitNeedsEchocastServer(t *testing.T) {
	t.Parallel()
	for _, to := range [][]string{{"--to", "livekit+ws://127.0.0.1:1/room"}, {"--to=livekit+wss://127.0.0.1/room"}} {
		send := program(t, append([]string{"send", "testdata/speech.wav"}, to...)...)
		send.Env = append(send.Env, "PATH="+t.TempDir())
		out, err := send.CombinedOutput()
		if code := exitCodeOf(err); code != 2 || !strings.Contains(string(out), "echocast-server") {
			t.Errorf("exit code %d: %s", code, out)
		}
	}
	// What is no option's value is an input like others.
	out, err := program(t, "send", "livekit+ws://127.0.0.1:1/room").CombinedOutput()
	if code := exitCodeOf(err); code != 3 {
		t.Errorf("as an input: exit code %d: %s", code, out)
	}
}

// A replica that dies ends the sender with the code for a lost connection.
func TestKilledReplica(t *testing.T) {
	t.Parallel()
	r := startReplica(t)
	send := program(t, "send", "--json", "--to", r.url, "--lost-after", "3s", "-")
	stdin, err := send.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	var stdout, stderr bytes.Buffer
	send.Stdout, send.Stderr = &stdout, &stderr
	if err := send.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdin.Write(append(wavHeader(24000, 1), sweep(24000, 24000)...)); err != nil {
		t.Fatal(err)
	}
	r.await(t, "speaking")
	if err := r.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = r.cmd.Wait() // killed
	// The input hangs: the loss alone must end the run.
	_ = send.Wait()
	if got := send.ProcessState.ExitCode(); got != 6 || !strings.Contains(stderr.String(), "lost") {
		t.Errorf("exit code %d, want 6: %s", got, stderr.String())
	}
	var receipt echo.Receipt
	if err := json.Unmarshal(stdout.Bytes(), &receipt); err != nil || receipt.Outcome != echo.Failed {
		t.Errorf("receipt %+v, %v", receipt, err)
	}
}

// stallingSource delivers silence, and stalls at given positions.
type stallingSource struct {
	at, end int
	stalls  map[int]time.Duration // by position in samples
}

func (s *stallingSource) ReadSamples(p []float32) (int, error) {
	if s.at == s.end {
		return 0, io.EOF
	}
	if d, ok := s.stalls[s.at]; ok {
		time.Sleep(d) // fake time: this is the stall
	}
	n := min(len(p), s.end-s.at)
	for at := range s.stalls {
		if at > s.at {
			n = min(n, at-s.at)
		}
	}
	clear(p[:n])
	s.at += n
	return n, nil
}

// A stall within the lead is not heard. One that exceeds it is heard once, for
// as long as it exceeds it. The sender's own estimate agrees with what the
// replica counts.
func TestStallsBeyondTheLeadAreHeard(t *testing.T) {
	t.Parallel()
	const second, length = 24000, 100
	for name, c := range map[string]struct {
		stalls    map[int]time.Duration
		underruns int
	}{
		"none": {nil, 0},
		"within the lead": {map[int]time.Duration{10 * second: 900 * time.Millisecond,
			300 * second: 950 * time.Millisecond}, 0},
		"one beyond": {map[int]time.Duration{10 * second: 1500 * time.Millisecond}, 1},
		"many": {map[int]time.Duration{10 * second: 900 * time.Millisecond,
			20 * second: 1200 * time.Millisecond, 40 * second: 10 * time.Second, 60 * second: 500 * time.Millisecond,
			80 * second: 3 * time.Second}, 3},
		"before the lead is up": {map[int]time.Duration{second / 2: 700 * time.Millisecond}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far, near := memconn.Pair()
				ctx, stop := context.WithCancel(t.Context())
				reports := make(chan replica.Report)
				go func() {
					report, err := replica.New(far, nil).Run(ctx)
					if err != nil {
						t.Error(err)
					}
					reports <- report
				}()
				session, err := echo.NewSession(echo.NewMessages(near, "c1", 0), nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := session.WaitReady(ctx); err != nil {
					t.Fatal(err)
				}
				receipt, err := session.Speak(ctx, echo.Speech{Samples: &stallingSource{end: length * second, stalls: c.stalls}})
				if err != nil || receipt.Outcome != echo.Finished {
					t.Errorf("%v, %+v", err, receipt)
				}
				_ = session.Close()
				stop()
				report := <-reports
				if report.Underruns != c.underruns || receipt.Underruns != c.underruns {
					t.Errorf("%d underruns heard, %d estimated, want %d", report.Underruns, receipt.Underruns, c.underruns)
				}
				if report.Samples != length*second || report.ComplaintCount != 0 {
					t.Errorf("%d samples, complaints %+v", report.Samples, report.Complaints)
				}
			})
		})
	}
}

// An hour of audio passes through in the memory of a few seconds. An hour is 170 MB of samples. How
// much less is used depends on the processors, and on when the garbage collector runs.
func TestMemoryOfAnHour(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10 // kB
	mp3, err := os.ReadFile("testdata/mp3/speech_24000hz_mono_cbr64.mp3")
	if err != nil {
		t.Fatal(err)
	}
	second := sweep(2*44100, 44100) // of stereo
	for name, write := range map[string]func(w io.Writer) error{
		"wav": func(w io.Writer) error { return repeat(w, wavHeader(44100, 2), second, 3600) },
		"mp3": func(w io.Writer) error { return repeat(w, nil, mp3, 6000) }, // 0.6 s each
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			encode := program(t, "encode", "--quiet", "-")
			stdin, err := encode.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			var messages counter
			encode.Stdout = &messages
			if err := encode.Start(); err != nil {
				t.Fatal(err)
			}
			if err := write(stdin); err != nil {
				t.Fatal(err)
			}
			peak := peakMemory(t, encode.Process.Pid) // it still waits for more
			if err := stdin.Close(); err != nil {
				t.Fatal(err)
			}
			if err := encode.Wait(); err != nil {
				t.Fatal(err)
			}
			t.Logf("peak %d kB, %d messages", peak, messages)
			if peak > limit {
				t.Errorf("peak memory %d kB, want at most %d", peak, limit)
			}
			if messages < 71000 {
				t.Errorf("%d messages for an hour", messages)
			}
		})
	}
}

func repeat(w io.Writer, head, piece []byte, times int) error {
	if _, err := w.Write(head); err != nil {
		return err
	}
	for range times {
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	return nil
}

// counter counts lines.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(bytes.Count(p, []byte{'\n'}))
	return len(p), nil
}

// peakMemory is the peak resident memory of a process that still runs, in kB.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skipf("no /proc here: %v", err)
	}
	for line := range strings.Lines(string(status)) {
		var kB int
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kB); n == 1 {
			return kB
		}
	}
	t.Fatal("no VmHWM in the status")
	return 0
}

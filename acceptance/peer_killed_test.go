//go:build unix

package acceptance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"echocast/cli"
	"echocast/echo"
	"echocast/internal/testwait"
)

// replicaProcess is echocast replica in a separate process.
type replicaProcess struct {
	*exec.Cmd
	url    string
	events chan string   // its lines
	ended  chan struct{} // closed when there are no more
}

func startReplica(t *testing.T, arguments ...string) *replicaProcess {
	t.Helper()
	p := &replicaProcess{events: make(chan string, 1000), ended: make(chan struct{})}
	p.Cmd = exec.CommandContext(testwait.Context(t), os.Args[0],
		append([]string{"replica", "--listen", "127.0.0.1:0"}, arguments...)...)
	p.Env = append(os.Environ(), runAsProgram+"=1", "GORACE=atexit_sleep_ms=0")
	said, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		defer close(p.events)
		for lines := bufio.NewScanner(said); lines.Scan(); {
			p.events <- lines.Text()
		}
	}()
	first := p.await(t, "echocast send --to ")
	p.url = strings.Fields(first[strings.Index(first, "--to ")+5:])[0]
	return p
}

// await returns the next line that has the text in it.
func (p *replicaProcess) await(t *testing.T, text string) string {
	t.Helper()
	for line := range p.events {
		if strings.Contains(line, text) {
			return line
		}
	}
	t.Errorf("the replica ended and did not report %q", text)
	return text + "nowhere"
}

// kill ends the process without giving it a chance to say anything.
func (p *replicaProcess) kill() {
	_ = p.Process.Kill()
	<-p.ended
	_ = p.Wait() // killed
}

// A peer that is killed in mid-utterance is noticed by its silence. The receipt is true: the
// utterance is not done, and each sample that was read is acknowledged, on its way, or not
// sent.
func TestKilledPeer(t *testing.T) {
	before := goleak.IgnoreCurrent()
	dir := t.TempDir()
	record, trace := filepath.Join(dir, "heard.wav"), filepath.Join(dir, "trace.ndjson")
	peer := startReplica(t, "--record", record)
	header, pcm := tone(30 * 24000)
	var intervals, noticed atomic.Int64 // keepalive intervals from its death, and those until it was noticed
	stop := make(chan struct{})
	killed := make(chan struct{})
	counted := make(chan struct{})
	go func() {
		defer close(counted)
		peer.await(t, ": speaking")
		awaitMessages(t, trace, 20)
		peer.kill()
		close(killed)
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				intervals.Add(1)
			case <-stop:
				return
			}
		}
	}()
	var stdout bytes.Buffer
	people := writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("failed:")) {
			noticed.Store(intervals.Load())
		}
		return len(p), nil
	})
	stdin := io.MultiReader(bytes.NewReader(header), bytes.NewReader(pcm))
	code := cli.Run(testwait.Context(t), []string{"echocast", "send", "--json", "--to", peer.url, "--lost-after", "3s",
		"--trace", trace, "-"},
		cli.Streams{In: stdin, Out: &stdout, Err: people})
	testwait.Receive(t, killed)
	close(stop)
	testwait.Receive(t, counted)
	if code != 6 || noticed.Load() > 60 { // five where nothing else runs
		t.Errorf("code %d, noticed in the interval %d after its death", code, noticed.Load()+1)
	}
	var receipt struct {
		echo.Receipt
		Read int64 `json:"samples_in"`
	}
	if err := json.Unmarshal(stdout.Bytes(), &receipt); err != nil {
		t.Fatalf("%v: %s", err, &stdout)
	}
	if receipt.Outcome != echo.Failed || receipt.Delivery == echo.Heard || receipt.SpokenBy != echo.ByClock ||
		receipt.Error == "" {
		t.Errorf("%+v", receipt)
	}
	acknowledged, sent, read := receipt.AcknowledgedSamples, receipt.Samples, receipt.Read
	if acknowledged <= 0 || acknowledged > sent || sent >= read || read > int64(len(pcm)/2) {
		t.Errorf("%d samples acknowledged, %d sent, %d read, of %d", acknowledged, sent, read, len(pcm)/2)
	}
	written := chunksIn(t, trace)
	if written.samples != sent || written.done {
		t.Errorf("%d samples were written to the wire, done is %v; the receipt has %d", written.samples, written.done, sent)
	}
	heard, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	if heard = heard[min(44, len(heard)):]; !bytes.HasPrefix(pcm, heard) || int64(len(heard)/2) > sent {
		t.Errorf("the replica heard %d samples, of %d that were sent", len(heard)/2, sent)
	}
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

// awaitMessages waits until a trace has the start of speech and then the given number of messages.
func awaitMessages(t *testing.T, trace string, messages int) {
	t.Helper()
	for ctx := testwait.Context(t); ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
		text, _ := os.ReadFile(trace) // it may not be there yet
		_, after, _ := strings.Cut(string(text), "started_speaking")
		if strings.Count(after, `"kind":"out"`) >= messages {
			return
		}
	}
	t.Error("the replica does not speak")
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// sentAudio is the audio that was passed to the connection, according to a trace.
type sentAudio struct {
	samples int64
	done    bool
}

func chunksIn(t *testing.T, trace string) (w sentAudio) {
	t.Helper()
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var entry struct {
			Kind    string
			Error   string
			Message echo.AudioMessage
		}
		if json.Unmarshal([]byte(line), &entry) != nil || entry.Kind != "out" {
			continue
		}
		w.done = w.done || entry.Message.Properties.Done
		if entry.Error == "" {
			w.samples += int64(len(entry.Message.Properties.Audio) / 2)
		}
	}
	return w
}

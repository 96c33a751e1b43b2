package acceptance

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"testing"
	"time"

	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/rtc/livekit/livekittest"
)

// If this variable is set, the test binary is an avatar worker.
const runAsAvatar = "ECHOCAST_TEST_AVATAR"

// avatarMain is an avatar worker until it is interrupted.
func avatarMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return livekittest.Main(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

var liveKitServer = sync.OnceValues(func() (*livekittest.Server, error) { return livekittest.StartServer("../bin") })

// needServer skips the test if there is no livekit-server, or fails it if
// ECHOCAST_REQUIRE_LIVEKIT is set.
func needServer(t *testing.T) string {
	t.Helper()
	server, err := liveKitServer()
	if err == nil {
		return server.URL
	}
	if os.Getenv("ECHOCAST_REQUIRE_LIVEKIT") != "" {
		t.Fatal(err)
	}
	t.Skipf("needs livekit-server (make livekit): %v", err)
	return ""
}

// openLiveKit opens a room on a real server, with an avatar worker in a separate process,
// and turns the worker's notices into the events of a replica.
func openLiveKit(t *testing.T, options *replica.Options) *stage {
	url := needServer(t)
	room := strings.NewReplacer("/", "-", " ", "-").Replace(t.Name())
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	faults := options.Faults
	avatar := exec.Command(self, "-url", url, "-secret", livekittest.Secret, "-room", room, "-folder", t.TempDir(),
		"-user-at", faults.UserAt.String(), "-user-for", faults.UserFor.String(), "-leave-after",
		fmt.Sprint(2400*faults.DieAfter))
	avatar.Env = append(os.Environ(), runAsAvatar+"=1")
	avatar.Stderr = os.Stderr
	out, err := avatar.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := avatar.Start(); err != nil {
		t.Fatal(err)
	}
	w := &worker{t: t, options: options}
	var reading sync.WaitGroup
	reading.Go(func() { w.read(out) })
	return &stage{[]string{"--to", "livekit+" + url + "/" + room}, func() replica.Report {
		_ = avatar.Process.Signal(os.Interrupt) // it may have died
		reading.Wait()
		_ = avatar.Wait()
		w.record()
		return w.report
	}}
}

// worker collects the notices of an avatar worker.
type worker struct {
	t       *testing.T
	options *replica.Options
	report  replica.Report
	played  []byte
	sounded int  // samples of the stream that the options were told of
	cleared bool // since the stream started
}

func (w *worker) read(out io.Reader) {
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var r livekittest.Report
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			w.t.Errorf("the avatar says %q: %v", lines.Bytes(), err)
			continue
		}
		w.take(r)
	}
}

func (w *worker) take(r livekittest.Report) {
	switch r.Event {
	case livekittest.Started:
		w.sounded, w.cleared = 0, false
		w.notify(replica.EventStarted)
	case livekittest.Underrun:
		all := make([]int16, r.Received/2)
		w.report.Recording.Silences = append(w.report.Recording.Silences, replica.Silence{Position: int64(len(all))})
		if w.options.OnSound != nil {
			w.options.OnSound(time.Now(), 24000, all[w.sounded:])
			w.sounded = len(all)
		}
	case livekittest.Cleared:
		if !w.cleared { // the sender repeats it if the answer takes half a second
			w.report.Interrupts = append(w.report.Interrupts, replica.Interrupt{})
		}
		w.cleared = true
	case livekittest.Complaint:
		w.report.Complaints = append(w.report.Complaints, replica.Complaint{Text: r.Text})
		w.report.ComplaintCount++
	case livekittest.Finished:
		w.report.Utterances = append(w.report.Utterances, replica.Utterance{ID: r.ID, Done: !r.Interrupted,
			Interrupted: r.Interrupted})
		pcm, err := os.ReadFile(r.File)
		if err != nil {
			w.t.Error(err)
		}
		w.played = append(w.played, pcm...)
	}
}

func (w *worker) notify(kind replica.EventKind) {
	if w.options.OnEvent != nil {
		w.options.OnEvent(replica.Event{Kind: kind})
	}
}

// record writes what was played to the file that the test reads.
func (w *worker) record() {
	if w.options.Record == nil {
		return
	}
	header := append([]byte("RIFF\x00\x00\x00\x00WAVEfmt "+
		"\x10\x00\x00\x00\x01\x00\x01\x00\xc0\x5d\x00\x00\x80\xbb\x00\x00\x02\x00\x10\x00data"), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(header[40:], uint32(len(w.played)))
	if _, err := w.options.Record.Write(append(header, w.played...)); err != nil {
		w.t.Error(err)
	}
}

// An avatar of a vendor with a 16 kHz plugin gets 16 kHz, without an option.
func TestSpeechRateOfVendorAvatar(t *testing.T) {
	url := needServer(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const identity = "simli-avatar-agent"
	avatar := exec.Command(self, "-url", url, "-secret", livekittest.Secret, "-room", t.Name(), "-identity",
		identity, "-speed", "20")
	avatar.Env = append(os.Environ(), runAsAvatar+"=1")
	out, err := avatar.StdoutPipe()
	if err == nil {
		err = avatar.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	room := &stage{arguments: []string{"--to", "livekit+" + url + "/" + t.Name(), "--avatar", identity}}
	sent := send(testwait.Context(t), t, room, nil, "--pace", "burst", speech)
	_ = avatar.Process.Signal(os.Interrupt)
	rate := ""
	for lines := json.NewDecoder(out); ; {
		var r livekittest.Report
		if lines.Decode(&r) != nil {
			break
		}
		if r.Event == livekittest.Stream {
			rate = r.Attributes["sample_rate"]
		}
	}
	_ = avatar.Wait()
	if sent.code != 0 || rate != "16000" {
		t.Errorf("a stream of %q Hz: %v", rate, sent)
	}
}

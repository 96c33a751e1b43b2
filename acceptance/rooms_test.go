package acceptance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"echocast/cli"
	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/rtc"
	"echocast/rtc/daily"
	"echocast/rtc/daily/core"
	"echocast/rtc/daily/dailytest"
)

// roomKind is one kind of room.
type roomKind struct {
	name string
	// open makes a room with a replica in it, which behaves as the options
	// say.
	open func(t *testing.T, options *replica.Options) *stage
	// hasBrowser says that a browser joins the room.
	hasBrowser bool
	// overREST says that chunks are long, and that events come by webhooks: later,
	// and none of a replica that dies.
	overREST bool
}

// stage is a room with its replica.
type stage struct {
	arguments []string // that make send reach it
	// end ends the replica's part and returns what it heard.
	end func() replica.Report
}

var roomKinds = []roomKind{
	{name: "local", open: openLocal},
	{name: "daily bridge", open: openBridge, hasBrowser: true},
	{name: "daily native", open: openNative},
	{name: "livekit", open: openLiveKit},
	{name: "rest", open: openREST, overREST: true},
}

func openLocal(t *testing.T, options *replica.Options) *stage {
	listener, err := rtc.Listen("127.0.0.1:0", &rtc.Options{PingTimeout: testwait.Limit})
	if err != nil {
		t.Fatal(err)
	}
	options.PeerGone = rtc.ErrPeerGone
	var ended sync.WaitGroup
	var report replica.Report
	ended.Go(func() {
		conn, err := listener.Accept(testwait.Context(t))
		if err != nil {
			t.Errorf("nobody came: %v", err)
			return
		}
		defer conn.Close()
		options.Die = func() { _ = conn.Close() }
		report, _ = replica.New(conn, options).Run(testwait.Context(t))
	})
	end := func() replica.Report {
		_ = listener.Close() // or the wait would not end if nobody connected
		ended.Wait()
		return report
	}
	t.Cleanup(func() { end() }) // also where the test ended early
	return &stage{[]string{"--to", listener.URL()}, end}
}

// dailyJS is the library that Daily gives out, as npm installs it.
const dailyJS = "../rtc/daily/dailytest/node_modules/@daily-co/daily-js/dist/daily.js"

// needBrowser skips the test if something that the bridge needs is missing, or fails it if
// ECHOCAST_REQUIRE_BROWSER is set.
func needBrowser(t *testing.T) {
	t.Helper()
	_, browser := daily.FindBrowser("")
	_, library := os.Stat(dailyJS)
	if browser == nil && library == nil {
		return
	}
	const missing = "the Daily bridge needs Chromium and daily-js; make browser installs them"
	if os.Getenv("ECHOCAST_REQUIRE_BROWSER") != "" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

func openBridge(t *testing.T, options *replica.Options) *stage {
	needBrowser(t)
	room, participant := openDailyRoom(t, options)
	library, err := filepath.Abs(dailyJS)
	if err != nil {
		t.Fatal(err)
	}
	return enter(t, options, room, participant, "--to", "daily+"+room.URL(), "--daily-js", library,
		"--daily-call-machine", room.CallMachine())
}

// dailyLibrary is the stand-in for Daily's library. There is one for the
// process, because that is what the real one asks for.
var dailyLibrary = sync.OnceValues(func() (string, error) {
	return dailytest.BuildLibrary(scratch)
})

// needLibrary skips the test if this build cannot open a shared library, and fails it if there is
// no C compiler.
func needLibrary(t *testing.T) string {
	t.Helper()
	if !core.Supported {
		t.Skip(core.ErrUnsupported)
	}
	path, err := dailyLibrary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func openNative(t *testing.T, options *replica.Options) *stage {
	library := needLibrary(t)
	room, participant := openDailyRoom(t, options)
	return enter(t, options, room, participant, "--to", "daily+"+room.URL(), "--daily-core", library)
}

func openDailyRoom(t *testing.T, options *replica.Options) (*dailytest.Room, *dailytest.Participant) {
	room, err := dailytest.NewRoom(dailytest.Options{MaxMessage: options.MessageLimit})
	if err != nil {
		t.Fatal(err)
	}
	participant := room.Enter("Ann", "tavus-replica-1")
	options.Die = participant.Leave
	return room, participant
}

// enter lets the replica play in a Daily room until it is told to end.
func enter(t *testing.T, options *replica.Options, room *dailytest.Room, participant *dailytest.Participant,
	arguments ...string) *stage {
	ctx, cancel := context.WithCancel(testwait.Context(t))
	var ended sync.WaitGroup
	var report replica.Report
	ended.Go(func() { report, _ = replica.New(participant, options).Run(ctx) })
	return &stage{arguments, func() replica.Report {
		cancel()
		ended.Wait()
		participant.Leave()
		room.Close()
		for _, complaint := range room.Complaints() {
			t.Errorf("the room complains: %s", complaint)
		}
		return report
	}}
}

// inEachRoom runs a test in each kind of room at the same time.
func inEachRoom(t *testing.T, test func(t *testing.T, w roomKind)) {
	t.Parallel()
	for _, w := range roomKinds {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			if w.hasBrowser {
				needBrowser(t)
				awaitBrowser(t)
			}
			test(t, w)
		})
	}
}

// browsers has room for each test that runs a browser: one for each processor, because a
// browser is the one thing here that keeps a processor busy, at its start.
var browsers = make(chan struct{}, runtime.NumCPU())

// awaitBrowser waits until the test may run a browser, and keeps its place
// until the test ends. A test calls it once.
func awaitBrowser(t *testing.T) {
	browsers <- struct{}{} // each test that holds a place has bounded waits
	t.Cleanup(func() { <-browsers })
}

// outcome is what a run of send left.
type outcome struct {
	code     int
	receipts []echo.Receipt
	stderr   string
}

// send runs the send command to a stage.
func send(ctx context.Context, t *testing.T, s *stage, stdin io.Reader, arguments ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	all := append(append([]string{"echocast", "send", "--json", "--conversation", "c1"}, s.arguments...), arguments...)
	code := cli.Run(ctx, all, cli.Streams{In: stdin, Out: &stdout, Err: &stderr})
	o := outcome{code: code, stderr: stderr.String()}
	for line := range strings.Lines(stdout.String()) {
		var receipt echo.Receipt
		if err := json.Unmarshal([]byte(line), &receipt); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		o.receipts = append(o.receipts, receipt)
	}
	return o
}

// encoded is the audio that an input makes on the wire: what has to be heard.
func encoded(t *testing.T, arguments ...string) []byte {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := cli.Run(testwait.Context(t), append([]string{"echocast", "encode"}, arguments...),
		cli.Streams{Out: &stdout, Err: &stderr}); code != 0 {
		t.Fatal(stderr.String())
	}
	var pcm []byte
	for line := range strings.Lines(stdout.String()) {
		var m echo.AudioMessage
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		pcm = append(pcm, m.Properties.Audio...)
	}
	return pcm
}

// recording is a file for what a replica hears.
func recording(t *testing.T) *os.File {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "heard.wav"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}

// heard is what was recorded, without its header.
func heard(t *testing.T, file *os.File) []byte {
	t.Helper()
	data, err := os.ReadFile(file.Name())
	if err != nil {
		t.Fatal(err)
	}
	return data[44:]
}

// noComplaints checks that the replica has none but those of a kind.
func noComplaints(t *testing.T, report replica.Report, but replica.Kind) {
	t.Helper()
	for _, complaint := range report.Complaints {
		if complaint.Kind != but {
			t.Errorf("the replica complains: %s", complaint.Text)
		}
	}
}

func (o outcome) String() string {
	return fmt.Sprintf("code %d, %+v\n%s", o.code, o.receipts, o.stderr)
}

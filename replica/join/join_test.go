package join

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/pion/opus"
	"github.com/pion/rtp"

	"echocast/echo"
	"echocast/internal/nodetest"
	"echocast/internal/opusencoder"
	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/replica/avatar"
	"echocast/room"
	"echocast/rtc/livekit"
	"echocast/rtc/livekit/livekittest"
)

func TestMain(m *testing.M) {
	if os.Getenv(flashEnv) != "" {
		flash(os.Stdin, os.Stdout)
		return
	}
	code := m.Run()
	livekittest.StopServers()
	os.Exit(code)
}

var errOver = errors.New("the test is over")

// server is the livekit-server that all tests share.
var server = sync.OnceValues(func() (*livekittest.Server, error) { return livekittest.StartServer("../../bin") })

// nodePrograms is where the programs on LiveKit's libraries for Node are.
const nodePrograms = "../../rtc/livekit/livekittest/node"

// need skips a test if something is missing, or fails it if ECHOCAST_REQUIRE_LIVEKIT is set.
func need(t *testing.T, missing error) {
	t.Helper()
	switch {
	case missing == nil:
	case os.Getenv("ECHOCAST_REQUIRE_LIVEKIT") != "":
		t.Fatalf("%v (make livekit gets what is missing)", missing)
	default:
		t.Skipf("NOT TESTED WITH LIVEKIT: %v (make livekit gets what is missing)", missing)
	}
}

// guest is a replica in a room of LiveKit.
type guest struct {
	t    *testing.T
	room string // its address
	url  string // of the server

	notes  chan string // what the replica reports
	over   sync.WaitGroup
	stop   context.CancelCauseFunc
	report replica.Report
	err    error
}

// joinRoom lets a replica join a room.
func joinRoom(t *testing.T, options Options, token ...string) *guest {
	t.Helper()
	if !opusencoder.Available {
		t.Skip("this build has no libopus")
	}
	running, err := server()
	need(t, err)
	t.Setenv("LIVEKIT_API_KEY", livekittest.Key)
	t.Setenv("LIVEKIT_API_SECRET", livekittest.Secret)
	t.Setenv("LIVEKIT_TOKEN", strings.Join(token, ""))
	g := &guest{
		t: t, url: running.URL, room: livekit.Address{URL: running.URL, Room: t.Name()}.String(),
		notes: make(chan string, 100),
	}
	options.To = g.room
	options.Note = func(text string) {
		t.Log(text)
		g.notes <- text
	}
	ctx, stop := context.WithCancelCause(context.WithoutCancel(t.Context())) // leave ends it
	g.stop = stop
	ended := make(chan struct{})
	g.over.Go(func() {
		defer close(ended)
		g.report, g.err = Run(ctx, &options)
	})
	t.Cleanup(g.leave)
	select {
	case <-g.notes:
	case <-ended:
		t.Fatal(g.err)
	}
	return g
}

// leave ends the replica's part.
func (g *guest) leave() {
	g.stop(errOver)
	g.over.Wait()
	if !errors.Is(g.err, errOver) {
		g.t.Errorf("the replica has left: %v", g.err)
	}
}

// token lets somebody into the room.
func (g *guest) token(identity string) string {
	g.t.Helper()
	token, err := auth.NewAccessToken(livekittest.Key, livekittest.Secret).SetIdentity(identity).
		SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: g.t.Name()}).SetValidFor(time.Hour).ToJWT()
	if err != nil {
		g.t.Fatal(err)
	}
	return token
}

// sender lets somebody into the room who speaks as echocast does.
func (g *guest) sender(identity string) (*livekit.Room, *echo.Session) {
	g.t.Helper()
	to, err := livekit.ParseAddress(g.room)
	if err != nil {
		g.t.Fatal(err)
	}
	in, err := livekit.Join(testwait.Context(g.t), to, livekit.Credentials{Token: g.token(identity)},
		&livekit.Options{ConnectTimeout: testwait.Limit, ClearTimeout: testwait.Limit})
	if err != nil {
		g.t.Fatal(err)
	}
	session, err := echo.NewSession(in, &echo.Options{ReadyTimeout: testwait.Limit, SendTimeout: testwait.Limit,
		HeardTimeout: testwait.Limit})
	if err == nil {
		err = session.WaitReady(testwait.Context(g.t))
	}
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() {
		_ = session.Close()
		_ = in.Close()
	})
	return in, session
}

// note waits for a note of the replica.
func (g *guest) note(part string) {
	g.t.Helper()
	for !strings.Contains(testwait.Receive(g.t, g.notes), part) {
	}
}

// silentSource is a source of silence. Its value is how many tenths of a second are left.
type silentSource int

func (n *silentSource) ReadSamples(p []float32) (int, error) {
	if *n == 0 {
		return 0, io.EOF
	}
	*n--
	clear(p[:min(len(p), avatar.Rate/10)])
	return min(len(p), avatar.Rate/10), nil
}

// speech is silence that somebody speaks.
func speech(length int) echo.Speech { return echo.Speech{Samples: (*silentSource)(&length)} }

// The replica obeys the first sender, and another only after that one has left.
func TestOthersAreNotObeyed(t *testing.T) {
	g := joinRoom(t, Options{})
	in, first := g.sender("first")
	other, second := g.sender("second")
	spoken := make(chan echo.Receipt, 1)
	var speaking sync.WaitGroup
	defer speaking.Wait()
	speaking.Go(func() {
		receipt, err := first.Speak(testwait.Context(t), speech(50))
		if err != nil {
			t.Error(err)
		}
		spoken <- receipt
	})
	for ctx := testwait.Context(t); first.Progress().Sent == 0 && len(spoken) == 0 && ctx.Err() == nil; {
		time.Sleep(10 * time.Millisecond)
	}
	if err := other.Interrupt(testwait.Context(t)); !errors.Is(err, livekit.ErrRejected) {
		t.Errorf("somebody else interrupts: %v", err)
	}
	if receipt := testwait.Receive(t, spoken); receipt.Outcome != echo.Finished {
		t.Errorf("the first sender's receipt is %+v", receipt)
	}
	g.note("first has joined") // the server takes seconds to tell of those who publish nothing
	_ = first.Close()
	_ = in.Close()
	g.note("first has left")
	if receipt, err := second.Speak(testwait.Context(t), speech(5)); err != nil || receipt.Outcome != echo.Finished {
		t.Errorf("after the first has left: %+v, %v", receipt, err)
	}
}

// The replica obeys only the sender that its token names.
func TestTokenNamesTheSender(t *testing.T) {
	token, err := livekit.AvatarToken(livekittest.Key, livekittest.Secret, t.Name(), livekit.DefaultAvatar,
		"agent", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	g := joinRoom(t, Options{}, token)
	other, _ := g.sender("other")
	if err := other.Interrupt(testwait.Context(t)); !errors.Is(err, livekit.ErrRejected) {
		t.Errorf("somebody else interrupts: %v", err)
	}
	_, session := g.sender("agent")
	if receipt, err := session.Speak(testwait.Context(t), speech(5)); err != nil || receipt.Outcome != echo.Finished {
		t.Errorf("the agent's receipt: %+v, %v", receipt, err)
	}
}

// told is what a program prints.
type told struct {
	Event       string  `json:"event"`
	Played      float64 `json:"playbackPosition"`
	Interrupted bool    `json:"interrupted"`
}

// node runs one of the programs on LiveKit's libraries as a sender.
func (g *guest) node(program string, args ...string) <-chan told {
	g.t.Helper()
	nodetest.Need(g.t, nodePrograms, "@livekit/agents", "ECHOCAST_REQUIRE_LIVEKIT")
	return nodetest.Start[told](g.t, nodePrograms, program,
		append([]string{g.url, g.token("agent"), livekit.DefaultAvatar}, args...)...)
}

// await returns the next line of an event.
func (g *guest) await(lines <-chan told, event string) told {
	g.t.Helper()
	for {
		select {
		case line, isOpen := <-lines:
			if !isOpen {
				g.t.Fatalf("the program ended before %q", event)
			}
			if line.Event == event { // the library logs too
				return line
			}
		case <-testwait.Context(g.t).Done():
			g.t.Fatalf("no %q", event)
		}
	}
}

// loudness is what a packet with more than ten milliseconds of the senders' tone has, and
// one with only what Opus adds at the end of a sound has not.
const loudness = 5900

// loudPacketCounter counts the packets of the replica that have sound in them.
type loudPacketCounter struct {
	mu   sync.Mutex
	loud []time.Time
}

// listen lets somebody hear the replica.
func (g *guest) listen() *loudPacketCounter {
	g.t.Helper()
	to, err := livekit.ParseAddress(g.room)
	if err != nil {
		g.t.Fatal(err)
	}
	in, err := livekit.Join(testwait.Context(g.t), to, livekit.Credentials{Token: g.token("ear")},
		&livekit.Options{ConnectTimeout: testwait.Limit})
	if err != nil {
		g.t.Fatal(err)
	}
	decoder, err := opus.NewDecoderWithOutput(avatar.Rate, 1)
	if err != nil {
		g.t.Fatal(err)
	}
	e := &loudPacketCounter{}
	came := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(g.t.Context())
	var hearing sync.WaitGroup
	hearing.Go(func() {
		_ = in.Hear(ctx, "replica", func(_ string, p *rtp.Packet) { // its end is the test's
			samples := make([]int16, 5760)
			n, err := decoder.DecodeToInt16(p.Payload, samples)
			if err != nil {
				return
			}
			e.add(samples[:n])
			select {
			case came <- struct{}{}:
			default:
			}
		}, func(string) {})
	})
	g.t.Cleanup(func() {
		cancel()
		hearing.Wait()
		_ = in.Close()
	})
	testwait.Receive(g.t, came)
	return e
}

func (e *loudPacketCounter) add(samples []int16) {
	sum := 0.0
	for _, s := range samples {
		sum += float64(s) * float64(s)
	}
	if math.Sqrt(sum/float64(max(1, len(samples)))) < loudness {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.loud = append(e.loud, time.Now())
}

// take returns the length of what was heard since the last call.
func (e *loudPacketCounter) take() time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := len(e.loud)
	e.loud = nil
	return time.Duration(n) * avatar.Tick
}

// LiveKit's own sender speaks through the replica, byte for byte, and understands its reports.
func TestLiveKitsSender(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "heard.wav"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var mu sync.Mutex
	var over []replica.Utterance
	g := joinRoom(t, Options{Record: file, OnUtterance: func(u replica.Utterance) {
		mu.Lock()
		defer mu.Unlock()
		over = append(over, u)
	}})
	random := rand.New(rand.NewPCG(1, 2))
	pcm := make([]byte, 2*2*avatar.Rate) // two seconds
	for i := range pcm {
		pcm[i] = byte(random.Uint32())
	}
	sent := filepath.Join(t.TempDir(), "pcm")
	if err := os.WriteFile(sent, pcm, 0o600); err != nil {
		t.Fatal(err)
	}
	lines := g.node("sender.mjs", sent, fmt.Sprint(avatar.Rate))
	if line := g.await(lines, "finished"); line.Interrupted || line.Played != 2 {
		t.Errorf("the sender understood %+v, and 2 s were played", line)
	}
	cut := g.await(lines, "interrupted")
	if !cut.Interrupted || cut.Played >= 20 {
		t.Errorf("the sender understood %+v after an interrupt", cut)
	}
	g.leave()
	heard, err := os.ReadFile(file.Name())
	if err != nil || len(heard) < 44+len(pcm) || !bytes.Equal(heard[44:44+len(pcm)], pcm) {
		t.Errorf("%d bytes were played, and they do not begin with those of the stream: %v", len(heard), err)
	}
	if len(over) != 2 || over[0].Interrupted || !over[1].Interrupted || over[1].PlayedSeconds < cut.Played {
		t.Errorf("the replica says %+v", over)
	}
}

// After an interrupt, the position that LiveKit's own sender gets is what another participant
// heard, within one packet.
func TestInterruptsThroughTheServer(t *testing.T) {
	count := testwait.Trials(100)
	g := joinRoom(t, Options{})
	e := g.listen()
	lines := g.node("interrupts.mjs", fmt.Sprint(avatar.Rate), fmt.Sprint(count))
	largest := time.Duration(0)
	for i := range count {
		line := g.await(lines, "interrupted")
		played := time.Duration(line.Played * float64(time.Second))
		heard := e.take()
		for ctx := testwait.Context(t); played-heard > avatar.Tick && ctx.Err() == nil; {
			time.Sleep(10 * time.Millisecond) // what was published arrives
			heard += e.take()
		}
		largest = max(largest, (played - heard).Abs())
		if !line.Interrupted || (played-heard).Abs() > avatar.Tick {
			t.Errorf("interrupt %d: the sender is told %v, interrupted %v, and %v were heard", i, played,
				line.Interrupted, heard)
		}
	}
	t.Logf("%d interrupts: the position is within %v of what was heard", count, largest)
}

func TestBadAddresses(t *testing.T) {
	for _, variable := range []string{"LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "LIVEKIT_TOKEN"} {
		t.Setenv(variable, "")
	}
	ignore := func(string) {}
	_, err := Run(t.Context(), &Options{To: "http://127.0.0.1:1/", Note: ignore})
	if _, ok := errors.AsType[*room.AddressError](err); !ok {
		t.Errorf("another kind of address: %v", err)
	}
	_, err = Run(t.Context(), &Options{To: "livekit+ws://127.0.0.1:1/room", Note: ignore})
	if _, ok := errors.AsType[*room.CredentialError](err); !ok {
		t.Errorf("without credentials: %v", err)
	}
	if !opusencoder.Available {
		return
	}
	t.Setenv("LIVEKIT_API_KEY", "key")
	t.Setenv("LIVEKIT_API_SECRET", "secretsecretsecretsecretsecretsecret")
	_, err = Run(t.Context(), &Options{To: "livekit+ws://example.com/room", Note: ignore})
	if _, ok := errors.AsType[*room.AddressError](err); !ok {
		t.Errorf("without TLS: %v", err)
	}
	_, err = Run(t.Context(), &Options{To: "livekit+ws://127.0.0.1:1/room", Note: ignore})
	if _, ok := errors.AsType[*room.UnreachableError](err); !ok {
		t.Errorf("where nobody listens: %v", err)
	}
	locked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }))
	defer locked.Close()
	address := "livekit+" + strings.Replace(locked.URL, "http", "ws", 1) + "/room"
	_, err = Run(testwait.Context(t), &Options{To: address, Note: ignore})
	if _, ok := errors.AsType[*room.RefusedError](err); !ok {
		t.Errorf("with the wrong credentials: %v", err)
	}
	if _, err = Run(t.Context(), &Options{To: "livekit+ws://127.0.0.1:1/room", Note: ignore,
		Delay: time.Hour}); err == nil {
		t.Error("no error for a delay of an hour")
	}
}

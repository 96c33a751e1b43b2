package livekit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"

	"echocast/echo"
	"echocast/internal/nodetest"
	"echocast/internal/testwait"
	"echocast/rtc/livekit/livekittest"
)

// nodePrograms is the folder of the programs on LiveKit's libraries for Node.js.
// scripts/livekit.sh installs the libraries.
const nodePrograms = "livekittest/node"

// report is what such a program prints.
type report struct {
	Event       string  `json:"event"`
	Position    float64 `json:"position"`
	Played      float64 `json:"playbackPosition"`
	Interrupted bool    `json:"interrupted"`
	SHA256      string  `json:"sha256"`
	Rate        string  `json:"rate"`
	Reply       string  `json:"reply"`
}

// startNode runs one of the programs in a room. If Node.js or a library is missing, it skips
// the test, or fails it if ECHOCAST_REQUIRE_LIVEKIT is set. The reports end when the program
// does.
func startNode(t *testing.T, program, identity, room string, args ...string) <-chan report {
	t.Helper()
	nodetest.Need(t, nodePrograms, "@livekit/agents", "ECHOCAST_REQUIRE_LIVEKIT")
	token, err := auth.NewAccessToken(testKey, testSecret).SetIdentity(identity).
		SetVideoGrant(&auth.VideoGrant{RoomJoin: true, Room: room}).SetValidFor(time.Hour).ToJWT()
	if err != nil {
		t.Fatal(err)
	}
	return nodetest.Start[report](t, nodePrograms, program, append([]string{serverURL(t), token}, args...)...)
}

// await returns the next report of an event.
func await(t *testing.T, reports <-chan report, event string) report {
	t.Helper()
	for {
		select {
		case r, ok := <-reports:
			if !ok {
				t.Fatalf("the program ended before %q", event)
			}
			if r.Event == event {
				return r
			}
		case <-testwait.Context(t).Done():
			t.Fatalf("no %q", event)
		}
	}
}

// LiveKit's own sender speaks to our stand-in. The stand-in complains of nothing, and the
// sender understands its reports.
func TestLiveKitSenderAndStandInAvatar(t *testing.T) {
	t.Parallel()
	avatar := startAvatar(t, t.Name(), "-sender", "agent")
	what := noise(2)
	pcm := make([]float32, what.left)
	_, _ = what.ReadSamples(pcm)
	file := filepath.Join(t.TempDir(), "pcm")
	if err := os.WriteFile(file, what.sent(), 0o600); err != nil {
		t.Fatal(err)
	}
	file, _ = filepath.Abs(file)
	reports := startNode(t, "sender.mjs", "agent", t.Name(), DefaultAvatar, file, "24000")

	whole := avatar.expect(livekittest.Finished)
	mustEqual(t, heard(t, whole), what.sent())
	if r := await(t, reports, "finished"); r.Interrupted || r.Played != 2 {
		t.Errorf("the sender understood %+v, and 2 s were played", r)
	}
	cut := avatar.expect(livekittest.Finished)
	if r := await(t, reports, "interrupted"); !r.Interrupted || r.Played != cut.Position || r.Played >= 20 {
		t.Errorf("the sender understood %+v, and it was interrupted at %v s", r, cut.Position)
	}
}

// Our sender speaks to a worker on LiveKit's library, which publishes its video only after
// somebody has subscribed to its audio: no other participant is there.
func TestSenderAndLiveKitWorker(t *testing.T) {
	t.Parallel()
	reports := startNode(t, "worker.mjs", DefaultAvatar, t.Name(), DefaultIdentity)
	s := session(t, join(t, t.Name(), &Options{ReadyWhen: ReadyVideo}), burst)
	await(t, reports, "video")

	what := noise(1)
	receipt := speak(t, s, what)
	sum := sha256.Sum256(what.sent())
	if r := await(t, reports, "finished"); r.SHA256 != hex.EncodeToString(sum[:]) || r.Reply != answerOK {
		t.Errorf("the worker reports %+v of another stream", r)
	}
	if receipt.Outcome != echo.Finished || receipt.SpokenBy != echo.ByEvent || receipt.SpokenSeconds != 1 {
		t.Errorf("receipt %+v, want 1 s finished, by event", receipt)
	}

	interrupted := make(chan error, 1)
	go func() {
		_, err := s.Speak(testwait.Context(t), echo.Speech{Samples: noise(20)})
		interrupted <- err
	}()
	await(t, reports, "stream")
	for ctx := testwait.Context(t); s.Progress().Sent < 3*time.Second && ctx.Err() == nil; { // it plays for longer
		time.Sleep(10 * time.Millisecond)
	}
	if err := s.Interrupt(testwait.Context(t), nil); err != nil {
		t.Fatal(err)
	}
	if err := testwait.Receive(t, interrupted); !errors.Is(err, echo.ErrStopped) {
		t.Errorf("interrupted: %v", err)
	}
	if r := await(t, reports, "finished"); !r.Interrupted || r.Position >= 20 {
		t.Errorf("the worker reports %+v", r)
	}
}

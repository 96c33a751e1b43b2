package livekit

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	lksdk "github.com/livekit/server-sdk-go/v2"
	"go.uber.org/goleak"

	"echocast/echo"
	"echocast/internal/pcm"
	"echocast/internal/testenv"
	"echocast/internal/testwait"
	"echocast/logs"
	"echocast/rtc/livekit/livekittest"
)

// samples is a source of seconds of audio at 24 kHz that repeats nowhere. After
// stallAt samples (0: never) it waits for resume. The first loud samples are beyond
// full scale.
type samples struct {
	left    int
	at      int
	state   uint32
	stallAt int
	loud    int
	resume  <-chan struct{}
	all     []float32
}

func noise(seconds float64) *samples { return &samples{left: int(seconds * 24000), state: 1} }

func (s *samples) ReadSamples(p []float32) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), s.left)
	if s.stallAt > 0 && s.at == s.stallAt {
		<-s.resume
	} else if s.at < s.stallAt {
		n = min(n, s.stallAt-s.at)
	}
	for i := range p[:n] {
		s.state = s.state*1664525 + 1013904223
		p[i] = float32(int32(s.state)>>16) / 32768
		if s.at+i < s.loud {
			p[i] = 1.5
		}
	}
	s.all = append(s.all, p[:n]...)
	s.at += n
	s.left -= n
	return n, nil
}

// sent returns what was read of it, as it should be heard.
func (s *samples) sent() []byte { return new(pcm.Quantiser).Bytes(s.all) }

func join(t testing.TB, name string, options *Options) *Room {
	t.Helper()
	patient := Options{}
	if options != nil {
		patient = *options
	}
	patient.ConnectTimeout = cmp.Or(patient.ConnectTimeout, testwait.Limit) // a busy machine takes long
	patient.ClearTimeout = cmp.Or(patient.ClearTimeout, testwait.Limit)
	patient.CloseTimeout = cmp.Or(patient.CloseTimeout, testwait.Limit)
	r, err := Join(testwait.Context(t), Address{URL: serverURL(t), Room: name},
		Credentials{Key: testKey, Secret: testSecret}, &patient)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func session(t testing.TB, r *Room, options *echo.Options) *echo.Session {
	t.Helper()
	patient := echo.Options{}
	if options != nil {
		patient = *options
	}
	patient.ReadyTimeout = cmp.Or(patient.ReadyTimeout, testwait.Limit)
	patient.SendTimeout = cmp.Or(patient.SendTimeout, testwait.Limit)
	patient.HeardTimeout = cmp.Or(patient.HeardTimeout, testwait.Limit)
	patient.InterruptTimeout = cmp.Or(patient.InterruptTimeout, testwait.Limit)
	s, err := echo.NewSession(r, &patient)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.WaitReady(testwait.Context(t)); err != nil {
		t.Fatal(err)
	}
	return s
}

var burst = &echo.Options{Pace: echo.Pace{Mode: echo.BurstMode}}

func speak(t testing.TB, s *echo.Session, what *samples) echo.Receipt {
	t.Helper()
	receipt, err := s.Speak(testwait.Context(t), echo.Speech{Samples: what})
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

func mustEqual(t testing.TB, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("the avatar played %d bytes, not the %d that were sent", len(got), len(want))
	}
}

func TestTenSecondsArriveWhole(t *testing.T) {
	t.Parallel()
	avatar := startAvatar(t, t.Name(), "-speed", "50")
	s := session(t, join(t, t.Name(), nil), burst)
	what := noise(10)
	what.loud = 7
	receipt := speak(t, s, what)
	if receipt.Outcome != echo.Finished || receipt.SpokenBy != echo.ByEvent || receipt.SpokenSeconds != 10 ||
		receipt.Clipped != 7 {
		t.Errorf("receipt %+v, want 10 s finished, by event", receipt)
	}
	report := avatar.expect(livekittest.Finished)
	if report.ID != receipt.InferenceID || report.Reply != answerOK && report.Reply != "" || report.Interrupted {
		t.Errorf("the avatar reports %+v", report)
	}
	mustEqual(t, heard(t, report), what.sent())
}

func TestUtterancesInARow(t *testing.T) {
	avatar := startAvatar(t, t.Name(), "-speed", "50")
	s := session(t, join(t, t.Name(), nil), burst)
	for range 3 {
		what := noise(0.73)
		receipt := speak(t, s, what)
		report := avatar.expect(livekittest.Finished)
		if report.ID != receipt.InferenceID {
			t.Errorf("the avatar played %s, and the receipt is of %s", report.ID, receipt.InferenceID)
		}
		mustEqual(t, heard(t, report), what.sent())
	}
}

// A lost report affects only its own utterance.
func TestLostReportCostsOneUtterance(t *testing.T) {
	t.Parallel()
	avatar := startAvatar(t, t.Name(), "-lose-finished", "1", "-no-started")
	room := join(t, t.Name(), nil)
	s := session(t, room, &echo.Options{Pace: burst.Pace, HeardTimeout: 500 * time.Millisecond})
	lost, err := s.Speak(testwait.Context(t), echo.Speech{Samples: noise(0.3)})
	if !errors.Is(err, echo.ErrUnverified) {
		t.Errorf("the utterance that was not reported ends with %v, %+v", err, lost)
	}
	avatar.expect(livekittest.Finished)
	_ = s.Close()
	s, err = echo.NewSession(room, &echo.Options{Pace: burst.Pace, HeardTimeout: testwait.Limit,
		SkipReady: true}) // the session before has read that the replica is there
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 2 {
		what := noise(0.3)
		receipt := speak(t, s, what)
		if receipt.Outcome != echo.Finished || receipt.SpokenSeconds != 0.3 {
			t.Errorf("receipt %+v, want 0.3 s finished", receipt)
		}
		mustEqual(t, heard(t, avatar.expect(livekittest.Finished)), what.sent())
	}
}

func TestInterrupt(t *testing.T) {
	avatar := startAvatar(t, t.Name())
	s := session(t, join(t, t.Name(), nil), nil)
	what := noise(20)
	type result struct {
		receipt echo.Receipt
		err     error
	}
	done := make(chan result, 1)
	go func() {
		receipt, err := s.Speak(testwait.Context(t), echo.Speech{Samples: what})
		done <- result{receipt, err}
	}()
	avatar.expect(livekittest.Started)
	if err := s.Interrupt(testwait.Context(t), nil); err != nil {
		t.Fatal(err)
	}
	got := testwait.Receive(t, done)
	avatar.expect(livekittest.Cleared)
	report := avatar.expect(livekittest.Finished)
	if !errors.Is(got.err, echo.ErrStopped) || got.receipt.Outcome != echo.Interrupted ||
		got.receipt.SpokenBy != echo.ByEvent {
		t.Errorf("interrupted: %v, %+v", got.err, got.receipt)
	}
	if !report.Interrupted || report.Position-got.receipt.SpokenSeconds > 1e-6 ||
		got.receipt.SpokenSeconds-report.Position > 1e-6 {
		t.Errorf("the avatar stopped at %v s (%+v), and the receipt says %v s", report.Position, report,
			got.receipt.SpokenSeconds)
	}
	if played := heard(t, report); !bytes.HasPrefix(what.sent(), played) {
		t.Errorf("the %d bytes played are not how the utterance begins", len(played))
	}
	next := noise(0.2)
	speak(t, s, next)
	mustEqual(t, heard(t, avatar.expect(livekittest.Finished)), next.sent())
}

// A sender with the identity of one that was killed stops what that one said. The avatar reports
// this when the next stream is open already, and the report is not taken for that one's end.
func TestSpeaksAfterAKilledSender(t *testing.T) {
	t.Parallel()
	avatar := startAvatar(t, t.Name(), "-report-after", "300ms")
	killed := join(t, t.Name(), nil)
	session(t, killed, burst)
	if err := killed.Begin(echo.Utterance{InferenceID: echo.NewInferenceID(), Rate: 24000}); err != nil {
		t.Fatal(err)
	}
	if _, err := killed.Speak(testwait.Context(t), make([]float32, 24000), false); err != nil {
		t.Fatal(err)
	}
	avatar.expect(livekittest.Started)
	s := session(t, join(t, t.Name(), nil), nil) // the server closes the other
	if err := s.Silence(testwait.Context(t)); err != nil {
		t.Fatal(err)
	}
	what := noise(1)
	if receipt := speak(t, s, what); receipt.Outcome != echo.Finished || receipt.SpokenSeconds != 1 {
		t.Errorf("receipt %+v, want 1 s finished", receipt)
	}
	avatar.expect(livekittest.Cleared)
	if report := avatar.expect(livekittest.Finished); !report.Interrupted {
		t.Errorf("the killed sender's stream: %+v", report)
	}
	mustEqual(t, heard(t, avatar.expect(livekittest.Finished)), what.sent())
}

func TestInterruptRejectedByAvatar(t *testing.T) {
	t.Parallel()
	avatar := startAvatar(t, t.Name(), "-sender", "somebody-else")
	avatar.allowed = true // it complains about our stream
	var warnings []string
	r := join(t, t.Name(), &Options{Warn: func(text string) { warnings = append(warnings, text) }})
	session(t, r, burst)
	if err := r.Begin(echo.Utterance{InferenceID: echo.NewInferenceID(), Rate: 24000}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Speak(testwait.Context(t), make([]float32, 100), false); err != nil {
		t.Fatal(err)
	}
	if err := r.Interrupt(testwait.Context(t)); !errors.Is(err, ErrRejected) {
		t.Errorf("Interrupt: %v, want ErrRejected", err)
	}
	if last := warnings[len(warnings)-1]; !strings.HasPrefix(last,
		"the interrupt had no effect: the avatar rejects our commands") {
		t.Errorf("the last warning is %q", last)
	}
}

func TestInputThatStalls(t *testing.T) {
	t.Parallel()
	avatar := startAvatar(t, t.Name(), "-speed", "20")
	s := session(t, join(t, t.Name(), nil), burst)
	resume := make(chan struct{})
	what := noise(2)
	what.stallAt, what.resume = 24000, resume
	done := make(chan echo.Receipt, 1)
	go func() {
		receipt, err := s.Speak(testwait.Context(t), echo.Speech{Samples: what})
		if err != nil {
			t.Error(err)
		}
		done <- receipt
	}()
	avatar.expect(livekittest.Underrun)
	close(resume)
	if receipt := testwait.Receive(t, done); receipt.Outcome != echo.Finished || receipt.SpokenSeconds != 2 {
		t.Errorf("receipt %+v, want 2 s finished", receipt)
	}
	mustEqual(t, heard(t, avatar.expect(livekittest.Finished)), what.sent())
}

// next reads events up to the first of a type, or the error.
func next(r *Room, what string) error {
	ctx, cancel := context.WithTimeout(context.Background(), testwait.Limit)
	defer cancel()
	for {
		e, err := r.Next(ctx)
		if err != nil || e.Type == what {
			return err
		}
	}
}

func TestAvatarIsKilled(t *testing.T) {
	t.Parallel()
	avatar := startAvatar(t, t.Name())
	r := join(t, t.Name(), nil)
	if err := next(r, TypeAvatarReady); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	avatar.kill()
	if err := next(r, "nothing"); !errors.Is(err, ErrAvatarGone) {
		t.Errorf("Next: %v, want ErrAvatarGone", err)
	}
	t.Logf("seen after %v", time.Since(at))
	if err := r.Begin(echo.Utterance{InferenceID: "a", Rate: 24000}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Speak(testwait.Context(t), make([]float32, 100), false); !errors.Is(err, ErrAvatarGone) ||
		!errors.Is(err, echo.ErrLost) {
		t.Errorf("Speak: %v, want echo.ErrLost and ErrAvatarGone", err)
	}
}

// The avatar is ready when its video is there, not before.
func TestReadyWhenVideo(t *testing.T) {
	t.Parallel()
	avatar := startAvatar(t, t.Name(), "-publish", livekittest.PublishNothing)
	avatar.expect(livekittest.Joined)
	r := join(t, t.Name(), nil)
	if r.avatar() == nil {
		t.Fatal("the avatar has joined, and the room does not know it")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isReady || len(r.events) > 0 {
		t.Errorf("an avatar without video is ready: %v", r.events)
	}
}

func TestForeignCallerIsRejected(t *testing.T) {
	t.Parallel()
	startAvatar(t, t.Name())
	r := join(t, t.Name(), nil)
	if err := next(r, TypeAvatarReady); err != nil {
		t.Fatal(err)
	}
	stranger, err := lksdk.ConnectToRoom(serverURL(t), lksdk.ConnectInfo{APIKey: testKey, APISecret: testSecret,
		RoomName: t.Name(), ParticipantIdentity: "stranger"}, nil, lksdk.WithAutoSubscribe(false),
		lksdk.WithConnectTimeout(testwait.Limit))
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Disconnect()
	for _, method := range []string{TypePlaybackFinished, TypePlaybackStarted} {
		call := lksdk.PerformRpcParams{DestinationIdentity: r.Identity(), Method: method, Payload: "{}"}
		answer, err := stranger.LocalParticipant.PerformRpc(call)
		for tries := 1; err != nil && tries < 3; tries++ { // on a busy machine no answer comes in time
			answer, err = stranger.LocalParticipant.PerformRpc(call)
		}
		if err != nil || *answer != answerReject {
			t.Errorf("%s of a stranger: %v, want %q", method, err, answerReject)
		}
	}
	for e, ok := r.take(); ok; e, ok = r.take() {
		if e.Type == TypePlaybackFinished || e.Type == TypePlaybackStarted { // no TypeReconnecting of a busy machine
			t.Errorf("a stranger's call is the event %+v", e)
		}
	}
}

func TestJoinErrors(t *testing.T) {
	url := serverURL(t)
	const wrong = "wrongwrongwrongwrongwrongwrongwrong"
	foreign, err := token(testKey, wrong, "room", "echocast", time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, with := range map[string]Credentials{
		"secret": {Key: testKey, Secret: wrong},
		"key":    {Key: "nokey", Secret: testSecret},
		"token":  {Token: foreign},
		"text":   {Token: "no-token-at-all"},
	} {
		var log bytes.Buffer
		ctx := logs.Into(testwait.Context(t), slog.New(slog.NewTextHandler(&log, nil)))
		_, err := Join(ctx, Address{url, "room"}, with, &Options{ConnectTimeout: testwait.Limit})
		if told := log.String(); !strings.Contains(told, `msg="not joined"`) || strings.Contains(told, wrong) ||
			strings.Contains(told, "eyJ") {
			t.Errorf("wrong %s: the log says\n%s", name, told)
		}
		if !errors.Is(err, ErrRefused) {
			t.Errorf("wrong %s: %v, want ErrRefused", name, err)
			continue
		}
		if text := err.Error(); strings.Contains(text, wrong) || strings.Contains(text, "eyJ") ||
			strings.Contains(text, "\n") {
			t.Errorf("wrong %s: the error tells a secret, or has two lines: %v", name, err)
		}
	}
}

func TestJoinEmptyRoom(t *testing.T) {
	address := testenv.FreeAddress(t)
	_, err := Join(testwait.Context(t), Address{"ws://" + address, "room"},
		Credentials{Key: testKey, Secret: testSecret}, nil)
	if err == nil || errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), address) {
		t.Errorf("Join: %v, want an error that names %s", err, address)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	serverURL(t)
	defer testwait.Goroutines(t, goleak.IgnoreCurrent())
	r := join(t, t.Name(), nil)
	failed := make(chan error, 1)
	go func() {
		_, err := r.Next(testwait.Context(t))
		failed <- err
	}()
	for range 2 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := testwait.Receive(t, failed); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Next: %v, want net.ErrClosed", err)
	}
	if _, err := r.Speak(testwait.Context(t), nil, true); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Speak: %v, want net.ErrClosed", err)
	}
	if err := r.Interrupt(testwait.Context(t)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Interrupt: %v, want net.ErrClosed", err)
	}
}

// What was sent before Close arrives, even if nobody waited for it.
func TestCloseDelivers(t *testing.T) {
	avatar := startAvatar(t, t.Name(), "-speed", "50", "-no-started", "-lose-finished", "1") // nobody is there to be told
	r := join(t, t.Name(), nil)
	session(t, r, burst)
	what := noise(3)
	pcm := make([]float32, what.left)
	_, _ = what.ReadSamples(pcm)
	if err := r.Begin(echo.Utterance{InferenceID: echo.NewInferenceID(), Rate: 24000}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Speak(testwait.Context(t), pcm, true); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	mustEqual(t, heard(t, avatar.expect(livekittest.Finished)), what.sent())
}

// A broken signalling connection is resumed, and no audio is lost.
func TestResumedConnection(t *testing.T) {
	avatar := startAvatar(t, t.Name(), "-speed", "20")
	r := join(t, t.Name(), nil)
	types := make(chan string, 100)
	s := session(t, r, &echo.Options{Pace: burst.Pace, OnEvent: func(e echo.Event) { types <- e.Type }})
	resume := make(chan struct{})
	what := noise(2)
	what.stallAt, what.resume = 24000, resume
	done := make(chan echo.Receipt, 1)
	go func() {
		receipt, err := s.Speak(testwait.Context(t), echo.Speech{Samples: what})
		if err != nil {
			t.Error(err)
		}
		done <- receipt
	}()
	avatar.expect(livekittest.Started)
	r.room.Simulate(lksdk.SimulateSignalReconnect)
	for _, want := range []string{TypeReconnecting, TypeReconnected} {
		for got := range types {
			if got == want {
				break
			}
		}
	}
	close(resume)
	if receipt := testwait.Receive(t, done); receipt.Outcome != echo.Finished {
		t.Errorf("receipt %+v, want finished", receipt)
	}
	mustEqual(t, heard(t, avatar.expect(livekittest.Finished)), what.sent())
}

// A restarted connection has lost what was on its way, and reports that.
func TestRestartedConnection(t *testing.T) {
	t.Parallel()
	startAvatar(t, t.Name()).allowed = true // it complains if all audio of the first stream is lost
	// The SDK may try twice to resume the connection, for this long each, before it makes a new one.
	r := join(t, t.Name(), &Options{ConnectTimeout: 15 * time.Second})
	if err := next(r, TypeAvatarReady); err != nil {
		t.Fatal(err)
	}
	if err := r.Begin(echo.Utterance{InferenceID: echo.NewInferenceID(), Rate: 24000}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Speak(testwait.Context(t), make([]float32, 100), false); err != nil {
		t.Fatal(err)
	}
	r.room.Simulate(lksdk.SimulateNodeFailure)
	if err := next(r, TypeReconnected); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Speak(testwait.Context(t), make([]float32, 100), false); !errors.Is(err, ErrLost) ||
		!errors.Is(err, echo.ErrLost) {
		t.Errorf("Speak: %v, want ErrLost and echo.ErrLost", err)
	}
	if err := r.Begin(echo.Utterance{InferenceID: echo.NewInferenceID(), Rate: 24000}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Speak(testwait.Context(t), make([]float32, 100), true); err != nil {
		t.Errorf("the utterance after it: %v", err)
	}
}

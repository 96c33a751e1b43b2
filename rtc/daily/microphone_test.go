package daily

import (
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/opus"
	"github.com/pion/rtp"

	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/internal/tonetest"
	"echocast/rtc/daily/dailytest"
)

// microphoneDecoder decodes the sound of a microphone in a room, from its first packet on.
type microphoneDecoder struct {
	mu      sync.Mutex
	decoder opus.Decoder
	buffer  []float32
	pcm     []float32 // 48 kHz
	more    chan struct{}
}

func newHearing(t *testing.T) *microphoneDecoder {
	t.Helper()
	decoder, err := opus.NewDecoderWithOutput(48000, 1)
	if err != nil {
		t.Fatal(err)
	}
	return &microphoneDecoder{decoder: decoder, buffer: make([]float32, 5760), more: make(chan struct{})}
}

func (h *microphoneDecoder) take(packet *rtp.Packet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(packet.Payload) == 0 {
		return
	}
	n, err := h.decoder.DecodeToFloat32(packet.Payload, h.buffer)
	if err != nil {
		return
	}
	if len(h.pcm) == 0 && loudness(h.buffer[:n]) < 0.01 {
		return
	}
	h.pcm = append(h.pcm, h.buffer[:n]...)
	close(h.more)
	h.more = make(chan struct{})
}

// samples waits until n samples were heard, and returns all.
func (h *microphoneDecoder) samples(t *testing.T, n int) []float32 {
	t.Helper()
	timeout := time.After(testwait.Limit)
	for {
		h.mu.Lock()
		pcm, more := append([]float32(nil), h.pcm...), h.more
		h.mu.Unlock()
		if len(pcm) >= n {
			return pcm
		}
		select {
		case <-more:
		case <-timeout:
			t.Fatalf("%d samples were heard, not %d", len(pcm), n)
		}
	}
}

func loudness(pcm []float32) float64 {
	var sum float64
	for _, v := range pcm {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum / float64(len(pcm)))
}

// untilSilent waits for a second of silence after the first sound, and returns all samples.
func (h *microphoneDecoder) untilSilent(t *testing.T) []float32 {
	t.Helper()
	for n := 96000; ; n += 4800 {
		pcm := h.samples(t, n)
		if loudness(pcm[len(pcm)-48000:]) <= 0.001 {
			return pcm
		}
	}
}

// loud is how many milliseconds of 48 kHz are not silent, and in how many parts.
func loud(pcm []float32) (ms, parts int) {
	wasLoud := false
	for at := 0; at+480 <= len(pcm); at += 480 {
		isLoud := loudness(pcm[at:at+480]) > 0.05
		if isLoud {
			ms += 10
		}
		if isLoud && !wasLoud {
			parts++
		}
		wasLoud = isLoud
	}
	return ms, parts
}

// tone is a source of a tone at MicrophoneRate, of which the first samples may be
// beyond full scale. If resume is set, it waits for it in the middle.
type tone struct {
	at, length, loud int
	resume           <-chan struct{}
}

func (s *tone) ReadSamples(p []float32) (n int, err error) {
	if half := s.length / 2; s.resume != nil && s.at < half {
		p = p[:min(len(p), half-s.at)]
	} else if s.resume != nil {
		<-s.resume
	}
	for ; n < len(p) && s.at < s.length; n++ {
		p[n] = float32(0.5 * math.Sin(2*math.Pi*440*float64(s.at)/MicrophoneRate))
		if s.at < s.loud {
			p[n] = -1.5
		}
		s.at++
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// stage joins a room with a microphone, and opens a session.
func stage(t *testing.T, h *microphoneDecoder, options *echo.Options) (*echo.Session, *dailytest.Participant, *Conn) {
	t.Helper()
	return stageIn(t, "", h, options)
}

// stageIn does the same in the browser at a path.
func stageIn(t *testing.T, browser string, h *microphoneDecoder, options *echo.Options) (*echo.Session,
	*dailytest.Participant, *Conn) {
	t.Helper()
	room := newRoom(t, dailytest.Options{Voice: h.take})
	ann := room.Enter("Ann", "tavus-replica")
	conn := mustJoin(t, room, Options{Microphone: true, Chromium: browser})
	patient := echo.Options{}
	if options != nil {
		patient = *options
	}
	patient.HeardTimeout = testwait.Limit
	session, err := echo.NewSession(NewMicrophone(conn, nil), &patient)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	if err := session.WaitReady(testwait.Context(t)); err != nil {
		t.Fatal(err)
	}
	return session, ann, conn
}

func TestMicrophoneIsHeard(t *testing.T) { eachBrowser(t, microphoneIsHeard) }

func microphoneIsHeard(t *testing.T, browser string) {
	h := newHearing(t)
	session, _, _ := stageIn(t, browser, h, nil)
	const length = 3 * MicrophoneRate
	receipt, err := session.Speak(testwait.Context(t), echo.Speech{Samples: &tone{length: length, loud: 7}})
	if err != nil {
		t.Fatal(err)
	}
	if receipt.Outcome != echo.Sent || receipt.SpokenBy != echo.ByClock || receipt.Samples != length ||
		receipt.Clipped != 7 ||
		math.Abs(receipt.SpokenSeconds-3) > 0.001 || receipt.Delivery != echo.Accepted {
		t.Errorf("%+v", receipt)
	}
	pcm := h.untilSilent(t)
	if got := tonetest.Hertz(pcm[24000:], 48000); math.Abs(got-440) > 440*0.005 {
		t.Errorf("the room hears %.2f Hz, not 440", got)
	}
	// A browser on a busy machine has gaps. At each end of a part, Opus makes it longer or shorter.
	if ms, parts := loud(pcm); ms < 3000-30*parts || ms > 3000+30*parts {
		t.Errorf("the room hears %d ms in %d parts, not 3000", ms, parts)
	}
}

// An interrupt drops the audio that the page holds.
func TestMicrophoneInterrupt(t *testing.T) {
	h := newHearing(t)
	held := make(chan struct{})
	session, _, _ := stage(t, h, &echo.Options{
		Pace: echo.Pace{Mode: echo.BurstMode}, Chunk: 500 * time.Millisecond,
		Observe: func(m echo.Moment) {
			if m.Kind == echo.MomentChunk && m.Position == 4*MicrophoneRate {
				close(held)
			}
		},
	})
	spoken := make(chan echo.Receipt, 1)
	go func() {
		receipt, err := session.Speak(testwait.Context(t), echo.Speech{Samples: &tone{length: 60 * MicrophoneRate}})
		if !errors.Is(err, echo.ErrStopped) {
			t.Errorf("it ends with %v", err)
		}
		spoken <- receipt
	}()
	testwait.Receive(t, held)
	h.samples(t, 24000)
	if err := session.Interrupt(testwait.Context(t), nil); err != nil {
		t.Fatal(err)
	}
	receipt := testwait.Receive(t, spoken)
	if receipt.Outcome != echo.Interrupted {
		t.Errorf("%+v", receipt)
	}
	pcm := h.untilSilent(t)
	if ms, _ := loud(pcm); receipt.SentSeconds-float64(ms)/1000 < 1 {
		t.Errorf("%d ms were heard, and %.3f s sent: what was held was not dropped", ms, receipt.SentSeconds)
	}
}

// If a replica sends events, they count.
func TestMicrophoneWithEvents(t *testing.T) {
	h := newHearing(t)
	started := make(chan struct{})
	session, ann, _ := stage(t, h, &echo.Options{OnEvent: func(e echo.Event) {
		if e.Kind == echo.StartedSpeaking {
			close(started)
		}
	}})
	type result struct {
		receipt echo.Receipt
		err     error
	}
	spoken := make(chan result, 1)
	go func() { // the second half is not spoken before the replica has said that it hears the first
		source := &tone{length: MicrophoneRate, resume: started}
		receipt, err := session.Speak(testwait.Context(t), echo.Speech{Samples: source})
		spoken <- result{receipt, err}
	}()
	h.samples(t, 4800)
	for _, event := range []string{
		`{"message_type":"conversation","event_type":"conversation.started_speaking","inference_id":"theirs",` +
			`"properties":{"role":"replica"}}`,
		`{"message_type":"conversation","event_type":"conversation.stopped_speaking","inference_id":"theirs",` +
			`"properties":{"role":"replica","duration":1.0,"interrupted":false}}`,
	} {
		if err := ann.Send(testwait.Context(t), []byte(event)); err != nil {
			t.Fatal(err)
		}
		for n, ms := 4800, 0; ms < 900; n += 4800 { // it has heard it all
			ms, _ = loud(h.samples(t, n))
		}
	}
	got := testwait.Receive(t, spoken)
	if r := got.receipt; got.err != nil || r.Outcome != echo.Finished || r.SpokenBy != echo.ByEvent ||
		r.SpokenSeconds != 1 {
		t.Errorf("%v, %+v", got.err, r)
	}
}

// The audio in a page that breaks is lost.
func TestMicrophoneOfABrokenPage(t *testing.T) {
	h := newHearing(t)
	session, _, conn := stage(t, h, nil)
	ended := make(chan error, 1)
	go func() {
		_, err := session.Speak(testwait.Context(t), echo.Speech{Samples: &tone{length: 60 * MicrophoneRate}})
		ended <- err
	}()
	h.samples(t, 48000)
	crash(t, conn.now(t))
	if err := testwait.Receive(t, ended); !errors.Is(err, echo.ErrLost) {
		t.Errorf("it ends with %v", err)
	}
	receipt, err := session.Speak(testwait.Context(t), echo.Speech{Samples: &tone{length: MicrophoneRate}})
	if err != nil || receipt.Outcome != echo.Sent {
		t.Errorf("after it: %v, %+v", err, receipt)
	}
}

func TestMicrophoneUnavailable(t *testing.T) {
	room := newRoom(t, dailytest.Options{})
	room.Enter("Ann", "tavus-replica")
	conn := mustJoin(t, room, Options{})
	m := NewMicrophone(conn, nil)
	if err := m.Begin(echo.Utterance{InferenceID: "u", Rate: MicrophoneRate}); err == nil ||
		!strings.Contains(err.Error(), "without a microphone") {
		t.Errorf("got %v", err)
	}
	if err := m.Begin(echo.Utterance{InferenceID: "u", Rate: 16000}); err == nil ||
		!strings.Contains(err.Error(), "16000 Hz") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(testwait.Context(t))
	cancel()
	if err := m.Interrupt(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

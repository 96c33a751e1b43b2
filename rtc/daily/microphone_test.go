package daily

import (
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/opus"
	"github.com/pion/rtp"

	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/rtc/daily/dailytest"
)

// hearing decodes what a room hears of a microphone, from its first sound on.
type hearing struct {
	mu      sync.Mutex
	decoder opus.Decoder
	buffer  []float32
	pcm     []float32 // 48 kHz
	more    chan struct{}
}

func newHearing(t *testing.T) *hearing {
	t.Helper()
	decoder, err := opus.NewDecoderWithOutput(48000, 1)
	if err != nil {
		t.Fatal(err)
	}
	return &hearing{decoder: decoder, buffer: make([]float32, 5760), more: make(chan struct{})}
}

func (h *hearing) take(packet *rtp.Packet) {
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

// samples waits until so many were heard, and returns all.
func (h *hearing) samples(t *testing.T, n int) []float32 {
	t.Helper()
	timeout := time.After(time.Minute)
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

// loud is how many milliseconds of 48 kHz are not silent.
func loud(pcm []float32) (ms int) {
	for at := 0; at+480 <= len(pcm); at += 480 {
		if loudness(pcm[at:at+480]) > 0.05 {
			ms += 10
		}
	}
	return ms
}

// pitch is the frequency of a tone, by the first and the last wave of it.
func pitch(pcm []float32) float64 {
	var first, last float64
	waves := -1
	for i := 1; i < len(pcm); i++ {
		if pcm[i-1] < 0 && pcm[i] >= 0 {
			last = float64(i) - float64(pcm[i])/float64(pcm[i]-pcm[i-1])
			if waves++; waves == 0 {
				first = last
			}
		}
	}
	return float64(waves) * 48000 / (last - first)
}

// tone is a source of a tone at MicrophoneRate, of which the first samples may be
// beyond full scale.
type tone struct{ at, length, loud int }

func (s *tone) ReadSamples(p []float32) (n int, err error) {
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
func stage(t *testing.T, h *hearing, options *echo.Options) (*echo.Session, *dailytest.Participant, *Conn) {
	t.Helper()
	room := newRoom(t, dailytest.Options{Voice: h.take})
	ann := room.Enter("Ann", "tavus-replica")
	conn := mustJoin(t, room, Options{Microphone: true})
	session, err := echo.NewSession(NewMicrophone(conn, nil), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	if err := session.WaitReady(testwait.Context(t)); err != nil {
		t.Fatal(err)
	}
	return session, ann, conn
}

func TestMicrophoneIsHeard(t *testing.T) {
	h := newHearing(t)
	session, _, _ := stage(t, h, nil)
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
	pcm := h.samples(t, 6*48000)
	var pitches []float64
	for part := range slices.Chunk(pcm[24000:2*48000], 12000) {
		pitches = append(pitches, pitch(part))
	}
	slices.Sort(pitches)
	if got := pitches[len(pitches)/2]; math.Abs(got-440) > 440*0.005 {
		t.Errorf("the room hears %.2f Hz, not 440", got)
	}
	if ms := loud(pcm); ms < 2700 || ms > 3300 { // a browser on a busy machine has gaps
		t.Errorf("the room hears %d ms, not 3000", ms)
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
	before := len(h.samples(t, 24000))
	if err := session.Interrupt(testwait.Context(t), nil); err != nil {
		t.Fatal(err)
	}
	receipt := testwait.Receive(t, spoken)
	if receipt.Outcome != echo.Interrupted {
		t.Errorf("%+v", receipt)
	}
	pcm := h.samples(t, before+5*48000)
	if tail := loudness(pcm[len(pcm)-48000:]); tail > 0.001 {
		t.Errorf("the room still hears something: %.4f", tail)
	}
	if ms := loud(pcm); receipt.SentSeconds-float64(ms)/1000 < 1 {
		t.Errorf("%d ms were heard, and %.3f s sent: what was held was not dropped", ms, receipt.SentSeconds)
	}
}

// If a replica sends events, they count.
func TestMicrophoneWithEvents(t *testing.T) {
	h := newHearing(t)
	session, ann, _ := stage(t, h, nil)
	said := make(chan struct{})
	go func() {
		defer close(said)
		h.samples(t, 4800)
		for _, event := range []string{
			`{"message_type":"conversation","event_type":"conversation.started_speaking","inference_id":"theirs",` +
				`"properties":{"role":"replica"}}`,
			`{"message_type":"conversation","event_type":"conversation.stopped_speaking","inference_id":"theirs",` +
				`"properties":{"role":"replica","duration":1.0,"interrupted":false}}`,
		} {
			if strings.Contains(event, "stopped") {
				h.samples(t, 60000) // it has heard it all
			}
			_ = ann.Send(testwait.Context(t), []byte(event))
		}
	}()
	receipt, err := session.Speak(testwait.Context(t), echo.Speech{Samples: &tone{length: MicrophoneRate}})
	if err != nil || receipt.Outcome != echo.Finished || receipt.SpokenBy != echo.ByEvent || receipt.SpokenSeconds != 1 {
		t.Errorf("%v, %+v", err, receipt)
	}
	testwait.Receive(t, said)
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

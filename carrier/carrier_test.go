package carrier_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"echocast/carrier"
	"echocast/carrier/twilio"
	"echocast/carrier/vonage"
	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/playout"
	"echocast/replica"
	"echocast/room"
	"echocast/room/roomtest"
)

func TestMain(m *testing.M) { testwait.RunAndFindLeaks(m) }

// line is a connection to a bot in memory, as the carrier sees it. When the bot hangs up, Write
// fails a little before Read tells the goodbye, as with the library.
type line struct {
	fromBot chan carrier.Message
	toBot   chan carrier.Message
	closed  chan struct{}
	close   func()
}

func newLine() *line {
	l := &line{fromBot: make(chan carrier.Message), toBot: make(chan carrier.Message, 1<<16), closed: make(chan struct{})}
	l.close = sync.OnceFunc(func() { close(l.closed) })
	return l
}

func (l *line) Read(context.Context) (websocket.MessageType, []byte, error) {
	select {
	case m := <-l.fromBot:
		if m.IsBinary {
			return websocket.MessageBinary, m.Data, nil
		}
		return websocket.MessageText, m.Data, nil
	case <-l.closed:
		time.Sleep(time.Millisecond)
		return 0, nil, websocket.CloseError{Code: websocket.StatusNormalClosure}
	}
}

func (l *line) Write(_ context.Context, kind websocket.MessageType, data []byte) error {
	select {
	case <-l.closed:
		return net.ErrClosed
	default:
	}
	l.toBot <- carrier.Message{IsBinary: kind == websocket.MessageBinary, Data: data}
	return nil
}

func (l *line) Close(websocket.StatusCode, string) error {
	l.close()
	return nil
}

// stage is a call in fake time: a bot, a carrier, and a stand-in that keeps a record.
type stage struct {
	*line
	t     *testing.T
	start time.Time
	over  func() error // ends the call

	mu         sync.Mutex
	played     int         // samples at 24 kHz
	instants   []time.Time // when each millisecond was played
	interrupts []time.Time
	heard      []playout.Heard
	heardAt    time.Time // when the last of them ended
	warnings   []string
}

func begin(t *testing.T, p carrier.Protocol, o *replica.Options) *stage {
	s := &stage{line: newLine(), t: t, start: time.Now()}
	if o == nil {
		o = &replica.Options{}
	}
	o.OnSound = func(at time.Time, rate int, samples []int16) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i := range samples {
			if s.played++; s.played%24 == 0 {
				s.instants = append(s.instants, at.Add(time.Duration(i)*time.Second/time.Duration(rate)))
			}
		}
	}
	o.OnEvent = func(e replica.Event) {
		if e.Kind == replica.EventInterrupt {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.interrupts = append(s.interrupts, time.Now())
		}
	}
	place := roomtest.Open(o)
	joined, err := room.Join(t.Context(), place.Address, nil)
	if err != nil {
		t.Fatal(err)
	}
	session, err := echo.NewSession(joined.Stage(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		ended <- carrier.Talk(ctx, s.line, p, carrier.Options{
			Speaker: session,
			Warn:    func(text string) { s.warnings = append(s.warnings, text) },
			OnHeard: func(h playout.Heard) { s.heard, s.heardAt = append(s.heard, h), time.Now() },
		})
	}()
	s.over = sync.OnceValue(func() error {
		cancel(room.ErrOver)
		err := <-ended
		_ = session.Close()
		_ = joined.Close()
		place.Close()
		return err
	})
	return s
}

// twilioBot is the bot's side of a Media Stream.
type twilioBot struct {
	*stage
	streamSID string
	marks     []heardMark
}

type heardMark struct {
	name string
	at   time.Time
}

func (b *twilioBot) send(v map[string]any) {
	v["streamSid"] = b.streamSID
	data, _ := json.Marshal(v)
	b.fromBot <- carrier.Message{Data: data}
}

func (b *twilioBot) media(milliseconds int) {
	b.send(map[string]any{"event": "media",
		"media": map[string]string{
			"payload": base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x20", 8*milliseconds)))}})
}

func (b *twilioBot) mark(name string) {
	b.send(map[string]any{"event": "mark", "mark": map[string]string{"name": name}})
}

// listen records what arrives until the call is over, and checks that no message is missing.
func (b *twilioBot) listen(done chan<- struct{}) {
	defer close(done)
	sequence, chunk := 0, 0
	for {
		var m struct {
			Event, StreamSid, SequenceNumber string
			Start                            struct{ StreamSid string }
			Media                            struct{ Track, Chunk, Timestamp, Payload string }
			Mark                             struct{ Name string }
		}
		data := <-b.toBot
		if err := json.Unmarshal(data.Data, &m); err != nil || data.IsBinary {
			b.t.Errorf("%s: %v", data.Data, err)
		}
		if m.Event != "connected" {
			sequence++
			if m.SequenceNumber != fmt.Sprint(sequence) {
				b.t.Errorf("message %d is %s", sequence, data.Data)
			}
		}
		switch m.Event {
		case "start":
			b.streamSID = m.Start.StreamSid
		case "media":
			chunk++
			if m.Media.Track != "inbound" || m.Media.Chunk != fmt.Sprint(chunk) || m.Media.Timestamp != fmt.Sprint(20*chunk) ||
				len(m.Media.Payload) != 216 {
				b.t.Errorf("chunk %d is %s", chunk, data.Data)
			}
		case "mark":
			b.marks = append(b.marks, heardMark{m.Mark.Name, time.Now()})
		case "stop":
			return
		}
	}
}

func talkToTwilioBot(t *testing.T, o *replica.Options, act func(b *twilioBot)) *twilioBot {
	b := &twilioBot{stage: begin(t, twilio.New(map[string]string{"name": "Jane"}), o)}
	done := make(chan struct{})
	go b.listen(done)
	time.Sleep(time.Second)
	synctest.Wait()
	act(b)
	if err := b.over(); !errors.Is(err, room.ErrOver) {
		t.Errorf("the call ended with %v", err)
	}
	<-done
	if len(b.warnings) > 0 {
		t.Errorf("warnings: %q", b.warnings)
	}
	return b
}

// Marks come back in order, each within 100 ms of when the stand-in's record says that the
// audio before it was played, whether the bot sends in bursts, in real time, or with pauses in
// which the replica runs out of audio.
func TestMarksReturnWhenHeard(t *testing.T) {
	count := testwait.Trials(300)
	earliest, latest := time.Hour, -time.Hour
	for seed := range count {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(seed), 7))
			isPaced, position := random.IntN(2) == 0, 0
			positions := []int{}
			b := talkToTwilioBot(t, nil, func(b *twilioBot) {
				for range 1 + random.IntN(40) {
					length := 20 * (1 + random.IntN(20))
					b.media(length)
					position += length
					if isPaced {
						time.Sleep(time.Duration(length) * time.Millisecond)
					}
					for random.IntN(3) == 0 {
						b.mark(fmt.Sprint(len(positions)))
						positions = append(positions, position)
					}
					if random.IntN(20) == 0 {
						time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
					}
				}
				time.Sleep(time.Duration(position)*time.Millisecond + time.Minute)
			})
			if len(b.marks) != len(positions) || len(b.instants) != position {
				t.Fatalf("seed %d: %d marks of %d came back, %d ms of %d were played", seed, len(b.marks), len(positions),
					len(b.instants), position)
			}
			for i, m := range b.marks {
				late := m.at.Sub(b.instants[positions[i]-1])
				earliest, latest = min(earliest, late), max(latest, late)
				if m.name != fmt.Sprint(i) || late.Abs() > 100*time.Millisecond {
					t.Fatalf("seed %d: mark %d of %d is %q, and came %v after its last sample was played", seed, i,
						len(positions), m.name, late)
				}
			}
			if len(b.interrupts) > 0 {
				t.Errorf("seed %d: %d interrupts", seed, len(b.interrupts))
			}
		})
	}
	t.Logf("%d calls: marks came from %v to %v after the last sample before them was played", count, earliest, latest)
}

// A clear interrupts the replica within 10 ms and returns all marks at once and in order.
// Audio after it is spoken in full.
func TestClearInterrupts(t *testing.T) {
	worst := time.Duration(0)
	for seed := range testwait.Trials(200) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(seed), 8))
			var cleared time.Time
			after := 0
			b := talkToTwilioBot(t, nil, func(b *twilioBot) {
				b.media(5000)
				b.mark("a")
				b.media(20 * (1 + random.IntN(100)))
				b.mark("b")
				time.Sleep(time.Duration(300+random.IntN(4500)) * time.Millisecond)
				cleared = time.Now()
				b.send(map[string]any{"event": "clear"})
				b.mark("c") // nothing waits: at once
				synctest.Wait()
				if len(b.marks) != 3 || b.marks[0].name != "a" || b.marks[1].name != "b" || b.marks[2].name != "c" ||
					b.marks[2].at.Sub(cleared) > 10*time.Millisecond {
					t.Errorf("seed %d: after a clear at %v came the marks %v", seed, cleared, b.marks)
				}
				time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
				after = 20 * (1 + random.IntN(100))
				b.media(after)
				b.mark("d")
				time.Sleep(time.Minute)
			})
			if len(b.interrupts) != 1 || b.interrupts[0].Sub(cleared) > 10*time.Millisecond {
				t.Fatalf("seed %d: cleared at %v, interrupted at %v", seed, cleared, b.interrupts)
			}
			worst = max(worst, b.interrupts[0].Sub(cleared))
			if len(b.heard) != 2 || !b.heard[0].IsCleared || b.heard[1].Heard-b.heard[1].From != int64(8*after) ||
				len(b.marks) != 4 {
				t.Errorf("seed %d: heard %+v, marks %v", seed, b.heard, b.marks)
			}
			late := time.Duration(0)
			for _, at := range b.instants {
				if at.After(cleared) {
					late += time.Millisecond
				}
			}
			if want := time.Duration(after) * time.Millisecond; late < want || late > want+50*time.Millisecond {
				t.Errorf("seed %d: %v was played after the clear, and %v came after it", seed, late, want)
			}
		})
	}
	t.Logf("the slowest interrupt came %v after the clear", worst)
}

// Invalid messages of a bot are reported, and do no harm.
func TestInvalidMessagesAreReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &twilioBot{stage: begin(t, twilio.New(nil), nil)}
		done := make(chan struct{})
		go b.listen(done)
		time.Sleep(time.Second)
		synctest.Wait()
		for _, text := range []string{`{`, `[]`, `{"event":"media","streamSid":"MZ1","media":{"payload":""}}`} {
			b.fromBot <- carrier.Message{Data: []byte(text)}
		}
		b.fromBot <- carrier.Message{IsBinary: true, Data: []byte{1, 2}}
		b.send(map[string]any{"event": "speak"})
		b.send(map[string]any{"event": "media"})
		b.send(map[string]any{"event": "media", "media": map[string]string{"payload": "no base64!"}})
		b.media(11 * 60 * 1000)
		b.media(200)
		time.Sleep(time.Minute)
		if err := b.over(); !errors.Is(err, room.ErrOver) {
			t.Errorf("the call ended with %v", err)
		}
		<-done
		if len(b.warnings) != 8 || len(b.instants) != 200 {
			t.Errorf("%d warnings, %d ms heard: %q", len(b.warnings), len(b.instants), b.warnings)
		}
	})
}

// A bot that hangs up ends the call normally. In the middle of an answer it also interrupts
// the replica.
func TestBotHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := begin(t, twilio.New(nil), nil)
		time.Sleep(time.Second)
		var start struct{ StreamSid string }
		<-b.toBot // connected
		if err := json.Unmarshal((<-b.toBot).Data, &start); err != nil {
			t.Fatal(err)
		}
		(&twilioBot{stage: b, streamSID: start.StreamSid}).media(5000)
		time.Sleep(time.Second)
		b.close()
		time.Sleep(3 * time.Second)
		if err := b.over(); err != nil {
			t.Errorf("the call ended with %v", err)
		}
		if len(b.interrupts) != 1 {
			t.Errorf("%d interrupts", len(b.interrupts))
		}
	})
}

// A bot that hangs up while it is sent the user's voice ends the call normally.
func TestBotHangsUpWhileItIsSentTheVoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLine()
		err := carrier.Talk(t.Context(), l, twilio.New(nil), carrier.Options{
			Speaker: &echo.Session{},
			Hear: func(_ context.Context, rate int, to io.Writer) error {
				l.close()
				_, err := to.Write(make([]byte, 2*rate))
				return err
			},
		})
		if err != nil {
			t.Errorf("the call ended with %v", err)
		}
	})
}

// With Vonage a notify comes back when it was heard, and none comes after a clear. A message
// of audio may have any length, even half a sample.
func TestVonage(t *testing.T) {
	for _, rate := range vonage.Rates() {
		synctest.Test(t, func(t *testing.T) {
			leg, err := vonage.New(rate, map[string]string{"caller": "Jane"})
			if err != nil {
				t.Fatal(err)
			}
			b := begin(t, leg, nil)
			var texts []string
			frames := 0
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					select {
					case m := <-b.toBot:
						if m.IsBinary {
							frames++
							if len(m.Data) != rate/25 {
								t.Errorf("a frame of %d bytes at %d Hz", len(m.Data), rate)
							}
							continue
						}
						texts = append(texts, string(m.Data))
					case <-b.closed:
						return
					}
				}
			}()
			time.Sleep(time.Second)
			order := func(text string) { b.fromBot <- carrier.Message{Data: []byte(text)} }
			audio := make([]byte, 2*rate) // a second
			for part := range slices.Chunk(audio, 1001) {
				b.fromBot <- carrier.Message{IsBinary: true, Data: part}
			}
			order(`{"action":"notify","payload":{"n": 1}}`)
			order(`{"action":"notify"}`)
			time.Sleep(5 * time.Second)
			b.fromBot <- carrier.Message{IsBinary: true, Data: audio}
			order(`{"action":"notify","payload":2}`)
			time.Sleep(300 * time.Millisecond)
			order(`{"action":"clear"}`)
			time.Sleep(5 * time.Second)
			if err := b.over(); !errors.Is(err, room.ErrOver) {
				t.Errorf("the call ended with %v", err)
			}
			<-done
			want := []string{
				fmt.Sprintf(`{"caller":"Jane","content-type":"audio/l16;rate=%d","event":"websocket:connected"}`, rate),
				`{"event":"websocket:notify","payload":{"n":1}}`, `{"event":"websocket:notify","payload":null}`,
				`{"event":"websocket:cleared"}`,
			}
			if !slices.Equal(texts, want) {
				t.Errorf("at %d Hz the bot got %q", rate, texts)
			}
			if played := len(b.instants); played < 1200 || played > 1350 {
				t.Errorf("at %d Hz %d ms were played", rate, played)
			}
			if frames < 500 {
				t.Errorf("the bot heard %d frames in more than 10 s", frames)
			}
		})
	}
	if _, err := vonage.New(44100, nil); err == nil {
		t.Error("a rate of 44100 Hz was taken")
	}
}

// The user's voice reaches the bot sample by sample, in whatever pieces it was written.
func TestUserVoiceReachesBot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leg, _ := vonage.New(16000, nil)
		l := newLine()
		voice := make([]byte, 640*50)
		for i := range voice {
			voice[i] = byte(i * 7)
		}
		ended := make(chan error, 1)
		go func() {
			ended <- carrier.Talk(t.Context(), l, leg, carrier.Options{
				Speaker: &echo.Session{},
				Hear: func(_ context.Context, rate int, to io.Writer) error {
					for part := range slices.Chunk(voice, 333) {
						if _, err := to.Write(part); err != nil || rate != 16000 {
							t.Errorf("at %d Hz: %v", rate, err)
						}
					}
					return nil
				},
			})
		}()
		synctest.Wait()
		l.close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		var heard []byte
		for range 51 {
			if m := <-l.toBot; m.IsBinary {
				heard = append(heard, m.Data...)
			}
		}
		if string(heard) != string(voice) {
			t.Error("the bot heard something else")
		}
	})
}

// A bot that cannot be reached is a *DialError. It does not contain the address, which may
// hold a secret.
func TestUnreachableBot(t *testing.T) {
	err := carrier.Run(t.Context(), "ws://127.0.0.1:1/?token=secret", twilio.New(nil), carrier.Options{})
	if _, ok := errors.AsType[*carrier.DialError](err); !ok || strings.Contains(err.Error(), "secret") {
		t.Errorf("nobody answers: %v", err)
	}
}

// Redirects are not followed: the allowed address is the one that is dialled.
func TestRedirectsAreNotFollowed(t *testing.T) {
	reached := false
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer other.Close()
	bot := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer bot.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	_, err := carrier.Dial(testwait.Context(t), strings.Replace(bot.URL, "http", "ws", 1), nil)
	if _, ok := errors.AsType[*carrier.DialError](err); !ok || reached {
		t.Errorf("the other server was reached: %t, %v", reached, err)
	}
}

// An answer in real time ends sooner if the bot marks its end.
func TestMarkEndsAnswer(t *testing.T) {
	took := map[bool]time.Duration{}
	for _, isMarked := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var sent time.Time
			b := talkToTwilioBot(t, nil, func(b *twilioBot) {
				for range 100 {
					b.media(20)
					time.Sleep(20 * time.Millisecond)
				}
				if isMarked {
					b.mark("end")
				}
				sent = time.Now()
				time.Sleep(10 * time.Second)
			})
			if took[isMarked] = b.heardAt.Sub(sent); len(b.heard) != 1 || len(b.instants) != 2000 {
				t.Errorf("%d ms were played in %d utterances", len(b.instants), len(b.heard))
			}
		})
	}
	t.Logf("the answer ended %v after its last audio came, with a mark %v", took[false], took[true])
	if took[true] > took[false]-100*time.Millisecond {
		t.Errorf("the answer ended %v after its last audio came, with a mark %v", took[false], took[true])
	}
}

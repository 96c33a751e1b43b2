package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"echocast/bench/load"
	"echocast/echo"
	"echocast/rtc"
)

// between is the time from one interrupt to the next. With a hundred channels, each has
// three seconds to refill its lead.
const between = 30 * time.Millisecond

// interruptTimes are sorted durations.
type interruptTimes struct {
	accepted times // from a call of Interrupt until the data channel accepted its message
	answered times // from when the replica sends its event until Interrupt returns
}

// measureBeside measures interrupts while other conversations of this process speak. A
// separate process, which the program starts, receives those.
func measureBeside(ctx context.Context, program string, others, connections, interrupts int) (interruptTimes, error) {
	if others == 0 {
		return measureInterrupts(ctx, connections, interrupts)
	}
	ctx, stop := context.WithCancel(ctx)
	var speaking sync.WaitGroup
	defer speaking.Wait()
	defer stop()
	bench := load.Bench{Seconds: 3600, Program: []string{program, "bench", "--receive"}}
	ended := make(chan error, 1)
	speaking.Go(func() {
		_, err := bench.Run(ctx, others)
		ended <- err
	})
	time.Sleep(time.Duration(others) * connectTime)
	took, err := measureInterrupts(ctx, connections, interrupts)
	select {
	case failed := <-ended:
		err = errors.Join(err, fmt.Errorf("the others did not speak to the end: %w", failed))
	default:
	}
	return took, err
}

// connectTime is the assumed time until a conversation is connected and begins to speak.
const connectTime = 20 * time.Millisecond

// measureInterrupts speaks on many data channels at the same time, and interrupts one after
// the other.
func measureInterrupts(ctx context.Context, connections, interrupts int) (took interruptTimes, err error) {
	speech, err := speechSamples()
	if err != nil {
		return took, err
	}
	listener, err := rtc.Listen("127.0.0.1:0", nil)
	if err != nil {
		return took, err
	}
	defer listener.Close()
	channels := make([]*channel, connections)
	var all sync.WaitGroup
	ctx, stop := context.WithCancel(ctx)
	defer all.Wait()
	defer stop()
	for i := range channels {
		c, err := openChannel(ctx, listener, speech)
		if err != nil {
			return took, err
		}
		defer c.close()
		channels[i] = c
		all.Go(func() { c.answer(ctx) })
		all.Go(func() { c.speakOn(ctx) })
	}
	return interruptEach(ctx, channels, interrupts)
}

// interruptEach interrupts one channel after the other, each when its lead is full.
func interruptEach(ctx context.Context, channels []*channel, interrupts int) (took interruptTimes, err error) {
	time.Sleep(3 * time.Second) // until the leads are full
	tick := time.NewTicker(between)
	defer tick.Stop()
	for turn := 0; len(took.accepted) < interrupts; turn++ {
		<-tick.C
		c := channels[turn%len(channels)]
		if turn > 10*interrupts+1000 {
			return took, fmt.Errorf("this machine is too busy: the leads do not fill, %d interrupts were measured",
				len(took.accepted))
		}
		if c.session.Progress().Lead < fullLead {
			continue
		}
		accepted, answered, err := c.interrupt(ctx)
		if err != nil {
			return took, err
		}
		took.accepted, took.answered = append(took.accepted, accepted), append(took.answered, answered)
	}
	took.accepted.sort()
	took.answered.sort()
	return took, nil
}

// fullLead is the shortest lead that counts as a full lead of a second. Up to two chunks of
// the lead are being played or sent.
const fullLead = 900 * time.Millisecond

// channel is a session with one replica.
type channel struct {
	loop     loopedSpeech
	sender   *rtc.Conn
	replica  *rtc.Conn
	session  *echo.Session
	accepted chan time.Time
	answered chan time.Time // when the replica sends its event

	mu    sync.Mutex
	wrong error
}

func openChannel(ctx context.Context, listener *rtc.Listener, speech []float32) (*channel, error) {
	c := &channel{loop: loopedSpeech{speech, rand.IntN(len(speech)), 0}, accepted: make(chan time.Time, 1),
		answered: make(chan time.Time, 1)}
	sender, replica, err := connect(ctx, listener)
	if err != nil {
		return nil, err
	}
	c.sender = sender
	c.replica = replica
	c.session, err = echo.NewSession(echo.NewMessages(c.sender, "c1", 0), &echo.Options{Observe: c.observe})
	return c, err
}

func (c *channel) close() {
	_ = c.session.Close()
	_ = c.sender.Close()
	_ = c.replica.Close()
}

func (c *channel) observe(m echo.Moment) {
	if m.Kind == echo.MomentInterrupt {
		select {
		case c.accepted <- m.At:
		default: // at the end of the run
		}
	}
}

// speakOn speaks one utterance after the other until ctx ends.
func (c *channel) speakOn(ctx context.Context) {
	for ctx.Err() == nil {
		c.loop.left = 3600 * echo.DefaultRate
		if _, err := c.session.Speak(ctx, echo.Speech{Samples: &c.loop}); !errors.Is(err, echo.ErrStopped) &&
			ctx.Err() == nil {
			c.fail(err)
			return
		}
	}
}

// interrupt returns how long it took until an interrupt was accepted, and until the
// replica's event was read.
func (c *channel) interrupt(ctx context.Context) (accepted, answered time.Duration, err error) {
	start := time.Now()
	err = c.session.Interrupt(ctx, nil)
	end, at := time.Now(), <-c.accepted
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := errors.Join(err, c.wrong); err != nil {
		return 0, 0, err
	}
	return at.Sub(start), end.Sub(<-c.answered), nil
}

func (c *channel) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong = errors.Join(c.wrong, err)
}

// answer runs the replica: it joins, reports interrupts, and checks that no chunk
// follows an interrupt under the same id.
func (c *channel) answer(ctx context.Context) {
	if err := c.replica.Send(ctx, []byte(`{"event_type":"system.pal_joined"}`)); err != nil {
		return
	}
	current, over := "", map[string]bool{}
	for {
		msg, err := c.replica.Receive(ctx)
		if err != nil {
			return
		}
		var m struct {
			EventType  string `json:"event_type"`
			Properties struct {
				InferenceID string `json:"inference_id"`
			} `json:"properties"`
		}
		if err := json.Unmarshal(msg, &m); err != nil {
			c.fail(err)
			return
		}
		if m.EventType == "conversation.interrupt" {
			over[current] = true
			select {
			case c.answered <- time.Now():
			default: // at the end of the run
			}
			_ = c.replica.Send(ctx,
				fmt.Appendf(nil, `{"event_type":"conversation.stopped_speaking","inference_id":%q,"properties":{"role":"pal",`+
					`"interrupted":true}}`, current))
			continue
		}
		if current = m.Properties.InferenceID; over[current] {
			c.fail(errors.New("a chunk came after the interrupt of its utterance"))
		}
	}
}

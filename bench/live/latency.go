package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"echocast/audio"
	"echocast/echo"
	"echocast/rtc"
)

// block is how much audio a live source writes at a time. It is short, so that the arrival
// time of a sample is precise.
const block = 2 * time.Millisecond

// latencies are the delays of chunks of live inputs. A delay begins when the sample that
// releases a chunk is written to a pipe: the first sample after the chunk, which shows that
// the chunk is not the last.
type latencies struct {
	read     times // until the session had read it: decoded, mixed and resampled
	accepted times // until the data channel had accepted the chunk
}

// measureLive speaks many live inputs with this rate at the same time. Each has a separate
// pipe and data channel.
func measureLive(ctx context.Context, inputs, rate int, method audio.Method, seconds float64) (*latencies, error) {
	speech, err := speechSamples()
	if err != nil {
		return nil, err
	}
	listener, err := rtc.Listen("127.0.0.1:0", nil)
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	lines := make([]*liveLine, inputs)
	for i := range lines {
		lines[i] = &liveLine{rate: rate, method: method, speech: speech, at: rand.IntN(len(speech)),
			blocks: int(seconds / block.Seconds())}
	}
	var all sync.WaitGroup
	for _, l := range lines {
		sender, replica, err := connect(ctx, listener)
		if err != nil {
			return nil, err
		}
		all.Go(func() { drain(ctx, replica) })
		all.Go(func() {
			l.err = l.run(ctx, sender)
			_ = sender.Close()
		})
	}
	all.Wait()
	result := &latencies{}
	for _, l := range lines {
		if l.err != nil {
			return nil, l.err
		}
		result.read = append(result.read, l.read...)
		result.accepted = append(result.accepted, l.accepted...)
	}
	result.read.sort()
	result.accepted.sort()
	return result, nil
}

// connect makes a data channel and returns both of its ends.
func connect(ctx context.Context, listener *rtc.Listener) (sender, replica *rtc.Conn, err error) {
	var dialled sync.WaitGroup
	var failed error
	dialled.Go(func() { sender, failed = rtc.Dial(ctx, listener.URL(), nil) })
	replica, err = listener.Accept(ctx)
	dialled.Wait()
	return sender, replica, errors.Join(err, failed)
}

// drain reads messages until the other end closes.
func drain(ctx context.Context, conn *rtc.Conn) {
	for {
		if _, err := conn.Receive(ctx); err != nil {
			_ = conn.Close()
			return
		}
	}
}

// liveLine is one live input.
type liveLine struct {
	rate   int
	method audio.Method
	speech []float32
	at     int
	blocks int // to write

	mu       sync.Mutex
	written  []time.Time // of every block
	came     []arrival   // what the session read
	read     times
	accepted times // without the last chunk, which the end of the input releases
	err      error
}

// arrival is a time, and the number of samples that the session had read by then.
type arrival struct {
	at      time.Time
	samples int64
}

func (l *liveLine) run(ctx context.Context, sender *rtc.Conn) error {
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer reader.Close()
	var writing sync.WaitGroup
	defer writing.Wait()
	writing.Go(func() { l.write(writer) })
	raw := &audio.Options{Encoding: "s16le", Raw: audio.Format{Rate: l.rate, Channels: 1}}
	in, err := audio.Prepare(ctx, reader, &audio.PrepareOptions{Input: raw, Method: l.method})
	if err != nil {
		return err
	}
	defer in.Close()
	feed := echo.NewFeed(in, echo.FeedOptions{})
	defer feed.Close()
	session, err := echo.NewSession(echo.NewMessages(sender, "c1", 0),
		&echo.Options{SkipHeard: true, SkipReady: true, Observe: l.observe})
	if err != nil {
		return err
	}
	defer session.Close()
	receipt, err := session.Speak(ctx, echo.Speech{Samples: feed})
	if err == nil && receipt.Samples == 0 {
		return fmt.Errorf("nothing was said")
	}
	return err
}

func (l *liveLine) blockSamples() int { return l.rate * int(block.Milliseconds()) / 1000 }

// write writes each block at the time at which a microphone would deliver it.
func (l *liveLine) write(to io.WriteCloser) {
	defer to.Close()
	samples := l.blockSamples()
	bytes := make([]byte, 2*samples)
	start := time.Now()
	for i := range l.blocks {
		for j := range samples {
			binary.LittleEndian.PutUint16(bytes[2*j:], uint16(int16(30000*l.speech[l.at])))
			l.at = (l.at + 1) % len(l.speech)
		}
		time.Sleep(time.Until(start.Add(time.Duration(i+1) * time.Duration(samples) * time.Second / time.Duration(l.rate))))
		l.mu.Lock()
		l.written = append(l.written, time.Now())
		l.mu.Unlock()
		if _, err := to.Write(bytes); err != nil {
			return
		}
	}
}

func (l *liveLine) observe(m echo.Moment) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case m.Kind == echo.MomentInput:
		l.came = append(l.came, arrival{m.At, m.Position + int64(m.Samples)})
	case m.Kind == echo.MomentChunk && !m.Last:
		l.note(m)
	}
}

// note records a chunk. The caller holds the line's lock.
func (l *liveLine) note(m echo.Moment) {
	end := m.Position + int64(m.Samples)
	for len(l.came) > 1 && l.came[0].samples <= end {
		l.came = l.came[1:]
	}
	releasing := end * int64(l.rate) / echo.DefaultRate
	written := l.written[min(int(releasing)/l.blockSamples(), len(l.written)-1)]
	l.read = append(l.read, l.came[0].at.Sub(written))
	l.accepted = append(l.accepted, m.At.Sub(written))
}

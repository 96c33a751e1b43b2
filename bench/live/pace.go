package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"echocast/audio"
	"echocast/audio/audiotest"
	"echocast/echo"
	"echocast/internal/cputime"
)

// paceFigures are the results of pacing many utterances.
type paceFigures struct {
	late   times         // from due time to acceptance, sorted
	drift  time.Duration // average lateness of the last tenth minus that of the first
	stalls int
	cpu    float64 // seconds of processor time per second
}

// measurePace speaks many utterances with different audio in real time, into connections
// that only check and count.
func measurePace(ctx context.Context, utterances int, seconds float64) (*paceFigures, error) {
	speech, err := speechSamples()
	if err != nil {
		return nil, err
	}
	speakers := make([]*speaker, utterances)
	for i := range speakers {
		speakers[i] = &speaker{loop: loopedSpeech{speech, rand.IntN(len(speech)), int(seconds * echo.DefaultRate)}}
	}
	before, start := cputime.Used(), time.Now()
	var all sync.WaitGroup
	for _, s := range speakers {
		all.Go(func() { s.err = s.speak(ctx) })
	}
	all.Wait()
	result := &paceFigures{cpu: (cputime.Used() - before).Seconds() / time.Since(start).Seconds()}
	var early, lately time.Duration
	for i, s := range speakers {
		if err := errors.Join(s.err, s.conn.verdict()); err != nil {
			return nil, fmt.Errorf("utterance %d: %w", i+1, err)
		}
		tenth := len(s.late) / 10
		early += mean(s.late[:tenth])
		lately += mean(s.late[len(s.late)-tenth:])
		result.stalls += s.offSchedule
		result.late = append(result.late, s.late...)
	}
	result.drift = (lately - early) / time.Duration(utterances)
	result.late.sort()
	return result, nil
}

func mean(late times) (sum time.Duration) {
	for _, d := range late {
		sum += d
	}
	return sum / time.Duration(max(len(late), 1))
}

// speaker speaks one utterance.
type speaker struct {
	loop        loopedSpeech
	conn        countingConn
	late        times
	due         time.Time
	offSchedule int // how often a chunk was not due one chunk after the previous one
	err         error
}

func (s *speaker) speak(ctx context.Context) error {
	session, err := echo.NewSession(echo.NewMessages(&s.conn, "c1", 0), &echo.Options{
		Pace: echo.Pace{Mode: echo.RealTimeMode}, SkipHeard: true, SkipReady: true, Observe: s.observe,
	})
	if err != nil {
		return err
	}
	defer session.Close()
	_, err = session.Speak(ctx, echo.Speech{Samples: &s.loop})
	return err
}

func (s *speaker) observe(m echo.Moment) {
	if m.Kind != echo.MomentChunk {
		return
	}
	s.late = append(s.late, m.At.Sub(m.Due))
	if !s.due.IsZero() && m.Due.Sub(s.due) != echo.DefaultChunk {
		s.offSchedule++
	}
	s.due = m.Due
}

// loopedSpeech repeats speech endlessly, from an offset.
type loopedSpeech struct {
	speech []float32
	at     int
	left   int
}

func (l *loopedSpeech) ReadSamples(p []float32) (int, error) {
	if l.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), l.left)], l.speech[l.at:])
	l.at = (l.at + n) % len(l.speech)
	l.left -= n
	return n, nil
}

// countingConn is a connection that checks and discards messages.
type countingConn struct {
	id       []byte
	messages int
	done     int
	wrong    string
}

var (
	idBefore   = []byte(`"inference_id":"`)
	doneInside = []byte(`"done":true}}`)
)

func (c *countingConn) Send(_ context.Context, msg []byte) error {
	at := bytes.LastIndex(msg, idBefore) + len(idBefore)
	id := msg[at : at+36]
	if c.messages == 0 {
		c.id = bytes.Clone(id)
	}
	if !bytes.Equal(id, c.id) {
		c.wrong = "its id changed"
	}
	if c.done > 0 {
		c.wrong = "a message came after done"
	}
	if bytes.HasSuffix(msg, doneInside) {
		c.done++
	}
	c.messages++
	return nil
}

func (c *countingConn) Receive(ctx context.Context) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func (c *countingConn) verdict() error {
	if c.wrong == "" && c.done != 1 {
		c.wrong = fmt.Sprintf("%d messages say done", c.done)
	}
	if c.wrong != "" {
		return errors.New(c.wrong)
	}
	return nil
}

// speechSamples decodes a recording of speech at echo.DefaultRate.
func speechSamples() ([]float32, error) {
	file, err := os.Open("testdata/speech.wav")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	in, err := audio.Prepare(context.Background(), file, nil)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	return audiotest.Collect(in)
}

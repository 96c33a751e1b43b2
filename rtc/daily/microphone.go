package daily

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"

	"echocast/echo"
	"echocast/internal/pcm"
)

// MicrophoneRate is the sampling rate in Hz of a Microphone.
const MicrophoneRate = 24000

// Microphone speaks into a room as a person does, through an audio track that its page
// publishes. It is for replicas that listen to a microphone in echo mode. It is an
// echo.Stage that sends no messages. The page plays the samples of Speak in real time, and
// reports when it has played them. An interrupt drops the samples that the page still
// holds.
//
// Events come from the room as usual. A page that breaks in mid-utterance loses the
// samples that it held, so the utterance fails with echo.ErrLost.
type Microphone struct {
	// Alone makes the microphone speak to the people in the room instead of to a replica,
	// for example after the replica was lost. Set it before using the microphone.
	Alone bool

	conn   *Conn
	events echo.Conn

	mu        sync.Mutex
	utterance int64
	begun     *page // the page that plays the utterance; nil before its first chunk
	audio     pcm.Quantiser
}

var (
	_ echo.Stage          = (*Microphone)(nil)
	_ echo.PlaybackWaiter = (*Microphone)(nil)
	_ echo.ClipCounter    = (*Microphone)(nil)
	_ echo.LoneSpeaker    = (*Microphone)(nil)
)

// NewMicrophone returns a Microphone that speaks into the room of c. c must have been
// joined with Options.Microphone. If events is not nil, events are received from it instead
// of from c.
func NewMicrophone(c *Conn, events echo.Conn) *Microphone {
	if events == nil {
		events = c
	}
	return &Microphone{conn: c, events: events}
}

// HeardAlone reports whether the microphone speaks without a replica.
func (m *Microphone) HeardAlone() bool { return m.Alone }

// Begin opens the utterance u, whose rate must be MicrophoneRate.
func (m *Microphone) Begin(u echo.Utterance) error {
	if u.Rate != MicrophoneRate {
		return fmt.Errorf("daily: a microphone of %d Hz, not %d", u.Rate, MicrophoneRate)
	}
	if !m.conn.options.Microphone {
		return errors.New("daily: the room was joined without a microphone")
	}
	number := m.conn.voice.begin()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.utterance, m.begun = number, nil
	m.audio.Reset()
	return nil
}

// Clipped returns how many samples of the utterance were beyond full scale.
func (m *Microphone) Clipped() int64 { return m.audio.Clipped() }

// Speak sends one chunk to the page, and blocks while the page holds seconds of audio.
// It returns the number of bytes of the samples.
func (m *Microphone) Speak(ctx context.Context, samples []float32, last bool) (int, error) {
	p, number, err := m.page(ctx)
	if err != nil {
		return 0, m.lost(ctx, "speak", err)
	}
	audio := m.audio.Bytes(samples)
	piece := map[string]any{"utterance": number, "last": last, "pcm": base64.StdEncoding.EncodeToString(audio)}
	if _, err := p.call(ctx, command("play", piece)); err != nil {
		return 0, m.lost(ctx, "speak", err)
	}
	return len(audio), nil
}

// current returns the page: no other transport has a microphone.
func (m *Microphone) current(ctx context.Context) (*page, error) {
	p, _, err := m.conn.current(ctx)
	if err != nil {
		return nil, err
	}
	page, ok := p.(*page)
	if !ok {
		return nil, errors.New("the room was joined without a browser page")
	}
	return page, nil
}

// page returns the page that plays the utterance.
func (m *Microphone) page(ctx context.Context) (*page, int64, error) {
	p, err := m.current(ctx)
	if err != nil {
		return nil, 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.begun == nil {
		m.begun = p
	}
	if m.begun != p {
		return nil, 0, fmt.Errorf("%w: the page broke in mid-utterance", ErrLost)
	}
	return p, m.utterance, nil
}

// lost converts an error of the page to an error for the session.
func (m *Microphone) lost(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("daily: %s: %w", what, context.Cause(ctx))
	}
	return fmt.Errorf("%w: daily: %s: %w", echo.ErrLost, what, err)
}

// Interrupt drops the samples that the page holds. It sends no message: the replica only
// hears silence.
func (m *Microphone) Interrupt(ctx context.Context) error {
	p, err := m.current(ctx)
	if err == nil {
		_, err = p.call(ctx, command("hush", map[string]any{}))
	}
	if err != nil {
		return m.lost(ctx, "interrupt", err)
	}
	return nil
}

// Played waits until the last chunk of the utterance was played into the room. The error is
// echo.ErrLost if that can no longer happen, or the cause of ctx.
func (m *Microphone) Played(ctx context.Context) error {
	m.mu.Lock()
	p := m.begun
	m.mu.Unlock()
	if p == nil {
		return nil
	}
	select {
	case <-m.conn.voice.done():
		return nil
	case <-p.Ended():
		return m.lost(ctx, "play", p.Cause())
	case <-ctx.Done():
		return m.lost(ctx, "play", nil)
	}
}

// Next returns the next event of the room.
func (m *Microphone) Next(ctx context.Context) (echo.Event, error) {
	for {
		message, err := m.events.Receive(ctx)
		if err != nil {
			return echo.Event{}, err
		}
		if event, err := echo.ParseEvent(message); err == nil {
			return event, nil
		}
	}
}

// voice tracks which utterances the page has played.
type voice struct {
	mu     sync.Mutex
	number int64         // of the current utterance
	played chan struct{} // closed when it was played
}

// begin opens an utterance and returns its number.
func (v *voice) begin() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.number++
	v.played = make(chan struct{})
	return v.number
}

// end records the page's report that an utterance was played.
func (v *voice) end(number int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if number == v.number {
		close(v.played)
	}
}

func (v *voice) done() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.played
}

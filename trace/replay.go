package trace

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"echocast/echo"
)

// ErrNothing means that a trace contains no messages to replay.
var ErrNothing = errors.New("the trace holds no messages that were sent")

// ReplayOptions configure a replay. Nil and every zero value mean the default.
type ReplayOptions struct {
	Speed        float64 // multiple of the recorded speed; 0: 1
	Burst        bool    // send without waiting for the recorded times
	SameIDs      bool    // keep the inference ids
	Conversation string  // replaces the recorded id if set
	// ReadyTimeout bounds the wait until the replica has joined. 0 means 30 s.
	ReadyTimeout time.Duration
	// HeardTimeout bounds the wait for the last stopped_speaking, in addition to the
	// playing time of the audio. 0 means 5 s.
	HeardTimeout time.Duration
	// InterruptTimeout bounds the wait for stopped_speaking after an interrupt. 0 means 2
	// s.
	InterruptTimeout time.Duration
	// OnReceipt is called for each utterance, in order, at the end.
	OnReceipt func(echo.Receipt)
}

func (o *ReplayOptions) withDefaults() ReplayOptions {
	var set ReplayOptions
	if o != nil {
		set = *o
	}
	set.Speed = cmp.Or(set.Speed, 1)
	set.ReadyTimeout = cmp.Or(set.ReadyTimeout, 30*time.Second)
	set.HeardTimeout = cmp.Or(set.HeardTimeout, 5*time.Second)
	set.InterruptTimeout = cmp.Or(set.InterruptTimeout, 2*time.Second)
	return set
}

// Replay waits until the replica has joined, sends the messages of a trace again at their
// recorded times, and waits until the replica has stopped speaking. It skips messages that
// the connection did not accept when they were recorded. If the trace ends, the replay
// fails or ctx ends in mid-utterance, Replay interrupts that utterance. If a file contains
// several traces, they follow each other without a pause.
//
// Replay starts one goroutine and waits for it.
func Replay(ctx context.Context, entries iter.Seq2[Entry, error], conn echo.Conn, options *ReplayOptions) error {
	p := &replay{
		options: options.withDefaults(), conn: conn, ids: map[string]string{}, byID: map[string]*replayed{},
		ready: make(chan struct{}), over: make(chan struct{}), changed: make(chan struct{}, 1),
	}
	listening, stop := context.WithCancel(context.WithoutCancel(ctx))
	go p.listen(listening)
	err := p.run(ctx, entries)
	stop()
	<-p.over
	for _, u := range p.all {
		if p.options.OnReceipt != nil {
			p.options.OnReceipt(u.receipt(err))
		}
	}
	return err
}

// replay is a running replay.
type replay struct {
	options ReplayOptions
	conn    echo.Conn
	ids     map[string]string // recorded id → new id
	last    string            // conversation id of the last message
	begin   time.Time         // when the first message of the current trace was due
	origin  float64           // t of its first message
	open    *replayed         // the utterance whose last chunk was not sent yet, or nil
	msg     []byte

	ready   chan struct{} // closed when the replica has joined
	over    chan struct{} // closed when listen has ended
	lost    error         // why listen has ended
	changed chan struct{} // an event was received

	mu        sync.Mutex
	hasJoined bool
	isStopped bool // the replica was interrupted by somebody else
	all       []*replayed
	byID      map[string]*replayed
}

// replayed is an utterance of a replay.
type replayed struct {
	id              string
	samples         int64
	seconds         float64
	chunks          int
	bytes           int64
	first           time.Time // when its first message was accepted
	dry             time.Time // when all of it should have played
	started         time.Time
	eventID         string
	isDone          bool // its last chunk was sent
	isInterruptSent bool // the replay interrupted it
	isSpeaking      bool
	hasEnded        bool
	isInterrupted   bool
	spoken          time.Duration
	isSpokenKnown   bool
}

func (p *replay) run(ctx context.Context, entries iter.Seq2[Entry, error]) error {
	waited := false
	for e, err := range entries {
		if errors.Is(err, ErrCut) {
			break
		}
		if err != nil {
			return p.breakOff(ctx, err)
		}
		if e.Kind == KindStart {
			p.begin = time.Time{}
		}
		if e.Kind != KindOut || e.Error != "" || len(e.Message) == 0 {
			continue
		}
		if !waited {
			if err := p.waitReady(ctx); err != nil {
				return err
			}
			waited = true
		}
		if err := p.send(ctx, e); err != nil {
			return p.breakOff(ctx, err)
		}
	}
	if !waited {
		return ErrNothing
	}
	if p.open != nil {
		return p.breakOff(ctx, nil)
	}
	err := p.waitHeard(ctx)
	if ctx.Err() != nil {
		return p.breakOff(ctx, err)
	}
	return err
}

func (p *replay) waitReady(ctx context.Context) error {
	timeout := time.NewTimer(p.options.ReadyTimeout)
	defer timeout.Stop()
	select {
	case <-p.ready:
		return nil
	case <-p.over:
		return p.lost
	case <-timeout.C:
		return fmt.Errorf("%w (%v)", echo.ErrNotReady, p.options.ReadyTimeout)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// send sends one message when it is due.
func (p *replay) send(ctx context.Context, e Entry) error {
	m, msg, err := p.rewrite(e.Message)
	if err != nil {
		return err
	}
	if err := p.wait(ctx, e.T); err != nil {
		return err
	}
	if p.wasInterrupted() {
		return echo.ErrInterrupted
	}
	p.last = m.ConversationID
	p.noteSending(m)
	if err := p.conn.Send(ctx, msg); err != nil {
		return lostOr(ctx, err)
	}
	p.noteSent(m, len(msg))
	return nil
}

func lostOr(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %w", echo.ErrLost, err)
}

// wait waits until a message recorded at t is due.
func (p *replay) wait(ctx context.Context, t float64) error {
	if p.begin.IsZero() {
		p.begin, p.origin = time.Now(), t
	}
	var wait time.Duration
	if !p.options.Burst {
		wait = time.Until(p.begin.Add(time.Duration((t - p.origin) / p.options.Speed * float64(time.Second))))
	}
	timer := time.NewTimer(max(wait, 0))
	defer timer.Stop()
	select {
	case <-timer.C:
		return context.Cause(ctx)
	case <-p.over:
		return p.lost
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

const (
	audioEvent     = "conversation.echo"
	interruptEvent = "conversation.interrupt"
)

// rewrite replaces the ids in a recorded message, and changes nothing else.
func (p *replay) rewrite(recorded []byte) (m echo.AudioMessage, msg []byte, err error) {
	p.msg, err = replaceStrings(p.msg[:0], recorded, func(key, value string) string {
		switch {
		case key == "inference_id" && value != "" && !p.options.SameIDs:
			if p.ids[value] == "" {
				p.ids[value] = echo.NewInferenceID()
			}
			return p.ids[value]
		case key == "conversation_id" && p.options.Conversation != "":
			return p.options.Conversation
		}
		return value
	})
	if err == nil {
		_ = json.Unmarshal(p.msg, &m) // for other messages it fills the fields that fit
	}
	return m, p.msg, err
}

// replaceStrings appends the JSON text src to dst. It replaces every string value that has
// a key, at any depth, by the result of replace.
func replaceStrings(dst, src []byte, replace func(key, value string) string) ([]byte, error) {
	decoder := json.NewDecoder(bytes.NewReader(src))
	decoder.UseNumber()
	var objects []bool // for each level, whether it is an object
	key, isKey, copied := "", false, 0
	for {
		before := int(decoder.InputOffset())
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && len(objects) == 0 {
			return append(dst, src[copied:]...), nil
		}
		if err != nil {
			return dst, fmt.Errorf("a message is not JSON: %v", err)
		}
		text, isText := token.(string)
		isKey = isText && !isKey && len(objects) > 0 && objects[len(objects)-1]
		switch delim, _ := token.(json.Delim); {
		case delim == '{' || delim == '[':
			objects = append(objects, delim == '{')
		case delim != 0:
			objects = objects[:len(objects)-1]
		case isKey:
			key = text
		case isText:
			if to := replace(key, text); to != text {
				from := before + bytes.IndexByte(src[before:], '"')
				quoted, _ := json.Marshal(to) // texts always marshal
				dst = append(append(dst, src[copied:from]...), quoted...)
				copied = int(decoder.InputOffset())
			}
		}
	}
}

// noteSending records that a message is being sent. The event for it may arrive before the
// call that sends it returns.
func (p *replay) noteSending(m echo.AudioMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch m.EventType {
	case interruptEvent:
		p.markInterrupted()
	case audioEvent:
		id := m.Properties.InferenceID
		u := p.byID[id]
		if u == nil {
			u = &replayed{id: id}
			p.all, p.byID[id] = append(p.all, u), u
		}
		u.isDone = u.isDone || m.Properties.Done
		p.open = u
		if u.isDone {
			p.open = nil
		}
	}
}

// markInterrupted marks all utterances that have not ended as interrupted.
func (p *replay) markInterrupted() {
	p.open = nil
	for _, u := range p.all {
		u.isInterruptSent = u.isInterruptSent || !u.hasEnded
	}
}

// noteSent records a message that the connection has accepted.
func (p *replay) noteSent(m echo.AudioMessage, size int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := p.byID[m.Properties.InferenceID]
	if m.EventType != audioEvent || u == nil {
		return
	}
	now := time.Now()
	if u.chunks == 0 {
		u.first, u.dry = now, now
		if len(p.all) > 1 {
			u.dry = latest(now, p.all[len(p.all)-2].dry)
		}
	}
	rate := m.Properties.SampleRate
	if rate <= 0 {
		rate = echo.DefaultRate
	}
	samples := len(m.Properties.Audio) / 2
	u.chunks++
	u.samples += int64(samples)
	u.seconds += float64(samples) / float64(rate)
	u.bytes += int64(size)
	u.dry = latest(u.dry, now).Add(time.Duration(samples) * time.Second / time.Duration(rate))
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// listen reads the events of the replica until the connection or ctx ends.
func (p *replay) listen(ctx context.Context) {
	defer close(p.over)
	for {
		msg, err := p.conn.Receive(ctx)
		if err != nil {
			p.lost = fmt.Errorf("%w: %w", echo.ErrLost, err)
			return
		}
		event, err := echo.ParseEvent(msg)
		if err != nil {
			continue
		}
		if event.Kind == echo.Shutdown {
			p.lost = fmt.Errorf("%w: the room was shut down", echo.ErrLost)
			return
		}
		p.follow(event)
		select {
		case p.changed <- struct{}{}:
		default: // already known
		}
	}
}

func (p *replay) follow(event echo.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if event.Role != echo.RolePal {
		return
	}
	if !p.hasJoined {
		p.hasJoined = true
		close(p.ready)
	}
	u := p.utteranceOf(event)
	if u == nil || u.hasEnded {
		return
	}
	if event.Kind == echo.StartedSpeaking {
		u.start(event)
		return
	}
	if !u.isSpeaking && !u.started.IsZero() && !event.Interrupted {
		return // a repeat of an earlier stopped_speaking
	}
	u.start(event) // in case its started_speaking was lost
	u.isSpeaking = false
	if event.Duration >= 0 {
		u.spoken += event.Duration
		u.isSpokenKnown = true
	}
	if event.Interrupted || u.isDone {
		u.hasEnded, u.isInterrupted = true, event.Interrupted
		p.isStopped = p.isStopped || event.Interrupted && !u.isInterruptSent
	}
}

// wasInterrupted reports whether somebody else interrupted the replica.
func (p *replay) wasInterrupted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isStopped
}

// utteranceOf returns the utterance of a speaking event: the one with its id, or otherwise
// the first one that has not started.
func (p *replay) utteranceOf(event echo.Event) *replayed {
	if event.Kind != echo.StartedSpeaking && event.Kind != echo.StoppedSpeaking {
		return nil
	}
	var next *replayed // the first that has not started
	for _, u := range p.all {
		if echo.NamedBy(event.InferenceID, u.id) {
			return u
		}
		if next == nil && u.started.IsZero() {
			next = u
		}
	}
	for _, u := range p.all {
		if !u.started.IsZero() && u.eventID == event.InferenceID && (event.InferenceID != "" || !u.hasEnded) {
			return u // otherwise the event is a twin of its end
		}
	}
	if event.Kind == echo.StartedSpeaking {
		return next
	}
	return nil
}

func (u *replayed) start(event echo.Event) {
	u.isSpeaking = true
	if u.started.IsZero() {
		u.started, u.eventID = time.Now(), event.InferenceID
	}
}

// waitHeard waits until the replica has reported the end of all utterances.
func (p *replay) waitHeard(ctx context.Context) error {
	wait, unheard := p.unheard()
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for wait > 0 && !p.wasInterrupted() {
		select {
		case <-p.changed:
		case <-timeout.C:
			return unheard
		case <-p.over:
			return p.lost
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		wait, unheard = p.unheard()
	}
	if p.wasInterrupted() {
		return echo.ErrInterrupted
	}
	return nil
}

// unheard returns how much longer the replica may take to report the end of all utterances,
// or 0 if it has reported them. err is the error to return if the time runs out.
func (p *replay) unheard() (wait time.Duration, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range p.all {
		switch {
		case u.hasEnded, u.isInterruptSent && u.started.IsZero():
		case u.isInterruptSent:
			wait = max(wait, p.options.InterruptTimeout)
		default:
			err = echo.ErrUnverified
			wait = max(wait, max(time.Until(u.dry), 0)+p.options.HeardTimeout)
		}
	}
	return wait, err
}

// breakOff interrupts the open utterances and waits up to InterruptTimeout for the replica
// to confirm that. It returns why.
func (p *replay) breakOff(ctx context.Context, why error) error {
	p.mu.Lock()
	silent := true
	for _, u := range p.all {
		silent = silent && (u.hasEnded || u.isInterruptSent)
	}
	p.markInterrupted()
	p.mu.Unlock()
	if silent || errors.Is(why, echo.ErrLost) {
		return why
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.options.InterruptTimeout)
	defer cancel()
	if err := p.conn.Send(ctx, echo.AppendInterrupt(nil, p.last)); err != nil {
		return errors.Join(why, lostOr(ctx, err))
	}
	for {
		if wait, _ := p.unheard(); wait == 0 {
			return why
		}
		select {
		case <-p.changed:
		case <-p.over:
			return why
		case <-ctx.Done():
			return why
		}
	}
}

// receipt returns the receipt of the utterance.
func (u *replayed) receipt(err error) echo.Receipt {
	r := echo.Receipt{
		InferenceID: u.id, Outcome: u.outcome(err), Samples: u.samples, SentSeconds: micro(u.seconds),
		Chunks: u.chunks, Bytes: u.bytes, FirstAudioSeconds: -1, FirstMessageSeconds: -1,
		SpokenSeconds: micro(u.seconds), SpokenBy: echo.ByClock, UnderrunsBy: echo.ByClock,
	}
	if u.isSpokenKnown && u.hasEnded {
		r.SpokenSeconds, r.SpokenBy = u.spoken.Seconds(), echo.ByEvent
	}
	if !u.started.IsZero() && !u.first.IsZero() {
		r.FirstAudioSeconds = max(u.started.Sub(u.first), 0).Seconds()
	}
	if r.Outcome == echo.Failed && err != nil {
		r.Error = err.Error()
	}
	return r
}

func (u *replayed) outcome(err error) echo.Outcome {
	switch {
	case u.isInterrupted, u.isInterruptSent && !errors.Is(err, echo.ErrLost):
		return echo.Interrupted
	case u.hasEnded:
		return echo.Finished
	case u.isDone && !errors.Is(err, echo.ErrLost):
		return echo.Unverified
	}
	return echo.Failed
}

package avatar

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"echocast/audio"
	"echocast/chunker"
	"echocast/internal/pcm"
)

// inletSize is how many messages may wait for the replica.
const inletSize = 64

// inlet converts streams, one after the other, to messages of one participant of the
// replica.
type inlet struct {
	mu     sync.Mutex
	queue  []queued
	known  string        // the utterance of the replica's last message
	clears int           // how often everything was dropped
	turn   chan struct{} // one slot, held by the stream that is being read; replaced by each clear
	came   chan struct{} // one slot, filled when there are messages
	taken  chan struct{} // one slot, filled when there is room for more
}

// queued is a message that waits for the replica.
type queued struct {
	utterance string // empty: an interrupt
	msg       []byte
}

func newInlet() *inlet {
	return &inlet{turn: newSlot(), came: newSlot(), taken: newSlot()}
}

func newSlot() chan struct{} { return make(chan struct{}, 1) }

// fill fills a channel of one slot.
func fill(slot chan<- struct{}) {
	select {
	case slot <- struct{}{}:
	default:
	}
}

// Send drops a message of the replica: the timeline reports what happens.
func (i *inlet) Send(context.Context, []byte) error { return nil }

// Receive returns the next message.
func (i *inlet) Receive(ctx context.Context) ([]byte, error) {
	for {
		i.mu.Lock()
		if len(i.queue) > 0 {
			first := i.queue[0]
			i.queue = i.queue[1:]
			i.known = cmp.Or(first.utterance, i.known)
			i.mu.Unlock()
			fill(i.taken)
			return first.msg, nil
		}
		i.mu.Unlock()
		select {
		case <-i.came:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// put queues a message of an utterance that began after this number of clears. It reports
// false if the utterance was cleared since.
func (i *inlet) put(ctx context.Context, clears int, utterance string, msg []byte) bool {
	for ctx.Err() == nil {
		i.mu.Lock()
		isCleared, isFull := i.clears != clears, len(i.queue) >= inletSize
		if !isCleared && !isFull {
			i.queue = append(i.queue, queued{utterance, msg})
		}
		i.mu.Unlock()
		switch {
		case isCleared:
			return false
		case !isFull:
			fill(i.came)
			return true
		}
		select {
		case <-i.taken:
		case <-ctx.Done():
		}
	}
	return false
}

// clear drops the waiting messages and interrupts the replica. It returns the utterances
// that the replica will never get.
func (i *inlet) clear() (unknown []string) {
	i.mu.Lock()
	for _, q := range i.queue {
		if u := q.utterance; u != "" && u != i.known && !slices.Contains(unknown, u) {
			unknown = append(unknown, u)
		}
	}
	i.clears++
	i.turn = newSlot()
	i.queue = []queued{{msg: []byte(`{"message_type":"conversation","event_type":"conversation.interrupt",` +
		`"conversation_id":"avatar"}`)}}
	i.mu.Unlock()
	fill(i.came)
	fill(i.taken) // wakes a waiting stream, which then finds itself cleared
	return unknown
}

// state returns the number of clears so far, and the slot for streams that begin now.
func (i *inlet) state() (clears int, turn chan struct{}) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.clears, i.turn
}

// Stream is the audio of one utterance: signed 16-bit little-endian PCM.
type Stream struct {
	ID       string // unique among all utterances
	PCM      io.Reader
	Rate     int // Hz
	Channels int
}

// Speak plays a stream after the streams before it. It returns when it has read the whole
// stream. If a stream breaks, Speak plays what arrived and returns why it broke. A cleared
// stream is read to its end but not played.
func (a *Avatar) Speak(ctx context.Context, s Stream) error {
	clears, turn := a.inlet.state()
	isPlayed := false
	source, err := open(ctx, s)
	if err == nil {
		isPlayed, err = a.inlet.speak(ctx, clears, turn, s.ID, source)
		_ = source.Close() // no data can be lost
	}
	if now, _ := a.inlet.state(); !isPlayed {
		a.timeline.skip(s.ID, now != clears)
	}
	_, drained := io.Copy(io.Discard, s.PCM) // the rest of the cleared stream
	if errors.Is(err, audio.ErrEmpty) {
		return nil
	}
	return cmp.Or(err, drained)
}

// open converts a stream to the replica's rate and to mono.
func open(ctx context.Context, s Stream) (*audio.Prepared, error) {
	source, err := audio.Prepare(ctx, s.PCM, &audio.PrepareOptions{
		Rate: Rate, Input: &audio.Options{Encoding: "s16le", Raw: audio.Format{Rate: s.Rate, Channels: s.Channels}},
	})
	if err != nil {
		return nil, fmt.Errorf("stream %s of %d Hz and %d channels: %w", s.ID, s.Rate, s.Channels, err)
	}
	return source, nil
}

// turnTimeout bounds the wait for an earlier stream that has not ended, once all of its
// audio may have been played.
const turnTimeout = 10 * time.Second

// speak queues the chunks of a stream. isPlayed reports that at least one chunk was queued.
// In that case the replica or clear reports the end of the utterance.
func (i *inlet) speak(ctx context.Context, clears int, turn chan struct{}, id string,
	source audio.Source) (isPlayed bool, err error) {
	timeout := time.NewTimer(turnTimeout)
	defer timeout.Stop()
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-timeout.C: // this utterance makes the replica end the previous one
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	var bytes pcm.Quantiser
	for chunk, err := range chunker.New(source, tickSamples).All() {
		if err != nil {
			return isPlayed, i.end(ctx, clears, id, isPlayed, err)
		}
		if !i.put(ctx, clears, id, message(id, bytes.Bytes(chunk.PCM), chunk.Last)) {
			return isPlayed, context.Cause(ctx)
		}
		isPlayed = true
	}
	return isPlayed, nil
}

// end ends a stream that broke.
func (i *inlet) end(ctx context.Context, clears int, id string, isPlayed bool, why error) error {
	if isPlayed {
		i.put(ctx, clears, id, message(id, nil, true))
	}
	return why
}

// message returns the message of a chunk.
func message(id string, pcm []byte, isLast bool) []byte {
	return fmt.Appendf(nil, `{"message_type":"conversation","event_type":"conversation.echo",`+
		`"conversation_id":"avatar","properties":`+
		`{"modality":"audio","audio":%q,"sample_rate":%d,"inference_id":%q,"done":%v}}`,
		base64.StdEncoding.EncodeToString(pcm), Rate, id, isLast)
}

// Clear stops playback, and drops all audio that has arrived.
func (a *Avatar) Clear() {
	for _, utterance := range a.inlet.clear() {
		a.timeline.skip(utterance, true)
	}
}

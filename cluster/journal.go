package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// SaveRecord keeps what the gateway needs to take the conversation over.
func (h *Hold) SaveRecord(ctx context.Context, record []byte) error {
	ctx, cancel := h.cluster.bounded(ctx)
	defer cancel()
	_, err := h.cluster.conversations.Put(ctx, h.id, record)
	return h.checked(err)
}

// SaveProgress keeps how far an utterance is.
func (h *Hold) SaveProgress(ctx context.Context, data []byte) error {
	ctx, cancel := h.cluster.bounded(ctx)
	defer cancel()
	text, err := json.Marshal(progress{h.claim, data})
	if err == nil {
		_, err = h.cluster.progress.Put(ctx, h.id, text)
	}
	return h.checked(err)
}

// progress is a value of the bucket of progress.
type progress struct {
	Claim string          `json:"claim"` // of who wrote it
	Data  json.RawMessage `json:"data"`
}

// checked is the error of something that was kept. What this node kept when it did not
// hold the conversation any more may be missed by the node that does, so it does not
// count as kept.
func (h *Hold) checked(err error) error {
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	if !h.MaySpeak() {
		return ErrLost
	}
	return nil
}

// Append keeps a batch of events, after those before. The error is ErrLost where
// another node has appended since.
func (h *Hold) Append(ctx context.Context, batch []byte) error {
	h.appending.Lock()
	defer h.appending.Unlock()
	ack, err := h.publish(ctx, eventsSubject+h.id, batch, jetstream.WithExpectLastSequencePerSubject(h.sequence))
	if isConflict(err) {
		return ErrLost
	}
	if err == nil {
		h.sequence = ack.Sequence
	}
	return h.checked(err)
}

// isConflict reports whether another has published since.
func isConflict(err error) bool {
	failure, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (failure.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		failure.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// AddAudio keeps a piece of an utterance's audio, after those before.
func (h *Hold) AddAudio(ctx context.Context, utterance string, piece []byte) error {
	_, err := h.publish(ctx, audioSubject+h.id+"."+utterance, piece)
	return h.checked(err)
}

// publish publishes a message once, and tries again as long as this node holds the
// conversation: NATS knows by the id of the message what it has already.
func (h *Hold) publish(ctx context.Context, subject string, data []byte,
	o ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	o = append(o, jetstream.WithMsgID(h.claim+":"+strconv.FormatInt(h.published.Add(1), 36)))
	for {
		ack, err := h.publishOnce(ctx, subject, data, o)
		if answer, isAnswered := errors.AsType[*jetstream.APIError](err); err == nil || isAnswered && isFinal(answer) ||
			ctx.Err() != nil || !h.MaySpeak() {
			return ack, err
		}
		time.Sleep(retryInterval)
	}
}

// isFinal reports whether an answer of JetStream stays the same when it is asked again:
// it refuses what is wrong, and what it has no room for.
func isFinal(answer *jetstream.APIError) bool {
	const insufficientResources, storageExceeded, storeFailed = 10023, 10047, 10077
	full := []jetstream.ErrorCode{insufficientResources, storageExceeded, storeFailed}
	return answer.Code < 500 || slices.Contains(full, answer.ErrorCode)
}

// retryInterval is how long publish waits after an error.
const retryInterval = 50 * time.Millisecond

func (h *Hold) publishOnce(ctx context.Context, subject string, data []byte,
	o []jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ctx, cancel := h.cluster.bounded(ctx)
	defer cancel()
	return h.cluster.js.Publish(ctx, subject, data, o...)
}

// DropAudio forgets the audio of an utterance.
func (h *Hold) DropAudio(ctx context.Context, utterance string) error {
	ctx, cancel := h.cluster.bounded(ctx)
	defer cancel()
	return h.cluster.audio.Purge(ctx, jetstream.WithPurgeSubject(audioSubject+h.id+"."+utterance))
}

// Saved is what was kept of a conversation.
type Saved struct {
	Record   []byte
	Events   [][]byte // batches, in order
	Progress []byte   // of the node before; nil where there is none
	Audio    []Audio  // in the order in which they began
}

// Audio is what was kept of an utterance.
type Audio struct {
	Utterance string
	Pieces    [][]byte // in order
}

// Load loads what the nodes before have kept. It is called once, before all else.
func (h *Hold) Load(ctx context.Context) (s *Saved, err error) {
	c := h.cluster
	s = &Saved{}
	places := map[string]int{}
	if s.Record, err = c.Record(ctx, h.id); err != nil {
		return nil, err
	}
	if s.Events, h.sequence, err = c.loadEvents(ctx, h.id); err != nil {
		return nil, err
	}
	if s.Progress, err = c.loadProgress(ctx, h.id, h.from.Claim); err != nil {
		return nil, err
	}
	// The mark is after everything that counts as kept; what is read ends with it.
	mark, err := c.js.Publish(ctx, audioSubject+h.id+"."+markToken, nil)
	if err != nil {
		return nil, err
	}
	err = c.read(ctx, c.audio, audioSubject+h.id+".*", mark.Sequence, func(m jetstream.Msg) {
		utterance := m.Subject()[strings.LastIndexByte(m.Subject(), '.')+1:]
		if utterance == markToken {
			return
		}
		i, isKnown := places[utterance]
		if !isKnown {
			i = len(s.Audio)
			places[utterance] = i
			s.Audio = append(s.Audio, Audio{Utterance: utterance})
		}
		s.Audio[i].Pieces = append(s.Audio[i].Pieces, m.Data())
	})
	if err == nil {
		err = h.DropAudio(ctx, markToken)
	}
	return s, err
}

// markToken stands in place of an utterance.
const markToken = "mark"

// Record returns what was kept of a conversation, also of one that has ended; nil where
// there is none.
func (c *Cluster) Record(ctx context.Context, id string) ([]byte, error) {
	return get(ctx, c.conversations, id)
}

func get(ctx context.Context, bucket jetstream.KeyValue, id string) ([]byte, error) {
	entry, err := bucket.Get(ctx, id)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound), errors.Is(err, jetstream.ErrInvalidKey):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return entry.Value(), nil
}

func (c *Cluster) loadProgress(ctx context.Context, id, claim string) ([]byte, error) {
	text, err := get(ctx, c.progress, id)
	var p progress
	if err != nil || text == nil || json.Unmarshal(text, &p) != nil || p.Claim != claim {
		return nil, err
	}
	return p.Data, nil
}

// Events returns what has happened in a conversation, in batches.
func (c *Cluster) Events(ctx context.Context, id string) ([][]byte, error) {
	batches, _, err := c.loadEvents(ctx, id)
	return batches, err
}

// loadEvents returns the batches of events, and the sequence of the last.
func (c *Cluster) loadEvents(ctx context.Context, id string) (batches [][]byte, last uint64, err error) {
	newest, err := c.events.GetLastMsgForSubject(ctx, eventsSubject+id)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return nil, 0, nil
	case err != nil:
		return nil, 0, fmt.Errorf("cluster: %w", err)
	}
	err = c.read(ctx, c.events, eventsSubject+id, newest.Sequence, func(m jetstream.Msg) {
		batches = append(batches, m.Data())
	})
	return batches, newest.Sequence, err
}

// read reads the messages of a subject, up to one that is known to be there.
func (c *Cluster) read(ctx context.Context, from jetstream.Stream, subject string, last uint64,
	do func(jetstream.Msg)) error {
	consumer, err := from.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	defer messages.Stop()
	stop := context.AfterFunc(ctx, messages.Stop)
	defer stop()
	for {
		m, err := messages.Next()
		if err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return fmt.Errorf("cluster: %w", err)
		}
		if meta.Sequence.Stream <= last {
			do(m)
		}
		if meta.Sequence.Stream >= last {
			return nil
		}
	}
}

// End also drops what is kept to take a conversation over.
func (h *Hold) dropAll(ctx context.Context) error {
	return errors.Join(
		h.cluster.audio.Purge(ctx, jetstream.WithPurgeSubject(audioSubject+h.id+".*")),
		h.cluster.progress.Purge(ctx, h.id),
	)
}

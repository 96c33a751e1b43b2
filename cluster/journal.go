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

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// SaveRecord stores what the gateway needs to take over the conversation.
func (h *Hold) SaveRecord(ctx context.Context, record []byte) error {
	ctx, cancel := h.cluster.bounded(ctx)
	defer cancel()
	_, err := h.cluster.conversations.Put(ctx, h.id, record)
	return h.checked(err)
}

// SaveProgress stores how far an utterance is.
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
	Claim string          `json:"claim"` // of the node that wrote it
	Data  json.RawMessage `json:"data"`
}

// checked returns the error of a write. A write that this node made after it lost the
// conversation counts as failed: the new holder may not have seen it.
func (h *Hold) checked(err error) error {
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	if !h.MaySpeak() {
		return ErrLost
	}
	return nil
}

// Append stores a batch of events after the earlier ones. The error is ErrLost if another node
// has appended in the meantime.
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

// isConflict reports whether another node has published in the meantime.
func isConflict(err error) bool {
	failure, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (failure.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		failure.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// AddAudio stores a piece of an utterance's audio after the earlier ones.
func (h *Hold) AddAudio(ctx context.Context, utterance string, piece []byte) error {
	_, err := h.publish(ctx, audioSubject+h.id+"."+utterance, piece)
	return h.checked(err)
}

// publish publishes a message once. It retries as long as this node holds the conversation:
// NATS drops repeated messages by their id.
func (h *Hold) publish(ctx context.Context, subject string, data []byte,
	o ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if !h.MaySpeak() {
		return nil, ErrLost
	}
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

// isFinal reports whether JetStream would give the same answer to a retry: the request is
// wrong, or there is no room.
func isFinal(answer *jetstream.APIError) bool {
	const insufficientResources, storageExceeded, storeFailed, stillWriting = 10023, 10047, 10077, 10158
	full := []jetstream.ErrorCode{insufficientResources, storageExceeded, storeFailed}
	return answer.Code < 500 && answer.ErrorCode != stillWriting || slices.Contains(full, answer.ErrorCode)
}

// retryInterval is how long publish waits after an error.
const retryInterval = 50 * time.Millisecond

func (h *Hold) publishOnce(ctx context.Context, subject string, data []byte,
	o []jetstream.PublishOpt) (*jetstream.PubAck, error) {
	ctx, cancel := h.cluster.bounded(ctx)
	defer cancel()
	return h.cluster.js.Publish(ctx, subject, data, o...)
}

// DropAudio deletes the audio of an utterance, as long as this node holds the conversation:
// what it has stored may be spoken by another node afterwards.
func (h *Hold) DropAudio(ctx context.Context, utterance string) error {
	if !h.MaySpeak() {
		return ErrLost
	}
	ctx, cancel := h.cluster.bounded(ctx)
	defer cancel()
	return h.cluster.audio.Purge(ctx, jetstream.WithPurgeSubject(audioSubject+h.id+"."+utterance))
}

// Saved is what is stored of a conversation.
type Saved struct {
	Record   []byte
	Events   [][]byte // batches, in order
	Progress []byte   // of the earlier node; nil: there is none
	Audio    []Audio  // in the order in which they began
}

// Audio is what is stored of an utterance.
type Audio struct {
	Utterance string
	Pieces    [][]byte // in order
}

// Load loads what the nodes before have kept. It is called once, before all else. It tries
// again, until ctx ends, where NATS does not answer.
func (h *Hold) Load(ctx context.Context) (*Saved, error) {
	for {
		saved, err := h.loadOnce(ctx)
		if err == nil || ctx.Err() != nil || !h.MaySpeak() {
			return saved, err
		}
		time.Sleep(retryInterval)
	}
}

func (h *Hold) loadOnce(ctx context.Context) (s *Saved, err error) {
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
	// The mark is after everything that counts as kept; what is read ends with it. It stays, and
	// its name is that of the claim: what others send later, as after a split of the network,
	// counts for no node.
	mark := markToken + h.claim
	end, err := h.publishOnce(ctx, audioSubject+h.id+"."+mark, nil, nil)
	if err != nil {
		return nil, err
	}
	holds := "" // the claim of the mark before
	err = c.read(ctx, audioStream, audioSubject+h.id+".*", end.Sequence, func(m *nats.Msg) {
		subject := m.Header.Get(jetstream.SubjectHeader)
		utterance := subject[strings.LastIndexByte(subject, '.')+1:]
		if claim, isMark := strings.CutPrefix(utterance, markToken); isMark {
			holds = claim
			return
		}
		if by, _, _ := strings.Cut(m.Header.Get(jetstream.MsgIDHeader), ":"); holds != "" && by != holds {
			return
		}
		i, isKnown := places[utterance]
		if !isKnown {
			i = len(s.Audio)
			places[utterance] = i
			s.Audio = append(s.Audio, Audio{Utterance: utterance})
		}
		s.Audio[i].Pieces = append(s.Audio[i].Pieces, m.Data)
	})
	return s, err
}

// markToken begins what stands in place of an utterance.
const markToken = "mark-"

// Record returns what is stored of a conversation, also of one that has ended. It returns nil
// if there is none.
func (c *Cluster) Record(ctx context.Context, id string) ([]byte, error) {
	text, _, err := c.latest(ctx, "KV_"+conversationsBucket, "$KV."+conversationsBucket+"."+id)
	return text, err
}

// latest returns the last message of a subject as the leader of the stream has it, and its
// sequence; nil where there is none. Another replica of the stream may be late.
func (c *Cluster) latest(ctx context.Context, stream, subject string) (data []byte, sequence uint64, err error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	m, err := c.leader.GetLastMsg(stream, subject, nats.Context(ctx))
	switch {
	case errors.Is(err, nats.ErrMsgNotFound):
		return nil, 0, nil
	case err != nil:
		return nil, 0, fmt.Errorf("cluster: %w", err)
	case len(m.Data) == 0: // it says that there is none any more
		return nil, 0, nil
	}
	return m.Data, m.Sequence, nil
}

func (c *Cluster) loadProgress(ctx context.Context, id, claim string) ([]byte, error) {
	text, _, err := c.latest(ctx, "KV_"+progressBucket, "$KV."+progressBucket+"."+id)
	var p progress
	if err != nil || text == nil || json.Unmarshal(text, &p) != nil || p.Claim != claim {
		return nil, err
	}
	return p.Data, nil
}

// Events returns the events of a conversation, in batches.
func (c *Cluster) Events(ctx context.Context, id string) ([][]byte, error) {
	batches, _, err := c.loadEvents(ctx, id)
	return batches, err
}

// loadEvents returns the batches of events, and the sequence of the last.
func (c *Cluster) loadEvents(ctx context.Context, id string) (batches [][]byte, last uint64, err error) {
	_, last, err = c.latest(ctx, eventsStream, eventsSubject+id)
	if err != nil || last == 0 {
		return nil, 0, err
	}
	err = c.read(ctx, eventsStream, eventsSubject+id, last, func(m *nats.Msg) { batches = append(batches, m.Data) })
	return batches, last, err
}

// How much is read by one request.
const (
	mostRead      = 1000
	mostReadBytes = 8 << 20
)

// read reads the messages of a subject, up to one that is known to be there. It makes no
// consumer: for that NATS asks all its servers, and fifty conversations that lose their
// node need a hundred at once. Any replica answers; one that is late is asked again.
func (c *Cluster) read(ctx context.Context, stream, subject string, last uint64, do func(*nats.Msg)) error {
	for next := uint64(1); next <= last; {
		after, err := c.readSome(ctx, stream, subject, next, func(m *nats.Msg, sequence uint64) {
			if sequence <= last {
				do(m)
			}
		})
		if err != nil {
			return fmt.Errorf("cluster: read %s: %w", subject, err)
		}
		if after == next {
			select {
			case <-time.After(retryInterval):
			case <-ctx.Done():
				return fmt.Errorf("cluster: read %s: %w", subject, context.Cause(ctx))
			}
		}
		next = after
	}
	return nil
}

// readSome reads messages from a sequence on, and returns where the next request begins.
func (c *Cluster) readSome(ctx context.Context, stream, subject string, from uint64,
	do func(m *nats.Msg, sequence uint64)) (next uint64, err error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	inbox := c.conn.NewRespInbox()
	answers, err := c.conn.SubscribeSync(inbox)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answers.Unsubscribe() }()
	request, _ := json.Marshal(map[string]any{ // strings and numbers
		"seq": from, "next_by_subj": subject, "batch": mostRead, "max_bytes": mostReadBytes,
	})
	if err := c.conn.PublishRequest("$JS.API.DIRECT.GET."+stream, inbox, request); err != nil {
		return 0, err
	}
	for next = from; ; {
		m, err := answers.NextMsgWithContext(ctx)
		if err != nil {
			return 0, err
		}
		if status := m.Header.Get("Status"); status == "204" || status == "404" { // the end, or there is none
			return next, nil
		}
		sequence, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("NATS answers %s %s", m.Header.Get("Status"), m.Header.Get("Description"))
		}
		do(m, sequence)
		next = sequence + 1
	}
}

// dropAll deletes what is stored for a takeover.
func (h *Hold) dropAll(ctx context.Context) error {
	return errors.Join(
		h.cluster.audio.Purge(ctx, jetstream.WithPurgeSubject(audioSubject+h.id+".*")),
		h.cluster.progress.Purge(ctx, h.id),
	)
}

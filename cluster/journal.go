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

	"echocast/internal/nextversion"
)

// recordSubject is the subject of the records in their bucket.
const recordSubject = "$KV." + conversationsBucket + "."

// SaveRecord stores what the gateway needs to take over the conversation, in place of what is
// there. The error is ErrLost if another node has stored a record in the meantime.
func (h *Hold) SaveRecord(ctx context.Context, record []byte) error {
	h.recording.Lock()
	defer h.recording.Unlock()
	ack, err := h.publish(ctx, recordSubject+h.id, record, jetstream.WithExpectLastSequencePerSubject(h.revision))
	if isConflict(err) {
		return ErrLost
	}
	if err == nil {
		h.revision = ack.Sequence
	}
	return h.checked(err)
}

// SaveProgress stores how far an utterance is.
func (h *Hold) SaveProgress(ctx context.Context, data []byte) error {
	ctx, cancel := h.cluster.bounded(ctx)
	defer cancel()
	text, err := json.Marshal(progress{Claim: h.claim, Data: data})
	if err == nil {
		_, err = h.cluster.progress.Put(ctx, h.id, text)
	}
	return h.checked(err)
}

// progress is a value of the bucket of progress.
type progress struct {
	nextversion.Fields
	Claim string          `json:"claim"` // of the node that wrote it
	Data  json.RawMessage `json:"data"`
}

// checked returns the error of a write. A write that this node made after it lost the
// conversation counts as failed: the new holder may not have seen it.
func (h *Hold) checked(err error) error {
	if err != nil {
		h.cluster.noteUnwritten()
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

// publish publishes a message once. It retries as long as this node holds the conversation, up to
// writeTimeout: a NATS that had a full disk may write to one stream and not to another. NATS
// drops repeated messages by their id.
func (h *Hold) publish(ctx context.Context, subject string, data []byte,
	o ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if !h.MaySpeak() {
		return nil, ErrLost
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	o = append(o, jetstream.WithMsgID(h.claim+":"+strconv.FormatInt(h.published.Add(1), 36)))
	tooLong := time.Now().Add(writeTimeout)
	for {
		// Who asked may leave, but the next write needs the sequence in the answer.
		ack, err := h.publishOnce(context.WithoutCancel(ctx), subject, data, o)
		if err == nil || isRefused(err) || ctx.Err() != nil || !h.MaySpeak() {
			return ack, err
		}
		if time.Now().After(tooLong) {
			return nil, fmt.Errorf("NATS has not stored it for %v: %w", writeTimeout, err)
		}
		h.cluster.noteUnwritten()
		time.Sleep(retryInterval)
	}
}

// isRefused reports whether JetStream has refused a request, and would refuse it again.
func isRefused(err error) bool {
	answer, isAnswered := errors.AsType[*jetstream.APIError](err)
	return isAnswered && isFinal(answer)
}

// isFinal reports whether JetStream would give the same answer to a retry: the request is
// wrong, or there is no room.
func isFinal(answer *jetstream.APIError) bool {
	full := []jetstream.ErrorCode{insufficientResources, noStorage, storeFailed}
	return answer.Code < failed && answer.ErrorCode != stillWriting || slices.Contains(full, answer.ErrorCode)
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

	// ProgressAge is how long ago the progress was stored, by the clocks of NATS: those of two
	// nodes may differ.
	ProgressAge time.Duration
}

// Audio is what is stored of an utterance.
type Audio struct {
	Utterance string
	Pieces    [][]byte // in order
	// Age is how long ago the first of them was stored, by the clocks of NATS.
	Age time.Duration
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
	var progressed, marked time.Time
	var began []time.Time // by utterance
	record, err := c.latest(ctx, "KV_"+conversationsBucket, recordSubject+h.id)
	if err != nil {
		return nil, err
	}
	s.Record, h.revision = record.Data, record.Sequence
	if s.Events, h.sequence, err = c.loadEvents(ctx, h.id); err != nil {
		return nil, err
	}
	if s.Progress, progressed, err = c.loadProgress(ctx, h.id, h.from.Claim); err != nil {
		return nil, err
	}
	begin := time.Now()
	end, err := h.mark(ctx)
	if err != nil {
		return nil, err
	}
	var holds claimMark // the one before
	err = c.read(ctx, audioStream, audioSubject+h.id+".*", end.Sequence, func(m *nats.Msg) {
		stored, _ := time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.TimeStampHeaer)) // NATS writes it so
		marked = stored                                                                   // the last one is the mark
		subject := m.Header.Get(jetstream.SubjectHeader)
		utterance := subject[strings.LastIndexByte(subject, '.')+1:]
		if claim, isMark := strings.CutPrefix(utterance, markToken); isMark {
			holds.follow(claim, m.Data)
			return
		}
		if by, _, _ := strings.Cut(m.Header.Get(jetstream.MsgIDHeader), ":"); holds.claim != "" && by != holds.claim {
			return
		}
		i, isKnown := places[utterance]
		if !isKnown {
			i = len(s.Audio)
			places[utterance] = i
			s.Audio = append(s.Audio, Audio{Utterance: utterance})
			began = append(began, stored)
		}
		s.Audio[i].Pieces = append(s.Audio[i].Pieces, m.Data)
	})
	ageOf := func(stored time.Time) time.Duration { return max(marked.Sub(stored), 0) + time.Since(begin) }
	s.ProgressAge = ageOf(progressed)
	for i, first := range began {
		s.Audio[i].Age = ageOf(first)
	}
	return s, err
}

// markToken begins what stands in place of an utterance. The claim follows.
const markToken = "mark-"

// claimMark stands in the audio where a node has begun to hold the conversation.
type claimMark struct {
	nextversion.Fields
	claim string
	// Since is the revision of the claim: it grows from one holder to the next.
	Since uint64 `json:"since"`
}

// mark publishes that this node holds the conversation. The mark is after everything that
// counts as kept; what is read ends with it. It stays: what others send later, as after a split
// of the network, counts for no node.
func (h *Hold) mark(ctx context.Context) (*jetstream.PubAck, error) {
	text, _ := json.Marshal(claimMark{Since: h.since}) // a number
	return h.publishOnce(ctx, audioSubject+h.id+"."+markToken+h.claim, text, nil)
}

// follow replaces the mark by a later one, unless that belongs to an earlier holder: the
// network may have delayed it. A mark without a revision is of an earlier version.
func (m *claimMark) follow(claim string, text []byte) {
	next := claimMark{claim: claim}
	if json.Unmarshal(text, &next) != nil || next.Since == 0 || next.Since >= m.Since {
		*m = claimMark{claim: claim, Since: max(next.Since, m.Since)}
	}
}

// Record returns what is stored of a conversation, also of one that has ended. It returns nil
// if there is none.
func (c *Cluster) Record(ctx context.Context, id string) ([]byte, error) {
	m, err := c.latest(ctx, "KV_"+conversationsBucket, recordSubject+id)
	return m.Data, err
}

// latest returns the last message of a subject as the leader of the stream has it; a zero one if
// there is none. Another replica of the stream may be late.
func (c *Cluster) latest(ctx context.Context, stream, subject string) (nats.RawStreamMsg, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	m, err := c.leader.GetLastMsg(stream, subject, nats.Context(ctx))
	switch {
	case errors.Is(err, nats.ErrMsgNotFound):
		return nats.RawStreamMsg{}, nil
	case err != nil:
		return nats.RawStreamMsg{}, fmt.Errorf("cluster: %w", err)
	case len(m.Data) == 0: // it says that there is none any more
		return nats.RawStreamMsg{}, nil
	}
	return *m, nil
}

func (c *Cluster) loadProgress(ctx context.Context, id, claim string) (data []byte, stored time.Time, err error) {
	m, err := c.latest(ctx, "KV_"+progressBucket, "$KV."+progressBucket+"."+id)
	var p progress
	if err != nil || m.Data == nil || json.Unmarshal(m.Data, &p) != nil || p.Claim != claim {
		return nil, m.Time, err
	}
	return p.Data, m.Time, nil
}

// Events returns the events of a conversation, in batches.
func (c *Cluster) Events(ctx context.Context, id string) ([][]byte, error) {
	batches, _, err := c.loadEvents(ctx, id)
	return batches, err
}

// loadEvents returns the batches of events, and the sequence of the last.
func (c *Cluster) loadEvents(ctx context.Context, id string) (batches [][]byte, last uint64, err error) {
	m, err := c.latest(ctx, eventsStream, eventsSubject+id)
	last = m.Sequence
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

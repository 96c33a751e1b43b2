package gateway

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"echocast/audio"
	"echocast/echo"
	"echocast/internal/nextversion"
)

// An utterance is kept as a sequence of pieces. The first byte of each says its kind:
//
//	'B' and JSON, a keptHeader: how to speak it
//	'D' and bytes: audio, as the client sent it
//	'M' and JSON, a keptMark: a mark
//	'E' and text: the end; the text is empty, or says why the audio broke
//
// A piece of another kind is of a later version, and is skipped.
//
// The pieces hold the bytes of the client, not samples: the same bytes give the same samples
// on every node, and compressed audio stays small.
const (
	pieceBegin = 'B'
	pieceData  = 'D'
	pieceMark  = 'M'
	pieceEnd   = 'E'
	pieceLater = 'L' // of nextversion

	longestPiece = 64 << 10
)

// keptHeader says how kept audio is spoken.
type keptHeader struct {
	nextversion.Fields
	Kind     keptKind         `json:"kind"`
	Name     string           `json:"name,omitempty"`
	Text     string           `json:"text,omitempty"`
	Key      string           `json:"key,omitempty"`
	Queue    echo.QueuePolicy `json:"queue,omitempty"`
	Encoding string           `json:"encoding,omitempty"` // of samples without a header
	Rate     int              `json:"rate,omitempty"`
	Channels int              `json:"channels,omitempty"`
	// IsStream says that the audio arrives by a WebSocket, and may continue by another.
	IsStream bool `json:"stream,omitempty"`
	// IsWhole says that the utterance begins, and its client is answered, once all of it is here.
	IsWhole bool `json:"whole,omitempty"`
}

// keptMark is a mark.
type keptMark struct {
	Name    string  `json:"name"`
	Seconds float64 `json:"seconds"` // from the beginning of the utterance
	Number  int     `json:"number"`  // counts from 1
}

// keptKind says what an utterance is made of.
type keptKind string

const (
	keptAudio keptKind = "audio" // the pieces
	keptText  keptKind = "text"  // its text, in the replica's voice
	keptLive  keptKind = "live"  // speech of a bot: its connection ends with the node
)

// headerOf returns the header of audio.
func headerOf(a *Audio) keptHeader {
	h := keptHeader{Kind: keptAudio, Name: a.Name, Text: a.Text, Key: a.Key, Queue: a.Queue, IsStream: a.intake != nil,
		IsWhole: a.Whole != nil}
	if in := a.Prepare.Input; in != nil {
		h.Encoding, h.Rate, h.Channels = in.Encoding, in.Raw.Rate, in.Raw.Channels
	}
	return h
}

// audio returns the Audio that speaks kept audio.
func (h *keptHeader) audio(data io.Reader) *Audio {
	a := &Audio{Body: data, Abort: func() {}, Name: h.Name, Text: h.Text, Key: h.Key}
	a.Prepare.MaxDuration = DefaultMaxDuration
	if h.Encoding != "" {
		a.Prepare.Input = &audio.Options{Encoding: h.Encoding, Raw: audio.Format{Rate: h.Rate, Channels: h.Channels}}
	}
	return a
}

// keep stores a piece of an utterance, in a cluster.
func (u *Utterance) keep(kind byte, data []byte) error {
	own := u.conversation.own
	if own == nil {
		return nil
	}
	for {
		n := min(len(data), longestPiece)
		piece := append([]byte{kind}, data[:n]...)
		ctx := u.conversation.ctx // it ends before the conversation is handed over
		if err := own.AddAudio(ctx, u.ID, piece); err != nil && ctx.Err() != nil {
			return because(errMoved, err)
		} else if err != nil {
			return u.conversation.storeError(err)
		}
		if data = data[n:]; len(data) == 0 {
			return nil
		}
	}
}

// notStoredError says that the cluster does not store something, such as for lack of room. What is
// stored remains.
type notStoredError struct{ err error }

func (e *notStoredError) Error() string {
	return fmt.Sprintf("it cannot be stored: %v", e.err)
}

func (e *notStoredError) Unwrap() error { return e.err }

// storeError returns what the error of a store means for the client.
func (c *Conversation) storeError(err error) error {
	if c.own.MaySpeak() {
		return &notStoredError{err}
	}
	return because(errMoved, err)
}

// errNoStore says that the cluster does not answer.
var errNoStore = errors.New("nothing can be stored at the moment")

// storeFailure returns why the cluster can store nothing now, or nil.
func (g *Gateway) storeFailure() error {
	if g.options.Cluster == nil {
		return nil
	}
	err := g.options.Cluster.Failure()
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%w: %w", errNoStore, err)
	case err != nil:
		return &notStoredError{err}
	}
	return nil
}

// keepHeader stores how to speak an utterance.
func (u *Utterance) keepHeader() error {
	err := u.keep(pieceBegin, fmtJSON(u.header))
	if nextversion.IsOn && err == nil {
		err = u.keep(pieceLater, fmtJSON(nextversion.Fields{}))
	}
	return err
}

// keepEnd stores that its audio has ended. The cause says why it broke, if it did.
func (u *Utterance) keepEnd(cause error) error {
	text := ""
	if cause != nil && cause != io.EOF {
		text = cause.Error()
	}
	return u.keep(pieceEnd, []byte(text))
}

// keepAll stores an utterance with complete audio.
func (u *Utterance) keepAll(from io.ReadSeeker) error {
	piece := make([]byte, longestPiece)
	for {
		n, err := io.ReadFull(from, piece)
		if n > 0 {
			if err := u.keep(pieceData, piece[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if _, err := from.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return u.keepEnd(nil)
}

// keepingReader is a reader that stores the audio as it is read.
type keepingReader struct {
	io.Reader
	utterance *Utterance
	ended     bool
}

func (k *keepingReader) Read(p []byte) (int, error) {
	n, err := k.Reader.Read(p)
	if n > 0 {
		if err := k.utterance.keep(pieceData, p[:n]); err != nil {
			return 0, err
		}
	}
	if err != nil && !k.ended {
		k.ended = true
		if kept := k.utterance.keepEnd(err); kept != nil {
			return n, kept
		}
	}
	return n, err
}

// keptUtterance is an utterance that was read back.
type keptUtterance struct {
	keptHeader
	id       string
	data     bytes.Buffer
	marks    []keptMark
	hasEnded bool
	cut      string // why it broke
}

// errNoHeader says that pieces arrived after their utterance was removed.
var errNoHeader = errors.New("the pieces of an utterance have no header")

// parseKept reads the pieces of an utterance.
func parseKept(saved *SavedAudio) (*keptUtterance, error) {
	k := &keptUtterance{id: saved.Utterance}
	if len(saved.Pieces) > 0 && len(saved.Pieces[0]) > 0 && saved.Pieces[0][0] != pieceBegin {
		return nil, errNoHeader
	}
	for i, piece := range saved.Pieces {
		if len(piece) == 0 || (i == 0) != (piece[0] == pieceBegin) {
			return nil, fmt.Errorf("piece %d of utterance %s has the wrong format", i, saved.Utterance)
		}
		switch piece[0] {
		case pieceBegin:
			if err := json.Unmarshal(piece[1:], &k.keptHeader); err != nil {
				return nil, err
			}
		case pieceData:
			k.data.Write(piece[1:])
		case pieceMark:
			var m keptMark
			if err := json.Unmarshal(piece[1:], &m); err != nil {
				return nil, err
			}
			k.marks = append(k.marks, m)
		case pieceEnd:
			k.hasEnded, k.cut = true, string(piece[1:])
		}
	}
	return k, nil
}

// restoreAudio queues the utterances that were not over on the earlier node, in their order,
// and reports those that cannot continue.
func (c *Conversation) restoreAudio(saved *Saved) error {
	var before progress
	if saved.Progress != nil && json.Unmarshal(saved.Progress, &before) != nil {
		before = progress{} // what cannot be read is said again
	} else if saved.Progress != nil {
		old := before.since(saved.ProgressAge)
		before.At, before.Old = time.Now().Add(-old), old.Seconds()
		// If this node is lost before it has said anything, the next one continues there too.
		_ = c.own.SaveProgress(c.ctx, fmtJSON(before))
	}
	t := Takeover{From: c.own.Before()}
	mayHaveBegun := maxUnkept + 1
	for i := range saved.Audio {
		id := saved.Audio[i].Utterance
		if _, isOver := c.Utterance(id); isOver {
			_ = c.own.DropAudio(c.ctx, id) // its receipt is stored
			continue
		}
		kept, err := parseKept(&saved.Audio[i])
		if errors.Is(err, errNoHeader) || err == nil && kept.IsWhole && !kept.hasEnded {
			_ = c.own.DropAudio(c.ctx, id) // its client has no answer yet, and sends it again
			continue
		}
		if err != nil {
			return err
		}
		u := &Utterance{ID: id, name: kept.Name, text: kept.Text, key: kept.Key, header: kept.keptHeader}
		if before.Utterance == id {
			t.Utterance, t.AtSeconds = id, before.Heard
			t.RepeatedSeconds = max(before.Sent+before.Old-before.Heard, 0)
			u.before, u.takeovers = &before, before.Takeovers
		} else if mayHaveBegun > 0 {
			last := before
			if slices.ContainsFunc(saved.Audio[i:], func(a SavedAudio) bool { return a.Utterance == before.Utterance }) {
				last = progress{} // the next one had begun, so all of this one may have been heard
			}
			u.before = unknownProgress(id, &last, saved.Audio[i].Age)
			t.Utterance, t.RepeatedSeconds = cmp.Or(t.Utterance, id), max(t.RepeatedSeconds, u.before.Sent)
		}
		mayHaveBegun--
		u.marks = marksLeft(kept, saved.Events)
		c.requeue(u, kept)
	}
	if t.From != "" {
		c.history.add("takeover", t)
	}
	return nil
}

// unknownProgress returns an upper bound of the progress of an utterance, for which the earlier
// node stored none before it was lost: all of the time since the utterance was kept, or since that
// node last stored something, and until the replica stops.
func unknownProgress(id string, last *progress, age time.Duration) *progress {
	if !last.At.IsZero() {
		age = min(age, time.Since(last.At))
	}
	return &progress{Utterance: id, At: time.Now(), Sent: (age + tolerance).Seconds(), isUnknown: true}
}

// requeue queues an utterance of the earlier node.
func (c *Conversation) requeue(u *Utterance, kept *keptUtterance) {
	why := ""
	switch {
	case c.isLastResort:
		why = errLastResort.Error()
	case kept.Kind == keptLive:
		why = "the node that spoke it was lost, and with it the connection of the bot"
	case kept.Kind == keptAudio && !kept.hasEnded && !kept.IsStream:
		why = "the node that spoke it was lost before all of its audio had arrived"
	case kept.cut != "":
		why = kept.cut
	case kept.Kind == keptText && u.before != nil && !u.before.isUnknown:
		why = "the node was lost while the replica said it; text cannot be continued"
	}
	if kept.Kind == keptText && u.before != nil {
		t := Takeover{From: cmp.Or(c.own.Before(), "?"), Utterance: u.ID, RepeatedSeconds: u.before.Sent}
		u.takeovers = append(u.takeovers, t)
	}
	switch {
	case why != "":
		u.do = func(u *Utterance) (echo.Receipt, error) {
			err := &CutError{errors.New(why)}
			return u.unspoken(err), err
		}
	case kept.Kind == keptText:
		u.do = c.sayer(kept.Text)
	case !kept.hasEnded:
		a := kept.audio(nil)
		u.do = func(u *Utterance) (echo.Receipt, error) { return c.speak(u, a) }
		u.open(a, kept)
	default:
		a := kept.audio(&kept.data)
		u.do = func(u *Utterance) (echo.Receipt, error) { return c.speak(u, a) }
	}
	c.prepare(context.Background(), u)
	c.mu.Lock()
	c.add(u)
	if len(u.marks) > 0 {
		c.running.Go(u.watchMarks)
	}
	c.mu.Unlock()
	c.start(u)
}

// open lets the client of an utterance continue its audio.
func (u *Utterance) open(a *Audio, kept *keptUtterance) {
	in := &intake{utterance: u, pipe: newPipe(), bytes: int64(kept.data.Len()), perSecond: bytesPerSecond(a)}
	if n := len(kept.marks); n > 0 {
		in.marks = kept.marks[n-1].Number
	}
	in.pipe.put(kept.data.Bytes())
	a.Body, a.Abort = in.pipe, in.pipe.abort
	u.intake = in
	in.release(nil)
}

// marksLeft returns the marks of an utterance of which no event has told yet. Events tell of
// marks in their order.
func marksLeft(kept *keptUtterance, events [][]byte) (marks []Mark) {
	if len(kept.marks) == 0 {
		return nil
	}
	told := 0
	for _, e := range entriesOf(events) {
		var m Mark
		if e.Type == "mark" && json.Unmarshal(e.Data, &m) == nil && m.Utterance == kept.id {
			told++
		}
	}
	for _, m := range kept.marks[min(told, len(kept.marks)):] {
		marks = append(marks, Mark{Utterance: kept.id, Name: m.Name, Seconds: m.Seconds, By: echo.ByClock})
	}
	return marks
}

// skip continues where the earlier node was heard, at a silence if there is one, and publishes
// the receipt of the part before.
func (u *Utterance) skip(feed *echo.Feed) error {
	if u.before == nil {
		return nil
	}
	position := int64(u.before.Heard * echo.DefaultRate)
	discarded := make([]float32, 4096)
	for left := position; left > 0; {
		n, err := feed.ReadSamples(discarded[:min(left, int64(len(discarded)))])
		if err != nil {
			return err
		}
		left -= int64(n)
	}
	at, err := feed.Rewind(position)
	if err != nil {
		return err
	}
	skipped := time.Duration(float64(at) / echo.DefaultRate * float64(time.Second))
	c := u.conversation
	c.mu.Lock()
	u.skipped = skipped
	c.mu.Unlock()
	// What the earlier node sent had no end: the replica may wait for the rest of it.
	if err := c.session.Silence(u.ctx); err != nil {
		c.gateway.log.Warn("the replica could not be interrupted", "conversation", c.ID, "error", err)
	}
	receipt := u.unspoken(fmt.Errorf("the node that spoke it was lost; it continues from %.3f s", skipped.Seconds()))
	c.mu.Lock()
	u.parts++
	u.base, u.next = 0, skipped.Seconds()
	c.mu.Unlock()
	c.history.add("receipt", SpokenPart{Utterance: u.ID, Receipt: receipt, Takeover: u.addTakeover(skipped)})
	return nil
}

// addTakeover adds the takeover after which the utterance continues, and stores it before this
// node speaks: if this node is lost before it has stored how far it was, the receipt names both.
func (u *Utterance) addTakeover(skipped time.Duration) *Takeover {
	c, left := u.conversation, *u.before
	old := time.Since(left.At)
	t := &Takeover{From: cmp.Or(c.own.Before(), "?"), Utterance: u.ID, AtSeconds: skipped.Seconds()}
	t.RepeatedSeconds = max(left.Sent+old.Seconds()-skipped.Seconds(), 0)
	c.mu.Lock()
	u.takeovers = append(u.takeovers, *t)
	left.Takeovers, left.Old = slices.Clone(u.takeovers), old.Seconds()
	c.mu.Unlock()
	_ = c.own.SaveProgress(u.ctx, fmtJSON(left)) // a node that cannot store is about to lose the conversation
	return t
}

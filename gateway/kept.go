package gateway

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"echocast/audio"
	"echocast/echo"
)

// An utterance is kept as a sequence of pieces. The first byte of each says its kind:
//
//	'B' and JSON, a keptHeader: how it is to be spoken
//	'D' and bytes: audio, as the client sent it
//	'E' and text: the end; the text is empty, or says why the audio broke
//
// The pieces hold the bytes of the client, not samples: the same bytes give the same samples
// on every node, and compressed audio stays small.
const (
	pieceBegin = 'B'
	pieceData  = 'D'
	pieceEnd   = 'E'

	longestPiece = 64 << 10
)

// keptHeader says how kept audio is spoken.
type keptHeader struct {
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

// keptKind says what an utterance is made of.
type keptKind string

const (
	keptAudio keptKind = "audio" // the pieces
	keptText  keptKind = "text"  // its text, in the replica's voice
	keptLive  keptKind = "live"  // speech of a bot: its connection ends with the node
)

// headerOf returns the header of audio.
func headerOf(a *Audio) keptHeader {
	h := keptHeader{Kind: keptAudio, Name: a.Name, Text: a.Text, Key: a.Key, Queue: a.Queue, IsStream: a.IsKept,
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
		if err := own.AddAudio(u.conversation.ctx, u.ID, piece); err != nil {
			return errors.Join(errMoved, err)
		}
		if data = data[n:]; len(data) == 0 {
			return nil
		}
	}
}

// keepHeader stores how an utterance is to be spoken.
func (u *Utterance) keepHeader() error { return u.keep(pieceBegin, fmtJSON(u.header)) }

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

// keeping is a reader that stores the audio as it is read.
type keeping struct {
	io.Reader
	utterance *Utterance
	ended     bool
}

func (k *keeping) Read(p []byte) (int, error) {
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
	hasEnded bool
	cut      string // why it broke
}

// errNoHeader says that pieces arrived after their utterance was removed.
var errNoHeader = errors.New("the pieces of an utterance have no header")

// parseKept reads the pieces of an utterance.
func parseKept(saved *SavedAudio) (*keptUtterance, error) {
	k := &keptUtterance{id: saved.Utterance}
	if len(saved.Pieces) > 0 && bytes.IndexAny(saved.Pieces[0], string([]byte{pieceData, pieceEnd})) == 0 {
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
	if saved.Progress != nil {
		_ = json.Unmarshal(saved.Progress, &before) // what cannot be read is said again
		// If this node is lost before it has said anything, the next one continues there too.
		_ = c.own.SaveProgress(c.ctx, saved.Progress)
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
			_ = c.own.DropAudio(c.ctx, id) // nobody was told of it: its client sends it again
			continue
		}
		if err != nil {
			return err
		}
		u := &Utterance{ID: id, name: kept.Name, text: kept.Text, key: kept.Key, header: kept.keptHeader}
		if before.Utterance == id {
			t.Utterance, t.AtSeconds = id, before.Heard
			t.RepeatedSeconds = max(before.Sent-before.Heard, 0)
			u.before, u.takeovers = &before, before.Takeovers
		} else if mayHaveBegun > 0 {
			u.before = c.unknownProgress(id, &before)
			t.Utterance, t.RepeatedSeconds = cmp.Or(t.Utterance, id), max(t.RepeatedSeconds, u.before.Sent)
		}
		mayHaveBegun--
		c.requeue(u, kept)
	}
	if t.From != "" {
		c.history.add("takeover", t)
	}
	return nil
}

// unknownProgress returns an upper bound of the progress of an utterance, for which the
// earlier node stored none before it was lost: all of the time since it last stored something.
func (c *Conversation) unknownProgress(id string, last *progress) *progress {
	since := last.At
	if since.IsZero() {
		since = c.Created
	}
	now := time.Now()
	return &progress{Utterance: id, At: now, Sent: max(now.Sub(since).Seconds(), 0), isUnknown: true}
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
	c.mu.Unlock()
	c.start(u)
}

// continueTimeout is how long an utterance waits for its client after its node was lost.
const continueTimeout = 10 * time.Second

// openAudio is the audio of an utterance that waits for its client to connect again.
type openAudio struct {
	pipe  *pipe
	bytes int64
	timer *time.Timer // cuts off the utterance
}

// open lets the client of an utterance continue its audio, for continueTimeout.
func (u *Utterance) open(a *Audio, kept *keptUtterance) {
	o := &openAudio{pipe: newPipe(), bytes: int64(kept.data.Len())}
	_, _ = o.pipe.Write(kept.data.Bytes()) // the pipe is empty, and takes any length
	a.Body, a.Abort = o.pipe, o.pipe.abort
	o.timer = time.AfterFunc(continueTimeout, func() {
		if p, _ := u.claimOpen(); p != nil {
			why := &CutError{errNotContinued}
			_ = u.keepEnd(why) // if this fails, the next node waits again
			p.finish(why)
		}
	})
	u.isOpen = o
}

var errNotContinued = errors.New(
	"the node was lost before all of its audio had arrived, and the client did not continue")

// claimOpen returns the pipe of an utterance that takes more audio, once, and how many bytes
// it has received.
func (u *Utterance) claimOpen() (p *pipe, bytes int64) {
	u.conversation.mu.Lock()
	defer u.conversation.mu.Unlock()
	o := u.isOpen
	if o == nil {
		return nil, 0
	}
	u.isOpen = nil
	o.timer.Stop()
	return o.pipe, o.bytes
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
	t := &Takeover{From: cmp.Or(c.own.Before(), "?"), Utterance: u.ID, AtSeconds: skipped.Seconds()}
	t.RepeatedSeconds = max(u.before.Sent+time.Since(u.before.At).Seconds()-skipped.Seconds(), 0)
	c.mu.Lock()
	u.parts++
	u.base, u.next = 0, skipped.Seconds()
	u.takeovers = append(u.takeovers, *t)
	c.mu.Unlock()
	c.history.add("receipt", SpokenPart{Utterance: u.ID, Receipt: receipt, Takeover: t})
	return nil
}

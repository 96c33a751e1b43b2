package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"echocast/echo"
	"echocast/gateway/token"
	"echocast/room"
	"echocast/tavus"
)

// Cluster is what a gateway needs of the nodes with which it shares its conversations.
// Package cluster is one.
type Cluster interface {
	// Create holds a new conversation.
	Create(ctx context.Context, id string) (Ownership, error)
	// Owner is the address of the node that holds a conversation.
	Owner(id string) (address string, isHere, isKnown bool)
	// Peers are the addresses of the other nodes that hold conversations.
	Peers() []string
	// Place is the address of the node that is to take a new conversation.
	Place(ctx context.Context) (address string, isHere bool)
	// Record and Events return what was kept of a conversation; nil: there is none.
	Record(ctx context.Context, id string) ([]byte, error)
	Events(ctx context.Context, id string) ([][]byte, error)
	// Serve lets the gateway take conversations over.
	Serve(g *Gateway) error
}

// Ownership is a conversation that this node holds, until it is lost.
type Ownership interface {
	// MaySpeak reports whether this node still holds it. It is asked for each message.
	MaySpeak() bool
	// Lost is closed when it does not any more.
	Lost() <-chan struct{}
	// Before names the node that held it before; empty where it is new.
	Before() (node string)
	// Load returns what the nodes before have kept.
	Load(ctx context.Context) (*Saved, error)
	// SaveRecord, SaveProgress, Append and AddAudio keep what Load returns. When they
	// return without an error, every later owner sees it.
	SaveRecord(ctx context.Context, record []byte) error
	SaveProgress(ctx context.Context, data []byte) error
	Append(ctx context.Context, batch []byte) error
	AddAudio(ctx context.Context, utterance string, piece []byte) error
	DropAudio(ctx context.Context, utterance string) error
	// Give lets another node take it at once, and End ends it for all.
	Give(ctx context.Context)
	End(ctx context.Context) error
}

// Saved is what was kept of a conversation.
type Saved struct {
	Record   []byte
	Events   [][]byte // batches, in order
	Progress []byte   // of the node before; nil where there is none
	Audio    []SavedAudio
}

// SavedAudio is what was kept of an utterance, in pieces.
type SavedAudio struct {
	Utterance string
	Pieces    [][]byte
}

// errMoved is why a conversation has left this node.
var errMoved = errors.New("another node holds the conversation now: connect again")

// Takeover says that a node has taken a conversation over from another.
type Takeover struct {
	From string `json:"from"` // node
	// Utterance was being said. It continues at a place where less was surely heard, so
	// at most RepeatedSeconds of it are heard twice.
	Utterance       string  `json:"utterance,omitempty"`
	AtSeconds       float64 `json:"at_seconds"`
	RepeatedSeconds float64 `json:"repeated_seconds"`
}

// record is what a node needs to take a conversation over, beside its events and audio.
// It has no secrets: nodes have the keys of services in their own settings.
type record struct {
	Spec      Spec      `json:"spec"`
	By        Creator   `json:"by"`
	Created   time.Time `json:"created"`
	TokenHash []byte    `json:"token_sha256"`
	Tavus     string    `json:"tavus,omitempty"` // id of the conversation that costs money
	URL       string    `json:"url,omitempty"`   // of its room
	// HasSecret says that the address of the room or the bot had a secret, which is not
	// here: no other node can join it, or call the bot.
	HasSecret bool  `json:"has_secret,omitempty"`
	Ended     *Info `json:"ended,omitempty"`
}

// recordOf is the record of a conversation.
func (c *Conversation) recordOf() *record {
	r := &record{Spec: c.Spec, By: c.by, Created: c.Created, TokenHash: c.tokenHash[:]}
	r.Spec, r.HasSecret = c.Spec.withoutSecrets()
	if c.tavus != nil {
		r.Tavus, r.URL = c.tavus.ID, c.tavus.URL
	}
	return r
}

// saveRecord keeps the record.
func (c *Conversation) saveRecord(ctx context.Context, r *record) error {
	if c.own == nil {
		return nil
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return c.own.SaveRecord(ctx, text)
}

// take holds a conversation of a cluster, and keeps what others need to take it over.
func (c *Conversation) take() (err error) {
	g := c.gateway
	if g.options.Cluster == nil {
		return nil
	}
	if c.own == nil {
		if c.by.Key != "" {
			if old, err := g.options.Cluster.Record(c.ctx, c.ID); err != nil || old != nil {
				return errors.Join(err, invalid("Idempotency-Key", "it was used for a conversation that has ended"))
			}
		}
		if c.own, err = g.options.Cluster.Create(c.ctx, c.ID); err != nil {
			return err
		}
		c.running.Go(c.watchOwnership)
		err = c.saveRecord(c.ctx, c.recordOf())
	} else {
		c.running.Go(c.watchOwnership) // it may be lost while it is loaded
		err = c.restore()
	}
	c.keepingEvents.Go(func() {
		if c.history.run(c.keepEvents) != nil {
			c.move()
		}
	})
	c.running.Go(c.saveProgress)
	return err
}

// sharedName begins the name of a conversation of Tavus that a cluster has created; the
// id of ours follows.
const sharedName = "echocast-"

// isShared reports whether a conversation of Tavus belongs to one of the cluster that has
// not ended.
func (g *Gateway) isShared(name string) bool {
	id, ok := strings.CutPrefix(name, sharedName)
	if g.options.Cluster == nil || !ok {
		return false
	}
	id, _, _ = strings.Cut(id, "-")
	_, _, isKnown := g.options.Cluster.Owner(id)
	return isKnown
}

// attach is the conversation of Tavus that the node before has created; nil: none.
func (c *Conversation) attach() *tavus.Conversation {
	client := c.gateway.options.Client
	switch {
	case client == nil:
		return nil
	case c.tavus != nil:
		return tavus.Attach(client, *c.tavus)
	case c.isAdopted && c.Spec.PAL != "":
		// It was lost before it could tell which it has created, if any.
		if err := tavus.EndNamed(context.WithoutCancel(c.ctx), client, sharedName+c.ID); err != nil {
			c.gateway.log.Error("a conversation may be left open", "conversation", c.ID, "error", err)
		}
	}
	return nil
}

// checkOwnership notes that the conversation is lost, where watchOwnership has not yet.
func (c *Conversation) checkOwnership() {
	if c.own != nil && !c.own.MaySpeak() {
		c.move()
	}
}

// watchOwnership leaves the conversation to another node when it is lost.
func (c *Conversation) watchOwnership() {
	select {
	case <-c.own.Lost():
		c.move()
	case <-c.ctx.Done():
	}
}

// keepEvents keeps entries of the history.
func (c *Conversation) keepEvents(batch []Entry) error {
	return c.own.Append(context.WithoutCancel(c.ctx), fmtJSON(batch))
}

// drain lets the conversation end when what it says is over, or lets another node take
// it then.
func (c *Conversation) drain(handsOver bool) {
	c.mu.Lock()
	_, hasSecret := c.Spec.withoutSecrets()
	c.handsOver = handsOver && c.own != nil && !hasSecret
	c.mu.Unlock()
	c.signal(Drain, ErrDraining)
}

// endDraining ends the conversation, or lets another node go on, in mid-utterance.
func (c *Conversation) endDraining() {
	c.mu.Lock()
	handsOver := c.handsOver
	c.mu.Unlock()
	if handsOver {
		c.own.Give(context.WithoutCancel(c.ctx)) // it is lost then
		return
	}
	c.signal(End, ErrDraining)
}

// finishDraining ends the conversation when what it said is over, or hands it over.
func (c *Conversation) finishDraining() {
	c.mu.Lock()
	cause := ErrDraining
	if c.handsOver {
		c.hasMoved, cause = true, errMoved
	}
	c.mu.Unlock()
	c.cancel(cause)
}

// isMoving reports whether another node holds the conversation, or is to hold it.
func (c *Conversation) isMoving() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hasMoved
}

// handOver leaves the room and lets another node take the conversation.
func (c *Conversation) handOver(p *joinedRoom) {
	p.leaveRoom()
	if p.tavus != nil {
		_ = p.tavus.Disown() // what is left of the entry is known as the cluster's
	}
	c.history.close()
	c.keepingEvents.Wait()
	c.own.Give(context.WithoutCancel(c.ctx))
}

// endOwnership ends the conversation for all nodes, once its last events are kept.
func (c *Conversation) endOwnership() {
	if c.own == nil {
		c.history.abandon()
		return
	}
	c.keepingEvents.Wait()
	ctx := context.WithoutCancel(c.ctx)
	r, info := c.recordOf(), c.Info()
	r.Ended = &info
	err := c.saveRecord(ctx, r)
	if err = errors.Join(err, c.own.End(ctx)); err != nil {
		c.gateway.log.Error("the end of a conversation was not kept", "conversation", c.ID, "error", err)
	}
}

// rejoin joins the room again, as long as this node holds the conversation.
func (c *Conversation) rejoin(r *room.Room) func(context.Context) (echo.Stage, error) {
	if c.own == nil {
		return r.Rejoin
	}
	return func(ctx context.Context) (echo.Stage, error) {
		if !c.own.MaySpeak() {
			return nil, errMoved
		}
		return r.Rejoin(ctx)
	}
}

// move leaves the conversation to another node: nothing is ended, nothing more is told.
func (c *Conversation) move() {
	c.mu.Lock()
	c.hasMoved = true
	c.mu.Unlock()
	c.history.abandon()
	c.signal(Lose, errMoved)
	c.cancel(errMoved)
}

// maySend is echo.Options.MaySend.
func (c *Conversation) maySend() func() bool {
	if c.own == nil {
		return nil
	}
	return c.own.MaySpeak
}

// progress is how far an utterance is.
type progress struct {
	Utterance string    `json:"utterance"`
	At        time.Time `json:"at"`
	// Heard were surely played, and Sent were sent, in seconds from the beginning of the
	// utterance.
	Heard float64 `json:"heard_seconds"`
	Sent  float64 `json:"sent_seconds"`

	isUnknown bool // it was not kept: Sent is the most that is possible
}

// progressInterval is how often progress is kept.
const progressInterval = 250 * time.Millisecond

// saveProgress keeps how far the current utterance is, as long as there is one.
func (c *Conversation) saveProgress() {
	ticker := time.NewTicker(progressInterval)
	defer ticker.Stop()
	var last progress
	for {
		select {
		case <-ticker.C:
		case <-c.ctx.Done():
			return
		}
		now, ok := c.progress()
		if !ok || now.Utterance == last.Utterance && now.Heard == last.Heard && now.Sent == last.Sent {
			continue
		}
		if c.own.SaveProgress(c.ctx, fmtJSON(now)) == nil {
			last = now
		}
	}
}

// progress is how far the current utterance is.
func (c *Conversation) progress() (p progress, ok bool) {
	c.mu.Lock()
	session := c.session
	c.mu.Unlock()
	if session == nil {
		return p, false
	}
	at := session.Progress() // before the lock: it may take the session's
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 || at.State == echo.Idle || at.State == echo.Queued {
		return p, false
	}
	u := c.queue[0]
	begin := u.skipped.Seconds() + at.Begin.Seconds()
	return progress{
		Utterance: u.ID, At: time.Now(), Heard: begin + at.Played.Seconds(), Sent: begin + at.Sent.Seconds(),
	}, true
}

// Load says how many conversations this node can take, and how late its chunks leave.
func (g *Gateway) Load() (free int, late time.Duration, ok bool) {
	late = g.late.p99(time.Now())
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.options.MaxConversations - len(g.all), late, g.refusal() == nil
}

// Adopt takes a conversation over from a node that is gone. With isLastResort it is only
// to be ended.
func (g *Gateway) Adopt(id string, own Ownership, isLastResort bool) {
	c := newConversation(g, Spec{})
	c.ID, c.own, c.Token, c.isAdopted, c.isLastResort = id, own, "", true, isLastResort
	c.trace(context.Background())
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all[id] = c
	g.running.Go(c.run)
}

// errLastResort is why a conversation is ended that nobody can go on with.
var errLastResort = errors.New("its node was lost, and no other could go on")

// How long a node may take to load a conversation, and how long it waits before it gives
// up one that it cannot load.
const (
	loadTimeout = 10 * time.Second
	loadPause   = time.Second
)

// restore makes the conversation what it was on the node before.
func (c *Conversation) restore() error {
	saved, err := c.load()
	if err != nil {
		select { // somebody tries again
		case <-time.After(loadPause):
		case <-c.ctx.Done():
		}
		c.move()
		return err
	}
	var r record
	if err := json.Unmarshal(saved.Record, &r); err != nil {
		return errors.Join(errLastResort, err)
	}
	c.mu.Lock()
	c.Spec, c.by, c.Created, c.kind = r.Spec, r.By, r.Created, kindOf(&r.Spec)
	copy(c.tokenHash[:], r.TokenHash)
	c.meters = c.gateway.metrics.of(c.kind)
	c.mu.Unlock()
	events := entriesOf(saved.Events)
	c.history.restore(events)
	c.restoreUtterances(events)
	if r.Tavus != "" {
		c.tavus = &tavus.Info{ID: r.Tavus, URL: r.URL}
	}
	if err := c.restoreAudio(saved); err != nil {
		return err
	}
	if c.isLastResort || r.HasSecret {
		return errLastResort
	}
	return nil
}

func (c *Conversation) load() (*Saved, error) {
	ctx, cancel := context.WithTimeout(c.ctx, loadTimeout)
	defer cancel()
	return c.own.Load(ctx)
}

// revive makes a conversation that has ended on another node of what was kept.
func (g *Gateway) revive(ctx context.Context, id string) (*Conversation, error) {
	if g.options.Cluster == nil {
		return nil, ErrNotFound
	}
	text, err := g.options.Cluster.Record(ctx, id)
	if err != nil {
		return nil, err
	}
	var r record
	if text == nil || json.Unmarshal(text, &r) != nil {
		return nil, ErrNotFound
	}
	if r.Ended == nil {
		return nil, errNoOwner // or none of which this node knows yet
	}
	batches, err := g.options.Cluster.Events(ctx, id)
	if err != nil {
		return nil, err
	}
	c := newConversation(g, r.Spec)
	c.ID, c.by, c.Created, c.Token, c.state = id, r.By, r.Created, "", Ended
	copy(c.tokenHash[:], r.TokenHash)
	if r.Ended.Error != "" {
		c.err = errors.New(r.Ended.Error)
	}
	close(c.begun)
	close(c.over)
	c.cancel(ErrEnded)
	events := entriesOf(batches)
	c.history.restore(events)
	c.history.abandon() // nothing follows
	c.restoreUtterances(events)
	return c, nil
}

// entriesOf are the entries of batches.
func entriesOf(batches [][]byte) (all []Entry) {
	for _, batch := range batches {
		var some []Entry
		_ = json.Unmarshal(batch, &some) // of a later version, perhaps
		all = append(all, some...)
	}
	return all
}

// restoreUtterances makes utterances that are over of what has happened.
func (c *Conversation) restoreUtterances(events []Entry) {
	known := map[string]*Utterance{}
	for _, e := range events {
		switch e.Type {
		case "receipt":
			var part SpokenPart
			if json.Unmarshal(e.Data, &part) != nil {
				continue
			}
			u := known[part.Utterance]
			if u == nil {
				u = &Utterance{ID: part.Utterance, conversation: c, over: make(chan struct{})}
				known[part.Utterance] = u
			}
			u.receipt, u.name = part.Receipt, part.Receipt.Source
		case "utterance":
			var info UtteranceInfo
			if json.Unmarshal(e.Data, &info) == nil && info.Phase == Over && known[info.ID] != nil {
				c.restoreOver(known[info.ID], &info)
			}
		}
	}
}

// restoreOver adds an utterance that is over.
func (c *Conversation) restoreOver(u *Utterance, info *UtteranceInfo) {
	u.phase, u.name, u.key, u.takeovers = Over, info.Name, info.Key, info.Takeovers
	if u.receipt.Error != "" {
		u.err = errors.New(u.receipt.Error)
	}
	close(u.over)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.utterances = append(c.utterances, u)
	c.counts.Utterances++
	switch u.receipt.Outcome {
	case echo.Interrupted:
		c.counts.Interrupted++
	case echo.Failed, echo.Unverified:
		c.counts.Failed++
	}
}

// hasToken reports whether a token is that of the conversation.
func (c *Conversation) hasToken(secret string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return token.Equal(token.Hash(secret), c.tokenHash)
}

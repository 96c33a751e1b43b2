package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"time"

	"echocast/echo"
	"echocast/gateway/token"
	"echocast/room"
	"echocast/tavus"
)

// Cluster is what a gateway needs from the nodes with which it shares its conversations.
// Package cluster implements it.
type Cluster interface {
	// Create acquires a new conversation for this node.
	Create(ctx context.Context, id string) (Ownership, error)
	// Owner returns the address of the node that holds a conversation.
	Owner(id string) (address string, isHere, isKnown bool)
	// Peers returns the addresses of the other nodes that hold conversations.
	Peers() []string
	// Place returns the address of the node that should take a new conversation.
	Place(ctx context.Context) (address string, isHere bool)
	// Record and Events return what was kept of a conversation, or nil if nothing was.
	Record(ctx context.Context, id string) ([]byte, error)
	Events(ctx context.Context, id string) ([][]byte, error)
	// Serve lets the gateway take over conversations.
	Serve(g *Gateway) error
}

// Ownership is a conversation that this node holds until it loses it.
type Ownership interface {
	// MaySpeak reports whether this node still holds it. The gateway asks before each message.
	MaySpeak() bool
	// Lost is closed when this node no longer holds it.
	Lost() <-chan struct{}
	// Before returns the node that held it before, or "" if the conversation is new.
	Before() (node string)
	// Load returns what the earlier nodes have kept.
	Load(ctx context.Context) (*Saved, error)
	// SaveRecord, SaveProgress, Append and AddAudio store what Load returns. After they return
	// without an error, every later owner sees it.
	SaveRecord(ctx context.Context, record []byte) error
	SaveProgress(ctx context.Context, data []byte) error
	Append(ctx context.Context, batch []byte) error
	AddAudio(ctx context.Context, utterance string, piece []byte) error
	DropAudio(ctx context.Context, utterance string) error
	// Give releases it, so that another node can take it at once. End ends it for all nodes.
	Give(ctx context.Context)
	End(ctx context.Context) error
}

// Saved is what was kept of a conversation.
type Saved struct {
	Record   []byte
	Events   [][]byte // batches, in order
	Progress []byte   // of the earlier node; nil: none was kept
	Audio    []SavedAudio
}

// SavedAudio is what was kept of an utterance, in pieces.
type SavedAudio struct {
	Utterance string
	Pieces    [][]byte
}

// errMoved is the error of a conversation that another node holds now.
var errMoved = errors.New("another node holds the conversation now: connect again")

// Takeover reports that a node has taken over a conversation from another.
type Takeover struct {
	From string `json:"from"` // node
	// Utterance is the utterance that was being said. It continues from a position that was
	// surely heard or before it, so at most RepeatedSeconds of it are heard twice.
	Utterance       string  `json:"utterance,omitempty"`
	AtSeconds       float64 `json:"at_seconds"`
	RepeatedSeconds float64 `json:"repeated_seconds"`
}

// record is what a node needs to take over a conversation, besides its events and audio. It
// holds no secrets: nodes have the keys of the services in their own settings.
type record struct {
	Spec      Spec      `json:"spec"`
	By        Creator   `json:"by"`
	Created   time.Time `json:"created"`
	TokenHash []byte    `json:"token_sha256"`
	Tavus     string    `json:"tavus,omitempty"` // id of the conversation that costs money
	URL       string    `json:"url,omitempty"`   // of its room
	// Bot is the bot that was called since, in place of that of Spec; without a URL: none.
	Bot *Bot `json:"bot,omitempty"`
	// HasSecret says that the address of the room or of the bot had a secret, which is not
	// kept: no other node can join the room, or call the bot.
	HasSecret bool  `json:"has_secret,omitempty"`
	Ended     *Info `json:"ended,omitempty"`
}

// recordOf returns the record of a conversation.
func (c *Conversation) recordOf() *record {
	r := &record{Spec: c.Spec, By: c.by, Created: c.Created, TokenHash: c.tokenHash[:]}
	r.Spec, _ = c.Spec.withoutSecrets()
	now, hasSecret := c.specNow().withoutSecrets()
	if r.HasSecret = hasSecret; !reflect.DeepEqual(now.Bot, r.Spec.Bot) {
		r.Bot = cmp.Or(now.Bot, &Bot{})
	}
	if c.tavus != nil {
		r.Tavus, r.URL = c.tavus.ID, c.tavus.URL
	}
	return r
}

// specNow returns the Spec with the bot that is called now.
func (c *Conversation) specNow() Spec {
	c.mu.Lock()
	defer c.mu.Unlock()
	spec := c.Spec
	spec.Bot = c.wanted
	return spec
}

// bot returns the bot that the next node calls, or nil.
func (r *record) bot() *Bot {
	switch {
	case r.Bot == nil:
		return r.Spec.Bot
	case r.Bot.URL == "":
		return nil
	}
	return r.Bot
}

// saveRecord stores the record.
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

// take registers a conversation of a cluster on this node, and stores what others need to take
// it over.
func (c *Conversation) take() (err error) {
	g := c.gateway
	if g.options.Cluster == nil {
		return nil
	}
	if c.own == nil {
		if c.by.Key != "" {
			if old, err := g.options.Cluster.Record(c.ctx, c.ID); err != nil || old != nil {
				return errors.Join(err, invalid("Idempotency-Key", "this key was used for a conversation that has ended"))
			}
		}
		if c.own, err = g.options.Cluster.Create(c.ctx, c.ID); err != nil {
			return err
		}
		c.running.Go(c.watchOwnership)
		err = c.saveRecord(c.ctx, c.recordOf())
	} else {
		c.running.Go(c.watchOwnership) // this node may lose it while it loads it
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

// sharedName is the prefix of the name of a Tavus conversation that a cluster has created. The
// id of our conversation follows.
const sharedName = "echocast-"

// isShared reports whether a Tavus conversation belongs to a conversation of the cluster that
// has not ended.
func (g *Gateway) isShared(name string) bool {
	id, ok := strings.CutPrefix(name, sharedName)
	id, _, _ = strings.Cut(id, "-")
	return ok && g.isInCluster(id)
}

// isInCluster reports whether the cluster has a conversation that has not ended.
func (g *Gateway) isInCluster(id string) bool {
	if g.options.Cluster == nil {
		return false
	}
	_, _, isKnown := g.options.Cluster.Owner(id)
	return isKnown
}

// attach returns the Tavus conversation that the earlier node created, or nil if there is
// none.
func (c *Conversation) attach() *tavus.Conversation {
	client := c.gateway.options.Client
	switch {
	case client == nil:
		return nil
	case c.tavus != nil:
		return tavus.Attach(client, *c.tavus)
	case c.isAdopted && c.Spec.PAL != "":
		// The earlier node was lost before it could store which one it created, if any.
		if err := tavus.EndNamed(context.WithoutCancel(c.ctx), client, sharedName+c.ID); err != nil {
			c.gateway.log.Error("a conversation may be left open", "conversation", c.ID, "error", err)
		}
	}
	return nil
}

// checkOwnership records that the conversation was lost, if watchOwnership has not done so
// yet.
func (c *Conversation) checkOwnership() {
	if c.own != nil && !c.own.MaySpeak() {
		c.move()
	}
}

// watchOwnership moves the conversation to another node when it is lost.
func (c *Conversation) watchOwnership() {
	select {
	case <-c.own.Lost():
		c.move()
	case <-c.ctx.Done():
	}
}

// keepEvents stores entries of the history.
func (c *Conversation) keepEvents(batch []Entry) error {
	return c.own.Append(context.WithoutCancel(c.ctx), fmtJSON(batch))
}

// drain ends the conversation when its current utterance is over, or then lets another node
// take it over.
func (c *Conversation) drain(handsOver bool) {
	_, hasSecret := c.specNow().withoutSecrets()
	c.mu.Lock()
	c.handsOver = handsOver && c.own != nil && !hasSecret
	c.mu.Unlock()
	c.signal(Drain, ErrDraining)
}

// endDraining ends the conversation in mid-utterance, or lets another node continue it.
func (c *Conversation) endDraining() {
	c.mu.Lock()
	handsOver := c.handsOver
	c.mu.Unlock()
	if handsOver {
		c.own.Give(context.WithoutCancel(c.ctx)) // this loses the ownership
		return
	}
	c.signal(End, ErrDraining)
}

// finishDraining ends the conversation, or hands it over, once its current utterance is over.
func (c *Conversation) finishDraining() {
	c.mu.Lock()
	cause := ErrDraining
	if c.handsOver {
		c.hasMoved, cause = true, errMoved
	}
	c.mu.Unlock()
	c.cancel(cause)
}

// isMoving reports whether another node holds the conversation or is about to.
func (c *Conversation) isMoving() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hasMoved
}

// handOver leaves the room and lets another node take the conversation.
func (c *Conversation) handOver(p *joinedRoom) {
	p.leaveRoom()
	if p.tavus != nil {
		_ = p.tavus.Disown() // the cluster knows the conversation, so the entry of this machine is not needed
	}
	c.history.close()
	c.keepingEvents.Wait()
	c.own.Give(context.WithoutCancel(c.ctx))
}

// endOwnership ends the conversation for all nodes, once its last events are stored.
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
		c.gateway.log.Error("the end of a conversation could not be stored", "conversation", c.ID, "error", err)
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

// move leaves the conversation to another node: it ends nothing and sends no more events.
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

// progress says how far an utterance is.
type progress struct {
	Utterance string    `json:"utterance"`
	At        time.Time `json:"at"`
	// Heard were surely played, and Sent were sent, both in seconds from the beginning of the
	// utterance.
	Heard float64 `json:"heard_seconds"`
	Sent  float64 `json:"sent_seconds"`
	// Takeovers are those of the utterance so far: the receipt names all of them.
	Takeovers []Takeover `json:"takeovers,omitempty"`

	isUnknown bool // it was not stored: Sent is an upper bound
}

// progressInterval is how often the progress is stored.
const progressInterval = 250 * time.Millisecond

// saveProgress stores the progress of the current utterance, as long as there is one.
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

// progress returns how far the current utterance is.
func (c *Conversation) progress() (p progress, ok bool) {
	c.mu.Lock()
	session, u := c.session, c.current()
	c.mu.Unlock()
	if session == nil || u == nil {
		return p, false
	}
	at := session.Progress() // not under this lock: Progress may take the session's lock
	return c.progressOf(u, &at)
}

// current returns the utterance whose turn it is, or nil. The conversation is locked.
func (c *Conversation) current() *Utterance {
	if len(c.queue) == 0 {
		return nil
	}
	return c.queue[0]
}

// progressOf returns how far an utterance is, if its turn has lasted until now: otherwise at
// may describe another one.
func (c *Conversation) progressOf(u *Utterance, at *echo.Progress) (p progress, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if u != c.current() || at.State == echo.Idle || at.State == echo.Queued {
		return p, false
	}
	return u.progress(at), true
}

// progress returns how far the utterance is. The conversation is locked.
func (u *Utterance) progress(at *echo.Progress) progress {
	begin := u.skipped.Seconds() + at.Begin.Seconds()
	return progress{
		Utterance: u.ID, At: time.Now(), Heard: begin + at.Played.Seconds(), Sent: begin + at.Sent.Seconds(),
		Takeovers: slices.Clone(u.takeovers),
	}
}

// Load returns how many conversations this node can take, and how late its chunks leave.
func (g *Gateway) Load() (free int, late time.Duration, ok bool) {
	late = g.late.p99(time.Now())
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.options.MaxConversations - len(g.all), late, g.refusal() == nil
}

// Adopt takes over a conversation from a node that was lost. If isLastResort is set, it only
// ends it.
func (g *Gateway) Adopt(id string, own Ownership, isLastResort bool) {
	c := newConversation(g, Spec{})
	c.ID, c.own, c.Token, c.isAdopted, c.isLastResort = id, own, "", true, isLastResort
	c.trace(context.Background())
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all[id] = c
	g.running.Go(c.run)
}

// errLastResort is the error of a conversation that was ended because no node could take it
// over.
var errLastResort = errors.New("its node was lost, and no other node could take it over")

// How long a node may take to load a conversation, and how long it waits before it releases
// one that it cannot load.
const (
	loadTimeout = 10 * time.Second
	loadPause   = time.Second
)

// restore gives the conversation the state that it had on the earlier node.
func (c *Conversation) restore() error {
	saved, err := c.load()
	if err != nil {
		c.gateway.log.Warn("a conversation was not loaded", "conversation", c.ID, "error", err)
		select { // another node tries again
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
	c.wanted = r.bot()
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

// revive rebuilds a conversation that has ended on another node from what was kept.
func (g *Gateway) revive(ctx context.Context, id string) (*Conversation, error) {
	if g.options.Cluster == nil {
		return nil, ErrNotFound
	}
	text, err := g.options.Cluster.Record(ctx, id)
	if err != nil {
		return nil, errors.Join(errNoOwner, err)
	}
	var r record
	if text == nil || json.Unmarshal(text, &r) != nil {
		return nil, ErrNotFound
	}
	if r.Ended == nil {
		return nil, errNoOwner // or this node does not know its owner yet
	}
	batches, err := g.options.Cluster.Events(ctx, id)
	if err != nil {
		return nil, errors.Join(errNoOwner, err)
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

// entriesOf returns the entries in batches.
func entriesOf(batches [][]byte) (all []Entry) {
	for _, batch := range batches {
		var some []Entry
		_ = json.Unmarshal(batch, &some) // an error means that a later version wrote it
		all = append(all, some...)
	}
	return all
}

// restoreUtterances rebuilds the utterances that are over from the events.
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

// hasToken reports whether a token belongs to the conversation.
func (c *Conversation) hasToken(secret string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return token.Equal(token.Hash(secret), c.tokenHash)
}

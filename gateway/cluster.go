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
	"echocast/internal/nextversion"
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
	// Failure returns why nothing can be stored now, or nil.
	Failure() error
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

	ProgressAge time.Duration // how long ago Progress was kept, not by the clock of a node
}

// SavedAudio is what was kept of an utterance, in pieces.
type SavedAudio struct {
	Utterance string
	Pieces    [][]byte
	Age       time.Duration // how long ago the first piece was kept, not by the clock of a node
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
	nextversion.Fields
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
	IsPaused  bool  `json:"paused,omitempty"`
	Ended     *Info `json:"ended,omitempty"`
}

// recordOf returns the record of a conversation.
func (c *Conversation) recordOf() *record {
	r := &record{Spec: c.Spec, By: c.by, Created: c.Created, TokenHash: c.tokenHash[:]}
	r.IsPaused = c.isPaused()
	r.Spec, _ = c.Spec.withoutSecrets()
	now, hasSecret := c.currentSpec().withoutSecrets()
	if r.HasSecret = hasSecret; !reflect.DeepEqual(now.Bot, r.Spec.Bot) {
		r.Bot = cmp.Or(now.Bot, &Bot{})
	}
	if c.tavus != nil {
		r.Tavus, r.URL = c.tavus.ID, c.tavus.URL
	}
	return r
}

// isPaused reports whether the conversation is paused, or begins so.
func (c *Conversation) isPaused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session == nil && c.beginsPaused || c.session != nil && c.session.Paused()
}

// currentSpec returns the Spec with the bot that is called now.
func (c *Conversation) currentSpec() Spec {
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

// saveRecord stores the record, with how the conversation has ended, if it has. Nothing is
// stored after that, and an earlier record never replaces a later one.
func (c *Conversation) saveRecord(ctx context.Context, ended *Info) error {
	if c.own == nil {
		return nil
	}
	c.recording.Lock()
	defer c.recording.Unlock()
	if c.isEndRecorded {
		return nil
	}
	r := c.recordOf()
	r.Ended, c.isEndRecorded = ended, ended != nil
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err = c.own.SaveRecord(ctx, text); err != nil {
		return c.storeError(err)
	}
	return nil
}

// take registers a conversation of a cluster on this node, and stores what others need to take
// it over.
func (c *Conversation) take() (err error) {
	g := c.gateway
	if g.options.Cluster == nil {
		return nil
	}
	if c.own == nil {
		if err := c.acquire(); err != nil {
			c.signal(Lose, err)
			c.move() // whoever has this id answers for it
			return err
		}
		c.running.Go(c.watchOwnership)
		err = c.saveRecord(c.ctx, nil)
	} else {
		c.running.Go(c.watchOwnership) // this node may lose it while it loads it
		err = c.restore()
	}
	if nextversion.IsOn && err == nil {
		c.history.add("later", nextversion.Fields{})
	}
	c.keepingEvents.Go(func() {
		if c.history.run(c.keepEvents) != nil {
			c.move()
		}
	})
	c.running.Go(c.saveProgress)
	if err == nil && c.isAdopted {
		err = c.awaitStored()
	}
	return err
}

// acquire acquires a new conversation for this node. Its id may be that of another: a client
// that repeats the request for it may reach two nodes.
func (c *Conversation) acquire() error {
	g := c.gateway
	if c.by.Key != "" {
		switch _, err := g.endedRecord(c.ctx, c.ID); {
		case err == nil:
			return invalid("Idempotency-Key", "this key was used for a conversation that has ended")
		case !errors.Is(err, ErrNotFound):
			return err
		}
	}
	own, err := g.options.Cluster.Create(c.ctx, c.ID)
	if err != nil {
		return because(errNotAcquired, g.storeFailure())
	}
	c.mu.Lock()
	c.own = own // drain may read it already
	c.mu.Unlock()
	return nil
}

// errNotAcquired says that this node does not hold a new conversation. Create says no more.
var errNotAcquired = errors.New("this node could not acquire the conversation: repeat the request")

// isAcquired reports whether this node holds or held the conversation.
func (c *Conversation) isAcquired() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.own != nil
}

// awaitStored waits until the takeover is stored. From then on nothing that the earlier node
// has sent to the store changes what this node has loaded; before, it says nothing.
func (c *Conversation) awaitStored() error {
	stored := make(chan bool, 1)
	c.history.addAll(func(isKept bool) { stored <- isKept })
	select {
	case isKept := <-stored:
		if !isKept {
			return errMoved
		}
		return nil
	case <-c.ctx.Done():
		return context.Cause(c.ctx)
	}
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
	}
	c.endStrays() // the earlier node was lost before it could store which one it created, if any
	return nil
}

// endStrays ends what earlier nodes may have created at Tavus for the conversation without
// storing it.
func (c *Conversation) endStrays() {
	client := c.gateway.options.Client
	if client == nil || !c.isAdopted || c.Spec.PAL == "" {
		return
	}
	if err := tavus.EndNamed(context.WithoutCancel(c.ctx), client, sharedName+c.ID); err != nil {
		c.gateway.log.Error("a conversation may be left open", "conversation", c.ID, "error", err)
	}
}

// leavePaid leaves the conversation of Tavus to the next node. If that may not know it, because
// it was lost before it was stored, leavePaid ends it.
func (c *Conversation) leavePaid(p *joinedRoom) {
	ctx := context.WithoutCancel(c.ctx)
	if p.isUnstored {
		text, err := c.gateway.options.Cluster.Record(ctx, c.ID)
		var r record
		if err != nil {
			return // the journal of this machine keeps it
		}
		if json.Unmarshal(text, &r) != nil || r.Tavus != p.tavus.ID {
			if err := p.tavus.Close(ctx); err != nil {
				c.gateway.log.Error("a conversation may be left open", "conversation", c.ID, "error", err)
			}
			return
		}
	}
	_ = p.tavus.Disown() // the cluster knows the conversation, so the entry of this machine is not needed
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
	_, hasSecret := c.currentSpec().withoutSecrets()
	c.mu.Lock()
	c.handsOver = handsOver && c.own != nil && !hasSecret
	isTakingOver := c.handsOver && c.isAdopted && c.state == Starting
	c.mu.Unlock()
	if isTakingOver { // the next node does the same
		c.move()
		return
	}
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
		c.leavePaid(p)
	}
	c.history.close()
	c.keepingEvents.Wait()
	if c.own != nil {
		c.own.Give(context.WithoutCancel(c.ctx))
	}
}

// endOwnership ends the conversation for all nodes, once its last events are stored.
func (c *Conversation) endOwnership() {
	if c.own == nil {
		c.history.abandon()
		return
	}
	c.keepingEvents.Wait()
	ctx := context.WithoutCancel(c.ctx)
	info := c.Info()
	err := c.saveRecord(ctx, &info)
	unended := c.own.End(ctx)
	if err = cmp.Or(err, unended); err != nil {
		c.gateway.log.Error("the end of a conversation could not be stored", "conversation", c.ID, "error", err)
	}
	c.mu.Lock()
	c.unended = unended
	c.mu.Unlock()
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
	nextversion.Fields
	Utterance string    `json:"utterance"`
	At        time.Time `json:"at"`
	// Heard were surely played, and Sent were sent, both in seconds from the beginning of the
	// utterance.
	Heard float64 `json:"heard_seconds"`
	Sent  float64 `json:"sent_seconds"`
	// Takeovers are those of the utterance so far: the receipt names all of them.
	Takeovers []Takeover `json:"takeovers,omitempty"`
	// Old is how many seconds after At it was kept, by a node that had not spoken yet.
	Old float64 `json:"old_seconds,omitempty"`

	isUnknown bool // it was not stored: Sent is an upper bound
}

// tolerance is how late a node may keep its progress, how long a replica may take to stop, and how
// much the clocks of two nodes may differ in ordinary times.
const tolerance = 500 * time.Millisecond

// since returns at least how long it is since At, of a progress that was kept some time ago. The
// clock of the node that wrote At may be wrong.
func (p *progress) since(age time.Duration) time.Duration {
	age += time.Duration(p.Old * float64(time.Second))
	if byClock := time.Since(p.At); (byClock - age).Abs() <= tolerance {
		return max(byClock, age)
	}
	return age + tolerance
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
// may describe another one. A session that is paused does not know how far it was.
func (c *Conversation) progressOf(u *Utterance, at *echo.Progress) (p progress, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if u != c.current() || at.State == echo.Idle || at.State == echo.Queued || at.State == echo.Paused {
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

// Load returns how many conversations this node can take, and how late its chunks leave. It does
// not say whether something can be stored: if nothing can, nobody takes a conversation, and when
// something can again, this node is to continue what it has lost, and not to end it.
func (g *Gateway) Load() (free int, late time.Duration, ok bool) {
	late = g.late.p99(time.Now())
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.options.MaxConversations - len(g.all), late, g.overload() == nil
}

// Adopt takes over a conversation from a node that was lost. If isLastResort is set, it only
// ends it. After Close it takes none, and reports false.
func (g *Gateway) Adopt(id string, own Ownership, isLastResort bool) (isTaken bool) {
	c := newConversation(g, Spec{})
	c.ID, c.own, c.Token, c.isAdopted, c.isLastResort = id, own, "", true, isLastResort
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.draining { // Close has its list already, and would not end this one
		return false
	}
	c.trace(context.Background())
	g.all[id] = c
	g.running.Go(c.run)
	return true
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
		return because(errLastResort, err)
	}
	c.setRecord(&r)
	events := entriesOf(saved.Events)
	c.history.restore(events)
	c.restoreUtterances(events)
	if r.Tavus != "" {
		c.tavus = &tavus.Info{ID: r.Tavus, URL: r.URL}
	}
	// The record is written again, so that none that the earlier node has sent replaces it.
	if err := c.own.SaveRecord(c.ctx, saved.Record); err != nil {
		c.move()
		return err
	}
	hasEnded, why := endOf(events)
	if hasEnded {
		c.history.close() // all is told
		return why
	}
	if r.Ended != nil && why == nil { // the events that told it were not stored
		why = whyEnded(r.Ended)
	}
	if err := c.restoreAudio(saved); err != nil {
		return err
	}
	if why != nil {
		return why
	}
	if c.isLastResort || r.HasSecret {
		return errLastResort
	}
	return nil
}

// setRecord sets what the record of the conversation says. The gateway lists the conversation
// already, so its lock is needed too.
func (c *Conversation) setRecord(r *record) {
	c.gateway.mu.Lock()
	defer c.gateway.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Spec, c.by, c.Created, c.kind = r.Spec, r.By, r.Created, kindOf(&r.Spec)
	c.wanted, c.beginsPaused = r.bot(), r.IsPaused
	copy(c.tokenHash[:], r.TokenHash)
	c.meters = c.gateway.metrics.of(c.kind)
}

// endOf reports whether a conversation has ended according to its events, and why it has ended
// or is about to: nil if neither. The node that ended it was lost before all nodes knew.
func endOf(events []Entry) (hasEnded bool, why error) {
	for _, e := range slices.Backward(events) {
		var info Info
		if e.Type != "state" || json.Unmarshal(e.Data, &info) != nil {
			continue
		}
		if info.State != Ending && info.State != Ended {
			return false, nil
		}
		return info.State == Ended, whyEnded(&info)
	}
	return false, nil
}

// whyEnded returns why a conversation has ended.
func whyEnded(i *Info) error {
	if i.Error != "" {
		return errors.New(i.Error)
	}
	return ErrEnded
}

func (c *Conversation) load() (*Saved, error) {
	ctx, cancel := context.WithTimeout(c.ctx, loadTimeout)
	defer cancel()
	return c.own.Load(ctx)
}

// endedRecord returns the record of a conversation that has ended. The error is ErrNotFound if
// there is no conversation with that id, and errNoOwner if it has not ended.
func (g *Gateway) endedRecord(ctx context.Context, id string) (r record, err error) {
	text, err := g.options.Cluster.Record(ctx, id)
	if err == nil && text == nil {
		return r, ErrNotFound
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil || r.Ended == nil { // or this node does not know its owner yet
		return r, because(errNoOwner, err)
	}
	return r, nil
}

// revive rebuilds a conversation that has ended on another node from what was kept.
func (g *Gateway) revive(ctx context.Context, id string) (*Conversation, error) {
	if g.options.Cluster == nil {
		return nil, ErrNotFound
	}
	r, err := g.endedRecord(ctx, id)
	if err != nil {
		return nil, err
	}
	batches, err := g.options.Cluster.Events(ctx, id)
	if err != nil {
		return nil, because(errNoOwner, err)
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

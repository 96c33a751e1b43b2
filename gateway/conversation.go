package gateway

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"echocast/echo"
	"echocast/gateway/token"
	"echocast/openai"
	"echocast/replica"
	"echocast/room"
	"echocast/room/rest"
	"echocast/tavus"
)

// Conversation is one room with one replica, and the utterances for it. Its methods may be
// called from any goroutine.
type Conversation struct {
	ID      string
	Created time.Time
	Spec    Spec
	Token   string // allows its holder to speak and listen in this conversation

	gateway *Gateway
	by      Creator
	kind    string // of the room
	meters  meters
	wasOpen atomic.Bool // its room was joined

	own           Ownership // nil without a cluster
	keepingEvents sync.WaitGroup
	tokenHash     [sha256.Size]byte
	tavus         *tavus.Info // the paid conversation; nil until it is created
	isAdopted     bool        // it was taken over
	isLastResort  bool        // it was taken over only to be ended

	history *history
	span    Span
	hearer  *hearer         // nil if the room is not heard
	standIn *standIn        // nil if the replica is in another process
	ctx     context.Context //nolint:containedctx // of the conversation
	cancel  context.CancelCauseFunc
	begun   chan struct{}  // closed when the room was joined, or could not be
	over    chan struct{}  // closed when everything has ended
	running sync.WaitGroup // utterances

	recording     sync.Mutex // held while the record is made and stored
	isEndRecorded bool

	mu        sync.Mutex
	state     State
	hasMoved  bool          // another node holds it
	unended   error         // why another node may continue it although it has ended here
	handsOver bool          // another node is to take it when the utterance is over
	err       error         // why it has ended, or could not begin
	session   *echo.Session // nil until the room is joined
	bot       *BotInfo      // state of the last call of a bot; nil: there was none
	call      *botCall      // nil while none is called
	// beginsPaused says that the conversation was paused on the earlier node.
	beginsPaused bool
	wanted       *Bot          // that is called when the room was joined, and on each next node
	openAI       *openai.Proxy // nil until it is needed
	isClosing    bool          // no proxy may be made any more
	queue        []*Utterance  // the current one, and those that wait
	unkept       int           // utterances that have ended, but whose end is not stored yet
	utterances   []*Utterance  // the last ones, in order
	// arriving are keys of utterances that are not in the queue yet. Each is closed when its
	// utterance is, or is refused.
	arriving map[string]chan struct{}
	counts   Counts
	lastText string
}

// Counts counts what has happened in a conversation.
type Counts struct {
	Utterances  int `json:"utterances"`
	Interrupted int `json:"interrupted"`
	Failed      int `json:"failed"`
	Underruns   int `json:"underruns"`
}

// Info describes a conversation and its state.
type Info struct {
	ID      string    `json:"id"`
	State   State     `json:"state"`
	Kind    string    `json:"kind"` // of the room: rehearsal, peer, daily, livekit or rest
	Label   string    `json:"label,omitempty"`
	Created time.Time `json:"created"`
	Error   string    `json:"error,omitempty"` // why it has ended, if it was not asked to

	Replica     echo.State `json:"replica,omitempty"` // idle, queued, sending, draining, speaking or paused
	LeadSeconds float64    `json:"lead_seconds"`      // how far the replica is ahead, estimated
	Waiting     int        `json:"waiting"`           // utterances that wait for their turn
	Counts
	LastText string   `json:"last_text,omitempty"` // what was said last, if that is known
	Bot      *BotInfo `json:"bot,omitempty"`       // the call of the bot, if there is one

	Token  string `json:"token,omitempty"` // in the answer to its creation only
	Events string `json:"events"`          // addresses, as paths
	Speech string `json:"speech"`
}

func newConversation(g *Gateway, spec Spec) *Conversation {
	c := &Conversation{
		ID: newID(), Created: time.Now(), Spec: spec, Token: newSecret(), gateway: g,
		history: newHistory(g.options.Cluster != nil), begun: make(chan struct{}), over: make(chan struct{}),
		state: Starting, kind: kindOf(&spec), wanted: spec.Bot, arriving: map[string]chan struct{}{},
	}
	c.tokenHash = token.Hash(c.Token)
	c.meters = g.metrics.of(c.kind)
	c.span = noSpan{}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	return c
}

// trace starts the span of a conversation that has not begun. Its parent is the span of ctx.
func (c *Conversation) trace(ctx context.Context) {
	ctx, c.span = c.gateway.options.Tracer.Start(context.WithoutCancel(ctx), "conversation",
		slog.String("conversation", c.ID), slog.String("room", c.kind))
	c.ctx, c.cancel = context.WithCancelCause(ctx)
}

// run holds the conversation from its creation to its end.
func (c *Conversation) run() {
	defer close(c.over)
	defer c.gateway.forget(c)
	err, place := c.take(), &joinedRoom{}
	log := c.gateway.log.With("conversation", c.ID, "kind", c.kind)
	if place.tavus = c.attach(); err == nil {
		err = c.gateway.enter(c.ctx, c, place)
	}
	if err == nil {
		err = c.open(place)
	}
	if err == nil {
		log.Info("conversation open")
		err = c.follow()
	}
	c.checkOwnership()
	c.signal(Lose, err)
	c.end()
	defer c.endSpan()
	if c.isMoving() {
		c.handOver(place)
		log.Info("this node does not hold the conversation any more")
		return
	}
	if err := place.leave(context.WithoutCancel(c.ctx)); err != nil {
		err = c.gateway.secrets.Secrets().Error(err)
		log.Error("conversation not ended: end it with: echocast conversation end-mine", "error", err)
	}
	c.endStrays()
	c.signal(Leave, nil)
	c.history.close()
	c.endOwnership()
	if reason := c.Info().Error; reason != "" {
		log = log.With("reason", reason)
	}
	log.Info("conversation ended")
}

// endSpan ends the span of the conversation.
func (c *Conversation) endSpan() {
	c.mu.Lock()
	counts, err := c.counts, c.err
	c.mu.Unlock()
	c.span.End(failureOf(err), slog.Int("utterances", counts.Utterances), slog.Int("interrupted", counts.Interrupted),
		slog.Int("failed", counts.Failed), slog.Int("underruns", counts.Underruns))
}

// open opens the session of a joined room, and calls the bot.
func (c *Conversation) open(p *joinedRoom) error {
	options := &echo.Options{
		Pace: echo.Pace{Lead: seconds(c.Spec.LeadSeconds)}, Gap: seconds(c.Spec.GapSeconds),
		BargeIn: c.Spec.BargeIn, Resume: c.Spec.Resume, OnLoss: c.Spec.OnLoss, OnReceipt: c.onReceipt, Observe: c.observe,
		MaySend: c.maySend(),
	}
	if p.standIn == nil {
		options.Redial = c.rejoin(p.room)
	}
	if _, isREST := p.room.Stage().(*rest.Stage); isREST {
		options.SendTimeout = rest.SendTimeout
	}
	session, err := echo.NewSession(p.room.Stage(), options)
	if err != nil {
		return err
	}
	if c.isPaused() {
		_ = session.Pause(c.ctx) // nothing is spoken yet, so nothing can fail
	}
	c.mu.Lock()
	c.session, c.standIn = session, p.standIn
	c.mu.Unlock()
	if from := c.Spec.heard(); from != "" {
		c.hearer = &hearer{from: from, isReplica: p.room.IsReplica, listeners: map[*listener]bool{}}
		c.running.Go(func() { c.hear(p) })
	}
	if err := c.callFirst(); err != nil {
		return err
	}
	c.wasOpen.Store(true)
	c.signal(Joined, nil)
	c.mu.Lock()
	c.beginNext()
	c.mu.Unlock()
	return nil
}

// follow records the events of the room, until the room or the conversation ends.
func (c *Conversation) follow() error {
	for {
		for event, err := range c.session.Events(c.ctx) {
			if err != nil && !errors.Is(err, echo.ErrSlow) {
				return err
			}
			if err == nil && !event.Stale { // neither repeated nor out of date
				c.history.add("event", event)
				c.keepWords(&event)
			}
		}
	}
}

// keepWords stores the replica's last words, also when its PAL chose them.
func (c *Conversation) keepWords(e *echo.Event) {
	if e.Kind != echo.KindUtterance || e.Role == echo.RoleUser || e.Text == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastText = e.Text
}

// end interrupts what still plays, and closes the session.
func (c *Conversation) end() {
	c.mu.Lock()
	for _, u := range c.queue {
		u.cancel(cmp.Or(c.err, ErrEnded))
	}
	session := c.session
	c.mu.Unlock()
	c.closeProxy()
	c.running.Wait()
	if session != nil {
		_ = session.Close() // never fails
	}
}

// signal moves the conversation to its next state. err says why, if it is a failure.
func (c *Conversation) signal(s Signal, err error) {
	c.mu.Lock()
	before := c.state
	c.state = next(before, s)
	if c.state != before && c.err == nil {
		c.err = err
	}
	state, cause := c.state, cmp.Or(c.err, ErrEnded)
	hasMoved := c.hasMoved
	isIdle := len(c.queue) == 0 || c.handsOver && c.queue[0].phase == Waiting
	c.mu.Unlock()
	if state == before {
		return
	}
	if before == Starting {
		close(c.begun)
	}
	if !hasMoved {
		c.history.add("state", c.Info())
	}
	switch {
	case state == Draining && isIdle:
		c.finishDraining()
	case state == Ending:
		c.cancel(cause)
	}
}

// WaitJoined waits until the room was joined. The error says why it could not be.
func (c *Conversation) WaitJoined(ctx context.Context) error {
	select {
	case <-c.begun:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// End ends the conversation: it interrupts what is spoken, and ends what was created for the
// conversation. It returns when that is done, or when ctx ends. The error is errMoved or
// errNoOwner if that could not be stored: another node may continue the conversation.
func (c *Conversation) End(ctx context.Context) error {
	c.signal(End, ErrEnded)
	select {
	case <-c.over:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.hasMoved:
		return errMoved
	case c.unended != nil:
		return because(errNoOwner, c.unended)
	}
	return nil
}

// State returns the state of the conversation.
func (c *Conversation) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// Info returns a description of the conversation and its state.
func (c *Conversation) Info() Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	path := "/v1/conversations/" + c.ID
	info := Info{
		ID: c.ID, State: c.state, Kind: c.kind, Label: c.Spec.Label, Created: c.Created, Counts: c.counts,
		LastText: c.lastText, Waiting: max(len(c.queue)-1, 0), Events: path + "/events", Speech: path + "/speech",
	}
	if c.err != nil && !isExpectedEnd(c.err) {
		info.Error = c.gateway.secrets.Secrets().Text(c.err.Error())
	}
	if c.bot != nil {
		bot := *c.bot
		info.Bot = &bot
	}
	if c.session != nil && c.state != Ended {
		progress := c.session.Progress()
		info.Replica, info.LeadSeconds = progress.State, progress.Lead.Seconds()
		if c.session.Paused() {
			info.Replica = echo.Paused
		}
	}
	return info
}

// isExpectedEnd reports whether an error is an expected end of a conversation.
func isExpectedEnd(err error) bool {
	return errors.Is(err, ErrEnded) || errors.Is(err, ErrDraining) || errors.Is(err, errHungUp) ||
		errors.Is(err, room.ErrOver)
}

// onReceipt stores the receipt of the current utterance, or of a part of it.
func (c *Conversation) onReceipt(r echo.Receipt) {
	r = c.standIn.withUnderruns(c.gateway.withoutSecrets(r))
	c.mu.Lock()
	u := c.queue[0]
	u.parts++
	u.base, u.next = u.next, u.next+float64(r.HeardSamples)/echo.DefaultRate
	u.publishHeard(&r)
	u.traceHeard(&r)
	c.counts.Underruns += r.Underruns
	c.mu.Unlock()
	c.gateway.metrics.count(c.kind, &r)
	c.history.add("receipt", SpokenPart{Utterance: u.ID, Receipt: r})
}

// onReplica records the complaints of a stand-in replica.
func (c *Conversation) onReplica(e replica.Event) {
	if e.Complaint != nil {
		c.history.add("complaint", e.Complaint)
	}
}

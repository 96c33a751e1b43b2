package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"echocast/audio"
	"echocast/echo"
)

// Limits on the utterances of a conversation.
const (
	maxWaiting     = 64  // those that are not over
	keptUtterances = 100 // those that are over and can still be asked for
)

// keptToResume is how much audio is kept, besides the lead, to continue after a pause.
const keptToResume = 2 * time.Second

// DefaultMaxDuration is the longest audio of one utterance.
const DefaultMaxDuration = time.Hour

// Audio is audio to be spoken as one utterance.
type Audio struct {
	// Body is the audio. Abort makes a blocked read of it return.
	Body  io.Reader
	Abort func()
	// Prepare says how Body is read.
	Prepare audio.PrepareOptions
	// Release, if it is set, is called when Body is no longer needed.
	Release func()
	// Whole, if it is set, is Body, and is complete.
	Whole io.ReadSeeker
	// Key identifies the request, so that a repeated request speaks once; empty: each request
	// speaks.
	Key string
	// Name is the name in receipts, and Text what the audio says, if that is known.
	Name, Text string
	// Queue says what happens while another utterance is spoken; empty: it waits.
	Queue echo.QueuePolicy

	intake *intake // that fills Body, and stores it in the cluster; nil: Body is read
}

// Phase is the phase of an utterance.
type Phase string

// The phases of an utterance.
const (
	Waiting  Phase = "waiting"  // for its turn, or for its first audio
	Speaking Phase = "speaking" // it is its turn
	Over     Phase = "over"     // there is a receipt
)

// Utterance is an utterance of a conversation.
type Utterance struct {
	ID string

	conversation *Conversation
	name, text   string
	key          string
	queue        echo.QueuePolicy
	intake       *intake    // of its audio; nil: it does not come by a WebSocket
	header       keptHeader // how it is spoken, in a cluster
	before       *progress  // the progress on the earlier node; nil: it had not begun
	do           func(*Utterance) (echo.Receipt, error)
	ctx          context.Context //nolint:containedctx // of the utterance, which waits in a queue
	cancel       context.CancelCauseFunc
	turn         chan struct{} // closed when it is its turn
	over         chan struct{} // closed when it is over, and its end is stored

	// The conversation guards these.
	skipped   time.Duration // what the earlier node has said
	span      Span
	begun     time.Time // when the first chunk of the last part was sent
	phase     Phase
	parts     int     // receipts so far
	base      float64 // where the last part began, in seconds
	next      float64 // where the next one continues
	marks     []Mark  // those not passed yet, in order
	takeovers []Takeover
	receipt   echo.Receipt
	err       error
}

// UtteranceInfo describes an utterance and its phase.
type UtteranceInfo struct {
	ID      string        `json:"id"`
	Name    string        `json:"name,omitempty"`
	Phase   Phase         `json:"phase"`
	Receipt *echo.Receipt `json:"receipt,omitempty"` // once it is over
	Error   string        `json:"error,omitempty"`
	Key     string        `json:"key,omitempty"` // of its request
	// Takeovers list where it continued on another node.
	Takeovers []Takeover `json:"takeovers,omitempty"`
	// Bytes and Marks are how much of it has arrived, and IsOpen says that it takes more, in
	// answers by a WebSocket.
	Bytes  int64 `json:"bytes,omitempty"`
	Marks  int   `json:"marks,omitempty"`
	IsOpen bool  `json:"open,omitempty"`
}

// SpokenPart is the receipt of an utterance, or of a part of one that was continued.
type SpokenPart struct {
	Utterance string       `json:"utterance"`
	Receipt   echo.Receipt `json:"receipt"`
	// Takeover, if it is set, says that the node that said this part was lost, and where
	// another node continued.
	Takeover *Takeover `json:"takeover,omitempty"`
}

// Speak queues audio as an utterance and returns at once. The utterance ends when ctx does.
// The error is echo.ErrBusy, ErrDraining or ErrEnded: then Body is not read. If an utterance
// has the same Key, Speak returns that one and does not read Body either.
func (c *Conversation) Speak(ctx context.Context, a Audio) (*Utterance, error) {
	if a.Abort == nil {
		a.Abort = func() {}
	}
	if a.Release == nil {
		a.Release = func() {}
	}
	speak := func(u *Utterance) (echo.Receipt, error) {
		defer a.Release()
		return c.speak(u, &a)
	}
	mine := &Utterance{name: a.Name, text: a.Text, queue: a.Queue, key: a.Key, header: headerOf(&a),
		intake: a.intake, do: speak}
	if a.intake != nil {
		a.intake.utterance = mine
	}
	u, err := c.speakInTurn(ctx, mine, func() error {
		switch {
		case a.Whole != nil && c.own != nil:
			return mine.keepAll(a.Whole)
		case a.intake == nil && c.own != nil:
			a.Body = &keepingReader{Reader: a.Body, utterance: mine}
		}
		return nil
	})
	if u != mine {
		a.Release()
	}
	return u, err
}

// Say queues a text that the replica says in its own voice, as Speak does.
func (c *Conversation) Say(ctx context.Context, text string, queue echo.QueuePolicy) (*Utterance, error) {
	u := &Utterance{text: text, queue: queue, do: c.sayer(text)}
	u.header = keptHeader{Kind: keptText, Text: text, Queue: queue}
	return c.speakInTurn(ctx, u, func() error { return u.keepEnd(nil) })
}

// sayer returns a function that says a text.
func (c *Conversation) sayer(text string) func(*Utterance) (echo.Receipt, error) {
	return func(u *Utterance) (echo.Receipt, error) {
		if err := u.await(); err != nil {
			return u.unspoken(err), err
		}
		return c.session.Say(u.ctx, echo.Words(text))
	}
}

// speakInTurn queues an utterance, and speaks it when it is its turn. In a cluster it is
// stored first; keep stores as much of its audio as has arrived.
func (c *Conversation) speakInTurn(ctx context.Context, u *Utterance, keep func() error) (*Utterance, error) {
	u.ID = newID()
	c.prepare(ctx, u)
	same, arrived, err := c.admitAlone(u) // nothing of a refused utterance is stored
	if same != nil || err != nil {
		u.cancel(err)
		return same, err
	}
	defer arrived()
	err = u.keepHeader()
	if err == nil {
		err = keep()
	}
	other := (*Utterance)(nil)
	if err == nil {
		other, err = c.enqueue(u)
	}
	if other != u {
		u.cancel(err)
		if !errors.Is(err, errMoved) { // what is stored may be the next node's by now
			u.drop()
		}
		return other, err
	}
	c.start(u)
	return u, nil
}

// admitAlone admits an utterance when no other with its key is arriving: a client that has
// lost its connection may ask again while the first is still stored. The caller calls arrived
// when the utterance is in the queue, or is not to be.
func (c *Conversation) admitAlone(u *Utterance) (same *Utterance, arrived func(), err error) {
	for {
		c.mu.Lock()
		same, err = c.admit(u)
		other := c.arriving[u.key]
		isAlone := same == nil && err == nil && (other == nil || u.key == "")
		if isAlone {
			arrived = c.arrive(u.key)
		}
		c.mu.Unlock()
		if isAlone || same != nil || err != nil {
			return same, arrived, err
		}
		select {
		case <-other:
		case <-u.ctx.Done():
			return nil, nil, context.Cause(u.ctx)
		}
	}
}

// arrive lets others with the same key wait until arrived is called. The conversation is
// locked.
func (c *Conversation) arrive(key string) (arrived func()) {
	if key == "" {
		return func() {}
	}
	here := make(chan struct{})
	c.arriving[key] = here
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.arriving, key)
		close(here)
	}
}

// prepare makes an utterance ready to be queued.
func (c *Conversation) prepare(ctx context.Context, u *Utterance) {
	u.conversation, u.phase = c, Waiting
	u.turn, u.over = make(chan struct{}), make(chan struct{})
	u.ctx, u.cancel = context.WithCancelCause(c.gateway.options.Tracer.Below(ctx, c.ctx))
}

// start speaks an utterance of the queue when it is its turn.
func (c *Conversation) start(u *Utterance) {
	u.ctx, u.span = c.gateway.options.Tracer.Start(u.ctx, "utterance",
		slog.String("conversation", c.ID), slog.String("utterance", u.ID))
	go func() {
		defer c.running.Done()
		receipt, err := u.do(u)
		c.leave(u, receipt, err)
	}()
}

var queuePolicies = []echo.QueuePolicy{"", echo.QueueWait, echo.QueueReplace, echo.QueueReject}

// enqueue puts an utterance into the queue, according to the queue policy. If another has the
// same key, enqueue returns that one.
func (c *Conversation) enqueue(u *Utterance) (*Utterance, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if same, err := c.admit(u); same != nil || err != nil {
		return same, err
	}
	if u.queue == echo.QueueReplace {
		for _, other := range c.queue {
			other.cancel(echo.ErrReplaced)
		}
	}
	c.add(u)
	return u, nil
}

// admit returns the utterance that has the same key, or an error if there can be no more
// utterances. The conversation is locked.
func (c *Conversation) admit(u *Utterance) (same *Utterance, err error) {
	i := c.indexOf(u.key)
	switch {
	case !slices.Contains(queuePolicies, u.queue):
		return nil, invalid("queue", "it must be queue, replace or reject")
	case i >= 0:
		return c.utterances[i], nil
	case c.hasMoved:
		return nil, errMoved
	case c.state == Draining && !c.handsOver:
		return nil, ErrDraining
	case c.state != Open && c.state != Draining:
		return nil, ErrEnded
	case len(c.queue) > 0 && u.queue == echo.QueueReject:
		return nil, echo.ErrBusy
	case len(c.queue) >= maxWaiting:
		return nil, fmt.Errorf("%w: %d wait already", echo.ErrBusy, maxWaiting)
	}
	return nil, nil
}

// indexOf returns the index of the utterance with a key, or -1. The conversation is locked.
func (c *Conversation) indexOf(key string) int {
	return slices.IndexFunc(c.utterances, func(u *Utterance) bool { return key != "" && u.key == key })
}

// hasKey reports whether an utterance has a key, over or not.
func (c *Conversation) hasKey(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.indexOf(key) >= 0
}

// add puts an utterance at the end of the queue. The conversation is locked.
func (c *Conversation) add(u *Utterance) {
	c.running.Add(1)
	c.queue = append(c.queue, u)
	c.utterances = append(c.utterances, u)
	c.utterances = slices.Delete(c.utterances, 0, max(0, len(c.utterances)-keptUtterances))
	c.counts.Utterances++
	if u.text != "" {
		c.lastText = u.text
	}
	c.beginNext()
}

// maxUnkept is how many utterances may have ended without a stored end when the next one
// begins. So only the first two utterances without a stored end can have begun.
const maxUnkept = 1

// beginNext gives the next utterance its turn, once there is a session. The conversation is
// locked.
func (c *Conversation) beginNext() {
	if c.session == nil || len(c.queue) == 0 || c.queue[0].phase != Waiting || c.unkept > maxUnkept ||
		c.handsOver && c.state == Draining {
		return
	}
	u := c.queue[0]
	u.phase = Speaking
	c.history.add("utterance", UtteranceInfo{ID: u.ID, Name: u.name, Phase: Speaking})
	close(u.turn)
}

// leave ends an utterance with its receipt, and lets the next one begin.
func (c *Conversation) leave(u *Utterance, receipt echo.Receipt, err error) {
	receipt = c.gateway.withoutSecrets(receipt)
	c.mu.Lock()
	receipt = c.standIn.withUnderruns(receipt) // the room may just be joined
	i := slices.Index(c.queue, u)
	c.queue = slices.Delete(c.queue, i, i+1)
	c.unkept++
	c.beginNext()
	u.phase, u.receipt, u.err = Over, receipt, err
	u.publishMarks(u.marks)
	u.marks = nil
	switch receipt.Outcome {
	case echo.Interrupted:
		c.counts.Interrupted++
	case echo.Failed, echo.Unverified:
		c.counts.Failed++
	}
	hasMoved := c.hasMoved
	isLast := c.state == Draining && (len(c.queue) == 0 || c.handsOver)
	unpublished := u.parts == 0
	c.mu.Unlock()
	u.endSpan()
	u.cancel(nil)
	if hasMoved { // another node says it, or reports why not
		u.settle(false)
		return
	}
	var told []Entry
	if unpublished {
		c.gateway.metrics.count(c.kind, &receipt)
		told = append(told, newEntry("receipt", SpokenPart{Utterance: u.ID, Receipt: receipt}))
	}
	told = append(told, newEntry("utterance",
		UtteranceInfo{ID: u.ID, Name: u.name, Phase: Over, Key: u.keptKey(), Takeovers: u.takeovers}))
	c.history.addAll(u.settle, told...)
	if isLast {
		c.finishDraining()
	}
}

// settle reports how an utterance has ended, once that is stored. If it could not be stored,
// another node says the utterance, or reports why not.
func (u *Utterance) settle(isKept bool) {
	c := u.conversation
	c.mu.Lock()
	if !isKept {
		u.phase, u.receipt, u.err = Speaking, echo.Receipt{}, errMoved
	}
	close(u.over)
	c.unkept--
	c.beginNext()
	c.mu.Unlock()
	if isKept {
		u.drop()
	}
}

// speak prepares audio while the utterance waits for its turn, and then speaks it.
func (c *Conversation) speak(u *Utterance, a *Audio) (echo.Receipt, error) {
	stop := context.AfterFunc(u.ctx, a.Abort)
	prepared, err := audio.Prepare(u.ctx, a.Body, &a.Prepare)
	if err != nil {
		stop()
		if cause := context.Cause(u.ctx); cause != nil {
			err = cause
		}
		return u.unspoken(err), err
	}
	keep := keptToResume + max(seconds(c.Spec.LeadSeconds), echo.DefaultLead)
	feed := echo.NewFeed(prepared, echo.FeedOptions{Keep: keep, Abort: a.Abort})
	defer func() {
		stop()
		_ = feed.Close()
		_ = prepared.Close()
	}()
	err = u.await()
	if err == nil {
		err = u.skip(feed)
	}
	if err != nil {
		return u.unspoken(err), err
	}
	return c.session.Speak(u.ctx, echo.Speech{Samples: feed, Name: a.Name, Text: a.Text, Abort: feed.Abort})
}

// await waits for the turn of the utterance.
func (u *Utterance) await() error {
	select {
	case <-u.turn:
		return context.Cause(u.ctx)
	case <-u.ctx.Done():
		return context.Cause(u.ctx)
	}
}

// unspoken returns the receipt of an utterance of which nothing was sent.
func (u *Utterance) unspoken(err error) echo.Receipt {
	r := echo.Receipt{
		Source: u.name, Outcome: echo.Failed, Error: err.Error(), FirstMessageSeconds: -1, FirstAudioSeconds: -1,
		SpokenBy: echo.ByClock, UnderrunsBy: echo.ByClock, AcknowledgedSamples: -1,
	}
	if isInterrupt(err) {
		r.Outcome = echo.Interrupted
	}
	if u.before == nil || u.parts > 0 {
		return r
	}
	r.SpokenSeconds, r.SpokenAtMost = u.before.Sent, true
	if !u.before.isUnknown {
		r.Samples, r.SentSeconds = int64(u.before.Sent*echo.DefaultRate), u.before.Sent
		r.HeardSamples = int64(u.before.Heard * echo.DefaultRate)
	}
	return r
}

// keptKey returns the key, if other nodes have to know it.
func (u *Utterance) keptKey() string {
	if u.conversation.own == nil {
		return ""
	}
	return u.key
}

// drop deletes what is stored to say the utterance on another node.
func (u *Utterance) drop() {
	if own := u.conversation.own; own != nil {
		// At the end of the conversation everything is deleted.
		_ = own.DropAudio(context.WithoutCancel(u.conversation.ctx), u.ID)
	}
}

// isInterrupt reports whether an utterance was ended on purpose.
var isInterrupt = isOne(echo.ErrStopped, echo.ErrInterrupted, echo.ErrReplaced, echo.ErrBargeIn, echo.ErrPaused,
	ErrEnded, ErrDraining, errLeft, errMoved)

// Wait returns the receipt when the utterance is over, or the cause of ctx. An error beside a
// receipt says why the utterance was not heard in full.
func (u *Utterance) Wait(ctx context.Context) (echo.Receipt, error) {
	select {
	case <-u.over:
	case <-ctx.Done():
		return echo.Receipt{}, context.Cause(ctx)
	}
	u.conversation.mu.Lock()
	defer u.conversation.mu.Unlock()
	return u.receipt, u.err
}

// Cancel ends the utterance, and interrupts the replica if it is saying it. It does not wait.
// A nil cause means echo.ErrStopped.
func (u *Utterance) Cancel(cause error) {
	if cause == nil {
		cause = echo.ErrStopped
	}
	u.cancel(cause)
}

// Info returns a description of the utterance and its phase.
func (u *Utterance) Info() UtteranceInfo {
	u.conversation.mu.Lock()
	defer u.conversation.mu.Unlock()
	info := UtteranceInfo{ID: u.ID, Name: u.name, Phase: u.phase, Key: u.keptKey(), Takeovers: u.takeovers}
	select {
	case <-u.over:
	default:
		if u.phase == Over { // another node may have to say it again
			info.Phase = Speaking
		}
		return info
	}
	if u.phase == Over {
		receipt := u.receipt
		info.Receipt = &receipt
	}
	if u.err != nil {
		info.Error = u.conversation.gateway.secrets.Secrets().Text(u.err.Error())
	}
	return info
}

// Utterance returns one of the last utterances by its id.
func (c *Conversation) Utterance(id string) (*Utterance, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.utterances, func(u *Utterance) bool { return u.ID == id })
	if i < 0 {
		return nil, false
	}
	return c.utterances[i], true
}

// Interrupt stops the replica and drops the utterances that wait. It returns their receipts
// once all are over.
func (c *Conversation) Interrupt(ctx context.Context) (receipts []SpokenPart, err error) {
	tracer := c.gateway.options.Tracer
	c.mu.Lock()
	session, queue := c.session, slices.Clone(c.queue)
	for _, u := range queue {
		u.cancel(echo.ErrStopped)
	}
	c.mu.Unlock()
	if session == nil {
		return nil, ErrEnded
	}
	ctx, span := tracer.Start(tracer.Below(ctx, c.ctx), "interrupt", slog.String("conversation", c.ID))
	defer func() { span.End(failureOf(err), slog.Int("utterances", len(queue))) }()
	if err := session.Interrupt(ctx, nil); err != nil {
		return nil, err
	}
	receipts = []SpokenPart{}
	for _, u := range queue {
		receipt, err := u.Wait(ctx)
		if err != nil && ctx.Err() != nil {
			return nil, err
		}
		receipts = append(receipts, SpokenPart{Utterance: u.ID, Receipt: receipt})
	}
	return receipts, nil
}

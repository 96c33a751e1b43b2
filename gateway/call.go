package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"echocast/carrier"
	"echocast/room"
)

var (
	// errHungUp ends a conversation after its bot has ended the call.
	errHungUp = errors.New("the bot has hung up")
	// errStopped ends a call that a request has ended.
	errStopped = errors.New("the call was hung up by a request")
	errHasBot  = errors.New("this conversation has a bot: hang it up first, with DELETE …/bot")
	errNoBot   = errors.New("this conversation has no bot; POST …/bot calls one")
)

// botCall is one call of a bot.
type botCall struct {
	bot    *Bot
	ctx    context.Context //nolint:containedctx // of the call
	hangUp context.CancelCauseFunc
	begun  chan error    // receives one value: nil when the bot was reached
	over   chan struct{} // closed when the call has ended
}

// CallBot calls a bot in a conversation that is open, and returns when the bot was reached.
// The conversation has to hear its user. The error is an *InvalidError, a
// *carrier.DialError, or says that there is a bot already.
func (c *Conversation) CallBot(ctx context.Context, bot Bot) (BotInfo, error) {
	err := bot.check()
	if err == nil {
		err = c.gateway.options.checkBotHost(&bot)
	}
	if err == nil {
		_, err = c.canHear(&HearOptions{From: room.User})
	}
	if err != nil {
		return BotInfo{}, err
	}
	c.gateway.hide(&Spec{Bot: &bot})
	call, err := c.beginCall(&bot, Open)
	if err != nil {
		return BotInfo{}, err
	}
	select {
	case err = <-call.begun:
	case <-ctx.Done():
		err = context.Cause(ctx)
		call.hangUp(err)
	}
	return BotInfo{Carrier: bot.carrier(), State: BotConnected}, err
}

// HangUpBot ends the call of the bot, and what it says is interrupted. It returns when that
// is done.
func (c *Conversation) HangUpBot(ctx context.Context) (BotInfo, error) {
	c.mu.Lock()
	call := c.call
	c.mu.Unlock()
	if call == nil {
		return BotInfo{}, errNoBot
	}
	call.hangUp(errStopped)
	select {
	case <-call.over:
	case <-ctx.Done():
		return BotInfo{}, context.Cause(ctx)
	}
	return BotInfo{Carrier: call.bot.carrier(), State: BotStopped}, nil
}

// beginCall begins a call, if the conversation is in a state and has no other.
func (c *Conversation) beginCall(bot *Bot, in State) (*botCall, error) {
	call := &botCall{bot: bot, begun: make(chan error, 1), over: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.state == Draining:
		return nil, ErrDraining
	case c.state != in:
		return nil, ErrEnded
	case c.call != nil:
		return nil, errHasBot
	}
	call.ctx, call.hangUp = context.WithCancelCause(c.ctx)
	c.call = call
	c.running.Go(func() { c.hold(call) })
	return call, nil
}

// callFirst calls the bot that the conversation was created with, or had on the node before.
func (c *Conversation) callFirst() error {
	if c.wanted == nil {
		return nil
	}
	if err := c.gateway.options.checkBotHost(c.wanted); err != nil { // another node may have created it
		return err
	}
	call, err := c.beginCall(c.wanted, Starting)
	if err != nil {
		return err
	}
	return <-call.begun
}

// hold dials a bot, and holds the call until it ends.
func (c *Conversation) hold(call *botCall) {
	defer close(call.over)
	defer call.hangUp(nil)
	conn, protocol, err := c.dial(call)
	if err != nil {
		c.endCall() // first: the client may call another at once
		call.begun <- err
		return
	}
	c.setWanted(call.bot)
	c.setBot(call, BotConnected, nil)
	call.begun <- nil
	err = carrier.Talk(call.ctx, conn, protocol, carrier.Options{
		Speaker: &voice{c: c, session: c.session},
		Hear: func(ctx context.Context, rate int, to io.Writer) error {
			return c.Hear(ctx, HearOptions{From: room.User, Rate: rate}, to)
		},
		Warn:    func(text string) { c.warn("the bot sent " + text) },
		OnMark:  func(name string, isHeard bool) { c.history.add("bot_mark", BotMark{name, isHeard}) },
		OnClear: func() { c.history.add("bot_clear", struct{}{}) },
	})
	c.botLeft(call, err)
}

// dial dials the bot of a call.
func (c *Conversation) dial(call *botCall) (carrier.Conn, carrier.Protocol, error) {
	protocol, header, err := call.bot.protocol(&c.gateway.options)
	if err != nil {
		return nil, nil, err
	}
	conn, err := c.gateway.dialBot(call.ctx, call.bot.URL, header)
	if err != nil {
		c.gateway.metrics.bots.WithLabelValues(call.bot.carrier(), "unreachable").Inc()
	}
	return conn, protocol, err
}

// endCall lets another bot be called after one that was not reached.
func (c *Conversation) endCall() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.call = nil
}

// setWanted stores the bot that the next node calls when it takes over the conversation;
// nil: none.
func (c *Conversation) setWanted(bot *Bot) {
	c.mu.Lock()
	isNew := c.wanted != bot
	c.wanted = bot
	c.mu.Unlock()
	if !isNew {
		return
	}
	if err := c.saveRecord(c.ctx, nil); err != nil {
		c.warn(fmt.Sprintf("another node that takes the conversation over would not know of its bot: %v", err))
	}
}

// botLeft records how the call has ended, and ends the conversation if the Bot says so.
func (c *Conversation) botLeft(call *botCall, err error) {
	state := BotLost
	switch {
	case c.ctx.Err() != nil:
		c.setBot(call, BotStopped, nil)
		return
	case errors.Is(context.Cause(call.ctx), errStopped):
		state, err = BotStopped, nil
	case err == nil:
		state = BotHungUp
	}
	isLast := state != BotStopped && call.bot.OnHangup != KeepOnHangup
	if !isLast {
		c.setWanted(nil) // before another bot can be called
	}
	c.setBot(call, state, err)
	switch {
	case !isLast:
	case err == nil:
		c.signal(Lose, errHungUp)
	default:
		c.signal(Lose, fmt.Errorf("the call of the bot has failed: %w", err))
	}
}

// setBot records the state of a call. When the call has ended, another bot can be called.
func (c *Conversation) setBot(call *botCall, state BotState, err error) {
	info := BotInfo{Carrier: call.bot.carrier(), State: state}
	if err != nil {
		info.Error = c.gateway.secrets.Secrets().Text(err.Error())
	}
	c.mu.Lock()
	c.bot = &info
	if state != BotConnected {
		c.call = nil
	}
	c.mu.Unlock()
	c.history.add("bot", info)
	if state != BotConnected {
		c.gateway.metrics.bots.WithLabelValues(info.Carrier, string(state)).Inc()
	}
}

// callBot calls the bot that the body describes, and answers when it was reached.
func (a *api) callBot(w http.ResponseWriter, r *http.Request) error {
	c, err := a.conversation(r)
	if err != nil {
		return err
	}
	var bot Bot
	if err := readJSON(w, r, &bot); err != nil {
		return err
	}
	info, err := c.CallBot(r.Context(), bot)
	if err != nil {
		return err
	}
	return answer(w, http.StatusCreated, info)
}

// hangUpBot ends the call of the bot; the conversation continues.
func (a *api) hangUpBot(w http.ResponseWriter, r *http.Request) error {
	c, err := a.conversation(r)
	if err != nil {
		return err
	}
	info, err := c.HangUpBot(r.Context())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, info)
}

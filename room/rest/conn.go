package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"time"

	"echocast/echo"
	"echocast/internal/sleep"
	"echocast/logs"
	"echocast/tavus"
)

// conn makes an echo.Conn of a sender and the events of its conversation.
type conn struct {
	sender    *sender
	events    EventSource // nil: none come
	log       *slog.Logger
	hasJoined bool // the replica; of Receive alone
}

// Send implements echo.Conn.
func (c *conn) Send(ctx context.Context, msg []byte) error {
	ctx = logs.Into(ctx, c.log)
	if bytes.Equal(msg, echo.AppendInterrupt(nil, c.sender.id)) {
		return c.sender.send(ctx, msg, urgent)
	}
	return c.sender.send(ctx, msg, ordinary)
}

// Unacknowledged implements echo.Acknowledger: a message that Send delivered was
// acknowledged by its answer.
func (c *conn) Unacknowledged() int { return 0 }

// Receive implements echo.Conn. It returns an event that the replica has joined once
// the service says so, and then those of the event source.
func (c *conn) Receive(ctx context.Context) ([]byte, error) {
	if !c.hasJoined {
		event, err := c.waitJoined(ctx)
		c.hasJoined = err == nil
		return event, err
	}
	if c.events == nil {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	return c.events.ReceiveEvent(ctx, c.sender.id)
}

// pollInterval is the time between two polls for the replica.
const pollInterval = time.Second

// waitJoined polls the service until the replica has joined. It repeats a request that
// gets no answer.
func (c *conn) waitJoined(ctx context.Context) ([]byte, error) {
	ctx = logs.Into(ctx, c.log)
	for {
		info, err := c.sender.client.Conversation(ctx, c.sender.id, true)
		_, unanswered := errors.AsType[*tavus.TransportError](err)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil && !unanswered:
			return nil, err
		case err == nil && info.Over():
			return nil, &EndedError{c.sender.id, info.Shutdown}
		case slices.ContainsFunc(info.Events, isJoin):
			return joinEvent(c.sender.id), nil
		}
		if err := sleep.For(ctx, pollInterval); err != nil {
			return nil, err
		}
	}
}

func isJoin(e tavus.Event) bool {
	return e.Type == "system.replica_joined" || e.Type == "system.pal_joined"
}

// joinEvent returns the event that the replica has joined, as a room sends it.
func joinEvent(id string) []byte {
	event, _ := json.Marshal(map[string]string{ // strings always marshal
		"message_type": "system", "event_type": "system.replica_joined", "conversation_id": id,
	})
	return event
}

package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"echocast/echo"
	"echocast/internal/sleep"
	"echocast/logs"
	"echocast/tavus"
)

// conn combines a sender and the events of its conversation to an echo.Conn.
type conn struct {
	sender    *sender
	events    EventSource // nil: no events
	log       *slog.Logger
	hasJoined bool // the replica has joined; used only by Receive
}

// Send implements echo.Conn.
func (c *conn) Send(ctx context.Context, msg []byte) error {
	ctx = logs.Into(ctx, c.log)
	if bytes.Equal(msg, echo.AppendInterrupt(nil, c.sender.id)) {
		return c.sender.send(ctx, msg, urgent)
	}
	return c.sender.send(ctx, msg, ordinary)
}

// Unacknowledged implements echo.Acknowledger. It is always 0, because the answer to each
// request of Send acknowledges its message.
func (c *conn) Unacknowledged() int { return 0 }

// Receive implements echo.Conn. Once the service says that the replica has joined, it
// returns an event that says so, and then the events of the event source.
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

// waitJoined polls the service until the replica has joined. If a request gets no answer, or
// the service is busy or has a problem, waitJoined repeats it.
func (c *conn) waitJoined(ctx context.Context) ([]byte, error) {
	ctx = logs.Into(ctx, c.log)
	for {
		info, err := c.sender.client.Conversation(ctx, c.sender.id, true)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil && !isTemporary(err):
			return nil, err
		case err == nil && info.HasEnded():
			return nil, &EndedError{c.sender.id, info.Shutdown}
		case slices.ContainsFunc(info.Events, isJoin):
			return joinEvent(c.sender.id), nil
		}
		if err := sleep.For(ctx, pollInterval); err != nil {
			return nil, err
		}
	}
}

// isTemporary reports whether the same request may succeed later.
func isTemporary(err error) bool {
	_, unanswered := errors.AsType[*tavus.TransportError](err)
	answer, answered := errors.AsType[*tavus.APIError](err)
	return unanswered || answered && (answer.Status == http.StatusTooManyRequests || answer.Status >= 500)
}

func isJoin(e tavus.Event) bool {
	return e.Type == "system.replica_joined" || e.Type == "system.pal_joined"
}

// joinEvent returns the event that the replica has joined, in the form that a room sends.
func joinEvent(id string) []byte {
	event, _ := json.Marshal(map[string]string{ // strings always marshal
		"message_type": "system", "event_type": "system.replica_joined", "conversation_id": id,
	})
	return event
}

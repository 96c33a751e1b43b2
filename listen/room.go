package listen

import (
	"context"
	"errors"
	"sync"
	"time"

	"echocast/echo"
	"echocast/room"
	"echocast/rtc"
)

// Room is the Source of a room. It reconnects after a loss.
type Room struct {
	// Redial reconnects after a loss, within Timeout.
	Redial  func(ctx context.Context) (echo.Stage, error)
	Timeout time.Duration
	// Leave leaves the room.
	Leave func() error

	over  context.Context //nolint:containedctx // ends afterShutdown after the shutdown; nil before
	ended context.CancelFunc

	mu    sync.Mutex
	stage echo.Stage
}

// NewRoom listens on a stage.
func NewRoom(stage echo.Stage) *Room { return &Room{stage: stage} }

func (r *Room) current() echo.Stage {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stage
}

// afterShutdown is how long Next waits for events after a shutdown: the analysis of a
// conversation arrives after its end.
const afterShutdown = 2 * time.Second

// Next returns the next event. After a shutdown it waits a short time for more.
func (r *Room) Next(ctx context.Context) (echo.Event, error) {
	if r.over != nil {
		ctx = r.over
	}
	for {
		event, err := r.current().Next(ctx)
		if err == nil {
			if event.Kind == echo.Shutdown && r.over == nil {
				r.over, r.ended = context.WithTimeoutCause(ctx, afterShutdown, room.ErrOver)
			}
			return event, nil
		}
		switch cause := context.Cause(ctx); {
		case cause != nil:
			return echo.Event{}, cause
		case r.over != nil || errors.Is(err, room.ErrOver) || errors.Is(err, rtc.ErrPeerGone):
			return echo.Event{}, room.ErrOver
		}
		if err := r.rejoin(ctx); err != nil {
			return echo.Event{}, err
		}
	}
}

func (r *Room) rejoin(ctx context.Context) error {
	stage, err := echo.Redial(ctx, r.Redial, r.Timeout)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stage = stage
	return nil
}

// Send sends a message to the room, or fails with echo.ErrUnsupported.
func (r *Room) Send(ctx context.Context, msg echo.Message) error {
	sender, ok := r.current().(echo.MessageSender)
	if !ok {
		return echo.ErrUnsupported
	}
	return sender.Send(ctx, msg)
}

// Close leaves the room.
func (r *Room) Close() error {
	if r.ended != nil {
		r.ended()
	}
	return r.Leave()
}

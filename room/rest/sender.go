package rest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"echocast/echo"
	"echocast/internal/sleep"
	"echocast/logs"
	"echocast/tavus"
)

// answer says what the result of a request shows about the delivery of its message.
type answer int

const (
	delivered   answer = iota
	undelivered        // certainly not delivered: the same message may be sent again
	limited            // not delivered: the rate limit was reached
	refused            // not delivered; repeating is useless
	uncertain          // may have been delivered
)

// answerOf classifies the result of tavus.Client.SendAppMessage.
func answerOf(err error) answer {
	if err == nil {
		return delivered
	}
	if lost, ok := errors.AsType[*tavus.TransportError](err); ok {
		if lost.WasNotSent() {
			return undelivered
		}
		return uncertain
	}
	if api, ok := errors.AsType[*tavus.APIError](err); ok {
		return answerTo(api.Status)
	}
	return refused // the request could not be made
}

// answerTo classifies an HTTP status. 429, 502 and 504 are documented. The other statuses
// have their general meaning, or are uncertain.
func answerTo(status int) answer {
	switch {
	case status == 429:
		return limited
	case status == 502:
		return undelivered
	case status >= 200 && status < 300:
		return delivered
	case status >= 300 && status < 500:
		return refused
	}
	return uncertain
}

// step is what to do after an answer.
type step int

const (
	succeed step = iota
	repeat       // send the same message again
	fail
)

// Limits for repeating a message.
const (
	maxUndelivered = 5 // failed deliveries
	maxLimited     = 4 // answers that the rate limit was reached
	firstBackoff   = 250 * time.Millisecond
	maxRetryAfter  = time.Minute
)

// attempts counts the answers to one message.
type attempts struct{ undelivered, limited int }

// next decides what to do after another answer, and how long to wait before repeating the
// request.
func (n *attempts) next(a answer, retryAfter time.Duration) (step, time.Duration) {
	switch {
	case a == delivered:
		return succeed, 0
	case a == undelivered && n.undelivered+1 < maxUndelivered:
		n.undelivered++
		return repeat, firstBackoff << (n.undelivered - 1)
	case a == limited && n.limited+1 < maxLimited && retryAfter <= maxRetryAfter:
		n.limited++
		return repeat, max(retryAfter, firstBackoff<<(2*n.limited))
	}
	return fail, 0
}

// DeliveryError reports that a message was not delivered, or may not have been. It wraps
// echo.ErrLost.
type DeliveryError struct {
	// Uncertain is set if the message may have been delivered.
	Uncertain bool
	err       error // not unwrapped, or it would count as a refusal
}

// Error says whether the message was delivered, and what the service said.
func (e *DeliveryError) Error() string {
	if e.Uncertain {
		return fmt.Sprintf("the message may have been delivered: %v", e.err)
	}
	return fmt.Sprintf("the message was not delivered: %v", e.err)
}

// Unwrap returns echo.ErrLost.
func (e *DeliveryError) Unwrap() error { return echo.ErrLost }

// MayBeDelivered implements echo.DeliveryFailure.
func (e *DeliveryError) MayBeDelivered() bool { return e.Uncertain }

// sender sends the messages of one conversation, one at a time.
type sender struct {
	client *tavus.Client
	id     string
	window *window
	busy   chan struct{} // held by the message that is being sent

	connections int // the lock of the Backend guards it

	// failed is set if the last message was possibly not delivered. The replica may still
	// be speaking.
	failed atomic.Bool
}

// answerGrace is how long to wait for a pending request after its context has ended, so
// that the next message does not overtake it.
const answerGrace = time.Second

// send delivers one message, and repeats it if that is safe. The error is a *DeliveryError,
// a *tavus.APIError if the service refused the message, or the cause of ctx if nothing was
// delivered.
func (s *sender) send(ctx context.Context, msg []byte, p priority) error {
	select {
	case s.busy <- struct{}{}:
		defer func() { <-s.busy }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	var tried attempts
	for {
		if err := s.window.enter(ctx, p); err != nil {
			return err
		}
		err := s.post(ctx, msg)
		s.window.leave()
		a := answerOf(err)
		next, pause := tried.next(a, retryAfter(err))
		if next != succeed {
			logs.From(ctx).Info("a message may not have been delivered", "bytes", len(msg), "given_up", next == fail,
				"pause", pause)
		}
		switch {
		case next == succeed:
			s.failed.Store(false)
			return nil
		case next == fail && a == refused:
			return err
		case next == fail:
			s.failed.Store(true)
			return &DeliveryError{Uncertain: a == uncertain, err: err}
		}
		if err := sleep.For(ctx, pause+rand.N(pause/4+1)); err != nil {
			return err
		}
	}
}

// post makes one request. The request may continue for up to answerGrace after ctx has
// ended.
func (s *sender) post(ctx context.Context, msg []byte) error {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() {
		if sleep.For(longer, answerGrace) == nil {
			cancel(context.Cause(ctx))
		}
	})
	defer stop()
	return s.client.SendAppMessage(longer, s.id, msg)
}

func retryAfter(err error) time.Duration {
	if api, ok := errors.AsType[*tavus.APIError](err); ok {
		return api.RetryAfter
	}
	return 0
}

// interruptTimeout bounds the interrupt that follows a failed message.
const interruptTimeout = 5 * time.Second

// interruptIfFailed interrupts the replica if the last message was possibly not delivered.
func (s *sender) interruptIfFailed(ctx context.Context) error {
	if !s.failed.Load() {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, interruptTimeout)
	defer cancel()
	return s.send(limited, echo.AppendInterrupt(nil, s.id), urgent)
}

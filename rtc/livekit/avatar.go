package livekit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	lksdk "github.com/livekit/server-sdk-go/v2"

	"echocast/echo"
)

// Answers to a call.
const (
	answerOK     = "ok"
	answerReject = "reject"
)

// clearAttempt is how long one call of lk.clear_buffer may take before it is repeated: the
// SDK can miss an answer that comes at once. Clearing twice does no harm.
const clearAttempt = 500 * time.Millisecond

// serve handles the avatar's calls.
func (r *Room) serve() error {
	return errors.Join(
		r.room.RegisterRpcMethod(TypePlaybackStarted, r.fromAvatar(r.onStarted)),
		r.room.RegisterRpcMethod(TypePlaybackFinished, r.fromAvatar(r.onFinished)),
	)
}

// fromAvatar accepts calls of the avatar only.
func (r *Room) fromAvatar(handle func(payload string)) lksdk.RpcHandlerFunc {
	return func(call lksdk.RpcInvocationData) (string, error) {
		if call.CallerIdentity != r.options.Avatar {
			return answerReject, nil
		}
		handle(call.Payload)
		return answerOK, nil
	}
}

func (r *Room) onStarted(string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := event(TypePlaybackStarted, nil)
	if e.InferenceID = r.ledger.started(); e.InferenceID != "" {
		e.Kind, e.Role = echo.StartedSpeaking, echo.RolePal
	}
	r.push(e)
}

func (r *Room) onFinished(payload string) {
	e := finishedEvent(payload)
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.InferenceID = r.ledger.finished(e.Duration, e.Interrupted, time.Now()); e.InferenceID != "" {
		e.Kind, e.Role = echo.StoppedSpeaking, echo.RolePal
	}
	r.push(e)
}

// finishedEvent reads the payload of lk.playback_finished. A field that is missing or has
// another type counts as absent, and so does a payload that is not JSON: what matters is
// that the stream has ended.
func finishedEvent(payload string) echo.Event {
	var fields map[string]json.RawMessage
	_ = json.Unmarshal([]byte(payload), &fields)
	e := event(TypePlaybackFinished, fields)
	_ = json.Unmarshal(fields["interrupted"], &e.Interrupted)
	position := -1.0
	field, ok := fields["playback_position"]
	if !ok {
		field = fields["playbackPosition"] // workers in JavaScript may write it so
	}
	if json.Unmarshal(field, &position) == nil && position >= 0 && position < 1e9 {
		e.Duration = time.Duration(position * float64(time.Second))
	}
	return e
}

// event returns an event of a type that echo has no kind for. Its Raw has the form of other
// rooms' events.
func event(what string, properties map[string]json.RawMessage) echo.Event {
	raw, _ := json.Marshal(struct {
		Type       string                     `json:"event_type"`
		Properties map[string]json.RawMessage `json:"properties,omitempty"`
	}{what, properties}) // it was parsed from JSON
	return echo.Event{Type: what, Time: time.Now(), Duration: -1, Raw: raw}
}

// Interrupt closes the stream and tells the avatar to drop what it has not played. It
// returns when the avatar has answered, or has reported that it stopped. In both cases that
// report is an event. ErrRejected means that the avatar obeys another sender.
func (r *Room) Interrupt(ctx context.Context) error {
	if err := r.acquire(ctx); err != nil {
		return speakError(err)
	}
	defer func() { <-r.speakLock }()
	if err := r.interrupt(ctx); err != nil {
		return fmt.Errorf("livekit: interrupt: %w", err)
	}
	return nil
}

func (r *Room) interrupt(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.options.ClearTimeout,
		fmt.Errorf("no answer from the avatar within %v", r.options.ClearTimeout))
	defer cancel()
	r.mu.Lock()
	r.ledger.clear()
	r.mu.Unlock()
	r.note(func(e *entry) { e.isCleared = true })
	if _, err := r.closeStream(ctx); r.stream != nil {
		return err
	}
	if r.avatar() == nil {
		return ErrAvatarGone // the call would fail only after seven seconds
	}
	for {
		err := r.clear(ctx)
		var failed *lksdk.RpcError
		switch {
		case err == nil, r.isStopped():
			return nil
		case errors.Is(err, ErrRejected):
			r.options.Warn("the interrupt had no effect: " + err.Error())
			return err
		case !errors.As(err, &failed) || failed.Code != lksdk.RpcResponseTimeout:
			return err
		}
	}
}

// isStopped reports whether the avatar has reported the end of the utterance.
func (r *Room) isStopped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	opened := r.last != nil && r.last.id == r.next.InferenceID
	return opened && !r.ledger.awaits(r.last.id)
}

// clear makes one call of lk.clear_buffer. The SDK's call cannot be cancelled. If ctx ends,
// clear returns and the call ends later.
func (r *Room) clear(ctx context.Context) error {
	result := make(chan error, 1)
	r.calls.Go(func() { result <- r.callClear() })
	select {
	case err := <-result:
		return err
	case <-r.lifetime.Ended():
		return r.lifetime.Cause()
	case <-r.lifetime.Closing():
	case <-ctx.Done():
	}
	return r.lifetime.Err(ctx)
}

func (r *Room) callClear() error {
	limit := clearAttempt
	answer, err := r.room.LocalParticipant.PerformRpc(lksdk.PerformRpcParams{DestinationIdentity: r.options.Avatar,
		Method: methodClear, ResponseTimeout: &limit})
	switch {
	case err != nil:
		return err
	case *answer == answerReject:
		return ErrRejected
	}
	return nil
}

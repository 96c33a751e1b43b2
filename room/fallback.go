package room

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"echocast/echo"
)

// Fallback is another way to be heard in a room once its replica is lost: the
// microphone of a room that people are in. Where Rejoin finds that the replica has
// left, or has failed failuresBeforeFallback times, it joins this way, and stays with
// it.
type Fallback struct {
	// Address finds the room; nil: it is the same.
	Address func(ctx context.Context) (string, error)
	// Backend joins it; nil: the one that is registered for the address.
	Backend Backend
	// OnFall, if it is set, is called once, before the room is joined this way.
	OnFall func(why error)
}

// failuresBeforeFallback is how often the usual way may fail in a row.
const failuresBeforeFallback = 3

// errReplicaLeft is why a fallback is taken.
var errReplicaLeft = errors.New("the replica has left the room")

// Notice takes note of events that say whether the replica is in the room, for
// Options.Fallback. It is what echo.Options.OnEvent wants.
func (r *Room) Notice(e echo.Event) {
	if e.Role != echo.RolePal || e.Stale {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hasReplicaLeft = e.Kind == echo.KindLeft || e.Kind == echo.KindParticipantLeft
}

// again joins the room again: as before, or by the fallback.
func (r *Room) again(ctx context.Context) (*Connection, error) {
	if why := r.fallbackReason(); why != nil {
		return r.joinFallback(ctx, why)
	}
	now, err := r.join(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failures++
	if r.failed = err; err == nil {
		r.failures = 0
	}
	return now, err
}

// fallbackReason is why the fallback is taken; nil where it is not.
func (r *Room) fallbackReason() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.options.Fallback == nil:
		return nil
	case r.hasFallen, r.hasReplicaLeft:
		return errReplicaLeft
	case r.failures >= failuresBeforeFallback:
		return r.failed
	}
	return nil
}

func (r *Room) joinFallback(ctx context.Context, why error) (*Connection, error) {
	f := r.options.Fallback
	r.mu.Lock()
	isFirst := !r.hasFallen
	r.hasFallen = true
	r.mu.Unlock()
	if isFirst && f.OnFall != nil {
		f.OnFall(why)
	}
	address, backend := r.address, cmp.Or(f.Backend, r.backend)
	if f.Address != nil {
		var err error
		if address, err = f.Address(ctx); err != nil {
			return nil, fmt.Errorf("the room of the fallback: %w", err)
		}
		if backend = f.Backend; backend == nil {
			if backend, err = Lookup(address); err != nil {
				return nil, err
			}
		}
	}
	options := r.options
	options.Microphone, options.WithoutReplica, options.Conversation = true, true, ""
	return backend.Join(ctx, address, &options)
}

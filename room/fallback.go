package room

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"echocast/echo"
)

// Fallback says how Rejoin joins a room once its replica is lost: with a microphone,
// for the people in the room. Rejoin uses it if the replica has left, or after
// failuresBeforeFallback failures in a row, and never goes back.
type Fallback struct {
	// Address finds the room; nil: the same address.
	Address func(ctx context.Context) (string, error)
	// Backend joins the room; nil: the one registered for the address.
	Backend Backend
	// OnFall, if set, is called once, before the fallback joins.
	OnFall func(why error)
}

// failuresBeforeFallback is how often joining may fail in a row before the fallback is
// used.
const failuresBeforeFallback = 3

// errReplicaLeft is the reason for a fallback.
var errReplicaLeft = errors.New("the replica has left the room")

// Notice records from events whether the replica is in the room, for Options.Fallback.
// Use it as echo.Options.OnEvent.
func (r *Room) Notice(e echo.Event) {
	if e.Role != echo.RolePal || e.Stale {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hasReplicaLeft = e.Kind == echo.KindLeft || e.Kind == echo.KindParticipantLeft
}

// again joins the room again: as before, or with the fallback.
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

// fallbackReason returns why to use the fallback; nil: do not.
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

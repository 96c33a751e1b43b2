package room

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"echocast/echo"
)

// Fallback says how Rejoin joins a room when its replica is lost: with a microphone, to
// speak to the people in the room. Rejoin uses it if the replica has left, or after
// failuresBeforeFallback failures in a row. It never goes back to the replica.
type Fallback struct {
	// Address returns the address of the room. If it is nil, the address stays the same.
	Address func(ctx context.Context) (string, error)
	// Backend joins the room. If it is nil, the backend registered for the address does.
	Backend Backend
	// OnFall, if set, is called once, before the fallback joins.
	OnFall func(why error)
}

// failuresBeforeFallback is how often joining may fail in a row before the fallback is
// used.
const failuresBeforeFallback = 3

// errReplicaLeft is a reason to use the fallback.
var errReplicaLeft = errors.New("the replica has left the room")

// Notice records from events whether the replica is in the room, for Options.Fallback. Set
// echo.Options.OnEvent to it.
func (r *Room) Notice(e echo.Event) {
	if e.Role != echo.RolePal || e.Stale {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hasReplicaLeft = e.Kind == echo.KindLeft || e.Kind == echo.KindParticipantLeft
}

// joinAgain rejoins the room, as before or with the fallback.
func (r *Room) joinAgain(ctx context.Context) (*Connection, error) {
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

// fallbackReason returns why to use the fallback, or nil not to use it.
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

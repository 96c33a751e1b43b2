package main

import (
	"context"
	"errors"
	"fmt"

	"echocast/cli"
	"echocast/cluster"
	"echocast/cluster/sharing"
	"echocast/gateway"
	"echocast/internal/option"
)

// shared adapts a cluster to the interface that the gateway needs.
type shared struct{ *cluster.Cluster }

func (s shared) Create(ctx context.Context, id string) (gateway.Ownership, error) {
	h, err := s.Cluster.Create(ctx, id)
	if err != nil {
		return nil, err
	}
	return owned{h}, nil
}

func (s shared) Serve(g *gateway.Gateway) error { return s.Cluster.Serve(adopter{g}) }

// owned adapts a conversation that this node holds to the interface that the gateway needs.
type owned struct{ *cluster.Hold }

func (o owned) Load(ctx context.Context) (*gateway.Saved, error) {
	s, err := o.Hold.Load(ctx)
	if err != nil {
		return nil, err
	}
	saved := &gateway.Saved{Record: s.Record, Events: s.Events, Progress: s.Progress, ProgressAge: s.ProgressAge}
	for _, a := range s.Audio {
		saved.Audio = append(saved.Audio, gateway.SavedAudio(a))
	}
	return saved, nil
}

// adopter adapts a gateway to the interface that the cluster needs.
type adopter struct{ *gateway.Gateway }

func (a adopter) Adopt(id string, h *cluster.Hold, isLastResort bool) (isTaken bool) {
	return a.Gateway.Adopt(id, owned{h}, isLastResort)
}

// openCluster joins the cluster in the options of serve.
func openCluster(ctx context.Context, o *cli.ServeOptions) (*cluster.Cluster, error) {
	with := o.Cluster
	c, err := cluster.Open(ctx, cluster.Options{
		Servers: with.NATS, Dir: with.Dir, Creds: with.Creds, CA: with.CA, Replicas: with.Replicas, Zone: with.Zone,
		Advertise: with.Advertise, Log: o.Log,
	})
	return c, explain(err, &with)
}

// explain adds the option that may help to join the cluster.
func explain(err error, with *sharing.Options) error {
	switch {
	case errors.Is(err, cluster.ErrTooFewServers):
		return &sharing.RefusedError{Err: fmt.Errorf("--nats-replicas %d: %w", with.Replicas, err)}
	case errors.Is(err, cluster.ErrNotAdmitted):
		return &sharing.RefusedError{Err: fmt.Errorf("%w; --nats-creds FILE has those of this node", err)}
	case errors.Is(err, cluster.ErrNoJetStream):
		return &sharing.RefusedError{Err: err}
	case errors.Is(err, cluster.ErrNoRoom):
		return &sharing.RefusedError{Err: fmt.Errorf(
			"%w; raise max_file_store of its servers, or the limits of the account", err)}
	case errors.Is(err, cluster.ErrDirectory):
		return option.Errorf("--data %s: %v", with.Dir, err)
	case errors.Is(err, cluster.ErrUntrusted):
		return &sharing.UnreachableError{Err: fmt.Errorf("%w; --nats-ca FILE names the authorities to trust", err)}
	case errors.Is(err, cluster.ErrUnreachable):
		return &sharing.UnreachableError{Err: fmt.Errorf("--nats %s: %w", with.NATS, err)}
	}
	return err
}

package main

import (
	"context"

	"echocast/cli"
	"echocast/cluster"
	"echocast/gateway"
)

// shared is a cluster as the gateway sees it.
type shared struct{ *cluster.Cluster }

func (s shared) Create(ctx context.Context, id string) (gateway.Ownership, error) {
	h, err := s.Cluster.Create(ctx, id)
	if err != nil {
		return nil, err
	}
	return owned{h}, nil
}

func (s shared) Serve(g *gateway.Gateway) error { return s.Cluster.Serve(adopter{g}) }

// owned is a conversation that this node holds.
type owned struct{ *cluster.Hold }

func (o owned) Load(ctx context.Context) (*gateway.Saved, error) {
	s, err := o.Hold.Load(ctx)
	if err != nil {
		return nil, err
	}
	saved := &gateway.Saved{Record: s.Record, Events: s.Events, Progress: s.Progress}
	for _, a := range s.Audio {
		saved.Audio = append(saved.Audio, gateway.SavedAudio(a))
	}
	return saved, nil
}

// adopter is a gateway as the cluster sees it.
type adopter struct{ *gateway.Gateway }

func (a adopter) Adopt(id string, h *cluster.Hold, isLastResort bool) {
	a.Gateway.Adopt(id, owned{h}, isLastResort)
}

// openCluster joins the cluster that serve was asked for.
func openCluster(ctx context.Context, o *cli.ServeOptions) (*cluster.Cluster, error) {
	with := o.Cluster
	return cluster.Open(ctx, cluster.Options{
		Servers: with.NATS, Dir: with.Dir, Creds: with.Creds, Replicas: with.Replicas, Zone: with.Zone,
		Advertise: with.Advertise, Log: o.Log,
	})
}

//go:build linux

package main

import (
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"echocast/cluster/natstest"
)

// startThreeNATSProcesses starts three servers that are one cluster, and returns their URLs too.
func startThreeNATSProcesses(t *testing.T) (all []*natsProcess, urls string) {
	t.Helper()
	doors, routes := natstest.Doors(t)
	var addresses []string
	for _, door := range doors {
		n := startNATSProcess(t, nil, t.TempDir(), routes)
		door.Lead(n.cluster)
		all = append(all, n)
		addresses = append(addresses, n.url())
	}
	return all, strings.Join(addresses, ",")
}

// signal sends a signal to processes.
func signal(t *testing.T, what syscall.Signal, all ...*natsProcess) {
	t.Helper()
	for _, n := range all {
		if err := n.process.Signal(what); err != nil {
			t.Fatal(err)
		}
	}
}

// sortByLease puts the server that writes the leases first.
func sortByLease(t *testing.T, all []*natsProcess, urls string) {
	t.Helper()
	conn, err := nats.Connect(urls)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	leases, err := must(jetstream.New(conn)).Stream(t.Context(), "KV_echocast-v1-leases")
	if err != nil {
		t.Fatal(err)
	}
	leader := slices.IndexFunc(all, func(n *natsProcess) bool { return n.name == leases.CachedInfo().Cluster.Leader })
	if leader < 0 {
		t.Fatalf("NATS has no leader: %+v", leases.CachedInfo().Cluster)
	}
	all[0], all[leader] = all[leader], all[0]
}

// isHeld reports whether one of the nodes holds a conversation.
func isHeld(t *testing.T, nodes []*gatewayProcess, conversation string) bool {
	t.Helper()
	return slices.ContainsFunc(nodes, func(g *gatewayProcess) bool {
		return g.ask(t, http.MethodGet, conversation) == http.StatusOK
	})
}

// A conversation continues when the server of NATS that writes the leases is away for longer than
// a lease and comes back, and when two of three are: also where no other gateway could take it.
func TestNATSServersThatPause(t *testing.T) {
	t.Parallel()
	for name, gateways := range map[string]int{"one gateway": 1, "two gateways": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			three, urls := startThreeNATSProcesses(t)
			var nodes []*gatewayProcess
			for range gateways {
				nodes = append(nodes, startGateway(t, nil, "--rehearse", "--nats", urls, "--nats-replicas", "3"))
			}
			node := nodes[len(nodes)-1]
			conversation := nodes[0].create(t, `{"to":"rehearsal"}`)
			said := []string{node.say(t, conversation, ramp(2))}
			sortByLease(t, three, urls)
			signal(t, syscall.SIGSTOP, three[0])
			said = append(said, node.say(t, conversation, ramp(1)))
			signal(t, syscall.SIGCONT, three[0])
			said = append(said, node.say(t, conversation, ramp(1)))
			signal(t, syscall.SIGSTOP, three[:2]...)
			await(t, func() bool { return !isHeld(t, nodes, conversation) })
			signal(t, syscall.SIGCONT, three[:2]...)
			said = append(said, node.say(t, conversation, ramp(1)))
			node.checkFinished(t, conversation, said...)
		})
	}
}

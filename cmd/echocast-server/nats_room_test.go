//go:build unix

package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"echocast/cluster/natstest"
)

// checkFinished checks how utterances end.
func (g *gatewayProcess) checkFinished(t *testing.T, conversation string, utterances ...string) {
	t.Helper()
	for _, utterance := range utterances {
		if u := g.waitOver(t, conversation, utterance); u.Receipt.Outcome != "finished" {
			t.Errorf("an utterance ended so: %+v", u)
		}
	}
}

// isReady reports whether the gateway says that it accepts conversations.
func (g *gatewayProcess) isReady(t *testing.T) bool {
	t.Helper()
	answer, err := http.Get(strings.TrimSuffix(g.url, "/v1/conversations") + "/readyz") //nolint:noctx // of this machine
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close() // only the status counts
	return answer.StatusCode == http.StatusOK
}

// awaitRefusals waits until the gateway says that it accepts nothing. Until then, each request to
// speak has to be refused: where all is full again and again, its audio cannot be stored.
func (g *gatewayProcess) awaitRefusals(t *testing.T, conversation string, fill func()) {
	t.Helper()
	await(t, func() bool {
		fill()
		_, status := g.trySay(t, conversation, "refused", ramp(20))
		if status != http.StatusServiceUnavailable && status != http.StatusInsufficientStorage {
			t.Fatalf("speech that cannot be stored: status %d", status)
		}
		return !g.isReady(t)
	})
	var p struct{ Status int }
	status := g.post(g.url, strings.NewReader(`{"to":"rehearsal"}`), &p)
	if status != http.StatusServiceUnavailable && status != http.StatusInsufficientStorage || p.Status != status {
		t.Errorf("a creation that cannot be stored: status %d", status)
	}
}

// If other streams take all that the server or the account may store, the gateway accepts nothing
// until some of it is free. Then it continues by itself. What it had acknowledged is said.
func TestNATSWithoutRoom(t *testing.T) {
	t.Parallel()
	const limit = 10 << 20
	for name, start := range map[string]func(*testing.T) string{
		"the limit of the server": func(t *testing.T) string {
			return natstest.URLs(natstest.Start(t, &server.Options{JetStreamMaxStore: limit}))
		},
		"the limit of the account": func(t *testing.T) string {
			return natstest.StartAccount(t, server.JetStreamAccountLimits{MaxStore: limit})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := start(t)
			node := startGateway(t, nil, "--rehearse", "--nats", url)
			conversation := node.create(t, `{"to":"rehearsal"}`)
			conn := must(nats.Connect(url))
			defer conn.Close()
			js := must(jetstream.New(conn))
			foreign := must(js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "foreign", Subjects: []string{"foreign"}}))
			said := node.say(t, conversation, ramp(3))
			node.awaitRefusals(t, conversation, func() {
				for _, size := range []int{256 << 10, 4 << 10, 1} {
					for err := error(nil); err == nil; {
						_, err = js.Publish(t.Context(), "foreign", make([]byte, size))
					}
				}
			})
			if err := foreign.Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
			node.checkFinished(t, conversation, said, node.say(t, conversation, ramp(1)))
			await(t, func() bool { return node.isReady(t) })
		})
	}
}

// A node that is cut off from NATS is not ready, so that new conversations go to others. When the
// network is whole again, it is.
func TestCutOffNodeIsNotReady(t *testing.T) {
	t.Parallel()
	cable := natstest.NewProxy(t, natstest.Address(natstest.Start(t, nil)))
	node := startGateway(t, nil, "--rehearse", "--nats", "nats://"+cable.Address())
	node.create(t, `{"to":"rehearsal"}`)
	cable.Cut()
	await(t, func() bool { return !node.isReady(t) })
	cable.Heal()
	await(t, func() bool { return node.isReady(t) })
}

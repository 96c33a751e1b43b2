package cluster

import (
	"errors"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"echocast/cluster/natstest"
)

// storeOf starts a server whose streams may reserve so many bytes.
func storeOf(t testing.TB, bytes int64) *server.Server {
	t.Helper()
	return natstest.Start(t, &server.Options{JetStreamMaxStore: bytes})
}

// Where NATS, or the account, has no room for 4 GiB of audio, the stream has a half, a quarter
// and so on.
func TestAudioFitsIntoTheStore(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	for name, c := range map[string]struct {
		start func(testing.TB) string
		o     Options
		want  int64
	}{
		"room": {startNATS, Options{}, maxAudioBytes},
		"a small store": {func(t testing.TB) string {
			return natstest.URLs(storeOf(t, 100*mib))
		}, Options{}, 64 * mib},
		"three small stores": {func(t testing.TB) string {
			return natstest.URLs(natstest.StartThreeWith(t, 100*mib)...)
		}, Options{Replicas: 3}, 64 * mib},
		"a small account": {func(t testing.TB) string {
			return natstest.StartAccount(t, server.JetStreamAccountLimits{MaxStore: 10 * mib})
		}, Options{}, 8 * mib},
		"an account that wants limits": {func(t testing.TB) string {
			return natstest.StartAccount(t, server.JetStreamAccountLimits{
				MaxStore: -1, StoreMaxStreamBytes: 40 * mib, MaxBytesRequired: true,
			})
		}, Options{}, 32 * mib},
		"a small account that wants limits": {func(t testing.TB) string {
			return natstest.StartAccount(t, server.JetStreamAccountLimits{MaxStore: 12 * mib, MaxBytesRequired: true})
		}, Options{}, 8 * mib},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.o.Servers, c.o.TTL = c.start(t), still
			for _, which := range []string{"first", "second"} {
				n := openNode(t, c.o)
				if got := n.audio.CachedInfo().Config.MaxBytes; got != c.want {
					t.Errorf("the %s node has %d bytes for audio; want %d", which, got, c.want)
				}
				h, err := n.Create(t.Context(), which)
				if err == nil {
					err = h.AddAudio(t.Context(), "u1", make([]byte, 1000))
				}
				if err != nil {
					t.Errorf("the %s node: %v", which, err)
				}
			}
		})
	}
}

// A server that has less room than before refuses every update of a stream. What is there
// remains, with what is stored.
func TestStoreThatHasShrunk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before := natstest.Start(t, &server.Options{StoreDir: dir})
	first, err := Open(t.Context(), Options{Servers: before.ClientURL(), TTL: still})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.js.Publish(t.Context(), audioSubject+"c1.u1", []byte("audio")); err != nil {
		t.Fatal(err)
	}
	_ = first.Close()
	before.Shutdown()
	before.WaitForShutdown()
	after := natstest.Start(t, &server.Options{StoreDir: dir, JetStreamMaxStore: 10 << 20})
	next, err := Open(t.Context(), Options{Servers: after.ClientURL(), TTL: still})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = next.Close() })
	if got := next.audio.CachedInfo(); got.Config.MaxBytes != maxAudioBytes || got.State.Msgs != 1 {
		t.Errorf("%d bytes for audio, with %d messages", got.Config.MaxBytes, got.State.Msgs)
	}
}

// A node does not join where there is no room for anything, and does not blame the number of
// servers.
func TestStoreWithoutRoom(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"one server":    {Servers: natstest.URLs(storeOf(t, 500_000))},
		"three servers": {Servers: natstest.URLs(natstest.StartThreeWith(t, 500_000)...), Replicas: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := Open(t.Context(), o)
			if err == nil {
				_ = c.Close()
			}
			if !errors.Is(err, ErrNoRoom) || errors.Is(err, ErrTooFewServers) {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// An embedded server stores as much audio as it has, and half of what the disk has left: what is
// stored does not take the place of new audio.
func TestAudioOfAnEmbeddedServer(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	for _, c := range []struct{ free, stored, want int64 }{
		{-1, 0, maxAudioBytes}, {100 * gib, 0, maxAudioBytes}, {gib, 0, gib / 2}, {gib, 2 * gib, 5 * gib / 2},
		{0, 0, leastBytes}, {0, gib, gib}, {100 * gib, 3 * gib, maxAudioBytes},
	} {
		if got := maxAudio(c.free, c.stored); got != c.want {
			t.Errorf("%d bytes are free, %d stored: %d; want %d", c.free, c.stored, got, c.want)
		}
	}
}

package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"echocast/internal/testwait"
)

// Two servers would damage each other's files: the second one is refused until the first has
// ended.
func TestOneEmbeddedServerUsesADirectory(t *testing.T) {
	t.Parallel()
	o := Options{Servers: Embedded, Dir: t.TempDir()}
	first, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := Open(t.Context(), o); !errors.Is(err, ErrDirectory) {
		t.Errorf("the second one: %v", err)
		if err == nil {
			_ = second.Close()
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	next, err := Open(t.Context(), o)
	if err != nil {
		t.Fatalf("after the first has ended: %v", err)
	}
	_ = next.Close()
}

// An embedded server that cannot use its directory says so at once. NATS itself has that only
// in its log.
func TestEmbeddedServerReportsItsDirectory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	inside := t.TempDir()
	for _, name := range []string{file, filepath.Join(inside, "jetstream")} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, dir := range map[string]string{"a file": file, "a file where NATS needs a folder": inside} {
		if c, err := Open(t.Context(), Options{Servers: Embedded, Dir: dir}); !errors.Is(err, ErrDirectory) {
			t.Errorf("%s: %v", name, err)
			if err == nil {
				_ = c.Close()
			}
		}
	}
}

// silentBucket answers a write only when its context ends, or at once with an error.
type silentBucket struct {
	jetstream.KeyValue
	asked chan struct{}
	fails bool
}

func (b silentBucket) Put(ctx context.Context, _ string, _ []byte) (uint64, error) {
	select {
	case b.asked <- struct{}{}:
	default:
	}
	if b.fails {
		return 0, errors.New("no space")
	}
	<-ctx.Done()
	return 0, ctx.Err()
}

// A node that ends while it asks whether its embedded server writes, or restarts the store,
// leaves no store open: the next process may use its files at once.
func TestClosedNodeRestartsNoStore(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]bool{"while it asks": false, "while it restarts": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if fails && testwait.HasRaceDetector {
				t.Skip("NATS writes a field without its lock when it starts its store again")
			}
			c, err := Open(t.Context(), Options{Servers: Embedded, Dir: t.TempDir(), TTL: time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			bucket := silentBucket{c.progress, make(chan struct{}, 1), fails}
			c.progress = bucket
			if before := errors.New("full"); fails {
				c.failure.Store(&before) // then one failure is enough
			}
			c.noteUnwritten()
			testwait.Receive(t, bucket.asked)
			_ = c.Close() // never fails
			if c.Failure() != nil && !fails {
				t.Errorf("it reports %v", c.Failure())
			}
			if c.server.JetStreamEnabled() {
				t.Error("the store is open after the end")
			}
		})
	}
}

// Where it is unknown how much is free, as on Windows, no message says that nothing is.
func TestUnknownFreeSpaceIsNotNamed(t *testing.T) {
	t.Parallel()
	for free, want := range map[int64]string{-1: "d", 0: "d, where 0 bytes are free"} {
		if got := withFree("d", free); got != want {
			t.Errorf("%d: %q; want %q", free, got, want)
		}
	}
}

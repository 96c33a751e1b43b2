package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"echocast/internal/sleep"
)

// A disk with less than leastFree bytes is full. How often repair asks NATS to write, and how long
// NATS may take: longer than its servers need to choose a leader.
const (
	leastFree      = 1 << 20
	repairInterval = time.Second
	writeTimeout   = 10 * time.Second
)

// Failure returns why nothing can be stored now, or nil. It is a context.DeadlineExceeded if NATS
// does not answer.
func (c *Cluster) Failure() error {
	if err := c.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// noteUnwritten lets repair look after a write that failed.
func (c *Cluster) noteUnwritten() {
	select {
	case c.unwritten <- struct{}{}:
	default:
	}
}

// repair asks NATS to write after a write that failed, until it does. It restarts the store of an
// embedded server when there is room on its disk again: after one write that failed, NATS does
// not write to that file any more. Other servers have to be restarted by hand.
func (c *Cluster) repair(ctx context.Context) {
	for {
		select {
		case <-c.unwritten:
		case <-ctx.Done():
			return
		}
		for err := c.askToWrite(ctx); err != nil && ctx.Err() == nil; err = c.askToWrite(ctx) {
			if c.setFailure(err) {
				c.log.Error("nothing can be stored", "error", err)
			}
			if free := freeBytes(c.options.Dir); c.server != nil && (free < 0 || free >= leastFree) {
				c.restartStore()
			}
			_ = sleep.For(ctx, repairInterval) // ctx is looked at above
		}
		if ctx.Err() == nil && c.failure.Swap(nil) != nil {
			c.log.Info("NATS writes again")
		}
	}
}

// setFailure sets what Failure returns. It reports whether there was none.
func (c *Cluster) setFailure(err error) (isFirst bool) { return c.failure.Swap(&err) == nil }

// withFree returns a directory, and how many bytes are free there; less than 0: unknown.
func withFree(dir string, free int64) string {
	if free < 0 {
		return dir
	}
	return fmt.Sprintf("%s, where %d bytes are free", dir, free)
}

// askToWrite returns why NATS does not write, or nil.
func (c *Cluster) askToWrite(ctx context.Context) error {
	if c.server == nil {
		if err := c.awaitWrites(ctx); err != nil {
			return fmt.Errorf("NATS does not write: %w", err)
		}
		return nil
	}
	free := freeBytes(c.options.Dir)
	if free >= 0 && free < leastFree || c.hasStopped() || c.awaitWrites(ctx) != nil {
		return fmt.Errorf("NATS cannot write in %s: free some space", withFree(c.options.Dir, free))
	}
	return nil
}

// awaitWrites waits until NATS writes to each stream, or says that it has no room. If something
// could not be stored before, it asks once.
func (c *Cluster) awaitWrites(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	for {
		err := c.probe(ctx)
		if err == nil || isRefused(err) || ctx.Err() != nil || c.Failure() != nil {
			return err
		}
		_ = sleep.For(ctx, retryInterval) // ctx is looked at above
	}
}

// probe writes to each stream what no node reads: after a full disk, NATS may write to some of
// them only. A lease that is removed was held by nobody.
func (c *Cluster) probe(ctx context.Context) error {
	const name = "probe"
	publish := func(subject string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := c.js.Publish(ctx, subject, nil)
			return err
		}
	}
	for _, write := range []func(context.Context) error{
		func(ctx context.Context) error { _, err := c.progress.Put(ctx, name, nil); return err },
		func(ctx context.Context) error { _, err := c.conversations.Put(ctx, name, nil); return err },
		func(ctx context.Context) error { return c.leases.Purge(ctx, name, jetstream.PurgeTTL(markerTTL)) },
		publish(eventsSubject + name), publish(audioSubject + name + "." + name),
	} {
		within, cancel := c.bounded(ctx)
		err := write(within)
		cancel()
		if err != nil && !hasCode(err, storeFailed) { // its own limit is reached, and that alone
			return err
		}
	}
	return nil
}

// hasStopped reports whether the embedded server has stopped to write to one of its streams. It
// knows sooner than probe.
func (c *Cluster) hasStopped() bool {
	for _, failure := range c.server.Healthz(&server.HealthzOptions{Details: true}).Errors {
		if failure.Type == server.HealthzErrorStream {
			c.log.Warn("NATS has stopped to write to a stream", "error", failure.Error)
			return true
		}
	}
	return false
}

func (c *Cluster) restartStore() {
	err := c.server.ShutdownJetStream()
	if err == nil {
		err = c.server.EnableJetStream(&server.JetStreamConfig{StoreDir: c.options.Dir, MaxStore: maxReserved})
	}
	if err != nil {
		c.log.Error("NATS does not start again", "error", err)
	}
}

package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"echocast/internal/sleep"
)

// A disk with less than leastFree bytes is full. How often repair looks at it, and how long an
// embedded server may take to write, where the disk is not full.
const (
	leastFree      = 1 << 20
	repairInterval = time.Second
	writeTimeout   = 10 * time.Second
)

// Failure returns why nothing can be stored now, or nil. Only the embedded server is watched.
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

// repair restarts the store of an embedded server when there is room on its disk again: after
// one write that failed, NATS does not write to that file any more.
func (c *Cluster) repair(ctx context.Context) {
	for {
		select {
		case <-c.unwritten:
		case <-ctx.Done():
			return
		}
		for !c.canWrite(ctx) {
			if ctx.Err() != nil {
				return
			}
			free := freeBytes(c.options.Dir)
			err := fmt.Errorf("NATS cannot write in %s", withFree(c.options.Dir, free))
			if c.failure.Swap(&err) == nil {
				c.log.Error("NATS cannot write: free some space", "directory", c.options.Dir, "free_bytes", free)
			}
			if free < 0 || free >= leastFree {
				c.restartStore()
			}
			_ = sleep.For(ctx, repairInterval) // ctx is looked at above
		}
		if c.failure.Swap(nil) != nil {
			c.log.Info("NATS writes again", "directory", c.options.Dir)
		}
	}
}

// withFree returns a directory, and how many bytes are free there; less than 0: unknown.
func withFree(dir string, free int64) string {
	if free < 0 {
		return dir
	}
	return fmt.Sprintf("%s, where %d bytes are free", dir, free)
}

// canWrite reports whether the embedded server writes. If ctx ends first, it reports false.
func (c *Cluster) canWrite(ctx context.Context) bool {
	if free := freeBytes(c.options.Dir); free >= 0 && free < leastFree {
		return false
	}
	if c.hasStopped() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	for {
		within, cancel := c.bounded(ctx)
		_, err := c.progress.Put(within, "probe", nil)
		cancel()
		if err == nil || ctx.Err() != nil || c.Failure() != nil {
			return err == nil
		}
		_ = sleep.For(ctx, retryInterval) // ctx is looked at above
	}
}

// hasStopped reports whether the embedded server has stopped to write to one of its streams. It
// may still write to the stream of the probe, if nothing was written there on the full disk.
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

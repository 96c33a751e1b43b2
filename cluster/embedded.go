package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
	"github.com/nats-io/nats-server/v2/server"

	"echocast/internal/text"
)

// startTimeout is how long an embedded server may take to start.
const startTimeout = 30 * time.Second

// maxReserved is how much the streams of an embedded server may reserve: more than they do. The
// server would otherwise refuse them on a disk with less than 6 GB left.
const maxReserved = 1 << 40

// embedded is a NATS server that only this process reaches. It holds a lock on its directory:
// NATS takes none, and two servers would damage each other's files.
type embedded struct {
	*server.Server
	lock *flock.Flock
}

// startServer starts an embedded server with its files in dir. The error is an ErrDirectory if
// dir cannot be used.
func startServer(dir string) (*embedded, error) {
	lock, err := lockDirectory(dir)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w: %w", ErrDirectory, text.WithoutPath(err))
	}
	s, err := server.NewServer(&server.Options{
		ServerName: "echocast", DontListen: true, JetStream: true, StoreDir: dir, NoLog: true, NoSigs: true,
		JetStreamMaxStore: maxReserved,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cluster: embedded NATS: %w", err), lock.Unlock())
	}
	e := &embedded{s, lock}
	failed := make(startLog, 1)
	s.SetLogger(failed, false, false)
	s.Start()
	select {
	case why := <-failed:
		e.stop()
		return nil, fmt.Errorf("cluster: %w: %s", ErrDirectory, why)
	default:
	}
	if !s.ReadyForConnections(startTimeout) || !s.JetStreamEnabled() {
		e.stop()
		return nil, fmt.Errorf("cluster: embedded NATS did not start in %s", dir)
	}
	return e, nil
}

// lockDirectory makes dir, and locks it for this process.
func lockDirectory(dir string) (*flock.Flock, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	isLocked, err := lock.TryLock()
	if err == nil && !isLocked {
		err = errors.New("another process uses it")
	}
	return lock, err
}

// stop ends the server, and lets others use its directory.
func (e *embedded) stop() {
	e.Shutdown()
	e.WaitForShutdown()
	_ = e.lock.Unlock() // closing the file unlocks it too
}

// startLog receives why a server does not start: that is only in its log.
type startLog chan string

func (l startLog) Fatalf(format string, v ...any) {
	select {
	case l <- fmt.Sprintf(format, v...):
	default:
	}
}

func (startLog) Errorf(string, ...any)  {}
func (startLog) Warnf(string, ...any)   {}
func (startLog) Noticef(string, ...any) {}
func (startLog) Debugf(string, ...any)  {}
func (startLog) Tracef(string, ...any)  {}

// Package cluster lets several gateways share their conversations by NATS JetStream, so that a
// conversation outlives the node that holds it.
//
// Each conversation has a record in a key-value bucket that says which node holds it: a lease,
// by the rules of package lease. The holder stores the conversation's description, its events
// and the audio that was not heard yet. If it does not renew the lease, another node claims
// the conversation, loads what is stored and continues.
//
// All names in NATS contain the version of the format:
//
//	bucket echocast-v1-leases          ID → {"node","address","zone","claim"}; no node: released
//	bucket echocast-v1-conversations   ID → what the gateway needs to take the conversation over
//	bucket echocast-v1-progress        ID → {"claim","data"}: how far an utterance is
//	stream echocast-v1-events          echocast.v1.events.ID: batches of events, in order
//	stream echocast-v1-audio           echocast.v1.audio.ID.UTTERANCE: unspoken audio
//	subject echocast.v1.place          who has a free slot? {"node","address","zone","free","late"}
//
// Each append to the events names the sequence of the batch before, as each write of a lease
// names the revision before: a node that has lost the lease without noticing cannot append. A
// full stream of audio refuses new audio and drops none.
package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"echocast/cluster/lease"
)

// Embedded, as the value of Options.Servers, runs a NATS server in this process, for one node.
const Embedded = "embedded"

// DefaultTTL is how long a lease holds.
const DefaultTTL = 2 * time.Second

// Errors that callers may test with errors.Is.
var (
	// ErrHeld says that another node holds the conversation.
	ErrHeld = errors.New("another node holds the conversation")
	// ErrLost says that this node no longer holds the conversation.
	ErrLost = errors.New("this node does not hold the conversation any more")

	// Why a node cannot join.

	// ErrDirectory says that an embedded server cannot keep its files in Options.Dir.
	ErrDirectory = errors.New("embedded NATS cannot keep its files there")
	// ErrUnreachable says that no server of NATS answers as one.
	ErrUnreachable = errors.New("no server of NATS can be reached")
	// ErrUntrusted says that nobody whom this node trusts has signed a server's certificate.
	ErrUntrusted = errors.New("the certificate of NATS is not trusted")
	// ErrNotAdmitted says that NATS does not accept the credentials.
	ErrNotAdmitted = errors.New("NATS does not accept the credentials")
	// ErrNoJetStream says that the servers, or the account, have no JetStream.
	ErrNoJetStream = errors.New("NATS has no JetStream for this account")
	// ErrTooFewServers says that there are fewer servers than replicas.
	ErrTooFewServers = errors.New("NATS has fewer servers than that")
	// ErrNoRoom says that the servers, or the limits of the account, have no room even for the
	// smallest streams.
	ErrNoRoom = errors.New("NATS has no room for the streams")
)

// Options configure how a node joins the cluster.
type Options struct {
	// Servers are URLs of NATS, separated by commas, or Embedded.
	Servers string
	// Dir is the directory in which an embedded server keeps its files. One process at a time
	// may use it.
	Dir string
	// Creds is a file of NATS credentials; empty: none.
	Creds string
	// CA is a file (PEM) with the certificate authorities of NATS; empty: those of the system.
	CA string
	// Replicas is how many NATS servers keep each stream; 0: 1.
	Replicas int
	// Zone is a label. A conversation is placed in the zone of the node that got the request,
	// and taken over in the same zone, if a node there has a slot.
	Zone string
	// Advertise is the URL at which the other nodes reach this one.
	Advertise string
	// TTL is how long a lease is valid; it must be the same on all nodes; 0: DefaultTTL.
	TTL time.Duration
	// Log receives what the cluster does; nil: it logs nothing.
	Log *slog.Logger
}

// Cluster is this node's connection to the cluster. Its methods may be called from any
// goroutine.
type Cluster struct {
	options Options
	lease   lease.Options
	node    string
	log     *slog.Logger

	server                          *embedded // nil unless there is one
	conn                            *nats.Conn
	js                              jetstream.JetStream
	leader                          nats.JetStreamContext // reads from the leader of a stream
	leases, conversations, progress jetstream.KeyValue
	audio                           jetstream.Stream

	cancel  context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	entries map[string]*entry
	gateway Gateway

	adopting sync.Mutex

	repairing sync.WaitGroup
	unwritten chan struct{}         // has an element when a write has failed
	failure   atomic.Pointer[error] // why nothing can be stored
}

// Open joins the cluster. Close leaves it.
func Open(ctx context.Context, o Options) (*Cluster, error) {
	c := &Cluster{options: o, node: randomHex(8), log: o.Log, entries: map[string]*entry{},
		unwritten: make(chan struct{}, 1)}
	c.lease.TTL = cmp.Or(o.TTL, DefaultTTL)
	c.lease.Margin = c.lease.TTL / 10
	c.options.Replicas = cmp.Or(o.Replicas, 1)
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	watching, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.cancel = cancel
	if err := c.join(ctx, watching); err != nil {
		cancel()
		c.disconnect()
		c.running.Wait()
		if o.Servers == Embedded {
			err = fmt.Errorf("embedded NATS in %s: %w", withFree(o.Dir, freeBytes(o.Dir)), err)
		}
		return nil, fmt.Errorf("cluster: %w", err)
	}
	c.repairing.Go(func() { c.repair(watching) })
	c.running.Go(func() { c.renew(watching) })
	return c, nil
}

// How long joining may take with all attempts, and how long one attempt may take.
const (
	joinTimeout = 2 * time.Minute
	tryTimeout  = 3 * time.Second
	joinPause   = 500 * time.Millisecond
)

// Codes of errors of JetStream (https://github.com/nats-io/nats-server, server/errors.json).
const (
	noPeers               jetstream.ErrorCode = 10005 // the text says what they lack
	insufficientResources jetstream.ErrorCode = 10023
	noStorage             jetstream.ErrorCode = 10047
	notClustered          jetstream.ErrorCode = 10074
	storeFailed           jetstream.ErrorCode = 10077 // the stream has reached a limit of its own
	limitsRequired        jetstream.ErrorCode = 10113
	tooLargeAStream       jetstream.ErrorCode = 10122
	stillWriting          jetstream.ErrorCode = 10158

	failed, busy = 500, 503 // of HTTP
)

// hasCode reports whether JetStream has answered with one of the codes.
func hasCode(err error, codes ...jetstream.ErrorCode) bool {
	answer, ok := errors.AsType[*jetstream.APIError](err)
	return ok && slices.Contains(codes, answer.ErrorCode)
}

// hasNoRoom reports whether JetStream has no room for a stream of that size.
func hasNoRoom(err error) bool {
	return hasCode(err, noStorage, tooLargeAStream) ||
		hasCode(err, noPeers) && strings.Contains(err.Error(), "insufficient storage")
}

// refusal returns why JetStream does not create what this node needs. It returns nil for errors
// that pass, such as a missing leader.
func refusal(err error) error {
	answer, ok := errors.AsType[*jetstream.APIError](err)
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("%w: %w", ErrNoJetStream, err)
	case !ok:
		return nil
	case hasNoRoom(err):
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	case hasCode(err, noPeers, notClustered):
		return fmt.Errorf("%w: %w", ErrTooFewServers, err)
	case answer.Code == busy:
		return nil
	}
	return err
}

// join creates the buckets and streams, and reads the existing leases. While NATS elects a
// leader, requests are lost or refused, so join repeats everything.
func (c *Cluster) join(ctx, watching context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	for {
		err := c.create(ctx)
		if err == nil {
			break
		}
		if why := refusal(err); why != nil {
			return why
		}
		c.log.Warn("NATS is not ready", "error", err)
		select {
		case <-time.After(joinPause):
		case <-ctx.Done():
			return err
		}
	}
	if size := c.audio.CachedInfo().Config.MaxBytes; size < maxAudioBytes {
		c.log.Info("NATS has no room for the usual amount of audio", "bytes", size, "usual", int64(maxAudioBytes))
	}
	known := make(chan struct{})
	c.running.Go(func() { c.watch(watching, sync.OnceFunc(func() { close(known) })) })
	select {
	case <-known:
		return nil
	case <-ctx.Done():
		return errNotKnown
	}
}

// errNotKnown says that NATS has not listed the conversations.
var errNotKnown = errors.New("NATS did not list the conversations in time")

// connect connects to NATS. It starts an embedded server first, if one is configured.
func (c *Cluster) connect(ctx context.Context) (err error) {
	options := []nats.Option{
		nats.Name("echocast " + c.node), nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond), nats.PingInterval(5 * time.Second),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.log.Warn("NATS", "error", err) }),
		nats.DisconnectErrHandler(c.onDisconnect),
		nats.ReconnectHandler(func(*nats.Conn) { c.log.Info("NATS is connected again") }),
	}
	if c.options.Creds != "" {
		options = append(options, nats.UserCredentials(c.options.Creds))
	}
	if c.options.CA != "" {
		options = append(options, nats.RootCAs(c.options.CA))
	}
	servers := c.options.Servers
	if servers == Embedded {
		if c.server, err = startServer(c.options.Dir); err != nil {
			return err
		}
		servers, options = "", append(options, nats.InProcessServer(c.server))
	}
	for try := 1; ; try++ {
		c.conn, err = nats.Connect(servers, options...)
		if !isTimeout(err) || try == connectTries || ctx.Err() != nil {
			break
		}
		c.log.Warn("NATS does not answer", "error", err)
	}
	if err != nil {
		c.disconnect()
		return fmt.Errorf("cluster: %w: %w", connectError(err), err)
	}
	c.js, err = jetstream.New(c.conn)
	if err == nil {
		c.leader, err = c.conn.JetStream()
	}
	if err != nil {
		c.disconnect()
	}
	return err
}

// connectTries is how often connect tries where NATS does not answer in time: on a busy machine it
// may take longer than the two seconds of one try.
const connectTries = 5

func isTimeout(err error) bool {
	timed, ok := errors.AsType[net.Error](err)
	return errors.Is(err, nats.ErrTimeout) || ok && timed.Timeout()
}

// connectError is the kind of an error of connecting.
func connectError(err error) error {
	_, isUntrusted := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case isUntrusted:
		return ErrUntrusted
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked),
		errors.Is(err, nats.ErrAccountAuthExpired):
		return ErrNotAdmitted
	}
	return ErrUnreachable
}

// onDisconnect says that NATS is away, unless this node has left. A node that holds nothing has no
// write that fails, so it has to be told to ask whether NATS writes.
func (c *Cluster) onDisconnect(_ *nats.Conn, err error) {
	if err != nil {
		c.log.Warn("NATS is unreachable", "error", err)
		c.noteUnwritten()
	}
}

// disconnect closes the connection and ends the embedded server.
func (c *Cluster) disconnect() {
	if c.conn != nil {
		c.conn.Close()
	}
	if c.server != nil {
		c.server.stop()
	}
}

// Node returns the name of this node. No other node and no later run has the same.
func (c *Cluster) Node() string { return c.node }

// Close leaves the cluster. The leases of conversations that this node still holds expire.
func (c *Cluster) Close() error {
	c.cancel()
	c.repairing.Wait() // it may be starting the store, which would outlive the server
	c.disconnect()
	c.running.Wait()
	return nil
}

// requestTimeout bounds a request to NATS, so that a second one fits into the lease.
func (c *Cluster) requestTimeout() time.Duration { return c.lease.TTL / 4 }

func (c *Cluster) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.requestTimeout())
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

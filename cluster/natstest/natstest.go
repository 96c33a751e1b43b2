// Package natstest starts servers of NATS in the process of a test, and cuts them off.
package natstest

import (
	"cmp"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"echocast/internal/proxytest"
)

// startTimeout is how long a server may take until it answers, on a busy machine.
const startTimeout = time.Minute

// maxReserved is how much streams may reserve unless a test says otherwise: a server would take
// three quarters of what is free on this machine's disk.
const maxReserved = 1 << 40

// Start starts a server with JetStream on a free port, and stops it when the test ends. Options
// must not be shared with another server; nil means the least that JetStream needs.
func Start(t testing.TB, o *server.Options) *server.Server {
	t.Helper()
	if o == nil {
		o = &server.Options{}
	}
	if o.StoreDir == "" {
		o.StoreDir = t.TempDir()
	}
	s, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

// Run starts a server with JetStream on a free port, with its files in o.StoreDir. The caller
// stops it.
func Run(o *server.Options) (*server.Server, error) {
	o.Host, o.Port, o.JetStream, o.NoLog, o.NoSigs = "127.0.0.1", server.RANDOM_PORT, true, true, true
	o.JetStreamMaxStore = cmp.Or(o.JetStreamMaxStore, maxReserved)
	s, err := server.NewServer(o)
	if err != nil {
		return nil, err
	}
	s.Start()
	if !s.ReadyForConnections(startTimeout) {
		s.Shutdown()
		return nil, errors.New("NATS does not start")
	}
	return s, nil
}

// StartAccount starts a server with an account that has such limits, and returns its URL.
func StartAccount(t testing.TB, limits server.JetStreamAccountLimits) (clientURL string) {
	t.Helper()
	account := server.NewAccount("A")
	s := Start(t, &server.Options{
		Accounts: []*server.Account{account}, Users: []*server.User{{Username: "a", Password: "a", Account: account}},
	})
	limits.MaxMemory, limits.MaxStreams, limits.MaxConsumers = -1, -1, -1
	account, err := s.LookupAccount("A")
	if err != nil {
		t.Fatal(err)
	}
	if err := account.EnableJetStream(map[string]server.JetStreamAccountLimits{"": limits}, nil); err != nil {
		t.Fatal(err)
	}
	return "nats://a:a@" + Address(s)
}

// StartThree starts three servers that are one cluster.
func StartThree(t testing.TB) []*server.Server {
	t.Helper()
	return StartThreeWith(t, maxReserved)
}

// StartThreeWith is StartThree where the streams of each server may reserve so many bytes.
func StartThreeWith(t testing.TB, maxStore int64) []*server.Server {
	t.Helper()
	doors, routes := Doors(t)
	var all []*server.Server
	for i, door := range doors {
		o := Member("n"+string(rune('1'+i)), routes)
		o.JetStreamMaxStore = maxStore
		s := Start(t, o)
		door.Lead(s.ClusterAddr().String())
		all = append(all, s)
	}
	return all
}

// Doors are where three servers of one cluster find each other: they have their addresses before
// the servers have theirs. The routes are as in the settings of NATS.
func Doors(t testing.TB) (doors []*proxytest.Proxy, routes string) {
	t.Helper()
	var all []string
	for range 3 {
		door := NewProxy(t, "")
		doors = append(doors, door)
		all = append(all, "nats://"+door.Address())
	}
	return doors, strings.Join(all, ",")
}

// Member returns the options of a server of a cluster.
func Member(name, routes string) *server.Options {
	return &server.Options{
		ServerName: name, Routes: server.RoutesFromStr(routes),
		Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: server.RANDOM_PORT},
	}
}

// URLs are where servers listen, as a client wants them.
func URLs(all ...*server.Server) string {
	var urls []string
	for _, s := range all {
		urls = append(urls, s.ClientURL())
	}
	return strings.Join(urls, ",")
}

// Address is HOST:PORT of where a server listens for clients.
func Address(s *server.Server) string { return s.Addr().(*net.TCPAddr).String() }

// NewProxy passes connections on to an address until the test ends. If it is empty, nothing
// passes until Lead.
func NewProxy(t testing.TB, to string) *proxytest.Proxy {
	t.Helper()
	p, err := proxytest.Listen(to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

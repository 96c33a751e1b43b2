//go:build unix

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"echocast/tavus/tavustest"
)

// apiKey is the key of the stand-in for Tavus.
const apiKey = "chaos-0123456789abcdef"

// settleTime is how long, after the last fault, an utterance, the end of a conversation,
// and the cleanup may take.
const settleTime = 90 * time.Second

type options struct {
	program       string
	other         string
	nats          string
	embedded      bool
	conversations int
	paid          int
	kills         int
	rolls         int
	length        time.Duration
	seed          uint64
	strict        bool
	dir           string
}

func (o *options) nodes() int {
	if o.embedded {
		return 1
	}
	return 3
}

func main() {
	var o options
	flag.StringVar(&o.program, "program", "bin/echocast-server", "the `PROGRAM` that serves")
	flag.StringVar(&o.other, "other", "", "another `PROGRAM`: gateways run the one, and after a restart the other")
	flag.StringVar(&o.nats, "nats-server", "bin/nats-server", "the `PROGRAM` nats-server")
	flag.BoolVar(&o.embedded, "embedded", false, "one gateway with a server of NATS in it")
	flag.IntVar(&o.conversations, "conversations", 50, "`N` conversations that speak")
	flag.IntVar(&o.paid, "paid", 5, "`N` conversations that cost money, beside those")
	flag.IntVar(&o.kills, "kills", 200, "kill gateways `N` times")
	flag.IntVar(&o.rolls, "rolls", 0, "after the kills, end and restart all gateways, one after the other, `N` times")
	flag.DurationVar(&o.length, "length", 8*time.Minute, "spread the faults over this `TIME`")
	flag.Uint64Var(&o.seed, "seed", 1, "the same `SEED` gives the same faults")
	flag.BoolVar(&o.strict, "strict", false, "fail too where a takeover takes longer than a lease and a second")
	flag.StringVar(&o.dir, "dir", "", "`DIRECTORY` for logs and what NATS keeps (default: one that is removed)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o *options, out io.Writer) error {
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "chaos")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.dir = dir
	}
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	service := &tavustest.Server{Key: apiKey}
	tavus := httptest.NewServer(service)
	defer tavus.Close()
	s, err := startSystem(ctx, o, o.dir, tavus.URL)
	defer s.close()
	if err != nil {
		return err
	}
	clients, err := createAll(ctx, o, s)
	defer func() {
		for _, c := range clients {
			c.stage.close()
		}
	}()
	if err != nil {
		return err
	}
	paid, err := createPaid(ctx, o, clients[0].nodes)
	if err != nil {
		return err
	}
	failed := speakAll(ctx, o, s, clients)
	r := &result{options: o, system: s, clients: clients}
	failed = errors.Join(failed, r.endAll(paid, service))
	r.counts = r.count()
	r.print(out)
	return errors.Join(failed, r.verdict())
}

// createAll creates the conversations in which clients speak, a few at a time.
func createAll(ctx context.Context, o *options, s *system) (clients []*client, err error) {
	n := &nodes{urls: s.urls(), speaking: make(chan struct{}, o.conversations)}
	n.http.Transport = &http.Transport{MaxIdleConnsPerHost: 2 * o.conversations}
	for i := range o.conversations {
		room, err := newStage(ctx)
		if err != nil {
			return clients, err
		}
		clients = append(clients, &client{
			nodes: n, number: i, random: rand.New(rand.NewPCG(o.seed, uint64(i+1))), stage: room,
		})
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	errs := make([]error, len(clients))
	forAll(clients, 8, func(i int, c *client) { errs[i] = c.create(ctx) })
	return clients, errors.Join(errs...)
}

// createPaid creates conversations that cost money, and returns their paths.
func createPaid(ctx context.Context, o *options, n *nodes) (paths []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for i := range o.paid {
		var created struct{ ID string }
		_, err := n.ask(ctx, http.MethodPost, "/v1/conversations", fmt.Sprint("paid-", i),
			[]byte(`{"pal":"p123","via":"rest"}`), nil, &created, new(notes))
		if err != nil {
			return nil, err
		}
		paths = append(paths, "/v1/conversations/"+created.ID)
	}
	return paths, nil
}

// forAll calls do for all clients, for at most atOnce of them at the same time.
func forAll(clients []*client, atOnce int, do func(i int, c *client)) {
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, c := range clients {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			do(i, c)
		})
	}
	all.Wait()
}

// speakAll lets all clients speak while faults are injected.
func speakAll(ctx context.Context, o *options, s *system, clients []*client) error {
	following, stopFollowing := context.WithCancel(ctx)
	speaking, stopSpeaking := context.WithCancel(ctx)
	settling, stopSettling := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSettling()
	errs := make([]error, len(clients))
	var all, followers sync.WaitGroup
	for i, c := range clients {
		all.Go(func() { errs[i] = c.speak(speaking, settling) })
		followers.Go(func() { c.follow(following) })
	}
	injectFaults(ctx, o, s)
	rollAll(ctx, o, s, clients[0].nodes)
	stopSpeaking()
	defer time.AfterFunc(settleTime, stopSettling).Stop()
	all.Wait()
	stopFollowing()
	followers.Wait()
	return errors.Join(errs...)
}

// injectFaults injects faults into the processes, as the seed determines.
func injectFaults(ctx context.Context, o *options, s *system) {
	random := rand.New(rand.NewPCG(o.seed, 0))
	pause := o.length * killShare / 100 / time.Duration(max(o.kills, 1))
	for killed := 0; killed < o.kills && ctx.Err() == nil; {
		select {
		case <-time.After(time.Duration((0.5 + random.Float64()) * float64(pause))):
		case <-ctx.Done():
		}
		kind, length := "killed", time.Duration(random.Int64N(int64(time.Second)))
		switch dice := random.IntN(100); {
		case o.embedded || dice < killShare:
		case dice < killShare+8:
			kind, length = "stopped", lease+length
		case dice < killShare+16:
			kind, length = "cut off", lease+length
		case dice < killShare+20:
			kind = "ended"
		default:
			kind = natsKilled
		}
		if s.do(ctx, kind, random.IntN(3), length) && kind == "killed" {
			killed++
		}
	}
	s.restarting.Wait()
}

// rollAll restarts the gateways as an operator does who replaces the program. It waits until all
// clients speak again: gateways that hold nothing are restarted at once, before anybody speaks.
func rollAll(ctx context.Context, o *options, s *system, n *nodes) {
	if o.rolls == 0 {
		return
	}
	waiting, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	n.areCalm.Store(true)
	for range o.conversations {
		select {
		case <-n.speaking:
		case <-waiting.Done(): // the result shows it
		}
	}
	n.areRolling.Store(true)
	defer n.areRolling.Store(false)
	for i := 0; i < o.rolls*len(s.gateways) && ctx.Err() == nil; i++ {
		s.do(ctx, "ended", i, 0)
		s.restarting.Wait()
	}
}

// killShare is the percentage of faults that kill a gateway.
const killShare = 70

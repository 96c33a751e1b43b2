//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"echocast/tavus/tavustest"
)

// result is the result of a run.
type result struct {
	options *options
	system  *system
	clients []*client
	open    int // conversations that cost money and are still open
	counts
}

// endAll ends all conversations, and counts those that stay open.
func (r *result) endAll(paid []string, service *tavustest.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	errs := make([]error, len(r.clients))
	forAll(r.clients, 8, func(i int, c *client) { errs[i] = c.end(ctx) })
	for _, path := range paid {
		_, err := r.clients[0].nodes.ask(ctx, http.MethodDelete, path, "", nil, nil, nil, new(notes))
		errs = append(errs, err)
	}
	r.open = len(service.Open())
	return errors.Join(errs...)
}

// counts compares what was heard of all utterances with what the nodes report about them.
type counts struct {
	acknowledged, whole, named, unnamed, lost, intruders, missing, again int
	rolled, rolledWhole                                                  int // of acknowledged and whole
}

// count computes the counts.
func (r *result) count() (n counts) {
	for _, c := range r.clients {
		c.mu.Lock()
		n.missing += c.missing
		n.again += c.again
		isWrong := c.missing+c.again > 0
		c.mu.Unlock()
		if isWrong {
			r.explain(c)
		}
		c.stage.mu.Lock()
		n.intruders += c.stage.intruders
		c.stage.mu.Unlock()
		for i, u := range c.spoken {
			n.acknowledged++
			missing, repeated := c.stage.coverage(i+1, u.frames)
			if u.isRolled {
				n.rolled++
			}
			switch {
			case u.info == nil:
				n.lost++
				r.explain(c)
			case missing == 0 && repeated == 0:
				n.whole++
				if u.isRolled {
					n.rolledWhole++
				}
			case u.info.names(missing, repeated):
				n.named++
			default:
				n.unnamed++
				r.explain(c)
				fmt.Fprintf(os.Stderr, "%s: %d of %d frames left out, %d said again; it says %s\n", u.path, missing, u.frames,
					repeated, u.info.text)
			}
		}
	}
	return n
}

// takeovers returns, by kind, how long replicas waited within an utterance, from a
// gateway's fault to the first message of the next gateway. It omits takeovers with a
// second fault before that message. If a NATS server was killed meanwhile, the takeover
// counts as a separate kind. With one embedded gateway the wait begins when that gateway is
// restarted.
func (r *result) takeovers() map[string][]time.Duration {
	all := map[string][]time.Duration{}
	for _, c := range r.clients {
		c.stage.mu.Lock()
		for _, t := range c.stage.takeovers {
			f, ok := r.cause(t)
			if !ok || !t.isInUtterance {
				continue
			}
			from := f.at
			switch {
			case r.options.embedded:
				from = f.at.Add(f.length) // no other node can continue
			case f.kind == "ended":
				from = t.last // it continues to speak after SIGTERM
			}
			all[r.kindOf(f, t)] = append(all[r.kindOf(f, t)], t.first.Sub(from))
		}
		c.stage.mu.Unlock()
	}
	return all
}

// speaksOn is how long a gateway may still be heard after a fault, by kind of fault.
var speaksOn = map[string]time.Duration{
	"killed": time.Second / 2, "stopped": time.Second / 2, "cut off": lease + time.Second/2, "ended": drain + time.Second,
}

// cause returns the fault between the last message of one node and the first message of the
// next. ok is false unless there is exactly one.
func (r *result) cause(t takeover) (cause fault, ok bool) {
	for _, f := range r.system.faults {
		if f.kind == natsKilled || f.at.Before(t.last.Add(-speaksOn[f.kind])) || f.at.After(t.first) {
			continue
		}
		if ok {
			return fault{}, false
		}
		cause, ok = f, true
	}
	return cause, ok
}

// The time that NATS may take to elect new leaders, and the names of takeovers meanwhile.
const (
	election   = 5 * time.Second
	alsoNATS   = ", NATS too"
	natsKilled = "NATS killed"
)

// kindOf returns the kind of a takeover.
func (r *result) kindOf(f fault, t takeover) string {
	for _, other := range r.system.faults {
		if other.kind == natsKilled && other.at.After(f.at.Add(-election)) && other.at.Before(t.first) {
			return f.kind + alsoNATS
		}
	}
	return f.kind
}

func (r *result) print(out io.Writer) {
	mode := "three gateways, three servers of NATS"
	if r.options.embedded {
		mode = "one gateway with NATS in it (takeovers from its next start)"
	}
	n := r.counts
	if r.options.other != "" {
		starts := r.system.startsOf(r.options.other)
		mode += fmt.Sprintf(", two programs (the second was started %d times)", starts)
	}
	fmt.Fprintf(out, "%s, %d conversations, seed %d\n\n", mode, len(r.clients), r.options.seed)
	fmt.Fprintln(out, "| fault | times | takeovers | median | 99 of 100 | longest |")
	fmt.Fprintln(out, "| --- | --- | --- | --- | --- | --- |")
	takeovers := r.takeovers()
	for _, kind := range []string{
		"killed", "killed" + alsoNATS, "stopped", "stopped" + alsoNATS, "cut off", "cut off" + alsoNATS, "ended",
		"ended" + alsoNATS, natsKilled,
	} {
		times := 0
		for _, f := range r.system.faults {
			if f.kind == kind {
				times++
			}
		}
		all := takeovers[kind]
		slices.Sort(all)
		if times+len(all) == 0 {
			continue
		}
		fmt.Fprintf(out, "| %s | %d | %d | %s | %s | %s |\n", kind, times, len(all), at(all, 50), at(all, 99), at(all, 100))
	}
	fmt.Fprintf(out, `
| utterances acknowledged | heard whole, once | the receipt says what was not | it does not | no receipt |
| --- | --- | --- | --- | --- |
| %d | %d | %d | %d | %d |

| messages of a node after those of the next | events missing | events told again | left open at Tavus | denied what there is | nodes that fell |
| --- | --- | --- | --- | --- | --- |
| %d | %d | %d | %d | %d | %d |
`, n.acknowledged, n.whole, n.named, n.unnamed, n.lost, n.intruders, n.missing, n.again,
		r.open, r.denied(), r.system.crashes())
	if r.options.rolls > 0 {
		fmt.Fprintf(out, "\nWhile all gateways were restarted in turn, %d of %d utterances were heard whole, once.\n",
			n.rolledWhole, n.rolled)
	}
}

// denied returns how often a node answered that a conversation or utterance does not exist.
func (r *result) denied() int { return int(r.clients[0].nodes.denied.Load()) }

// at returns the duration that this percentage of all does not exceed.
func at(all []time.Duration, percent int) string {
	if len(all) == 0 {
		return "–"
	}
	return all[max(len(all)*percent/100-1, 0)].Round(10 * time.Millisecond).String()
}

func (r *result) verdict() error {
	n := r.counts
	var errs []error
	fail := func(count int, what string) {
		if count > 0 {
			errs = append(errs, fmt.Errorf("%d %s", count, what))
		}
	}
	fail(n.unnamed, "utterances were not heard as their receipts say")
	fail(n.lost, "utterances have no receipt")
	fail(n.intruders, "messages came from a node after those of the next")
	fail(n.missing, "events were never told")
	fail(n.again, "events were told twice")
	fail(r.open, "conversations that cost money were left open")
	fail(r.denied(), "answers said that there is no such conversation or utterance")
	fail(r.system.crashes(), "processes ended of themselves")
	if n.acknowledged == 0 {
		errs = append(errs, errors.New("nothing was spoken"))
	}
	if r.options.rolls > 0 && n.rolled == 0 {
		errs = append(errs, errors.New("nothing was spoken while the gateways were restarted in turn"))
	}
	if !r.options.strict {
		return errors.Join(errs...)
	}
	late := 0
	for kind, all := range r.takeovers() {
		for _, d := range all {
			if d > lease+time.Second && !strings.HasSuffix(kind, alsoNATS) {
				late++
			}
		}
	}
	fail(late, "takeovers took longer than a lease and a second, while no server of NATS was killed")
	return errors.Join(errs...)
}

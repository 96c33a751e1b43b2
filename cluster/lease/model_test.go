package lease

import (
	"cmp"
	"errors"
	"hash/maphash"
	"slices"
	"strings"
	"testing"

	"echocast/internal/explore"
	"echocast/internal/testwait"
)

// The true time of the model is always trueTime, and the revision of the record always
// lastRevision: shift moves everything else.
const (
	mostNodes    = 3
	trueTime     = 1000
	lastRevision = 1000
)

// cluster is a model of some nodes, which all want one conversation, and of the store that
// keeps its record. State.Next decides for each node. All around it anything may
// happen at any time: requests and answers are delayed, overtaken and lost, processes are
// stopped and continued, killed and started again, and clocks are a tick wrong. Nodes that
// are cut off are those whose messages are lost.
//
// Three things need no separate step. A reading that comes late is one that is made
// late, or one that is older than what the node knows by then, and changes nothing. A
// process that is dead for a while, or stopped, is one that does nothing for a while. Only
// between MaySpeak and the send a process that runs must go on, and a stopped one need not.
//
// The booleans each leave a measure out, to show that the model finds what it is for.
type cluster struct {
	nodes      int8 // 0: two
	options    Options
	clockError Time // how far a clock goes ahead at most: 0 or 1
	guard      Time // the kernel kills a stopped holder so long after its right has ended

	ignoresClock    bool // a holder does not ask MaySpeak
	countsAnswer    bool // the right is counted from the answer
	ignoresRevision bool // the store takes every write
	hasNoGuard      bool // the kernel kills nobody
	isAbandoned     bool // nobody takes a conversation whose holder does not renew
}

// world is the state of the whole cluster.
type world struct {
	node    [mostNodes]node
	holder  int8 // the node whose present claim holds the record, or nobody or another
	isWrong bool // a message left after one of the next holder
}

// Who holds the record, where that is no node with its present claim.
const (
	nobody  int8 = -1 // it was released
	another int8 = -2 // a process that is dead, or an earlier claim
)

type node struct {
	state     State
	fast      Time  // how far its clock is ahead, 0 or 1
	isStopped bool  // after MaySpeak, before the send
	isPast    bool  // the other has sent since this one holds the conversation
	write     write // or its answer
	late      write // that nobody waits for any more, but that may still arrive
}

type write struct {
	stage    stage
	claim    int8   // who holds the record after it
	revision uint64 // that it replaces, or that it has made
}

type stage uint8

const (
	noWrite stage = iota
	asked
	done
	refused
)

func (c *cluster) start() world {
	w := world{holder: nobody}
	c.shift(&w, 0, 0)
	return w
}

func (w *world) clock(n int8) Time { return trueTime + w.node[n].fast }

func (c *cluster) count() int8 { return cmp.Or(c.nodes, 2) }

type doFunc = func(what string, change func(w *world, p *node))

func (c *cluster) Steps(w *world, yield func(explore.Step, world)) {
	c.ticks(w, yield)
	for n := range c.count() {
		do := func(what string, change func(w *world, p *node)) {
			next := *w
			change(&next, &next.node[n])
			c.shift(&next, 0, 0)
			yield(explore.Step{What: what, Node: n}, next)
		}
		do("is killed, and started again", func(w *world, _ *node) { w.restart(n) })
		c.storeSteps(w, n, do)
		c.nodeSteps(w, n, do)
	}
}

// ticks lets time pass. Each clock is right or a tick ahead after it.
func (c *cluster) ticks(w *world, yield func(explore.Step, world)) {
	for clocks := range Time(1 << (Time(c.count()) * c.clockError)) {
		next := *w
		for n := range next.node {
			next.node[n].fast = clocks >> n & 1
		}
		c.tick(&next)
		yield(explore.Step{What: "a tick passes", Node: -1}, next)
	}
}

// tick lets time pass, and the kernel kill those that are stopped beyond their right.
func (c *cluster) tick(w *world) {
	c.shift(w, 1, 0)
	for n := range c.count() {
		p := &w.node[n]
		if p.isStopped && !c.hasNoGuard && w.clock(n) >= p.state.Until+c.guard {
			w.restart(n)
		}
	}
}

// storeSteps are what the store does for a node.
func (c *cluster) storeSteps(w *world, n int8, do doFunc) {
	p := &w.node[n]
	if p.write.stage == asked {
		do("its write reaches the store", func(w *world, p *node) { c.store(w, &p.write) })
	}
	if p.late.stage == asked {
		do("a late write reaches the store", func(w *world, p *node) { c.store(w, &p.late) })
	}
	if !p.isStopped && p.state.Revision != lastRevision {
		do("reads the record", func(w *world, p *node) { c.read(w, n) })
	}
}

// store takes a write, if the record has the revision that it replaces.
func (c *cluster) store(w *world, r *write) {
	if r.revision != lastRevision && !c.ignoresRevision {
		r.stage = refused
		return
	}
	w.holder = r.claim
	c.shift(w, 0, 1)
	r.stage, r.revision = done, lastRevision
}

// nodeSteps are what a process does that runs.
func (c *cluster) nodeSteps(w *world, n int8, do doFunc) {
	p := &w.node[n]
	if p.isStopped {
		do("is continued, and sends", func(w *world, _ *node) { w.send(n) })
		return
	}
	if p.state.MaySpeak(w.clock(n)) || c.ignoresClock && p.state.Phase == Held {
		do("may speak, and sends", func(w *world, _ *node) { w.send(n) })
		do("may speak, and is stopped", func(_ *world, p *node) { p.isStopped = true })
	}
	event := func(kind Kind) func(*world, *node) {
		return func(w *world, _ *node) { c.next(w, n, Event{Kind: kind}) }
	}
	do("sees that time has passed", event(Tick))
	do("wants the conversation", event(Want))
	do("gives the conversation away", event(Give))
	if p.write.stage == done || p.write.stage == refused {
		do("gets the answer", func(w *world, _ *node) { c.answer(w, n) })
	}
	if p.write.stage != noWrite {
		do("waits for the answer no longer", func(w *world, p *node) {
			p.late, p.write = p.write, write{}
			c.next(w, n, Event{Kind: Unanswered})
		})
	}
}

func (c *cluster) read(w *world, n int8) {
	holder := Other
	switch {
	case w.holder == nobody:
		holder = Nobody
	case w.holder == n && w.node[n].state.Phase != Watching:
		holder = Us
	}
	c.next(w, n, Event{Kind: Saw, Revision: lastRevision, Holder: holder})
}

func (c *cluster) answer(w *world, n int8) {
	p := &w.node[n]
	e := Event{Kind: Refused}
	if p.write.stage == done {
		e = Event{Kind: Written, Revision: p.write.revision}
		if c.countsAnswer {
			p.state.Asked = w.clock(n)
		}
	}
	p.write = write{}
	c.next(w, n, e)
}

// next takes the state of a node on, and does what has to be done.
func (c *cluster) next(w *world, n int8, e Event) {
	p := &w.node[n]
	e.At = w.clock(n)
	if c.isAbandoned && p.state.Holder != Nobody && e.Kind == Want {
		return
	}
	var action Action
	p.state, action = p.state.Next(e, c.options)
	switch action {
	case Write:
		if p.state.Phase == Claiming {
			w.forget(n)
		}
		p.write = write{asked, n, p.state.Revision}
	case Release:
		p.late = write{asked, nobody, p.state.Revision}
	case Start:
		p.isPast = false
	}
}

// send is one message to the replica. After it no earlier holder may send.
func (w *world) send(n int8) {
	w.isWrong = w.node[n].isPast
	w.node[n].isStopped = false
	for other := range w.node {
		w.node[other].isPast = other != int(n)
	}
}

// restart kills a process and starts it again. Its writes are on their way all the same.
func (w *world) restart(n int8) {
	w.forget(n)
	p := &w.node[n]
	late := p.late
	if p.write.stage == asked {
		late = p.write
	}
	*p = node{state: State{Holder: Other, Seen: w.clock(n)}, fast: p.fast, late: late}
}

// forget makes all records of a node those of an earlier claim.
func (w *world) forget(n int8) {
	for _, claim := range []*int8{&w.holder, &w.node[n].write.claim, &w.node[n].late.claim} {
		if *claim == n {
			*claim = another
		}
	}
}

// shift lets ticks and revisions pass, and makes equal what makes no difference.
func (c *cluster) shift(w *world, ticks Time, revisions uint64) {
	for n := range c.count() {
		p := &w.node[n]
		p.state = c.shiftState(p.state, ticks, revisions)
		for _, r := range []*write{&p.write, &p.late} {
			r.revision -= min(r.revision, revisions)
			if r.stage == asked && r.revision != lastRevision && !c.ignoresRevision {
				r.revision = 0 // the store will refuse it
			}
			if r.stage == refused || r.stage == done {
				r.claim = 0
			}
		}
		if p.late.stage != asked || p.late.revision == 0 {
			p.late = write{}
		}
		if p.write.stage == refused {
			p.write.revision = 0
		}
		switch isOvertaken := p.state.Revision > p.write.revision; {
		case p.write.stage != done:
			p.write.revision = known(p.write.revision, 0)
			p.state.Revision = known(p.state.Revision, 0)
		case isOvertaken:
			p.write.revision = 1
			p.state.Revision = known(p.state.Revision, 2)
		default:
			p.write.revision = known(p.write.revision, 1)
			p.state.Revision = known(p.state.Revision, 0)
		}
		p.isPast = p.isPast && p.state.Phase == Held
	}
}

// known is a revision, or, where it is not the last, another one that is not.
func known(revision, other uint64) uint64 {
	if revision == lastRevision {
		return revision
	}
	return other
}

func (c *cluster) shiftState(s State, ticks Time, revisions uint64) State {
	s.Revision -= min(s.Revision, revisions)
	s.Seen = max(s.Seen-ticks, trueTime-c.options.TTL)
	s.Asked = max(s.Asked-ticks, trueTime-c.options.TTL+c.options.Margin)
	s.Until = max(s.Until-ticks, trueTime-c.guard)
	if s.Phase == Held {
		s.Seen = 0
	} else {
		s.Until = 0
	}
	if s.Phase == Watching && !s.IsWriting {
		s.Asked = 0
	}
	return s
}

// Key is the same for worlds that differ only in which node is which.
func (c *cluster) Key(seed maphash.Seed, w *world) uint64 {
	const self = 1
	var k struct {
		node    [mostNodes]uint64
		holder  int8
		isWrong bool
	}
	k.holder, k.isWrong = min(w.holder, 0), w.isWrong
	for n := range c.count() {
		own := struct {
			node
			isHolder bool
		}{w.node[n], w.holder == n}
		for _, r := range []*write{&own.write, &own.late} {
			if r.stage == asked && r.claim == n {
				r.claim = self
			}
		}
		k.node[n] = maphash.Comparable(seed, own)
	}
	slices.Sort(k.node[:])
	return maphash.Comparable(seed, k)
}

func (c *cluster) Check(w *world) error {
	if w.isWrong {
		return errors.New("a message left after one of the next holder")
	}
	return c.recovers(*w)
}

// recovers lets the faults end: clocks are right, messages arrive, processes run and want
// the conversation. Then a node holds it within a lease and a few ticks.
func (c *cluster) recovers(w world) error {
	for range c.options.TTL + 3 {
		for n := range c.count() {
			if c.runWell(&w, n); w.node[n].state.MaySpeak(w.clock(n)) {
				return nil
			}
		}
		c.tick(&w)
	}
	return errors.New("nobody holds the conversation a lease after the last fault")
}

func (c *cluster) runWell(w *world, n int8) {
	p := &w.node[n]
	if p.isStopped {
		w.send(n)
	}
	if p.late.stage == asked {
		c.store(w, &p.late)
	}
	if p.state.Revision != lastRevision {
		c.read(w, n)
	}
	for _, kind := range []Kind{Tick, Want} {
		if p.write.stage == asked {
			c.store(w, &p.write)
		}
		if p.write.stage != noWrite {
			c.answer(w, n)
		}
		c.next(w, n, Event{Kind: kind})
	}
}

// shortest is the shortest lease in which a holder renews, where a clock may be a tick
// wrong. The margin is what two clocks are wrong by.
var shortest = cluster{options: Options{TTL: 4, Margin: 2}, clockError: 1}

// The suite tries two nodes whose clocks are right, without a margin. make fuzz also tries
// clocks that are wrong, and three nodes.
func TestModel(t *testing.T) {
	all := []cluster{{options: Options{TTL: 3}}}
	if testwait.Trials(10) == 10 {
		all = append(all, shortest, cluster{nodes: 3, options: Options{TTL: 2}})
	}
	for _, c := range all {
		found := explore.All(&c, c.start())
		t.Logf("%d nodes, %+v: %v", c.count(), c.options, found)
		if found.Err != nil || found.States < 10_000 {
			t.Error("the model has found a fault, or has not looked everywhere")
		}
	}
}

// Each rule is needed: without it, the model finds a fault.
func TestModelFindsFaults(t *testing.T) {
	const (
		twoSpeak    = "a message left after one of the next holder"
		nobodyHolds = "nobody holds the conversation"
	)
	short := cluster{options: Options{TTL: 3}}
	for name, test := range map[string]struct {
		start    cluster
		leaveOut func(*cluster)
		err      string
	}{
		"nobody asks MaySpeak":             {short, func(c *cluster) { c.ignoresClock = true }, twoSpeak},
		"the right begins at the answer":   {short, func(c *cluster) { c.countsAnswer = true }, twoSpeak},
		"the store compares no revision":   {short, func(c *cluster) { c.ignoresRevision = true }, twoSpeak},
		"the kernel kills nobody":          {short, func(c *cluster) { c.hasNoGuard = true }, twoSpeak},
		"the kernel kills too late":        {short, func(c *cluster) { c.guard = 1 }, twoSpeak},
		"nobody takes what is not renewed": {short, func(c *cluster) { c.isAbandoned = true }, nobodyHolds},
		"clocks are wrong by more than the margin": {
			shortest, func(c *cluster) { c.options.Margin = 1 }, twoSpeak,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := test.start
			test.leaveOut(&c)
			found := explore.All(&c, c.held())
			t.Log(found)
			if found.Err == nil || !strings.Contains(found.Err.Error(), test.err) {
				t.Errorf("found %v; want %s", found.Err, test.err)
			}
		})
	}
}

// held is where node A holds the conversation, and node B has seen it. The clock of A is
// ahead, if it may be.
func (c *cluster) held() world {
	w := c.start()
	w.node[0].fast = c.clockError
	c.runWell(&w, 0)
	c.runWell(&w, 0)
	c.read(&w, 1)
	c.shift(&w, 0, 0)
	return w
}

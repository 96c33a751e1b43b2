package takeover

import (
	"errors"
	"hash/maphash"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"echocast/internal/explore"
	"echocast/internal/testwait"
)

// Limits of the model.
const (
	nodes      = 3
	mostIDs    = 2   // of utterances
	mostEvents = 8   // of the conversation
	lead       = 2   // chunks that the replica has and has not played
	longestEnd = 300 // steps until everything is over
)

// journal is a model of a conversation on three nodes, and of all that outlives them: the store
// of the cluster, the room with the replica, the service that creates paid conversations, and
// the client. Package lease has its own model of who may speak; this one takes from it that a
// conversation is claimed only after the right of the node before has ended.
//
// Everything else may happen at any time: nodes are killed, or stopped for longer than a lease
// (a node that is stopped takes no step), writes arrive at the store after their node is dead
// or another node holds the conversation, and answers do not arrive.
//
// Each step of the model is one of the code; ARCHITECTURE.md says which. The booleans each
// leave a measure out, to show that the model finds what it is for.
type journal struct {
	utterances int8 // 1 or 2
	chunks     int8 // of each
	claims     int8 // so many nodes at most hold the conversation, one after the other
	isPaid     bool
	asksTwice  bool // the client asks again with the same key, where it gets no answer

	acknowledgesEarly bool // the client is answered before the audio is stored
	claimsEarly       bool // a node claims a conversation whose holder may still speak
	countsSent        bool // what was sent counts as heard
	savesNext         bool // progress is stored for the utterance that follows
	datesByLater      bool // an utterance that had ended is dated by the progress of the next
	namesOne          bool // only the first utterance of the queue is taken to have begun
	isNotSilenced     bool // the replica is not interrupted before it is continued
	appendsAnywhere   bool // events are appended whatever is stored
	speaksUnfenced    bool // a node speaks before its takeover is stored
	tellsEarly        bool // an end is told before it is stored
	takesLateAudio    bool // audio of an earlier claim counts
	reopens           bool // a conversation that has ended is joined again
	putsRecord        bool // a record replaces whatever is stored
	disowns           bool // a paid conversation is left to others that may not know it
	endsNoStray       bool // only the paid conversation that is known is ended

	stopsThere bool // it is not tried how everything ends
	seed       maphash.Seed
	good       map[uint64]bool // states from which all ends well
	taken      map[string]bool // steps
}

// world is the state of everything. Claims count from 1.
type world struct {
	store    storage
	node     [nodes]member
	asked    int8          // requests of the client
	acked    [mostIDs]bool // by key
	told     [mostIDs]int8 // the claim that told the client the end of an utterance
	asksEnd  bool
	buffer   [lead]chunk
	buffered int8
	once     [mostIDs]int8 // bits of the chunks that were heard
	twice    [mostIDs]int8
	speaker  int8 // the last claim that has sent
	paid     int8 // bits of the claims that created what is open
	wrong    string
}

// storage is what NATS keeps.
type storage struct {
	claim    int8 // that holds the lease
	isOver   bool // the lease was removed
	record   record
	progress progress
	events   [mostEvents]event
	length   int8 // of events
	audio    [mostIDs]audio
	mark     int8 // the claim whose audio counts
}

// record is the record of the conversation.
type record struct {
	revision int8
	tavus    int8 // the claim that has created the paid conversation
	hasEnded bool
}

// progress is how far an utterance is, in chunks. Since is how much was played after it.
type progress struct {
	claim, id, heard, sent, since int8
	named                         int8 // bits of the chunks that takeovers name
}

type audio struct {
	isBegun, isWhole bool
	order            int8
}

// event is an event, with the claim that has added it.
type event struct {
	kind, id, by int8
	isFinished   bool
	named        int8
}

// The kinds of events.
const (
	tookOver = iota + 1
	isOver
	isEnding
	hasEnded
)

type chunk struct{ id, at, claim int8 }

// phase is where a node stands.
type phase int8

// The phases, in order.
const (
	idle phase = iota
	gone       // it holds nothing, but its writes are on their way
	recording
	loading
	loadingAudio
	fencing
	paying
	creating
	recordingPaid
	joining
	open
	leaving
	closing
	recordingEnd
	removing
)

// writing is a write of a node.
type writing int8

const (
	noWrite writing = iota
	asked
	stored
	refused
)

// member is a node. A node that is killed starts again.
type member struct {
	claim     int8
	maySpeak  bool
	phase     phase
	before    progress // of the earlier node
	isEnding  bool
	wasEnded  bool // the event is stored
	hasStrays bool // what was created by earlier nodes may be open
	tavus     int8
	journal   int8 // of its machine: bits of the claims that created what may be open

	queue    [mostIDs]int8 // ids, from 1
	mayHave  [mostIDs]bool // begun on an earlier node
	over     [mostIDs]bool
	named    [mostIDs]int8
	accepted int8 // the id that is being stored, from 1
	piece    writing
	isEnd    bool // the piece is the last

	hasBegun                         bool
	skipped, sent, played, confirmed int8
	savedHeard, savedSent            int8
	saving                           progress // its claim is 0 where nothing is being stored

	known   int8 // events
	pending [mostEvents]event
	waiting int8 // length of pending
	batch   int8 // how many of them are being stored
	append  writing

	record   record // that is being stored, in place of its revision
	revision int8
	put      writing
	dropping int8 // bits of the ids
}

func (j *journal) start() world {
	j.seed, j.good, j.taken = maphash.MakeSeed(), map[uint64]bool{}, map[string]bool{}
	w := world{}
	w.store.claim = 1
	w.node[0] = member{claim: 1, maySpeak: true, phase: recording}
	w.node[0].write(record{})
	return w
}

// write stores a record.
func (p *member) write(r record) {
	r.revision = p.revision
	p.record, p.put = r, asked
}

func (p *member) add(e event) {
	e.by = p.claim
	p.pending[p.waiting] = e
	p.waiting++
}

// key of an utterance: a client that asks twice uses one key.
func (j *journal) key(id int8) int8 {
	if j.asksTwice {
		return 0
	}
	return id
}

// requests is how many requests the client makes at most.
func (j *journal) requests() int8 {
	if j.asksTwice {
		return 2
	}
	return j.utterances
}

// move is one possible step.
type move struct {
	what string
	is   kind
	do   func(w *world, p *member)
}

// kind is a kind of step.
type kind int8

const (
	usual        kind = iota // it happens some time, where no fault does
	fault                    // it need not happen
	onlyInTheEnd             // it is more than is tried, and only shows that there is an end
	last                     // it happens some time, after all else
)

// moves are the steps that a node may take, or that happen to it.
func (j *journal) moves(w *world, n int) (all []move) {
	p := &w.node[n]
	as := func(is kind) canFunc {
		return func(isPossible bool, what string, do func(*world, *member)) {
			if isPossible {
				all = append(all, move{what, is, do})
			}
		}
	}
	can := as(usual)
	j.arrivals(p, can)
	holds, isMore := p.phase > gone, w.store.claim >= j.claims
	as(fault)(holds && !isMore, "is killed", func(_ *world, p *member) { p.leave() })
	as(fault)(p.maySpeak && !isMore, "its lease expires", func(_ *world, p *member) { p.maySpeak = false })
	claims := usual
	if isMore {
		claims = onlyInTheEnd
	} else if j.hasHolder(w) {
		claims = fault
	}
	isFree := !j.hasHolder(w) || j.claimsEarly && !isMore
	as(claims)(p.phase == idle && !w.store.isOver && isFree, "claims the conversation", j.claim)
	can(p.phase == idle && p.journal != 0 && w.store.isOver, "starts again, and ends what its journal has",
		func(w *world, p *member) {
			w.paid &^= p.journal
			p.journal = 0
		})
	can(holds && !p.maySpeak, "leaves the conversation to others", j.giveUp)
	j.answers(w, p, can)
	j.lifeSteps(w, p, can)
	j.speechSteps(w, p, can)
	as(last)(p.phase == open && p.maySpeak, "is asked for the end", func(w *world, p *member) {
		w.asksEnd = true
		j.end(w, p)
	})
	return all
}

// hasHolder reports whether a node runs that holds the conversation.
func (j *journal) hasHolder(w *world) bool {
	return slices.ContainsFunc(w.node[:], func(o member) bool { return o.claim == w.store.claim && o.maySpeak })
}

type canFunc = func(isPossible bool, what string, do func(*world, *member))

// arrivals are the writes that arrive at the store, also those of nodes that are gone.
func (j *journal) arrivals(p *member, can canFunc) {
	can(p.append == asked, "its events arrive", j.storeEvents)
	can(p.put == asked, "its record arrives", j.storeRecord)
	can(p.saving.claim != 0, "its progress arrives", func(w *world, p *member) {
		w.store.progress, p.saving = p.saving, progress{}
	})
	can(p.piece == asked, "its audio arrives", j.storeAudio)
	can(p.dropping != 0, "its removal of audio arrives", func(w *world, p *member) {
		for id := range w.store.audio {
			if p.dropping>>id&1 == 1 {
				w.store.audio[id] = audio{}
			}
		}
		p.dropping = 0
	})
}

func (j *journal) storeEvents(w *world, p *member) {
	s := &w.store
	if p.known != s.length {
		if !j.appendsAnywhere {
			p.append = refused
			return
		}
		w.wrong = "two events have one id"
	}
	for _, e := range p.pending[:p.batch] {
		j.checkEvent(w, e)
		s.events[s.length] = e
		s.length++
	}
	p.append = stored
}

// checkEvent says what is wrong with an event that is stored now.
func (j *journal) checkEvent(w *world, e event) {
	for _, old := range w.store.events[:w.store.length] {
		switch {
		case old.kind == hasEnded:
			w.wrong = "something happens after the end"
		case e.kind == isOver && old.kind == isOver && old.id == e.id:
			w.wrong = "an utterance ends twice"
		}
	}
	if e.kind != isOver {
		return
	}
	if told := w.told[e.id]; told != 0 && told != e.by {
		w.wrong = "an utterance ends twice"
	}
	if all := int8(1<<j.chunks - 1); e.isFinished && w.once[e.id] != all {
		w.wrong = "a receipt does not name a gap"
	}
	if e.isFinished && w.twice[e.id]&^e.named != 0 {
		w.wrong = "a receipt does not name what was heard twice"
	}
}

func (j *journal) storeRecord(w *world, p *member) {
	if s := &w.store; p.record.revision == s.record.revision || j.putsRecord {
		p.record.revision = s.record.revision + 1
		s.record, p.put = p.record, stored
		return
	}
	p.put = refused
}

func (j *journal) storeAudio(w *world, p *member) {
	p.piece = stored
	if p.claim < w.store.mark && !j.takesLateAudio {
		return
	}
	a := &w.store.audio[p.accepted-1]
	if p.isEnd {
		a.isWhole = true
		return
	}
	a.isBegun = true
	for _, other := range w.store.audio {
		a.order = max(a.order, other.order+1)
	}
}

// answers are what a node does when its writes are answered. A node that may not speak any more
// takes none as a success.
func (j *journal) answers(w *world, p *member, can canFunc) {
	if !p.maySpeak {
		return
	}
	can(p.append == refused || p.put == refused, "is told that another node has written", j.giveUp)
	can(p.append == stored, "is told that its events are stored", j.toldEvents)
	can(p.put == stored, "is told that its record is stored", func(_ *world, p *member) {
		p.revision, p.put = p.record.revision, noWrite
		switch p.phase {
		case recording:
			p.phase = paying
		case fencing:
			if p.wasEnded {
				p.phase = paying
				return
			}
			p.add(event{kind: tookOver})
		case recordingPaid:
			p.phase = joining
		case recordingEnd:
			p.phase, p.dropping = removing, 1<<mostIDs-1
		}
	})
	can(p.piece == stored && !p.isEnd, "stores the end of the audio", func(_ *world, p *member) {
		p.isEnd, p.piece = true, asked
	})
	can(p.piece == stored && p.isEnd, "acknowledges the utterance", j.acknowledge)
}

func (j *journal) toldEvents(w *world, p *member) {
	for _, e := range p.pending[:p.batch] {
		switch e.kind {
		case tookOver:
			if p.phase == fencing {
				p.phase = paying
			}
		case isOver:
			w.told[e.id] = p.claim
			p.dropping |= 1 << e.id
		}
	}
	copy(p.pending[:], p.pending[p.batch:])
	clear(p.pending[p.waiting-p.batch:])
	p.known, p.waiting, p.batch, p.append = p.known+p.batch, p.waiting-p.batch, 0, noWrite
}

func (j *journal) acknowledge(w *world, p *member) {
	id := p.accepted - 1
	p.accepted, p.piece, p.isEnd = 0, noWrite, false
	if p.phase != open {
		p.dropping |= 1 << id
		return
	}
	w.acked[j.key(id)] = true
	p.enqueue(id, false)
}

func (p *member) enqueue(id int8, mayHave bool) {
	i := slices.Index(p.queue[:], 0)
	p.queue[i], p.mayHave[i] = id+1, mayHave
}

// leave forgets everything but the writes that are on their way.
func (p *member) leave() {
	*p = member{
		claim: p.claim, phase: gone, accepted: p.accepted, piece: p.piece, isEnd: p.isEnd, saving: p.saving,
		known: p.known, pending: p.pending, batch: p.batch, append: p.append, record: p.record, put: p.put,
		dropping: p.dropping, journal: p.journal,
	}
	p.waiting = p.batch
	clear(p.pending[p.batch:])
}

// giveUp leaves the conversation to another node.
func (j *journal) giveUp(w *world, p *member) {
	if p.tavus == p.claim && w.store.record.tavus != p.tavus && !j.disowns {
		w.paid &^= 1 << p.tavus
	}
	p.journal = 0
	p.leave()
}

func (j *journal) claim(w *world, p *member) {
	w.store.claim++
	*p = member{claim: w.store.claim, maySpeak: true, phase: loading, journal: p.journal}
}

// load reads the record, the events and the progress.
func (j *journal) load(w *world, p *member) {
	s := &w.store
	p.phase, p.revision, p.tavus, p.known = loadingAudio, s.record.revision, s.record.tavus, s.length
	p.hasStrays = true
	p.isEnding = s.record.hasEnded
	for _, e := range s.events[:s.length] {
		switch e.kind {
		case isOver:
			p.over[e.id] = true
		case isEnding:
			p.isEnding = true
		case hasEnded:
			p.isEnding, p.wasEnded = true, true
		}
	}
	if j.reopens {
		p.isEnding = false
	}
	p.before = progress{since: j.chunks}
	if s.progress.claim == p.claim-1 {
		p.before = s.progress
		p.named[s.progress.id] = s.progress.named
	}
}

// loadAudio reads the audio, and queues the utterances that are not over.
func (j *journal) loadAudio(w *world, p *member) {
	s := &w.store
	s.mark = p.claim
	ids := []int8{0, 1}
	slices.SortFunc(ids, func(a, b int8) int { return int(s.audio[a].order - s.audio[b].order) })
	mayHaveBegun := 2 // gateway.maxUnkept + 1
	if j.namesOne {
		mayHaveBegun = 1
	}
	for _, id := range ids {
		switch a := s.audio[id]; {
		case a == audio{}:
		case p.over[id], !a.isBegun, !a.isWhole, p.wasEnded && !j.reopens:
			p.dropping |= 1 << id
		default:
			p.enqueue(id, mayHaveBegun > 0)
			mayHaveBegun--
		}
	}
	if p.before.claim != 0 {
		p.saving = p.before
		p.saving.claim = p.claim
	}
	p.phase = fencing
	p.write(s.record)
	p.record.tavus = p.tavus
	if j.speaksUnfenced {
		if p.put, p.phase = noWrite, paying; !p.wasEnded {
			p.add(event{kind: tookOver})
		}
	}
}

// lifeSteps are those of the conversation: how it begins, is taken over, and ends.
func (j *journal) lifeSteps(w *world, p *member, can canFunc) {
	can(p.phase == loading, "loads the record, the events and the progress", j.load)
	can(p.phase == loadingAudio, "loads the audio", j.loadAudio)
	can(p.maySpeak && p.append == noWrite && p.waiting > 0, "stores events", func(_ *world, p *member) {
		p.append, p.batch = asked, p.waiting
	})
	can(p.phase == paying, "looks whether it has a paid conversation", j.pay)
	can(p.phase == creating, "gets the paid conversation", func(w *world, p *member) {
		p.tavus, p.phase = p.claim, recordingPaid
		w.paid |= 1 << p.claim
		p.journal = 1 << p.claim
		p.write(record{tavus: p.claim})
	})
	can(p.phase == joining, "joins the room", func(_ *world, p *member) { p.phase = open })
	can(p.phase == leaving, "ends the paid conversation", func(w *world, p *member) {
		w.paid &^= 1 << p.tavus
		if p.hasStrays && !j.endsNoStray {
			w.paid = 0
		}
		p.journal = 0
		if p.phase = closing; !p.wasEnded {
			p.add(event{kind: hasEnded})
		}
	})
	can(p.phase == closing && p.waiting == 0 && p.accepted == 0, "stores that it has ended", func(_ *world, p *member) {
		p.phase = recordingEnd
		p.write(record{tavus: p.tavus, hasEnded: true})
	})
	can(p.phase == removing && p.dropping == 0, "removes the lease", func(w *world, p *member) {
		if w.store.claim == p.claim {
			w.store.isOver = true
		}
		p.leave()
	})
}

func (j *journal) pay(w *world, p *member) {
	switch {
	case p.isEnding:
		j.end(w, p)
	case !j.isPaid || p.tavus != 0:
		p.phase = joining
	default:
		if p.hasStrays {
			w.paid = 0
		}
		p.phase = creating
	}
}

// end reports the utterances that are not over.
func (j *journal) end(w *world, p *member) {
	if !p.isEnding {
		p.add(event{kind: isEnding})
	}
	w.silence()
	for _, id := range p.queue {
		if id != 0 {
			p.add(event{kind: isOver, id: id - 1, named: p.named[id-1]})
		}
	}
	p.queue, p.hasBegun, p.phase = [mostIDs]int8{}, false, leaving
	p.clearSession()
}

func (p *member) clearSession() {
	p.skipped, p.sent, p.played, p.confirmed, p.savedHeard, p.savedSent = 0, 0, 0, 0, 0, 0
}

func (w *world) silence() { w.buffer, w.buffered = [lead]chunk{}, 0 }

// speechSteps are those of an open conversation.
func (j *journal) speechSteps(w *world, p *member, can canFunc) {
	if p.phase != open {
		return
	}
	head := p.queue[0] - 1
	can(p.maySpeak && head >= 0 && !p.hasBegun, "begins the utterance", j.begin)
	can(p.confirmed < p.played, "hears that a chunk was played", func(_ *world, p *member) { p.confirmed = p.played })
	can(p.hasBegun && p.skipped+p.confirmed == j.chunks, "writes the receipt", j.finish)
	isFurther := p.confirmed > p.savedHeard || p.sent > p.savedSent
	can(p.hasBegun && p.saving.claim == 0 && isFurther, "stores the progress", j.save)
	can(p.hasBegun && p.maySpeak && p.skipped+p.sent < j.chunks && w.buffered < lead, "sends a chunk", j.send)
	can(!w.asksEnd && p.maySpeak && p.accepted == 0 && w.asked < j.requests(), "is asked for an utterance", j.accept)
}

// accept begins to store the utterance that the client asks for.
func (j *journal) accept(w *world, p *member) {
	id := w.asked
	w.asked++
	if j.asksTwice {
		if w.acked[0] {
			return
		}
		if slices.Contains(p.over[:], true) || p.queue[0] != 0 { // it has the same key
			w.acked[0] = true
			return
		}
	}
	p.accepted, p.piece = id+1, asked
	if j.acknowledgesEarly {
		w.acked[j.key(id)] = true
	}
}

func (j *journal) begin(w *world, p *member) {
	id := p.queue[0] - 1
	p.hasBegun = true
	p.clearSession()
	if !p.mayHave[0] {
		return
	}
	if !j.isNotSilenced {
		w.silence()
	}
	sent := p.before.since
	switch {
	case p.before.claim == 0:
	case p.before.id == id:
		p.skipped = p.before.heard
		sent += p.before.sent
	case p.queue[1] == p.before.id+1 && !j.datesByLater:
		sent = j.chunks // the next had begun, so all of this one may have been heard
	}
	for at := p.skipped; at < min(sent, j.chunks); at++ {
		p.named[id] |= 1 << at
	}
}

func (j *journal) send(w *world, p *member) {
	w.buffer[w.buffered] = chunk{p.queue[0] - 1, p.skipped + p.sent, p.claim}
	w.buffered++
	p.sent++
	if w.speaker > p.claim {
		w.wrong = "two nodes speak"
	}
	w.speaker = p.claim
}

func (j *journal) save(_ *world, p *member) {
	id := p.queue[0] - 1
	p.savedHeard, p.savedSent = p.confirmed, p.sent
	p.saving = progress{
		claim: p.claim, id: id, heard: p.skipped + p.confirmed, sent: p.skipped + p.sent, named: p.named[id],
	}
	if j.countsSent {
		p.saving.heard = p.saving.sent
	}
	if j.savesNext && p.queue[1] != 0 {
		p.saving.id = p.queue[1] - 1
	}
}

func (j *journal) finish(w *world, p *member) {
	id := p.queue[0] - 1
	p.add(event{kind: isOver, id: id, isFinished: true, named: p.named[id]})
	p.over[id], p.hasBegun = true, false
	p.clearSession()
	p.queue, p.mayHave = [mostIDs]int8{p.queue[1]}, [mostIDs]bool{p.mayHave[1]}
	if j.tellsEarly {
		w.told[id] = p.claim
	}
}

// play lets the replica play a chunk.
func (j *journal) play(w *world) {
	c := w.buffer[0]
	w.buffer[0], w.buffer[1] = w.buffer[1], chunk{}
	w.buffered--
	bit := int8(1) << c.at
	w.twice[c.id] |= w.once[c.id] & bit
	w.once[c.id] |= bit
	if j.asksTwice && w.once[0] != 0 && w.once[1] != 0 {
		w.wrong = "an utterance is said twice"
	}
	for _, e := range w.store.events[:w.store.length] {
		if e.kind == isOver && e.isFinished && e.id == c.id {
			w.wrong = "an utterance is heard after its end"
		}
	}
	w.store.progress.pass(j.chunks)
	for n := range w.node {
		p := &w.node[n]
		p.before.pass(j.chunks)
		p.saving.pass(j.chunks)
		if p.claim == c.claim && p.hasBegun && p.queue[0] == c.id+1 {
			p.played++
		}
	}
}

// pass lets the time of a chunk pass.
func (p *progress) pass(most int8) {
	if p.claim != 0 {
		p.since = min(p.since+1, most)
	}
}

// Steps is of explore.Model.
func (j *journal) Steps(w *world, yield func(explore.Step, world)) {
	if w.wrong != "" {
		return
	}
	for n := range w.node {
		for _, m := range j.moves(w, n) {
			if m.is != onlyInTheEnd {
				yield(explore.Step{What: m.what, Node: int8(n)}, j.after(w, n, m))
			}
		}
	}
	if w.buffered > 0 {
		yield(explore.Step{What: "the replica plays a chunk", Node: -1}, j.afterPlay(w))
	}
}

// fair is what happens next where no fault does, and the end is asked for last.
func (j *journal) fair(w *world) (by explore.Step, next world, ok bool) {
	for _, is := range []kind{usual, onlyInTheEnd, last} {
		if is == last && w.buffered > 0 {
			return explore.Step{What: "the replica plays a chunk", Node: -1}, j.afterPlay(w), true
		}
		for n := range w.node {
			for _, m := range j.moves(w, n) {
				if m.is == is {
					return explore.Step{What: m.what, Node: int8(n)}, j.after(w, n, m), true
				}
			}
		}
	}
	return by, *w, false
}

func (j *journal) after(w *world, n int, m move) world {
	next := *w
	j.taken[m.what] = true
	m.do(&next, &next.node[n])
	if p := &next.node[n]; p.phase == gone && p.isQuiet() {
		*p = member{journal: p.journal}
	}
	return next
}

func (j *journal) afterPlay(w *world) world {
	next := *w
	j.play(&next)
	return next
}

// isQuiet reports whether no write of a node is on its way.
func (p *member) isQuiet() bool {
	return p.append != asked && p.put != asked && p.piece != asked && p.saving.claim == 0 && p.dropping == 0
}

// Key is of explore.Model. Which node is which makes no difference.
func (j *journal) Key(seed maphash.Seed, w *world) uint64 {
	k := struct {
		world
		keys [nodes]uint64
	}{world: *w}
	for n := range w.node {
		k.keys[n] = maphash.Comparable(seed, w.node[n])
	}
	slices.Sort(k.keys[:])
	k.node = [nodes]member{}
	return maphash.Comparable(seed, k)
}

// Check is of explore.Model.
func (j *journal) Check(w *world) error {
	if w.wrong != "" {
		return errors.New(w.wrong)
	}
	if j.stopsThere {
		return nil
	}
	return j.endsWell(*w)
}

// endsWell lets the faults end, and everything come to its end.
func (j *journal) endsWell(w world) error {
	var passed []uint64
	for range longestEnd {
		key := j.Key(j.seed, &w)
		if j.good[key] {
			break
		}
		passed = append(passed, key)
		_, next, hasNext := j.fair(&w)
		w = next
		if w.wrong != "" {
			return errors.New(w.wrong)
		}
		if !hasNext {
			if err := j.atTheEnd(&w); err != nil {
				return err
			}
			break
		}
	}
	for _, key := range passed {
		j.good[key] = true
	}
	return nil
}

func (j *journal) atTheEnd(w *world) error {
	s := &w.store
	ended, over := 0, [mostIDs]bool{}
	for _, e := range s.events[:s.length] {
		switch e.kind {
		case hasEnded:
			ended++
		case isOver:
			over[j.key(e.id)] = true
		}
	}
	for key := range over {
		if w.acked[key] && !over[key] {
			return errors.New("an acknowledged utterance is lost")
		}
	}
	switch {
	case w.paid != 0:
		return errors.New("a paid conversation is left open")
	case !s.isOver || ended != 1:
		return errors.New("the conversation has no end")
	}
	return nil
}

// The suite tries one takeover of an utterance, and two takeovers of a paid conversation in which
// nothing is said. make fuzz also tries both together, and a client that asks twice.
//
// ARCHITECTURE.md says for each step which function of the code takes it.
func TestModel(t *testing.T) {
	page, err := os.ReadFile("../../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	all := []journal{{utterances: 1, chunks: 1, claims: 1, isPaid: true}}
	fewest, fewestSteps := 900, 20
	if !testwait.HasRaceDetector {
		all = append(all,
			journal{utterances: 1, chunks: 1, claims: 2},
			journal{chunks: 1, claims: 3, isPaid: true},
		)
		fewest, fewestSteps = 400_000, 25
	}
	if testwait.Trials(10) == 10 {
		all = append(all,
			journal{utterances: 1, chunks: 1, claims: 2, isPaid: true},
			journal{utterances: 1, chunks: 1, claims: 2, asksTwice: true},
		)
	}
	states, steps := 0, map[string]bool{}
	for _, j := range all {
		found := explore.All(&j, j.start())
		t.Logf("%d requests of %d chunks, %d claims, paid: %v: %v", j.requests(), j.chunks, j.claims, j.isPaid, found)
		if found.Err != nil {
			t.Error("the model has found a fault")
		}
		states += found.States
		maps.Copy(steps, j.taken)
	}
	if states < fewest || len(steps) < fewestSteps {
		t.Errorf("the model has not looked everywhere: %d states, %d steps", states, len(steps))
	}
	for what := range steps {
		if !strings.Contains(string(page), "| "+what+" |") {
			t.Errorf("ARCHITECTURE.md has no line for the step %q", what)
		}
	}
}

// Each measure is needed: without it, the model finds a fault.
func TestModelFindsFaults(t *testing.T) {
	if testwait.HasRaceDetector {
		t.Skip("nothing in it is concurrent, and it takes ten times longer")
	}
	one := journal{utterances: 1, chunks: 1, claims: 2}
	two := journal{utterances: 2, chunks: 1, claims: 2}
	long := journal{utterances: 1, chunks: 2, claims: 2}
	paid := journal{utterances: 1, chunks: 1, claims: 2, isPaid: true}
	twice := journal{utterances: 1, chunks: 1, claims: 3, asksTwice: true}
	for name, test := range map[string]struct {
		start    journal
		leaveOut func(*journal)
		err      string
	}{
		"it acknowledges before it stores": {
			one, func(j *journal) { j.acknowledgesEarly = true }, "an acknowledged utterance is lost",
		},
		"a node claims what another may speak in": {
			long, func(j *journal) { j.claimsEarly, j.stopsThere = true, true }, "two nodes speak",
		},
		"what was sent counts as heard": {one, func(j *journal) { j.countsSent = true }, "does not name a gap"},
		"progress is stored for the next utterance": {
			two, func(j *journal) { j.savesNext = true }, "does not name",
		},
		"an utterance that had ended is dated by the next": {
			two, func(j *journal) { j.datesByLater = true }, "does not name what was heard twice",
		},
		"only the first of the queue may have begun": {
			two, func(j *journal) { j.namesOne = true }, "does not name what was heard twice",
		},
		"events are appended anywhere": {
			one, func(j *journal) { j.appendsAnywhere = true }, "two events have one id",
		},
		"a node speaks before its takeover is stored": {
			one, func(j *journal) { j.speaksUnfenced, j.stopsThere = true, true }, "an utterance is heard after its end",
		},
		"an end is told before it is stored": {
			one, func(j *journal) { j.tellsEarly = true }, "an utterance ends twice",
		},
		"audio of an earlier claim counts": {
			twice, func(j *journal) { j.takesLateAudio = true }, "an utterance is said twice",
		},
		"what has ended is joined again": {
			one, func(j *journal) { j.reopens = true }, "something happens after the end",
		},
		"a record replaces whatever is stored": {
			paid, func(j *journal) { j.putsRecord, j.endsNoStray = true, true }, "a paid conversation is left open",
		},
		"a paid conversation is left to nodes that do not know it": {
			paid, func(j *journal) { j.disowns, j.endsNoStray = true, true }, "a paid conversation is left open",
		},
	} {
		t.Run(name, func(t *testing.T) {
			j := test.start
			test.leaveOut(&j)
			found := explore.All(&j, j.start())
			t.Log(found)
			if found.Err == nil || !strings.Contains(found.Err.Error(), test.err) {
				t.Errorf("found %v; want %s", found.Err, test.err)
			}
		})
	}
}

package replica

import (
	"fmt"
	"slices"
	"time"

	"echocast/internal/text"
)

// session is the state of one run. It has no connection: it takes messages with their time
// of arrival, and puts events into outbox. One goroutine owns it.
type session struct {
	opts   Options
	start  time.Time
	report Report

	renderer renderer
	recorder recorder

	hasJoined    bool
	conversation string                // the id that messages must carry, once known
	participants []*participant        // in order of their arrival
	from         *participant          // the sender of the message that is handled
	listed       []*utterance          // the utterances of the report, in order of their first chunk
	last         *utterance            // the one that began last
	known        map[string]*utterance // by inference_id
	ids          []string              // ids of known, the oldest first
	rate         int                   // Hz, of the last utterance of audio

	outbox   outbox
	schedule schedule[func(at time.Time)]
	random   idSource
	times    map[string]int // how often each of ScriptNames has happened
	ending   End            // why the replica itself ends the run, or empty

	seq  int64
	turn int

	userID    string // id of what a user says, or empty
	userSince time.Time
}

func newSession(opts Options, start time.Time) *session {
	s := &session{
		opts:         opts,
		start:        start,
		conversation: opts.ConversationID,
		known:        make(map[string]*utterance),
		times:        make(map[string]int),
		recorder:     newRecorder(opts.Record),
		outbox:       newOutbox(opts.Faults),
		random:       newIDSource(opts.Faults.Seed),
		report: Report{
			Start:      start,
			Utterances: []Utterance{},
			Interrupts: []Interrupt{},
			Complaints: []Complaint{},
		},
	}
	s.renderer = renderer{listener: s, preBuffer: opts.PreBuffer, interval: recordInterval}
	if opts.OnSound != nil {
		s.renderer.interval = soundInterval
	}
	s.planFaults()
	return s
}

// since converts a time to milliseconds since the start of the run.
func (s *session) since(at time.Time) float64 { return milliseconds(at.Sub(s.start)) }

// advance performs everything that is due by now.
func (s *session) advance(now time.Time) {
	s.join(now)
	s.renderer.advance(s.schedule.earliest(now))
	for s.schedule.isDue(now) {
		task := s.schedule.pop()
		task.value(task.at)
		s.renderer.advance(s.schedule.earliest(now))
	}
}

func (s *session) join(now time.Time) {
	due := s.start.Add(s.opts.JoinDelay)
	if s.hasJoined || len(s.participants) == 0 || now.Before(due) {
		return
	}
	if first := s.participants[0].since; due.Before(first) {
		due = first
	}
	s.hasJoined = true
	s.report.JoinedMS = new(s.since(due))
	s.sendJoined(nil, due)
	s.scheduleScript("joined", due)
	s.opts.OnEvent(Event{Kind: EventJoined, AtMS: s.since(due)})
}

// untilDue returns the time until something is due even if no message arrives. ok is false
// if nothing is.
func (s *session) untilDue(now time.Time) (wait time.Duration, ok bool) {
	if !s.hasJoined {
		if len(s.participants) == 0 {
			return 0, false
		}
		return s.start.Add(s.opts.JoinDelay).Sub(now), true
	}
	for _, next := range []func(time.Time) (time.Duration, bool){s.renderer.untilDue, s.renderer.untilTimeout,
		s.schedule.untilDue, s.outbox.queue.untilDue} {
		if d, is := next(now); is && (!ok || d < wait) {
			wait, ok = d, true
		}
	}
	return wait, ok
}

// addParticipant adds a participant. If the replica has already joined, the participant gets the
// event that it has joined.
func (s *session) addParticipant(p *participant, at time.Time) {
	s.advance(at)
	p.since = at
	s.participants = append(s.participants, p)
	if s.hasJoined {
		s.sendJoined(p, at)
		return
	}
	s.join(at)
}

// depart removes a participant, and ends its open utterance. For the last participant, the
// end of the run ends the utterance.
func (s *session) depart(p *participant, at time.Time, isLast bool) {
	s.advance(at)
	s.from = p
	s.participants = slices.DeleteFunc(s.participants, func(other *participant) bool { return other == p })
	u := p.open
	p.open = nil
	if u == nil {
		return
	}
	s.complain(KindNeverDone, u.record.ID, at, "the connection ended before done was received")
	if !isLast {
		s.endOpen(u, at)
	}
}

// idle ends an open utterance that keeps another one waiting.
func (s *session) idle(u *utterance, at time.Time) {
	s.from = u.from
	s.complain(KindNeverDone, u.record.ID, at,
		fmt.Sprintf("there was no chunk for %v, and another utterance waits", idleTimeout))
	s.closeInput(u)
	s.endOpen(u, at)
}

// endOpen ends an utterance that got no done.
func (s *session) endOpen(u *utterance, at time.Time) {
	s.renderer.finish(u, at)
	s.sendText(u, at, false)
}

// sendDue sends the events that are due.
func (s *session) sendDue(now time.Time) {
	for m, ok := s.outbox.take(now); ok; m, ok = s.outbox.take(now) {
		for _, p := range s.participants {
			if m.to == nil || m.to == p {
				p.post(outMessage{m.msg, true})
			}
		}
	}
}

// relay sends a message of one participant to the others.
func (s *session) relay(from *participant, msg []byte) {
	if s.opts.MessageLimit >= 0 && len(msg) > s.opts.MessageLimit {
		return // it exceeds the room's limit
	}
	for _, p := range s.participants {
		if p != from {
			p.post(outMessage{msg, false})
		}
	}
}

// receive handles one message.
func (s *session) receive(from *participant, msg []byte, at time.Time) {
	s.report.Messages++
	s.advance(at)
	s.from = from
	if !s.hasJoined {
		s.complain(KindBeforeJoin, "", at, "the replica had not joined yet")
		return
	}
	m, faults := parse(msg, s.opts.MessageLimit)
	for _, f := range faults {
		s.complain(f.kind, m.id(), at, f.text)
	}
	s.checkConversation(m, at)
	switch m.action {
	case actionSpeak:
		s.speak(m.chunk, at)
		s.checkDeparture(at)
	case actionInterrupt:
		s.interrupt(at, false)
	case actionSay:
		s.say(m.text, at)
	case actionRespond:
		s.respond(m.text, at)
	case actionReport:
		m.entry.addTo(&s.report, s.since(at))
		s.opts.OnEvent(Event{Kind: EventNoted, AtMS: s.since(at), Participant: s.from.name, Text: m.event})
	case actionNone:
		return
	}
	s.scheduleScript(m.event, at)
}

// checkConversation compares the conversation id of m with the configured one,
// or with the first that was received.
func (s *session) checkConversation(m message, at time.Time) {
	switch m.conversation {
	case "", s.conversation:
		return
	}
	if s.conversation == "" {
		s.conversation = m.conversation
		return
	}
	s.complain(KindEnvelope, m.id(), at, fmt.Sprintf("conversation_id is %s, not %s", quote(m.conversation),
		quote(s.conversation)))
}

// speak adds a chunk to its utterance.
func (s *session) speak(c chunk, at time.Time) {
	u := s.known[c.id]
	switch {
	case u == nil:
		u = s.beginAudio(c, at)
	case u.isClosed:
		s.refuse(u, c.isDone, at)
		return
	case u.isText:
		s.complain(KindModality, c.id, at, "audio for an utterance of text")
		return
	default:
		s.checkRate(u, c, at)
	}
	s.count(u, c, at)
	s.hold(u, int64(len(c.samples)))
	s.renderer.add(u, c.samples, at)
	// An utterance without an id cannot be continued.
	if c.isDone || c.id == "" {
		s.closeInput(u)
		s.renderer.finish(u, at)
	}
}

func (s *session) beginAudio(c chunk, at time.Time) *utterance {
	u := &utterance{}
	u.record = Utterance{ID: c.id, Rate: c.rate}
	if c.rate == 0 {
		u.record.Rate = impliedRate
	}
	s.begin(u, at)
	s.checkRateBetween(u, at)
	s.receiving(u, at)
	return u
}

// begin opens the utterance of a new id.
func (s *session) begin(u *utterance, at time.Time) {
	id := u.record.ID
	if open := s.from.open; open != nil {
		s.complain(KindMixedIDs, id, at, fmt.Sprintf("begins before %s had done", quote(open.record.ID)))
		s.endOpen(open, at)
	}
	u.from, u.lastArrival = s.from, at
	u.record.Participant = s.from.name
	u.record.EventID, u.record.FirstChunkMS, u.record.Underruns = s.eventID(id), s.since(at), []Underrun{}
	s.from.open = u
	s.last = u
	s.report.UtteranceCount++
	list(&s.report, &s.listed, u)
	s.hold(u, utteranceCost)
	if id != "" {
		s.remember(id, u)
	}
}

// remember records the id of an utterance. If there are too many ids, it forgets the
// oldest.
func (s *session) remember(id string, u *utterance) {
	if len(s.ids) >= MaxListed {
		delete(s.known, s.ids[0])
		s.ids = s.ids[1:]
	}
	s.known[id] = u
	s.ids = append(s.ids, id)
}

// utteranceCost is the memory of an utterance without audio, in samples.
const utteranceCost = 1024

// hold accounts for memory of u until u ends, in samples.
func (s *session) hold(u *utterance, samples int64) {
	u.held += samples
	u.from.hold(samples)
}

func (s *session) receiving(u *utterance, at time.Time) {
	s.opts.OnEvent(Event{Kind: EventReceiving, AtMS: s.since(at), Participant: u.from.name, Utterance: u.record.ID})
}

// eventID returns the id of an utterance in events. For an utterance without an id it
// returns a random id, as the service does.
func (s *session) eventID(id string) string {
	switch {
	case s.opts.IDs == IDRandom:
		return s.random.next()
	case id == "":
		return IDVersion3.of(fmt.Sprintf("message %d", s.report.Messages))
	}
	return s.opts.IDs.of(id)
}

// checkRateBetween compares the rate of an utterance with that of the audio before it.
func (s *session) checkRateBetween(u *utterance, at time.Time) {
	before := s.rate
	s.rate = u.record.Rate
	if before != 0 && before != s.rate {
		s.complain(KindRateChanged, u.record.ID, at, fmt.Sprintf("%d Hz after an utterance of %d Hz", s.rate, before))
	}
}

// checkRate compares the rate of a chunk with that of its utterance. The replica plays the
// chunk at the rate of the utterance, as Pipecat's mock of a replica does.
func (s *session) checkRate(u *utterance, c chunk, at time.Time) {
	if c.rate != 0 && c.rate != u.record.Rate {
		s.complain(KindRateChanged, c.id, at, fmt.Sprintf("%d Hz within an utterance of %d Hz", c.rate, u.record.Rate))
	}
}

// count adds a chunk to the report.
func (s *session) count(u *utterance, c chunk, at time.Time) {
	s.countLateness(u, at)
	s.countArrival(u, at)
	u.record.Samples += int64(len(c.samples))
	u.record.Done = u.record.Done || c.isDone
	s.report.Chunks++
	s.opts.OnChunk(at, s.from.name, u.record.ID, playingTime(int64(len(c.samples)), u.record.Rate))
	s.report.Samples += int64(len(c.samples))
}

func (s *session) countArrival(u *utterance, at time.Time) {
	u.record.LargestGapMS = max(u.record.LargestGapMS, milliseconds(at.Sub(u.lastArrival)))
	u.lastArrival = at
	u.record.Chunks++
}

// countLateness compares the arrival of a chunk with a real-time stream that starts
// with the first chunk.
func (s *session) countLateness(u *utterance, at time.Time) {
	due := u.record.FirstChunkMS + 1000*seconds(u.record.Samples, u.record.Rate)
	if late := s.since(at) - due; u.record.Chunks > 0 && late > 0 {
		u.record.LateChunks++
		u.record.LatestMS = max(u.record.LatestMS, late)
	}
}

// refuse records a complaint about a chunk for an utterance that is complete or has ended.
func (s *session) refuse(u *utterance, done bool, at time.Time) {
	if at.Before(u.graceUntil) {
		return // the sender cannot know of the interrupt yet
	}
	kind, text := s.refusal(u, done)
	s.complain(kind, u.record.ID, at, text)
}

func (s *session) refusal(u *utterance, done bool) (Kind, string) {
	isLast := u == s.last
	switch {
	case u.record.Interrupted:
		return KindAfterInterrupt, "the utterance was interrupted"
	case !u.record.Done:
		return KindMixedIDs, "another utterance has begun since"
	case u.record.StoppedMS != nil || !isLast:
		return KindIDReused, "the utterance of this id is over"
	case done:
		return KindDoubleDone, "done was already received"
	}
	return KindAfterDone, "done was already received"
}

// interrupt ends all speech and reports what was dropped. If somebody other than the sender
// interrupts, the sender may send chunks until it learns of it.
func (s *session) interrupt(at time.Time, byOther bool) {
	i := Interrupt{AtMS: s.since(at), ByOther: byOther, Utterances: len(s.renderer.queue)}
	for _, u := range s.renderer.queue {
		if byOther || u.from != s.from {
			u.graceUntil = at.Add(interruptGrace)
		}
		if !u.isText {
			i.DroppedSamples += u.buffered()
		}
	}
	said := text.Count(i.Utterances, "utterance") + " ended"
	if i.Utterances == 0 {
		said = "nothing was playing or queued"
	}
	list(&s.report, &s.report.Interrupts, i)
	e := Event{Kind: EventInterrupt, AtMS: i.AtMS, Text: said}
	if !byOther {
		e.Participant = s.from.name
	}
	s.opts.OnEvent(e)
	for _, p := range s.participants {
		p.open = nil
	}
	s.renderer.interrupt(at)
}

func (s *session) complain(kind Kind, id string, at time.Time, text string) {
	c := Complaint{Kind: kind, Text: text, Participant: s.from.name, Utterance: id, Message: s.report.Messages,
		AtMS: s.since(at)}
	s.report.ComplaintCount++
	if len(s.report.Complaints) < MaxComplaints {
		s.report.Complaints = append(s.report.Complaints, c)
	}
	s.opts.OnEvent(Event{Kind: EventComplaint, AtMS: c.AtMS, Participant: s.from.name, Utterance: id, Complaint: &c})
}

// closeInput records that u gets no more chunks.
func (s *session) closeInput(u *utterance) {
	if u.from.open == u {
		u.from.open = nil
	}
}

// heard records samples as they are played.
func (s *session) heard(u *utterance, samples []int16) {
	s.hold(u, -int64(len(samples)))
	if s.opts.OnSound != nil {
		before := u.heard - int64(len(samples)) - s.renderer.base
		s.opts.OnSound(s.renderer.anchor.Add(playingTime(before, u.record.Rate)), u.record.Rate, samples)
	}
	s.recorder.write(&u.record, samples)
}

func (s *session) started(u *utterance, at time.Time) {
	u.record.StartedMS = new(s.since(at))
	s.sendText(u, at, false)
	s.sendStarted(u, at)
	s.opts.OnEvent(Event{Kind: EventStarted, AtMS: s.since(at), Participant: u.from.name, Utterance: u.record.ID})
}

func (s *session) recordUnderrun(u *utterance, from, to time.Time) {
	silence := milliseconds(to.Sub(from))
	if s.report.Underruns < MaxListed {
		u.record.Underruns = append(u.record.Underruns, Underrun{AtMS: s.since(from), SilenceMS: silence})
	}
	s.report.Underruns++
	s.report.SilenceMS += silence
	s.recorder.silence(&u.record, silence)
	s.opts.OnEvent(Event{Kind: EventUnderrun, AtMS: s.since(from), Participant: u.from.name, Utterance: u.record.ID,
		SilenceMS: silence})
}

// stopped completes the record of u. An utterance without any audio gets no event, because
// it was never spoken.
func (s *session) stopped(u *utterance, at time.Time, interrupted bool) {
	u.record.StoppedMS = new(s.since(at))
	u.record.Interrupted = interrupted
	u.record.DroppedSamples = u.buffered()
	s.hold(u, -u.held)
	s.recordPlayed(u)
	s.sendText(u, at, interrupted)
	if u.hasStarted || interrupted {
		s.sendStopped(u, at)
		s.opts.OnEvent(Event{Kind: EventStopped, AtMS: s.since(at), Participant: u.from.name, Utterance: u.record.ID,
			PlayedSeconds: u.record.PlayedSeconds, Interrupted: interrupted})
	}
	s.opts.OnUtterance(u.record)
}

// recordPlayed records how much of u was played.
func (s *session) recordPlayed(u *utterance) {
	u.record.PlayedSamples = u.heard
	u.record.PlayedSeconds = seconds(u.heard, u.record.Rate)
	s.report.PlayedSeconds += u.record.PlayedSeconds
	if u.isText {
		// The samples of a text exist only to measure its time.
		u.record.TextSeconds = seconds(u.received, textRate)
		u.record.Rate, u.record.PlayedSamples, u.record.DroppedSamples = 0, 0, 0
	}
}

// end completes the report and the recording.
func (s *session) end(last arrival) {
	s.advance(last.at)
	for _, u := range s.renderer.drain(last.at) {
		s.abandon(u)
	}
	s.recorder.close()
	for _, u := range s.listed {
		s.report.Utterances = append(s.report.Utterances, u.record)
	}
	s.report.End, s.report.EndMS = last.end, s.since(last.at)
	s.report.EventsLost = s.outbox.lost
	s.report.Recording = s.recorder.report
}

// abandon records the audio of u that is not played because the run ends.
func (s *session) abandon(u *utterance) {
	s.recordPlayed(u)
	if !u.isText {
		u.record.UnplayedSamples = u.buffered()
	}
	for _, samples := range u.pending {
		s.recorder.write(&u.record, samples)
	}
	s.opts.OnUtterance(u.record)
}

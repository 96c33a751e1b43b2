package echo

import "time"

// evidenceMargin is subtracted from the time played at the last sign of life, because that
// sign may have been late, and the replica's frames are 40 ms long.
const evidenceMargin = 200 * time.Millisecond

// evidence is a lower bound of what the replica has played. It grows with each sign of
// life: an event, or an acknowledgement by the peer's transport. The clock alone proves
// nothing, because the peer may be lost.
type evidence struct {
	acknowledged int64         // samples; negative if the connection cannot tell
	beforeCheck  time.Duration // played by the clock when acknowledgements were last checked
	heard        time.Duration // heard at least so much
}

// raise raises the bound: the peer was alive when so much had been played by the clock.
func (e *evidence) raise(played time.Duration, rate int) {
	if e.acknowledged >= 0 {
		played = min(played, durationOf(e.acknowledged, rate))
	}
	e.heard = max(e.heard, played)
}

// checkAcknowledged asks how much the peer's transport has acknowledged. New
// acknowledgements prove that the peer was alive after the last check.
func (u *utterance) checkAcknowledged(now time.Time) {
	stage, ok := u.stage.(Acknowledger)
	if !ok {
		return
	}
	waiting := stage.Unacknowledged()
	if waiting < 0 {
		return
	}
	before := u.evidence.acknowledged
	u.evidence.acknowledged = max(before, u.messageEnds.before(u.receipt.Bytes-int64(waiting)))
	if u.evidence.acknowledged > before {
		u.evidence.raise(u.evidence.beforeCheck, u.rate)
	}
	u.evidence.beforeCheck = u.certainlyPlayed(now, time.Time{})
}

// signOfLife notes an event of the replica.
func (u *utterance) signOfLife(event Event) {
	if event.Role != RolePal || event.Kind == KindLeft || event.Kind == KindParticipantLeft {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.state.Sent == nothingSent || u.state.End != stillOpen {
		return
	}
	now := time.Now()
	u.checkAcknowledged(now)
	u.evidence.raise(u.certainlyPlayed(now, event.Time), u.rate)
}

// certainlyPlayed returns how much the replica has played at now, if it was alive. It is
// the estimate by the clock, limited to the time since the replica started. If the start's
// time by the service's clock is known, it limits the estimate too. A replica that has not
// reported its start has played nothing, unless it never reports starts.
func (u *utterance) certainlyPlayed(now, emitted time.Time) time.Duration {
	played := u.playedByClock(now)
	switch {
	case !u.started.IsZero():
		played = min(played, now.Sub(u.started))
		if !emitted.IsZero() && !u.startEmitted.IsZero() {
			played = min(played, emitted.Sub(u.startEmitted))
		}
	case u.reportsSpeech || now.Sub(u.first) < firstEventTime:
		return 0
	default: // no event says when it began
		played -= evidenceMargin
	}
	return max(played, 0)
}

// playedByClock returns how much the replica has played at now: the estimate of its
// buffer, and no more than its transport has acknowledged.
func (u *utterance) playedByClock(now time.Time) time.Duration {
	played := durationOf(u.receipt.Samples, u.rate) - u.render.Ahead(now)
	if u.evidence.acknowledged >= 0 {
		played = min(played, durationOf(u.evidence.acknowledged, u.rate))
	}
	return max(played, 0)
}

// freeze notes how much the replica has played when the utterance ends early. This
// proves what was heard only if the stage plays the audio itself: any other replica may
// be gone already.
func (u *utterance) freeze() {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	u.checkAcknowledged(now)
	u.played = u.playedByClock(now)
	if _, plays := u.stage.(PlaybackWaiter); plays && u.state.End != lost {
		u.evidence.raise(u.certainlyPlayed(now, time.Time{}), u.rate)
	}
}

// settleHeard sets the receipt's bounds: how much was spoken at most, and heard at least.
func (u *utterance) settleHeard() {
	r := &u.receipt
	now := time.Now()
	u.checkAcknowledged(now)
	r.AcknowledgedSamples = u.evidence.acknowledged
	if r.Chunks == 0 {
		r.AcknowledgedSamples = -1
	}
	isByEvent := u.isSpokenKnown && u.state.Voice.isFinal()
	switch {
	case isByEvent:
		r.SpokenSeconds, r.SpokenBy = u.spoken.Seconds(), ByEvent
	case u.played >= 0:
		r.SpokenSeconds, r.SpokenBy = u.played.Seconds(), ByClock
	default:
		r.SpokenSeconds, r.SpokenBy = u.playedByClock(now).Seconds(), ByClock
	}
	r.SpokenAtMost = !isByEvent && u.state.End == lost
	_, plays := u.stage.(PlaybackWaiter)
	heard := max(u.evidence.heard-evidenceMargin, u.spoken)
	switch {
	case u.state.outcome() == Finished, plays && u.state.End == complete:
		r.HeardSamples = r.Samples
		return
	case isByEvent:
		heard = u.spoken
	}
	r.HeardSamples = min(samplesOf(max(heard, 0), u.rate), r.Samples)
}

// leastGap is the shortest silence that events can prove: their own delay varies by up to
// that much.
const leastGap = 200 * time.Millisecond

// settleGaps sets the receipt's number of underruns and their total length.
func (u *utterance) settleGaps() {
	r := &u.receipt
	r.Underruns, r.UnderrunsBy = u.render.Underruns, ByClock
	r.GapSeconds, r.GapsBy = u.render.Gaps.Seconds(), ByClock
	if u.startEvents == 0 || u.lastStop.IsZero() || !u.isSpokenKnown {
		return
	}
	gap := u.lastStop.Sub(u.started) - u.spoken
	if gap < leastGap {
		gap = 0
	}
	r.GapSeconds, r.GapsBy = gap.Seconds(), ByEvent
	underruns := u.startEvents - 1
	if gap > 0 {
		underruns = max(underruns, 1)
	}
	if underruns > r.Underruns {
		r.Underruns, r.UnderrunsBy = underruns, ByEvent
	}
}

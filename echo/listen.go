package echo

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
	"unicode"
)

// listen handles events until the session ends, and restores lost connections.
func (s *Session) listen(ctx context.Context) {
	defer close(s.over)
	for {
		err := s.follow(ctx)
		if !s.rejoin(ctx, err) {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.readers {
		r.end(s.lost)
	}
	s.readers = nil
}

// follow handles the events of the stage until the stage ends, and returns why.
func (s *Session) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.mu.Lock()
	stage := s.stage
	s.cancelStage = cancel
	s.mu.Unlock()
	for {
		event, err := stage.Next(ctx)
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return err
		}
		event = s.handle(event)
		s.options.Observe(Moment{Kind: MomentEvent, At: time.Now(), InferenceID: event.InferenceID, Event: &event})
		s.options.OnEvent(event)
		if lost := s.lostError(); lost != nil {
			return lost // the room was shut down
		}
	}
}

// lose ends the session; the first reason counts. The session is locked.
func (s *Session) lose(why error) {
	if s.lost == nil {
		s.lost = why
	}
	if s.current != nil {
		s.current.cancel(s.lost)
	}
	s.change()
}

// lostBy wraps the error that ended a stage in ErrLost.
func lostBy(err error) error { return fmt.Errorf("%w: %w", ErrLost, err) }

// rejoin restores the connection after err if the options ask for it, and reports
// whether it succeeded.
func (s *Session) rejoin(ctx context.Context, err error) bool {
	s.mu.Lock()
	switch {
	case ctx.Err() != nil:
		s.lose(ErrClosed)
	case s.lost == nil && s.options.Redial == nil:
		s.lose(lostBy(err))
	}
	lost := s.lost
	if lost == nil {
		s.noteInterruption(lostBy(err))
	}
	s.mu.Unlock()
	if lost != ErrClosed {
		s.options.Observe(Moment{Kind: MomentLost, At: time.Now(), Text: err.Error()})
	}
	if lost != nil {
		return false
	}
	stage, err := s.redial(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.lose(err)
		return false
	}
	s.stage = stage
	s.hasJoined = isHeardAlone(stage)
	if s.options.SkipReady || s.hasJoined {
		s.isRejoining = false
		s.change()
	}
	s.startAbsence()
	s.options.Observe(Moment{Kind: MomentConnected, At: time.Now()})
	return true
}

// noteInterruption notes that the connection is lost for now. The session is locked.
func (s *Session) noteInterruption(why error) {
	s.isRejoining, s.hasJoined, s.userSince = true, false, time.Time{}
	s.stopAbsence()
	if s.current != nil {
		s.current.cancel(why)
	}
	s.change()
}

// loseStage treats a stage that failed to send as lost, even if it still delivers
// events.
func (s *Session) loseStage(stage Stage, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.options.Redial == nil || s.stage != stage || s.isRejoining || s.lost != nil {
		return
	}
	s.noteInterruption(err)
	s.cancelStage(err)
}

// The pauses between calls of Redial double, and vary by a quarter either way, so
// that many clients of one server do not return at once.
const (
	firstPause   = 500 * time.Millisecond
	longestPause = 10 * time.Second
)

// redial restores the connection.
func (s *Session) redial(ctx context.Context) (Stage, error) {
	stage, err := Redial(ctx, s.options.Redial, s.options.RedialTimeout)
	if err != nil && ctx.Err() != nil {
		return nil, ErrClosed
	}
	return stage, err
}

// Redial calls dial until it succeeds, with a growing pause between two calls. After
// timeout its error wraps ErrNotRejoined and the last error of dial. If ctx ends first,
// the error is the cause of ctx.
func Redial(ctx context.Context, dial func(ctx context.Context) (Stage, error), timeout time.Duration) (Stage, error) {
	limit := fmt.Errorf("%w within %v", ErrNotRejoined, timeout)
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, limit)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		stage, err := dial(ctx)
		if err == nil {
			return stage, nil
		}
		select {
		case <-time.After(pause*3/4 + rand.N(pause/2)):
		case <-ctx.Done():
			if cause := context.Cause(ctx); cause != limit {
				return nil, cause
			}
			return nil, fmt.Errorf("%w: %w", limit, err)
		}
	}
}

// handle updates the session after an event, and returns the event with Stale set or not.
func (s *Session) handle(event Event) Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	event.Stale = !s.news.IsNews(time.Now(), event)
	if s.current != nil && s.current.stage == s.stage {
		s.current.signOfLife(event)
	}
	if event.Type == eventEcho {
		s.noteOther(event.InferenceID)
	}
	s.keepBacklog(event)
	for _, r := range s.readers {
		r.add(event)
	}
	s.readers = slices.DeleteFunc(s.readers, (*subscription).hasEnded)
	switch {
	case event.Kind == Shutdown:
		s.lose(fmt.Errorf("%w: the room was shut down%s", ErrLost, reasonOf(event)))
	case event.Stale: // it changes nothing
	case event.Role == RoleUser:
		s.handleUser(event)
	case event.Role == RolePal:
		s.handlePal(event)
	}
	return event
}

// keepBacklog keeps an event for the first call of Events, which may come long after
// NewSession. The session is locked.
func (s *Session) keepBacklog(event Event) {
	if s.hasSubscriber {
		return
	}
	if len(s.backlog) == 2*mostBacklog { // drop half at once, which is cheaper than one by one
		s.backlog = slices.Delete(s.backlog, 0, mostBacklog)
	}
	s.backlog = append(s.backlog, event)
}

func (s *Session) handleUser(event Event) {
	switch event.Kind {
	case StartedSpeaking:
		s.userSince = time.Now()
		if s.options.BargeIn {
			s.bargeIn()
		}
	case StoppedSpeaking:
		s.userSince = time.Time{}
	default:
		return
	}
	s.change()
}

// bargeIn silences the replica because the user speaks. With Resume, the queue
// stays.
func (s *Session) bargeIn() {
	if !s.options.Resume {
		s.clear(ErrBargeIn)
	} else if s.current != nil {
		s.current.cancel(ErrBargeIn)
	}
}

func (s *Session) handlePal(event Event) {
	if event.Kind == KindLeft || event.Kind == KindParticipantLeft {
		s.handleReplicaLeft(event)
		return
	}
	if !s.hasJoined {
		s.hasJoined, s.isRejoining = true, false // any event of the replica proves its presence
		s.stopAbsence()
		s.change()
	}
	if event.Kind != StartedSpeaking && event.Kind != StoppedSpeaking {
		return
	}
	s.reportsSpeech = true
	if s.others.has(event.InferenceID) {
		s.lastOtherSign = time.Time{}
		if event.Kind == StartedSpeaking {
			s.lastOtherSign = time.Now()
		}
		return
	}
	if s.current == nil || s.past.has(event.InferenceID) {
		return // a late event of an earlier utterance, or of other speech
	}
	if s.current.follow(event, !s.hasMatchingIDs) == matchID {
		s.hasMatchingIDs = true
	}
}

// noteOther records an utterance of another sender; some rooms pass the messages of one
// sender on to all. Events of that utterance are not about ours, which may have to wait
// until it ends.
func (s *Session) noteOther(id string) {
	if id == "" || s.past.has(id) || s.current != nil && s.current.id == id {
		return
	}
	if !s.others.has(id) {
		forms := eventIDs(id)
		s.others.add(forms[:]...)
	}
	s.lastOtherSign = time.Now()
}

// longestOther bounds how long an utterance waits for another one after its last
// sign.
const longestOther = 10 * time.Minute

// isOtherSpeaking reports whether the replica is saying an utterance of another sender.
func (s *Session) isOtherSpeaking() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.lastOtherSign.IsZero() && time.Since(s.lastOtherSign) < longestOther
}

// longestReason is how many characters of a reason an error repeats.
const longestReason = 200

// reasonOf formats the reason in an event as the end of a sentence. The text comes from
// other programs, so control characters are removed.
func reasonOf(event Event) string {
	reason := []rune(strings.ReplaceAll(event.Reason, "_", " "))
	reason = slices.DeleteFunc(reason, func(c rune) bool { return !unicode.IsPrint(c) })
	if len(reason) == 0 {
		return ""
	}
	return " (" + string(reason[:min(len(reason), longestReason)]) + ")"
}

// handleReplicaLeft fails the current utterance because the replica left the room. The
// replica may return.
func (s *Session) handleReplicaLeft(event Event) {
	if isHeardAlone(s.stage) {
		return
	}
	s.hasJoined = false
	s.startAbsence()
	if s.current != nil {
		s.current.cancel(fmt.Errorf("%w: the replica left the room%s", ErrLost, reasonOf(event)))
	}
	s.change()
}

// startAbsence starts the timer of Options.AwayTimeout. The session is locked.
func (s *Session) startAbsence() {
	if s.options.AwayTimeout == 0 || s.options.Redial == nil || s.hasJoined || s.away != nil {
		return
	}
	a := &absence{}
	a.timer = time.AfterFunc(s.options.AwayTimeout, func() { s.endAbsence(a) })
	s.away = a
}

// endAbsence ends the connection because the replica was away for too long. It does nothing
// if the replica has returned meanwhile, even if it has left again.
func (s *Session) endAbsence(a *absence) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away != a || s.lost != nil {
		return
	}
	why := fmt.Errorf("%w: the replica has been away for %v", ErrLost, s.options.AwayTimeout)
	s.noteInterruption(why)
	s.cancelStage(why)
}

func (s *Session) stopAbsence() {
	if s.away != nil {
		s.away.timer.Stop()
		s.away = nil
	}
}

// absence is one time that the replica is away.
type absence struct{ timer *time.Timer }

// mostEvents is how many events may wait for one reader.
const mostEvents = 4096

// mostBacklog is how many past events the first reader gets.
const mostBacklog = 256

// subscription is the state of one call of Events. The session's lock guards it.
type subscription struct {
	events   []Event       // unread
	wake     chan struct{} // receives when the other fields have changed
	isClosed bool
	err      error // why no more events follow
	done     <-chan struct{}
}

// add queues an event, or ends a reader that is too slow. The session is locked.
func (r *subscription) add(event Event) {
	switch {
	case r.hasEnded():
	case len(r.events) == mostEvents:
		r.end(ErrSlow)
	default:
		r.events = append(r.events, event)
		r.notify()
	}
}

// end ends the subscription with a reason. The session is locked.
func (r *subscription) end(err error) {
	if r.isClosed {
		return
	}
	r.isClosed, r.err = true, err
	r.notify()
}

func (r *subscription) notify() {
	select {
	case r.wake <- struct{}{}:
	default: // a wake-up is pending already
	}
}

// next returns the next event. If there is none, isOver reports that no more will come,
// and err why. The session is locked.
func (r *subscription) next() (event Event, isEvent, isOver bool, err error) {
	if len(r.events) == 0 {
		r.events = nil
		return Event{}, false, r.isClosed, r.err
	}
	event = r.events[0]
	r.events[0] = Event{} // its message is not kept
	r.events = r.events[1:]
	return event, true, false, nil
}

func (r *subscription) hasEnded() bool {
	select {
	case <-r.done:
		return true
	default:
		return r.isClosed
	}
}

func (s *Session) unsubscribe(r *subscription) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.end(nil)
	s.readers = slices.DeleteFunc(s.readers, (*subscription).hasEnded)
}

// Events returns the events from now on, in the order of their arrival and with repeats:
// Event.Stale marks those not to act on, and a Sequencer folds and sorts them. The first call
// also returns up to 256 events that arrived before it. The last pair has an empty Event
// and the reason for the end: the cause of ctx, ErrSlow, or why the session ended. The
// result can be ranged over only once.
func (s *Session) Events(ctx context.Context) iter.Seq2[Event, error] {
	r := &subscription{wake: make(chan struct{}, 1), done: ctx.Done()}
	s.mu.Lock()
	for _, event := range s.backlog[max(0, len(s.backlog)-mostBacklog):] {
		r.add(event)
	}
	s.backlog, s.hasSubscriber = nil, true
	if s.lost != nil {
		r.end(s.lost)
	} else {
		s.readers = append(s.readers, r)
	}
	s.mu.Unlock()
	return func(yield func(Event, error) bool) {
		defer s.unsubscribe(r)
		for {
			s.mu.Lock()
			event, isEvent, isOver, err := r.next()
			s.mu.Unlock()
			switch {
			case ctx.Err() != nil:
				yield(Event{}, context.Cause(ctx))
				return
			case isEvent && yield(event, nil):
				continue
			case isOver:
				yield(Event{}, err)
				return
			case isEvent:
				return
			}
			select {
			case <-r.wake:
			case <-ctx.Done():
			}
		}
	}
}

package gateway

import (
	"slices"
	"time"

	"echocast/echo"
)

// markInterval is how often watchMarks checks which marks were passed.
const markInterval = 20 * time.Millisecond

// maxMarks limits the marks of an utterance that wait.
const maxMarks = 1000

// Mark is a position in an utterance. When the replica has passed it, clients receive an event
// "mark".
type Mark struct {
	Utterance string  `json:"utterance"`
	Name      string  `json:"name"`
	Seconds   float64 `json:"seconds"` // from the beginning of the utterance
	IsHeard   bool    `json:"heard"`   // false: it was dropped before it was heard
	By        string  `json:"by"`      // how that is known: event or clock
}

// Mark marks a position in an utterance, in playing time from its beginning. An event "mark"
// of the conversation reports when it was heard, or that it was dropped. Too many waiting
// marks are an *InvalidError.
func (u *Utterance) Mark(name string, at time.Duration) error {
	c := u.conversation
	if err := u.checkMarks(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m := Mark{Utterance: u.ID, Name: name, Seconds: at.Seconds(), By: echo.ByClock}
	if u.phase == Over {
		u.publishMarks([]Mark{m})
		return nil
	}
	u.marks = append(u.marks, m)
	if len(u.marks) == 1 {
		c.running.Go(u.watchMarks)
	}
	return nil
}

// checkMarks refuses one more mark if too many wait.
func (u *Utterance) checkMarks() error {
	u.conversation.mu.Lock()
	defer u.conversation.mu.Unlock()
	if len(u.marks) >= maxMarks {
		return invalid("mark", "%d marks already wait to be heard", maxMarks)
	}
	return nil
}

// watchMarks publishes the marks of an utterance as the replica passes them, until none are
// left or the utterance is over.
func (u *Utterance) watchMarks() {
	ticker := time.NewTicker(markInterval)
	defer ticker.Stop()
	for u.passMarks() {
		select {
		case <-ticker.C:
		case <-u.over:
			return
		}
	}
}

// passMarks publishes the marks that the replica has passed by now, and reports whether others
// are left.
func (u *Utterance) passMarks() bool {
	c := u.conversation
	c.mu.Lock()
	session := c.session
	c.mu.Unlock()
	if session == nil {
		return true // it is not in the room yet
	}
	progress := session.Progress() // before this lock: Progress may take the session's lock
	c.mu.Lock()
	defer c.mu.Unlock()
	if u.phase != Speaking {
		return u.phase != Over
	}
	n, played := 0, u.next+progress.Played.Seconds()
	for n < len(u.marks) && progress.Played > 0 && u.marks[n].Seconds <= played {
		u.marks[n].IsHeard = true
		n++
	}
	for _, m := range u.marks[:n] {
		c.history.add("mark", m)
	}
	u.marks = slices.Delete(u.marks, 0, n)
	return len(u.marks) > 0
}

// isHeard reports whether a mark was passed, according to the receipt of the last part.
func (u *Utterance) isHeard(m *Mark, r *echo.Receipt) bool {
	return r.Outcome == echo.Finished || r.SpokenSeconds > 0 && m.Seconds <= u.base+r.SpokenSeconds
}

// publishHeard publishes the marks that were heard, according to the receipt of the last part.
// The conversation is locked.
func (u *Utterance) publishHeard(r *echo.Receipt) {
	for len(u.marks) > 0 && u.isHeard(&u.marks[0], r) {
		m := u.marks[0]
		m.IsHeard, m.By = true, r.SpokenBy
		u.conversation.history.add("mark", m)
		u.marks = u.marks[1:]
	}
}

// publishMarks publishes marks of an utterance that is over, as heard or dropped. The
// conversation is locked.
func (u *Utterance) publishMarks(marks []Mark) {
	for _, m := range marks {
		m.IsHeard, m.By = u.isHeard(&m, &u.receipt), u.receipt.SpokenBy
		u.conversation.history.add("mark", m)
	}
}

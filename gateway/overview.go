package gateway

import (
	"bytes"
	"encoding/json"
	"net/http"
	"time"
)

// overviewInterval is how often the overview sends what has changed.
const overviewInterval = 500 * time.Millisecond

// Overview is what has changed in the list of conversations.
type Overview struct {
	Changed []json.RawMessage `json:"changed,omitempty"` // each an Info
	Ended   []string          `json:"ended,omitempty"`   // ids
}

// overview sends the state of all conversations as server-sent events: first all of them, then
// twice a second those that have changed.
func (a *api) overview(w http.ResponseWriter, r *http.Request) error {
	s := &stream{w: w, control: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "text/event-stream")
	ticker := time.NewTicker(overviewInterval)
	defer ticker.Stop()
	known, sentAt := map[string][]byte{}, time.Time{}
	for {
		if o := a.changes(r, known); len(o.Changed)+len(o.Ended) > 0 || sentAt.IsZero() {
			s.printf("event: conversations\ndata: %s\n\n", fmtJSON(o))
			sentAt = time.Now()
		} else if time.Since(sentAt) >= keepAlive {
			s.printf(": still there\n\n")
			sentAt = time.Now()
		}
		if s.control.Flush() != nil {
			return nil // the client has left
		}
		select {
		case <-ticker.C:
		case <-r.Context().Done():
			return nil
		case <-a.gateway.closed:
			return nil
		}
	}
}

// changes compares the conversations with the known ones, and updates those. One that no node
// lists because it is just being taken over is still there.
func (a *api) changes(r *http.Request, known map[string][]byte) (o Overview) {
	there := map[string]bool{}
	for _, c := range a.listAll(r) {
		there[c.id] = true
		if !bytes.Equal(c.info, known[c.id]) {
			known[c.id] = c.info
			o.Changed = append(o.Changed, c.info)
		}
	}
	for id := range known {
		if !there[id] && !a.gateway.isInCluster(id) {
			delete(known, id)
			o.Ended = append(o.Ended, id)
		}
	}
	return o
}

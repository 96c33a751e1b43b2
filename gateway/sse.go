package gateway

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// How often an idle stream sends a byte, and how long a write may take.
const (
	keepAlive    = 15 * time.Second
	writeTimeout = 30 * time.Second
)

// events sends the history of a conversation as server-sent events: those after Last-Event-ID,
// or all that are kept, and then each as it happens. An event "gap" says how many were missed.
func (a *api) events(w http.ResponseWriter, r *http.Request) error {
	c, err := a.conversation(r)
	if err != nil {
		return err
	}
	after, err := lastEventID(r, c.history)
	if err != nil {
		return err
	}
	s := &stream{w: w, control: http.NewResponseController(w)}
	w.Header().Set("Content-Type", "text/event-stream")
	return s.follow(r, c.history, after)
}

// lastEventID returns the cursor that a client names: in the header, as browsers do when they
// reconnect, or in the query. A cursor beyond the last entry means the last entry.
func lastEventID(r *http.Request, h *history) (int64, error) {
	name := "Last-Event-ID"
	text := r.Header.Get(name)
	if text == "" {
		name = "after"
		text = r.URL.Query().Get(name)
	}
	if text == "" {
		return 0, nil
	}
	after, err := strconv.ParseInt(text, 10, 64)
	if err != nil || after < 0 {
		return 0, invalid(name, "it must be the id of an event")
	}
	return min(after, h.newest()), nil
}

// stream writes server-sent events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// follow writes the entries of a history after an id, until nothing follows or the client
// leaves.
func (s *stream) follow(r *http.Request, h *history, after int64) error {
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for {
		entries, missed, changed := h.since(after)
		if missed > 0 {
			s.printf("event: gap\ndata: {\"missed\":%d}\n\n", missed)
		}
		for _, e := range entries {
			s.printf("id: %d\nevent: %s\ndata: %s\n\n", e.ID, e.Type, e.Data)
			after = e.ID
		}
		if s.control.Flush() != nil || changed == nil {
			return nil // the client has left, or nothing follows
		}
		select {
		case <-changed:
		case <-alive.C:
			s.printf(": still there\n\n")
		case <-r.Context().Done():
			return nil
		}
	}
}

// printf writes an event. A failure shows at the flush.
func (s *stream) printf(format string, args ...any) {
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, _ = fmt.Fprintf(s.w, format, args...)
}

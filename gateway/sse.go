package gateway

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// How long a stream of events is without a byte, and may take for a write.
const (
	keepAlive    = 15 * time.Second
	writeTimeout = 30 * time.Second
)

// events sends the history of a conversation as server-sent events: those after
// Last-Event-ID, or all that are kept, and then each as it comes. An event "gap" says
// how many were missed.
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

// lastEventID is the cursor that a client names, as browsers do when they connect
// again, or in the query. One that there is not yet stands for the last that there is.
func lastEventID(r *http.Request, h *history) (int64, error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = r.URL.Query().Get("after")
	}
	if text == "" {
		return 0, nil
	}
	after, err := strconv.ParseInt(text, 10, 64)
	if err != nil || after < 0 {
		return 0, invalid("Last-Event-ID", "it must be the id of an event")
	}
	return min(after, h.newest()), nil
}

// stream writes server-sent events.
type stream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// follow writes what is in a history after an entry, until nothing follows or the
// client has left.
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

// printf writes an event. A write that fails shows when it is flushed.
func (s *stream) printf(format string, args ...any) {
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, _ = fmt.Fprintf(s.w, format, args...)
}

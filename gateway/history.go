package gateway

import (
	"encoding/json"
	"slices"
	"sync"
)

// How much a conversation keeps for those who follow it.
const (
	maxEntries    = 1000
	maxEntryBytes = 256 << 10 // of all together
)

// Entry is one thing that happened in a conversation. Clients that follow the
// conversation receive it.
type Entry struct {
	ID   int64           `json:"id"`   // counts from 1
	Type string          `json:"type"` // state, utterance, event, mark or receipt
	Data json.RawMessage `json:"data"`
}

// history keeps the last entries of a conversation. Who follows it reads it from a
// cursor on, at their own speed: a slow reader has a gap, and holds up nobody.
type history struct {
	mu      sync.Mutex
	entries []Entry
	last    int64
	bytes   int
	closed  bool
	changed chan struct{} // closed and replaced at every change
}

func newHistory() *history { return &history{changed: make(chan struct{})} }

// add keeps what value is in JSON, and forgets what is too old.
func (h *history) add(kind string, value any) {
	data, err := json.Marshal(value)
	if err != nil {
		data, _ = json.Marshal(map[string]string{"error": err.Error()}) // strings
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.last++
	h.entries = append(h.entries, Entry{ID: h.last, Type: kind, Data: data})
	h.bytes += len(data)
	old := 0
	for len(h.entries)-old > 1 && (len(h.entries)-old > maxEntries || h.bytes > maxEntryBytes) {
		h.bytes -= len(h.entries[old].Data)
		old++
	}
	h.entries = slices.Delete(h.entries, 0, old)
	h.change()
}

// close says that nothing follows.
func (h *history) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	h.change()
}

func (h *history) change() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// newest is the id of the last entry; 0: there is none yet.
func (h *history) newest() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// since returns the entries after one, how many between are not kept any more, and
// either a channel that is closed when there are more, or nil if nothing follows.
func (h *history) since(after int64) (entries []Entry, missed int64, changed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := h.last - int64(len(h.entries)) + 1
	after = min(max(after, 0), h.last)
	missed = max(first-after-1, 0)
	entries = slices.Clone(h.entries[max(after-first+1, 0):])
	if !h.closed {
		changed = h.changed
	}
	return entries, missed, changed
}

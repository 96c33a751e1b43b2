package gateway

import (
	"encoding/json"
	"slices"
	"sync"
)

// How much of a conversation is kept for clients that follow it.
const (
	maxEntries    = 1000
	maxEntryBytes = 256 << 10 // of all together
)

// Entry is one thing that happened in a conversation, as clients receive it.
type Entry struct {
	ID   int64           `json:"id"`   // counts from 1
	Type string          `json:"type"` // state, utterance, event, mark, receipt, complaint or takeover
	Data json.RawMessage `json:"data"`
}

// history keeps the last entries of a conversation. Readers follow it from a cursor, each at
// its own speed: a slow reader misses entries and blocks nobody.
//
// In a cluster, run stores each entry on other machines before anybody reads it. So an id that
// a client has seen means the same entry on every node.
type history struct {
	mu       sync.Mutex
	entries  []Entry
	last     int64 // of entries
	bytes    int
	isClosed bool          // nothing is added any more
	isOver   bool          // nothing is shown any more
	changed  chan struct{} // closed and replaced when something is shown

	isShared bool // run stores entries before they are shown
	pending  []Entry
	then     []func(isKept bool) // functions to call when pending is stored, before it is shown
	added    chan struct{}       // has an element when there is something to store
}

func newHistory(isShared bool) *history {
	return &history{changed: make(chan struct{}), isShared: isShared, added: make(chan struct{}, 1)}
}

// add appends a value in JSON, and drops the oldest entries beyond the limits.
func (h *history) add(kind string, value any) { h.addAll(nil, newEntry(kind, value)) }

// newEntry returns an entry that has no id yet.
func newEntry(kind string, value any) Entry {
	data, err := json.Marshal(value)
	if err != nil {
		data, _ = json.Marshal(map[string]string{"error": err.Error()}) // strings
	}
	return Entry{Type: kind, Data: data}
}

// addAll appends entries, and calls do before anybody reads them: when they are stored, or never
// will be, or at once if nothing is stored. do may be nil.
func (h *history) addAll(do func(isKept bool), entries ...Entry) {
	h.mu.Lock()
	isWaiting := h.isShared && !h.isOver
	if isWaiting && !h.isClosed {
		for _, e := range entries {
			e.ID = h.last + int64(len(h.pending)) + 1
			h.pending = append(h.pending, e)
		}
	}
	if isWaiting && do != nil {
		h.then = append(h.then, do)
	}
	h.wake()
	h.mu.Unlock()
	if isWaiting {
		return
	}
	if do != nil {
		do(!h.isShared)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.isClosed || h.isShared {
		return
	}
	for _, e := range entries {
		e.ID = h.last + 1
		h.show(e)
	}
}

// wake makes run check again. The history is locked.
func (h *history) wake() {
	select {
	case h.added <- struct{}{}:
	default:
	}
}

// show lets readers see entries. The history is locked.
func (h *history) show(entries ...Entry) {
	for _, e := range entries {
		h.last = e.ID
		h.entries = append(h.entries, e)
		h.bytes += len(e.Data)
	}
	old := 0
	for len(h.entries)-old > 1 && (len(h.entries)-old > maxEntries || h.bytes > maxEntryBytes) {
		h.bytes -= len(h.entries[old].Data)
		old++
	}
	h.entries = slices.Delete(h.entries, 0, old)
	h.change()
}

// restore begins the history with the entries that another node has shown. What was added
// already, because this node is told to end, comes after them.
func (h *history) restore(entries []Entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(entries) > 0 {
		h.show(entries...)
	}
	for i := range h.pending {
		h.pending[i].ID = h.last + int64(i) + 1
	}
}

// run stores what was added, several entries at a time, by calling keep, and then shows it. It
// returns when everything is shown after close, or after abandon, or with the error of keep.
func (h *history) run(keep func([]Entry) error) error {
	for range h.added {
		h.mu.Lock()
		batch, waiting, isClosed := h.pending, len(h.then), h.isClosed
		h.mu.Unlock()
		if len(batch) > 0 {
			if err := keep(batch); err != nil {
				h.abandon()
				return err
			}
		}
		h.settle(waiting)
		if h.showStored(batch, isClosed) {
			h.settle(-1)
			return nil
		}
	}
	return nil
}

// settle calls the first functions that wait, all of them if n is negative: none after abandon.
func (h *history) settle(n int) {
	h.mu.Lock()
	if n < 0 || n > len(h.then) {
		n = len(h.then)
	}
	then := h.then[:n]
	h.then = h.then[n:]
	h.mu.Unlock()
	for _, do := range then {
		do(true)
	}
}

// showStored shows a batch that is stored. It reports whether it was the last one.
func (h *history) showStored(batch []Entry, isClosed bool) (isLast bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.isOver && len(batch) > 0 {
		h.pending = h.pending[len(batch):]
		h.show(batch...)
	}
	if isLast = isClosed && len(h.pending) == 0; isLast {
		h.isOver = true
		h.change()
	}
	return isLast
}

// close says that nothing follows. In a cluster, run shows what waits.
func (h *history) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.isClosed = true
	if h.isShared {
		h.wake()
		return
	}
	h.isOver = true
	h.change()
}

// abandon drops what was not shown, because another node continues the conversation.
func (h *history) abandon() {
	h.mu.Lock()
	then := h.then
	h.isClosed, h.isOver, h.pending, h.then = true, true, nil, nil
	h.wake()
	h.change()
	h.mu.Unlock()
	for _, do := range then {
		do(false)
	}
}

func (h *history) change() {
	close(h.changed)
	h.changed = make(chan struct{})
}

// newest returns the id of the last entry, or 0 if there is none.
func (h *history) newest() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last
}

// since returns the entries after an id, how many of them are no longer kept, and a channel
// that is closed when there are more. The channel is nil if nothing follows.
func (h *history) since(after int64) (entries []Entry, missed int64, changed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := h.last - int64(len(h.entries)) + 1
	after = min(max(after, 0), h.last)
	missed = max(first-after-1, 0)
	entries = slices.Clone(h.entries[max(after-first+1, 0):])
	if !h.isOver {
		changed = h.changed
	}
	return entries, missed, changed
}

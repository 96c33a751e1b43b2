package gateway

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A slow reader misses old entries, and is told how many.
func TestHistoryIsBounded(t *testing.T) {
	for _, test := range []struct {
		name  string
		value string
		n     int
		kept  int
	}{
		{"entries", "x", maxEntries + 50, maxEntries},
		{"bytes", strings.Repeat("x", maxEntryBytes/4-2), 6, 4},
		{"one that is too big", strings.Repeat("x", 2*maxEntryBytes), 3, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHistory(false)
			for range test.n {
				h.add("event", test.value)
			}
			entries, missed, changed := h.since(0)
			if len(entries) != test.kept || missed != int64(test.n-test.kept) || changed == nil {
				t.Errorf("%d entries, %d missed, more to come: %t", len(entries), missed, changed != nil)
			}
			if first := entries[0].ID; first != int64(test.n-test.kept+1) {
				t.Errorf("the first entry that is kept is number %d", first)
			}
			last := int64(test.n)
			if entries, missed, _ := h.since(last); len(entries) != 0 || missed != 0 {
				t.Errorf("after the last entry there are %d, and %d were missed", len(entries), missed)
			}
			if entries, missed, _ := h.since(last - 1); len(entries) != 1 || missed != 0 {
				t.Errorf("after the last but one there are %d, and %d were missed", len(entries), missed)
			}
			if entries, _, _ := h.since(last + 7); len(entries) != 0 {
				t.Errorf("after one that never was there are %d", len(entries))
			}
		})
	}
}

// A reader is told that nothing follows.
func TestHistoryEnds(t *testing.T) {
	h := newHistory(false)
	_, _, changed := h.since(0)
	h.close()
	<-changed
	h.add("event", "too late")
	if entries, _, changed := h.since(0); len(entries) != 0 || changed != nil {
		t.Errorf("after the end: %d entries, more to come: %t", len(entries), changed != nil)
	}
}

// What happens while a node still loads the events of the node before comes after them.
func TestRestoreWhileSomethingHappens(t *testing.T) {
	h := newHistory(true)
	h.add("state", "ending")
	h.restore([]Entry{{ID: 7, Type: "state"}, {ID: 8, Type: "event"}})
	h.add("state", "ended")
	h.close()
	var kept []Entry
	err := h.run(func(batch []Entry) error {
		kept = append(kept, batch...)
		return nil
	})
	if err != nil || len(kept) != 2 || kept[0].ID != 9 || kept[1].ID != 10 {
		t.Errorf("it keeps %+v, %v", kept, err)
	}
}

// Who reads that something has ended, and asks about it, learns the same: it is noted before it is
// shown. In a cluster it is stored before that.
func TestEndIsNotedBeforeItIsShown(t *testing.T) {
	for _, isShared := range []bool{false, true} {
		h := newHistory(isShared)
		h.add("utterance", "speaking")
		noted, isStored := 0, false
		h.addAll(func(isKept bool) {
			noted++
			if entries, _, _ := h.since(1); len(entries) > 0 || !isKept || isStored != isShared {
				t.Errorf("shared: %t; when it is noted, %d are shown; kept: %t, stored: %t", isShared, len(entries),
					isKept, isStored)
			}
		}, newEntry("receipt", 1), newEntry("utterance", "over"))
		h.close()
		if isShared {
			if err := h.run(func([]Entry) error { isStored = true; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		entries, _, _ := h.since(0)
		if noted != 1 || len(entries) != 3 || entries[1].ID != 2 || entries[2].Type != "utterance" || entries[2].ID != 3 {
			t.Errorf("shared: %t; noted %d times, and shown: %+v", isShared, noted, entries)
		}
	}
}

// TestCursorBeyondTheLast follows from an id that does not exist yet: the next entry comes,
// whatever its id is.
func TestCursorBeyondTheLast(t *testing.T) {
	h := newHistory(false)
	h.add("state", 1)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/?after=9007199254740991", nil)
	after, err := lastEventID(r, h)
	h.add("state", 2)
	if entries, missed, _ := h.since(after); err != nil || missed != 0 || len(entries) != 1 || entries[0].ID != 2 {
		t.Errorf("after %d there are %v, and %d were missed: %v", after, entries, missed, err)
	}
}

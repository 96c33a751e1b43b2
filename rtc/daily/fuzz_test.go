package daily

import (
	"encoding/json"
	"testing"

	"echocast/internal/lifetime"
)

// FuzzLibraryEvent passes events as Daily's library may write them, with content from anybody
// in the room.
func FuzzLibraryEvent(f *testing.F) {
	f.Add([]byte(`{"action":"app-message","from":"s1","msgData":{"message_type":"system"}}`), []byte(`{"s1":{"id":"s1"}}`))
	f.Add([]byte(`{"action":"participant-joined","participant":{"id":"s1","info":{"userName":"Ann"}}}`), []byte(`null`))
	f.Add([]byte(`{"action":"request-completed","requestId":{"id":7},"requestError":{"msg":"no"}}`), []byte(`[`))
	f.Fuzz(func(t *testing.T, object, list []byte) {
		var r roster
		n := &native{calls: make(map[uint64]chan error), window: make(chan struct{}, sendWindow), Lifetime: lifetime.New()}
		n.handle = func(_ transport, e frame) {
			for _, news := range [][][]byte{r.replace(e.People), r.arrive(e.Person), r.hear(e.From, e.Data),
				r.depart(e.Person.SessionID)} {
				for _, message := range news {
					if !json.Valid(message) {
						t.Errorf("no JSON: %s", message)
					}
				}
			}
		}
		n.event(object)
		n.enter(list)
		n.event(object)
	})
}

// FuzzPageFrame reads frames as the page writes them, with content from anybody in the room.
func FuzzPageFrame(f *testing.F) {
	f.Add([]byte(`{"event":"message","from":"s1","data":{"event_type":"conversation.replica.started_speaking"}}`))
	f.Add([]byte(`{"event":"people","people":[{"session_id":"s1"},{"session_id":"s1"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var e frame
		if json.Unmarshal(text, &e) != nil {
			return
		}
		var r roster
		for _, news := range [][][]byte{r.replace(e.People), r.arrive(e.Person), r.hear(e.From, e.Data), r.depart(e.From)} {
			for _, message := range news {
				if !json.Valid(message) {
					t.Errorf("no JSON: %s", message)
				}
			}
		}
	})
}

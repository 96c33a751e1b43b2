package daily

import (
	"encoding/json"
	"strings"
)

// The types of the messages about the room.
const (
	joinedEvent   = "room.participant_joined"
	leftEvent     = "room.participant_left"
	rejoinedEvent = "room.rejoined"
)

// The roles of those in the room.
const (
	roleReplica = "replica"
	rolePerson  = "person"
)

// participant is one of those in the room, as daily-js describes them.
type participant struct {
	SessionID string `json:"session_id"`
	UserID    string `json:"user_id"`
	UserName  string `json:"user_name"`
	Role      string `json:"role"`
}

// roster knows who is in the room, in order of arrival, and which of them is
// the replica. Its methods return the messages that tell of a change.
type roster struct {
	name    string // what marks the replica
	people  []participant
	replica string // its session id, or empty
}

// arrive takes one who has joined; one who is known already is no news.
func (r *roster) arrive(p participant) [][]byte {
	if r.find(p.SessionID) >= 0 {
		return nil
	}
	p.Role = rolePerson
	if r.replica == "" && (p.UserName == r.name || strings.Contains(p.UserID, r.name)) {
		p.Role = roleReplica
		r.replica = p.SessionID
	}
	r.people = append(r.people, p)
	return [][]byte{roomMessage(joinedEvent, p)}
}

// depart takes one who has left.
func (r *roster) depart(session string) [][]byte {
	i := r.find(session)
	if i < 0 {
		return nil
	}
	p := r.people[i]
	r.people = append(r.people[:i], r.people[i+1:]...)
	if r.replica == session {
		r.replica = ""
	}
	return [][]byte{roomMessage(leftEvent, p)}
}

// replace takes all who are there now.
func (r *roster) replace(people []participant) (news [][]byte) {
	there := make(map[string]bool)
	for _, p := range people {
		there[p.SessionID] = true
	}
	for _, p := range append([]participant(nil), r.people...) {
		if !there[p.SessionID] {
			news = append(news, r.depart(p.SessionID)...)
		}
	}
	for _, p := range people {
		news = append(news, r.arrive(p)...)
	}
	return news
}

// hear finds the replica by what it sends, as long as it is not known.
func (r *roster) hear(session string, message []byte) [][]byte {
	i := r.find(session)
	if r.replica != "" || i < 0 || !fromReplica(message) {
		return nil
	}
	r.replica = session
	r.people[i].Role = roleReplica
	return [][]byte{roomMessage(joinedEvent, r.people[i])}
}

// find is the index of a participant, or -1.
func (r *roster) find(session string) int {
	for i, p := range r.people {
		if p.SessionID == session {
			return i
		}
	}
	return -1
}

// fromReplica reports whether a message is one that only a replica sends.
func fromReplica(message []byte) bool {
	var m struct {
		MessageType string `json:"message_type"`
		EventType   string `json:"event_type"`
	}
	if json.Unmarshal(message, &m) != nil {
		return false
	}
	return m.MessageType == "system" ||
		strings.HasSuffix(m.EventType, "started_speaking") || strings.HasSuffix(m.EventType, "stopped_speaking")
}

// roomMessage is a message about the room, for Receive.
func roomMessage(event string, properties any) []byte {
	message, err := json.Marshal(struct {
		MessageType string `json:"message_type"`
		EventType   string `json:"event_type"`
		Properties  any    `json:"properties"`
	}{"room", event, properties})
	if err != nil {
		panic("internal error: " + err.Error()) // strings only
	}
	return message
}

package daily

import (
	"cmp"
	"encoding/json"
	"strings"
)

// The types of messages about the room.
const (
	joinedEvent      = "room.participant_joined"
	leftEvent        = "room.participant_left"
	rejoinedEvent    = "room.rejoined"
	interruptedEvent = "room.network_interrupted"
	reconnectedEvent = "room.network_connected"
)

// The roles of participants.
const (
	roleReplica = "replica"
	rolePerson  = "person"
)

// participant is somebody in the room, as daily-js describes them.
type participant struct {
	SessionID string `json:"session_id"`
	UserID    string `json:"user_id"`
	UserName  string `json:"user_name"`
	Role      string `json:"role"`

	isReplica    bool   // by its name or its messages: ours, or of another conversation
	conversation string // id in its events; empty before the first event
}

// roster lists who is in the room, in order of arrival, and knows our replica. Its
// methods return the messages that report a change.
type roster struct {
	name         string // the name of replicas
	conversation string // our conversation; empty: not known
	people       []participant
	replica      string // the session id of our replica; empty: not known
}

// arrive adds a participant. It returns nothing for one already in the list.
func (r *roster) arrive(p participant) [][]byte {
	if r.find(p.SessionID) >= 0 {
		return nil
	}
	p.Role = rolePerson
	p.isReplica = p.UserName == r.name || strings.Contains(p.UserID, r.name)
	if p.isReplica && r.replica == "" {
		p.Role = roleReplica
		r.replica = p.SessionID
	}
	r.people = append(r.people, p)
	return [][]byte{roomMessage(joinedEvent, p)}
}

// depart removes a participant.
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

// replace replaces the list by those who are in the room now.
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

// hear learns from a message who is a replica, and of which conversation. The first known
// replica is ours, until another proves to be of our conversation and the first has not
// proved it.
func (r *roster) hear(session string, message []byte) [][]byte {
	i := r.find(session)
	if i < 0 {
		return nil
	}
	p := &r.people[i]
	conversation, ofReplica := readEvent(message)
	if !p.isReplica && !ofReplica {
		return nil
	}
	ours := conversation != "" && conversation == r.conversation
	if !p.isReplica && r.replica != "" && !ours {
		return nil
	}
	p.isReplica = true
	p.conversation = cmp.Or(conversation, p.conversation)
	now := r.find(r.replica)
	if now == i || now >= 0 && (!ours || r.people[now].conversation == r.conversation) {
		return nil
	}
	if now >= 0 {
		r.people[now].Role = rolePerson
	}
	r.replica, p.Role = session, roleReplica
	return [][]byte{roomMessage(joinedEvent, *p)}
}

// recipient returns the recipient of our messages: the replica, or everyone while it is
// not known which of several replicas is ours.
func (r *roster) recipient() string {
	if r.replicas() > 1 && !r.isCertain() {
		return ""
	}
	return r.replica
}

// isCertain reports whether the events of the replica prove that it belongs to our
// conversation.
func (r *roster) isCertain() bool {
	i := r.find(r.replica)
	return r.conversation == "" || i >= 0 && r.people[i].conversation == r.conversation
}

func (r *roster) replicas() (n int) {
	for _, p := range r.people {
		if p.isReplica {
			n++
		}
	}
	return n
}

// isForeign reports whether a message is the event of another conversation's
// replica in the same room.
func (r *roster) isForeign(session string, message []byte) bool {
	i := r.find(session)
	if r.conversation == "" || r.replicas() < 2 || i < 0 || !r.people[i].isReplica {
		return false
	}
	if r.isCertain() {
		return session != r.replica
	}
	conversation, _ := readEvent(message)
	return conversation != "" && conversation != r.conversation
}

// find returns the index of a participant, or -1.
func (r *roster) find(session string) int {
	for i, p := range r.people {
		if p.SessionID == session {
			return i
		}
	}
	return -1
}

// readEvent returns the conversation that a message names, and whether only a
// replica sends such messages.
func readEvent(message []byte) (conversation string, ofReplica bool) {
	var m struct {
		MessageType    string `json:"message_type"`
		EventType      string `json:"event_type"`
		ConversationID string `json:"conversation_id"`
	}
	if json.Unmarshal(message, &m) != nil {
		return "", false
	}
	return m.ConversationID, m.MessageType == "system" ||
		strings.HasSuffix(m.EventType, "started_speaking") || strings.HasSuffix(m.EventType, "stopped_speaking")
}

// roomMessage encodes a message about the room, for Receive.
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

package daily

import (
	"strings"
	"testing"

	"echocast/rtc/daily/dailytest"
)

func TestRoster(t *testing.T) {
	ann := participant{SessionID: "a", UserID: "x-tavus-replica-y", UserName: "Ann"}
	bob := participant{SessionID: "b", UserID: "user", UserName: "tavus-replica"}
	cleo := participant{SessionID: "c", UserID: "user", UserName: "my tavus-replica"}
	speaking := []byte(`{"message_type":"conversation","event_type":"conversation.replica.started_speaking"}`)
	r := roster{name: DefaultReplicaName}
	for _, step := range []struct {
		name    string
		news    func() [][]byte
		want    string // event and session of each, and the role's first letter
		replica string
	}{
		{"a name that only contains it", func() [][]byte { return r.arrive(cleo) }, "joined c p", ""},
		{"once more", func() [][]byte { return r.arrive(cleo) }, "", ""},
		{"no event of a replica", func() [][]byte {
			return r.hear("c", []byte(`{"message_type":"conversation","event_type":"conversation.echo"}`))
		}, "", ""},
		{"no JSON", func() [][]byte { return r.hear("c", []byte(`{`)) }, "", ""},
		{"one who is not there", func() [][]byte { return r.hear("z", speaking) }, "", ""},
		{"the user id", func() [][]byte { return r.arrive(ann) }, "joined a r", "a"},
		{"a second replica", func() [][]byte { return r.arrive(bob) }, "joined b p", "a"},
		{"an event of another", func() [][]byte { return r.hear("b", speaking) }, "", "a"},
		{"nobody leaves", func() [][]byte { return r.depart("z") }, "", "a"},
		{"the replica leaves", func() [][]byte { return r.depart("a") }, "left a r", ""},
		{"an event", func() [][]byte { return r.hear("c", speaking) }, "joined c r", "c"},
		{"others are there", func() [][]byte { return r.replace([]participant{ann, bob}) }, "left c r, joined a r", "a"},
		{"the same are there", func() [][]byte { return r.replace([]participant{bob, ann}) }, "", "a"},
		{"nobody is there", func() [][]byte { return r.replace(nil) }, "left b p, left a r", ""},
	} {
		var got []string
		for _, message := range step.news() {
			got = append(got, short(string(message)))
		}
		if news := strings.Join(got, ", "); news != step.want {
			t.Errorf("%s: %q, want %q", step.name, news, step.want)
		}
		if r.replica != step.replica {
			t.Errorf("%s: the replica is %q, want %q", step.name, r.replica, step.replica)
		}
	}
	r.arrive(bob)
	if r.replica != "b" {
		t.Errorf("the replica is %q, want b by its user name", r.replica)
	}
}

// short is a message about one in the room in three words.
func short(message string) string {
	for _, p := range []dailytest.Person{
		{SessionID: "a", UserID: "x-tavus-replica-y", UserName: "Ann"},
		{SessionID: "b", UserID: "user", UserName: "tavus-replica"},
		{SessionID: "c", UserID: "user", UserName: "my tavus-replica"},
	} {
		for _, event := range []string{"joined", "left"} {
			for _, role := range []string{rolePerson, roleReplica} {
				if message == about("room.participant_"+event, p, role) {
					return event + " " + p.SessionID + " " + role[:1]
				}
			}
		}
	}
	return message
}

func TestInboxIsBounded(t *testing.T) {
	b := newInbox()
	message := make([]byte, inboxLimit/2)
	for range 2 {
		if !b.put(message) {
			t.Error("no room below the limit")
		}
	}
	if b.put([]byte{1}) {
		t.Error("the limit is not kept")
	}
	if got, found := b.take(); !found || len(got) != len(message) {
		t.Error("the first message is not there")
	}
	if !b.put([]byte{1}) {
		t.Error("no room again")
	}
}

// Two PALs are in one room. Their events tell which one is ours.
func TestRosterOfTwoReplicas(t *testing.T) {
	ann := participant{SessionID: "a", UserID: "tavus-replica-1"}
	bob := participant{SessionID: "b", UserID: "tavus-replica-2"}
	event := func(conversation string) []byte {
		return []byte(`{"message_type":"conversation","event_type":"conversation.replica_present","conversation_id":"` +
			conversation + `"}`)
	}
	r := roster{name: DefaultReplicaName, conversation: "c2"}
	check := func(step, recipient, replica string) {
		t.Helper()
		if r.recipient() != recipient || r.replica != replica {
			t.Errorf("%s: messages go to %q, and the replica is %q; want %q and %q", step, r.recipient(),
				r.replica, recipient, replica)
		}
	}
	r.arrive(ann)
	check("one replica", "a", "a")
	if r.hear("a", event("c1")) != nil || r.isForeign("a", event("c1")) {
		t.Error("the only replica is not ours")
	}
	check("one replica with another id", "a", "a")
	r.arrive(bob)
	check("two replicas", "", "a")
	if !r.isForeign("a", event("c1")) || r.isForeign("b", event("c2")) || r.isForeign("b", []byte(`{}`)) {
		t.Error("before ours is known, events are not told apart by their conversation")
	}
	if news := r.hear("b", event("c2")); len(news) != 1 || !strings.Contains(string(news[0]), `"session_id":"b"`) ||
		!strings.Contains(string(news[0]), roleReplica) {
		t.Errorf("ours is known: %s", news)
	}
	check("ours is known", "b", "b")
	if !r.isForeign("a", []byte(`{}`)) || r.isForeign("b", event("c1")) || r.isForeign("z", event("c1")) {
		t.Error("when ours is known, events are not told apart by their sender")
	}
	if news := r.depart("a"); len(news) != 1 || strings.Contains(string(news[0]), `"role":"replica"`) {
		t.Errorf("the other leaves: %s", news)
	}
	check("the other has left", "b", "b")
	r.arrive(ann)
	if r.hear("a", event("c1")); r.replica != "b" {
		t.Error("the other has become ours")
	}
}

package replica

import (
	"strings"
	"testing"
	"time"
)

// A session that advances late still sends its events in their order.
func TestScheduleCatchesUp(t *testing.T) {
	script := parsed(t,
		`{"on":"started_speaking","after_ms":70,"event":{"event_type":"conversation.second"}}`,
		`{"on":"started_speaking","after_ms":50,"event":{"event_type":"conversation.first"}}`,
		`{"on":"stopped_speaking","event":{"event_type":"conversation.last"}}`,
	)
	s := newSession((&Options{MessageLimit: -1, Script: script}).withDefaults(), epoch)
	p := &participant{}
	s.addParticipant(p, epoch)
	s.receive(p, []byte(echoMessage("a", longAudio, 24000, true)), epoch)
	s.receive(p, []byte(echoMessage("b", longAudio, 24000, true)), epoch)
	s.advance(epoch.Add(time.Hour))
	var got []string
	for msg, ok := s.outbox.take(epoch.Add(time.Hour)); ok; msg, ok = s.outbox.take(epoch.Add(time.Hour)) {
		fields, err := decodeObject(msg.msg)
		if err != nil {
			t.Fatal(err)
		}
		name, _ := decodeText(fields["event_type"])
		got = append(got, name[strings.IndexByte(name, '.')+1:])
	}
	want := "replica_joined pal_joined started_speaking started_speaking stopped_speaking stopped_speaking " +
		"started_speaking started_speaking first last second stopped_speaking stopped_speaking"
	if strings.Join(got, " ") != want {
		t.Errorf("sent\n%s\nwant\n%s", strings.Join(got, " "), want)
	}
}

//go:build unix

package converse

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/room"
	"echocast/room/roomtest"
)

// The command that answers learns what was heard of its previous answer.
func TestHeardWordsReachThinkCommand(t *testing.T) {
	script, err := replica.ParseScript(strings.NewReader(
		`{"event":{"message_type":"conversation","event_type":"conversation.utterance","properties":{"role":"user",` +
			`"speech":"Count."}}}`))
	if err != nil {
		t.Fatal(err)
	}
	// The user speaks after two seconds that were heard, however long that takes.
	r := roomtest.Open(&replica.Options{Script: script, Faults: replica.Faults{UserAt: 2 * time.Second,
		UserFor: 100 * time.Millisecond, UserSays: "Stop."}})
	defer r.Close()
	joined, err := room.Join(testwait.Context(t), r.Address, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer joined.Close()
	session, err := echo.NewSession(joined.Stage(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	l := &listener{}
	err = Run(testwait.Context(t), session, Options{
		OnUtterance: `read -r line; case "$line" in *Stop*) echo "$ECHOCAST_HEARD@$line";; *) echo "one two ` +
			`three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen ` +
			`eighteen nineteen twenty";; esac`,
		// The first answer is so long that it is interrupted on a slow machine too.
		TTS:  `case "$(cat)" in *@*) head -c 22094 ../testdata/speech.wav;; *) cat ../testdata/speech.wav;; esac`,
		JSON: true, Count: 2, OnNote: l.note,
	})
	replies := l.texts(NoteReply)
	if err != nil || len(replies) != 2 {
		t.Fatalf("%v, %q", err, replies)
	}
	heard, line, _ := strings.Cut(replies[1], "@")
	var got struct {
		Text     string
		Previous Previous
	}
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	words := got.Previous.Heard
	if got.Text != "Stop." || got.Previous.Answer != replies[0] || words == nil || words.Text != heard ||
		words.Words == 0 || words.Words >= words.Of {
		t.Errorf("heard %q, %+v of %+v", heard, words, got)
	}
}

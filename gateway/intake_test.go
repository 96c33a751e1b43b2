package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"echocast/echo"
)

// onSockets runs f, in fake time, with a function that opens a WebSocket of a new rehearsal.
func onSockets(t *testing.T, f func(t *testing.T, list func() []UtteranceInfo, open func() *testSocket)) {
	t.Helper()
	inBubble(t, nil, func(t *testing.T, c *client) {
		path := c.create("")
		web, _, end := inMemory(c)
		defer end()
		var all []func()
		defer func() {
			for _, leave := range all {
				leave()
			}
		}()
		list := func() []UtteranceInfo {
			var answer struct{ Utterances []UtteranceInfo }
			c.do("GET", path+"/utterances", nil, http.StatusOK, &answer)
			return answer.Utterances
		}
		f(t, list, func() *testSocket {
			s, leave := openSocket(t, web, path, "")
			all = append(all, leave)
			return s
		})
	})
}

// accepted waits for the answer to an order, and returns it.
func (s *testSocket) accepted() (info UtteranceInfo) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.await("accepted", "")), &info); err != nil {
		s.t.Fatal(err)
	}
	return info
}

// A client whose connection was lost continues an utterance with a key on another one, by the key
// or by the id. All of it is said, once, and each mark is reported once.
func TestSocketContinues(t *testing.T) {
	for _, order := range []string{`{"type":"start","key":"k","name":"again"}`, `{"type":"continue","utterance":%q}`} {
		onSockets(t, func(t *testing.T, list func() []UtteranceInfo, open func() *testSocket) {
			first := open()
			first.order(`{"type":"start","key":"k"}`)
			if info := first.accepted(); !info.IsOpen || info.Bytes != 0 {
				t.Errorf("a new utterance is %+v", info)
			}
			first.speak(2)
			first.order(`{"type":"mark","name":"two"}`)
			if told := first.await("received", ""); !strings.Contains(told, `"bytes":67200`) { // the first message beyond 64 KiB
				t.Errorf("received: %s", told)
			}
			first.await("event", "started_speaking")
			_ = first.conn.CloseNow()
			time.Sleep(continueTimeout - time.Second)

			second := open()
			if strings.Contains(order, "%") {
				order = fmt.Sprintf(order, list()[0].ID)
			}
			second.order(order)
			info := second.accepted()
			if !info.IsOpen || info.Bytes != 96000 || info.Marks != 1 {
				t.Fatalf("it continues with %+v", info)
			}
			second.speak(1)
			second.order(`{"type":"end"}`)
			second.await("receipt", `"outcome":"finished"`)
			second.await("utterance", `"over"`)
			all := list()
			if len(all) != 1 || all[0].Receipt.Samples != 72000 || all[0].Receipt.Outcome != echo.Finished {
				t.Errorf("the utterances are %+v", all)
			}
			marks := slices.DeleteFunc(slices.Clone(second.seen), func(e Entry) bool { return e.Type != "mark" })
			if len(marks) != 1 || !strings.Contains(string(marks[0].Data), `"heard":true`) {
				t.Errorf("the marks are %+v", marks)
			}
			// Who asks once more, since the end was not heard of, gets the receipt.
			second.order(order)
			if info := second.accepted(); info.IsOpen || info.Receipt == nil || info.Phase != Over {
				t.Errorf("after its end it is %+v", info)
			}
		})
	}
}

// A client that does not know yet that its connection is lost has no effect after another
// connection has continued.
func TestSocketIsReplaced(t *testing.T) {
	onSockets(t, func(t *testing.T, list func() []UtteranceInfo, open func() *testSocket) {
		first, second := open(), open()
		first.order(`{"type":"start","key":"k"}`)
		first.accepted()
		first.speak(.5)
		first.order(`{"type":"mark","name":"a"}`)
		first.speak(.5)
		first.await("mark", "a")
		second.order(`{"type":"start","key":"k"}`)
		if info := second.accepted(); info.Bytes != 48000 {
			t.Errorf("it continues with %+v", info)
		}
		first.speak(3)
		first.order(`{"type":"mark","name":"b"}`)
		first.order(`{"type":"end"}`)
		first.order(`{"type":"say","text":" "}`)
		first.await("error", "no text") // all before was read
		second.speak(1)
		second.order(`{"type":"end"}`)
		second.await("receipt", `"samples":48000`)
	})
}

// If the client does not come back, an utterance with a key is cut off, and its receipt says so.
func TestSocketDoesNotContinue(t *testing.T) {
	onSockets(t, func(t *testing.T, list func() []UtteranceInfo, open func() *testSocket) {
		first := open()
		first.order(`{"type":"start","key":"k"}`)
		first.speak(1)
		first.await("event", "started_speaking")
		_ = first.conn.CloseNow()
		time.Sleep(continueTimeout - time.Second)
		if u := list()[0]; u.Phase != Speaking {
			t.Errorf("it does not wait: %+v", u)
		}
		time.Sleep(3 * time.Second)
		if u := list()[0]; u.Phase != Over || !strings.Contains(u.Error, "the client did not continue") {
			t.Errorf("it is %+v", u)
		}
	})
}

// An interrupt that a client sends again, since it has not seen the answer, does not stop what the
// client began after it.
func TestInterruptIsObeyedOnce(t *testing.T) {
	onSockets(t, func(t *testing.T, list func() []UtteranceInfo, open func() *testSocket) {
		first := open()
		first.order(`{"type":"start","key":"before"}`)
		first.speak(3)
		first.await("event", "started_speaking")
		first.order(`{"type":"interrupt","key":"after"}`)
		if answer := first.await("interrupted", ""); !strings.Contains(answer, `"outcome":"interrupted"`) {
			t.Errorf("the first interrupt stopped %s", answer)
		}
		first.order(`{"type":"start","key":"after"}`)
		first.speak(1)
		first.accepted()
		_ = first.conn.CloseNow()

		second := open()
		second.order(`{"type":"interrupt","key":"after"}`)
		if answer := second.await("interrupted", ""); answer != `{"receipts":[]}` {
			t.Errorf("the second interrupt stopped %s", answer)
		}
		second.order(`{"type":"start","key":"after"}`)
		if info := second.accepted(); !info.IsOpen {
			t.Errorf("the later utterance is %+v", info)
		}
		second.order(`{"type":"end"}`)
		second.await("receipt", `"outcome":"finished"`)
	})
}

// The next node reports the marks of which no event has told yet.
func TestMarksAreKept(t *testing.T) {
	t.Parallel()
	saved := &SavedAudio{Utterance: "u", Pieces: [][]byte{
		append([]byte{pieceBegin}, fmtJSON(keptHeader{Kind: keptAudio, IsStream: true})...),
		append([]byte{pieceMark}, fmtJSON(keptMark{"a", 1, 1})...), {pieceData, 0, 0},
		append([]byte{pieceMark}, fmtJSON(keptMark{"b", 2, 2})...),
	}}
	kept, err := parseKept(saved)
	if err != nil {
		t.Fatal(err)
	}
	told := fmtJSON([]Entry{{1, "mark", fmtJSON(Mark{Utterance: "other"})}, {2, "mark", fmtJSON(Mark{Utterance: "u"})}})
	left := marksLeft(kept, [][]byte{told})
	if len(left) != 1 || left[0].Name != "b" || left[0].Seconds != 2 || left[0].Utterance != "u" {
		t.Errorf("%+v are left", left)
	}
}

package twilio

import (
	"encoding/json"
	"strings"
	"testing"

	"echocast/carrier"
)

// The messages are those of Twilio's documentation, byte for byte except the ids.
func TestMessages(t *testing.T) {
	s := New(map[string]string{"FirstName": "Jane"})
	s.account, s.call, s.stream = "AC1", "CA1", "MZ1"
	var got []string
	for _, m := range s.Start() {
		got = append(got, string(m.Data))
	}
	got = append(got, string(s.Voice([]int16{0, -8}).Data))
	got = append(got, string(s.Mark("my label", true)[0].Data), string(s.Mark("", false)[0].Data),
		string(s.Stop()[0].Data))
	for i, want := range []string{
		`{"event":"connected","protocol":"Call","version":"1.0.0"}`,
		`{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC1","streamSid":"MZ1","callSid":"CA1",` +
			`"tracks":["inbound"],` +
			`"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},` +
			`"customParameters":{"FirstName":"Jane"}},"streamSid":"MZ1"}`,
		`{"event":"media","sequenceNumber":"2","media":{"track":"inbound","chunk":"1","timestamp":"20",` +
			`"payload":"/34="},"streamSid":"MZ1"}`,
		`{"event":"mark","sequenceNumber":"3","mark":{"name":"my label"},"streamSid":"MZ1"}`,
		`{"event":"mark","sequenceNumber":"4","mark":{"name":""},"streamSid":"MZ1"}`,
		`{"event":"stop","sequenceNumber":"5","stop":{"accountSid":"AC1","callSid":"CA1"},"streamSid":"MZ1"}`,
	} {
		if got[i] != want {
			t.Errorf("message %d is\n%s, want\n%s", i, got[i], want)
		}
	}
	if len(s.Cleared()) != 0 {
		t.Error("Twilio answers a clear")
	}
}

// The signature is the HMAC-SHA1 of the address in base64, as OpenSSL computes it. A WebSocket
// request has no parameters to sign.
func TestSign(t *testing.T) {
	if got, want := Sign("12345", "wss://example.com/myapp"), "EvfFy6N6m8eXX/laJoZBmC3LFVM="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Bots send sequence numbers, chunks and timestamps as strings, as Twilio does, or as numbers.
func TestNumbersMayBeNumbers(t *testing.T) {
	s := New(nil)
	s.stream = "MZ1"
	for _, number := range []string{`"4"`, "4", "4.5", "null"} {
		media := `{"event":"media","sequenceNumber":#,"streamSid":"MZ1",` +
			`"media":{"chunk":#,"timestamp":#,"payload":"fn8="}}`
		order, err := s.Read(carrier.Message{Data: []byte(strings.ReplaceAll(media, "#", number))})
		if err != nil || len(order.Audio) != 2 {
			t.Errorf("media with %s: %+v, %v", number, order, err)
		}
		mark := `{"event":"mark","sequenceNumber":#,"streamSid":"MZ1","mark":{"name":"a"}}`
		order, err = s.Read(carrier.Message{Data: []byte(strings.ReplaceAll(mark, "#", number))})
		if err != nil || order.Mark != "a" {
			t.Errorf("a mark with %s: %+v, %v", number, order, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"event":"media","streamSid":"MZ1","media":{"payload":"fn8="}}`,
		`{"event":"mark","streamSid":"MZ1","mark":{"name":"a"}}`,
		`{"event":"clear","streamSid":"MZ1"}`, `{"event":"media","streamSid":"MZ1","media":null}`, `[]`, ``,
	} {
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, isBinary bool) {
		s := New(nil)
		s.stream = "MZ1"
		order, err := s.Read(carrier.Message{IsBinary: isBinary, Data: data})
		if err != nil {
			return
		}
		var m struct{ Event string }
		if json.Unmarshal(data, &m) != nil || isBinary {
			t.Fatalf("%q was taken as %+v", data, order)
		}
		if order.Clear != (m.Event == "clear") || order.HasMark != (m.Event == "mark") || len(order.Audio) > len(data) {
			t.Errorf("%q became %+v", data, order)
		}
	})
}

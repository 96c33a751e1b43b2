package livekit

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	wire "github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"echocast/echo"
	"echocast/internal/pcm"
)

var fixtureUtterance = echo.Utterance{InferenceID: "8a4b3c2d-0000-4000-8000-000000000001", Rate: 24000}

func fixture(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile("../../testdata/protocol/livekit/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// The bytes are written out by hand from the field numbers of LiveKit's
// livekit_models.proto: DataPacket.stream_header is 13, stream_chunk 14,
// stream_trailer 15.
func TestPacketBytes(t *testing.T) {
	id := hex.EncodeToString([]byte(fixtureUtterance.InferenceID))
	const field1ID = "0a24" // 36 bytes in field 1
	name := "0a2a" + hex.EncodeToString([]byte("AUDIO_")) + id
	head := field1ID + id +
		"10" + "d4a584f6f733" + // timestamp: 1784538010324 as a varint
		"1a0f" + hex.EncodeToString([]byte(topicAudio)) +
		"2218" + hex.EncodeToString([]byte(mimeAudio)) +
		"4211" + "0a0c" + hex.EncodeToString([]byte("num_channels")) + "120131" +
		"4214" + "0a0b" + hex.EncodeToString([]byte("sample_rate")) + "12053234303030" +
		"522c" + name
	for _, c := range []struct {
		name string
		got  packet
		want string
	}{
		{"header", header(fixtureUtterance, time.UnixMilli(1784538010324)), "6a" + size(head) + head},
		{"first chunk", chunk(fixtureUtterance.InferenceID, 0, []byte{1, 2}), "722a" + field1ID + id + "1a020102"},
		{"chunk 300", chunk(fixtureUtterance.InferenceID, 300, []byte{1, 2}), "722d" + field1ID + id + "10ac02" + "1a020102"},
		{"trailer", trailer(fixtureUtterance.InferenceID), "7a26" + field1ID + id},
	} {
		got, err := proto.MarshalOptions{Deterministic: true}.Marshal(c.got)
		if err != nil {
			t.Fatal(err)
		}
		if hex.EncodeToString(got) != c.want {
			t.Errorf("%s is\n%x, want\n%s", c.name, got, c.want)
		}
	}
}

// size is the length of what hex digits stand for, as a varint of two bytes.
func size(digits string) string {
	n := len(digits) / 2
	return hex.EncodeToString([]byte{byte(n&0x7f | 0x80), byte(n >> 7)})
}

func TestHeaderAgainstFixture(t *testing.T) {
	var want struct {
		StreamID   string            `json:"stream_id"`
		Timestamp  int64             `json:"timestamp"`
		Topic      string            `json:"topic"`
		MimeType   string            `json:"mime_type"`
		Attributes map[string]string `json:"attributes"`
	}
	fixture(t, "stream_header.json", &want)
	got := header(fixtureUtterance, time.UnixMilli(want.Timestamp)).GetStreamHeader()
	same := got.StreamId == want.StreamID && got.Timestamp == want.Timestamp && got.Topic == want.Topic &&
		got.MimeType == want.MimeType && reflect.DeepEqual(got.Attributes, want.Attributes) && got.TotalLength == nil
	if !same {
		t.Errorf("the header is %s, want %+v", protojson.Format(got), want)
	}
	if name := got.ContentHeader.(*wire.DataStream_Header_ByteHeader).ByteHeader.Name; !strings.HasPrefix(name, "AUDIO_") {
		t.Errorf("the stream's name is %q", name)
	}
}

// The room quantises samples as echo.Encoder does.
func TestPCMMatchesEncoder(t *testing.T) {
	samples := []float32{0, 1, -1, 1.5, -1.5, 0.5 / 32768, 1.5 / 32768, -0.5 / 32768, 32766.5 / 32768,
		32767.5 / 32768, 0.3, -0.7,
		float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))}
	for i := range 70000 {
		samples = append(samples, float32(i-35000)/32768+1e-5)
	}
	encoder, err := echo.NewEncoder(echo.Utterance{InferenceID: "a", Rate: 24000})
	if err != nil {
		t.Fatal(err)
	}
	var msg struct{ Properties struct{ Audio string } }
	if err := json.Unmarshal(encoder.Append(nil, samples, true), &msg); err != nil {
		t.Fatal(err)
	}
	want, err := base64.StdEncoding.DecodeString(msg.Properties.Audio)
	if err != nil {
		t.Fatal(err)
	}
	if got := new(pcm.Quantiser).Bytes(samples); !bytes.Equal(got, want) {
		t.Error("the samples differ from the encoder's")
	}
}

func claims(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no token", token)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAvatarTokenAgainstFixture(t *testing.T) {
	var want map[string]any
	fixture(t, "avatar_token_claims.json", &want)
	token, err := AvatarToken("key", testSecret, "demo-room", DefaultAvatar, "echocast-agent", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	got := claims(t, token)
	for claim, value := range want {
		if !reflect.DeepEqual(got[claim], value) {
			t.Errorf("the claim %s is %v, want %v", claim, got[claim], value)
		}
	}
	if got["iss"] != "key" || got["exp"].(float64)-got["nbf"].(float64) != 3600 {
		t.Errorf("issued by %v, from %v to %v; want an hour", got["iss"], got["nbf"], got["exp"])
	}
}

func TestTokenOfSenderHasNoAttributes(t *testing.T) {
	made, err := token("key", testSecret, "demo-room", "me", time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := claims(t, made); got["sub"] != "me" || got["attributes"] != nil {
		t.Errorf("the claims are %v", got)
	}
}

func TestTokenErrors(t *testing.T) {
	for name, sign := range map[string]func() (string, error){
		"no key":      func() (string, error) { return AvatarToken("", testSecret, "room", "a", "me", time.Hour) },
		"no secret":   func() (string, error) { return AvatarToken("key", "", "room", "a", "me", time.Hour) },
		"no room":     func() (string, error) { return AvatarToken("key", testSecret, "", "a", "me", time.Hour) },
		"no identity": func() (string, error) { return AvatarToken("key", testSecret, "room", "", "me", time.Hour) },
		"no time":     func() (string, error) { return AvatarToken("key", testSecret, "room", "a", "me", 0) },
	} {
		if token, err := sign(); err == nil || strings.Contains(err.Error(), testSecret) {
			t.Errorf("%s: token %q, error %v", name, token, err)
		}
	}
}

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]Address{
		"livekit+wss://example.livekit.cloud/demo":     {"wss://example.livekit.cloud", "demo"},
		"livekit+ws://127.0.0.1:7880/room":             {"ws://127.0.0.1:7880", "room"},
		"livekit+ws://[::1]:7880/room/":                {"ws://[::1]:7880", "room"},
		"LiveKit+WSS://host/a%20room%2Fwith%2Fslashes": {"wss://host", "a room/with/slashes"},
	} {
		got, err := ParseAddress(text)
		if err != nil || got != want {
			t.Errorf("%s is %+v, %v; want %+v", text, got, err, want)
			continue
		}
		if again, err := ParseAddress(got.String()); err != nil || again != want {
			t.Errorf("%s is written %s, which is %+v, %v", text, got, again, err)
		}
	}
}

func TestParseAddressErrors(t *testing.T) {
	for text, why := range map[string]string{
		"":                              "begins with neither",
		"wss://host/room":               "begins with neither",
		"livekit+https://host/room":     "begins with neither",
		"livekit://host/room":           "begins with neither",
		"livekit+wss:host":              "no host",
		"livekit+wss:///room":           "no host",
		"livekit+wss://:7880/room":      "no host",
		"livekit+wss://host":            "no room after host",
		"livekit+wss://host/":           "no room after host",
		"livekit+wss://host/a/b":        "%2F",
		"livekit+wss://host/room%":      "does not parse",
		"livekit+wss://k:hush@host/r":   "belong in the environment",
		"livekit+wss://host/r?t=hush":   "belong in the environment",
		"livekit+wss://host/r#hush":     "belong in the environment",
		"livekit+wss://k:hush%@host/r":  "does not parse",
		"livekit+wss://host:hush/r\x00": "does not parse",
	} {
		got, err := ParseAddress(text)
		if !errors.Is(err, ErrAddress) || !strings.Contains(err.Error(), why) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q is %+v, %v; want an error with %q", text, got, err, why)
		}
	}
}

func TestCredentialsFrom(t *testing.T) {
	for _, c := range []struct {
		key, secret, token string
		problem            string
	}{
		{"k", "s", "", ""},
		{"", "", "t", ""},
		{"k", "", "t", ""},
		{"k", "", "", "LIVEKIT_API_SECRET is not"},
		{"", "s3cret", "", "LIVEKIT_API_KEY is not"},
		{"", "", "", "LIVEKIT_TOKEN"},
	} {
		names := map[string]string{"LIVEKIT_API_KEY": c.key, "LIVEKIT_API_SECRET": c.secret, "LIVEKIT_TOKEN": c.token}
		got, err := CredentialsFrom(func(name string) string { return names[name] })
		switch {
		case c.problem == "" && (err != nil || got != Credentials{c.key, c.secret, c.token}):
			t.Errorf("%v: %+v, %v", names, got, err)
		case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem) ||
			strings.Contains(err.Error(), "s3cret")):
			t.Errorf("%v: %v, want an error with %q", names, err, c.problem)
		}
	}
}

func TestFinishedPayload(t *testing.T) {
	for payload, want := range map[string]echo.Event{
		`{"playback_position": 2.34, "interrupted": false, "synchronized_transcript": null}`: {
			Duration: 2340 * time.Millisecond},
		`{"playbackPosition": 1.5, "interrupted": true}`: {
			Duration: 1500 * time.Millisecond, Interrupted: true},
		`{"playback_position": 0.98, "interrupted": true}`: {
			Duration: 980 * time.Millisecond, Interrupted: true},
		`{"playback_position": 1}`:                                   {Duration: time.Second},
		`{"playback_position": 1, "interrupted": "yes", "new": [1]}`: {Duration: time.Second},
		`{"playback_position": null, "interrupted": true}`: {Duration: -1,
			Interrupted: true},
		`{"playback_position": "1"}`:   {Duration: -1},
		`{"playback_position": -3}`:    {Duration: -1},
		`{"playback_position": 1e300}`: {Duration: -1},
		`[]`:                           {Duration: -1},
		``:                             {Duration: -1},
	} {
		got := finishedEvent(payload)
		if got.Type != TypePlaybackFinished || got.Duration != want.Duration || got.Interrupted != want.Interrupted {
			t.Errorf("%s is %+v, want %v, interrupted %v", payload, got, want.Duration, want.Interrupted)
		}
		if !json.Valid(got.Raw) {
			t.Errorf("%s: its Raw is %s", payload, got.Raw)
		}
	}
	for _, name := range []string{"rpc_playback_finished_payload.json", "rpc_playback_finished_minimal_payload.json"} {
		var payload json.RawMessage
		fixture(t, name, &payload)
		if got := finishedEvent(string(payload)); got.Duration < 0 {
			t.Errorf("%s has no position", name)
		}
	}
}

package bench

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"testing"

	"echocast/echo"
)

// naiveMessage is the message as one would write it down first.
type naiveMessage struct {
	MessageType    string          `json:"message_type"`
	EventType      string          `json:"event_type"`
	ConversationID string          `json:"conversation_id"`
	Properties     naiveProperties `json:"properties"`
}

type naiveProperties struct {
	Modality    string `json:"modality"`
	Audio       string `json:"audio"`
	SampleRate  int    `json:"sample_rate"`
	InferenceID string `json:"inference_id"`
	Done        bool   `json:"done"`
}

// naiveEncode builds the message of one chunk in the obvious way.
func naiveEncode(u echo.Utterance, pcm []float32, done bool) ([]byte, error) {
	raw := make([]byte, 2*len(pcm))
	for i, v := range pcm {
		binary.LittleEndian.PutUint16(raw[2*i:], uint16(naiveSample(v)))
	}
	return json.Marshal(naiveMessage{
		MessageType:    "conversation",
		EventType:      "conversation.echo",
		ConversationID: u.ConversationID,
		Properties: naiveProperties{
			Modality:    "audio",
			Audio:       base64.StdEncoding.EncodeToString(raw),
			SampleRate:  u.Rate,
			InferenceID: u.InferenceID,
			Done:        done,
		},
	})
}

func naiveSample(v float32) int16 {
	scaled := math.RoundToEven(float64(v) * 32768)
	return int16(max(min(scaled, math.MaxInt16), math.MinInt16))
}

// Both forms must do the same work, or their ratio says nothing.
func TestNaiveMessagesAreTheSame(t *testing.T) {
	u := newUtterance()
	encoder, err := echo.NewEncoder(u)
	if err != nil {
		t.Fatal(err)
	}
	src := newEndless(echo.DefaultRate)
	for n := range workingSet / 4096 {
		pcm, done := src.next(1+n), n%2 == 0
		want, err := naiveEncode(u, pcm, done)
		if err != nil {
			t.Fatal(err)
		}
		if got := encoder.Append(nil, pcm, done); !bytes.Equal(got, want) {
			t.Fatalf("%d samples: got %.300s, want %.300s", len(pcm), got, want)
		}
	}
}

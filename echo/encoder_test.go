package echo

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// newTestEncoder makes messages as long as real ones: the ids have the usual
// lengths.
func newTestEncoder(t testing.TB) *Encoder {
	t.Helper()
	e, err := NewEncoder(Utterance{ConversationID: "c0ffee1234567890a", InferenceID: NewInferenceID(), Rate: 24000})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// tone is n samples of a full-scale sine, which touches every sign and size.
func tone(n int) []float32 {
	pcm := make([]float32, n)
	for i := range pcm {
		pcm[i] = float32(math.Sin(float64(i) * 0.1))
	}
	return pcm
}

// slowPCM is the obvious conversion.
func slowPCM(pcm []float32) []byte {
	var out []byte
	for _, v := range pcm {
		x := math.RoundToEven(float64(v) * 32768)
		if math.IsNaN(x) {
			x = 0
		}
		out = binary.LittleEndian.AppendUint16(out, uint16(int16(max(min(x, math.MaxInt16), math.MinInt16))))
	}
	return out
}

func FuzzEncoderEqualsEncodingJSON(f *testing.F) {
	f.Add("c1", "u1", 24000, []byte{0, 1, 2, 3, 4, 5, 6, 7}, true)
	f.Add(`quo"te\`, "<id>&\u2028é", 16000, []byte{}, false)
	f.Add("", "\x00\x1f\x7f", 1, []byte{0xff, 0xff, 0xff, 0x7f, 0, 0, 0xc0, 0xff}, true)
	f.Fuzz(func(t *testing.T, conversation, inference string, rate int, floats []byte, done bool) {
		e, err := NewEncoder(Utterance{conversation, inference, rate})
		if err != nil {
			return // refused
		}
		pcm := make([]float32, len(floats)/4)
		for i := range pcm {
			pcm[i] = math.Float32frombits(binary.LittleEndian.Uint32(floats[4*i:]))
		}
		want, err := json.Marshal(AudioMessage{"conversation", "conversation.echo", conversation,
			AudioProperties{"audio", append([]byte{}, slowPCM(pcm)...), rate, inference, done}})
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Append(nil, pcm, done); !bytes.Equal(got, want) {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

func TestEncoderAtEveryLength(t *testing.T) {
	e := newTestEncoder(t)
	var buf []byte
	for n := range 1300 {
		pcm := tone(n)
		for _, done := range []bool{false, true} {
			buf = e.Append(buf[:0], pcm, done)
			var msg AudioMessage
			if err := json.Unmarshal(buf, &msg); err != nil {
				t.Fatalf("%d samples: %v", n, err)
			}
			if !bytes.Equal(msg.Properties.Audio, slowPCM(pcm)) || msg.Properties.Done != done {
				t.Fatalf("%d samples, done %v: the message holds something else", n, done)
			}
			if size := e.Size(n); len(buf) > size || len(buf) < size-1 {
				t.Fatalf("%d samples: %d bytes, Size says %d", n, len(buf), size)
			}
		}
	}
}

// Append allocates nothing: with thousands of utterances in one process, garbage collection
// would cost more than the encoding. A grown scratch buffer or an escaping slice header would
// break this.
func TestAppendAllocatesNothing(t *testing.T) {
	e, pcm := newTestEncoder(t), tone(1200)
	buf := e.Append(nil, pcm, false)
	if allocs := testing.AllocsPerRun(100, func() { buf = e.Append(buf[:0], pcm, false) }); allocs != 0 {
		t.Errorf("%v allocations a chunk, want 0", allocs)
	}
}

func TestEncoderRefuses(t *testing.T) {
	for _, u := range []Utterance{{"c", "", 24000}, {"c", "u", 0}, {"c", "u", -1}, {"\xff", "u", 24000},
		{"c", "\xff", 24000}} {
		if _, err := NewEncoder(u); err == nil {
			t.Errorf("%+v was accepted", u)
		}
	}
}

func TestMaxSamples(t *testing.T) {
	e := newTestEncoder(t)
	for limit := range 5000 {
		n := e.MaxSamples(limit)
		if n > 0 && e.Size(n) > limit {
			t.Fatalf("limit %d: %d samples make %d bytes", limit, n, e.Size(n))
		}
		if e.Size(n+1) <= limit {
			t.Fatalf("limit %d: %d samples fit, MaxSamples says %d", limit, n+1, n)
		}
	}
}

// compact reads a fixture as it would stand on the wire.
func compact(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "testdata", "protocol", name))
	if err != nil {
		t.Fatal(err)
	}
	var line bytes.Buffer
	if err := json.Compact(&line, text); err != nil {
		t.Fatal(err)
	}
	return line.Bytes()
}

func TestMessagesAreTheDocumentedOnes(t *testing.T) {
	for name, done := range map[string]bool{"send/echo_audio_chunk.json": false, "send/echo_audio_final.json": true} {
		want := compact(t, name)
		var msg AudioMessage
		if err := json.Unmarshal(want, &msg); err != nil {
			t.Fatal(err)
		}
		pcm := make([]float32, len(msg.Properties.Audio)/2)
		for i := range pcm {
			pcm[i] = float32(int16(binary.LittleEndian.Uint16(msg.Properties.Audio[2*i:]))) / 32768
		}
		e, err := NewEncoder(Utterance{msg.ConversationID, msg.Properties.InferenceID, msg.Properties.SampleRate})
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Append(nil, pcm, done); !bytes.Equal(got, want) {
			t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
		}
	}
	if got, want := AppendInterrupt(nil, "c0ffee1234567890"), compact(t, "send/interrupt.json"); !bytes.Equal(got, want) {
		t.Errorf("interrupt:\ngot  %s\nwant %s", got, want)
	}
}

func ExampleEncoder_Append() {
	e, err := NewEncoder(Utterance{ConversationID: "c123", InferenceID: "u1", Rate: 24000})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s\n", e.Append(nil, []float32{0, 0.5, -0.5}, true))
	// Output:
	// {"message_type":"conversation","event_type":"conversation.echo","conversation_id":"c123","properties":{"modality":"audio","audio":"AAAAQADA","sample_rate":24000,"inference_id":"u1","done":true}}
}

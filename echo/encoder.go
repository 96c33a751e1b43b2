package echo

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/segmentio/asm/base64"
	"github.com/tphakala/simd/f32"
	"github.com/tphakala/simd/i16"
	"golang.org/x/sys/cpu"
)

// Utterance names what is spoken.
type Utterance struct {
	ConversationID string // of the conversation it is spoken in
	InferenceID    string // its own; never used for another
	Rate           int    // sampling rate of its audio in Hz
}

// Encoder builds the messages of one utterance. What is the same in all of them
// is built once, so that Append copies, encodes and allocates nothing. It is not
// safe for concurrent use.
type Encoder struct {
	head    []byte  // up to the audio
	more    []byte  // after the audio of a chunk that is not the last
	last    []byte  // after the audio of the last
	pcm     []int16 // the chunk being encoded
	clipped int64
}

// NewEncoder prepares the messages of u. Both ids must be valid UTF-8, the
// inference id must not be empty, and the rate must be positive.
func NewEncoder(u Utterance) (*Encoder, error) {
	switch {
	case u.InferenceID == "":
		return nil, errors.New("echo: an utterance needs an inference id")
	case !utf8.ValidString(u.InferenceID) || !utf8.ValidString(u.ConversationID):
		return nil, errors.New("echo: an id is not valid UTF-8")
	case u.Rate <= 0:
		return nil, fmt.Errorf("echo: sampling rate %d Hz", u.Rate)
	}
	conversation, inference := quote(u.ConversationID), quote(u.InferenceID)
	end := fmt.Sprintf(`","sample_rate":%d,"inference_id":%s,"done":`, u.Rate, inference)
	return &Encoder{
		head: fmt.Appendf(nil, `{"message_type":%q,"event_type":%q,"conversation_id":%s,"properties":{"modality":"audio","audio":"`, typeConversation, eventEcho, conversation),
		more: []byte(end + "false}}"),
		last: []byte(end + "true}}"),
	}, nil
}

func quote(s string) []byte {
	text, _ := json.Marshal(s) // strings always marshal
	return text
}

// Append appends the message of one chunk. Samples are rounded half to even to
// 16 bits; what lies beyond full scale saturates and is counted.
func (e *Encoder) Append(dst []byte, pcm []float32, done bool) []byte {
	e.pcm = slices.Grow(e.pcm[:0], len(pcm))[:len(pcm)]
	e.clipped += int64(quantise(e.pcm, pcm))
	audio := littleEndian(e.pcm)
	tail := e.more
	if done {
		tail = e.last
	}
	size := base64.StdEncoding.EncodedLen(len(audio))
	dst = slices.Grow(dst, len(e.head)+size+len(tail))
	dst = append(dst, e.head...)
	at := len(dst)
	dst = dst[:at+size]
	base64.StdEncoding.Encode(dst[at:], audio)
	return append(dst, tail...)
}

// Clipped is how many samples were beyond full scale so far.
func (e *Encoder) Clipped() int64 { return e.clipped }

// Size is the length in bytes of the longest message that so many samples make.
func (e *Encoder) Size(samples int) int {
	return len(e.head) + base64.StdEncoding.EncodedLen(2*samples) + len(e.more)
}

// MaxSamples is the most samples that fit into a message of limit bytes; 0
// where none do.
func (e *Encoder) MaxSamples(limit int) int {
	room := limit - len(e.head) - len(e.more)
	return max(room/4*3/2, 0)
}

// fullScale is what a sample of 1 becomes, and one less: it saturates.
const fullScale = 32768

// quantise brings pcm to 16 bits in dst, and returns how many samples were
// beyond full scale: those that rounding alone would not have brought into range.
// What is no number becomes silence.
func quantise(dst []int16, pcm []float32) (clipped int) {
	f32.Float32ToInt16Scale(dst, pcm, fullScale)
	if i16.MaxAbs(dst) < math.MaxInt16 {
		return 0
	}
	for _, v := range pcm {
		if v *= fullScale; v > math.MaxInt16+0.5 || v < math.MinInt16-0.5 {
			clipped++
		}
	}
	return clipped
}

// littleEndian is the memory of pcm, in which the lower byte of each sample is
// brought first where the machine has it otherwise.
func littleEndian(pcm []int16) []byte {
	if cpu.IsBigEndian {
		for i, v := range pcm {
			pcm[i] = int16(bits.ReverseBytes16(uint16(v)))
		}
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(pcm))), 2*len(pcm))
}

// samplesIn is how many whole samples d holds; more than an hour counts as one.
func samplesIn(d time.Duration, rate int) int {
	d = min(d, time.Hour)
	return int(int64(d) * int64(rate) / int64(time.Second))
}

// samplesOf is how many whole samples d holds, however long it is.
func samplesOf(d time.Duration, rate int) int64 {
	return int64(d/time.Second)*int64(rate) + int64(d%time.Second)*int64(rate)/int64(time.Second)
}

// durationOf is the playing time of so many samples.
func durationOf(samples int64, rate int) time.Duration {
	r := int64(rate)
	return time.Duration(samples/r)*time.Second + time.Duration(samples%r)*time.Second/time.Duration(r)
}

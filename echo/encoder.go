package echo

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/segmentio/asm/base64"
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
	head    []byte // up to the audio
	more    []byte // after the audio of a chunk that is not the last
	last    []byte // after the audio of the last
	pcm     []byte // the chunk being encoded
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
	e.pcm = slices.Grow(e.pcm[:0], 2*len(pcm))[:2*len(pcm)]
	e.clipped += int64(quantise(e.pcm, pcm))
	tail := e.more
	if done {
		tail = e.last
	}
	size := base64.StdEncoding.EncodedLen(len(e.pcm))
	dst = slices.Grow(dst, len(e.head)+size+len(tail))
	dst = append(dst, e.head...)
	at := len(dst)
	dst = dst[:at+size]
	base64.StdEncoding.Encode(dst[at:], e.pcm)
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

// Adding 1.5·2²³ to a float32 of less than 2²² in magnitude leaves the value,
// rounded half to even, in its lowest bits: one addition instead of a call.
// With 2¹⁵ more, exactly the sums of what fits 16 bits begin with 0x4b40, and
// taking biasBits off by XOR leaves the value itself, with zeros above it.
const (
	roundingBias = 3<<22 + 1<<15
	biasBits     = 0x4b408000 // math.Float32bits(roundingBias)
	beyond16     = 0xffff0000 // what is set where a value does not fit
)

// quantise writes pcm to dst as s16le and returns how many samples saturated.
// It looks at eight samples together, which share one test.
func quantise(dst []byte, pcm []float32) (clipped int) {
	at := 0
	for ; at <= len(pcm)-8; at += 8 {
		in, out := (*[8]float32)(pcm[at:]), (*[16]byte)(dst[2*at:])
		a, b := roundTwo(in[0], in[2]), roundTwo(in[1], in[3])
		c, d := roundTwo(in[4], in[6]), roundTwo(in[5], in[7])
		if (a|b|c|d)&(beyond16<<32|beyond16) == 0 {
			binary.LittleEndian.PutUint64(out[:8], a|b<<16)
			binary.LittleEndian.PutUint64(out[8:], c|d<<16)
		} else {
			clipped += quantiseEach(out[:], in[:])
		}
	}
	return clipped + quantiseEach(dst[2*at:], pcm[at:])
}

// roundTwo brings two samples to 16 bits: v in the lower half, w in the upper.
func roundTwo(v, w float32) uint64 {
	low, high := math.Float32bits(v*32768+roundingBias), math.Float32bits(w*32768+roundingBias)
	return (uint64(high)<<32 | uint64(low)) ^ (biasBits<<32 | biasBits)
}

// quantiseEach does the same one sample at a time.
func quantiseEach(dst []byte, pcm []float32) (clipped int) {
	for i, v := range pcm {
		v *= 32768
		if !(v <= math.MaxInt16 && v >= math.MinInt16) {
			var over int
			v, over = saturate(v)
			clipped += over
		}
		binary.LittleEndian.PutUint16(dst[2*i:], uint16(math.Float32bits(v+roundingBias)^biasBits))
	}
	return clipped
}

// saturate brings v into range, and counts it where rounding alone would not
// have. What is no number becomes silence.
func saturate(v float32) (in float32, over int) {
	switch {
	case v > math.MaxInt16+0.5:
		return math.MaxInt16, 1
	case v < math.MinInt16-0.5:
		return math.MinInt16, 1
	case v > 0:
		return math.MaxInt16, 0
	case v < 0:
		return math.MinInt16, 0
	}
	return 0, 0
}

// ChunkError says that a chunk makes messages over the limit.
type ChunkError struct {
	Chunk   time.Duration // what was asked for
	Size    int           // bytes of its message
	Limit   int           // bytes a message may have
	Longest time.Duration // the longest chunk that fits, in whole milliseconds; 0 where none does
}

// Error says which chunk would fit.
func (e *ChunkError) Error() string {
	if e.Longest == 0 {
		return fmt.Sprintf("a message limit of %d bytes leaves no room for audio", e.Limit)
	}
	return fmt.Sprintf("a chunk of %v makes messages of %d bytes, over the limit of %d; the longest chunk that fits is %v", e.Chunk, e.Size, e.Limit, e.Longest)
}

// ChunkSamples is the length in samples of the chunks of u, so that no message
// has more than limit bytes (0: DefaultMaxMessage). A chunk of 0 asks for
// DefaultChunk, or less where the limit is smaller. A chunk that was asked for
// and does not fit is refused with a *ChunkError.
func ChunkSamples(u Utterance, chunk time.Duration, limit int) (int, error) {
	encoder, err := NewEncoder(u)
	if err != nil {
		return 0, err
	}
	if limit == 0 {
		limit = DefaultMaxMessage
	}
	want := samplesIn(chunk, u.Rate)
	if chunk == 0 {
		want = samplesIn(DefaultChunk, u.Rate)
	} else if want < 1 {
		return 0, fmt.Errorf("echo: a chunk of %v holds no sample at %d Hz", chunk, u.Rate)
	}
	fits := encoder.MaxSamples(limit)
	if want <= fits {
		return want, nil
	}
	longest := time.Duration(fits*1000/u.Rate) * time.Millisecond
	if chunk != 0 || longest == 0 {
		return 0, &ChunkError{Chunk: chunk, Size: encoder.Size(want), Limit: limit, Longest: longest}
	}
	return samplesIn(longest, u.Rate), nil
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

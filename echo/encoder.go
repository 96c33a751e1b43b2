package echo

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/segmentio/asm/base64"

	"echocast/internal/pcm"
)

// Utterance identifies one utterance and its audio format.
type Utterance struct {
	ConversationID string // the conversation in which it is spoken
	InferenceID    string // never used for another utterance
	Rate           int    // sampling rate of its audio in Hz
}

// Encoder builds the messages of one utterance. It builds the parts that are the
// same in all of them once, so that Append allocates nothing. It is not safe for
// concurrent use.
type Encoder struct {
	head  []byte // up to the audio
	more  []byte // after the audio of a chunk that is not the last
	last  []byte // after the audio of the last
	audio pcm.Quantiser
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
		head: fmt.Appendf(nil, `{"message_type":%q,"event_type":%q,"conversation_id":%s,"properties":{"modality":"audio",`+
			`"audio":"`, typeConversation, eventEcho, conversation),
		more: []byte(end + "false}}"),
		last: []byte(end + "true}}"),
	}, nil
}

func quote(s string) []byte {
	text, _ := json.Marshal(s) // strings always marshal
	return text
}

// Append appends the message of one chunk. It rounds samples half to even to 16
// bits; those beyond full scale saturate and count as clipped.
func (e *Encoder) Append(dst []byte, samples []float32, done bool) []byte {
	audio := e.audio.Bytes(samples)
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

// Clipped returns how many samples were beyond full scale so far.
func (e *Encoder) Clipped() int64 { return e.audio.Clipped() }

// Size returns the largest size in bytes of a message with a number of samples.
func (e *Encoder) Size(samples int) int {
	return len(e.head) + base64.StdEncoding.EncodedLen(2*samples) + len(e.more)
}

// MaxSamples returns how many samples fit into a message of limit bytes; 0 if none
// do.
func (e *Encoder) MaxSamples(limit int) int {
	room := limit - len(e.head) - len(e.more)
	return max(room/4*3/2, 0)
}

// samplesIn returns how many whole samples d holds. A d of more than an hour counts as an hour.
func samplesIn(d time.Duration, rate int) int {
	d = min(d, time.Hour)
	return int(int64(d) * int64(rate) / int64(time.Second))
}

// samplesOf returns how many whole samples d holds, without a limit.
func samplesOf(d time.Duration, rate int) int64 {
	return int64(d/time.Second)*int64(rate) + int64(d%time.Second)*int64(rate)/int64(time.Second)
}

// durationOf returns the playing time of a number of samples.
func durationOf(samples int64, rate int) time.Duration {
	r := int64(rate)
	return time.Duration(samples/r)*time.Second + time.Duration(samples%r)*time.Second/time.Duration(r)
}

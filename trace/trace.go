// Package trace records what happened in a session and when. It can also read a trace, show
// it as an HTML page, and replay its messages.
//
//	rec := trace.NewRecorder(file, "echocast 0.1.0")
//	conn = rec.Conn(conn)              // records messages, out and in
//	options.Observe = rec.Observe      // records moments of the session
//	...
//	err := rec.Close()                 // after the session
//
// # The file
//
// A trace consists of lines of JSON. Every line has "kind" and "t", the seconds since the
// start on the monotonic clock, to the microsecond. Lines are in the order in which they
// were recorded, which is nearly the order of t: a sent message has the time before it was
// sent, but is recorded when it was accepted. The first line (broken here into two) is
//
//	{"kind":"start","t":0,"format":"echocast-trace/1",
//	 "start":"2026-05-01T10:00:00.000000Z","program":"echocast 0.1.0"}
//
// and the others have these kinds and fields:
//
//	begin      an utterance begins: id, text (its name), rate (Hz)
//	input      samples were read from its source: id, position, samples
//	chunk      the connection accepted a chunk at t: id, position, samples, bytes (of the message),
//	           last (true on the last), due (seconds: when it should have been sent), peaks
//	interrupt  an interrupt was sent to the replica: id, text (why)
//	event      an event was received from the room: event
//	receipt    an utterance is over: id, receipt
//	lost       the connection was lost: text (why)
//	connected  the connection was made, or made again
//	out        a message was sent: message, accepted (seconds: when the connection had accepted
//	           it) or error
//	in         a message was received: message; data (base64) if it is not JSON; or error
//	gap        lines are missing, because the disk was too slow: lines (how many)
//
// position and samples count samples of the utterance. peaks are the lowest and highest
// sample of equal parts of a chunk, pair by pair. 127 is full scale. A file may contain
// several traces, one after the other. Fields that are 0, empty or false may be missing. A
// reader must skip kinds and fields that it does not know.
//
// A trace contains all audio that was sent. It contains no keys: Recorder.Redact removes
// known secrets, and addresses in error texts are cut before their query.
package trace

import (
	"encoding/json"
	"math"
	"time"

	"echocast/echo"
)

// Format is the name and version in the first line.
const Format = "echocast-trace/1"

// Kind is the kind of an Entry. Moments have their names from package echo.
type Kind string

// The kinds that are not in package echo.
const (
	KindStart Kind = "start" // a trace begins
	KindOut   Kind = "out"   // a message was sent
	KindIn    Kind = "in"    // a message was received
	KindGap   Kind = "gap"   // lines are missing
)

// The kinds of moments.
const (
	KindBegin     = Kind(echo.MomentBegin)
	KindInput     = Kind(echo.MomentInput)
	KindChunk     = Kind(echo.MomentChunk)
	KindInterrupt = Kind(echo.MomentInterrupt)
	KindEvent     = Kind(echo.MomentEvent)
	KindReceipt   = Kind(echo.MomentReceipt)
	KindLost      = Kind(echo.MomentLost)
	KindConnected = Kind(echo.MomentConnected)
)

// Entry is one line of a trace. Times are seconds since the start of the trace.
type Entry struct {
	Kind Kind    `json:"kind"`
	T    float64 `json:"t"`

	Format  string    `json:"format,omitempty"`  // start
	Start   time.Time `json:"start,omitzero"`    // start
	Program string    `json:"program,omitempty"` // start

	ID       string        `json:"id,omitempty"`   // utterance id
	Text     string        `json:"text,omitempty"` // begin, interrupt, lost
	Rate     int           `json:"rate,omitempty"` // begin: Hz
	Position int64         `json:"position,omitempty"`
	Samples  int           `json:"samples,omitempty"`
	Bytes    int           `json:"bytes,omitempty"`
	Last     bool          `json:"last,omitempty"`
	Due      *float64      `json:"due,omitempty"`
	Peaks    []int         `json:"peaks,omitempty"`
	Event    *Event        `json:"event,omitempty"`
	Receipt  *echo.Receipt `json:"receipt,omitempty"`

	Accepted *float64        `json:"accepted,omitempty"` // out
	Message  json.RawMessage `json:"message,omitempty"`  // out, in
	Data     []byte          `json:"data,omitempty"`     // in: data that is not JSON
	Error    string          `json:"error,omitempty"`    // out, in
	Lines    int             `json:"lines,omitempty"`    // gap
}

// Event is an echo.Event without its raw message, which is in a separate entry.
type Event struct {
	Kind        echo.Kind `json:"kind,omitempty"`
	Type        string    `json:"type"`
	Role        string    `json:"role,omitempty"`
	InferenceID string    `json:"inference_id,omitempty"`
	Seq         int64     `json:"seq,omitempty"`
	Turn        int       `json:"turn,omitempty"`
	Time        time.Time `json:"time,omitzero"` // when the service emitted it
	Interrupted bool      `json:"interrupted,omitempty"`
	Duration    *float64  `json:"duration,omitempty"` // seconds spoken, if known
}

func eventOf(e *echo.Event) *Event {
	if e == nil {
		return nil
	}
	event := &Event{
		Kind: e.Kind, Type: e.Type, Role: e.Role, InferenceID: e.InferenceID,
		Seq: e.Seq, Turn: e.Turn, Time: e.Time, Interrupted: e.Interrupted,
	}
	if e.Duration >= 0 {
		event.Duration = new(e.Duration.Seconds())
	}
	return event
}

// peakParts is the number of parts of a chunk that have peaks. In a chunk of the default
// length each part is 10 ms.
const peakParts = 5

// peaksOf returns the lowest and highest sample of each part of pcm.
func peaksOf(pcm []float32) []int {
	parts := min(peakParts, len(pcm))
	peaks := make([]int, 0, 2*parts)
	for i := range parts {
		low, high := float32(1), float32(-1)
		for _, v := range pcm[i*len(pcm)/parts : (i+1)*len(pcm)/parts] {
			low, high = min(low, v), max(high, v)
		}
		peaks = append(peaks, scaled(low), scaled(high))
	}
	return peaks
}

// scaled converts a sample to the scale of peaks.
func scaled(v float32) int {
	if v != v { // NaN
		return 0
	}
	return int(math.Round(127 * float64(min(max(v, -1), 1))))
}

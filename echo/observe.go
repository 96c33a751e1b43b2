package echo

import "time"

// MomentKind says what happened in a Moment.
type MomentKind string

// The kinds of moments in a session.
const (
	MomentBegin     MomentKind = "begin"     // an utterance begins
	MomentInput     MomentKind = "input"     // samples arrived from its source
	MomentChunk     MomentKind = "chunk"     // the connection accepted a chunk
	MomentInterrupt MomentKind = "interrupt" // the replica was told to stop
	MomentEvent     MomentKind = "event"     // an event came from the room
	MomentReceipt   MomentKind = "receipt"   // an utterance is over
	MomentLost      MomentKind = "lost"      // the connection was lost
	MomentConnected MomentKind = "connected" // the connection was restored
)

// Moment is one thing that happened in a session, for Options.Observe. Fields that do
// not belong to its kind are zero.
type Moment struct {
	Kind        MomentKind
	At          time.Time
	InferenceID string    // the utterance it is about
	Text        string    // begin: the name of the speech; interrupt and lost: why
	Rate        int       // begin: Hz
	Position    int64     // input, chunk: samples of the utterance before these
	Samples     int       // input, chunk: how many
	PCM         []float32 // chunk: the samples; valid during the call only
	Due         time.Time // chunk: when it was to leave, by its pace
	// Late is the delay that this machine caused: how much later than Due a chunk was ready
	// to leave, not counting the time that its source and the room took.
	Late    time.Duration
	Bytes   int      // chunk: size of its message
	Last    bool     // chunk: it ends the utterance
	Event   *Event   // event: the event
	Receipt *Receipt // receipt: the receipt
}

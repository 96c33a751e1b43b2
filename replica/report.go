package replica

import (
	"encoding/json"
	"time"
)

// Report describes what a replica received and played. Times are milliseconds since Run
// began, unless their name says otherwise.
type Report struct {
	Start    time.Time `json:"start"`               // when Run began
	End      End       `json:"end"`                 // why it ended
	EndMS    float64   `json:"end_ms"`              // when it ended
	JoinedMS *float64  `json:"joined_ms,omitempty"` // when the replica joined; nil if it never did

	Messages      int     `json:"messages"`              // messages received, of any kind
	Chunks        int     `json:"chunks"`                // audio messages taken into an utterance
	Samples       int64   `json:"samples"`               // samples in them
	PlayedSeconds float64 `json:"played_seconds"`        // audio played, silence excluded
	Underruns     int     `json:"underruns"`             // times the buffer ran dry in an open utterance
	SilenceMS     float64 `json:"silence_ms"`            // silence heard because of it
	EventsSent    int     `json:"events_sent"`           // messages sent by the replica, twins included
	EventsLost    int     `json:"events_lost,omitempty"` // messages that Faults kept from being sent

	// Each list of the report holds at most MaxListed entries. Omitted counts the
	// entries that were left out.
	Omitted        int `json:"omitted,omitempty"`
	UtteranceCount int `json:"utterance_count"` // utterances received, listed or not

	Utterances []Utterance `json:"utterances"`
	Interrupts []Interrupt `json:"interrupts"`

	// Complaints holds the first MaxComplaints complaints. ComplaintCount counts all of
	// them.
	Complaints     []Complaint `json:"complaints"`
	ComplaintCount int         `json:"complaint_count"`

	// Other received messages, in order. Texts to be said are among the utterances.
	Responds      []Respond     `json:"responds,omitempty"`
	Contexts      []Context     `json:"contexts,omitempty"`
	Sensitivities []Sensitivity `json:"sensitivities,omitempty"`
	ToolResults   []ToolResult  `json:"tool_results,omitempty"`
	Emotions      []Emotion     `json:"emotions,omitempty"`

	Recording Recording `json:"recording"`
}

// End says why a run has ended.
type End string

// The reasons why a run ends.
const (
	EndPeerGone End = "peer_gone"     // the sender has left
	EndContext  End = "context_ended" // the caller ended it
	EndFailed   End = "failed"        // the connection broke
	EndDied     End = "died"          // Faults.DieAfter
	EndLeft     End = "left"          // Faults.LeaveAfter
)

// Utterance reports on the chunks that share one inference_id. An utterance of text has
// neither samples nor a rate.
type Utterance struct {
	ID      string `json:"id"`       // as the sender wrote it; empty if it gave none
	EventID string `json:"event_id"` // in events

	Participant string `json:"participant,omitempty"` // its sender, as Room.Join names it

	Chunks  int   `json:"chunks"`
	Samples int64 `json:"samples"`
	Rate    int   `json:"rate"` // Hz; that of the first chunk

	Text        string  `json:"text,omitempty"`         // the text to say, with tags
	TextSeconds float64 `json:"text_seconds,omitempty"` // how long that takes, as estimated

	FirstChunkMS float64  `json:"first_chunk_ms"`
	StartedMS    *float64 `json:"started_ms,omitempty"` // nil: it was never heard
	StoppedMS    *float64 `json:"stopped_ms,omitempty"` // nil: the run ended first
	LargestGapMS float64  `json:"largest_gap_ms"`       // between the arrivals of two chunks

	// LateChunks counts chunks that arrived later than in a real-time stream that starts
	// with the first chunk. LatestMS is the largest delay. Each late chunk reduces the
	// lead, or lengthens the silence before the replica speaks.
	LateChunks int     `json:"late_chunks"`
	LatestMS   float64 `json:"latest_ms"`

	PlayedSamples   int64   `json:"played_samples"`
	PlayedSeconds   float64 `json:"played_seconds"`
	DroppedSamples  int64   `json:"dropped_samples"`  // received, then dropped by an interrupt
	UnplayedSamples int64   `json:"unplayed_samples"` // received, but the run ended before they were due

	Done        bool       `json:"done"` // done:true was received
	Interrupted bool       `json:"interrupted"`
	Underruns   []Underrun `json:"underruns"`
}

// Underrun is one silence inside an utterance.
type Underrun struct {
	AtMS      float64 `json:"at_ms"` // when the missing sample was due
	SilenceMS float64 `json:"silence_ms"`
}

// Interrupt is one conversation.interrupt, or an interruption by somebody other than the
// sender (Faults.InterruptAfter).
type Interrupt struct {
	AtMS           float64 `json:"at_ms"`
	Utterances     int     `json:"utterances"`      // ended by it; 0 if nothing was playing or queued
	DroppedSamples int64   `json:"dropped_samples"` // received and never heard
	ByOther        bool    `json:"by_other,omitempty"`
}

// Respond is a conversation.respond: a user's turn as text.
type Respond struct {
	AtMS float64 `json:"at_ms"`
	Text string  `json:"text"`
	Turn int     `json:"turn"` // the turn_idx of the events from then on
}

// Context is a context message for the language model.
type Context struct {
	AtMS      float64 `json:"at_ms"`
	Text      string  `json:"text"`
	Append    bool    `json:"append"` // true: added to the context; false: replaces it
	JobStatus string  `json:"job_status,omitempty"`
}

// Sensitivity says how the replica should treat pauses and interruptions. A field that was
// not set is empty.
type Sensitivity struct {
	AtMS      float64 `json:"at_ms"`
	Pause     string  `json:"pause,omitempty"`
	Interrupt string  `json:"interrupt,omitempty"`
}

// Emotion is the emotion that the face should express from then on.
type Emotion struct {
	AtMS    float64 `json:"at_ms"`
	Emotion string  `json:"emotion"`
}

// ToolResult is the answer to a tool call.
type ToolResult struct {
	AtMS       float64         `json:"at_ms"`
	ToolCallID string          `json:"tool_call_id"`
	Output     json.RawMessage `json:"output,omitempty"` // a JSON string or object, as it was written
	Status     string          `json:"status"`           // "success" or "error"
}

// Recording describes the WAV file. The file contains the received samples in playing
// order. Silence in between is not in the file but is listed here.
type Recording struct {
	Rate       int          `json:"rate"`    // Hz; that of the first audio recorded
	Samples    int64        `json:"samples"` // samples in the file
	Silences   []Silence    `json:"silences"`
	Unrecorded []Unrecorded `json:"unrecorded"`
}

// Silence is the position of an underrun in the recording.
type Silence struct {
	Position int64   `json:"position"` // samples in the file before it
	LengthMS float64 `json:"length_ms"`
}

// Unrecorded is an utterance that is not in the file because its rate differs.
type Unrecorded struct {
	Utterance string `json:"utterance"`
	Rate      int    `json:"rate"`
	Samples   int64  `json:"samples"`
}

// EventKind is a kind of Event.
type EventKind string

// The kinds of Event.
const (
	EventJoined    EventKind = "joined"    // the replica is in the room
	EventReceiving EventKind = "receiving" // the first chunk of an utterance arrived
	EventStarted   EventKind = "started"   // an utterance is heard
	EventUnderrun  EventKind = "underrun"  // playback resumed, or ended, after a silence
	EventStopped   EventKind = "stopped"   // an utterance is over
	EventInterrupt EventKind = "interrupt" // an interrupt was received
	EventComplaint EventKind = "complaint" // the sender deviated from the protocol
	EventFault     EventKind = "fault"     // a fault happened at its set time
	EventNoted     EventKind = "noted"     // a message other than speech was added to the report
)

// Event is something that happened in a run. Fields that its kind does not use
// are zero.
type Event struct {
	Kind          EventKind  `json:"event"`
	AtMS          float64    `json:"at_ms"`                 // milliseconds since Run began
	Participant   string     `json:"participant,omitempty"` // who caused it, by the name given to Room.Join
	Utterance     string     `json:"utterance,omitempty"`
	PlayedSeconds float64    `json:"played_seconds,omitempty"` // stopped
	Interrupted   bool       `json:"interrupted,omitempty"`    // stopped
	SilenceMS     float64    `json:"silence_ms,omitempty"`     // underrun
	Text          string     `json:"text,omitempty"`           // noted, interrupt, fault
	Complaint     *Complaint `json:"complaint,omitempty"`      // complaint
}

// MaxListed is how many entries each list of a report holds, and how many
// inference_ids a replica remembers.
const MaxListed = 10_000

// list appends an entry to a list of the report, or counts it as omitted.
func list[T any](r *Report, entries *[]T, entry T) {
	if len(*entries) >= MaxListed {
		r.Omitted++
		return
	}
	*entries = append(*entries, entry)
}

// milliseconds converts a duration, with its fraction.
func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// seconds returns the playing time of a number of samples at a rate in Hz.
func seconds(samples int64, rate int) float64 { return float64(samples) / float64(rate) }

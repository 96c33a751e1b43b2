package echo

import "time"

// Outcome says how an utterance ended.
type Outcome string

// The outcomes.
const (
	Finished    Outcome = "finished"    // the replica said it to its end
	Interrupted Outcome = "interrupted" // stopped before its end
	Sent        Outcome = "sent"        // sent to its end; the session did not wait for it to be heard
	Unverified  Outcome = "unverified"  // sent to its end; no event confirmed that it was heard
	Failed      Outcome = "failed"      // the input or the connection failed
)

// Words returns the outcome in words for people, such as "heard in full".
func (o Outcome) Words() string {
	switch o {
	case Finished:
		return "heard in full"
	case Sent:
		return "sent in full"
	case Unverified:
		return "not confirmed as heard"
	}
	return string(o)
}

// Delivery says how far an utterance is known to have been delivered.
type Delivery string

// The steps of delivery.
const (
	Accepted     Delivery = "accepted"     // the connection accepted it; nothing more is known
	Acknowledged Delivery = "acknowledged" // the peer's transport has all of it
	Heard        Delivery = "heard"        // the replica reported that it spoke
)

// The sources of the figures in a receipt.
const (
	ByEvent   = "event"   // reported by an event of the replica
	ByClock   = "clock"   // estimated from when chunks were sent
	ByReplica = "replica" // counted by the replica, which is in this process
)

// Receipt reports the result of one utterance. Each figure comes from the best source
// available, and names it.
type Receipt struct {
	InferenceID string `json:"inference_id"`
	// Resumes is the id of the utterance that this one continues.
	Resumes string  `json:"resumes,omitempty"`
	Source  string  `json:"source,omitempty"` // the caller's name of the input
	Outcome Outcome `json:"outcome"`
	// Samples is how many samples were sent, in Chunks messages with a total of Bytes bytes.
	Samples     int64   `json:"samples"`
	SentSeconds float64 `json:"sent_seconds"` // the playing time of Samples
	Chunks      int     `json:"chunks"`
	Bytes       int64   `json:"bytes"`
	Clipped     int64   `json:"clipped"` // samples that were beyond full scale
	// Characters is how many characters were sent, for an utterance of text.
	Characters int `json:"characters,omitempty"`
	// FirstMessageSeconds is the time from the call of Speak to the first message that
	// the connection accepted. FirstAudioSeconds is the time from that message to the event
	// that the replica speaks. If that event is missing, the start is taken to be the stop
	// minus the time spoken. Negative: it did not happen.
	FirstMessageSeconds float64 `json:"first_message_seconds"`
	FirstAudioSeconds   float64 `json:"first_audio_seconds"`
	// SpokenSeconds is how long the replica spoke, according to SpokenBy: ByEvent or
	// ByClock.
	SpokenSeconds float64 `json:"spoken_seconds"`
	SpokenBy      string  `json:"spoken_by"`
	// SpokenAtMost says that SpokenSeconds is an upper bound, because the replica or the
	// connection was lost, perhaps some time before the session noticed.
	SpokenAtMost bool `json:"spoken_at_most,omitempty"`
	// HeardSamples is a lower bound: at least so many samples, from the first one on, were
	// heard. An utterance that resumes this one repeats the rest, because nothing proves
	// that it was heard.
	HeardSamples int64 `json:"heard_samples"`
	// Words are the words that were heard, if the text is known (Speech.Text) and the
	// replica did not continue to speak.
	Words *HeardWords `json:"words,omitempty"`
	// Underruns is how often the replica ran out of audio, according to UnderrunsBy:
	// ByReplica, ByEvent or ByClock. The estimate by the clock assumes that the replica
	// begins to play once it has 100 ms of audio.
	Underruns   int    `json:"underruns"`
	UnderrunsBy string `json:"underruns_by"`
	// GapSeconds is how long the replica was silent between its start and its stop,
	// according to GapsBy: ByEvent (the time between these events, less what it spoke)
	// or ByClock (chunks that were sent too late).
	GapSeconds float64 `json:"gap_seconds"`
	GapsBy     string  `json:"gaps_by,omitempty"`
	// LeadSeconds is how far ahead of playout the replica was kept, on
	// average, by the clock.
	LeadSeconds float64 `json:"lead_seconds"`
	// AcknowledgedSamples is how many samples the peer's transport
	// acknowledged; more may have been delivered. Negative: not known.
	Delivery            Delivery `json:"delivery,omitempty"`
	AcknowledgedSamples int64    `json:"acknowledged_samples"`
	// UncertainSamples is how many further samples may or may not have been delivered: the
	// room does not know.
	UncertainSamples int64 `json:"uncertain_samples,omitempty"`
	// Input says how fast and how evenly the source of a Feed delivered; nil for other sources.
	Input *FeedStats `json:"input,omitempty"`
	Error string     `json:"error,omitempty"`
}

// newReceipt returns the receipt of an utterance before anything is sent.
func newReceipt(id, source string) Receipt {
	return Receipt{InferenceID: id, Source: source, FirstMessageSeconds: -1, FirstAudioSeconds: -1,
		AcknowledgedSamples: -1}
}

// isSameLength reports whether the time spoken equals the time sent, within a frame of
// the replica (40 ms) and the drift of its clock.
func isSameLength(sent, spoken time.Duration) bool {
	return (sent - spoken).Abs() <= max(250*time.Millisecond, sent/50)
}

// messageEnds remembers where the last messages ended, to convert the number of bytes that
// the peer has received to a number of samples.
type messageEnds struct {
	ends [256]struct{ bytes, samples int64 }
	n    int
}

func (r *messageEnds) add(bytes, samples int64) {
	r.ends[r.n%len(r.ends)] = struct{ bytes, samples int64 }{bytes, samples}
	r.n++
}

// before returns how many samples are in the whole messages within the first n bytes.
func (r *messageEnds) before(bytes int64) (samples int64) {
	for _, end := range r.ends[:min(r.n, len(r.ends))] {
		if end.bytes <= bytes {
			samples = max(samples, end.samples)
		}
	}
	return samples
}

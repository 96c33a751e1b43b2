package echo

import "time"

// Outcome is how an utterance ended.
type Outcome string

// The ends of an utterance.
const (
	Finished    Outcome = "finished"    // the replica said it to its end
	Interrupted Outcome = "interrupted" // stopped before its end
	Sent        Outcome = "sent"        // sent to its end; nobody waited for it to be heard
	Unverified  Outcome = "unverified"  // sent to its end; no event said that it was heard
	Failed      Outcome = "failed"      // the input or the connection broke
)

// Delivery is how much is known of the way of an utterance to the replica.
type Delivery string

// How far an utterance is known to have come.
const (
	Accepted     Delivery = "accepted"     // the connection took it; more is not known
	Acknowledged Delivery = "acknowledged" // the peer's transport has all of it
	Heard        Delivery = "heard"        // the replica said that it spoke
)

// How a figure of a receipt is known.
const (
	ByEvent = "event" // the replica said so
	ByClock = "clock" // estimated from when chunks were sent
)

// Receipt tells what came of one utterance. Times in seconds are as they are
// best known, and each says how.
type Receipt struct {
	InferenceID string `json:"inference_id"`
	// Resumes is the id of the utterance that this one goes on from.
	Resumes string  `json:"resumes,omitempty"`
	Source  string  `json:"source,omitempty"` // what the caller named the input
	Outcome Outcome `json:"outcome"`
	// Samples were sent, in Chunks messages of Bytes bytes in all.
	Samples     int64   `json:"samples"`
	SentSeconds float64 `json:"sent_seconds"` // playing time of Samples
	Chunks      int     `json:"chunks"`
	Bytes       int64   `json:"bytes"`
	Clipped     int64   `json:"clipped"` // samples that were beyond full scale
	// Characters of text were sent, where the utterance is one of text.
	Characters int `json:"characters,omitempty"`
	// FirstMessageSeconds is from the call of Speak to the first message
	// accepted by the connection; FirstAudioSeconds from there to the event
	// that the replica speaks, or, where that is missing, by its word of how
	// long it spoke. Negative: it did not come to that.
	FirstMessageSeconds float64 `json:"first_message_seconds"`
	FirstAudioSeconds   float64 `json:"first_audio_seconds"`
	// SpokenSeconds were heard, as SpokenBy says: ByEvent or ByClock.
	SpokenSeconds float64 `json:"spoken_seconds"`
	SpokenBy      string  `json:"spoken_by"`
	// SpokenAtMost says that SpokenSeconds is an upper bound: the replica or the
	// connection was lost, and may have been before that was known.
	SpokenAtMost bool `json:"spoken_at_most,omitempty"`
	// HeardSamples is a lower bound: at least so many of the samples were heard,
	// from the first one on. Those after them are said again by an utterance
	// that resumes this one. Nobody knows of more than they were heard.
	HeardSamples int64 `json:"heard_samples"`
	// Words are the words that were heard, where the text is known
	// (Speech.Text) and the replica did not go on speaking.
	Words *HeardWords `json:"words,omitempty"`
	// Underruns is how often the replica ran out of audio, as UnderrunsBy
	// says. By the clock it supposes a replica that plays once 100 ms are
	// there.
	Underruns   int    `json:"underruns"`
	UnderrunsBy string `json:"underruns_by"`
	// GapSeconds is how long the replica was silent between its start and its
	// stop, as GapsBy says: ByEvent, where it took longer than what it said, or
	// ByClock, where chunks came too late.
	GapSeconds float64 `json:"gap_seconds"`
	GapsBy     string  `json:"gaps_by,omitempty"`
	// LeadSeconds is how far ahead of playout the replica was kept, on
	// average, by the clock.
	LeadSeconds float64 `json:"lead_seconds"`
	// Delivery is how much is known of the way to the replica, and
	// AcknowledgedSamples how many samples the peer's transport acknowledged:
	// those after them were possibly delivered. Negative: the connection
	// cannot tell.
	Delivery            Delivery `json:"delivery,omitempty"`
	AcknowledgedSamples int64    `json:"acknowledged_samples"`
	// UncertainSamples after those may or may not have been delivered: the room
	// does not know.
	UncertainSamples int64 `json:"uncertain_samples,omitempty"`
	// Input tells how a Feed was fed so far; nil for another source.
	Input *FeedStats `json:"input,omitempty"`
	Error string     `json:"error,omitempty"`
}

// newReceipt is the receipt of an utterance of which nothing was sent yet.
func newReceipt(id, source string) Receipt {
	return Receipt{InferenceID: id, Source: source, FirstMessageSeconds: -1, FirstAudioSeconds: -1, AcknowledgedSamples: -1}
}

// agree reports whether the time spoken is the time sent, as far as can be told:
// the replica's frames are 40 ms long, and its clock is its own.
func agree(sent, spoken time.Duration) bool {
	return (sent - spoken).Abs() <= max(250*time.Millisecond, sent/50)
}

// preBuffer is what a replica is supposed to hold before it plays.
const preBuffer = 100 * time.Millisecond

// renderBuffer estimates the replica's buffer from when chunks are sent.
type renderBuffer struct {
	held      time.Duration // while it does not play
	dry       time.Time     // when it runs out; zero while it does not play
	underruns int
	gaps      time.Duration // for which it had nothing to play
}

// add puts in d of audio at now.
func (b *renderBuffer) add(now time.Time, d time.Duration) {
	if !b.dry.IsZero() && now.After(b.dry) {
		b.underruns++
		b.gaps += now.Sub(b.dry)
		b.dry, b.held = time.Time{}, 0
	}
	if !b.dry.IsZero() {
		b.dry = b.dry.Add(d)
		return
	}
	if b.held += d; b.held >= preBuffer {
		b.dry = now.Add(b.held)
	}
}

// close plays what is left, however little.
func (b *renderBuffer) close(now time.Time) {
	if b.dry.IsZero() {
		b.dry = now.Add(b.held)
	}
}

// ahead is how much audio is there to play at now.
func (b *renderBuffer) ahead(now time.Time) time.Duration {
	if b.dry.IsZero() {
		return b.held
	}
	return max(b.dry.Sub(now), 0)
}

// route remembers how many samples the last messages ended with, to tell which
// of them the peer has.
type route struct {
	ends [256]struct{ bytes, samples int64 }
	n    int
}

func (r *route) add(bytes, samples int64) {
	r.ends[r.n%len(r.ends)] = struct{ bytes, samples int64 }{bytes, samples}
	r.n++
}

// before is how many samples are in whole messages within the first so many
// bytes.
func (r *route) before(bytes int64) (samples int64) {
	for _, end := range r.ends[:min(r.n, len(r.ends))] {
		if end.bytes <= bytes {
			samples = max(samples, end.samples)
		}
	}
	return samples
}

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

// How a figure of a receipt is known.
const (
	ByEvent = "event" // the replica said so
	ByClock = "clock" // estimated from when chunks were sent
)

// Receipt tells what came of one utterance. Times in seconds are as they are
// best known, and each says how.
type Receipt struct {
	InferenceID string  `json:"inference_id"`
	Source      string  `json:"source,omitempty"` // what the caller named the input
	Outcome     Outcome `json:"outcome"`
	// Samples were sent, in Chunks messages of Bytes bytes in all.
	Samples     int64   `json:"samples"`
	SentSeconds float64 `json:"sent_seconds"` // playing time of Samples
	Chunks      int     `json:"chunks"`
	Bytes       int64   `json:"bytes"`
	// FirstMessageSeconds is from the call of Speak to the first message
	// accepted by the connection; FirstAudioSeconds from there to the event
	// that the replica speaks. Negative: it did not come to that.
	FirstMessageSeconds float64 `json:"first_message_seconds"`
	FirstAudioSeconds   float64 `json:"first_audio_seconds"`
	// SpokenSeconds were heard, as SpokenBy says: ByEvent or ByClock.
	SpokenSeconds float64 `json:"spoken_seconds"`
	SpokenBy      string  `json:"spoken_by"`
	// Underruns is how often the replica ran out of audio, as UnderrunsBy
	// says. By the clock it supposes a replica that plays once 100 ms are
	// there.
	Underruns   int    `json:"underruns"`
	UnderrunsBy string `json:"underruns_by"`
	Error       string `json:"error,omitempty"`
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
}

// add puts in d of audio at now.
func (b *renderBuffer) add(now time.Time, d time.Duration) {
	if !b.dry.IsZero() && now.After(b.dry) {
		b.underruns++
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

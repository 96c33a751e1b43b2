package replica

import "strconv"

// MaxComplaints is the number of complaints in a report. The rest are only counted.
const MaxComplaints = 1000

// Kind is a kind of deviation from the protocol.
type Kind string

// The kinds of deviations, and what the replica does with the message.
const (
	KindTooLarge       Kind = "too_large"             // over the message limit; dropped
	KindJSON           Kind = "bad_json"              // not one JSON object in UTF-8; dropped
	KindEnvelope       Kind = "bad_envelope"          // a field of the envelope is missing, wrong or not allowed
	KindUnknownEvent   Kind = "unknown_event"         // not an event type for clients; dropped
	KindModality       Kind = "bad_modality"          // not "text" or "audio", or not its utterance's; dropped if not text
	KindBase64         Kind = "bad_base64"            // audio is not standard padded base64; its audio is dropped
	KindOddBytes       Kind = "odd_bytes"             // half a sample at the end; that byte is dropped
	KindEmptyAudio     Kind = "empty_audio"           // no audio in an audio message; only its flags count
	KindMissingRate    Kind = "missing_sample_rate"   // taken as 16000 Hz, or as that of the utterance
	KindBadRate        Kind = "bad_sample_rate"       // not an integer, or not 16000 or 24000 Hz
	KindRateChanged    Kind = "rate_changed"          // within an utterance (ignored) or between two
	KindMissingID      Kind = "missing_inference_id"  // each such chunk is a separate utterance
	KindMissingDone    Kind = "missing_done"          // taken as false
	KindDoneType       Kind = "done_not_boolean"      // strings and 0/1 are understood; the rest is false
	KindMixedIDs       Kind = "mixed_ids"             // a new id before the old one had done; the old utterance ends
	KindAfterDone      Kind = "chunk_after_done"      // dropped
	KindDoubleDone     Kind = "double_done"           // dropped
	KindIDReused       Kind = "id_reused"             // the id of an utterance that is over; dropped
	KindAfterInterrupt Kind = "chunk_after_interrupt" // dropped
	KindNeverDone      Kind = "never_done"            // the connection ended within an utterance
	KindBeforeJoin     Kind = "before_join"           // the replica had not joined; dropped

	// Of messages that are not audio.
	KindAlias           Kind = "alias"            // an event or a key under another name; understood
	KindMissingProperty Kind = "missing_property" // a required property is missing; message dropped
	KindBadProperty     Kind = "bad_property"     // a value that is not allowed: ignored, or the message dropped
	KindExtraProperty   Kind = "extra_property"   // an unknown property, or one too many; tolerated
)

// Complaint is one deviation.
type Complaint struct {
	Kind        Kind    `json:"kind"`
	Text        string  `json:"text"`
	Participant string  `json:"participant,omitempty"` // its sender, by the name given to Room.Join
	Utterance   string  `json:"utterance,omitempty"`   // inference_id, if known
	Message     int     `json:"message"`               // the message it is about, counted from 1; never_done: the last one
	AtMS        float64 `json:"at_ms"`                 // milliseconds since Run began
}

// quote cites text of the sender, in Go's quotes.
func quote(s string) string { return strconv.Quote(shorten(s)) }

// shorten limits the length of cited text.
func shorten(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

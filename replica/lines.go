package replica

import (
	"cmp"
	"fmt"
	"strings"

	"echocast/internal/text"
)

// Line returns the event as a line for people. It is empty if the line of another event or
// of the utterance says the same. The line of a fault at a set time names no connection.
func (e Event) Line() string {
	who := cmp.Or(e.Participant, "the room") + ": "
	switch e.Kind {
	case EventStarted:
		return who + e.Utterance + ": speaking"
	case EventUnderrun:
		return fmt.Sprintf("%s%s: ran out of audio for %.0f ms", who, e.Utterance, e.SilenceMS)
	case EventComplaint:
		return who + "complaint: " + e.Complaint.Text
	case EventFault:
		return who + "fault: the replica " + e.Text
	case EventInterrupt:
		return who + "interrupted: " + e.Text
	case EventNoted:
		return who + "received " + e.Text
	}
	return ""
}

// Line returns the utterance as a line for people.
func (u Utterance) Line() string {
	end := "said to its end"
	switch {
	case u.Interrupted:
		end = "interrupted"
	case !u.Done:
		end = "left without an end"
	}
	return fmt.Sprintf("%s: %s: %s: %.3f s heard, %s", u.Participant, u.ID, end, u.PlayedSeconds,
		text.Count(len(u.Underruns), "underrun"))
}

// Line returns the counts of the report as a line for people.
func (r Report) Line() string {
	why := "everybody has left"
	if r.End == EndLeft {
		why = "the replica has left"
	}
	return fmt.Sprintf("%s: %s, %.3f s heard, %s, %s", why,
		text.Count(r.UtteranceCount, "utterance"), r.PlayedSeconds, text.Count(r.Underruns, "underrun"),
		text.Count(r.ComplaintCount, "complaint"))
}

// FaultTable returns all faults for people, one per line: its syntax and its effect.
func FaultTable() string {
	var b strings.Builder
	for _, f := range AllFaults() {
		fmt.Fprintf(&b, "%-24s %s\n", f.Form(), f.Usage)
	}
	return b.String()
}

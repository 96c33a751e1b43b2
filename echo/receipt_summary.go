package echo

import (
	"fmt"
	"time"

	"echocast/internal/text"
)

// Summary returns the receipt as a line for people. awaited says that the run waited
// until the utterance was heard.
func (r *Receipt) Summary(awaited bool) string {
	sent := playingTime(r.SentSeconds)
	if r.Characters > 0 {
		sent = text.Count(r.Characters, "character")
	}
	if !awaited {
		verb := "sent in full: "
		if r.Outcome != Sent {
			verb = string(r.Outcome) + ": sent "
		}
		return verb + sent + " in " + text.Count(r.Chunks, "message") + stalls(r.Input)
	}
	line := ""
	switch r.Outcome {
	case Finished:
		line = r.Outcome.Words() + ": " + playingTime(r.SpokenSeconds)
	case Unverified:
		line = "sent in full, but " + r.Outcome.Words() + ": " + sent
	case Sent:
		line = r.Outcome.Words() + ": " + sent
	case Interrupted, Failed:
		line = fmt.Sprintf("%s: %s heard of %s sent", r.Outcome, r.about()+playingTime(r.SpokenSeconds), sent)
	}
	if r.FirstAudioSeconds >= 0 {
		line += fmt.Sprintf(", started after %d ms", int64(r.FirstAudioSeconds*1000+0.5))
	}
	if r.SpokenSeconds > 0 && r.Characters == 0 {
		line += ", " + r.gaps()
	}
	return line + stalls(r.Input)
}

// about returns "about " for a time that is estimated by the clock, "at most " for an upper
// bound, or "".
func (r *Receipt) about() string {
	switch {
	case r.SpokenAtMost:
		return "at most "
	case r.SpokenBy == ByClock:
		return "about "
	}
	return ""
}

// gaps describes how often and how long the replica had nothing to play.
func (r *Receipt) gaps() string {
	switch {
	case r.GapSeconds > 0 && r.Underruns == 0:
		return "gaps of " + playingTime(r.GapSeconds)
	case r.GapSeconds > 0:
		return text.Count(r.Underruns, "gap") + " of " + playingTime(r.GapSeconds)
	case r.Underruns > 0:
		return text.Count(r.Underruns, "gap")
	case r.UnderrunsBy == ByReplica:
		return "no gaps"
	case r.GapsBy == ByEvent: // shorter ones are not seen
		return fmt.Sprintf("no gaps over %d ms", leastGap.Milliseconds())
	}
	return "no gaps by the clock"
}

// stalls describes how often an input fell behind playout.
func stalls(input *FeedStats) string {
	if input == nil || input.Stalls == 0 {
		return ""
	}
	times := fmt.Sprintf("%d times", input.Stalls)
	if input.Stalls == 1 {
		times = "once"
	}
	return fmt.Sprintf("; the input stalled %s; otherwise it came at %.2f × real time", times, input.Factor)
}

// playingTime formats seconds with one decimal, or two below a second.
func playingTime(seconds float64) string {
	if d := time.Duration(seconds * float64(time.Second)); d < time.Second && d > 0 {
		return fmt.Sprintf("%.2f s", seconds)
	}
	return fmt.Sprintf("%.1f s", seconds)
}

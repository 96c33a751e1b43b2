package echo

import (
	"testing"
)

func TestReceiptSummary(t *testing.T) {
	heard := Receipt{Outcome: Finished, SentSeconds: 7.323, SpokenSeconds: 7.323, SpokenBy: ByEvent,
		FirstAudioSeconds: 0.0268, Chunks: 147, UnderrunsBy: ByReplica}
	for want, r := range map[string]Receipt{
		"heard in full: 7.3 s, started after 27 ms, no gaps": heard,
		"heard in full: 7.3 s, started after 27 ms, no gaps over 200 ms": changed(heard,
			func(r *Receipt) { r.UnderrunsBy, r.GapsBy = ByClock, ByEvent }),
		"heard in full: 7.3 s, started after 27 ms, no gaps by the clock": changed(heard,
			func(r *Receipt) { r.UnderrunsBy, r.GapsBy = ByClock, ByClock }),
		"heard in full: 7.3 s, started after 27 ms, 1 gap": changed(heard,
			func(r *Receipt) { r.Underruns = 1 }),
		"interrupted: 0.50 s heard of 7.3 s sent, started after 27 ms, no gaps": changed(heard,
			func(r *Receipt) { r.Outcome, r.SpokenSeconds = Interrupted, 0.5 }),
		"failed: about 1.5 s heard of 7.3 s sent, no gaps": changed(heard, func(r *Receipt) {
			r.Outcome, r.SpokenSeconds, r.SpokenBy, r.FirstAudioSeconds = Failed, 1.5, ByClock, -1
		}),
		"sent in full, but not confirmed as heard: 7.3 s, no gaps": changed(heard,
			func(r *Receipt) { r.Outcome, r.FirstAudioSeconds = Unverified, -1 }),
		"heard in full: 1.2 s, started after 27 ms": changed(heard,
			func(r *Receipt) { r.Characters, r.SpokenSeconds = 20, 1.2 }),
		"interrupted: 1.2 s heard of 1 character sent": changed(heard, func(r *Receipt) {
			r.Outcome, r.Characters, r.SpokenSeconds, r.FirstAudioSeconds = Interrupted, 1, 1.2, -1
		}),
		"heard in full: 7.3 s, started after 27 ms, no gaps; the input stalled once; otherwise it came at " +
			"1.84 × real time": changed(heard, func(r *Receipt) { r.Input = &FeedStats{Stalls: 1, Factor: 1.84} }),
		"heard in full: 7.3 s, started after 27 ms, gaps " +
			"of 0.75 s": changed(heard, func(r *Receipt) { r.GapSeconds = 0.751 }),
		"failed: at most 1.5 s heard of 7.3 s sent, started after 27 ms, 2 gaps of 1.0 s": changed(heard, func(r *Receipt) {
			r.Outcome, r.SpokenSeconds, r.SpokenAtMost, r.Underruns, r.GapSeconds = Failed, 1.5, true, 2, 1
		}),
	} {
		if got := r.Summary(true); got != want {
			t.Errorf("%s\nnot %s", got, want)
		}
	}
	for want, outcome := range map[string]Outcome{"sent in full: 7.3 s in 147 messages": Sent,
		"failed: sent 7.3 s in 147 messages": Failed} {
		r := changed(heard, func(r *Receipt) { r.Outcome = outcome })
		if got := r.Summary(false); got != want {
			t.Error(got)
		}
	}
}

func changed(r Receipt, change func(*Receipt)) Receipt {
	change(&r)
	return r
}

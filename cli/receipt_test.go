package cli

import (
	"testing"

	"echocast/echo"
)

func TestReceiptLine(t *testing.T) {
	heard := echo.Receipt{Outcome: echo.Finished, SentSeconds: 7.323, SpokenSeconds: 7.323, SpokenBy: echo.ByEvent, FirstAudioSeconds: 0.0268, Chunks: 147}
	for want, r := range map[string]echo.Receipt{
		"heard in full: 7.3 s, started after 27 ms, no gaps":                    heard,
		"heard in full: 7.3 s, started after 27 ms, 1 gap":                      with(heard, func(r *echo.Receipt) { r.Underruns = 1 }),
		"interrupted: 0.50 s heard of 7.3 s sent, started after 27 ms, no gaps": with(heard, func(r *echo.Receipt) { r.Outcome, r.SpokenSeconds = echo.Interrupted, 0.5 }),
		"failed: about 1.5 s heard of 7.3 s sent, no gaps": with(heard, func(r *echo.Receipt) {
			r.Outcome, r.SpokenSeconds, r.SpokenBy, r.FirstAudioSeconds = echo.Failed, 1.5, echo.ByClock, -1
		}),
		"sent in full, but not confirmed as heard: 7.3 s, no gaps": with(heard, func(r *echo.Receipt) { r.Outcome, r.FirstAudioSeconds = echo.Unverified, -1 }),
		"heard in full: 1.2 s, started after 27 ms":                with(heard, func(r *echo.Receipt) { r.Characters, r.SpokenSeconds = 20, 1.2 }),
		"interrupted: 1.2 s heard of 1 character sent": with(heard, func(r *echo.Receipt) {
			r.Outcome, r.Characters, r.SpokenSeconds, r.FirstAudioSeconds = echo.Interrupted, 1, 1.2, -1
		}),
		"heard in full: 7.3 s, started after 27 ms, no gaps; the input stalled once; otherwise it came at 1.84 × real time": with(heard, func(r *echo.Receipt) { r.Input = &echo.FeedStats{Stalls: 1, Factor: 1.84} }),
		"heard in full: 7.3 s, started after 27 ms, gaps of 0.75 s":                                                         with(heard, func(r *echo.Receipt) { r.GapSeconds = 0.751 }),
		"failed: at most 1.5 s heard of 7.3 s sent, started after 27 ms, 2 gaps of 1.0 s": with(heard, func(r *echo.Receipt) {
			r.Outcome, r.SpokenSeconds, r.SpokenAtMost, r.Underruns, r.GapSeconds = echo.Failed, 1.5, true, 2, 1
		}),
	} {
		if got := receiptLine(&r, true); got != want {
			t.Errorf("%s\nnot %s", got, want)
		}
	}
	for want, outcome := range map[string]echo.Outcome{"sent in full: 7.3 s in 147 messages": echo.Sent, "failed: sent 7.3 s in 147 messages": echo.Failed} {
		r := with(heard, func(r *echo.Receipt) { r.Outcome = outcome })
		if got := receiptLine(&r, false); got != want {
			t.Error(got)
		}
	}
}

func with(r echo.Receipt, change func(*echo.Receipt)) echo.Receipt {
	change(&r)
	return r
}

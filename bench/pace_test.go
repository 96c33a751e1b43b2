package bench

import (
	"context"
	"testing"

	"echocast/echo"
)

// BenchmarkPace measures what pacing costs without the waiting: the next message is always due.
func BenchmarkPace(b *testing.B) {
	for name, pace := range map[string]echo.Pace{
		"lead":  {Mode: echo.LeadMode, MaxRate: 1e12},
		"burst": {Mode: echo.BurstMode},
	} {
		b.Run(name+"/echocast", func(b *testing.B) {
			pacer, err := echo.NewPacer(pace, echo.DefaultRate, samplesOf(echo.DefaultChunk))
			if err != nil {
				b.Fatal(err)
			}
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			b.ReportAllocs()
			for b.Loop() {
				// The first position is never in the future.
				if err := pacer.Wait(ctx, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

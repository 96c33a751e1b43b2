// Command live measures what only shows while time passes: how late chunks leave
// when many utterances are paced in one process, and how soon an interrupt is on
// its way while many are being spoken.
//
//	go run ./bench/live                            # both, 90 s
//	go run ./bench/live -utterances 100 -seconds 5 -interrupts 0
//
// It prints two tables and fails where a message was wrong.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"
)

func main() {
	utterances := flag.Int("utterances", 1000, "utterances that are paced at the same time; 0: none")
	seconds := flag.Float64("seconds", 60, "how long each is, in seconds")
	connections := flag.Int("connections", 100, "data channels that speak while they are interrupted")
	interrupts := flag.Int("interrupts", 1000, "interrupts that are measured; 0: none")
	flag.Parse()
	if err := run(*utterances, *seconds, *connections, *interrupts); err != nil {
		fmt.Fprintln(os.Stderr, "live:", err)
		os.Exit(1)
	}
}

func run(utterances int, seconds float64, connections, interrupts int) error {
	ctx := context.Background()
	if utterances > 0 {
		p, err := measurePace(ctx, utterances, seconds)
		if err != nil {
			return err
		}
		fmt.Println("| utterances | messages | late p50 | p99 | p99.9 | largest | drift | clock set anew | CPU of a core |")
		fmt.Println("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
		fmt.Printf("| %d | %d | %s | %s | %s | %s | %s | %d | %.0f %% |\n\n", utterances, len(p.late),
			short(p.late.at(0.5)), short(p.late.at(0.99)), short(p.late.at(0.999)), short(p.late.at(1)), short(p.drift), p.stalls, 100*p.cpu)
	}
	if interrupts > 0 {
		took, err := measureInterrupts(ctx, connections, interrupts)
		if err != nil {
			return err
		}
		fmt.Println("| data channels | interrupts | accepted after p50 | p99 | largest | chunks of an interrupted id |")
		fmt.Println("| ---: | ---: | ---: | ---: | ---: | ---: |")
		fmt.Printf("| %d | %d | %s | %s | %s | 0 |\n\n", connections, len(took), short(took.at(0.5)), short(took.at(0.99)), short(took.at(1)))
	}
	return nil
}

// times are durations, to be asked for their percentiles.
type times []time.Duration

// at is the value below which this share of all lies. The times are sorted.
func (t times) at(share float64) time.Duration {
	return t[min(int(share*float64(len(t))), len(t)-1)]
}

func (t times) sort() { slices.Sort(t) }

func short(d time.Duration) string { return d.Round(time.Microsecond).String() }

// Command live measures delays in real time: how late chunks are when one process paces
// many utterances, the delay of interrupts during many utterances, the delay of live sound,
// the delay of the first message of a live input through the whole program, and how long the
// programs take to start.
//
//	go run ./bench/live                            # all of it, two minutes
//	go run ./bench/live -utterances 100 -seconds 5 -interrupts 0 -inputs 0 -first 0 -start 0
//
// It prints five tables and fails if a message was wrong. The last two need the programs
// (-program, -server), and the fourth ffmpeg, which makes some of the inputs. make bench
// runs it once for each round.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"echocast/audio"
)

func main() {
	utterances := flag.Int("utterances", 1000, "utterances that are paced at the same time; 0: none")
	seconds := flag.Float64("seconds", 20, "how long each is, in seconds")
	connections := flag.Int("connections", 100, "data channels that speak while they are interrupted")
	interrupts := flag.Int("interrupts", 300, "interrupts that are measured; 0: none")
	others := flag.Int("others", 300, "conversations that speak while channels are interrupted a second time; 0: none")
	inputs := flag.Int("inputs", 10, "live inputs at the same time; 0: none")
	first := flag.Int("first", 10, "how often the first message of each kind of live input is measured; 0: never")
	starts := flag.Int("start", 20, "how often the start of each program is measured; 0: never")
	program := flag.String("program", "bin/echocast", "the echocast whose first messages and start are measured")
	server := flag.String("server", "bin/echocast-server", "the echocast-server whose start is measured")
	flag.Parse()
	err := run(*utterances, *seconds)
	if err == nil && *interrupts > 0 {
		err = runInterrupts(*program, *connections, *interrupts, *others)
	}
	if err == nil && *inputs > 0 {
		err = runLive(*inputs)
	}
	if err == nil && *first > 0 {
		err = runFirst(*program, *first)
	}
	if err == nil && *starts > 0 {
		err = runStart(*program, *server, *starts)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "live:", err)
		os.Exit(1)
	}
}

func run(utterances int, seconds float64) error {
	ctx := context.Background()
	if utterances > 0 {
		p, err := measurePace(ctx, utterances, seconds)
		if err != nil {
			return err
		}
		fmt.Println("| utterances | messages | late p50 | p99 | p99.9 | largest | drift | schedule " +
			"restarts | CPU of a core |")
		fmt.Println("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
		fmt.Printf("| %d | %d | %s | %s | %s | %s | %s | %d | %.0f %% |\n\n", utterances, len(p.late),
			short(p.late.at(0.5)), short(p.late.at(0.99)), short(p.late.at(0.999)), short(p.late.at(1)), short(p.drift),
			p.stalls, 100*p.cpu)
	}
	return nil
}

// besideOthers is how many channels are interrupted while others speak. It is small, so
// that the result shows the cost of the others.
const besideOthers = 20

func runInterrupts(program string, connections, interrupts, others int) error {
	fmt.Println("| others that speak | data channels | interrupts | accepted after p50 | p99 | largest " +
		"| event read after p50 | p99 | largest | chunks of an interrupted id |")
	fmt.Println("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, c := range []struct{ others, channels, interrupts int }{
		{0, connections, interrupts},
		{others, min(connections, besideOthers), min(interrupts, 20*besideOthers)},
	} {
		took, err := measureBeside(context.Background(), program, c.others, c.channels, c.interrupts)
		if err != nil {
			return err
		}
		fmt.Printf("| %d | %d | %d | %s | %s | 0 |\n", c.others, c.channels, c.interrupts, took.accepted, took.answered)
		if others == 0 {
			break
		}
	}
	fmt.Println()
	return nil
}

// liveSeconds is the length of each live input.
const liveSeconds = 6

func runLive(inputs int) error {
	fmt.Println("| live inputs | samples | chunks | read after p50 | p99 | accepted after p50 | p99 | largest |")
	fmt.Println("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
	for _, c := range []struct {
		name   string
		rate   int
		method audio.Method
	}{
		{"24 kHz", 24000, audio.DefaultMethod()},
		{"48 kHz, `--live`", 48000, audio.FIR},
		{"44.1 kHz, `--live`", 44100, audio.FIR},
		{"16 kHz, `--live`", 16000, audio.FIR},
	} {
		w, err := measureLive(context.Background(), inputs, c.rate, c.method, liveSeconds)
		if err != nil {
			return err
		}
		fmt.Printf("| %d | %s | %d | %s | %s | %s | %s | %s |\n", inputs, c.name, len(w.accepted),
			short(w.read.at(0.5)), short(w.read.at(0.99)), short(w.accepted.at(0.5)), short(w.accepted.at(0.99)),
			short(w.accepted.at(1)))
	}
	fmt.Println()
	return nil
}

// times are durations with percentiles.
type times []time.Duration

// at returns the quantile for a share from 0 to 1. The times must be sorted.
func (t times) at(share float64) time.Duration {
	return t[min(int(share*float64(len(t))), len(t)-1)]
}

func (t times) sort() { slices.Sort(t) }

// String returns the median, the 99th percentile and the maximum, as cells of a table.
func (t times) String() string {
	return fmt.Sprintf("%s | %s | %s", short(t.at(0.5)), short(t.at(0.99)), short(t.at(1)))
}

// short formats a duration in one unit, so that those of several rounds can be compared.
func short(d time.Duration) string { return fmt.Sprintf("%.3f ms", d.Seconds()*1e3) }

//go:build unix

// Mutate runs echocast encode on damaged copies of real inputs, each in a separate process,
// and counts violations: a crash by a signal or a panic, a run of more than five seconds,
// more than 64 MB of memory, an undocumented exit code, and a failure that is not reported
// in one line.
//
//	go run ./scripts/mutate -count 20000 bin/echocast
//
// If ffmpeg is installed, it makes some of the inputs, and echocast decodes those with
// ffmpeg: half of them from files, the others from a pipe. The ffmpeg process is measured
// separately. It needs about 55 MB for any input, and may use the 512 MB that package audio
// allows.
//
// The same -seed makes the same damage. Inputs that fail are kept in mutate-failed/. Memory
// is the largest resident set. Without /proc, the memory of echocast and that of ffmpeg
// cannot be distinguished. A run of more than five seconds is repeated with a limit of a
// minute, since the machine may have been busy.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	longest = 5 * time.Second
	atMost  = time.Minute // for a run that took longer than the limit
	largest = 64 << 10    // kB
	ffmpegs = 512 << 10   // kB; memory of ffmpeg
	keep    = 100_000     // bytes of an input
)

// seedFile is an input to damage, and the options that read it.
type seedFile struct {
	name     string
	data     []byte
	options  []string
	isByName bool // it is passed by file name
}

// recordings returns files made with ffmpeg in dir, which echocast decodes with ffmpeg.
func recordings(dir string) (files []seedFile) {
	for name, args := range map[string][]string{
		"a.m4a": {"-c:a", "aac"}, "b.m4a": {"-c:a", "aac", "-movflags", "+faststart"}, "a.webm": {"-c:a", "libopus"},
		"a.wma": {"-c:a", "wmav2"},
		"a.ts":  {"-c:a", "aac"}, "a.aac": {"-c:a", "aac"}, "a.wv": {"-c:a", "wavpack"}, "a.caf": {"-c:a", "pcm_s16be"},
		"gsm.wav": {"-ar", "8000", "-c:a", "libgsm_ms"},
	} {
		path := filepath.Join(dir, name)
		args = append(append([]string{"-v", "error", "-f", "lavfi", "-i", "sine=r=24000:d=1"}, args...), path)
		if exec.Command("ffmpeg", args...).Run() != nil {
			continue // ffmpeg is missing, or cannot make such files
		}
		if data, err := os.ReadFile(path); err == nil {
			files = append(files, seedFile{name: name, data: data}, seedFile{name: name, data: data, isByName: true})
		}
	}
	slices.SortStableFunc(files, func(a, b seedFile) int { return strings.Compare(a.name, b.name) })
	return files
}

// tally counts the outcomes.
type tally struct {
	mu       sync.Mutex
	outcomes map[string]int
	largest  peak
	slowest  time.Duration
}

func main() {
	count := flag.Int("count", 20000, "damaged inputs to run")
	seed := flag.Uint64("seed", 1, "of the damage")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "mutate: name the echocast to run: go run ./scripts/mutate bin/echocast")
		os.Exit(2)
	}
	dir, err := os.MkdirTemp("", "mutate-*")
	var files []seedFile
	if err == nil {
		files, err = seedFiles("testdata")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
	files = append(files, recordings(dir)...)
	all, err := run(flag.Arg(0), dir, files, *count, *seed)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
	fmt.Printf("%d damaged inputs of %d files: %v; slowest %.1f s, largest %d MB, of ffmpeg %d MB\n",
		*count, len(files), all.outcomes, all.slowest.Seconds(), all.largest.own>>10, all.largest.ffmpeg>>10)
	_ = os.RemoveAll(dir)
	if all.outcomes["said"]+all.outcomes["refused"] != *count {
		os.Exit(1)
	}
}

// seedFiles returns all files below dir that echocast can read.
func seedFiles(dir string) (files []seedFile, err error) {
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		var options []string
		switch filepath.Ext(path) {
		case ".wav", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".ogg", ".opus", ".flac", ".mp2", ".mp1", ".rf64", ".w64":
		case ".ndjson", ".jsonl", ".sse":
			options = []string{"-f", "ndjson"}
		default:
			return nil
		}
		data, err := os.ReadFile(path)
		files = append(files, seedFile{name: path, data: data[:min(len(data), keep)], options: options})
		return err
	})
	return files, err
}

func run(program, dir string, files []seedFile, count int, seed uint64) (*tally, error) {
	all := &tally{outcomes: map[string]int{}}
	next := make(chan int)
	var workers sync.WaitGroup
	for i := range 2 {
		ffmpeg, err := newWatchedFFmpeg(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			return nil, err
		}
		workers.Go(func() {
			for n := range next {
				rng := rand.New(rand.NewPCG(seed, uint64(n)))
				file := files[rng.IntN(len(files))]
				all.try(program, ffmpeg, file, damage(rng, file.data), n)
			}
		})
	}
	for n := range count {
		next <- n
	}
	close(next)
	workers.Wait()
	return all, nil
}

// damage flips, overwrites, cuts and inserts bytes. In half of the cases it changes only
// the beginning of the file, where the headers are.
func damage(rng *rand.Rand, data []byte) []byte {
	data = bytes.Clone(data)
	span := len(data)
	if rng.IntN(2) == 0 {
		span = min(span, 200)
	}
	for range []int{1, 3, 10, 50}[rng.IntN(4)] {
		at := rng.IntN(max(min(span, len(data)), 1))
		size := min(rng.IntN(90), len(data)-at)
		switch rng.IntN(5) {
		case 0:
			data[at] ^= 1 << rng.IntN(8)
		case 1:
			data[at] = byte(rng.IntN(256))
		case 2:
			data[at] = 0xff
		case 3:
			data = append(data[:at], data[at+size:]...)
		case 4:
			junk := make([]byte, size)
			for i := range junk {
				junk[i] = byte(rng.IntN(256))
			}
			data = append(data[:at], append(junk, data[at:]...)...)
		}
		if len(data) == 0 {
			return data
		}
	}
	return data
}

func (all *tally) try(program string, ffmpeg *watchedFFmpeg, file seedFile, data []byte, n int) {
	args := append([]string{"encode", "--quiet"}, file.options...)
	input := "-"
	if file.isByName {
		input = filepath.Join(os.TempDir(), fmt.Sprintf("mutate-%d-%d-%s", os.Getpid(), n, file.name))
		_ = os.WriteFile(input, data, 0o600) // if it fails, echocast reports a missing input
		defer os.Remove(input)
	}
	var stderr bytes.Buffer
	start := func(limit time.Duration) (outcome string, err error) {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		cmd := exec.CommandContext(ctx, program, append(args, input)...)
		if !file.isByName {
			cmd.Stdin = bytes.NewReader(data)
		}
		stderr.Reset()
		cmd.Stderr = &stderr
		begin := time.Now()
		memory, err := ffmpeg.runMeasured(cmd)
		outcome = judge(ctx, err, stderr.String(), memory)
		all.note(time.Since(begin), memory)
		return outcome, err
	}
	outcome, err := start(longest)
	if outcome == "hang" {
		outcome, err = start(atMost)
	}
	all.count(outcome)
	if outcome == "said" || outcome == "refused" {
		return
	}
	_ = os.MkdirAll("mutate-failed", 0o755)
	name := filepath.Join("mutate-failed", fmt.Sprintf("%s-%d-%s", outcome, n, filepath.Base(file.name)))
	_ = os.WriteFile(name, data, 0o644)
	fmt.Fprintf(os.Stderr, "mutate: %s: %v: %.200s\n", name, err, stderr.String())
}

func judge(ctx context.Context, err error, stderr string, memory peak) string {
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "hang"
	case memory.own > largest, memory.ffmpeg > ffmpegs:
		return "memory"
	case strings.Contains(stderr, "goroutine "), strings.Contains(stderr, "panic"):
		return "panic"
	case err == nil && stderr == "":
		return "said"
	case errors.As(err, &exit) && exit.ExitCode() == 3 && strings.Count(stderr, "\n") == 1 &&
		strings.HasPrefix(stderr, "echocast: "):
		return "refused"
	}
	return "manners"
}

func (all *tally) count(outcome string) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.outcomes[outcome]++
}

func (all *tally) note(took time.Duration, memory peak) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.largest.own = max(all.largest.own, memory.own)
	all.largest.ffmpeg = max(all.largest.ffmpeg, memory.ffmpeg)
	all.slowest = max(all.slowest, took)
}

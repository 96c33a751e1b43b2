package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"echocast/internal/pcm"
)

// The source of a live input writes firstSeconds of speech. In real time it writes a tick
// at a time. The program gets readyAfter to start and wait for input.
const (
	firstSeconds = 3
	firstTick    = 20 * time.Millisecond
	readyAfter   = 300 * time.Millisecond
)

// firstInput is an input of live speech.
type firstInput struct {
	name      string
	arguments []string // of echocast encode
	data      []byte
}

// firstMessages are the delays of the first message of echocast encode, from the beginning
// of the sound.
type firstMessages struct {
	paced  times // input written in real time
	atOnce times // input written as fast as it is read
}

// measureFirst runs the program on each input a number of times, alternating between the
// inputs and both speeds.
func measureFirst(ctx context.Context, program string, inputs []firstInput, runs int) ([]firstMessages, error) {
	results := make([]firstMessages, len(inputs))
	for range runs {
		for _, i := range rand.Perm(len(inputs)) {
			r := &results[i]
			for _, way := range []struct {
				took  *times
				paced bool
			}{{&r.paced, true}, {&r.atOnce, false}} {
				d, err := firstMessage(ctx, program, inputs[i], way.paced)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", inputs[i].name, err)
				}
				*way.took = append(*way.took, d)
			}
		}
	}
	for i := range results {
		results[i].paced.sort()
		results[i].atOnce.sort()
	}
	return results, nil
}

// firstMessage runs the program on an input from a pipe that stays open.
func firstMessage(ctx context.Context, program string, input firstInput, paced bool) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{"encode", "--quiet", "--live"}, input.arguments...)...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	time.Sleep(readyAfter)
	start := time.Now()
	written := make(chan struct{})
	go func() {
		defer close(written)
		writeLive(in, input.data, start, paced)
	}()
	_, err = bufio.NewReader(out).ReadBytes('\n')
	took := time.Since(start)
	cancel()
	_ = cmd.Wait() // it was killed
	<-written
	if err != nil {
		return 0, errors.Join(err, errors.New(complaint.String()))
	}
	return took, nil
}

// writeLive writes data until the reader closes. It writes all at once or, if paced, in
// real time, a tick at a time.
func writeLive(to io.Writer, data []byte, start time.Time, paced bool) {
	if !paced {
		_, _ = to.Write(data) // the reader has closed the pipe
		return
	}
	const ticks = int(firstSeconds * time.Second / firstTick)
	for i := range ticks {
		time.Sleep(time.Until(start.Add(time.Duration(i+1) * firstTick)))
		if _, err := to.Write(data[i*len(data)/ticks : (i+1)*len(data)/ticks]); err != nil {
			return
		}
	}
}

// firstInputs returns the same speech in five formats. Three of them are made with ffmpeg.
func firstInputs() ([]firstInput, error) {
	speech, err := speechSamples()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "echocast-bench-*")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	spoken := make([]byte, 0, firstSeconds*24000*2)
	for i := range firstSeconds * 24000 {
		spoken = binary.LittleEndian.AppendUint16(spoken, uint16(int16(30000*speech[i%len(speech)])))
	}
	wav := append(pcm.WAVHeader(24000, 1, math.MaxUint32), spoken...)
	inputs := []firstInput{
		{name: "WAV 24 kHz", arguments: []string{"-"}, data: wav},
		{name: "SSE, 50 ms an event", arguments: []string{"--preset", "openai", "-"}, data: speechEvents(spoken)},
	}
	for _, f := range []struct {
		name, file string
		arguments  []string
	}{
		{"MP3 24 kHz, 64 kbit/s", "a.mp3", []string{"-c:a", "libmp3lame", "-b:a", "64k"}},
		{"Ogg Opus, 20 ms a page", "a.opus", []string{"-c:a", "libopus", "-b:a", "32k", "-page_duration", "20000"}},
		{"WebM Opus, by ffmpeg", "a.webm", []string{"-c:a", "libopus", "-b:a", "32k", "-live", "1",
			"-cluster_time_limit", "60"}},
	} {
		path := filepath.Join(dir, f.file)
		args := append(append([]string{"-v", "error", "-i", "pipe:0"}, f.arguments...), path)
		cmd := exec.Command("ffmpeg", args...)
		cmd.Stdin = bytes.NewReader(wav)
		if text, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("ffmpeg: %w: %s", err, text)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, firstInput{name: f.name, arguments: []string{"-"}, data: data})
	}
	return inputs, nil
}

// speechEvents are server-sent events of speech, as OpenAI sends them.
func speechEvents(pcm []byte) (events []byte) {
	const size = 2400
	for from := 0; from < len(pcm); from += size {
		events = fmt.Appendf(events, "data: {\"type\":\"speech.audio.delta\",\"audio\":%q}\n\n",
			base64.StdEncoding.EncodeToString(pcm[from:min(from+size, len(pcm))]))
	}
	return events
}

// runFirst prints the table of first messages.
func runFirst(program string, runs int) error {
	inputs, err := firstInputs()
	if err != nil {
		return err
	}
	results, err := measureFirst(context.Background(), program, inputs, runs)
	if err != nil {
		return err
	}
	fmt.Println("| live input by a pipe | runs | in real time: p50 | largest | all at once: p50 | largest |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: | ---: |")
	for i, r := range results {
		fmt.Printf("| %s | %d | %s | %s | %s | %s |\n", inputs[i].name, runs,
			ms(r.paced.at(0.5)), ms(r.paced.at(1)), ms(r.atOnce.at(0.5)), ms(r.atOnce.at(1)))
	}
	fmt.Println()
	return nil
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }

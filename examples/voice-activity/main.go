// Command voice-activity splits the sound of a room into utterances by loudness. This is
// the step between hearing a room and recognising speech.
//
//	echocast hear --to URL -f s16le --rate 16000 - | voice-activity -exec 'my_asr'
//
// It reads 16-bit mono samples from standard input. For each utterance it prints one line
// of JSON. With -exec it also runs a command for each utterance, one at a time and in
// order. The command gets the utterance as a WAV file on standard input:
//
//	{"start":1.24,"end":3.02}
//
// It uses only loudness. A program for noisy rooms needs a model of speech. This program is
// a starting point of a hundred lines.
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
)

func main() {
	d := &detector{}
	command := flag.String("exec", "", "run this `COMMAND` for each utterance, a WAV file on its standard input")
	flag.IntVar(&d.rate, "rate", 16000, "sampling rate of the input in `HZ`")
	flag.Float64Var(&d.threshold, "threshold", -45, "sound below this level, in `DBFS`, is not speech")
	flag.Float64Var(&d.pause, "pause", 0.6, "an utterance ends after this many `SECONDS` of silence")
	flag.Parse()
	d.emit = func(u utterance) error {
		line, _ := json.Marshal(u) // numbers always marshal
		if _, err := fmt.Printf("%s\n", line); err != nil {
			return err
		}
		return u.hand(*command)
	}
	if err := d.run(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "voice-activity:", err)
		os.Exit(1)
	}
}

// utterance is speech without a pause.
type utterance struct {
	Start   float64 `json:"start"` // seconds since the start of the input
	End     float64 `json:"end"`
	samples []byte
	rate    int
}

// hand runs the command with the utterance. If the command fails, hand reports that, and
// the next utterance follows.
func (u utterance) hand(command string) error {
	if command == "" {
		return nil
	}
	run := exec.Command("sh", "-c", command)
	run.Stdin = io.MultiReader(bytes.NewReader(wavHeader(u.rate, len(u.samples))), bytes.NewReader(u.samples))
	run.Stdout, run.Stderr = os.Stdout, os.Stderr
	if err := run.Run(); err != nil {
		fmt.Fprintf(os.Stderr, "voice-activity: the utterance at %.2f s: %v\n", u.Start, err)
	}
	return nil
}

// The input is divided into frames of 20 ms. Speech begins with several loud frames in a
// row. A little of the sound before them belongs to it, because consonants are quiet.
const (
	framesPerSecond = 50
	loudAtFirst     = 3
	leadIn          = framesPerSecond / 5
)

// detector finds utterances.
type detector struct {
	rate      int
	threshold float64 // dBFS
	pause     float64 // seconds
	emit      func(utterance) error

	frames     int      // read so far
	before     [][]byte // the last frames, while nobody speaks
	loud       int      // loud frames in a row at the end of before
	isSpeaking bool
	said       []byte
	start      int // its first frame
	quiet      int // frames since the last loud one
}

// run reads frames until the input ends.
func (d *detector) run(input io.Reader) error {
	if d.rate < framesPerSecond {
		return fmt.Errorf("-rate %d: it is 8000 or more", d.rate)
	}
	reader := bufio.NewReader(input)
	for {
		frame := make([]byte, 2*(d.rate/framesPerSecond))
		_, err := io.ReadFull(reader, frame)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return d.end()
		}
		if err != nil {
			return err
		}
		if err := d.take(frame); err != nil {
			return err
		}
	}
}

func (d *detector) take(frame []byte) error {
	isLoud := level(frame) > d.threshold
	d.frames++
	if !d.isSpeaking {
		d.wait(frame, isLoud)
		return nil
	}
	d.said = append(d.said, frame...)
	d.quiet++
	if isLoud {
		d.quiet = 0
	}
	if float64(d.quiet) >= d.pause*framesPerSecond {
		return d.end()
	}
	return nil
}

// wait stores the latest frames until speech begins.
func (d *detector) wait(frame []byte, isLoud bool) {
	d.before = append(d.before, frame)
	if len(d.before) > leadIn+loudAtFirst {
		d.before = d.before[1:]
	}
	d.loud++
	if !isLoud {
		d.loud = 0
	}
	if d.loud == loudAtFirst {
		d.isSpeaking, d.quiet, d.loud = true, 0, 0
		d.start = d.frames - len(d.before)
		d.said = bytes.Join(d.before, nil)
		d.before = nil
	}
}

// end emits the current utterance, if there is one.
func (d *detector) end() error {
	if !d.isSpeaking {
		return nil
	}
	d.isSpeaking = false
	u := utterance{
		Start: float64(d.start) / framesPerSecond, End: float64(d.frames-d.quiet) / framesPerSecond,
		samples: d.said, rate: d.rate,
	}
	return d.emit(u)
}

// level returns the loudness of a frame in dBFS.
func level(frame []byte) float64 {
	sum := 0.0
	for i := 0; i < len(frame); i += 2 {
		v := float64(int16(binary.LittleEndian.Uint16(frame[i:]))) / 32768
		sum += v * v
	}
	return 10 * math.Log10(sum/float64(len(frame)/2)+1e-12)
}

// wavHeader returns the header of a WAV file with size bytes of samples.
func wavHeader(rate, size int) []byte {
	h := []byte("RIFF")
	h = binary.LittleEndian.AppendUint32(h, uint32(36+size))
	h = append(h, "WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00"...)
	h = binary.LittleEndian.AppendUint32(h, uint32(rate))
	h = binary.LittleEndian.AppendUint32(h, uint32(2*rate))
	h = append(h, "\x02\x00\x10\x00data"...)
	return binary.LittleEndian.AppendUint32(h, uint32(size))
}

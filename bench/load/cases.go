package load

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"echocast/audio"
	"echocast/echo"
)

// longestChunk bounds the memory of a case.
const longestChunk = 10 * time.Second

// The default cases: each length at the default rate, and the usual rates of speech at the
// default length.
var (
	defaultChunks = []string{"20ms", "50ms", "100ms"}
	defaultRates  = []int{8000, 16000, 22050, 44100, 48000}
)

// Cases returns a case for every chunk length, such as "50ms", at every rate in Hz.
// Without lengths or rates it uses the defaults.
func Cases(lengths []string, rates []int) (cases []Case, err error) {
	if len(lengths) == 0 {
		lengths = defaultChunks
	}
	chunks, err := parseChunks(lengths)
	if err != nil {
		return nil, err
	}
	isDefault := len(rates) == 0
	if isDefault {
		rates = []int{echo.DefaultRate}
	}
	for _, rate := range rates {
		if err := (audio.Format{Rate: rate, Channels: 1}).Check(); err != nil {
			return nil, fmt.Errorf("--rate %d: at least %d Hz, at most %d Hz", rate, audio.MinRate, audio.MaxRate)
		}
		for _, chunk := range chunks {
			cases = append(cases, Case{Rate: rate, Chunk: chunk})
		}
	}
	if isDefault {
		for _, rate := range defaultRates {
			cases = append(cases, Case{Rate: rate, Chunk: echo.DefaultChunk})
		}
	}
	return cases, nil
}

func parseChunks(lengths []string) (chunks []time.Duration, err error) {
	for _, length := range lengths {
		chunk, err := time.ParseDuration(strings.TrimSpace(length))
		if err != nil {
			return nil, fmt.Errorf("--chunk %q: a time has a number and a unit, for example 50ms", length)
		}
		if chunk < time.Millisecond || chunk > longestChunk {
			return nil, fmt.Errorf("--chunk %v: at least 1ms, at most %v", chunk, longestChunk)
		}
		chunks = append(chunks, chunk)
	}
	return chunks, nil
}

// Auto asks for the largest number of conversations that the machine can handle.
const Auto = "auto"

// Counts parses numbers of conversations, such as "1,10,50". For Auto it returns none.
func Counts(text string) (counts []int, err error) {
	if text == Auto {
		return nil, nil
	}
	for word := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n < 1 || n > MaxConversations {
			return nil, fmt.Errorf("--streams %q: numbers from 1 to %d with commas between them, or %s",
				text, MaxConversations, Auto)
		}
		counts = append(counts, n)
	}
	return counts, nil
}

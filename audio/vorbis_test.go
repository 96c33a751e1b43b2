package audio

import (
	"errors"
	"testing"
)

// lowBitWriter writes bits from the lowest of each byte on.
type lowBitWriter struct {
	b  []byte
	at int
}

func (w *lowBitWriter) write(v, n int) *lowBitWriter {
	for i := range n {
		if w.at%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.at/8] |= byte(v>>i&1) << (w.at % 8)
		w.at++
	}
	return w
}

// vorbisBooks begins a setup packet with n codebooks.
func vorbisBooks(n int) *lowBitWriter {
	w := &lowBitWriter{b: []byte("\x05vorbis"), at: 8 * 7}
	return w.write(n-1, 8)
}

func (w *lowBitWriter) book(dimensions, entries int) *lowBitWriter {
	return w.write(0x564342, 24).write(dimensions, 16).write(entries, 24)
}

// The decoder allocates what a codebook claims, and never ends if one is empty: such setups
// are refused first.
func TestVorbisSetupIsChecked(t *testing.T) {
	full := func(w *lowBitWriter, entries int) *lowBitWriter {
		w.write(0, 2) // in order of nothing, not sparse
		for range entries {
			w.write(2, 5)
		}
		return w
	}
	good := full(vorbisBooks(1).book(1, 8), 8).write(0, 4)
	large := vorbisBooks(3)
	for range 3 {
		full(large.book(1, 1<<16), 1<<16).write(0, 4)
	}
	for name, c := range map[string]struct {
		setup *lowBitWriter
		want  error
	}{
		"good":                  {good, nil},
		"nothing":               {vorbisBooks(1), errVorbisBook},
		"no sync":               {vorbisBooks(1).write(0, 24), errVorbisBook},
		"no entries":            {vorbisBooks(1).book(1, 0), errVorbisEmpty},
		"no dimensions":         {vorbisBooks(1).book(0, 8), errVorbisEmpty},
		"16 million entries":    {vorbisBooks(1).book(1, 1<<24-1), errVorbisHuge},
		"too many together":     {large, errVorbisHuge},
		"cut lengths":           {full(vorbisBooks(1).book(1, 8), 4), errVorbisCut},
		"cut ordered lengths":   {vorbisBooks(1).book(1, 8).write(1, 1).write(3, 5), errVorbisCut},
		"endless ordered":       {vorbisBooks(1).book(1, 8).write(1, 1).write(3, 5).write(0, 30), errVorbisCut},
		"ordered beyond":        {vorbisBooks(1).book(1, 8).write(1, 1).write(3, 5).write(9, 4), errVorbisBook},
		"sparse without one":    {vorbisBooks(1).book(1, 8).write(2, 2).write(0, 80), errVorbisEmpty},
		"kind 3":                {full(vorbisBooks(1).book(1, 8), 8).write(3, 4), errVorbisBook},
		"500 million values":    {full(vorbisBooks(1).book(65535, 8192), 8192).write(2, 4), errVorbisHuge},
		"cut values":            {full(vorbisBooks(1).book(4, 16), 16).write(2, 4).write(0, 64), errVorbisCut},
		"second book is no one": {full(vorbisBooks(2).book(1, 8), 8).write(0, 24), errVorbisBook},
	} {
		if err := checkVorbisSetup(c.setup.b); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

//go:build !cgo

// Package opusencoder is a thin binding of libopus' encoder, for speech. This
// build is without cgo, and has none.
package opusencoder

import "errors"

// Available is true if this build has libopus.
const Available = false

// Encoder is never made here.
type Encoder struct{}

// New fails.
func New(int, bool) (*Encoder, error) {
	return nil, errors.New("this build has no libopus, which takes cgo")
}

// NewStereo fails.
func NewStereo(rate int) (*Encoder, error) { return New(rate, false) }

// Lookahead is never called.
func (e *Encoder) Lookahead() int { return 0 }

// Encode is never called.
func (e *Encoder) Encode([]int16) ([]byte, error) {
	return nil, errors.New("this build has no libopus")
}

// Close does nothing.
func (e *Encoder) Close() error { return nil }

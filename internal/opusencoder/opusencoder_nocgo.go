//go:build !cgo

// Package opusencoder is a thin binding of libopus' encoder, for speech. This build has no
// cgo, so it cannot encode.
package opusencoder

import "errors"

// Available reports whether this build has libopus.
const Available = false

// Encoder cannot be created in this build.
type Encoder struct{}

// New returns an error in this build.
func New(int, bool) (*Encoder, error) {
	return nil, errors.New("this build has no libopus, which takes cgo")
}

// NewStereo returns an error in this build.
func NewStereo(rate int) (*Encoder, error) { return New(rate, false) }

// Lookahead is never called.
func (e *Encoder) Lookahead() int { return 0 }

// Encode is never called.
func (e *Encoder) Encode([]int16) ([]byte, error) {
	return nil, errors.New("this build has no libopus")
}

// Close does nothing.
func (e *Encoder) Close() error { return nil }

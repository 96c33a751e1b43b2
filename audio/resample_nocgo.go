//go:build !cgo

package audio

import "errors"

const haveSoxr = false

func newSoxr(Source, int) (Resampled, error) { return nil, errors.ErrUnsupported }

func newZaf(Source, int) (Resampled, error) { return nil, errors.ErrUnsupported }

//go:build !cgo

package audio

import (
	"bufio"
	"fmt"
)

// mp3Decoder needs libmpg123, which a build without cgo does not have.
type mp3Decoder struct{}

func openMP3(*bufio.Reader) (*mp3Decoder, error) {
	return nil, fmt.Errorf("%w: this build reads no MP3", ErrFormat)
}

func (d *mp3Decoder) Format() Format                     { return Format{} }
func (d *mp3Decoder) Info() Info                         { return Info{} }
func (d *mp3Decoder) Warnings() []string                 { return nil }
func (d *mp3Decoder) ReadSamples([]float32) (int, error) { return 0, ErrFormat }
func (d *mp3Decoder) Close() error                       { return nil }

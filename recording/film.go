package recording

import (
	"encoding/binary"
	"fmt"
	"image"
	"slices"
	"time"

	"github.com/at-wat/ebml-go/webm"

	"echocast/internal/vp8"
)

// PictureTime is how long each picture is shown: 25 are shown in a second.
const PictureTime = pictureFrames * frameMS * time.Millisecond

const (
	pictureFrames = 2 // packets of sound
	pictureBytes  = 4000
)

// Picture draws the picture for a piece of the replica's sound: PictureTime of samples
// at Rate. All pictures have one size. Each is valid until the next call.
type Picture func(sound []int16) (*image.YCbCr, error)

// film encodes pictures. Each fragment of the file begins with a key frame.
type film struct {
	picture Picture
	size    image.Point
	encoder *vp8.Encoder
	count   int
}

func newFilm(picture Picture) (*film, error) {
	first, err := picture(make([]int16, pictureFrames*frame)) // to learn the size
	if err != nil {
		return nil, err
	}
	f := &film{picture: picture, size: first.Rect.Size()}
	f.encoder, err = vp8.New(f.size.X, f.size.Y, &vp8.Options{FrameBytes: pictureBytes})
	return f, err
}

func (f *film) track() webm.TrackEntry {
	return webm.TrackEntry{
		Name: "replica", TrackNumber: 2, TrackUID: 2, TrackType: 1, CodecID: "V_VP8",
		DefaultDuration: uint64(PictureTime),
		Video:           &webm.Video{PixelWidth: uint64(f.size.X), PixelHeight: uint64(f.size.Y)},
	}
}

// next encodes the picture for samples of both channels.
func (f *film) next(samples []int16) (encoded []byte, isKey bool, err error) {
	sound := make([]int16, pictureFrames*frame)
	for i := range len(samples) / channels {
		sound[i] = samples[channels*i+int(Replica)]
	}
	picture, err := f.picture(sound)
	if err != nil {
		return nil, false, err
	}
	if size := picture.Rect.Size(); size != f.size {
		return nil, false, fmt.Errorf("a picture is %v, and those before it were %v", size, f.size)
	}
	isKey = f.count%(clusterMS/(pictureFrames*frameMS)) == 0
	f.count++
	encoded, err = f.encoder.Encode(picture, isKey)
	return slices.Clone(encoded), isKey, err
}

// pcmEncoder passes samples unchanged, for ffmpeg to encode.
type pcmEncoder struct{ packet []byte }

// Encode returns the samples, little-endian.
func (p *pcmEncoder) Encode(samples []int16) ([]byte, error) {
	p.packet = p.packet[:0]
	for _, v := range samples {
		p.packet = binary.LittleEndian.AppendUint16(p.packet, uint16(v))
	}
	return p.packet, nil
}

// Close does nothing.
func (p *pcmEncoder) Close() error { return nil }

// plainTrack returns the track of unencoded samples.
func plainTrack() webm.TrackEntry {
	return webm.TrackEntry{CodecID: "A_PCM/INT/LIT", DefaultDuration: uint64(frameMS * time.Millisecond),
		Audio: &webm.Audio{SamplingFrequency: Rate, Channels: channels}}
}

package avatar

import (
	"context"
	"image"
	"slices"
	"sync/atomic"
	"time"

	"echocast/internal/vp8"
	"echocast/replica/face"
)

// faceWidth is how many pixels wide the pictures of the face are.
const faceWidth = 320

// bitsPerSecond is the approximate bit rate of the video.
const bitsPerSecond = 1_500_000

// keyFrameEvery is the longest time without a key frame.
const keyFrameEvery = 10 * time.Second

// source draws the picture for the sound of a tick. It returns nil while there is no
// picture. A picture is valid until the next call.
type source func(tick int64, pcm []int16) (*image.YCbCr, error)

// faceSource draws the face of the stand-in.
func faceSource() (source, error) {
	talker, err := face.NewTalker(faceWidth, Rate)
	if err != nil {
		return nil, err
	}
	last := int64(-pictureEvery)
	return func(tick int64, pcm []int16) (*image.YCbCr, error) {
		passed := time.Duration(tick-last) * Tick
		last = tick
		return talker.Picture(pcm, passed.Seconds())
	}, nil
}

// pictureRequest is the sound for one picture.
type pictureRequest struct {
	tick int64
	pcm  []int16
}

// pictureMaker draws and encodes pictures. If it falls behind, it skips pictures.
type pictureMaker struct {
	requests chan pictureRequest // one slot, with the newest
	wanted   atomic.Bool
}

func newPictureMaker() *pictureMaker { return &pictureMaker{requests: make(chan pictureRequest, 1)} }

func (a *pictureMaker) needKeyFrame() { a.wanted.Store(true) }

// show asks for the picture of a tick. Only one goroutine may call it.
func (a *pictureMaker) show(tick int64, pcm []int16) {
	select {
	case <-a.requests: // drop it: it was not drawn in time
	default:
	}
	a.requests <- pictureRequest{tick, slices.Clone(pcm)}
}

// run draws until ctx ends.
func (a *pictureMaker) run(
	ctx context.Context, open func() (source, error), publish func(frame []byte, tick int64),
) error {
	draw, err := open()
	if err != nil {
		return err
	}
	var encoder *vp8.Encoder
	lastKey := int64(0)
	for {
		var s pictureRequest
		select {
		case s = <-a.requests:
		case <-ctx.Done():
			return nil
		}
		picture, err := draw(s.tick, s.pcm)
		if err != nil {
			return err
		}
		if picture == nil {
			continue
		}
		if encoder == nil {
			size := picture.Rect.Size()
			frameBytes := bitsPerSecond / 8 * pictureEvery * int(Tick/time.Millisecond) / 1000
			if encoder, err = vp8.New(size.X, size.Y, &vp8.Options{FrameBytes: frameBytes}); err != nil {
				return err
			}
		}
		key := a.wanted.Swap(false) || time.Duration(s.tick-lastKey)*Tick >= keyFrameEvery
		if key {
			lastKey = s.tick
		}
		frame, err := encoder.Encode(picture, key)
		if err != nil {
			return err
		}
		publish(frame, s.tick)
	}
}

package vp8

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	reference "golang.org/x/image/vp8"

	"echocast/internal/testwait"
)

// drawing draws an ellipse that is open by a share, on a background with a gradient.
func drawing(width, height int, open float64) *image.YCbCr {
	m := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	for y := range height {
		for x := range width {
			c := color.RGBA{uint8(200 + 40*x/width), 220, uint8(180 + 60*y/height), 255}
			dx, dy := float64(x-width/2)/float64(width)*4, float64(y-height/2)/float64(height)*4
			if dx*dx+dy*dy < 1 {
				c = color.RGBA{239, 201, 168, 255}
			}
			if dx*dx*4+dy*dy/open/open < 0.5 {
				c = color.RGBA{91, 31, 34, 255}
			}
			luma, cb, cr := color.RGBToYCbCr(c.R, c.G, c.B)
			m.Y[m.YOffset(x, y)], m.Cb[m.COffset(x, y)], m.Cr[m.COffset(x, y)] = luma, cb, cr
		}
	}
	return m
}

// noise is as hard to encode as a picture can be.
func noise(width, height int, seed uint64) *image.YCbCr {
	random := rand.New(rand.NewPCG(seed, 1))
	m := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
	for _, plane := range [][]byte{m.Y, m.Cb, m.Cr} {
		for i := range plane {
			plane[i] = byte(random.Uint32())
		}
	}
	return m
}

// decode decodes a key frame with the decoder of golang.org/x/image.
func decode(t *testing.T, frame []byte) *image.YCbCr {
	t.Helper()
	d := reference.NewDecoder()
	d.Init(bytes.NewReader(frame), len(frame))
	if _, err := d.DecodeFrameHeader(); err != nil {
		t.Fatal(err)
	}
	m, err := d.DecodeFrame()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// mustEqual compares what a decoder shows with what the encoder knows it to show.
func mustEqual(t *testing.T, got, want *image.YCbCr, width, height int) {
	t.Helper()
	for y := range height {
		for x := range width {
			if g, w := got.YCbCrAt(x, y), want.YCbCrAt(x, y); g != w {
				t.Fatalf("pixel %d,%d is %v, want %v", x, y, g, w)
			}
		}
	}
}

// psnr is the likeness of two pictures' luma in decibels.
func psnr(a, b *image.YCbCr, width, height int) float64 {
	sum := 0.0
	for y := range height {
		for x := range width {
			d := float64(a.Y[a.YOffset(x, y)]) - float64(b.Y[b.YOffset(x, y)])
			sum += d * d
		}
	}
	return 10 * math.Log10(255*255*float64(width*height)/max(sum, 1))
}

func TestKeyFrames(t *testing.T) {
	for _, size := range []image.Point{{320, 352}, {1, 1}, {17, 33}, {640, 360}} {
		e, err := New(size.X, size.Y, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, frame := range []*image.YCbCr{drawing(size.X, size.Y, 0.5), noise(size.X, size.Y, 1),
			drawing(size.X, size.Y, 1)} {
			data, err := e.Encode(frame, true)
			if err != nil {
				t.Fatal(err)
			}
			mustEqual(t, decode(t, data), e.shown, size.X, size.Y)
		}
	}
	e, _ := New(320, 352, nil)
	frame := drawing(320, 352, 0.5)
	data, _ := e.Encode(frame, false)
	if db := psnr(e.shown, frame, 320, 352); db < 38 || len(data) > 12000 {
		t.Errorf("the first frame has %d bytes, and is like the picture by %.1f dB", len(data), db)
	}
}

func TestWrongFrames(t *testing.T) {
	for _, size := range []image.Point{{0, 10}, {10, -1}, {1 << 14, 16}} {
		if _, err := New(size.X, size.Y, nil); err == nil {
			t.Errorf("no error for a frame of %v", size)
		}
	}
	e, _ := New(32, 32, nil)
	for _, m := range []*image.YCbCr{
		image.NewYCbCr(image.Rect(0, 0, 32, 31), image.YCbCrSubsampleRatio420),
		image.NewYCbCr(image.Rect(0, 0, 32, 32), image.YCbCrSubsampleRatio444),
	} {
		if _, err := e.Encode(m, false); err == nil {
			t.Errorf("no error for %v, %v", m.Rect, m.SubsampleRatio)
		}
	}
}

// After a frame that is larger than the average, the next ones are coarser, until the average
// is right.
func TestRate(t *testing.T) {
	e, _ := New(320, 240, &Options{FrameBytes: 4000})
	sum := 0
	for i := range 100 {
		data, err := e.Encode(noise(320, 240, uint64(i/3)), false)
		if err != nil {
			t.Fatal(err)
		}
		if i >= 10 {
			sum += len(data)
		}
	}
	t.Logf("%d bytes a frame of noise", sum/90)
	if sum/90 > 20000 {
		t.Errorf("%d bytes a frame", sum/90)
	}
	still := drawing(320, 240, 0.5)
	for range 300 {
		_, _ = e.Encode(still, false)
	}
	if e.q.index != finest {
		t.Errorf("still at %d after a still picture", e.q.index)
	}
}

// ffmpeg decodes inter frames as the encoder predicts, and a drawing that changes little takes
// few bytes.
func TestInterFrames(t *testing.T) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("NOT TESTED WITH ANOTHER DECODER: no ffmpeg")
	}
	const width, height, count = 328, 350, 40
	e, _ := New(width, height, nil)
	ivf := binary.LittleEndian.AppendUint16([]byte("DKIF\x00\x00\x20\x00VP80"), width)
	ivf = binary.LittleEndian.AppendUint16(ivf, height)
	ivf = binary.LittleEndian.AppendUint32(ivf, 25)
	ivf = binary.LittleEndian.AppendUint32(ivf, 1)
	ivf = append(binary.LittleEndian.AppendUint32(ivf, count), 0, 0, 0, 0)
	var want []byte
	between := 0
	for n := range count {
		frame := drawing(width, height, 0.5+0.4*math.Sin(float64(n)))
		if n == 20 {
			frame = noise(width, height, 1)
		}
		data, err := e.Encode(frame, n == 30)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 && n < 20 {
			between += len(data)
		}
		ivf = binary.LittleEndian.AppendUint32(ivf, uint32(len(data)))
		ivf = append(binary.LittleEndian.AppendUint64(ivf, uint64(n)), data...)
		want = append(want, planes(e.shown, width, height)...)
	}
	file := filepath.Join(t.TempDir(), "frames.ivf")
	if err := os.WriteFile(file, ivf, 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(testwait.Context(t), ffmpeg, "-v", "error", "-i", file, "-vsync", "0",
		"-f", "rawvideo", "-pix_fmt", "yuv420p", "-")
	var problems bytes.Buffer
	command.Stderr = &problems
	got, err := command.Output()
	if err != nil || problems.Len() > 0 {
		t.Fatalf("%v: %s", err, &problems)
	}
	size := width*height + 2*(width/2)*(height/2)
	if len(got) != len(want) {
		t.Fatalf("%d frames, want %d", len(got)/size, len(want)/size)
	}
	for n := range count {
		if !bytes.Equal(got[n*size:(n+1)*size], want[n*size:(n+1)*size]) {
			t.Fatalf("ffmpeg shows another frame %d", n)
		}
	}
	if between /= 19; between > 1500 {
		t.Errorf("a frame in which the mouth moves has %d bytes", between)
	}
}

// planes are the pixels of a picture, plane by plane.
func planes(m *image.YCbCr, width, height int) (out []byte) {
	for y := range height {
		out = append(out, m.Y[y*m.YStride:][:width]...)
	}
	for _, plane := range [][]byte{m.Cb, m.Cr} {
		for y := range height / 2 {
			out = append(out, plane[y*m.CStride:][:width/2]...)
		}
	}
	return out
}

func BenchmarkEncode(b *testing.B) {
	for _, key := range []bool{true, false} {
		b.Run(fmt.Sprintf("key=%v", key), func(b *testing.B) {
			e, _ := New(320, 352, nil)
			frames := []*image.YCbCr{drawing(320, 352, 0.5), drawing(320, 352, 0.7)}
			n, bytes := 0, 0
			for b.Loop() {
				data, _ := e.Encode(frames[n%2], key)
				bytes += len(data)
				n++
			}
			b.ReportMetric(float64(bytes)/float64(n), "bytes/frame")
		})
	}
}

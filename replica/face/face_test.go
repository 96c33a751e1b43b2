package face

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

// picture is a copy of the face in a pose.
func picture(t *testing.T, d *Drawing, p Pose) *image.YCbCr {
	t.Helper()
	m, err := d.Picture(p)
	if err != nil {
		t.Fatal(err)
	}
	out := *m
	out.Y, out.Cb, out.Cr = bytes.Clone(m.Y), bytes.Clone(m.Cb), bytes.Clone(m.Cr)
	if folder := os.Getenv("ECHOCAST_SCREENSHOTS"); folder != "" {
		file, err := os.Create(filepath.Join(folder, t.Name()+".png"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if err := png.Encode(file, m); err != nil {
			t.Fatal(err)
		}
	}
	return &out
}

// dark is how many pixels of the mouth's inside a picture has.
func dark(m *image.YCbCr) (n int) {
	for y := m.Rect.Dy() * 136 / drawingHeight; y < m.Rect.Dy()*168/drawingHeight; y++ {
		for x := m.Rect.Dx() * 75 / drawingWidth; x < m.Rect.Dx()*125/drawingWidth; x++ {
			if m.Y[m.YOffset(x, y)] < 70 {
				n++
			}
		}
	}
	return n
}

func TestPictures(t *testing.T) {
	d, err := NewDrawing(320)
	if err != nil {
		t.Fatal(err)
	}
	rest := picture(t, d, Pose{})
	if size := rest.Rect.Size(); size != image.Pt(320, 352) {
		t.Errorf("a picture is %v", size)
	}
	for _, c := range []struct {
		name string
		pose Pose
	}{{"open", Pose{Open: 1}}, {"half", Pose{Open: 0.5}}, {"wide", Pose{Open: 0.5, Wide: 1}},
		{"round", Pose{Open: 0.6, Wide: -1}}} {
		t.Run(c.name, func(t *testing.T) {
			if got, closed := dark(picture(t, d, c.pose)), dark(rest); got < 2*closed+50 {
				t.Errorf("%d dark pixels, and %d where the mouth is closed", got, closed)
			}
		})
	}
	blinking := picture(t, d, Pose{Blinks: true})
	if bytes.Equal(blinking.Y, rest.Y) {
		t.Error("closed eyes look like open ones")
	}
	if again := picture(t, d, Pose{}); !bytes.Equal(again.Y, rest.Y) || !bytes.Equal(again.Cb, rest.Cb) ||
		!bytes.Equal(again.Cr, rest.Cr) {
		t.Error("something of an earlier pose stays")
	}
	for _, width := range []int{0, -2, 33} {
		if _, err := NewDrawing(width); err == nil {
			t.Errorf("no error for a width of %d", width)
		}
	}
}

// The mouth follows within two frames, and the eyes blink sometimes.
func TestAnimator(t *testing.T) {
	var a Animator
	a.Next(Mouth{VisemeOpen, 1}, 0.04)
	if p := a.Next(Mouth{VisemeOpen, 1}, 0.04); p.Open < 0.9 {
		t.Errorf("after two frames: %+v", p)
	}
	closed, blinks := Pose{}, 0
	for i := range 25 * 60 {
		p := a.Next(Mouth{Viseme: VisemeRest}, 0.04)
		if i == 10 {
			closed = p
		}
		if p.Blinks {
			blinks++
		}
	}
	if closed.Open != 0 || blinks < 25 || blinks > 250 {
		t.Errorf("after 10 frames of silence: %+v; in a minute %d frames with closed eyes", closed, blinks)
	}
}

func TestPaths(t *testing.T) {
	for _, path := range []string{"M1", "M1 2 3", "A1 2", "L1 x", "m1 2"} {
		if walk(path, func(byte, []float64) {}) == nil {
			t.Errorf("no error for the path %q", path)
		}
	}
	for _, text := range []string{"red", "#12", "#12345g", ""} {
		if _, err := parseColor(text); err == nil {
			t.Errorf("no error for the colour %q", text)
		}
	}
}

func BenchmarkPicture(b *testing.B) {
	d, err := NewDrawing(320)
	if err != nil {
		b.Fatal(err)
	}
	for n := 0; b.Loop(); n++ {
		if _, err := d.Picture(Pose{Open: float64(n%10) / 10}); err != nil {
			b.Fatal(err)
		}
	}
}

package picture

import (
	"bytes"
	"encoding/xml"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"math/cmplx"
	"math/rand/v2"
	"strings"
	"testing"
)

const rate = 24000

// tone returns a sine.
func tone(hz, amplitude float64, samples int) []float32 {
	all := make([]float32, samples)
	for i := range all {
		all[i] = float32(amplitude * math.Sin(2*math.Pi*hz*float64(i)/rate))
	}
	return all
}

// The transform is that of the definition.
func TestTransform(t *testing.T) {
	var frame [frameLen]float32
	random := rand.New(rand.NewPCG(1, 2))
	for i := range frame {
		frame[i] = random.Float32()*2 - 1
	}
	tr := newTransform()
	got := make([]float32, bands)
	tr.addPower(got, &frame)
	for band := range bands {
		var sum complex128
		for i, v := range frame {
			sum += complex(float64(v)*tr.window[i], 0) * cmplx.Rect(1, -2*math.Pi*float64(band*i%frameLen)/frameLen)
		}
		want := tr.scale * real(sum*cmplx.Conj(sum))
		if math.Abs(float64(got[band])-want) > 1e-6*(1+want) {
			t.Fatalf("band %d: %g, want %g", band, got[band], want)
		}
	}
}

// A tone is in its band, at its level and time; nothing is lost at either end.
func TestTonePosition(t *testing.T) {
	p := New(rate)
	p.Add(tone(1500, 1, rate))
	p.Add(tone(6000, 0.1, rate))
	p.finish()
	if math.Abs(p.seconds()-2) > 0.003 {
		t.Errorf("%g s long", p.seconds())
	}
	parts := p.across(200) // 10 ms each
	for _, c := range []struct {
		part, band int
		db         float64
	}{{50, 32, 0}, {150, 128, -20}} {
		if db := decibels(parts[c.part].power[c.band]); math.Abs(db-c.db) > 0.1 {
			t.Errorf("part %d, band %d: %.2f dB, want %.0f", c.part, c.band, db, c.db)
		}
		if db := decibels(parts[c.part].power[200]); db > -80 {
			t.Errorf("part %d: %.2f dB where nothing is", c.part, db)
		}
	}
	if parts[97].power[128] > 1e-6 || parts[102].power[32] > 1e-6 || parts[98].high < 0.99 || parts[101].high > 0.11 {
		t.Error("the waveform or the spectrogram changes too early or too late")
	}
	last := parts[199]
	if last.high < 0.09 || decibels(last.power[128]) < -30 {
		t.Errorf("the end is missing: %g, %g dB", last.high, decibels(last.power[128]))
	}
}

// Audio of any length fits the columns, and a peak keeps its position.
func TestPictureIsBounded(t *testing.T) {
	p := New(rate)
	quiet := make([]float32, rate)
	for second := range 120 {
		quiet[7] = 0
		if second == 60 {
			quiet[7] = 1
		}
		p.Add(quiet)
	}
	p.finish()
	if len(p.columns) > maxColumns || math.Abs(p.seconds()-120) > 1 {
		t.Errorf("%d columns, %g s", len(p.columns), p.seconds())
	}
	var loud []int
	for i, part := range p.across(100) {
		if part.high == 1 {
			loud = append(loud, i)
		}
	}
	if len(loud) != 1 || loud[0] < 49 || loud[0] > 50 {
		t.Errorf("the peak of the middle is in %v of 100 parts", loud)
	}
}

// Audio shorter than a frame or a column is drawn as well.
func TestShortPictures(t *testing.T) {
	for _, n := range []int{1, 48, 49, 257, 1000} {
		p := New(rate)
		p.Add(tone(3000, 0.5, n))
		if err := p.WritePNG(io.Discard, "", ""); err != nil {
			t.Fatal(err)
		}
		if got, want := len(p.columns), (n+firstPer-1)/firstPer; got != want {
			t.Errorf("%d samples make %d columns, want %d", n, got, want)
		}
	}
	if !New(rate).IsEmpty() {
		t.Error("a new picture is not empty")
	}
}

// What is drawn: dark on light, the band of the tone dark, clipped columns red.
func TestPNG(t *testing.T) {
	p := New(rate)
	p.Add(tone(3000, 0.5, rate))
	p.Add([]float32{1, -1, 1})
	p.Add(tone(3000, 0.5, rate))
	var file bytes.Buffer
	if err := p.WritePNG(&file, "a title", "a line"); err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(&file)
	if err != nil || img.Bounds() != image.Rect(0, 0, width, height) {
		t.Fatalf("%v, %v", err, img.Bounds())
	}
	is := func(x, y int, want color.RGBA) bool { return color.RGBAModel.Convert(img.At(x, y)) == want }
	bandY := spectrumTop + bands - 1 - 64
	if r, g, b, _ := img.At(left+200, bandY).RGBA(); r+g+b > 3*0x6000 {
		t.Errorf("the tone is drawn as %v", img.At(left+200, bandY))
	}
	if !is(left+200, spectrumTop+10, paper) || !is(5, 5, paper) {
		t.Error("silence is not white")
	}
	middle := waveTop + waveHeight/2
	if !is(left+200, middle-waveHeight/4+2, wave) || is(left+200, middle-waveHeight/4-3, wave) {
		t.Error("half of full scale is not half as high")
	}
	if !is(left+plotWidth/2, waveTop+3, clipped) {
		t.Error("a clipped column is not red")
	}
	if inked := countOf(img, image.Rect(left, 15, width, 35), ink); inked < 50 {
		t.Errorf("%d pixels of the title", inked)
	}
}

func countOf(img image.Image, within image.Rectangle, c color.RGBA) (n int) {
	for y := within.Min.Y; y < within.Max.Y; y++ {
		for x := within.Min.X; x < within.Max.X; x++ {
			if color.RGBAModel.Convert(img.At(x, y)) == c {
				n++
			}
		}
	}
	return n
}

// The SVG is well formed, whatever the name of the file, and states its units.
func TestSVG(t *testing.T) {
	p := New(rate)
	p.Add(tone(440, 0.5, rate))
	var file bytes.Buffer
	if err := p.WriteSVG(&file, `<a & "b">.wav`, "a line"); err != nil {
		t.Fatal(err)
	}
	drawn := file.String()
	for _, want := range []string{
		"&lt;a &amp;", "time (s)", "frequency (kHz)", "level (dB)", "amplitude", "data:image/png;base64,",
	} {
		if !strings.Contains(drawn, want) {
			t.Errorf("%q is missing", want)
		}
	}
	tokens := xml.NewDecoder(&file)
	count := map[string]int{}
	for {
		token, err := tokens.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if start, ok := token.(xml.StartElement); ok {
			count[start.Name.Local]++
		}
	}
	if count["path"] != 1 || count["image"] != 2 || count["text"] < 20 {
		t.Errorf("%v", count)
	}
}

func TestNiceStep(t *testing.T) {
	for _, c := range []struct {
		atLeast, step float64
		digits        int
	}{{0.73, 1, 0}, {0.1, 0.1, 1}, {0.021, 0.05, 2}, {360, 500, 0}, {1.7, 2, 0}, {0.0008, 0.001, 3}} {
		if step, digits := niceStep(c.atLeast); math.Abs(step-c.step) > 1e-9 || digits != c.digits {
			t.Errorf("at least %g: %g with %d decimals", c.atLeast, step, digits)
		}
	}
}

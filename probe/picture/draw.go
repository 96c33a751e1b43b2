package picture

import (
	"fmt"
	"image"
	"image/color"
	"io"
	"math"
)

// The layout, in pixels.
const (
	width, height = 1280, 610
	left          = 76
	plotWidth     = 1100
	waveTop       = 92
	waveHeight    = 160
	spectrumTop   = 292
	barLeft       = left + plotWidth + 20
	barWidth      = 14
	textHeight    = 16
)

// The range of the spectrogram in dB.
const (
	faintest = -100.0
	loudest  = -20.0
)

var (
	paper   = color.RGBA{255, 255, 255, 255}
	ink     = color.RGBA{0x1d, 0x21, 0x26, 255}
	soft    = color.RGBA{0x59, 0x61, 0x6b, 255}
	grid    = color.RGBA{0xe0, 0xe0, 0xda, 255}
	wave    = color.RGBA{0x2b, 0x7a, 0x78, 255}
	clipped = color.RGBA{0xcf, 0x3b, 0x3b, 255}
)

// canvas is a surface to draw on. Positions are pixels from the top left.
type canvas interface {
	rect(x, y, w, h int, c color.RGBA)
	// text writes words with their baseline at y; x is their left end, middle or right end.
	text(x, y int, at anchor, words string, c color.RGBA)
	// bars draws vertical lines one pixel wide, next to each other from x on.
	bars(x int, tops, bottoms []int, c color.RGBA)
	image(x, y int, img *image.Paletted)
}

type anchor string

const (
	atStart  anchor = "start"
	atMiddle anchor = "middle"
	atEnd    anchor = "end"
)

// WritePNG draws the picture as PNG below a title and a second line.
func (p *Picture) WritePNG(w io.Writer, title, line string) error {
	c := newRaster()
	p.draw(c, title, line)
	return c.write(w)
}

// WriteSVG draws the picture as SVG below a title and a second line.
func (p *Picture) WriteSVG(w io.Writer, title, line string) error {
	c := newVector(title)
	p.draw(c, title, line)
	return c.write(w)
}

func (p *Picture) draw(c canvas, title, line string) {
	p.finish()
	c.rect(0, 0, width, height, paper)
	c.text(left, 30, atStart, title, ink)
	c.text(left, 54, atStart, line, soft)
	parts := p.across(plotWidth)
	p.drawTimes(c)
	drawWave(c, parts)
	p.drawSpectrum(c, parts)
	drawScale(c)
}

// drawTimes draws the time axis below both plots, and its grid.
func (p *Picture) drawTimes(c canvas) {
	bottom := spectrumTop + bands
	step, digits := niceStep(p.seconds() / 10)
	for i := 0; float64(i)*step <= p.seconds()*1.0001; i++ {
		x := left + int(math.Round(plotWidth*float64(i)*step/p.seconds()))
		c.rect(x, waveTop, 1, waveHeight, grid)
		c.rect(x, bottom, 1, 6, soft)
		c.text(x, bottom+6+textHeight, atMiddle, fmt.Sprintf("%.*f", digits, float64(i)*step), soft)
	}
	c.text(left+plotWidth/2, bottom+14+2*textHeight, atMiddle, "time (s)", ink)
}

// drawWave draws the waveform. Columns that reach full scale are red.
func drawWave(c canvas, parts []column) {
	middle, half := waveTop+waveHeight/2, float64(waveHeight/2)
	c.text(left, waveTop-10, atStart, "amplitude (1 = full scale)", ink)
	for _, v := range []float64{1, 0.5, 0, -0.5, -1} {
		y := middle - int(v*half)
		c.rect(left-5, y, plotWidth+5, 1, grid)
		c.text(left-10, y+5, atEnd, fmt.Sprintf("%g", v), soft)
	}
	tops, bottoms := make([]int, len(parts)), make([]int, len(parts))
	for i, part := range parts {
		tops[i] = middle - int(math.Round(half*min(float64(part.high), 1)))
		bottoms[i] = middle - int(math.Round(half*max(float64(part.low), -1)))
	}
	c.bars(left, tops, bottoms, wave)
	for i, part := range parts {
		if max(part.high, -part.low) >= 32767.0/32768 {
			c.rect(left+i, tops[i], 1, bottoms[i]-tops[i]+1, clipped)
		}
	}
}

// drawSpectrum draws a pixel for each band and column, high bands on top.
func (p *Picture) drawSpectrum(c canvas, parts []column) {
	img := image.NewPaletted(image.Rect(0, 0, len(parts), bands), shades())
	for x := range parts {
		for band, power := range parts[x].power {
			img.SetColorIndex(x, bands-1-band, shadeOf(decibels(power)))
		}
	}
	c.text(left, spectrumTop-10, atStart, "frequency (kHz)", ink)
	framed(c, left, spectrumTop, img)
	top := float64(p.rate) / 2000
	step, digits := niceStep(top / 7)
	for v := 0.0; v <= top*1.0001; v += step {
		y := spectrumTop + bands - int(math.Round(bands*v/top))
		c.rect(left-5, y, 5, 1, soft)
		c.text(left-10, y+5, atEnd, fmt.Sprintf("%.*f", digits, v), soft)
	}
}

// framed draws an image within a thin line.
func framed(c canvas, x, y int, img *image.Paletted) {
	c.rect(x-1, y-1, img.Rect.Dx()+2, img.Rect.Dy()+2, grid)
	c.image(x, y, img)
}

// drawScale draws the colour scale of levels.
func drawScale(c canvas) {
	img := image.NewPaletted(image.Rect(0, 0, barWidth, bands), shades())
	for i := range img.Pix {
		img.Pix[i] = uint8(len(img.Palette) * (bands - 1 - i/barWidth) / bands)
	}
	c.text(width-10, spectrumTop-10, atEnd, "level (dB)", ink)
	framed(c, barLeft, spectrumTop, img)
	for v := faintest; v <= loudest; v += 20 {
		y := spectrumTop + bands - int(math.Round(bands*(v-faintest)/(loudest-faintest)))
		c.rect(barLeft+barWidth, y, 5, 1, soft)
		c.text(barLeft+barWidth+10, y+5, atStart, fmt.Sprintf("%.0f", v), soft)
	}
}

// shadeOf returns the index in shades for a level.
func shadeOf(db float64) uint8 {
	const last = 255
	return uint8(math.Round(last * min(max((db-faintest)/(loudest-faintest), 0), 1)))
}

// shades returns a palette from white for faint, through yellow, red and purple, to nearly
// black for loud.
func shades() color.Palette {
	stops := [][3]float64{{255, 255, 255}, {254, 232, 176}, {247, 148, 92}, {206, 62, 94}, {110, 26, 112}, {22, 10, 40}}
	all := make(color.Palette, 256)
	for i := range all {
		at := float64(i) / 255 * float64(len(stops)-1)
		from := min(int(at), len(stops)-2)
		part := at - float64(from)
		mix := func(k int) uint8 { return uint8(math.Round(stops[from][k]*(1-part) + stops[from+1][k]*part)) }
		all[i] = color.RGBA{mix(0), mix(1), mix(2), 255}
	}
	return all
}

// niceStep returns the smallest of 1, 2 and 5 times a power of ten that is at least
// atLeast, and its number of decimals.
func niceStep(atLeast float64) (step float64, digits int) {
	power := math.Pow(10, math.Floor(math.Log10(atLeast)))
	digits = max(0, -int(math.Floor(math.Log10(atLeast))))
	for _, times := range []float64{1, 2, 5} {
		if times*power >= atLeast*0.9999 {
			return times * power, digits
		}
	}
	return 10 * power, max(digits-1, 0)
}

package picture

import (
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"

	"golang.org/x/image/font"
	"golang.org/x/image/font/inconsolata"
	"golang.org/x/image/math/fixed"
)

// raster is a canvas of pixels.
type raster struct{ img *image.RGBA }

func newRaster() *raster { return &raster{image.NewRGBA(image.Rect(0, 0, width, height))} }

func (r *raster) write(w io.Writer) error { return png.Encode(w, r.img) }

func (r *raster) rect(x, y, w, h int, c color.RGBA) {
	draw.Draw(r.img, image.Rect(x, y, x+w, y+h), image.NewUniform(c), image.Point{}, draw.Src)
}

func (r *raster) text(x, y int, at anchor, words string, c color.RGBA) {
	d := font.Drawer{Dst: r.img, Src: image.NewUniform(c), Face: inconsolata.Regular8x16}
	switch at {
	case atMiddle:
		x -= d.MeasureString(words).Round() / 2
	case atEnd:
		x -= d.MeasureString(words).Round()
	}
	d.Dot = fixed.P(x, y)
	d.DrawString(words)
}

func (r *raster) bars(x int, tops, bottoms []int, c color.RGBA) {
	for i := range tops {
		r.rect(x+i, tops[i], 1, bottoms[i]-tops[i]+1, c)
	}
}

func (r *raster) image(x, y int, img *image.Paletted) {
	draw.Draw(r.img, img.Rect.Add(image.Pt(x, y)), img, image.Point{}, draw.Src)
}

package picture

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"strings"
)

// vector is a canvas of SVG elements. The spectrogram is a picture within it.
type vector struct{ b bytes.Buffer }

func newVector(title string) *vector {
	v := &vector{}
	fmt.Fprintf(&v.b,
		`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" font-family="system-ui,sans-serif" font-size="14">
<title>%s</title>
`, width, height, escaped(title))
	return v
}

func (v *vector) write(w io.Writer) error {
	v.b.WriteString("</svg>\n")
	_, err := v.b.WriteTo(w)
	return err
}

func escaped(words string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(words)) // a Builder never fails
	return b.String()
}

func hex(c color.RGBA) string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

func (v *vector) rect(x, y, w, h int, c color.RGBA) {
	fmt.Fprintf(&v.b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", x, y, w, h, hex(c))
}

func (v *vector) text(x, y int, at anchor, words string, c color.RGBA) {
	fmt.Fprintf(&v.b, `<text x="%d" y="%d" text-anchor="%s" fill="%s">%s</text>`+"\n", x, y, at, hex(c), escaped(words))
}

// bars draws one outline: the tops from left to right, and the bottoms back.
func (v *vector) bars(x int, tops, bottoms []int, c color.RGBA) {
	fmt.Fprintf(&v.b, `<path fill="%s" d="M%d %d`, hex(c), x, tops[0])
	for _, top := range tops {
		fmt.Fprintf(&v.b, "V%dh1", top)
	}
	for i := len(bottoms) - 1; i >= 0; i-- {
		fmt.Fprintf(&v.b, "V%dh-1", bottoms[i]+1)
	}
	v.b.WriteString("Z\"/>\n")
}

func (v *vector) image(x, y int, img *image.Paletted) {
	var data bytes.Buffer
	_ = png.Encode(&data, img) // a Buffer never fails, and png takes every Paletted of its size
	fmt.Fprintf(&v.b, `<image x="%d" y="%d" width="%d" height="%d" href="data:image/png;base64,%s"/>`+"\n",
		x, y, img.Rect.Dx(), img.Rect.Dy(), base64.StdEncoding.EncodeToString(data.Bytes()))
}

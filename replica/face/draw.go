package face

import (
	"encoding/xml"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"strconv"
	"strings"

	"golang.org/x/image/vector"
)

// The size of the drawing, in its own units.
const (
	drawingWidth  = 200
	drawingHeight = 220
)

// eyeLine is where closed eyelids meet.
const eyeLine = 100

// shape is a filled area.
type shape struct {
	id    string
	group string // eyes, mouth or another
	fill  color.RGBA
	path  string
}

// Drawing draws the face in pictures of one size. It is for one goroutine at a time.
type Drawing struct {
	scale   float64
	shapes  []shape // those that move
	still   *image.RGBA
	canvas  *image.RGBA
	picture *image.YCbCr
	moving  image.Rectangle // the part that the moving shapes can cover
	raster  *vector.Rasterizer
}

// NewDrawing makes a Drawing whose pictures are width pixels wide, an even number.
func NewDrawing(width int) (*Drawing, error) {
	if width < 2 || width%2 != 0 {
		return nil, fmt.Errorf("face: a picture is an even number of pixels wide, not %d", width)
	}
	shapes, err := parse(SVG)
	if err != nil {
		return nil, fmt.Errorf("face: %w", err)
	}
	scale := float64(width) / drawingWidth
	bounds := image.Rect(0, 0, width, int(drawingHeight*scale)/2*2)
	d := &Drawing{
		scale: scale, still: image.NewRGBA(bounds), canvas: image.NewRGBA(bounds),
		picture: image.NewYCbCr(bounds, image.YCbCrSubsampleRatio420), raster: vector.NewRasterizer(bounds.Dx(), bounds.Dy()),
	}
	for _, s := range shapes {
		if s.group == "eyes" || s.group == "mouth" {
			d.shapes = append(d.shapes, s)
			continue
		}
		if err := d.fill(d.still, bounds, s); err != nil {
			return nil, err
		}
	}
	top, bottom := int(85*scale)/2*2, int(180*scale)/2*2
	d.moving = image.Rect(int(60*scale)/2*2, top, int(140*scale)/2*2, bottom)
	draw.Draw(d.canvas, bounds, d.still, image.Point{}, draw.Src)
	convert(d.picture, d.canvas, bounds)
	return d, nil
}

// Picture draws the face in a pose. The picture is valid until the next call.
func (d *Drawing) Picture(p Pose) (*image.YCbCr, error) {
	draw.Draw(d.canvas, d.moving, d.still, d.moving.Min, draw.Src)
	mouth := p.mouth()
	for _, s := range d.shapes {
		if s.group == "mouth" {
			s.path = mouth[s.id]
		}
		if s.group == "eyes" && p.Blinks {
			s.path = flattened(s.path)
		}
		if err := d.fill(d.canvas, d.moving, s); err != nil {
			return nil, err
		}
	}
	convert(d.picture, d.canvas, d.moving)
	return d.picture, nil
}

// fill draws a shape, in a part of a picture.
func (d *Drawing) fill(to *image.RGBA, part image.Rectangle, s shape) error {
	d.raster.Reset(part.Dx(), part.Dy())
	corner := [2]float64{float64(part.Min.X), float64(part.Min.Y)}
	err := walk(s.path, func(command byte, at []float64) {
		p := make([]float32, len(at))
		for i, v := range at {
			p[i] = float32(v*d.scale - corner[i%2])
		}
		switch command {
		case 'M':
			d.raster.MoveTo(p[0], p[1])
		case 'L':
			d.raster.LineTo(p[0], p[1])
		case 'Q':
			d.raster.QuadTo(p[0], p[1], p[2], p[3])
		case 'C':
			d.raster.CubeTo(p[0], p[1], p[2], p[3], p[4], p[5])
		case 'Z':
			d.raster.ClosePath()
		}
	})
	d.raster.Draw(to, part, image.NewUniform(s.fill), image.Point{})
	return err
}

// operands is how many numbers a command of a path has.
var operands = map[byte]int{'M': 2, 'L': 2, 'Q': 4, 'C': 6, 'Z': 0}

// walk calls do for each command of a path.
func walk(path string, do func(command byte, at []float64)) error {
	for path != "" {
		command := path[0]
		count, isKnown := operands[command]
		end := 1 + strings.IndexAny(path[1:]+"Z", "MLQCZ")
		fields := strings.Fields(path[1:end])
		if !isKnown || len(fields) != count {
			return fmt.Errorf("face: the command %q of a path", path[:end])
		}
		at := make([]float64, count)
		for i, field := range fields {
			var err error
			if at[i], err = strconv.ParseFloat(field, 64); err != nil {
				return fmt.Errorf("face: a path: %w", err)
			}
		}
		do(command, at)
		path = path[end:]
	}
	return nil
}

// flattened is the path of eyes that are closed.
func flattened(path string) string {
	var out strings.Builder
	_ = walk(path, func(command byte, at []float64) { // it was walked before
		out.WriteByte(command)
		for i, v := range at {
			if i%2 == 1 {
				v = eyeLine + (v-eyeLine)*0.12
			}
			fmt.Fprintf(&out, "%.2f ", v)
		}
	})
	return out.String()
}

// parse reads the shapes of a drawing.
func parse(svg string) (shapes []shape, err error) {
	type path struct {
		ID   string `xml:"id,attr"`
		Fill string `xml:"fill,attr"`
		D    string `xml:"d,attr"`
	}
	decoder := xml.NewDecoder(strings.NewReader(svg))
	group := ""
	for {
		token, err := decoder.Token()
		if token == nil {
			return shapes, nil
		}
		if err != nil {
			return nil, err
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch start.Name.Local {
		case "g":
			group = start.Attr[0].Value
		case "path":
			var p path
			if err := decoder.DecodeElement(&p, &start); err != nil {
				return nil, err
			}
			fill, err := parseColor(p.Fill)
			if err != nil {
				return nil, err
			}
			shapes = append(shapes, shape{p.ID, group, fill, p.D})
		}
	}
}

// parseColor reads #rgb or #rrggbb.
func parseColor(text string) (color.RGBA, error) {
	digits, _ := strings.CutPrefix(text, "#")
	if len(digits) == 3 {
		digits = string([]byte{digits[0], digits[0], digits[1], digits[1], digits[2], digits[2]})
	}
	v, err := strconv.ParseUint(digits, 16, 24)
	if err != nil || len(digits) != 6 {
		return color.RGBA{}, fmt.Errorf("the colour %q", text)
	}
	return color.RGBA{uint8(v >> 16), uint8(v >> 8), uint8(v), 255}, nil
}

// convert copies a part of a picture, whose edges are even.
func convert(to *image.YCbCr, from *image.RGBA, part image.Rectangle) {
	for y := part.Min.Y; y < part.Max.Y; y += 2 {
		for x := part.Min.X; x < part.Max.X; x += 2 {
			var r, g, b int
			for _, at := range [4][2]int{{0, 0}, {1, 0}, {0, 1}, {1, 1}} {
				p := from.Pix[from.PixOffset(x+at[0], y+at[1]):][:3]
				to.Y[to.YOffset(x+at[0], y+at[1])] = studio(int(p[0]), int(p[1]), int(p[2]))
				r, g, b = r+int(p[0]), g+int(p[1]), b+int(p[2])
			}
			c := to.COffset(x, y)
			to.Cb[c] = byte(128 + (-38*r-74*g+112*b)/1024)
			to.Cr[c] = byte(128 + (112*r-94*g-18*b)/1024)
		}
	}
}

// studio is the luma of a colour as video has it, from 16 to 235 (ITU-R BT.601).
func studio(r, g, b int) byte { return byte(16 + (66*r+129*g+25*b+128)/256) }

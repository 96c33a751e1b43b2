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

	"echocast/internal/vp8"
)

// The size of the drawing, in its own units.
const (
	drawingWidth  = 200
	drawingHeight = 220
)

// eyeLine is where closed eyelids meet.
const eyeLine = 100

// shape is an area to fill with a colour.
type shape struct {
	id    string
	group string // eyes, mouth or another
	fill  color.RGBA
	path  string
}

// Drawing draws the face in pictures of one size. Only one goroutine may use it at a time.
type Drawing struct {
	scale   float64
	shapes  []shape // the shapes that move
	still   *image.RGBA
	canvas  *image.RGBA
	picture *image.YCbCr
	moving  image.Rectangle // the area that the moving shapes can cover
	raster  *vector.Rasterizer
}

// NewDrawing returns a Drawing whose pictures are width pixels wide. width must be even.
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
	vp8.Convert(d.picture, d.canvas, bounds)
	return d, nil
}

// Picture draws the face in a pose. The returned picture is valid until the next call.
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
	vp8.Convert(d.picture, d.canvas, d.moving)
	return d.picture, nil
}

// fill draws the part of a shape that is within part of a picture.
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

// operands is the number of operands of each path command.
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

// flattened returns the path of an eye with its lid closed.
func flattened(path string) string {
	var out strings.Builder
	_ = walk(path, func(command byte, at []float64) { // this path was parsed before
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

// Talker draws the face while it says a sound, picture by picture. Only one goroutine may
// use it at a time.
type Talker struct {
	drawing  *Drawing
	animator Animator
	rate     int
}

// NewTalker returns a Talker for mono samples at a rate in Hz. Its pictures are width
// pixels wide. width must be even.
func NewTalker(width, rate int) (*Talker, error) {
	drawing, err := NewDrawing(width)
	return &Talker{drawing: drawing, rate: rate}, err
}

// Picture draws the face at a time in seconds after the last picture, for a short piece of
// sound. The picture is valid until the next call.
func (t *Talker) Picture(sound []int16, seconds float64) (*image.YCbCr, error) {
	return t.drawing.Picture(t.animator.Next(MouthOf(sound, t.rate), seconds))
}

package avatar

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"echocast/internal/opusencoder"
	"echocast/internal/testwait"
)

// If this variable is set, the test binary is a program that draws; its value says how.
const programEnv = "ECHOCAST_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if how := os.Getenv(programEnv); how != "" {
		beProgram(how)
		return
	}
	os.Exit(m.Run())
}

// beProgram draws a white picture for every 40 ms of audio, or does something wrong.
func beProgram(how string) {
	switch how {
	case "exits":
		os.Exit(3)
	case "rubbish":
		fmt.Println("this is no picture")
		_, _ = io.Copy(io.Discard, os.Stdin)
	case "never reads":
		select {}
	}
	fmt.Println("YUV4MPEG2 W32 H16 F25:1")
	for {
		if _, err := io.CopyN(io.Discard, os.Stdin, 2*2*tickSamples); err != nil {
			return
		}
		fmt.Printf("FRAME\n%s", strings.Repeat("\xeb", 32*16)+strings.Repeat("\x80", 32*16/2))
	}
}

// pictures reads what a program prints.
func pictures(text string) ([]picture, error) {
	r := &program{warn: func(string) {}}
	err := r.read(bufio.NewReaderSize(strings.NewReader(text), 1<<16))
	return r.pictures, err
}

const header = "YUV4MPEG2 W16 H16 F50:1 Ip A1:1 C420jpeg\n"

var planes = strings.Repeat("\x10", 16*16) + strings.Repeat("\x80", 16*16/2)

// part is an image in a multipart stream.
func part(header string, width int, encode func(io.Writer, image.Image) error) string {
	m := image.NewRGBA(image.Rect(0, 0, width, 16))
	draw.Draw(m, m.Rect, image.NewUniform(color.White), image.Point{}, draw.Src)
	var data bytes.Buffer
	_ = encode(&data, m)
	return "\r\n--x\r\n" + header + "\r\n" + data.String()
}

const end = "\r\n--x--\r\n"

func asJPEG(w io.Writer, m image.Image) error { return jpeg.Encode(w, m, nil) }

func TestPicturesOfPrograms(t *testing.T) {
	ms := time.Millisecond
	for name, c := range map[string]struct {
		text string
		want []time.Duration
		bad  string
	}{
		"nothing":           {"", nil, ""},
		"video by its rate": {header + "FRAME\n" + planes + "FRAME\n" + planes, []time.Duration{0, 20 * ms}, ""},
		"video with times": {header + "FRAME Xt=1.5\n" + planes + "FRAME Ip Xt=2\n" + planes,
			[]time.Duration{1500 * ms, 2000 * ms}, ""},
		"video of 30/1.001": {strings.Replace(header, "F50:1", "F30000:1001", 1) + strings.Repeat("FRAME\n"+planes, 2),
			[]time.Duration{0, 33366666}, ""},
		"a size of odd numbers": {strings.Replace(header, "W16 H16", "W17 H17", 1) + "FRAME\n" +
			strings.Repeat("x", 17*17+2*9*9), []time.Duration{0}, ""},
		"images by their order": {part("", 16, png.Encode) + part("", 16, asJPEG) + end, []time.Duration{0, 40 * ms}, ""},
		"images with times": {part("X-Timestamp: 0.5\r\n", 16, png.Encode) + part("X-Timestamp: 0.7\r\n"+
			"Content-Type: image/jpeg\r\n", 16, asJPEG) + end, []time.Duration{500 * ms, 700 * ms}, ""},

		"rubbish":            {"hello, this is text", nil, "neither YUV4MPEG2 nor multipart"},
		"no size":            {"YUV4MPEG2 F25:1\n", nil, "0 by 0"},
		"far too large":      {"YUV4MPEG2 W100000 H100000\n", nil, "100000 by 100000"},
		"another format":     {strings.Replace(header, "C420jpeg", "C444", 1), nil, "444"},
		"no FRAME":           {header + "PICTURE\n" + planes, nil, "PICTURE"},
		"a frame cut short":  {header + "FRAME\n" + planes[:100], nil, "is incomplete"},
		"a bad time":         {header + "FRAME Xt=soon\n" + planes, nil, "soon"},
		"a negative time":    {part("X-Timestamp: -1\r\n", 16, png.Encode), nil, "-1"},
		"no image":           {"--x\r\n\r\nhello\r\n--x--\r\n", nil, "a picture"},
		"an image cut short": {part("", 16, png.Encode), nil, "is incomplete"},
		"another size":       {part("", 16, png.Encode) + part("", 32, png.Encode) + end, []time.Duration{0}, "were (16,16)"},
		"too many":           {header + strings.Repeat("FRAME\n"+planes, maxPictures+1), nil, "ahead of the sound"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := pictures(c.text)
			if (err == nil) != (c.bad == "") || err != nil && !strings.Contains(err.Error(), c.bad) {
				t.Errorf("the error is %v", err)
			}
			for i, at := range c.want {
				if i >= len(got) || got[i].at != at {
					t.Fatalf("%d pictures, picture %d at another time than %v", len(got), i, at)
				}
			}
			if c.bad == "" && len(got) != len(c.want) {
				t.Errorf("%d pictures", len(got))
			}
		})
	}
}

// The picture at a time is the last one before it.
func TestPictureAtTime(t *testing.T) {
	warned := 0
	r := &program{warn: func(string) { warned++ }}
	draw, err := r.source()
	if err != nil {
		t.Fatal(err)
	}
	if m, err := draw(0, nil); m != nil || err != nil {
		t.Errorf("a picture before there is one: %v, %v", m, err)
	}
	first, second := &image.YCbCr{}, &image.YCbCr{}
	_ = r.add(picture{40 * time.Millisecond, first})
	_ = r.add(picture{80 * time.Millisecond, second})
	for tick, want := range map[int64]*image.YCbCr{2: first, 3: first} {
		if m, _ := draw(tick, nil); m != want {
			t.Errorf("tick %d has another picture", tick)
		}
	}
	if m, _ := draw(4, nil); m != second {
		t.Error("tick 4 has another picture")
	}
	_, _ = draw(100, nil)
	for range 3 {
		_ = r.add(picture{time.Second, first})
	}
	if warned != 1 {
		t.Errorf("%d warnings of late pictures", warned)
	}
}

func FuzzPictures(f *testing.F) {
	f.Add(header + "FRAME Xt=1\n" + planes)
	f.Add(part("X-Timestamp: 1\r\n", 16, png.Encode) + part("", 16, asJPEG))
	f.Fuzz(func(t *testing.T, text string) {
		got, _ := pictures(text)
		for _, p := range got {
			if size := p.image.Rect.Size(); size.X*size.Y > maxPixels || p.at < 0 {
				t.Errorf("a picture of %v at %v", size, p.at)
			}
		}
	})
}

// A program's drawings are published; a program that does not draw ends the avatar.
func TestPrograms(t *testing.T) {
	if !opusencoder.Available {
		t.Skip("this build has no libopus")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for how, want := range map[string]string{
		"draws": "the test is over", "exits": "has ended: exit status 3", "rubbish": "neither YUV4MPEG2",
	} {
		t.Run(how, func(t *testing.T) {
			t.Setenv(programEnv, how)
			a, err := New(&Options{Program: &Program{Command: "exec '" + self + "'"}})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancelCause(testwait.Context(t))
			out := &drawn{outlet: outlet{pictures: map[int64][]byte{}}, enough: func() { stop(errOver) }}
			_, err = a.Run(ctx, out)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("it ends with %v, want %q", err, want)
			}
			if how == "draws" && !errors.Is(err, errOver) {
				t.Error("it does not say why it ended")
			}
		})
	}
}

// drawn is an outlet that has enough once it got two white pictures.
type drawn struct {
	outlet
	n      int
	enough func()
}

func (d *drawn) Picture(frame []byte, tick int64) {
	if d.n++; d.n == 2 {
		d.enough()
	}
	d.outlet.Picture(frame, tick)
}

// A program that does not read its standard input is ended.
func TestProgramThatDoesNotRead(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(programEnv, "never reads")
	p := Program{Command: "exec '" + self + "'"}
	running, err := p.start(testwait.Context(t), func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * (pcmBacklog + 100) {
		running.feed(make([]int16, tickSamples))
	}
	if err := running.wait(); err == nil || !strings.Contains(err.Error(), "has not read") {
		t.Errorf("it ends with %v", err)
	}
}

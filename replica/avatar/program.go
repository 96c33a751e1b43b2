package avatar

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/draw"
	_ "image/jpeg" // the formats that programs print
	_ "image/png"
	"io"
	"mime/multipart"
	"strconv"
	"strings"
	"sync"
	"time"

	"echocast/internal/child"
	"echocast/internal/vp8"
)

// Program draws the pictures of an avatar, such as a model of lip movement.
//
// On standard input it gets signed 16-bit little-endian mono samples at 24 kHz, in real
// time from its start: speech, and silence in between. It prints pictures in one of two
// forms:
//
//   - YUV4MPEG2 (as ffmpeg -f yuv4mpegpipe prints) in 4:2:0. The header states the size.
//     A frame may state in its parameters, as Xt=1.24, to which time it belongs.
//   - multipart/x-mixed-replace (as ffmpeg -f mpjpeg prints): a JPEG or PNG in each part,
//     all of one size. The part's header X-Timestamp: 1.24 may state the time.
//
// The time is in seconds of audio since the start. Frames without a time follow each other
// at the frame rate of the header, or every 40 ms. A picture is shown from its time until
// that of the next picture.
type Program struct {
	// Command is the command line, which the shell runs.
	Command string
}

// The largest number of pixels in a picture, and of pictures that may wait for their
// time.
const (
	maxPixels   = 1920 * 1088
	maxPictures = 64
)

// pcmBacklog is how many ticks of audio may wait for a program that does not read.
const pcmBacklog = 250

// picture is a drawn picture and the time that it belongs to.
type picture struct {
	at    time.Duration
	image *image.YCbCr
}

// program is a running Program.
type program struct {
	process *child.Process
	pcm     chan []byte
	work    sync.WaitGroup
	warn    func(string)

	mu       sync.Mutex
	pictures []picture // in the order of their times
	shown    *image.YCbCr
	late     time.Duration // the largest delay of a picture
	now      time.Duration // the time that was last shown
	err      error         // why there are no more pictures
}

func (p *Program) start(ctx context.Context, warn func(string)) (*program, error) {
	command := child.Shell(ctx, p.Command)
	in, write := io.Pipe()
	command.Stdin = in
	process, err := child.Start(command)
	if err != nil {
		return nil, fmt.Errorf("start %q: %w", p.Command, err)
	}
	r := &program{process: process, pcm: make(chan []byte, pcmBacklog), warn: warn}
	r.work.Go(func() {
		r.write(ctx, write)
		_ = write.Close() // it always succeeds
	})
	r.work.Go(func() {
		if err := r.read(bufio.NewReaderSize(process.Stdout, 1<<16)); err != nil {
			r.fail(err)
		}
		_ = in.Close() // nobody reads it any more
	})
	return r, nil
}

// wait waits for the end of the program, and returns why it ended.
func (r *program) wait() error {
	exit := r.process.Wait()
	r.work.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return fmt.Errorf("the program that draws: %w", r.err)
	}
	return fmt.Errorf("the program that draws has ended: %w", cmp.Or(exit, io.EOF))
}

// feed sends the sound of a tick to the program.
func (r *program) feed(pcm []int16) {
	data := make([]byte, 0, 2*len(pcm))
	for _, s := range pcm {
		data = binary.LittleEndian.AppendUint16(data, uint16(s))
	}
	select {
	case r.pcm <- data:
	default:
		r.fail(errors.New("it has not read its standard input for five seconds"))
	}
}

// fail ends the program.
func (r *program) fail(why error) {
	r.mu.Lock()
	r.err = cmp.Or(r.err, why)
	r.mu.Unlock()
	r.process.Kill()
}

func (r *program) write(ctx context.Context, to io.Writer) {
	for {
		select {
		case data := <-r.pcm:
			if _, err := to.Write(data); err != nil {
				return
			}
		case <-r.process.Exited():
			return
		case <-ctx.Done():
			return
		}
	}
}

// source returns the picture of a tick.
func (r *program) source() (source, error) {
	return func(tick int64, _ []int16) (*image.YCbCr, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.now = time.Duration(tick) * Tick
		for len(r.pictures) > 0 && r.pictures[0].at <= r.now {
			r.shown = r.pictures[0].image
			r.pictures = r.pictures[1:]
		}
		return r.shown, nil
	}, nil
}

// lateStep is how much later than at the last warning a picture must be for another
// warning.
const lateStep = 100 * time.Millisecond

// add queues a picture.
func (r *program) add(p picture) error {
	r.mu.Lock()
	late := r.now - p.at
	isLater := late > r.late+lateStep
	if isLater {
		r.late = late
	}
	isFull := len(r.pictures) >= maxPictures
	if !isFull {
		r.pictures = append(r.pictures, p)
	}
	r.mu.Unlock()
	switch {
	case isFull:
		return fmt.Errorf("it is more than %d pictures ahead of the sound", maxPictures)
	case isLater:
		r.warn(fmt.Sprintf("a picture came %v too late for its sound; set a larger --render-delay",
			late.Round(time.Millisecond)))
	}
	return nil
}

// read reads pictures until the program closes its output.
func (r *program) read(in *bufio.Reader) error {
	magic, err := in.Peek(9)
	switch {
	case string(magic) == "YUV4MPEG2":
		return r.readVideo(in)
	case bytes.HasPrefix(bytes.TrimLeft(magic, "\r\n"), []byte("--")):
		return r.readImages(in)
	case err != nil:
		return nil // the program ended; wait says how
	}
	return fmt.Errorf("it prints %q, and neither YUV4MPEG2 nor multipart images", magic)
}

// readLine reads a line that is no longer than the buffer of in.
func readLine(in *bufio.Reader) (string, error) {
	line, err := in.ReadSlice('\n')
	return strings.TrimSpace(string(line)), err
}

// readVideo reads YUV4MPEG2.
func (r *program) readVideo(in *bufio.Reader) error {
	header, err := readLine(in)
	if err != nil {
		return err
	}
	width, height, apart := 0, 0, pictureEvery*Tick
	for _, field := range strings.Fields(header)[1:] {
		value := field[1:]
		switch field[0] {
		case 'W':
			width, _ = strconv.Atoi(value)
		case 'H':
			height, _ = strconv.Atoi(value)
		case 'F':
			apart = frameTime(value, apart)
		case 'C':
			if !strings.HasPrefix(value, "420") {
				return fmt.Errorf("its pictures are in %s, and not in 4:2:0", value)
			}
		}
	}
	if err := checkSize(width, height); err != nil {
		return err
	}
	for n := time.Duration(0); ; n++ {
		line, err := readLine(in)
		if err != nil {
			return nil // the end
		}
		at, err := frameAt(line, n*apart)
		if err != nil {
			return err
		}
		m := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
		for _, plane := range [][]byte{m.Y, m.Cb, m.Cr} {
			if _, err := io.ReadFull(in, plane); err != nil {
				return fmt.Errorf("a frame is incomplete: %w", err)
			}
		}
		if err := r.add(picture{at, m}); err != nil {
			return err
		}
	}
}

func checkSize(width, height int) error {
	if width < 16 || height < 16 || width > maxPixels || height > maxPixels || width*height > maxPixels {
		return fmt.Errorf("its pictures are %d by %d pixels; up to 1920 by 1080 are published", width, height)
	}
	return nil
}

// frameTime reads a rate such as 25:1.
func frameTime(text string, otherwise time.Duration) time.Duration {
	number, unit, _ := strings.Cut(text, ":")
	frames, err1 := strconv.Atoi(number)
	seconds, err2 := strconv.Atoi(cmp.Or(unit, "1"))
	if err1 != nil || err2 != nil || frames < 1 || seconds < 1 {
		return otherwise
	}
	return time.Duration(seconds) * time.Second / time.Duration(frames)
}

// frameAt reads the line before a frame.
func frameAt(line string, otherwise time.Duration) (time.Duration, error) {
	fields := strings.Fields(line)
	if len(fields) == 0 || fields[0] != "FRAME" {
		return 0, fmt.Errorf("a frame begins with %q, and not with FRAME", line)
	}
	for _, field := range fields[1:] {
		if text, ok := strings.CutPrefix(field, "Xt="); ok {
			return timestamp(text)
		}
	}
	return otherwise, nil
}

// timestamp reads seconds.
func timestamp(text string) (time.Duration, error) {
	seconds, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(seconds >= 0 && seconds < 1e9) {
		return 0, fmt.Errorf("the time %q of a picture is no number of seconds", text)
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

// readImages reads parts with an image each.
func (r *program) readImages(in *bufio.Reader) error {
	boundary := ""
	for boundary == "" {
		next, err := in.Peek(2)
		if err != nil {
			return err
		}
		if string(next) == "--" {
			line, _ := in.Peek(in.Buffered())
			first, _, _ := bytes.Cut(line, []byte("\n"))
			boundary = strings.TrimSpace(string(first[2:]))
			break
		}
		if _, err := in.ReadByte(); err != nil {
			return err
		}
	}
	parts := multipart.NewReader(in, boundary)
	var size image.Point
	for n := time.Duration(0); ; n++ {
		part, err := parts.NextPart()
		if err != nil {
			return nil // the end
		}
		at := n * pictureEvery * Tick
		if text := part.Header.Get("X-Timestamp"); text != "" {
			if at, err = timestamp(text); err != nil {
				return err
			}
		}
		m, err := readImage(part)
		if err != nil {
			return err
		}
		if size == (image.Point{}) {
			size = m.Rect.Size()
		}
		if m.Rect.Size() != size {
			return fmt.Errorf("a picture is %v, and those before it were %v", m.Rect.Size(), size)
		}
		if err := r.add(picture{at, m}); err != nil {
			return err
		}
	}
}

// maxImage is the most bytes of an image.
const maxImage = 16 << 20

// readImage decodes a JPEG or PNG.
func readImage(part io.Reader) (*image.YCbCr, error) {
	data, err := io.ReadAll(io.LimitReader(part, maxImage))
	if err != nil {
		return nil, fmt.Errorf("a picture is incomplete: %w", err)
	}
	header, _, err := image.DecodeConfig(bytes.NewReader(data))
	if err == nil {
		err = checkSize(header.Width, header.Height)
	}
	if err != nil {
		return nil, fmt.Errorf("a picture: %w", err)
	}
	m, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("a picture: %w", err)
	}
	bounds := image.Rect(0, 0, header.Width&^1, header.Height&^1)
	canvas := image.NewRGBA(bounds)
	draw.Draw(canvas, bounds, m, m.Bounds().Min, draw.Src)
	out := image.NewYCbCr(bounds, image.YCbCrSubsampleRatio420)
	vp8.Convert(out, canvas, bounds)
	return out, nil
}

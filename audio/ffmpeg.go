package audio

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"echocast/internal/child"
	"echocast/internal/text"
)

// ffmpegFormats lists the containers that ffmpeg may recognise. It excludes playlists and
// other formats that refer to files or addresses.
const ffmpegFormats = "mov,matroska,ogg,aac,wav,w64,aiff,caf,au,asf,avi,flv,mpegts,mpeg," +
	"amr,amrnb,amrwb,gsm,wv,tta,ape,mpc,mpc8,tak,dsf,iff,rm,voc,nistsphere,flac,ac3,eac3,loas"

// Limits of the ffmpeg process and of the data that is kept for it.
const (
	ffmpegMemory         = 512 << 20 // bytes of its data, if the system can limit them
	ffmpegAlloc          = 128 << 20 // bytes of one allocation
	maxSpool             = 1 << 30   // bytes of an input whose index is at its end
	maxFFmpegLine        = 512       // bytes of its first error message
	maxFedWithoutSamples = 256 << 20 // bytes read of a pipe before the first sample of output

	// Any input may have up to maxUncheckedSound of sound. A longer one must have at least
	// minByteRate bytes a second. An hour of silence is 18 kB of FLAC, an hour of speech 2 MB.
	maxUncheckedSound = time.Hour
	minByteRate       = 4
)

// ffmpegStall is the default of Options.FFmpegStall.
const ffmpegStall = 30 * time.Second

// ffmpeg is a decoder that runs the ffmpeg program. If the input is not a file, a goroutine
// feeds the process, because the process reads and writes independently. Close ends the
// process and the goroutine.
type ffmpeg struct {
	*wav
	found   *foreignError
	command *exec.Cmd
	stderr  firstLine
	given   func() int64 // bytes of the input that the process may have read
	stall   time.Duration
	frames  int64      // of decoded sound
	fed     chan error // why feeding ended: nil at the end of the input
	allFed  atomic.Bool
	stalled atomic.Bool
	spooled string // temporary file to remove
	leave   func() // frees the slot
	finish  sync.Once
	failed  error // why the process ended
	warned  string
	err     error
}

// openFFmpeg starts the program on the input that found describes, and waits for the header of
// its WAV output. It passes a regular file by name, so that ffmpeg can seek. A pipe with its
// index at the end is copied to a temporary file first.
func openFFmpeg(r *recorder, opts Options, found *foreignError) (decoder, error) {
	d := &ffmpeg{found: found, fed: make(chan error, 1), given: r.read.Load,
		stall: cmp.Or(opts.FFmpegStall, ffmpegStall)}
	r.before = nil // from now on another goroutine reads the input
	name, input, err := d.input(r, opts)
	if err != nil {
		return nil, err
	}
	if err = d.take(opts.FFmpegSlots); err == nil {
		err = d.start(opts, name, input)
	}
	if err != nil {
		d.removeSpooled()
		d.leave()
		return nil, err
	}
	return d, nil
}

// input returns the name of the file that the program reads, or else the reader that it is fed
// from.
func (d *ffmpeg) input(r *recorder, opts Options) (name string, fed io.Reader, err error) {
	if name := seekableName(opts.file); name != "" {
		if info, err := os.Stat(name); err == nil {
			d.given = info.Size
		}
		return name, nil, nil
	}
	fed = io.MultiReader(bytes.NewReader(r.kept), r)
	isKind := func(kind string) bool { return strings.Contains(d.found.what, kind) }
	if !slices.ContainsFunc([]string{"MP4", "M4A", "MOV"}, isKind) {
		return "", fed, nil
	}
	ahead := bufio.NewReaderSize(fed, sniffRoom)
	if !indexIsBehind(ahead) {
		return "", ahead, nil
	}
	err = d.spool(ahead, opts)
	return d.spooled, nil, err
}

// take takes one of the slots for processes, if their number is limited.
func (d *ffmpeg) take(slots chan struct{}) error {
	d.leave = func() {}
	if slots == nil {
		return nil
	}
	select {
	case slots <- struct{}{}:
		d.leave = sync.OnceFunc(func() { <-slots })
		return nil
	default:
		return ErrFFmpegBusy
	}
}

// seekableName returns a name by which the program can open file, or "".
func seekableName(file *os.File) string {
	if file == nil {
		return ""
	}
	is, err := file.Stat()
	named, errNamed := os.Stat(file.Name())
	if err != nil || errNamed != nil || !os.SameFile(is, named) {
		return ""
	}
	return file.Name()
}

// indexIsBehind reports whether an MP4 has its index after the sound (ISO/IEC 14496-12, 4.2
// and 6.2.3). It consumes nothing.
func indexIsBehind(r *bufio.Reader) bool {
	for at := int64(0); at < sniffRoom-16; {
		head := peekAt(r, int(at), 8)
		if head == nil {
			return false
		}
		size := int64(binary.BigEndian.Uint32(head))
		switch string(head[4:]) {
		case "mdat":
			return true
		case "moov", "moof":
			return false
		}
		if size < 8 {
			return false
		}
		at += size
	}
	return false
}

// spool writes all of r to a temporary file.
func (d *ffmpeg) spool(r io.Reader, opts Options) error {
	if opts.Notify != nil {
		opts.Notify(fmt.Sprintf("the index of %s is at its end, so echocast waits for all of it; a file, or one "+
			"made for streaming, starts at once", d.found.what))
	}
	file, err := os.CreateTemp("", "echocast-*")
	if err != nil {
		return err
	}
	d.spooled = file.Name()
	limit := cmp.Or(opts.MaxSpool, maxSpool)
	n, err := io.Copy(file, io.LimitReader(r, limit+1))
	err = errors.Join(err, file.Close())
	if err == nil && n > limit {
		err = fmt.Errorf("%w: this is %s of more than %d MB with its index at the end; save it to a file first",
			ErrFormat, d.found.what, limit>>20)
	}
	if err != nil {
		d.removeSpooled()
	}
	return err
}

func (d *ffmpeg) removeSpooled() {
	if d.spooled != "" {
		_ = os.Remove(d.spooled) // it may have been removed already
	}
}

// arguments returns the arguments that make ffmpeg decode its input into 32-bit float
// WAV on its standard output. If the container is known, they name it: to recognise a pipe,
// ffmpeg would first read 2 kB, which are half a second of speech in Opus.
func (d *ffmpeg) arguments(name string) []string {
	formats := ffmpegFormats
	if d.found != errNoContainer { // ffmpeg would find MP3 in anything
		formats += ",mp3"
	}
	args := []string{"-nostdin", "-hide_banner", "-loglevel", "error", "-max_alloc", fmt.Sprint(ffmpegAlloc),
		"-threads", "1", "-vn", "-sn", "-dn"}
	if name == "" && d.found.demuxer != "" {
		args = append(args, "-f", d.found.demuxer)
	}
	if name != "" {
		args = append(args, "-protocol_whitelist", "file", "-format_whitelist", formats, "-i", "file:"+name)
	} else {
		args = append(args, "-protocol_whitelist", "pipe", "-format_whitelist", formats, "-probesize", "64k",
			"-analyzeduration", "1000000", "-i", "pipe:0")
	}
	return append(args, "-map", "0:a:0", "-c:a", "pcm_f32le", "-flush_packets", "1", "-f", "wav", "pipe:1")
}

// start runs the program on the named file, or else on input.
func (d *ffmpeg) start(opts Options, name string, input io.Reader) error {
	d.command = exec.Command(opts.FFmpeg, d.arguments(name)...)
	d.command.Stderr = &d.stderr
	d.command.Env = child.MinimalEnviron()
	var feeding io.WriteCloser
	var err error
	if name != "" {
		if opts.file != nil {
			d.command.Stdin = opts.file // ffmpeg opens it as /dev/stdin
		}
	} else if feeding, err = d.command.StdinPipe(); err != nil {
		return fmt.Errorf("ffmpeg: %w", err)
	}
	out, err := d.command.StdoutPipe()
	if err != nil {
		return fmt.Errorf("ffmpeg: %w", err)
	}
	if err := d.command.Start(); err != nil {
		return fmt.Errorf("ffmpeg: %w", err)
	}
	limitProcess(d.command.Process.Pid, ffmpegMemory)
	if name != "" {
		d.allFed.Store(true)
		d.fed <- nil
	} else {
		go func() {
			err := feed(feeding, input)
			d.allFed.Store(true)
			d.fed <- err
		}()
	}
	return d.begin(&recorder{r: out, before: opts.BeforeRead})
}

// begin reads the WAV header. If there is none, it ends the process.
func (d *ffmpeg) begin(out io.Reader) error {
	defer d.watch()()
	dec, err := openWAV(bufio.NewReaderSize(out, pcmBuffer), nil)
	if err == nil {
		d.wav = dec
		d.removeSpooled() // the process has the file open; some systems do not allow this
		return nil
	}
	if errors.Is(err, ErrFormat) { // ffmpeg wrote no WAV: its error message says why
		d.wait()
		err = d.refusal()
	}
	_ = d.Close()
	return err
}

// refusal returns the error for an input without sound.
func (d *ffmpeg) refusal() error {
	said := d.stderr.text()
	switch {
	case d.stalled.Load(), d.failed != nil && !errors.Is(d.failed, ErrFormat):
		return d.failed // the process stalled, or the input broke
	case strings.Contains(said, "matches no streams"), strings.Contains(said, "does not contain any stream"):
		return fmt.Errorf("%w: %s has no audio track", ErrFormat, d.name())
	case d.found.what == "" && strings.HasSuffix(said, "Invalid data found when processing input"):
		return d.found // ffmpeg does not know it either
	case d.found.what == "":
		return fmt.Errorf("%w (ffmpeg: %s)", error(d.found), d.complaint())
	}
	return fmt.Errorf("%w: this is %s, and ffmpeg does not read it: %s", ErrFormat, d.name(), d.complaint())
}

// name returns a description of the input.
func (d *ffmpeg) name() string {
	if d.found.what == "" {
		return "the input"
	}
	return d.found.what
}

// complaint returns the first line of the process's stderr or, if that is empty, its exit status.
func (d *ffmpeg) complaint() string {
	if said := d.stderr.text(); said != "" {
		return said
	}
	return d.command.ProcessState.String()
}

// watch ends a process that takes too long to produce output. The caller calls stop
// when output has arrived.
func (d *ffmpeg) watch() (stop func()) {
	var mu sync.Mutex
	var timer *time.Timer
	stopped, before := false, d.given()
	expire := func() {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case stopped:
		case !d.allFed.Load() && d.given()-before <= maxFedWithoutSamples:
			timer.Reset(d.stall) // a live input may pause
		default:
			d.stalled.Store(true)
			_ = d.command.Process.Kill()
		}
	}
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(d.stall, expire)
	return func() {
		mu.Lock()
		defer mu.Unlock()
		stopped = true
		timer.Stop()
	}
}

// readError is an error of reading the input, not of writing to the process.
type readError struct{ error }

func (e readError) Unwrap() error { return e.error }

// feed copies r to the process until r ends or the process stops reading.
func feed(in io.WriteCloser, r io.Reader) error {
	_, err := io.Copy(in, markErrors{r})
	_ = in.Close() // the process sees the end of its input
	var broken readError
	if errors.As(err, &broken) {
		return broken.error
	}
	return nil // the exit status of the process says why it stopped reading
}

type markErrors struct{ r io.Reader }

func (m markErrors) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = readError{err}
	}
	return n, err
}

func (d *ffmpeg) Info() Info {
	info := d.wav.Info()
	info.Container = "ffmpeg"
	return info
}

// Warnings returns a description of the input, and the error messages of the process.
func (d *ffmpeg) Warnings() []string {
	all := []string{"read by ffmpeg: " + d.name()}
	if d.found.reason != "" {
		all[0] = "read by ffmpeg: " + d.found.reason
	}
	if d.warned != "" {
		all = append(all, "ffmpeg says: "+d.warned)
	}
	return append(all, d.wav.Warnings()...)
}

// ReadSamples reads the output of the process. At the end of the output, the exit status says
// whether the sound is complete.
func (d *ffmpeg) ReadSamples(p []float32) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	defer d.watch()()
	n, err := d.wav.ReadSamples(p)
	d.frames += int64(n / d.wav.Format().Channels)
	if errors.Is(err, io.EOF) {
		if failed := d.wait(); failed != nil {
			err = failed
		}
	}
	d.err = err
	if err == nil {
		d.err = d.checkLength()
	}
	return n, err
}

// checkLength returns an error if so few bytes gave so much sound that the input is probably
// an attack, made to fill a disk or a paid conversation.
func (d *ffmpeg) checkLength() error {
	length, given := d.wav.Format().Duration(d.frames), d.given()
	if length <= maxUncheckedSound || float64(given) >= minByteRate*length.Seconds() {
		return nil
	}
	return fmt.Errorf("%w: ffmpeg makes more than %.0f min of sound out of %s, which no recording does; "+
		"if it is right, convert it first: ffmpeg -i INPUT -ar 24000 -ac 1 speech.wav",
		ErrFormat, length.Minutes(), text.Count(int(given), "byte"))
}

// wait waits for the process, then for the feeding goroutine, and returns why one of them
// failed. If both succeed, the process's error message becomes a warning.
func (d *ffmpeg) wait() error {
	d.finish.Do(func() {
		exit := d.command.Wait()
		d.leave()
		fed := <-d.fed
		d.removeSpooled()
		switch {
		case fed != nil:
			d.failed = fed
		case d.stalled.Load():
			d.failed = fmt.Errorf("%w: ffmpeg gave nothing more for %v", ErrFormat, d.stall)
		case exit != nil:
			d.failed = fmt.Errorf("%w: ffmpeg: %s", ErrFormat, d.complaint())
		default:
			d.warned = d.stderr.text()
		}
	})
	return d.failed
}

// Close ends the process. It waits for the process, for the feeding goroutine, and for the
// current read of the input.
func (d *ffmpeg) Close() error {
	_ = d.command.Process.Kill() // fails if the process has ended
	_ = d.wait()                 // the error is that of Kill, or ReadSamples has returned it
	if d.err == nil {
		d.err = errFFmpegClosed
	}
	return nil
}

var errFFmpegClosed = errors.New("ffmpeg: read after Close")

// firstLine is a writer that keeps the beginning of the first line written to it.
type firstLine struct {
	line     []byte
	hasEnded bool
}

func (l *firstLine) Write(p []byte) (int, error) {
	line, _, ended := bytes.Cut(p, []byte("\n"))
	if !l.hasEnded {
		l.line = append(l.line, line[:min(len(line), maxFFmpegLine-len(l.line))]...)
		l.hasEnded = ended && len(bytes.TrimSpace(l.line)) > 0
	}
	return len(p), nil
}

// text returns the line without the prefix that names the part of ffmpeg that wrote it, such
// as "[mov,mp4 @ 0x55d0c8a3]". The line is complete once the process has ended.
func (l *firstLine) text() string {
	text := string(bytes.TrimSpace(l.line))
	if strings.HasPrefix(text, "[") {
		if _, rest, found := strings.Cut(text, "] "); found {
			text = rest
		}
	}
	return text
}

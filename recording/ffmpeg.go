package recording

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"echocast/internal/child"
	"echocast/internal/outfile"
	"echocast/internal/pcm"
)

// byFFmpeg is a file written by ffmpeg in fragments of a second. ffmpeg gets sound
// alone as samples, and sound with pictures as Matroska.
type byFFmpeg struct {
	name    string
	program string
	process *child.Process
	stdin   io.WriteCloser
	film    *webmFile // nil without pictures
	stderr  *firstComplaint
	kill    context.CancelFunc
	limit   time.Duration // finishTime; shorter in tests
}

func findFFmpeg(o *Options) (string, error) {
	name := "ffmpeg"
	if o != nil {
		name = cmp.Or(o.FFmpeg, name)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is not installed, which writes such files; name a .wav file instead", name)
	}
	return path, nil
}

// finishTime bounds how long ffmpeg may take to complete a file, or to read its input.
const finishTime = 30 * time.Second

func createByFFmpeg(name string, o *Options) (*byFFmpeg, error) {
	program, err := findFFmpeg(o)
	if err != nil {
		return nil, err
	}
	file, err := outfile.Create(name) // readable only by its owner, as all recordings
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	hasPicture := o != nil && o.Picture != nil
	commandCtx, kill := context.WithCancel(context.Background()) // until close
	f := &byFFmpeg{name: name, program: program, stderr: &firstComplaint{}, kill: kill, limit: finishTime}
	cmd := child.Command(commandCtx, program, f.arguments(hasPicture)...)
	cmd.Stdout, cmd.Stderr = io.Discard, f.stderr
	if f.stdin, err = cmd.StdinPipe(); err == nil {
		f.process, err = child.Start(cmd)
	}
	if err == nil && hasPicture {
		f.film, err = newWebM(f.stdin, plainTrack(), &pcmEncoder{}, o)
	}
	if err != nil {
		kill()
		if f.process != nil {
			_ = f.process.Wait() // it was killed
		}
		return nil, err
	}
	return f, nil
}

func (f *byFFmpeg) arguments(hasPicture bool) []string {
	arguments := []string{"-hide_banner", "-loglevel", "error", "-nostdin", "-y"}
	if hasPicture { // pictures are passed on at once
		arguments = append(arguments, "-analyzeduration", "0", "-threads", "1", "-f", "matroska", "-i", "pipe:0")
	} else {
		arguments = append(arguments, "-f", "s16le", "-ar", strconv.Itoa(Rate), "-ac", "2", "-i", "pipe:0")
	}
	if strings.EqualFold(filepath.Ext(f.name), ".webm") {
		arguments = append(arguments, "-c:v", "copy", "-c:a", "libopus", "-b:a", "64k", "-f", "webm",
			"-cluster_time_limit", "1000", "-reserve_index_space", "49152")
		if hasPicture { // pictures must not wait for the delay of Opus
			arguments = append(arguments, "-avoid_negative_ts", "disabled")
		}
	} else {
		arguments = append(arguments, "-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-g", "25",
			"-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "128k", "-f", "mp4", "-frag_duration", "1000000",
			"-movflags", "+delay_moov+default_base_moof")
	}
	return append(arguments, "-flush_packets", "1", "file:"+f.name)
}

func (f *byFFmpeg) write(samples []int16) error {
	defer time.AfterFunc(f.limit, f.kill).Stop() // ffmpeg may pause reading, but not for ever
	if f.film != nil {
		if err := f.film.write(samples); err != nil {
			return errors.New(cmp.Or(f.stderr.text(), err.Error()))
		}
		return nil
	}
	if _, err := f.stdin.Write(pcm.Bytes(samples)); err != nil {
		return errors.New(cmp.Or(f.stderr.text(), "ffmpeg has ended"))
	}
	return nil
}

// close waits for ffmpeg to end, and then, for MP4, writes the index at the front.
func (f *byFFmpeg) close() error {
	defer f.kill()
	defer time.AfterFunc(f.limit, f.kill).Stop()
	if f.film != nil {
		_ = f.film.close() // ffmpeg reports what is missing
	}
	_ = f.stdin.Close()
	if err := f.process.Wait(); err != nil {
		return fmt.Errorf("ffmpeg: %s", cmp.Or(f.stderr.text(), err.Error()))
	}
	if !strings.EqualFold(filepath.Ext(f.name), ".mp4") {
		return nil
	}
	return f.index()
}

// index rewrites the recording as one fragment in a temporary file, which then replaces it.
// Times stay the same, because the encoder's delay is before 0.
func (f *byFFmpeg) index() error {
	ctx, cancel := context.WithTimeout(context.Background(), finishTime)
	defer cancel()
	beside := f.name + ".unfinished"
	said := &firstComplaint{}
	cmd := child.Command(ctx, f.program, "-hide_banner", "-loglevel", "error", "-nostdin", "-y", "-i", "file:"+f.name,
		"-c", "copy", "-copyts", "-movflags", "+faststart", "-f", "mp4", "file:"+beside)
	cmd.Stdout, cmd.Stderr = io.Discard, said
	info, err := os.Stat(f.name)
	if err != nil {
		return err
	}
	process, err := child.Start(cmd)
	if err == nil {
		err = process.Wait()
	}
	if err == nil {
		err = errors.Join(os.Chmod(beside, info.Mode().Perm()), os.Rename(beside, f.name))
	}
	if err != nil {
		_ = os.Remove(beside) // the recording is complete without the index
		return fmt.Errorf("ffmpeg: the index: %s", cmp.Or(said.text(), err.Error()))
	}
	return nil
}

// firstComplaint keeps the first line of ffmpeg's error messages.
type firstComplaint struct {
	mu    sync.Mutex
	bytes bytes.Buffer
}

const longestComplaint = 400

func (t *firstComplaint) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes.Write(p[:min(len(p), longestComplaint-min(t.bytes.Len(), longestComplaint))])
	return len(p), nil
}

func (t *firstComplaint) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	line, _, _ := strings.Cut(strings.TrimSpace(t.bytes.String()), "\n")
	return line
}

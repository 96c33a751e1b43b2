package audio_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"echocast/audio"
	"echocast/audio/audiotest"
	"echocast/internal/testenv"
	"echocast/internal/testwait"
)

// withFFmpeg skips the test if there is no ffmpeg, and checks that no goroutine is left.
func withFFmpeg(t *testing.T) *audio.Options {
	t.Helper()
	program, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("ffmpeg is not installed")
	}
	testwait.Goroutines(t)
	t.Cleanup(func() { testwait.Goroutines(t) })
	return &audio.Options{FFmpeg: program}
}

// cafFile holds 16-bit samples in a container that is not read here: Apple's
// Core Audio Format, big-endian.
func cafFile(rate float64, pcm []byte) []byte {
	b := []byte("caff\x00\x01\x00\x00desc\x00\x00\x00\x00\x00\x00\x00\x20")
	b, _ = binary.Append(b, binary.BigEndian, rate)
	b = append(b, "lpcm"...)
	for _, v := range []uint32{2, 2, 1, 1, 16} { // little-endian, bytes, frames, channels, bits
		b = binary.BigEndian.AppendUint32(b, v)
	}
	b = append(b, "data"...)
	b = binary.BigEndian.AppendUint64(b, uint64(len(pcm)+4))
	return append(append(b, 0, 0, 0, 0), pcm...)
}

func TestFFmpeg(t *testing.T) {
	opts := withFFmpeg(t)
	pcm, want := to16(speechLike(30000, audio.Format{Rate: 22050, Channels: 1}))
	file := cafFile(22050, pcm)
	got, in, err := decode(t, iotest.HalfReader(bytes.NewReader(file)), opts)
	if err != nil || !slices.Equal(got, want) || !slices.Equal(in.Warnings(), []string{"read by ffmpeg: a CAF file"}) {
		t.Fatalf("%d samples, %v, %q; want %d", len(got), err, in.Warnings(), len(want))
	}
	info := audio.Info{Container: "ffmpeg", Codec: "pcm_f32le", Format: audio.Format{Rate: 22050, Channels: 1},
		Declared: -1}
	if in.Info() != info {
		t.Errorf("%+v, want %+v", in.Info(), info)
	}
	for _, size := range []int{1152, 65536} {
		in, err := audio.Open(bytes.NewReader(file), opts)
		if err != nil {
			t.Fatal(err)
		}
		var all []float32
		buf := make([]float32, size)
		for err == nil {
			var n int
			n, err = in.ReadSamples(buf)
			all = append(all, buf[:n]...)
		}
		if !errors.Is(err, io.EOF) || !slices.Equal(all, want) {
			t.Errorf("read by %d: %d samples, %v", size, len(all), err)
		}
		in.Close()
	}
}

// ffmpeg is used only if it is allowed, and never for text or for formats that echocast reads.
func TestWhenFFmpegIsNotUsed(t *testing.T) {
	never := &audio.Options{FFmpeg: filepath.Join(t.TempDir(), "none")}
	pcm, want := to16(speechLike(100, audio.Format{Rate: 24000, Channels: 1}))
	if _, err := audio.Open(bytes.NewReader(cafFile(24000, pcm)), nil); !errors.Is(err, audio.ErrFormat) ||
		!strings.Contains(err.Error(), "a CAF file") {
		t.Errorf("not allowed: %v", err)
	}
	if _, err := audio.Open(strings.NewReader("#EXTM3U\nhttp://localhost/\n"), never); !errors.Is(err, audio.ErrFormat) ||
		!strings.Contains(err.Error(), "this is text") {
		t.Errorf("text: %v", err)
	}
	got, _, err := decode(t, bytes.NewReader(wavFile(mono16(24000), data(pcm))), never)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("WAV: %d samples, %v", len(got), err)
	}
	gsm := wavFile(fmtChunk(0x31, 1, 8000, 65, 0), data(pcm))
	for name, file := range map[string][]byte{"a known container": cafFile(24000, pcm),
		"an unknown one": bytes.Repeat([]byte{0xfe, 1, 0x80}, 900), "GSM": gsm,
		"an Ogg stream of Speex": joinPages(onePage(begins, 0, 0, []byte("Speex   ")))} {
		if _, err := audio.Open(bytes.NewReader(file), never); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, want that the program is missing", name, err)
		}
	}
}

// The error quotes the first message of ffmpeg.
func TestFFmpegFails(t *testing.T) {
	opts := withFFmpeg(t)
	_, err := audio.Open(bytes.NewReader(append([]byte("\x1a\x45\xdf\xa3"), make([]byte, 5000)...)), opts)
	if !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), "ffmpeg does not read it: ") ||
		strings.Contains(err.Error(), "\n") ||
		strings.Contains(err.Error(), "exit status") {
		t.Errorf("%v; want one line of ffmpeg's", err)
	}
	t.Log(err)
}

func TestFFmpegBroken(t *testing.T) {
	opts := withFFmpeg(t)
	broke := errors.New("the cable is out")
	pcm, want := to16(speechLike(30000, audio.Format{Rate: 22050, Channels: 1}))
	file := cafFile(22050, pcm)
	in, err := audio.Open(io.MultiReader(bytes.NewReader(file[:50000]), iotest.ErrReader(broke)), opts)
	if err != nil {
		t.Fatal(err)
	}
	audiotest.TestBroken(t, in, want, broke)
	in.Close()
	if _, err := audio.Open(io.MultiReader(bytes.NewReader(file[:20]), iotest.ErrReader(broke)),
		opts); !errors.Is(err, broke) {
		t.Errorf("broken in the header: %v", err)
	}
}

// Close ends the process and the goroutine that feeds it, however much input is left.
func TestFFmpegClosedEarly(t *testing.T) {
	opts := withFFmpeg(t)
	pcm, want := to16(speechLike(30000, audio.Format{Rate: 22050, Channels: 1}))
	endless := io.MultiReader(bytes.NewReader(cafFile(22050, pcm)), endlessReader{})
	in, err := audio.Open(endless, opts)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]float32, 100)
	if n, err := in.ReadSamples(buf); err != nil || !slices.Equal(buf[:n], want[:n]) {
		t.Errorf("%d samples, %v", n, err)
	}
	for range 2 {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
	}
	if n, err := in.ReadSamples(buf); n != 0 || err == nil || errors.Is(err, io.EOF) {
		t.Errorf("after Close: %d samples, %v", n, err)
	}
}

type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) { return len(p), nil }

// script is a program that does what the lines say instead of ffmpeg. %s in them
// is a WAV file of the samples.
func script(t *testing.T, pcm []byte, lines string) *audio.Options {
	t.Helper()
	dir := t.TempDir()
	said := filepath.Join(dir, "said.wav")
	if err := os.WriteFile(said, wavFile(mono16(24000), data(pcm)), 0o600); err != nil {
		t.Fatal(err)
	}
	return &audio.Options{FFmpeg: testenv.WriteScript(t, dir, "ffmpeg", strings.ReplaceAll(lines, "%s", said))}
}

// If ffmpeg prints an error and continues, the first line is a warning; if it fails, it is the
// error.
func TestFFmpegWarnings(t *testing.T) {
	pcm, want := to16(speechLike(2400, audio.Format{Rate: 24000, Channels: 1}))
	for exit, failed := range map[string]bool{"0": false, "1": true} {
		opts := script(t, pcm, "cat >/dev/null; cat %s; echo '[wv @ 0x5] Invalid element' >&2; echo more >&2; exit "+exit)
		in, err := audio.Open(strings.NewReader("\x1a\x45\xdf\xa3 and more of a WebM"), opts)
		if err != nil {
			t.Fatal(err)
		}
		got, err := audiotest.Collect(in)
		warnings := strings.Join(in.Warnings(), "; ")
		if (err != nil) != failed || !slices.Equal(got, want) || failed &&
			!strings.Contains(err.Error(), "ffmpeg: Invalid element") ||
			!failed && warnings != "read by ffmpeg: a WebM or Matroska file; ffmpeg says: Invalid element" {
			t.Errorf("exit %s: %d samples, %v, %s", exit, len(got), err, warnings)
		}
		in.Close()
	}
}

// impatient bounds the wait for a process that outputs nothing more.
func impatient(o *audio.Options) *audio.Options {
	o.FFmpegStall = 50 * time.Millisecond
	return o
}

// A process that has all of its input and outputs nothing more is ended.
func TestFFmpegStalls(t *testing.T) {
	input := func() io.Reader { return strings.NewReader("\x1a\x45\xdf\xa3 and more") }
	_, err := audio.Open(input(), impatient(script(t, nil, "cat >/dev/null; exec sleep 1000")))
	if !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), "gave nothing more") {
		t.Errorf("in front: %v", err)
	}
	pcm, want := to16(speechLike(2400, audio.Format{Rate: 24000, Channels: 1}))
	in, err := audio.Open(input(), script(t, pcm, "cat >/dev/null; cat %s; exec sleep 1000"))
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	got := make([]float32, len(want))
	for at := 0; at < len(got) && err == nil; {
		var n int
		n, err = in.ReadSamples(got[at:])
		at += n
	}
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("other samples came, %v", err)
	}
	audio.SetFFmpegStall(in, 50*time.Millisecond)
	if n, err := in.ReadSamples(got); n != 0 || !errors.Is(err, audio.ErrFormat) ||
		!strings.Contains(err.Error(), "gave nothing more") {
		t.Errorf("behind: %d samples, %v", n, err)
	}
}

// A process that outputs nothing for an endless input is ended.
func TestFFmpegEndlessInputIsStopped(t *testing.T) {
	withFFmpeg(t)
	input := io.MultiReader(strings.NewReader("\x1a\x45\xdf\xa3 and more"), endlessReader{})
	_, err := audio.Open(input, impatient(script(t, nil, "exec cat >/dev/null")))
	if !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), "gave nothing more") {
		t.Error(err)
	}
}

// made has ffmpeg encode a second of a tone with these arguments, and returns the file.
func made(t *testing.T, opts *audio.Options, name string, args ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	args = append(append([]string{"-v", "error", "-f", "lavfi", "-i", "sine=f=440:r=24000:d=3"}, args...), file)
	if out, err := exec.Command(opts.FFmpeg, args...).CombinedOutput(); err != nil {
		t.Skipf("this ffmpeg makes no %s: %s", name, out)
	}
	return file
}

// Recordings of phones and browsers are read from files and from pipes.
func TestFFmpegReadsRecordings(t *testing.T) {
	opts := withFFmpeg(t)
	for _, c := range []struct {
		name, found string
		args        []string
	}{
		{"behind.m4a", "an M4A file", []string{"-c:a", "aac"}},
		{"front.m4a", "an M4A file", []string{"-c:a", "aac", "-movflags", "+faststart"}},
		{"movie.mov", "a QuickTime (MOV) file", []string{"-c:a", "aac"}},
		{"video.mp4", "an MP4 or M4A file", []string{"-f", "lavfi", "-i", "testsrc=d=3:s=64x48:r=5", "-c:a",
			"aac", "-c:v", "mpeg4"}},
		{"browser.webm", "a WebM or Matroska file", []string{"-c:a", "libopus"}},
		{"adts.aac", "an AAC file (ADTS)", []string{"-c:a", "aac"}},
		{"apple.caf", "a CAF file", []string{"-c:a", "pcm_s16be"}},
		{"old.wma", "a WMA or other ASF file", []string{"-c:a", "wmav2"}},
		{"stream.ts", "an MPEG transport stream", []string{"-c:a", "aac"}},
		{"lossless.wv", "a WavPack file", []string{"-c:a", "wavpack"}},
		{"lossless.tta", "a TTA file", []string{"-c:a", "tta"}},
		{"wave.w64", "a Wave64 file", []string{"-c:a", "pcm_s16le"}},
		{"gsm.wav", "the WAV holds GSM 6.10 samples", []string{"-ar", "8000", "-c:a", "libgsm_ms"}},
		{"g722.wav", "the WAV holds G.722 samples", []string{"-ar", "16000", "-c:a", "g722"}},
		{"g726.wav", "the WAV holds G.726 samples", []string{"-ar", "8000", "-c:a", "g726"}},
		{"mp3.wav", "the WAV holds MP3 samples", []string{"-c:a", "libmp3lame"}},
		{"long.wav", "the WAV holds 64-bit integer samples", []string{"-c:a", "pcm_s64le"}},
		{"ima4.aifc", `the AIFF holds 4-bit "ima4" samples`, []string{"-f", "aiff", "-c:a", "adpcm_ima_qt"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := made(t, opts, c.name, c.args...)
			file, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			reader, writer := io.Pipe()
			go func() {
				copied, _ := os.Open(name)
				_, _ = io.Copy(writer, copied)
				copied.Close()
				writer.Close()
			}()
			for way, r := range map[string]io.Reader{"file": file, "pipe": reader} {
				got, in, err := decode(t, r, opts)
				if err != nil || in == nil {
					t.Errorf("%s: %v", way, err)
					continue
				}
				seconds := float64(len(got)) / float64(in.Format().Channels) / float64(in.Format().Rate)
				if seconds < 2.9 || seconds > 3.3 || len(in.Warnings()) > 2 || in.Warnings()[0] != "read by ffmpeg: "+c.found {
					t.Errorf("%s: %.3f s, %q", way, seconds, in.Warnings())
				}
			}
			reader.Close()
			bytes, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			_, err = audio.Open(strings.NewReader(string(bytes)), nil)
			if !errors.Is(err, audio.ErrFormat) ||
				!strings.Contains(err.Error(), c.found+"; install ffmpeg, with which it is read, or convert it: ffmpeg -i") {
				t.Errorf("without ffmpeg: %v", err)
			}
		})
	}
}

// Only a pipe with its index at the end is read whole before it is decoded, and a warning says
// so.
func TestFFmpegWaitForIndexIsReported(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // where nobody else leaves files meanwhile
	opts := withFFmpeg(t)
	for name, c := range map[string]struct {
		args []string
		want int
	}{"behind.m4a": {[]string{"-c:a", "aac"}, 1}, "front.m4a": {[]string{"-c:a", "aac", "-movflags", "+faststart"}, 0}} {
		file, err := os.ReadFile(made(t, opts, name, c.args...))
		if err != nil {
			t.Fatal(err)
		}
		told := 0
		notified := *opts
		notified.Notify = func(text string) {
			told++
			if !strings.Contains(text, "the index of an M4A file is at its end") {
				t.Error(text)
			}
		}
		before, _ := filepath.Glob(filepath.Join(os.TempDir(), "echocast-*"))
		got, _, err := decode(t, iotest.HalfReader(bytes.NewReader(file)), &notified)
		after, _ := filepath.Glob(filepath.Join(os.TempDir(), "echocast-*"))
		if err != nil || len(got) < 70000 || told != c.want || len(after) > len(before) {
			t.Errorf("%s: %d samples, %v, told %d times, %d files left", name, len(got), err, told, len(after)-len(before))
		}
	}
}

// A browser's recording is heard while it is made: less than the 2 kB that ffmpeg usually
// probes is enough.
func TestFFmpegReadsLiveWebM(t *testing.T) {
	opts := withFFmpeg(t)
	name := made(t, opts, "live.webm", "-c:a", "libopus", "-b:a", "32k", "-cluster_time_limit", "60", "-live", "1")
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	reader, writer := io.Pipe()
	go func() { _, _ = writer.Write(file[:2000]) }() // and no end
	in, err := audio.Open(reader, opts)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]float32, 4800)
	if n, err := in.ReadSamples(buf); err != nil || n == 0 {
		t.Errorf("%d samples, %v", n, err)
	}
	writer.Close()
	in.Close()
}

// Inputs with faults that ffmpeg can skip are decoded in full, at most with a warning.
func TestFFmpegFaultyInputs(t *testing.T) {
	opts := withFFmpeg(t)
	read := func(name string, args ...string) []byte {
		b, err := os.ReadFile(made(t, opts, name, args...))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	wavpack := read("a.wv", "-c:a", "wavpack")
	ape := append([]byte("APETAGEX\xd0\x07\x00\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80"), make([]byte, 8)...)
	transport := read("a.ts", "-c:a", "aac")
	webm := read("a.webm", "-c:a", "libopus")
	for name, c := range map[string]struct {
		file    []byte
		seconds float64
	}{
		"WavPack and an APE tag": {append(slices.Clone(wavpack), ape...), 2.9},
		"TS cut at its front":    {transport[1000:], 1},
		"two WebM":               {append(slices.Clone(webm), webm...), 2.9},
	} {
		got, in, err := decode(t, bytes.NewReader(c.file), opts)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if seconds := float64(len(got)) / float64(in.Format().Channels*in.Format().Rate); seconds < c.seconds {
			t.Errorf("%s: %.3f s, %q", name, seconds, in.Warnings())
		}
	}
	silent := made(t, opts, "silent.mp4", "-f", "lavfi", "-i", "testsrc=d=1:s=64x48:r=5", "-map", "1:v", "-c:v", "mpeg4")
	file, err := os.Open(silent)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := audio.Open(file, opts); !errors.Is(err, audio.ErrFormat) ||
		!strings.Contains(err.Error(), "has no audio track") {
		t.Errorf("a video without sound: %v", err)
	}
}

// An ffmpeg that outputs endless sound from a small input is stopped.
func TestFFmpegOutputIsBounded(t *testing.T) {
	withFFmpeg(t)
	opts := script(t, nil, "exec cat %s /dev/zero")
	head := wavFile(mono16(1000), claim(0xffffffff, nil))
	if err := os.WriteFile(filepath.Join(filepath.Dir(opts.FFmpeg), "said.wav"), head, 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := audio.Open(bytes.NewReader(cafFile(24000, make([]byte, 1000))), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	wantTooLong(t, in, "more than 60 min of sound out of 1068 bytes, which no recording does")
}

// Two hours of silence at 1000 Hz, which are 7 kB of FLAC in Matroska, are stopped, in a file
// and in a pipe.
func TestFFmpegDecompressionBomb(t *testing.T) {
	opts := withFFmpeg(t)
	path := filepath.Join(t.TempDir(), "silence.mkv")
	args := []string{"-v", "error", "-f", "lavfi", "-i", "anullsrc=r=1000:cl=mono", "-t", "7200",
		"-c:a", "flac", "-frame_size", "65535", path}
	if text, err := exec.Command(opts.FFmpeg, args...).CombinedOutput(); err != nil {
		t.Skipf("ffmpeg does not make it: %s", text)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]io.Reader{"file": file, "pipe": bytes.NewReader(content)} {
		t.Run(name, func(t *testing.T) {
			in, err := audio.Open(r, opts)
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			wantTooLong(t, in, " bytes, which no recording does; if it is right, convert it first: ffmpeg -i INPUT")
		})
	}
}

// wantTooLong reads an input that is refused when an hour of it was read.
func wantTooLong(t *testing.T, in *audio.Input, want string) {
	t.Helper()
	buf := make([]float32, 32000)
	var err error
	for err == nil && in.Frames() < 2*3600*1000 {
		_, err = in.ReadSamples(buf)
	}
	if !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), want) {
		t.Errorf("after %d s: %v", in.Frames()/1000, err)
	}
	if got := in.Frames() / 1000; got < 3600 || got > 3700 {
		t.Errorf("%d s were read, want an hour", got)
	}
}

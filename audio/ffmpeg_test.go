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

	"go.uber.org/goleak"

	"echocast/audio"
	"echocast/audio/audiotest"
)

// withFFmpeg skips the test where there is no ffmpeg, and checks that it leaves
// no goroutine behind.
func withFFmpeg(t *testing.T) *audio.Options {
	t.Helper()
	program, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("ffmpeg is not installed")
	}
	goleak.VerifyNone(t)
	t.Cleanup(func() { goleak.VerifyNone(t) })
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
	if err != nil || !slices.Equal(got, want) || len(in.Warnings()) > 0 {
		t.Fatalf("%d samples, %v, %q; want %d", len(got), err, in.Warnings(), len(want))
	}
	info := audio.Info{Container: "ffmpeg", Codec: "pcm_f32le", Format: audio.Format{Rate: 22050, Channels: 1}, Declared: -1}
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

// It is asked only where it is allowed, and never about text or what is read
// here.
func TestFFmpegIsNotAsked(t *testing.T) {
	never := &audio.Options{FFmpeg: filepath.Join(t.TempDir(), "none")}
	pcm, want := to16(speechLike(100, audio.Format{Rate: 24000, Channels: 1}))
	if _, err := audio.Open(bytes.NewReader(cafFile(24000, pcm)), nil); !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), "a CAF file") {
		t.Errorf("not allowed: %v", err)
	}
	if _, err := audio.Open(strings.NewReader("#EXTM3U\nhttp://localhost/\n"), never); !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), "this is text") {
		t.Errorf("text: %v", err)
	}
	got, _, err := decode(t, bytes.NewReader(wavFile(mono16(24000), data(pcm))), never)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("WAV: %d samples, %v", len(got), err)
	}
	for name, file := range map[string][]byte{"a known container": cafFile(24000, pcm), "an unknown one": bytes.Repeat([]byte{0xfe, 1, 0x80}, 900),
		"an Ogg stream of Speex": joinPages(onePage(begins, 0, 0, []byte("Speex   ")))} {
		if _, err := audio.Open(bytes.NewReader(file), never); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, want that the program is missing", name, err)
		}
	}
}

// What ffmpeg complains of last is what the error says.
func TestFFmpegFails(t *testing.T) {
	opts := withFFmpeg(t)
	_, err := audio.Open(bytes.NewReader(append([]byte("\x1a\x45\xdf\xa3"), make([]byte, 5000)...)), opts)
	if !errors.Is(err, audio.ErrFormat) || !strings.Contains(err.Error(), "ffmpeg: ") || strings.Contains(err.Error(), "\n") ||
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
	if _, err := audio.Open(io.MultiReader(bytes.NewReader(file[:20]), iotest.ErrReader(broke)), opts); !errors.Is(err, broke) {
		t.Errorf("broken in the header: %v", err)
	}
}

// Close ends the process and the feeding of it, however much is still to come.
func TestFFmpegClosedEarly(t *testing.T) {
	opts := withFFmpeg(t)
	pcm, want := to16(speechLike(30000, audio.Format{Rate: 22050, Channels: 1}))
	endless := io.MultiReader(bytes.NewReader(cafFile(22050, pcm)), forever{})
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

type forever struct{}

func (forever) Read(p []byte) (int, error) { return len(p), nil }

// ffmpeg goes on after damage and exits with 0: what it says of it is an error,
// or broken audio would end in a done.
func TestFFmpegThatOnlyComplains(t *testing.T) {
	pcm, want := to16(speechLike(2400, audio.Format{Rate: 24000, Channels: 1}))
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "said.wav"), wavFile(mono16(24000), data(pcm)), 0o600); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\ncat >/dev/null\ncat " + filepath.Join(dir, "said.wav") + "\necho 'Invalid element' >&2\n"
	program := filepath.Join(dir, "ffmpeg")
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	in, err := audio.Open(strings.NewReader("\x1a\x45\xdf\xa3 and more of a WebM"), &audio.Options{FFmpeg: program})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	got, err := audiotest.Collect(in)
	if err == nil || !strings.Contains(err.Error(), "Invalid element") || !slices.Equal(got, want) {
		t.Errorf("%d samples, %v; want %d and what it complained of", len(got), err, len(want))
	}
}

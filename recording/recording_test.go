package recording

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtp"

	"echocast/internal/testenv"
	"echocast/internal/testwait"
	"echocast/rtc"
)

// writeForever is the environment variable that makes this program record in the file
// of that name until it is killed.
const writeForever = "ECHOCAST_TEST_RECORD"

func TestMain(m *testing.M) {
	if name := os.Getenv(writeForever); name != "" {
		recordUntilKilled(name)
	}
	os.Exit(m.Run())
}

// recordUntilKilled records eight seconds, says so and waits.
func recordUntilKilled(name string) {
	file, err := Create(name, optionsFor(name))
	if err != nil {
		panic(err)
	}
	fill(file, 8)
	println("written")
	select {}
}

// both returns the samples of the two sides of a call: the replica says
// 440 Hz from second 1 to 2, the user 660 Hz from 2 to 3, and so on alternately.
func both(seconds int) (sounds [sides][]int16) {
	for side := range sounds {
		sounds[side] = make([]int16, seconds*Rate)
	}
	sounds[Replica], sounds[User] = turns(sounds[Replica], 1, 440), turns(sounds[User], 0, 660)
	return sounds
}

// turns is a tone in all odd seconds, or in all even ones but the first.
func turns(samples []int16, odd int, hertz float64) []int16 {
	for at := range samples {
		samples[at] = 0
		if second := at / Rate; second > 0 && second%2 == odd {
			samples[at] = int16(12000 * math.Sin(2*math.Pi*hertz*float64(at)/Rate))
		}
	}
	return samples
}

// fill writes a call, of which one side is always ahead.
func fill(file *File, seconds int) {
	sounds := both(seconds)
	for at := 0; at < seconds*Rate; at += 1000 {
		for side, samples := range sounds {
			_, _ = file.Side(Side(side)).Write(littleEndian(samples[at : at+1000])) // Close tells
		}
	}
}

func littleEndian(samples []int16) (b []byte) {
	for _, v := range samples {
		b = binary.LittleEndian.AppendUint16(b, uint16(v))
	}
	return b
}

// names are those of recordings in all containers, and with pictures.
func names(t *testing.T) []string {
	testenv.NeedPrograms(t, "", "ffmpeg", "ffprobe")
	return []string{"call.wav", "call.webm", "call.mp4", "film.webm", "film.mp4"}
}

// optionsFor are those of a recording, which has pictures if its name says so.
func optionsFor(name string) *Options {
	if !isFilm(name) {
		return nil
	}
	return &Options{Picture: flash}
}

func isFilm(name string) bool { return strings.HasPrefix(filepath.Base(name), "film") }

// slack is how many samples a recording may be late or early: a millisecond, and five in
// the WebM of ffmpeg, whose times of Opus are whole milliseconds.
func slack(name string) int {
	if strings.HasSuffix(name, ".webm") && !hasOpus {
		return 5 * Rate / 1000
	}
	return Rate / 1000
}

// flash is a picture that is bright while there is sound.
func flash(sound []int16) (*image.YCbCr, error) {
	picture := image.NewYCbCr(image.Rect(0, 0, 32, 32), image.YCbCrSubsampleRatio420)
	brightness := uint8(40)
	if loudness(sound) > 3000 {
		brightness = 200
	}
	for i := range picture.Y {
		picture.Y[i] = brightness
	}
	for i := range picture.Cb {
		picture.Cb[i], picture.Cr[i] = 128, 128
	}
	return picture, nil
}

// pictures are the times in seconds of the pictures that are shown from a time on, and
// whether each is bright.
func pictures(t *testing.T, name string, from string) (times []float64, bright []bool) {
	t.Helper()
	times, bright, err := tryPictures(t, name, from)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return times, bright
}

func tryPictures(t *testing.T, name string, from string) (times []float64, bright []bool, err error) {
	t.Helper()
	cmd := exec.CommandContext(testwait.Context(t), "ffmpeg", "-v", "error", "-copyts", "-ss", from, "-i", name,
		"-fps_mode", "passthrough", "-vf", "signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-", "-an",
		"-f", "null", "-")
	out, err := cmd.Output()
	for field := range strings.FieldsSeq(string(out)) {
		key, value, _ := strings.Cut(strings.Replace(field, "pts_time:", "pts_time=", 1), "=")
		number, _ := strconv.ParseFloat(value, 64)
		switch key {
		case "pts_time":
			times = append(times, number)
		case "lavfi.signalstats.YAVG":
			bright = append(bright, number > 120)
		}
	}
	return times, bright, err
}

// checkPictures checks that there are 25 in a second, which are bright while the replica
// says something.
func checkPictures(t *testing.T, name string, length int) {
	t.Helper()
	times, bright := pictures(t, name, "0")
	if len(times) != 25*length || len(bright) != len(times) {
		t.Fatalf("%d pictures, %d of them measured, in %d s", len(times), len(bright), length)
	}
	for i, at := range times {
		if want := float64(i) / 25; math.Abs(at-want) > 0.0015 {
			t.Errorf("picture %d is shown at %.3f", i, at)
		}
		if second := i / 25; bright[i] != (second%2 == 1) {
			t.Errorf("picture %d, at %.3f s, is bright: %v", i, at, bright[i])
		}
	}
	if times, _ := pictures(t, name, "3.5"); len(times) == 0 || math.Abs(times[0]-3.5) > 0.05 {
		t.Errorf("from 3.5 s on, the first picture is that of %v", times[:min(len(times), 1)])
	}
}

// decode returns the samples of both sides from a time on, in seconds.
func decode(t *testing.T, name string, from float64) (sounds [sides][]int16) {
	t.Helper()
	sounds, err := tryDecode(t, name, from)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return sounds
}

func tryDecode(t *testing.T, name string, from float64) (sounds [sides][]int16, err error) {
	t.Helper()
	arguments := []string{"-v", "error", "-ss", strconv.FormatFloat(from, 'f', 3, 64), "-i", name}
	if from == 0 { // what an encoder puts before 0 is not played
		arguments = []string{"-v", "error", "-copyts", "-i", name, "-af", "aresample=first_pts=0"}
	}
	arguments = append(arguments, "-f", "s16le", "-ar", strconv.Itoa(Rate), "-ac", "2", "-")
	cmd := exec.CommandContext(testwait.Context(t), "ffmpeg", arguments...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil || complaints.Len() > 0 {
		return sounds, fmt.Errorf("%v: %s", err, complaints.String())
	}
	for b := out.Bytes(); len(b) >= 4; b = b[4:] {
		for side := range sounds {
			sounds[side] = append(sounds[side], int16(binary.LittleEndian.Uint16(b[2*side:])))
		}
	}
	return sounds, nil
}

// stated is the length that a container states, in seconds.
func stated(t *testing.T, name string) float64 {
	t.Helper()
	out, err := exec.CommandContext(testwait.Context(t), "ffprobe", "-v", "error", "-show_entries", "format=duration",
		"-of", "csv=p=0", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	seconds, _ := strconv.ParseFloat(strings.TrimSpace(string(out)), 64) // 0 where none is stated
	return seconds
}

// shift returns by how many samples got is later than want, at the best match.
func shift(got, want []int16) int {
	best, bestSum := 0, math.Inf(-1)
	for by := -600; by <= 600; by++ {
		sum := 0.0
		for at := 0; at < len(want); at += 31 {
			if k := at + by; k >= 0 && k < len(got) {
				sum += float64(want[at]) * float64(got[k])
			}
		}
		if sum > bestSum {
			best, bestSum = by, sum
		}
	}
	return best
}

// loudness is that of samples, as the mean of their sizes.
func loudness(samples []int16) (sum float64) {
	for _, v := range samples {
		sum += math.Abs(float64(v))
	}
	return sum / float64(max(len(samples), 1))
}

// Each container has both sides on their channels, at their times within a millisecond, states
// its length, and can be read from any position.
func TestContainers(t *testing.T) {
	const length = 6
	for _, name := range names(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			name := filepath.Join(t.TempDir(), name)
			file, err := Create(name, optionsFor(name))
			if err != nil {
				t.Fatal(err)
			}
			fill(file, length)
			if err := errors.Join(file.Close(), file.Close()); err != nil {
				t.Fatal(err)
			}
			if got := stated(t, name); math.Abs(got-length) > 0.03 {
				t.Errorf("it states %.3f s, not %d", got, length)
			}
			got, want := decode(t, name, 0), both(length)
			for side := range got {
				if by := shift(got[side], want[side]); max(by, -by) > slack(name) {
					t.Errorf("side %d is %.2f ms late", side, float64(by)*1000/Rate)
				}
				if n := len(got[side]); n < length*Rate-slack(name) || n > length*Rate+Rate/20 {
					t.Errorf("side %d has %d samples, of %d", side, n, length*Rate)
				}
				for second := range length {
					part := got[side][second*Rate+Rate/4 : second*Rate+Rate*3/4]
					if speaks := second > 0 && second%2 != side; speaks != (loudness(part) > 3000) || !speaks && loudness(part) > 300 {
						t.Errorf("side %d in second %d: loudness %.0f", side, second, loudness(part))
					}
				}
			}
			later := decode(t, name, 3.5)
			if by := shift(later[Replica][:Rate/2], want[Replica][7*Rate/2:4*Rate]); by < -Rate/20 || by > Rate/20 {
				t.Errorf("from 3.5 s on it is %.1f ms late", float64(by)*1000/Rate)
			}
			if isFilm(name) {
				checkPictures(t, name, length)
			}
			if info, err := os.Stat(name); err != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("others may read it: %v, %v", info.Mode(), err)
			}
			if files, _ := filepath.Glob(filepath.Join(filepath.Dir(name), "*")); len(files) != 1 {
				t.Errorf("it leaves %v", files)
			}
		})
	}
}

// isWritten reports whether seven seconds of a recording can be read.
func isWritten(t *testing.T, name string) bool {
	t.Helper()
	if got, err := tryDecode(t, name, 0); err != nil || len(got[0]) < 7*Rate-5*slack(name) {
		return false
	}
	if !isFilm(name) {
		return true
	}
	times, _, err := tryPictures(t, name, "0")
	return err == nil && len(times) >= 7*25
}

// If a process is killed, its recording is complete up to the last second.
func TestKilledRecordings(t *testing.T) {
	for _, name := range names(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			name := filepath.Join(t.TempDir(), name)
			cmd := exec.CommandContext(testwait.Context(t), os.Args[0])
			cmd.Env = append(os.Environ(), writeForever+"="+name)
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadAtLeast(stderr, make([]byte, 7), 7); err != nil {
				t.Fatal(err)
			}
			// ffmpeg may be behind, and in the middle of a write: what it has been given in a call comes
			// in real time.
			for ctx := testwait.Context(t); ctx.Err() == nil && !isWritten(t, name); {
				time.Sleep(50 * time.Millisecond)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // it was killed
			got, want := decode(t, name, 0), both(8)
			if len(got[0]) < 7*Rate-5*slack(name) {
				t.Fatalf("%.2f s are left of 8", float64(len(got[0]))/Rate)
			}
			if isFilm(name) {
				if times, _ := pictures(t, name, "0"); len(times) < 7*25 {
					t.Errorf("%d pictures are left of 8 s", len(times))
				}
			}
			if by := shift(got[Replica][:6*Rate], want[Replica][:6*Rate]); max(by, -by) > slack(name) {
				t.Errorf("it is %.2f ms late", float64(by)*1000/Rate)
			}
		})
	}
}

// Packets are recorded by the clock, each side in its channel; a side without packets is
// silent.
func TestRecordPackets(t *testing.T) {
	name := filepath.Join(t.TempDir(), "call.wav")
	synctest.Test(t, func(t *testing.T) { recordPackets(t, name) })
	data, err := os.ReadFile(name)
	if err != nil || len(data) < wavHeader+4*Rate/2 {
		t.Fatalf("%d bytes, %v", len(data), err)
	}
	left, right := 0, 0
	for b := data[wavHeader:]; len(b) >= 4; b = b[4:] {
		if binary.LittleEndian.Uint16(b) != 0 {
			left++
		}
		if binary.LittleEndian.Uint16(b[2:]) == 0x2020 {
			right++
		}
	}
	if left != 0 || right != 30*Rate/50 {
		t.Errorf("%d samples on the left, %d on the right", left, right)
	}
}

// recordPackets records 30 packets of a user, one each 20 ms.
func recordPackets(t *testing.T, name string) {
	file, err := Create(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	const payload = 11 // samples as they are
	hearing := func(ctx context.Context, packet func(string, *rtp.Packet), left func(string)) error {
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for n := range 30 {
			sound := make([]byte, 2*Rate/50)
			for i := range sound {
				sound[i] = 0x20
			}
			packet(rtc.SoundUser, &rtp.Packet{Header: rtp.Header{PayloadType: payload, SequenceNumber: uint16(n),
				Timestamp: uint32(n * 960), SSRC: 1}, Payload: sound})
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		left(rtc.SoundUser)
		return io.EOF
	}
	if err := file.Record(testwait.Context(t), hearing, SideOf); !errors.Is(err, io.EOF) || file.Begun().IsZero() {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// fullDisk is a disk on which a file has room for so many bytes more.
type fullDisk struct {
	room     int
	attempts int // to write more
}

var errFull = errors.New("no space left on device")

func (f *fullDisk) Write(p []byte) (int, error) {
	if len(p) > f.room {
		f.attempts++
		return 0, errFull
	}
	f.room -= len(p)
	return len(p), nil
}

func (*fullDisk) Close() error { return nil }

// grey shows a grey area that is lighter while there is sound.
func grey(sound []int16) (*image.YCbCr, error) {
	picture := image.NewYCbCr(image.Rect(0, 0, 32, 32), image.YCbCrSubsampleRatio420)
	brightness := uint8(min(loudness(sound)/100, 255))
	for i := range picture.Y {
		picture.Y[i] = brightness
	}
	return picture, nil
}

// A full disk ends a recording of packets with an error. Nothing blocks, and nothing more is
// written.
func TestFullDisk(t *testing.T) {
	for name, options := range map[string]*Options{"sound": nil, "pictures": {Picture: grey}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disk := &fullDisk{room: 40_000}
			to, err := newWebM(disk, plainTrack(), &pcmEncoder{}, options)
			if err != nil {
				t.Fatal(err)
			}
			file := &File{name: "call.webm", to: to}
			ended := make(chan error, 1)
			go func() { // ends within the test, or fails it
				fill(file, 8)
				ended <- file.Close()
			}()
			if err := testwait.Receive(t, ended); !errors.Is(err, errFull) {
				t.Errorf("it ends with %v", err)
			}
			if disk.attempts != 1 {
				t.Errorf("%d attempts to write to a full disk", disk.attempts)
			}
		})
	}
	if _, err := newWebM(&fullDisk{room: 10}, plainTrack(), &pcmEncoder{}, nil); !errors.Is(err, errFull) {
		t.Errorf("without room for the header: %v", err)
	}
}

// An ffmpeg that reads nothing is ended, and the recording with it.
func TestStalledFFmpeg(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a script stands in for ffmpeg")
	}
	for name, picture := range map[string]Picture{"sound": nil, "pictures": grey} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			stalled := testenv.WriteScript(t, dir, "ffmpeg", "exec sleep 1000")
			to, err := createByFFmpeg(filepath.Join(dir, "call.mp4"), &Options{FFmpeg: stalled, Picture: picture})
			if err != nil {
				t.Fatal(err)
			}
			to.limit = 20 * time.Millisecond
			file := &File{name: "call.mp4", to: to}
			ended := make(chan error, 1)
			go func() { // ends within the test, or fails it
				fill(file, 8)
				ended <- file.Close()
			}()
			if err := testwait.Receive(t, ended); err == nil {
				t.Error("it ends without an error")
			}
		})
	}
}

// Writing to a closed recording is an error.
func TestClosedRecording(t *testing.T) {
	file, err := Create(filepath.Join(t.TempDir(), "call.wav"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	_, _ = file.Side(User).Write(make([]byte, 200))
	if _, err := file.Side(Replica).Write(make([]byte, 200)); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{
		"call.flac": "call.flac: the name ends with .wav, .webm or .mp4", "call": "the name ends with", "CALL.WAV": "",
	} {
		if err := Check(name, nil); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Check("call.mp4", &Options{FFmpeg: "no-such-program"}); err == nil ||
		!strings.Contains(err.Error(), "no-such-program is not installed") {
		t.Errorf("without ffmpeg: %v", err)
	}
	if _, err := Create(filepath.Join(t.TempDir(), "none", "call.wav"), nil); err == nil ||
		strings.Contains(err.Error(), "open ") {
		t.Errorf("in no folder: %v", err)
	}
}

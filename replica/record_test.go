package replica

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/go-audio/wav"
)

// recorded reads back a WAV file as 16-bit samples.
func recorded(t *testing.T, path string) (rate int, samples []int16) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := wav.NewDecoder(file)
	buffer, err := decoder.FullPCMBuffer()
	if err != nil {
		t.Fatal(err)
	}
	if decoder.NumChans != 1 || decoder.BitDepth != 16 || decoder.WavAudioFormat != formatPCM {
		t.Errorf("%d channels, %d bits, format %d", decoder.NumChans, decoder.BitDepth, decoder.WavAudioFormat)
	}
	for _, sample := range buffer.Data {
		samples = append(samples, int16(sample))
	}
	return int(decoder.SampleRate), samples
}

func create(t *testing.T) *os.File {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "heard.wav"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return file
}

func TestRecording(t *testing.T) {
	tests := []struct {
		name     string
		script   func(*peer)
		want     func(sent []int16) []int16
		rate     int
		silences []Silence
		unplayed int64
	}{
		{"everything", func(p *peer) {
			p.say("a", 1500, false)
			p.at(10).say("a", 1501, true)
			p.at(20).say("b", 333, true)
			p.at(9000)
		}, func(sent []int16) []int16 { return sent }, 24000, nil, 0},

		{"silence is left out", func(p *peer) {
			p.say("a", 100, false)
			p.at(150).say("a", 100, true)
			p.at(9000)
		}, func(sent []int16) []int16 { return sent }, 24000, []Silence{{Position: 2400, LengthMS: 50}}, 0},

		{"what an interrupt drops is left out", func(p *peer) {
			p.say("a", 3000, true)
			p.say("b", 1000, true)
			p.at(1234).interrupt()
			p.at(2000).say("c", 100, true)
			p.at(9000)
		}, func(sent []int16) []int16 {
			return slices.Concat(sent[:1234*24], sent[4000*24:])
		}, 24000, nil, 0},

		{"what was not played when the peer left", func(p *peer) {
			p.say("a", 3000, true)
			p.say("b", 1000, true)
			p.at(1234)
		}, func(sent []int16) []int16 { return sent }, 24000, nil, 4000*24 - 1234*24},

		{"16 kHz", func(p *peer) {
			p.samples("a", 3200, 16000, true)
			p.at(9000)
		}, func(sent []int16) []int16 { return sent }, 16000, nil, 0},

		{"nothing", func(p *peer) {}, func([]int16) []int16 { return nil }, 24000, nil, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			file := create(t)
			o := run(t, &Options{Record: file, MessageLimit: -1}, test.script)
			rate, got := recorded(t, file.Name())
			want := test.want(o.sent)
			if o.err != nil || rate != test.rate || !slices.Equal(got, want) {
				t.Errorf("%d samples at %d Hz, want %d at %d Hz, or they differ; error %v", len(got), rate,
					len(want), test.rate, o.err)
			}
			if o.Recording.Samples != int64(len(got)) || o.Recording.Rate != rate ||
				!slices.Equal(o.Recording.Silences, test.silences) {
				t.Errorf("reported %+v", o.Recording)
			}
			var unplayed int64
			for _, u := range o.Utterances {
				unplayed += u.UnplayedSamples
				if u.PlayedSamples+u.UnplayedSamples+u.DroppedSamples != u.Samples {
					t.Errorf("samples do not add up: %+v", u)
				}
			}
			if unplayed != test.unplayed {
				t.Errorf("%d samples unplayed, want %d", unplayed, test.unplayed)
			}
		})
	}
}

// A file has one rate. Audio at another rate is played and listed, but not recorded.
func TestOtherRateIsNotRecorded(t *testing.T) {
	file := create(t)
	o := run(t, &Options{Record: file, MessageLimit: -1}, func(p *peer) {
		p.samples("a", 2400, 24000, true)
		p.samples("b", 1600, 16000, false)
		p.at(500).samples("b", 1600, 16000, true)
		p.samples("c", 2400, 24000, true)
		p.at(9000)
	})
	_, got := recorded(t, file.Name())
	if want := slices.Concat(o.sent[:2400], o.sent[5600:]); !slices.Equal(got, want) {
		t.Errorf("%d samples recorded, want %d", len(got), len(want))
	}
	want := []Unrecorded{{Utterance: "b", Rate: 16000, Samples: 3200}}
	if o.Underruns != 1 || len(o.Recording.Silences) != 0 {
		t.Errorf("%d underruns, silences %+v in a recording without them", o.Underruns, o.Recording.Silences)
	}
	if !slices.Equal(o.Recording.Unrecorded, want) || o.Utterances[1].PlayedSamples != 3200 {
		t.Errorf("unrecorded %+v, want %+v", o.Recording.Unrecorded, want)
	}
}

// Played audio is written to the disk while more of it plays.
func TestRecordingGrowsWhilePlaying(t *testing.T) {
	file := create(t)
	run(t, &Options{Record: file, MessageLimit: -1}, func(p *peer) {
		p.say("a", 60_000, true)
		p.at(30_500)
		info, err := file.Stat()
		if err != nil || info.Size() < 29_000*48 || info.Size() > 31_000*48 {
			t.Errorf("%d bytes after 30 s (%v)", info.Size(), err)
		}
	})
}

// fullDisk fails writes that would make the file longer than room, as often as
// it is told to.
type fullDisk struct {
	*os.File
	room     int64
	failures int
}

var errDiskFull = errors.New("disk full")

func (f *fullDisk) Write(p []byte) (int, error) {
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	if at+int64(len(p)) > f.room && f.failures > 0 {
		f.failures--
		n, _ := f.File.Write(p[:max(0, f.room-at)])
		return n, errDiskFull
	}
	return f.File.Write(p)
}

// After a failed write the file stays valid, even if the disk would accept more later.
func TestFullDisk(t *testing.T) {
	for _, failures := range []int{1, 1000} {
		testFullDisk(t, &fullDisk{create(t), 10_000, failures})
	}
}

func testFullDisk(t *testing.T, disk *fullDisk) {
	t.Helper()
	o := run(t, &Options{Record: disk, MessageLimit: -1}, func(p *peer) {
		for n := range 20 {
			p.at(float64(n*50)).say("a", 50, n == 19)
		}
		p.at(9000)
	})
	if !errors.Is(o.err, errDiskFull) {
		t.Errorf("error %v", o.err)
	}
	if u := o.Utterances[0]; u.PlayedSeconds != 1 || len(u.Underruns) != 0 {
		t.Errorf("playback suffered: %+v", u)
	}
	_, got := recorded(t, disk.Name())
	if len(got) == 0 || o.Recording.Samples != int64(len(got)) || !slices.Equal(got, o.sent[:len(got)]) {
		t.Errorf("%d samples in the file, %d reported", len(got), o.Recording.Samples)
	}
}

// The header cannot be written.
func TestNoDisk(t *testing.T) {
	o := run(t, &Options{Record: &fullDisk{create(t), 0, 1000}}, func(p *peer) {
		p.say("a", 10, true)
		p.at(100)
	})
	if !errors.Is(o.err, errDiskFull) || o.Utterances[0].PlayedSeconds != 0.01 || o.Recording.Samples != 0 {
		t.Errorf("error %v, report %+v", o.err, o.Report)
	}
}

func TestRecordingStopsAt4GiB(t *testing.T) {
	file := create(t)
	r := newRecorder(file)
	u := &Utterance{ID: "a", Rate: 24000}
	r.report.Samples = maxRecordedSample - 1
	r.write(u, []int16{1})
	r.write(u, []int16{2})
	if !errors.Is(r.err, errRecordingFull) || r.report.Samples != maxRecordedSample {
		t.Errorf("error %v after %d samples", r.err, r.report.Samples)
	}
}

// The rate in a message must not decide how much is allocated.
func TestRateDoesNotAllocate(t *testing.T) {
	file := create(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := newRecorder(file)
	r.write(&Utterance{Rate: highestRate}, []int16{1})
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 100_000 {
		t.Errorf("%d bytes set aside for one sample", grown)
	}
}

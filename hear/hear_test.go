//go:build cgo

package hear

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"echocast/internal/opusencoder"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// tone is packets of 20 ms of a tone, numbered on both sides of the wrap of the numbers.
func tone(t testing.TB, hertz float64, packets int) []Packet {
	t.Helper()
	encoder, err := opusencoder.New(48000, false)
	if err != nil {
		t.Fatal(err)
	}
	defer encoder.Close()
	var all []Packet
	frame := make([]int16, 960)
	for n := range packets {
		for i := range frame {
			frame[i] = int16(9000 * math.Sin(2*math.Pi*hertz*float64(n*960+i)/48000))
		}
		payload, err := encoder.Encode(frame)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, Packet{SSRC: 1, Sequence: uint16(65500 + n), Timestamp: uint32(1<<32 - 48000 + n*960),
			Payload: append([]byte(nil), payload...)})
	}
	return all
}

// frequency is that of a tone, by its waves between the first and the last
// upward crossing of zero. The first tenth of a second is left out.
func frequency(pcm []int16, rate int) float64 {
	first, last, waves := -1.0, 0.0, -1
	for i := rate/10 + 1; i < len(pcm); i++ {
		if a, b := float64(pcm[i-1]), float64(pcm[i]); a < 0 && b >= 0 {
			last = float64(i-1) - a/(b-a)
			if first < 0 {
				first = last
			}
			waves++
		}
	}
	return float64(waves) * float64(rate) / (last - first)
}

func newMixer(t testing.TB, rate int) *Mixer {
	t.Helper()
	m, err := NewMixer(rate, start)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// play pushes each packet at the time that is said for it, takes every 20 ms,
// and drains.
func play(m *Mixer, track *Track, packets []Packet, at []time.Duration, end time.Duration) (pcm []int16) {
	for now := time.Duration(0); now <= end; now += time.Millisecond {
		for i, due := range at {
			if due == now {
				track.Push(packets[i], start.Add(now))
			}
		}
		if now%(20*time.Millisecond) == 0 {
			pcm = append(pcm, m.Take(start.Add(now))...)
		}
	}
	return append(pcm, m.Drain()...)
}

// inTime is when packets of 20 ms come, delayed by what jitter says.
func inTime(n int, jitter func(i int) time.Duration) (at []time.Duration) {
	for i := range n {
		at = append(at, time.Duration(i)*20*time.Millisecond+jitter(i))
	}
	return at
}

func punctual(int) time.Duration { return 0 }

// silences are the lengths of runs of zeros of 50 ms or more.
func silences(pcm []int16, rate int) (lengths []float64) {
	run := 0
	for _, sample := range append(pcm, 1) {
		if sample == 0 {
			run++
			continue
		}
		if run >= rate/20 {
			lengths = append(lengths, float64(run)/float64(rate))
		}
		run = 0
	}
	return lengths
}

// seconds is the length of the tone; it was run with 30, too.
const seconds = 6

// At every rate, with jitter, reordering and duplicates, nothing is lost, and the tone is
// unchanged.
func TestToneIsUnchanged(t *testing.T) {
	packets := tone(t, 440, seconds*50)
	for _, rate := range Rates() {
		random := rand.New(rand.NewPCG(1, uint64(rate)))
		at := inTime(len(packets), func(int) time.Duration { return time.Duration(random.IntN(50)) * time.Millisecond })
		at[0] = 0
		m := newMixer(t, rate)
		track := m.Track(start)
		pcm := play(m, track, packets, at, (seconds+1)*time.Second)
		if got := frequency(pcm[:(seconds-1)*rate], rate); math.Abs(got-440) > 0.44 {
			t.Errorf("%d Hz: the tone has %v Hz", rate, got)
		}
		if s := m.Stats(); s.Packets != seconds*50 || s.Lost+s.Late+s.Broken+s.Shifted != 0 || s.Samples != int64(len(pcm)) {
			t.Errorf("%d Hz: %+v, and %d samples", rate, s, len(pcm))
		}
	}
}

// A pause without packets has the same length in the stream, to the sample.
func TestPauseLength(t *testing.T) {
	packets := tone(t, 440, 100)
	for i := 50; i < 100; i++ {
		packets[i].Timestamp += 3 * 48000
	}
	for name, jitter := range map[string]time.Duration{"in time": 0, "that ends late": 150 * time.Millisecond} {
		at := inTime(100, func(i int) time.Duration {
			if i < 50 {
				return 0
			}
			return 3*time.Second + jitter
		})
		m := newMixer(t, 16000)
		pcm := play(m, m.Track(start), packets, at, 6*time.Second)
		// The tone is 1 s, then there are 3 s, then the tone again.
		if got := silences(pcm[:5*16000], 16000); len(got) != 1 || math.Abs(got[0]-3) > 0.003 {
			t.Errorf("a pause %s: silences of %v s", name, got)
		}
		if s := m.Stats(); s.Packets != 100 || s.Shifted != 0 {
			t.Errorf("a pause %s: %+v", name, s)
		}
	}
}

// While nobody speaks, the stream continues 200 ms behind the clock, and never stops for
// longer.
func TestSilenceFollowsClock(t *testing.T) {
	m := newMixer(t, 16000)
	if got := len(m.Take(start.Add(5 * time.Second))); got != 16000*48/10 {
		t.Errorf("%d samples before anybody came", got)
	}
	track := m.Track(start.Add(5 * time.Second))
	track.Push(tone(t, 440, 1)[0], start.Add(5*time.Second))
	total := 16000 * 48 / 10
	for now := 5 * time.Second; now <= 10*time.Second; now += 20 * time.Millisecond {
		total += len(m.Take(start.Add(now)))
		behind := float64(m.position(start.Add(now))-int64(total)) / 16000
		if behind > 0.201 || behind < -0.02 {
			t.Fatalf("%v s behind the clock at %v", behind, now)
		}
	}
}

// Lost packets become silence of their length, and late ones are not played again.
func TestLostAndLatePackets(t *testing.T) {
	packets := tone(t, 440, 100)
	at := inTime(100, punctual)
	late := at[50]
	at[50] += 500 * time.Millisecond
	for i := 60; i < 70; i++ {
		at[i] = time.Hour
	}
	m := newMixer(t, 16000)
	pcm := play(m, m.Track(start), packets, at, 3*time.Second)
	if s := m.Stats(); s.Packets != 89 || s.Lost != 11 || s.Late != 1 || s.Shifted != 0 {
		t.Errorf("%+v; packet 50 was due at %v", s, late)
	}
	if got := silences(pcm[:2*16000], 16000); len(got) != 1 || math.Abs(got[0]-0.2) > 0.021 {
		t.Errorf("silences of %v s", got)
	}
	if len(pcm) != 3*16000-3200 {
		t.Errorf("%d samples", len(pcm))
	}
}

// A network stall delays the audio and loses nothing.
func TestNetworkStall(t *testing.T) {
	packets := tone(t, 440, 100)
	at := inTime(100, func(i int) time.Duration {
		if i < 50 {
			return 0
		}
		return max(0, 2*time.Second-time.Duration(i-50)*20*time.Millisecond)
	})
	m := newMixer(t, 16000)
	play(m, m.Track(start), packets, at, 5*time.Second)
	if s := m.Stats(); s.Packets != 100 || s.Lost != 0 || s.Shifted != 1 {
		t.Errorf("%+v", s)
	}
}

// A sender that restarts, or jumps in its timestamps, is heard at once.
func TestSenderRestarts(t *testing.T) {
	for name, change := range map[string]func(*Packet){
		"another SSRC":          func(p *Packet) { p.SSRC, p.Sequence, p.Timestamp = 2, p.Sequence+7000, 5 },
		"timestamps far ahead":  func(p *Packet) { p.Timestamp += 1 << 30 },
		"timestamps far behind": func(p *Packet) { p.Timestamp -= 1 << 30 },
	} {
		packets := tone(t, 440, 100)
		changed := Packet{}
		for i := 50; i < 100; i++ {
			if changed = packets[i]; name == "another SSRC" {
				changed.Timestamp = uint32(960 * i)
				changed.SSRC = 2
			} else {
				change(&changed)
			}
			packets[i] = changed
		}
		m := newMixer(t, 16000)
		pcm := play(m, m.Track(start), packets, inTime(100, punctual), 2*time.Second)
		if s := m.Stats(); s.Packets != 100 || s.Lost != 0 {
			t.Errorf("%s: %+v", name, s)
		}
		if len(pcm) < 2*16000-320 || len(pcm) > 2*16000+320 {
			t.Errorf("%s: %d samples of 2 s", name, len(pcm))
		}
	}
}

// Two speakers at once are both heard at their times, and one who leaves does not delay the
// other.
func TestTwoSpeakers(t *testing.T) {
	low, high := tone(t, 300, 150), tone(t, 1000, 50)
	m := newMixer(t, 48000)
	one := m.Track(start)
	two := m.Track(start.Add(time.Second))
	var pcm []int16
	for i := range 150 {
		now := start.Add(time.Duration(i) * 20 * time.Millisecond)
		one.Push(low[i], now)
		if i >= 50 && i < 100 {
			two.Push(high[i-50], now)
		}
		if i == 100 {
			two.Close()
		}
		pcm = append(pcm, m.Take(now)...)
	}
	pcm = append(pcm, m.Drain()...)
	for i, want := range []float64{9000, 9000 * math.Sqrt2, 9000} {
		var sum float64
		for _, sample := range pcm[i*48000+9600 : i*48000+38400] {
			sum += float64(sample) * float64(sample)
		}
		if got := math.Sqrt(2 * sum / 28800); math.Abs(got-want) > 0.1*want {
			t.Errorf("in second %d the amplitude is %v, want %v", i, got, want)
		}
	}
}

// Whatever packets arrive, the stream neither stops nor drifts from the clock.
func TestHostilePackets(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	m := newMixer(t, 16000)
	track := m.Track(start)
	good := tone(t, 440, 1)[0].Payload
	total := 0
	for i := range 20000 {
		p := Packet{SSRC: uint32(random.IntN(2)), Sequence: uint16(random.Uint32()), Timestamp: random.Uint32(),
			Payload: good}
		if random.IntN(2) == 0 {
			p.Payload = make([]byte, random.IntN(40))
			for i := range p.Payload {
				p.Payload[i] = byte(random.Uint32())
			}
		}
		now := start.Add(time.Duration(i) * time.Millisecond)
		track.Push(p, now)
		total += len(m.Take(now))
	}
	total += len(m.Drain())
	if total < 20*16000-3300 || total > 27*16000 {
		t.Errorf("%d samples in 20 s", total)
	}
	if len(track.held) > maxHeld {
		t.Errorf("%d packets are held", len(track.held))
	}
}

func TestUnknownRate(t *testing.T) {
	if _, err := NewMixer(44100, start); err == nil {
		t.Error("44100 Hz is decoded")
	}
}

func BenchmarkPushTake(b *testing.B) {
	packets := tone(b, 440, 3000)
	m := newMixer(b, 16000)
	track := m.Track(start)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p := packets[i%3000]
		p.Sequence, p.Timestamp = uint16(i), uint32(i*960)
		now := start.Add(time.Duration(i) * 20 * time.Millisecond)
		track.Push(p, now)
		m.Take(now)
	}
}

// Samples in place of Opus are heard bit for bit. An oversized packet becomes silence.
func TestSamplesInPackets(t *testing.T) {
	m := newMixer(t, 16000)
	track := m.Track(start)
	var want []int16
	now := start
	for n := range 50 {
		var payload []byte
		for range 160 {
			sample := int16(len(want)*7919 + 1)
			want = append(want, sample)
			payload = append(payload, byte(uint16(sample)>>8), byte(sample))
		}
		track.Push(Packet{SSRC: 1, Sequence: uint16(n), Timestamp: uint32(n * 480), Payload: payload, Coding: Linear}, now)
		now = now.Add(10 * time.Millisecond)
	}
	track.Push(Packet{SSRC: 1, Sequence: 50, Timestamp: 50 * 480, Payload: make([]byte, 2*16*maxFrame+2), Coding: Linear},
		now)
	if got := m.Drain(); !slices.Equal(got, want) {
		t.Errorf("%d samples are heard as %d others", len(want), len(got))
	}
	if broken := m.Stats().Broken; broken != 1 {
		t.Errorf("%d packets are broken, want 1", broken)
	}
}

// Package hear turns the RTP packets of people who speak into one continuous
// stream of samples, on whose clock a recogniser can rely: what took three
// seconds in the room takes three seconds in the stream.
//
//	mixer, err := hear.NewMixer(16000, time.Now())
//	track := mixer.Track(time.Now())          // one for each who speaks
//	err = track.Push(packet, time.Now())      // as packets come
//	pcm := mixer.Take(time.Now())             // every 20 ms
//
// # What time it is
//
// Within a track the RTP timestamps count: a gap between two packets, because
// nothing was sent or because something was lost, becomes silence of its exact
// length. While no packet comes, silence goes out by the clock, 200 ms behind
// it; the packet that ends the pause then decides how long the pause was. A
// packet that is later than that is still heard, and the next pause is shorter
// by as much. Where timestamps contradict the clock by half a second or more,
// as they do when a microphone is changed, the clock counts.
//
// Packets that overtook others wait for them, 60 ms or five packets at most.
//
// Nothing here reads a clock or starts a goroutine: every method that needs to
// know the time is told.
package hear

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pion/opus"
)

const (
	clockRate    = 48000                  // Hz of the timestamps of Opus, whatever is decoded
	muLawRate    = 8000                   // Hz of the samples of mu-law
	longestFrame = 120                    // ms in one packet of Opus
	starved      = 200 * time.Millisecond // without packets, until it is a pause
	patience     = 60 * time.Millisecond  // for packets that were overtaken
	mostHeld     = 5                      // packets that wait for one that was overtaken
	disbelief    = 500 * time.Millisecond // between timestamps and the clock
	mostAhead    = 5 * time.Second        // of the clock
)

// Rates are what can be decoded to, in Hz.
func Rates() []int { return []int{8000, 12000, 16000, 24000, 48000} }

// Coding is how a payload holds sound.
type Coding int

// The codings.
const (
	Opus   Coding = iota
	Linear        // samples of 16 bits, big-endian, mono, at the mixer's rate
	MuLaw         // G.711 mu-law, mono, at 8 kHz, as telephones and stand-ins without libopus send it
)

// Packet is an RTP packet with sound in it. The Payload is not kept.
type Packet struct {
	SSRC      uint32 // another one begins the track anew
	Sequence  uint16
	Timestamp uint32 // at 48 kHz, whatever the coding
	Payload   []byte
	Coding    Coding
}

// Stats is what became of the packets of all tracks.
type Stats struct {
	Packets int   // decoded
	Lost    int   // never came, or too late
	Late    int   // came after they were given up
	Broken  int   // could not be decoded, or came far too fast; they are silence
	Shifted int   // times that the clock was believed and not the timestamps
	Samples int64 // taken
}

// Mixer is the stream of all tracks together. Its methods may be called at the
// same time from several goroutines.
type Mixer struct {
	rate  int
	start time.Time

	mu     sync.Mutex
	tracks []*Track
	taken  int64
	stats  Stats
}

// NewMixer begins a stream of mono samples at one of Rates.
func NewMixer(rate int, now time.Time) (*Mixer, error) {
	if !slices.Contains(Rates(), rate) {
		return nil, fmt.Errorf("hear: a rate of %d Hz; there are %v", rate, Rates())
	}
	return &Mixer{rate: rate, start: now}, nil
}

// position is where a time is in the stream.
func (m *Mixer) position(at time.Time) int64 { return m.samples(at.Sub(m.start)) }

func (m *Mixer) samples(d time.Duration) int64 {
	return int64(d/time.Second)*int64(m.rate) + int64(d%time.Second)*int64(m.rate)/int64(time.Second)
}

// Take returns the samples that are certain by now, which may be none. They
// belong to the caller.
func (m *Mixer) Take(now time.Time) []int16 {
	m.mu.Lock()
	defer m.mu.Unlock()
	until := m.position(now.Add(-starved))
	for i, t := range m.tracks {
		t.advance(now)
		if i == 0 || t.end() < until {
			until = t.end()
		}
	}
	return m.mix(max(until, m.taken))
}

// Drain returns all that has come, for the end.
func (m *Mixer) Drain() []int16 {
	m.mu.Lock()
	defer m.mu.Unlock()
	until := m.taken
	for _, t := range m.tracks {
		t.release(true)
		until = max(until, t.end())
	}
	return m.mix(until)
}

// Stats returns what has happened so far.
func (m *Mixer) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stats
}

// mix adds up the tracks to a position. Sums saturate.
func (m *Mixer) mix(until int64) []int16 {
	out := make([]int16, until-m.taken)
	for _, t := range m.tracks {
		for i, sample := range t.take(m.taken, until) {
			out[i] = int16(min(max(int32(out[i])+int32(sample), -32768), 32767))
		}
	}
	m.taken = until
	m.stats.Samples += int64(len(out))
	m.tracks = slices.DeleteFunc(m.tracks, func(t *Track) bool { return t.closed && t.end() <= m.taken })
	return out
}

// Track is one who speaks.
type Track struct {
	mixer   *Mixer
	decoder opus.Decoder
	buffer  []int16
	before  int16 // the last sample of mu-law

	started bool
	ssrc    uint32
	next    uint16           // the sequence number that is awaited
	held    map[uint16]waits // came too early
	clock   uint32           // the timestamp of the last packet
	at      int64            // where that packet belongs
	heard   time.Time        // when the last packet came
	first   int64            // position of pending[0]
	pending []int16          // decoded, not taken
	closed  bool
}

// waits is a packet that overtook another.
type waits struct {
	packet Packet
	since  time.Time
}

// Track adds one who speaks, from now on.
func (m *Mixer) Track(now time.Time) *Track {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := &Track{mixer: m, buffer: make([]int16, longestFrame*m.rate/1000), held: make(map[uint16]waits), heard: now}
	t.first = max(m.taken, m.position(now))
	m.tracks = append(m.tracks, t)
	return t
}

// Close says that no packet will come any more. What has come is still heard.
func (t *Track) Close() {
	t.mixer.mu.Lock()
	defer t.mixer.mu.Unlock()
	t.release(true)
	t.closed = true
}

// Push takes a packet that has come now. A packet that cannot be decoded
// becomes silence.
func (t *Track) Push(p Packet, now time.Time) {
	t.mixer.mu.Lock()
	defer t.mixer.mu.Unlock()
	if len(p.Payload) == 0 || t.closed {
		return // padding, with which servers probe
	}
	if !t.started || p.SSRC != t.ssrc {
		t.begin(p, now)
	}
	if int16(p.Sequence-t.next) < 0 {
		t.mixer.stats.Late++
		return
	}
	p.Payload = slices.Clone(p.Payload)
	t.held[p.Sequence] = waits{p, now}
	t.release(false)
	t.giveUp(now)
	t.heard = now
}

// begin takes the first packet of a sender: it belongs where the time is.
func (t *Track) begin(p Packet, now time.Time) {
	t.release(true)
	t.fill(t.mixer.position(now))
	t.decoder, _ = opus.NewDecoderWithOutput(t.mixer.rate, 1) // the rate is one of Rates
	t.started, t.ssrc, t.next, t.before = true, p.SSRC, p.Sequence, 0
	t.clock, t.at, t.heard = p.Timestamp, t.end(), now
}

// release decodes what is in order, or all.
func (t *Track) release(all bool) {
	for len(t.held) > 0 {
		w, ok := t.held[t.next]
		switch {
		case ok:
			delete(t.held, t.next)
			t.next++
			t.place(w)
		case all:
			t.skip()
		default:
			return
		}
	}
}

// skip gives up the packets before the first that is there.
func (t *Track) skip() {
	var lost uint16 = 1 << 15
	for sequence := range t.held {
		lost = min(lost, sequence-t.next)
	}
	t.mixer.stats.Lost += int(lost)
	t.next += lost
}

// giveUp ends the wait for packets that were overtaken long ago.
func (t *Track) giveUp(now time.Time) {
	for len(t.held) > 0 {
		oldest := now
		for _, w := range t.held {
			if w.since.Before(oldest) {
				oldest = w.since
			}
		}
		if len(t.held) <= mostHeld && now.Sub(oldest) < patience {
			return
		}
		t.skip()
		t.release(false)
	}
}

// place decodes a packet where its timestamp says.
func (t *Track) place(w waits) {
	m := t.mixer
	ticks := int64(int32(w.packet.Timestamp - t.clock))
	at := t.at + ticks*int64(m.rate)/clockRate
	elapsed := m.samples(w.since.Sub(t.heard)) // since the packet before came
	slack, latest := m.samples(disbelief), m.position(w.since)
	if t.end() > latest+m.samples(mostAhead) {
		m.stats.Broken++ // more speech than there was time
		return
	}
	if gap := at - t.end(); gap > max(elapsed, 0)+slack || gap < -slack || at > latest+slack && gap > 0 {
		at = t.end()
		m.stats.Shifted++
	}
	t.clock, t.at = w.packet.Timestamp, at
	t.fill(at)
	n, err := t.decode(w.packet)
	if err != nil {
		m.stats.Broken++ // the next packet's timestamp fills its place
		return
	}
	m.stats.Packets++
	t.pending = append(t.pending, t.buffer[:n]...)
}

// decode fills the buffer with the samples of a packet.
func (t *Track) decode(p Packet) (int, error) {
	switch p.Coding {
	case Linear:
		return t.decodeLinear(p)
	case MuLaw:
		return t.decodeMuLaw(p)
	}
	return t.decoder.DecodeToInt16(p.Payload, t.buffer)
}

func (t *Track) decodeLinear(p Packet) (int, error) {
	n := len(p.Payload) / 2
	if n > len(t.buffer) {
		return 0, fmt.Errorf("a packet of %d samples", n)
	}
	for i := range n {
		t.buffer[i] = int16(binary.BigEndian.Uint16(p.Payload[2*i:]))
	}
	return n, nil
}

// decodeMuLaw brings telephone sound to the rate of the mixer, on straight lines
// from sample to sample. It is one sample late for that.
func (t *Track) decodeMuLaw(p Packet) (int, error) {
	rate := t.mixer.rate
	n := len(p.Payload) * rate / muLawRate
	if n > len(t.buffer) {
		return 0, fmt.Errorf("a packet of %d samples", n)
	}
	for i := range n {
		k, part := i*muLawRate/rate, i*muLawRate%rate
		from, to := t.before, muLaw(p.Payload[k])
		if k > 0 {
			from = muLaw(p.Payload[k-1])
		}
		t.buffer[i] = int16(int(from) + (int(to)-int(from))*part/rate)
	}
	t.before = muLaw(p.Payload[len(p.Payload)-1])
	return n, nil
}

// muLaw is the sample that a byte of G.711 stands for.
func muLaw(code byte) int16 {
	code = ^code
	size := (int16(code&15)<<3+132)<<(code>>4&7) - 132
	if code&128 != 0 {
		return -size
	}
	return size
}

// advance fills a pause by the clock.
func (t *Track) advance(now time.Time) {
	if t.closed {
		return
	}
	t.giveUp(now)
	if now.Sub(t.heard) >= starved {
		t.fill(t.mixer.position(now.Add(-starved)))
	}
}

// fill adds silence up to a position.
func (t *Track) fill(until int64) {
	if n := until - t.end(); n > 0 {
		t.pending = append(t.pending, make([]int16, n)...)
	}
}

func (t *Track) end() int64 { return t.first + int64(len(t.pending)) }

// take removes the samples between two positions; they are valid until the
// next call. Before the track began there is silence.
func (t *Track) take(from, until int64) []int16 {
	n := min(until, t.end()) - t.first
	if n <= 0 {
		return nil
	}
	out := t.pending[:n]
	if lead := t.first - from; lead > 0 {
		out = append(make([]int16, lead), out...)
	} else {
		out = slices.Clone(out)
	}
	t.pending = append(t.pending[:0], t.pending[n:]...)
	t.first += n
	return out
}

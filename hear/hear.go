// Package hear mixes the RTP packets of all speakers in a room into one continuous
// stream of samples on the room's clock: three seconds in the room are three seconds in
// the stream. So a speech recogniser can rely on its times.
//
//	mixer, err := hear.NewMixer(16000, time.Now())
//	track := mixer.Track(time.Now())          // one for each speaker
//	err = track.Push(packet, time.Now())      // as packets come
//	pcm := mixer.Take(time.Now())             // every 20 ms
//
// # Clocks
//
// Within a track the mixer follows the RTP timestamps: a gap between two packets
// becomes silence of the same length, whether nothing was sent or packets were
// lost. While no packets arrive, the mixer emits silence 200 ms behind the wall
// clock; the next packet's timestamp then sets the length of the pause. A packet
// that arrives later than that is still heard, and the next pause becomes shorter
// by its delay. If timestamps and the clock differ by 500 ms or more, for example
// after a change of microphone, the mixer follows the clock.
//
// Packets that arrive out of order wait for those before them, for at most 60 ms
// or five packets.
//
// The package reads no clock and starts no goroutine: methods that need the time
// take it as an argument.
package hear

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pion/opus"

	"echocast/internal/pcm"
)

const (
	clockRate    = 48000                  // Hz of the timestamps, whatever the coding
	muLawRate    = 8000                   // Hz of the samples of mu-law
	maxFrame     = 120                    // ms in one packet of Opus
	silenceAfter = 200 * time.Millisecond // time without a packet before silence is emitted
	reorderWait  = 60 * time.Millisecond  // how long a packet waits for an earlier one
	maxHeld      = 5                      // packets that wait for an earlier one
	maxClockSkew = 500 * time.Millisecond // between RTP timestamps and the clock
	maxAhead     = 5 * time.Second        // how far audio may be ahead of the clock
)

// Rates returns the sampling rates in Hz that a Mixer supports.
func Rates() []int { return []int{8000, 12000, 16000, 24000, 48000} }

// Coding is the codec of a payload.
type Coding int

// The codings.
const (
	Opus   Coding = iota
	Linear        // samples of 16 bits, big-endian, mono, at the mixer's rate
	MuLaw         // G.711 mu-law, mono, at 8 kHz, as telephones and stand-ins without libopus send it
)

// Packet is an RTP packet of audio. Track.Push does not keep its Payload.
type Packet struct {
	SSRC      uint32 // a new SSRC restarts the track
	Sequence  uint16
	Timestamp uint32 // at 48 kHz, whatever the coding
	Payload   []byte
	Coding    Coding
}

// Stats counts the packets of all tracks by outcome.
type Stats struct {
	Packets int   // decoded
	Lost    int   // never arrived, or arrived too late
	Late    int   // arrived after the mixer had stopped waiting for them
	Broken  int   // not decodable, or far ahead of the clock; replaced by silence
	Shifted int   // how often the mixer followed the clock instead of the timestamps
	Samples int64 // returned by Take and Drain
}

// Mixer mixes all tracks to one stream. Its methods may be called at the same time from
// several goroutines.
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
		return nil, fmt.Errorf("hear: a rate of %d Hz is not supported; use one of %v", rate, Rates())
	}
	return &Mixer{rate: rate, start: now}, nil
}

// position converts a time to an index of the stream.
func (m *Mixer) position(at time.Time) int64 { return m.samples(at.Sub(m.start)) }

func (m *Mixer) samples(d time.Duration) int64 {
	return int64(d/time.Second)*int64(m.rate) + int64(d%time.Second)*int64(m.rate)/int64(time.Second)
}

// Take returns the samples that no later packet can change; there may be none. They
// belong to the caller.
func (m *Mixer) Take(now time.Time) []int16 {
	m.mu.Lock()
	defer m.mu.Unlock()
	until := m.position(now.Add(-silenceAfter))
	for i, t := range m.tracks {
		t.advance(now)
		if i == 0 || t.end() < until {
			until = t.end()
		}
	}
	return m.mix(max(until, m.taken))
}

// Drain returns the remaining samples, at the end of the stream.
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

// Stats returns the counts so far.
func (m *Mixer) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stats
}

// mix mixes the tracks up to a position. Sums saturate.
func (m *Mixer) mix(until int64) []int16 {
	out := make([]int16, until-m.taken)
	for _, t := range m.tracks {
		for i, sample := range t.take(m.taken, until) {
			out[i] = int16(min(max(int32(out[i])+int32(sample), -32768), 32767))
		}
	}
	m.taken = until
	m.stats.Samples += int64(len(out))
	m.tracks = slices.DeleteFunc(m.tracks, func(t *Track) bool { return t.isClosed && t.end() <= m.taken })
	return out
}

// Track is the audio of one speaker.
type Track struct {
	mixer   *Mixer
	decoder opus.Decoder
	buffer  []int16
	before  int16 // the last sample of mu-law

	hasStarted bool
	ssrc       uint32
	next       uint16                // the next sequence number
	held       map[uint16]heldPacket // arrived early, by sequence number
	clock      uint32                // the timestamp of the last packet
	at         int64                 // its position in the stream
	heard      time.Time             // when the last packet arrived
	first      int64                 // position of pending[0]
	pending    []int16               // decoded, not taken
	isClosed   bool
}

// heldPacket is a packet that waits for an earlier one.
type heldPacket struct {
	packet Packet
	since  time.Time
}

// Track adds a track for a speaker, which begins now.
func (m *Mixer) Track(now time.Time) *Track {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := &Track{mixer: m, buffer: make([]int16, maxFrame*m.rate/1000), held: make(map[uint16]heldPacket), heard: now}
	t.first = max(m.taken, m.position(now))
	m.tracks = append(m.tracks, t)
	return t
}

// Close ends the track. Packets that have arrived are still heard.
func (t *Track) Close() {
	t.mixer.mu.Lock()
	defer t.mixer.mu.Unlock()
	t.release(true)
	t.isClosed = true
}

// Push adds a packet that arrived at the time now. A packet that cannot be
// decoded becomes silence.
func (t *Track) Push(p Packet, now time.Time) {
	t.mixer.mu.Lock()
	defer t.mixer.mu.Unlock()
	if len(p.Payload) == 0 || t.isClosed {
		return // padding, which servers send to probe the bandwidth
	}
	if !t.hasStarted || p.SSRC != t.ssrc {
		t.begin(p, now)
	}
	if int16(p.Sequence-t.next) < 0 {
		t.mixer.stats.Late++
		return
	}
	p.Payload = slices.Clone(p.Payload)
	t.held[p.Sequence] = heldPacket{p, now}
	t.release(false)
	t.expireGaps(now)
	t.heard = now
}

// begin restarts the track with the first packet of a sender, placed by the clock.
func (t *Track) begin(p Packet, now time.Time) {
	t.release(true)
	t.fill(t.mixer.position(now))
	t.decoder, _ = opus.NewDecoderWithOutput(t.mixer.rate, 1) // the rate is one of Rates
	t.hasStarted, t.ssrc, t.next, t.before = true, p.SSRC, p.Sequence, 0
	t.clock, t.at, t.heard = p.Timestamp, t.end(), now
}

// release decodes the held packets that are next in order, or all of them.
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

// skip counts the packets before the first held one as lost.
func (t *Track) skip() {
	var lost uint16 = 1 << 15
	for sequence := range t.held {
		lost = min(lost, sequence-t.next)
	}
	t.mixer.stats.Lost += int(lost)
	t.next += lost
}

// expireGaps skips missing packets if later ones have waited for them for too long.
func (t *Track) expireGaps(now time.Time) {
	for len(t.held) > 0 {
		oldest := now
		for _, w := range t.held {
			if w.since.Before(oldest) {
				oldest = w.since
			}
		}
		if len(t.held) <= maxHeld && now.Sub(oldest) < reorderWait {
			return
		}
		t.skip()
		t.release(false)
	}
}

// place decodes a packet at the position of its timestamp.
func (t *Track) place(w heldPacket) {
	m := t.mixer
	ticks := int64(int32(w.packet.Timestamp - t.clock))
	at := t.at + ticks*int64(m.rate)/clockRate
	elapsed := m.samples(w.since.Sub(t.heard)) // since the previous packet arrived
	slack, latest := m.samples(maxClockSkew), m.position(w.since)
	if t.end() > latest+m.samples(maxAhead) {
		m.stats.Broken++ // more audio than time has passed
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

// decodeMuLaw decodes mu-law and resamples it to the mixer's rate by linear
// interpolation, with a delay of one sample.
func (t *Track) decodeMuLaw(p Packet) (int, error) {
	rate := t.mixer.rate
	n := len(p.Payload) * rate / muLawRate
	if n > len(t.buffer) {
		return 0, fmt.Errorf("a packet of %d samples", n)
	}
	for i := range n {
		k, part := i*muLawRate/rate, i*muLawRate%rate
		from, to := t.before, pcm.DecodeMuLaw(p.Payload[k])
		if k > 0 {
			from = pcm.DecodeMuLaw(p.Payload[k-1])
		}
		t.buffer[i] = int16(int(from) + (int(to)-int(from))*part/rate)
	}
	t.before = pcm.DecodeMuLaw(p.Payload[len(p.Payload)-1])
	return n, nil
}

// advance emits silence by the clock during a pause.
func (t *Track) advance(now time.Time) {
	if t.isClosed {
		return
	}
	t.expireGaps(now)
	if now.Sub(t.heard) >= silenceAfter {
		t.fill(t.mixer.position(now.Add(-silenceAfter)))
	}
}

// fill adds silence up to a position.
func (t *Track) fill(until int64) {
	if n := until - t.end(); n > 0 {
		t.pending = append(t.pending, make([]int16, n)...)
	}
}

func (t *Track) end() int64 { return t.first + int64(len(t.pending)) }

// take removes and returns the samples between two positions, valid until the next
// call. Before the track began there is silence.
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

package hear

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math"
	"sync"
	"time"

	"github.com/pion/rtp"
)

// The payload types of packets that are not Opus, as RFC 3551 numbers them.
const (
	payloadMuLaw = 0
	payloadL16   = 11
)

// writeInterval is how often a Stream writes.
const writeInterval = 20 * time.Millisecond

// maxStall is how long a write may block before a Stream drops packets: memory is bounded.
const maxStall = 30 * time.Second

// Stream writes the sound of a room as one stream of samples, signed 16-bit
// little-endian mono. While its writer blocks, it keeps the packets of 30 s.
type Stream struct {
	rate  int
	to    io.Writer
	mixer *Mixer

	mu      sync.Mutex // held while a packet is added or samples are taken
	tracks  map[string]*Track
	written int64     // samples
	writing time.Time // when the write under way began; zero: there is none
}

// NewStream returns a Stream that writes to w at a rate in Hz, one of Rates.
func NewStream(rate int, to io.Writer) (*Stream, error) {
	mixer, err := NewMixer(rate, time.Now())
	if err != nil {
		return nil, err
	}
	return &Stream{rate: rate, to: to, mixer: mixer, tracks: map[string]*Track{}}, nil
}

// Packet takes a packet that has just arrived: Opus, or mu-law or samples according to
// its payload type.
func (s *Stream) Packet(track string, p *rtp.Packet) { s.PacketAt(time.Now(), track, p) }

// PacketAt takes a packet with the time at which its sound began.
func (s *Stream) PacketAt(now time.Time, track string, p *rtp.Packet) {
	coding := Opus
	switch p.PayloadType {
	case payloadL16:
		coding = Linear
	case payloadMuLaw:
		coding = MuLaw
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.writing.IsZero() && time.Since(s.writing) > maxStall {
		return
	}
	if s.tracks[track] == nil {
		s.tracks[track] = s.mixer.Track(now)
	}
	s.tracks[track].Push(Packet{SSRC: p.SSRC, Sequence: p.SequenceNumber, Timestamp: p.Timestamp, Payload: p.Payload,
		Coding: coding}, now)
}

// Left ends a track.
func (s *Stream) Left(track string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tracks[track]; t != nil {
		t.Close()
		delete(s.tracks, track)
	}
}

// Stats returns the counts so far; Samples counts written samples.
func (s *Stream) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.mixer.Stats()
	stats.Samples = s.written
	return stats
}

// Record writes the packets of hear until hear returns, ctx ends, writing fails or the
// limit is reached (0: no limit). It ends hear and waits for it. The error is hear's,
// the cause of ctx, or the writer's; nil at the limit.
func (s *Stream) Record(ctx context.Context, limit time.Duration, hear func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if to, ok := s.to.(hurrier); ok {
		defer context.AfterFunc(ctx, to.Hurry)()
	}
	var hearing sync.WaitGroup
	hearing.Go(func() { cancel(hear(ctx)) })
	err := s.write(ctx, int64(math.Round(limit.Seconds()*float64(s.rate))))
	cancel(err)
	hearing.Wait()
	return err
}

// write writes samples that no later packet can change, until ctx ends or limit samples
// are written.
func (s *Stream) write(ctx context.Context, limit int64) error {
	if limit == 0 {
		limit = math.MaxInt64
	}
	ticker := time.NewTicker(writeInterval)
	defer ticker.Stop()
	for limit > 0 {
		select {
		case now := <-ticker.C:
			n, err := s.pass(func() []int16 { return s.mixer.Take(now) }, limit)
			if limit -= n; err != nil {
				return err
			}
		case <-ctx.Done():
			if _, err := s.pass(s.mixer.Drain, limit); err != nil {
				return err
			}
			return context.Cause(ctx)
		}
	}
	return nil
}

// pass writes samples. It writes without the lock, because a writer that blocks must not keep
// hear from returning.
func (s *Stream) pass(take func() []int16, limit int64) (int64, error) {
	s.mu.Lock()
	pcm := take()
	s.writing = time.Now()
	s.mu.Unlock()
	pcm = pcm[:min(limit, int64(len(pcm)))]
	var err error
	if len(pcm) > 0 {
		var bytes bytes.Buffer
		_ = binary.Write(&bytes, binary.LittleEndian, pcm) // writing to memory never fails
		_, err = s.to.Write(bytes.Bytes())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = time.Time{}
	s.written += int64(len(pcm))
	return int64(len(pcm)), err
}

package serve

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"sync"
	"time"

	"github.com/pion/rtp"

	"echocast/audio"
	"echocast/internal/opusencoder"
	"echocast/internal/pcm"
	"echocast/internal/sleep"
	"echocast/rtc"
)

// opusClock is the clock rate of Opus timestamps, in Hz.
const opusClock = 48000

// frameTime is the playing time of a packet.
const frameTime = 20 * time.Millisecond

// soundBacklog is how many pieces of sound may wait to be encoded, about 20 s.
const soundBacklog = 1024

// piece is a piece of sound and the time when it was due.
type piece struct {
	at      time.Time
	rate    int
	samples []int16
	isEnd   bool // silence follows
}

// listener hears the room: a connection, or a recording with a picture.
type listener interface {
	Play(track string, packet *rtp.Packet) error
}

// soundOut sends the replica's sound to every connection that hears.
type soundOut struct {
	start  time.Time
	pieces chan piece
	ended  sync.WaitGroup

	mu    sync.Mutex
	conns map[listener]bool

	voice voice
}

func newSoundOut() *soundOut {
	s := &soundOut{start: time.Now(), pieces: make(chan piece, soundBacklog), conns: map[listener]bool{},
		voice: voice{open: newEncoder}}
	s.ended.Go(s.run)
	return s
}

// add adds a listening connection. The function it returns removes it.
func (s *soundOut) add(conn listener) (remove func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[conn] = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, conn)
	}
}

// relay sends the microphone of conn to the other connections, until ctx or conn ends.
func (s *soundOut) relay(ctx context.Context, conn *rtc.Conn) {
	_ = conn.Hear(ctx, rtc.SoundAll, func(_ string, packet *rtp.Packet) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for other := range s.conns {
			if other != listener(conn) {
				_ = other.Play(rtc.SoundUser, packet) // the owner of the connection notices its end
			}
		}
	}, nil) // the end of the connection is no error
}

// play takes the replica's sound. It never blocks. It drops sound that cannot be encoded in
// time.
func (s *soundOut) play(at time.Time, rate int, samples []int16) {
	if !s.hasListeners() {
		return
	}
	s.put(piece{at: at, rate: rate, samples: append([]int16(nil), samples...)})
}

func (s *soundOut) hasListeners() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns) > 0
}

// pause records that an utterance has ended.
func (s *soundOut) pause() { s.put(piece{isEnd: true}) }

func (s *soundOut) put(p piece) {
	select {
	case s.pieces <- p:
	default:
	}
}

// run encodes the sound. When an utterance has ended and no other has begun, run drains the
// encoder.
func (s *soundOut) run() {
	defer s.voice.close()
	var quiet <-chan time.Time
	for {
		select {
		case p, isOpen := <-s.pieces:
			if !isOpen {
				return
			}
			_ = s.voice.add(p, s.start, s.send) // at a rate that Opus does not support, no sound
			if quiet = nil; p.isEnd {
				quiet = time.After(frameTime)
			}
		case <-quiet:
			_ = s.voice.drain(s.send) // as above
		}
	}
}

func (s *soundOut) send(packet *rtp.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Play(rtc.SoundReplica, packet) // the owner of the connection notices its end
	}
}

// close ends the sound. play and pause must not be called after it.
func (s *soundOut) close() {
	close(s.pieces)
	s.ended.Wait()
}

// encoder encodes a frame into the payload of a packet, which is valid until the
// next call.
type encoder interface {
	Encode(frame []int16) ([]byte, error)
	Close() error
}

// newEncoder returns an encoder of mono samples at a rate in Hz. It encodes Opus, or mu-law
// in a build without libopus.
func newEncoder(rate int) (encoder, error) {
	if !opusencoder.Available {
		return newMuLaw(rate)
	}
	return opusencoder.New(rate, false)
}

// voice cuts sound into packets. Their timestamps are the due times.
type voice struct {
	open       func(rate int) (encoder, error)
	encoder    encoder
	rate       int
	frame      []int16 // not yet full
	next       int64   // position of its first sample, at clock
	clock      int     // the last rate that was asked for; 0 before the first
	sequence   uint16
	isSpeaking bool // no pause since the last packet
}

// adjoining is the largest gap between two pieces that play without a pause.
const adjoining = 5 * time.Millisecond

func (v *voice) add(p piece, start time.Time, send func(*rtp.Packet)) error {
	if p.isEnd {
		return v.flush(send)
	}
	if p.rate != v.rate {
		if err := v.change(p.rate, send); err != nil {
			return err
		}
	}
	at := int64(math.Round(p.at.Sub(start).Seconds() * float64(v.rate)))
	if gap := at - v.next - int64(len(v.frame)); gap > int64(adjoining.Seconds()*float64(v.rate)) {
		if err := v.flush(send); err != nil {
			return err
		}
		v.next, v.isSpeaking = max(v.next, at), false
	}
	for _, sample := range p.samples {
		if v.frame = append(v.frame, sample); len(v.frame) == v.rate/50 {
			if err := v.encode(send); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *voice) change(rate int, send func(*rtp.Packet)) error {
	err := v.flush(send)
	v.close()
	if err != nil {
		return err
	}
	if v.clock > 0 {
		v.next = v.next * int64(rate) / int64(v.clock)
	}
	v.clock = rate
	if v.encoder, err = v.open(rate); err != nil {
		return err
	}
	v.rate, v.isSpeaking = rate, false
	return nil
}

// flush completes the frame with silence.
func (v *voice) flush(send func(*rtp.Packet)) error {
	if len(v.frame) == 0 {
		return nil
	}
	v.frame = append(v.frame, make([]int16, v.rate/50-len(v.frame))...)
	return v.encode(send)
}

// drain gets the rest of the sound from the encoder by adding a frame of silence. Opus
// delays the sound by 6.5 ms.
func (v *voice) drain(send func(*rtp.Packet)) error {
	err := v.flush(send)
	if _, holds := v.encoder.(interface{ Lookahead() int }); err != nil || !holds || !v.isSpeaking {
		return err
	}
	v.frame = append(v.frame, make([]int16, v.rate/50)...)
	err = v.encode(send)
	v.isSpeaking = false
	return err
}

func (v *voice) encode(send func(*rtp.Packet)) error {
	payload, err := v.encoder.Encode(v.frame)
	if err != nil {
		return err
	}
	send(&rtp.Packet{
		Header: rtp.Header{
			Version: 2, Marker: !v.isSpeaking, SequenceNumber: v.sequence,
			Timestamp: uint32(v.next * opusClock / int64(v.rate)),
		},
		Payload: append([]byte(nil), payload...),
	})
	v.sequence++
	v.isSpeaking = true
	v.next += int64(len(v.frame))
	v.frame = v.frame[:0]
	return nil
}

func (v *voice) close() {
	if v.encoder != nil {
		_ = v.encoder.Close()
		v.encoder, v.rate = nil, 0
	}
}

// playUser plays a file once to conn, as if it were the microphone of a user.
func playUser(ctx context.Context, name string, conn listener) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	source, err := audio.Prepare(ctx, file, &audio.PrepareOptions{Rate: opusClock})
	if err != nil {
		return err
	}
	defer source.Close()
	v := voice{open: newEncoder}
	defer v.close()
	start := time.Now()
	send := func(packet *rtp.Packet) { _ = conn.Play(rtc.SoundUser, packet) }
	for n := 0; ; n++ {
		p, err := nextPiece(source, start.Add(time.Duration(n)*frameTime))
		if errors.Is(err, io.EOF) {
			return v.drain(send)
		}
		if err != nil {
			return err
		}
		if sleep.For(ctx, time.Until(p.at)) != nil {
			return nil
		}
		if err := v.add(p, start, send); err != nil {
			return err
		}
	}
}

// nextPiece reads a frame of sound, or the shorter rest at the end.
func nextPiece(source audio.Source, at time.Time) (piece, error) {
	samples := make([]float32, opusClock/50)
	n := 0
	for n < len(samples) {
		k, err := source.ReadSamples(samples[n:])
		if err != nil && n == 0 {
			return piece{}, err
		}
		if err != nil {
			break // the next call returns this error
		}
		n += k
	}
	p := piece{at: at, rate: opusClock, samples: make([]int16, n)}
	pcm.Quantise(p.samples, samples[:n])
	return p, nil
}

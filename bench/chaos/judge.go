//go:build unix

package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"echocast/replica"
	"echocast/rtc"
)

// Each frame has four samples that encode its position: a mark that no other sample has,
// the number of the utterance, and the number of the frame in the utterance, in two parts.
const (
	frameSamples = 4
	frameMark    = -32768
	rate         = 24000
)

// speech returns the audio of an utterance as 16-bit samples.
func speech(utterance, frames int) []byte {
	pcm := make([]byte, 0, frames*frameSamples*2)
	mark := int16(frameMark)
	for i := range frames {
		for _, v := range []int16{mark, int16(utterance), int16(i >> 12), int16(i & 0xfff)} {
			pcm = binary.LittleEndian.AppendUint16(pcm, uint16(v))
		}
	}
	return pcm
}

// stage is a room with a replica. It records what was heard.
type stage struct {
	listener *rtc.Listener
	stop     context.CancelFunc
	all      sync.WaitGroup
	notes    notes

	mu         sync.Mutex
	room       *replica.Room
	rest       []int16          // samples of an incomplete frame
	heard      map[int][]uint16 // how often each frame of an utterance was played
	played     [2]int           // utterance and number of the last frame that was played
	speaker    int              // the last connection that has sent audio
	last       time.Time        // when that was
	isSpeaking bool             // the last audio did not end an utterance
	intruders  int              // messages of a connection after a later connection spoke
	takeovers  []takeover
	complaints map[replica.Kind]int
}

// takeover holds the times of the last audio of one connection and the first audio of the
// next. If it happens within an utterance, the replica has to wait for that audio.
type takeover struct {
	last, first   time.Time
	isInUtterance bool
}

func newStage(ctx context.Context) (*stage, error) {
	listener, err := rtc.Listen("127.0.0.1:0", nil)
	if err != nil {
		return nil, err
	}
	s := &stage{listener: listener, heard: map[int][]uint16{}, complaints: map[replica.Kind]int{}}
	ctx, s.stop = context.WithCancel(ctx)
	s.all.Go(func() { s.accept(ctx) })
	return s, nil
}

func (s *stage) close() {
	s.stop()
	_ = s.listener.Close() // this ends accept
	s.all.Wait()
}

func (s *stage) accept(ctx context.Context) {
	for n := 1; ; n++ {
		conn, err := s.listener.Accept(ctx)
		if err != nil {
			return
		}
		s.all.Go(func() {
			defer conn.Close()
			for errors.Is(s.session(ctx).Join(ctx, &tap{Conn: conn, stage: s, number: n}, ""), replica.ErrEnded) {
			}
		})
	}
}

// session returns the current room, or a new one if everyone has left the current one.
func (s *stage) session(ctx context.Context) *replica.Room {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.room == nil || s.room.HasEnded() {
		s.room = replica.NewRoom(&replica.Options{PeerGone: rtc.ErrPeerGone, OnSound: s.hear, OnEvent: s.note})
		room := s.room
		s.all.Go(func() { _, _ = room.Run(ctx) }) // hear records what it played
	}
	return s.room
}

// tap is a connection whose incoming messages are inspected.
type tap struct {
	*rtc.Conn
	stage  *stage
	number int
}

func (t *tap) Receive(ctx context.Context) ([]byte, error) {
	msg, err := t.Conn.Receive(ctx)
	if err == nil {
		t.stage.look(t.number, msg)
	}
	return msg, err
}

// look records which connection speaks. Once a later connection has spoken, an earlier one
// must not speak any more.
func (s *stage) look(number int, msg []byte) {
	var m struct {
		Type       string `json:"event_type"`
		Properties struct{ Done bool }
	}
	if json.Unmarshal(msg, &m) != nil || m.Type != "conversation.echo" && m.Type != "conversation.interrupt" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	switch {
	case number < s.speaker:
		s.intruders++
		return
	case number > s.speaker && s.speaker > 0:
		s.takeovers = append(s.takeovers, takeover{s.last, now, s.isSpeaking})
		s.notes.add("connection %d speaks", number)
	}
	s.speaker, s.last, s.isSpeaking = number, now, m.Type == "conversation.echo" && !m.Properties.Done
}

func (s *stage) note(e replica.Event) {
	if e.Complaint == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.complaints[e.Complaint.Kind]++
}

// hear counts the frames that were played.
func (s *stage) hear(_ time.Time, _ int, samples []int16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest = append(s.rest, samples...)
	for len(s.rest) >= frameSamples {
		if s.rest[0] != frameMark || min(s.rest[1], s.rest[2], s.rest[3]) < 0 { // it was cut in two
			s.rest = s.rest[1:]
			continue
		}
		utterance, frame := int(s.rest[1]), int(s.rest[2])<<12|int(s.rest[3])
		if s.played != [2]int{utterance, frame - 1} {
			s.notes.add("heard up to frame %d of %d, and from frame %d of %d on", s.played[1], s.played[0], frame, utterance)
		}
		s.played = [2]int{utterance, frame}
		for len(s.heard[utterance]) <= frame {
			s.heard[utterance] = append(s.heard[utterance], 0)
		}
		s.heard[utterance][frame]++
		s.rest = s.rest[frameSamples:]
	}
	s.rest = append([]int16(nil), s.rest...)
}

// coverage returns how many frames of an utterance were left out, and how many were heard
// more than once. At a takeover a frame may be cut in two.
func (s *stage) coverage(utterance, frames int) (missing, repeated int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	heard := s.heard[utterance]
	for i := range frames {
		switch {
		case i >= len(heard) || heard[i] == 0:
			missing++
		case heard[i] > 1:
			repeated++
		}
	}
	return missing, repeated
}

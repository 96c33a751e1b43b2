package serve

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtp"

	"echocast/echo"
	"echocast/internal/opusencoder"
	"echocast/internal/outfile"
	"echocast/listen"
	"echocast/recording"
	"echocast/replica"
	"echocast/replica/face"
	"echocast/rtc"
)

// faceWidth is how many pixels wide the picture of a recording is.
const faceWidth = 320

// film records both sides of a session as a video of the replica's face, and writes the
// known words as subtitles to a file beside it. Like a listener, it gets the replica's
// sound at its due times, but without encoding.
type film struct {
	file   *recording.File
	queue  chan func() // what is heard
	cancel context.CancelCauseFunc
	ended  chan error // receives one error

	// Only the goroutine that runs queued work uses the following.
	packet func(track string, p *rtp.Packet)
	voice  voice
	at     time.Time     // of the packet
	delay  time.Duration // delay of the encoder

	isMissing atomic.Bool // some sound was not recorded

	mu    sync.Mutex
	words *listen.Transcript
	err   error // of words
}

// isFilm reports whether the name of a recording says that it is WebM or MP4.
func isFilm(name string) bool {
	ending := strings.ToLower(filepath.Ext(name))
	return ending == ".webm" || ending == ".mp4"
}

// drainTime bounds how long close waits for queued sound to be written.
const drainTime = 10 * time.Second

// errCut ends a film.
var errCut = errors.New("the session is over")

// errMissing reports that a recording is incomplete.
var errMissing = errors.New("the disk was too slow: some sound is missing")

// film begins the recording of a session. It continues until close.
func (s *server) film(ctx context.Context, session int) (*film, error) {
	name := s.options.Record
	if session > 1 {
		file, err := outfile.CreateNumbered(name, session)
		if err != nil {
			return nil, err
		}
		name = file.Name()
		_ = file.Close() // it is empty
	}
	talker, err := face.NewTalker(faceWidth, recording.Rate)
	if err != nil {
		return nil, err
	}
	f := &film{queue: make(chan func(), soundBacklog), ended: make(chan error, 1)}
	f.voice.open = f.encoder
	f.file, err = recording.Create(name, &recording.Options{
		OnAudio: func(string, *rtp.Packet) time.Time { return f.at },
		Picture: func(sound []int16) (*image.YCbCr, error) {
			return talker.Picture(sound, recording.PictureTime.Seconds())
		}})
	if err != nil {
		return nil, err
	}
	if f.words, err = listen.NewTranscript(recording.Subtitles(name)); err != nil {
		return nil, cmp.Or(err, f.file.Close())
	}
	ctx, f.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	s.all.Go(func() { f.ended <- f.file.Record(ctx, s.hearing(f), recording.SideOf) })
	f.words.Begin(time.Now())
	return f, nil
}

// hearing connects a film to the sound of the room until it ends.
func (s *server) hearing(f *film) recording.Hear {
	return func(ctx context.Context, packet func(string, *rtp.Packet), _ func(string)) error {
		f.packet = packet
		defer f.voice.close()
		defer s.listen(ctx, f)()
		for {
			select {
			case do := <-f.queue:
				do()
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

// do queues work. If writing is far behind, do drops the work, so the session never waits
// for the disk.
func (f *film) do(what func()) {
	select {
	case f.queue <- what:
	default:
		f.isMissing.Store(true)
	}
}

// Play takes the sound of the users in the room.
func (f *film) Play(track string, packet *rtp.Packet) error {
	if track == rtc.SoundReplica {
		return nil // play gets this sound unencoded
	}
	own, now := *packet, time.Now()
	own.PayloadType = payloadOf(opusencoder.Available)
	f.do(func() {
		f.at = now
		f.packet(fmt.Sprint(track, own.SSRC), &own) // several users may speak
	})
	return nil
}

// The payload types, as package hear knows them. The number of Opus must differ from those
// of the other codings.
const (
	payloadMuLaw  = 0
	payloadLinear = 11
	payloadOpus   = 111
)

func payloadOf(isOpus bool) uint8 {
	if isOpus {
		return payloadOpus
	}
	return payloadMuLaw
}

// play takes the sound of the replica.
func (f *film) play(at time.Time, rate int, samples []int16) {
	own := slices.Clone(samples)
	f.do(func() { f.speak(piece{at: at, rate: rate, samples: own}) })
}

// pause records that an utterance has ended.
func (f *film) pause() { f.do(func() { f.speak(piece{isEnd: true}) }) }

func (f *film) speak(p piece) {
	start := f.file.Begun()
	_ = f.voice.add(p, start, func(packet *rtp.Packet) { // Opus does not support this rate: no sound
		now := time.Now()
		ticks := uint32(now.Sub(start).Seconds()*opusClock) - packet.Timestamp
		f.at = now.Add(-time.Duration(int32(ticks))*time.Second/opusClock - f.delay)
		if packet.PayloadType = payloadLinear; f.voice.rate != recording.Rate {
			packet.PayloadType = payloadOf(opusencoder.Available)
		}
		f.packet(rtc.SoundReplica, packet)
	})
}

// encoder returns an encoder of linear samples, which keep the replica's rate.
func (f *film) encoder(rate int) (encoder, error) {
	f.delay = 0
	if rate == recording.Rate {
		return &linearEncoder{}, nil
	}
	if !opusencoder.Available {
		return newMuLaw(rate)
	}
	e, err := opusencoder.New(rate, false)
	if err != nil {
		return nil, err
	}
	f.delay = time.Duration(e.Lookahead()) * time.Second / opusClock
	return e, nil
}

// linearEncoder makes packets of uncompressed 16-bit samples (RFC 3551, L16).
type linearEncoder struct{}

// Encode returns the samples, big-endian.
func (*linearEncoder) Encode(frame []int16) (packet []byte, err error) {
	for _, v := range frame {
		packet = binary.BigEndian.AppendUint16(packet, uint16(v))
	}
	return packet, nil
}

// Close does nothing.
func (*linearEncoder) Close() error { return nil }

// follow adds the film to the callbacks of a replica's options.
func (f *film) follow(options *replica.Options) {
	start := time.Now()
	onSound, onUtterance := options.OnSound, options.OnUtterance
	options.OnSound = func(at time.Time, rate int, samples []int16) {
		f.play(at, rate, samples)
		onSound(at, rate, samples)
	}
	options.OnUtterance = func(u replica.Utterance) {
		f.pause()
		f.utterance(u, start)
		onUtterance(u)
	}
}

// utterance adds the subtitles of an utterance that has ended, if its words are known.
// start is when the session began.
func (f *film) utterance(u replica.Utterance, start time.Time) {
	if u.Text == "" || u.StartedMS == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	from := start.Add(time.Duration(*u.StartedMS * float64(time.Millisecond)))
	to := time.Now()
	if u.StoppedMS != nil {
		to = start.Add(time.Duration(*u.StoppedMS * float64(time.Millisecond)))
	}
	e := echo.Event{Kind: echo.StartedSpeaking, Role: echo.RolePal, InferenceID: u.EventID}
	f.err = cmp.Or(f.err, f.words.Add(e, from))
	e.Kind, e.Text = echo.KindUtterance, u.Text
	f.err = cmp.Or(f.err, f.words.Add(e, from))
	e.Kind, e.Interrupted = echo.StoppedSpeaking, u.Interrupted
	f.err = cmp.Or(f.err, f.words.Add(e, to))
}

// close writes everything that was played, and completes the files.
func (f *film) close() error {
	late := time.AfterFunc(drainTime, func() {
		f.isMissing.Store(true)
		f.cancel(errCut)
	})
	defer late.Stop()
	var err error
	select {
	case f.queue <- func() { f.cancel(errCut) }:
		err = <-f.ended
	case err = <-f.ended: // the film could not be written
	}
	if errors.Is(err, errCut) {
		err = nil
	}
	if err = cmp.Or(err, f.file.Close(), f.words.Close(), f.err); err == nil && f.isMissing.Load() {
		return errMissing
	}
	return err
}

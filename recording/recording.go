// Package recording records both sides of a call in a file: two channels on one clock,
// the replica on the left, the users on the right, and pictures of the replica if
// Options.Picture draws them.
//
//	file, err := recording.Create("call.webm", nil)
//	err = file.Record(ctx, room.Hear, recording.SideOf)
//	err = file.Close()
//
// The extension of the name selects the container: .wav (16 bits), .webm (Opus) or .mp4
// (AAC, by ffmpeg). However the process ends, the file is complete up to the last
// second: the WAV header is updated with each write, and WebM and MP4 are written in
// independent fragments. Close adds an index to WebM and MP4, for seeking.
package recording

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pion/rtp"

	"echocast/hear"
	"echocast/internal/pcm"
	"echocast/internal/text"
	"echocast/rtc"
)

// Rate is the sampling rate of recordings in Hz, the same as that of replicas.
const Rate = 24000

// Side is a side of a call.
type Side int

// The sides, by their channels.
const (
	Replica Side = iota // left
	User                // right
	sides
)

// SideOf returns the side of a track, in rooms that name tracks as package rtc does.
func SideOf(track string) Side {
	if track == rtc.SoundReplica {
		return Replica
	}
	return User
}

// Options configure a File. Nil and each zero value mean the default.
type Options struct {
	// FFmpeg is the program that writes MP4 and, in builds without libopus, WebM. The
	// default is the one in the PATH.
	FFmpeg string

	// Picture draws the pictures of the replica for WebM (VP8) and MP4 (H.264). If it is
	// nil, and in WAV, there are no pictures.
	Picture Picture

	// OnAudio returns the time at which a packet of Record arrived. The default is the
	// present time.
	OnAudio func(track string, p *rtp.Packet) time.Time
}

// container writes interleaved samples of two channels. It may change them.
type container interface {
	write(samples []int16) error
	close() error
}

// File is a recording. Its methods may be called from several goroutines.
type File struct {
	name    string
	onAudio func(track string, p *rtp.Packet) time.Time

	mu    sync.Mutex
	to    container
	held  [sides][]int16 // samples that wait for as many of the other side
	err   error          // the first one; nothing is written after it
	begun time.Time
}

// NameError reports a file name without a known extension.
type NameError struct{ Name string }

// Error says what is wrong.
func (e *NameError) Error() string { return e.Name + ": the name ends with .wav, .webm or .mp4" }

// Check returns a *NameError if the name does not end with .wav, .webm or .mp4, and
// another error if ffmpeg, which writes such files, is not found.
func Check(name string, o *Options) error {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".wav":
		return nil
	case ".webm":
		if hasOpus {
			return nil
		}
	case ".mp4":
	default:
		return &NameError{name}
	}
	_, err := findFFmpeg(o)
	return err
}

// Create creates the file. The caller closes it.
func Create(name string, o *Options) (*File, error) {
	if err := Check(name, o); err != nil {
		return nil, err
	}
	var to container
	var err error
	switch ending := strings.ToLower(filepath.Ext(name)); {
	case ending == ".wav":
		to, err = createWAV(name)
	case ending == ".webm" && hasOpus:
		to, err = createWebM(name, o)
	default:
		to, err = createByFFmpeg(name, o)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, text.WithoutPath(err))
	}
	f := &File{name: name, to: to, onAudio: func(string, *rtp.Packet) time.Time { return time.Now() }}
	if o != nil && o.OnAudio != nil {
		f.onAudio = o.OnAudio
	}
	return f, nil
}

// Subtitles returns the name of the subtitle file of a recording; "" for "".
func Subtitles(name string) string {
	if name == "" {
		return ""
	}
	return strings.TrimSuffix(name, filepath.Ext(name)) + ".vtt"
}

// Begun returns when the recording began; zero before Record.
func (f *File) Begun() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.begun
}

// Side returns a writer for the samples of one side, signed 16-bit little-endian mono
// at Rate. Samples wait until the other side has as many.
func (f *File) Side(side Side) io.Writer { return sideWriter{f, side} }

type sideWriter struct {
	file *File
	side Side
}

func (w sideWriter) Write(p []byte) (int, error) {
	return len(p), w.file.add(w.side, pcm.Samples(p))
}

func (f *File) add(side Side, samples []int16) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held[side] = append(f.held[side], samples...)
	return f.pass(min(len(f.held[Replica]), len(f.held[User])))
}

// pass writes n samples of both sides. The file is locked.
func (f *File) pass(n int) error {
	if n == 0 || f.err != nil {
		return f.err
	}
	if f.to == nil {
		return fmt.Errorf("%s: %w", f.name, os.ErrClosed)
	}
	both := make([]int16, 2*n)
	for side, held := range f.held {
		for i := range n {
			if i < len(held) {
				both[2*i+side] = held[i]
			}
		}
		f.held[side] = append(held[:0], held[min(n, len(held)):]...)
	}
	if err := f.to.write(both); err != nil {
		f.err = fmt.Errorf("%s: %w", f.name, text.WithoutPath(err))
	}
	return f.err
}

// Close writes the remaining samples, with silence for the shorter side, and completes
// the file. It may be called twice.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.to == nil {
		return f.err
	}
	_ = f.pass(max(len(f.held[Replica]), len(f.held[User]))) // f.err keeps the error
	if err := f.to.close(); err != nil && f.err == nil {
		f.err = fmt.Errorf("%s: %w", f.name, text.WithoutPath(err))
	}
	f.to = nil
	return f.err
}

// Hear calls packet for each packet of sound in a room with the name of its track, and
// left for each track that ends, until ctx or the room ends.
type Hear func(ctx context.Context, packet func(track string, p *rtp.Packet), left func(track string)) error

// Record writes the packets of hear until hear returns, ctx ends or writing fails, and
// waits for hear. side returns the side of a track. The error is hear's, the cause of
// ctx, or the writer's.
func (f *File) Record(ctx context.Context, hearing Hear, side func(track string) Side) error {
	var streams [sides]*hear.Stream
	for s := range streams {
		stream, err := hear.NewStream(Rate, f.Side(Side(s)))
		if err != nil {
			return err
		}
		streams[s] = stream
	}
	f.mu.Lock()
	f.begun = time.Now()
	f.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var other sync.WaitGroup
	other.Go(func() {
		cancel(streams[User].Record(ctx, 0, func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }))
	})
	err := streams[Replica].Record(ctx, 0, func(ctx context.Context) error {
		return hearing(ctx, func(track string, p *rtp.Packet) {
			streams[side(track)].PacketAt(f.onAudio(track, p), track, p)
		},
			func(track string) { streams[side(track)].Left(track) })
	})
	cancel(err)
	other.Wait()
	return errors.Join(f.failed(), err)
}

func (f *File) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

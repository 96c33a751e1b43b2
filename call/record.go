package call

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/pion/rtp"

	"echocast/echo"
	"echocast/listen"
	"echocast/recording"
	"echocast/room"
	"echocast/room/daily"
)

// Recording records a call as a separate participant of its room, and writes a subtitle file
// of what was heard beside the recording. A nil Recording does nothing.
type Recording struct {
	file   *recording.File
	rooms  []*room.Room
	cancel context.CancelCauseFunc
	ended  chan error // receives once

	mu    sync.Mutex
	words *listen.Transcript
	err   error // of writing the subtitles
}

// ErrRecorded is the cause with which Close ends a recording.
var ErrRecorded = errors.New("the call is over")

// Record begins to record the call in a file of package recording, with subtitles. The
// caller closes the Recording before the call. If name is empty, nothing is recorded.
func (c *Call) Record(ctx context.Context, name string) (*Recording, error) {
	if name == "" {
		return nil, nil
	}
	r := &Recording{ended: make(chan error, 1)}
	hearing, side, err := r.join(ctx, c)
	if err == nil {
		r.file, err = recording.Create(name, nil)
	}
	if err == nil {
		r.words, err = listen.NewTranscript(recording.Subtitles(name))
	}
	if err != nil {
		return nil, cmp.Or(err, r.leave())
	}
	r.words.Begin(time.Now())
	ctx, r.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	go func() { r.ended <- r.file.Record(ctx, hearing, side) }() // Close waits
	c.options.Say("recording in %s", name)
	return r, nil
}

// join joins the room to hear both sides. It joins once or, in a Daily room, where a
// connection hears only one participant, once for each side.
func (r *Recording) join(ctx context.Context, c *Call) (recording.Hear, func(string) recording.Side, error) {
	from := []string{room.All}
	if c.isDaily() {
		from = []string{room.Replica, room.User}
	}
	for range from {
		with := &room.Options{Backend: c.joined.Backend, Hear: true, ListenOnly: true, HearRate: recording.Rate}
		joined, err := c.options.Join(ctx, c.at, with)
		if err != nil {
			return nil, nil, err
		}
		r.rooms = append(r.rooms, joined)
	}
	if len(from) == 1 {
		side := func(track string) recording.Side {
			if r.rooms[0].IsReplica(track) {
				return recording.Replica
			}
			return recording.User
		}
		return r.hearing(from, func(_ int, track string) string { return track }), side, nil
	}
	return r.hearing(from, func(i int, _ string) string { return from[i] }), recording.SideOf, nil
}

// isDaily reports whether the room is one of Daily's.
func (c *Call) isDaily() bool {
	backend := c.joined.Backend
	if backend == nil {
		backend, _ = room.Lookup(c.at) // cannot fail: the room was joined
	}
	_, isDaily := backend.(*daily.Backend)
	return isDaily
}

// hearing hears all rooms until one of them ends, and names their tracks.
func (r *Recording) hearing(from []string, name func(room int, track string) string) recording.Hear {
	return func(ctx context.Context, packet func(string, *rtp.Packet), left func(string)) error {
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		var all sync.WaitGroup
		for i, joined := range r.rooms {
			all.Go(func() {
				for err := error(nil); err == nil; { // read events, so that they do not pile up
					_, err = joined.Stage().Next(ctx)
				}
			})
			all.Go(func() {
				cancel(joined.Hear(ctx, from[i], func(track string, p *rtp.Packet) { packet(name(i, track), p) },
					func(track string) { left(name(i, track)) }))
			})
		}
		all.Wait()
		return context.Cause(ctx)
	}
}

// Follow sets callbacks in a session's options that add the user's words and the words heard
// of each utterance to the subtitles.
func (r *Recording) Follow(options *echo.Options) {
	if r == nil {
		return
	}
	event, receipt := options.OnEvent, options.OnReceipt
	options.OnEvent = func(e echo.Event) {
		if e.Role == echo.RoleUser && !e.Stale {
			r.Add(e)
		}
		if event != nil {
			event(e)
		}
	}
	options.OnReceipt = func(receipted echo.Receipt) {
		r.note(func(t *listen.Transcript) error { return t.AddReceipt(receipted, time.Now()) })
		if receipt != nil {
			receipt(receipted)
		}
	}
}

// Add adds an event that has just arrived to the subtitles.
func (r *Recording) Add(e echo.Event) {
	if r == nil {
		return
	}
	r.note(func(t *listen.Transcript) error { return t.Add(e, time.Now()) })
}

func (r *Recording) note(add func(*listen.Transcript) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = cmp.Or(r.err, add(r.words))
}

// Wait waits until the recording ends by itself and returns why, or the cause of ctx.
func (r *Recording) Wait(ctx context.Context) error {
	var ended chan error // a nil Recording never ends
	if r != nil {
		ended = r.ended
	}
	select {
	case err := <-ended:
		r.ended <- err
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close ends the recording and completes its files. The error is one of writing, or why
// hearing the room ended early.
func (r *Recording) Close() error {
	if r == nil {
		return nil
	}
	r.cancel(ErrRecorded)
	err := <-r.ended
	if errors.Is(err, ErrRecorded) || errors.Is(err, room.ErrOver) {
		err = nil
	}
	return cmp.Or(err, r.leave())
}

// leave leaves the rooms, and then completes the files. Only the subtitles are locked:
// events of the session do not wait for the rooms.
func (r *Recording) leave() (err error) {
	for _, joined := range r.rooms {
		_ = joined.Close() // nothing was sent that could be lost
	}
	if r.file != nil {
		err = r.file.Close()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return cmp.Or(err, r.words.Close(), r.err)
}

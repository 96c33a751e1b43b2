// Package serve runs a stand-in replica that other processes dial. Connections that are
// open at the same time share one room and one replica. Each connection gets the events of
// the replica, hears it, and may speak and interrupt.
package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"echocast/internal/outfile"
	"echocast/replica"
	"echocast/replica/page"
	"echocast/rtc"
)

// Options configure a server. The zero value is a replica without a recording.
type Options struct {
	// Replica holds the options of each session. The server sets Record,
	// PeerGone, OnEvent and OnUtterance.
	Replica replica.Options

	// Record is the file that records the first session. A WAV file contains what the
	// replica plays. A .webm or .mp4 file contains both sides and the face, with subtitles
	// in a .vtt file beside it. Further sessions get new files with numbers. Empty means no
	// recording.
	Record string

	// User is a sound file that is played to each connection that hears, as if it were the
	// microphone of a user. Empty means no user.
	User string

	// Once ends the server after its first session.
	Once bool

	// Page is the page that shows the replica; nil: no page.
	Page *page.Page

	// Observer is notified of what happens.
	Observer Observer
}

// Observer is notified of what happens. Its functions may be called from several
// goroutines, must not block, and may be nil.
type Observer struct {
	// Join is called with the number of a connection, and whether it hears.
	Join func(connection int, hears bool)
	// Leave is called when a connection has ended. err is nil after an orderly end.
	Leave func(connection int, err error)
	// Event is called for each event of a replica.
	Event func(replica.Event)
	// Utterance is called for each utterance that has ended.
	Utterance func(replica.Utterance)
	// Report is called at the end of each session.
	Report func(replica.Report)
	// Fail is called for each failure on this side. Run returns the first of them.
	Fail func(error)
}

func (o Observer) withDefaults() Observer {
	if o.Join == nil {
		o.Join = func(int, bool) {}
	}
	if o.Leave == nil {
		o.Leave = func(int, error) {}
	}
	if o.Event == nil {
		o.Event = func(replica.Event) {}
	}
	if o.Utterance == nil {
		o.Utterance = func(replica.Utterance) {}
	}
	if o.Report == nil {
		o.Report = func(replica.Report) {}
	}
	if o.Fail == nil {
		o.Fail = func(error) {}
	}
	return o
}

// ParticipantName returns the name of a connection in events and reports.
func ParticipantName(connection int) string { return fmt.Sprintf("connection %d", connection) }

// server serves one listener. A session begins with the first connection and
// ends when everybody has left.
type server struct {
	options  Options
	observer Observer
	sound    *soundOut
	all      sync.WaitGroup // connections and sessions
	stop     func()         // ends accepting

	mu       sync.Mutex
	room     *replica.Room // of the session that runs, or nil
	sessions int
	failed   error // the first failure on this side
}

// Run accepts connections until ctx ends or, with Options.Once, until the first session has
// ended. It waits for all connections. It returns the cause of ctx, or the first failure on
// this side. It does not close the listener.
func Run(ctx context.Context, listener *rtc.Listener, options *Options) error {
	accepting, stop := context.WithCancel(ctx)
	defer stop()
	s := &server{options: *options, observer: options.Observer.withDefaults(), sound: newSoundOut(), stop: stop}
	if s.options.Page == nil {
		s.options.Page = page.New() // not served
	}
	s.options.Page.SetControls(s)
	defer s.options.Page.Close()
	err := s.accept(ctx, accepting, listener)
	s.all.Wait()
	s.sound.close()
	if s.failed != nil {
		return s.failed
	}
	return err
}

func (s *server) accept(ctx, accepting context.Context, listener *rtc.Listener) error {
	for n := 1; ; n++ {
		conn, err := listener.Accept(accepting)
		switch {
		case err == nil:
			s.all.Go(func() { s.serve(ctx, conn, n) })
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case accepting.Err() != nil:
			return nil
		default:
			return err
		}
	}
}

// serve serves one connection until it ends.
func (s *server) serve(ctx context.Context, conn *rtc.Conn, n int) {
	defer conn.Close()
	s.observer.Join(n, conn.HasSound())
	s.options.Page.Join(n, conn.HasSound())
	stop := s.connectSound(ctx, conn)
	err := s.join(ctx, conn, n)
	stop()
	s.options.Page.Leave(n)
	s.observer.Leave(n, err)
}

// join joins the session that is running, or starts one.
func (s *server) join(ctx context.Context, conn *rtc.Conn, n int) error {
	for {
		err := s.session(ctx).Join(ctx, conn, ParticipantName(n))
		if !errors.Is(err, replica.ErrEnded) {
			return err
		}
	}
}

// session returns the room of the session that is running, which may be about to end. If
// there is none, it starts one.
func (s *server) session(ctx context.Context) *replica.Room {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.room != nil && !s.room.HasEnded() {
		return s.room
	}
	s.sessions++
	options, n := s.options.Replica, s.sessions
	options.PeerGone = rtc.ErrPeerGone
	options.OnEvent, options.OnChunk, options.OnSound = s.event, s.options.Page.Chunk, s.play
	record, err := s.record(ctx, n)
	if err != nil {
		s.all.Go(func() { s.fail(fmt.Errorf("--record %s: %w", s.options.Record, err)) })
	} else if record.wav != nil {
		options.Record = record.wav
	}
	options.OnUtterance = func(u replica.Utterance) {
		s.sound.pause()
		s.observer.Utterance(u)
	}
	if record.film != nil {
		record.film.follow(&options)
	}
	room := replica.NewRoom(&options)
	s.room = room
	s.all.Go(func() { s.run(ctx, room, record) })
	return room
}

// play passes on a piece of playback.
func (s *server) play(at time.Time, rate int, samples []int16) {
	s.sound.play(at, rate, samples)
	s.options.Page.Sound(at, rate, samples)
}

// event passes on an event.
func (s *server) event(e replica.Event) {
	s.options.Page.Event(e)
	s.observer.Event(e)
}

// record is the recording of a session: a WAV file, a film, or none.
type record struct {
	wav  *os.File
	film *film
}

// record begins the recording of a session.
func (s *server) record(ctx context.Context, session int) (r record, err error) {
	switch {
	case s.options.Record == "":
	case isFilm(s.options.Record):
		r.film, err = s.film(ctx, session)
	case session == 1:
		r.wav, err = outfile.Create(s.options.Record)
	default:
		r.wav, err = outfile.CreateNumbered(s.options.Record, session)
	}
	return r, err
}

// close completes the file.
func (r record) close() error {
	switch {
	case r.wav != nil:
		return r.wav.Close()
	case r.film != nil:
		return r.film.close()
	}
	return nil
}

// run runs a session to its end.
func (s *server) run(ctx context.Context, room *replica.Room, record record) {
	report, err := room.Run(ctx)
	if closed := record.close(); closed != nil {
		err = errors.Join(err, fmt.Errorf("--record %s: %w", s.options.Record, closed))
	}
	if err != nil && !errors.Is(err, rtc.ErrLost) { // Leave reports ErrLost
		s.fail(err)
	}
	s.observer.Report(report)
	if s.options.Once {
		s.stop()
	}
}

func (s *server) fail(err error) {
	s.observer.Fail(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = err
	}
}

// UserSpeaks implements page.Controls.
func (s *server) UserSpeaks(speaking bool) {
	if room := s.current(); room != nil {
		room.UserSpeaks(speaking)
	}
}

// SetFaults implements page.Controls.
func (s *server) SetFaults(words []string) error {
	var options replica.Options
	if err := options.SetFaults(words); err != nil {
		return err
	}
	if room := s.current(); room != nil {
		room.SetFaults(options.Faults)
	}
	return nil
}

// current returns the room of the running session, or nil.
func (s *server) current() *replica.Room {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.room
}

// connectSound sends the sound of the replica and of the user to a connection that asked
// for sound. The function it returns stops that.
func (s *server) connectSound(ctx context.Context, conn *rtc.Conn) (stop func()) {
	if !conn.HasSound() {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	stopListening := s.listen(ctx, conn)
	var user sync.WaitGroup
	if s.options.User == "" {
		user.Go(func() { s.sound.relay(ctx, conn) })
	}
	return func() {
		cancel()
		stopListening()
		user.Wait()
	}
}

// listen sends a listener the sound of the replica, and that of the user if there is a file
// for it. It continues until ctx ends or stop is called. stop waits for the end.
func (s *server) listen(ctx context.Context, to listener) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var user sync.WaitGroup
	if s.options.User != "" {
		user.Go(func() {
			if err := playUser(ctx, s.options.User, to); err != nil {
				s.fail(fmt.Errorf("--user %s: %w", s.options.User, err))
			}
		})
	}
	remove := s.sound.add(to)
	return func() {
		remove()
		cancel()
		user.Wait()
	}
}

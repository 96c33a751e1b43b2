package livekittest

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	lksdk "github.com/livekit/server-sdk-go/v2"

	"echocast/internal/sleep"
)

// frame is the playing time of the audio that is played at once.
const frame = 20 * time.Millisecond

// playback is one stream, from its header on.
type playback struct {
	id       string
	rate     int // Hz
	channels int

	mu        sync.Mutex
	pcm       []byte // arrived audio
	at        int    // how much of it was played
	isOver    bool   // its trailer has arrived
	isCleared bool
	changed   chan struct{} // one slot
	lateness  []float64     // ms, of each read that began with a stamp
}

var streamID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// receive reads one byte stream to its end.
func (a *avatar) receive(r *lksdk.ByteStreamReader, from string) {
	id := r.Info.Id
	if from != a.Sender {
		a.complain(id, "a stream from %q, who is not the sender", from)
		return
	}
	a.check(r.Info)
	p := &playback{id: id, changed: make(chan struct{}, 1)}
	p.rate, _ = strconv.Atoi(r.Info.Attributes["sample_rate"])
	p.channels, _ = strconv.Atoi(r.Info.Attributes["num_channels"])
	a.report(Report{Event: Stream, ID: id, Attributes: r.Info.Attributes})
	if p.rate <= 0 || p.channels <= 0 {
		return // the reference worker raises an error
	}
	a.mu.Lock()
	a.current = append(a.current, p)
	a.mu.Unlock()
	a.streams <- p
	fill(a.spoken)
	buf := make([]byte, 64<<10)
	for {
		n, err := r.Read(buf)
		a.count(n)
		p.put(buf[:n], err == io.EOF, a.Stamped)
		if err != nil {
			return
		}
	}
}

// count counts received bytes, and leaves the room at the limit.
func (a *avatar) count(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.received += n; a.LeaveAfter > 0 && a.received >= a.LeaveAfter && !a.hasLeft {
		a.hasLeft = true
		a.work.Go(a.room.Disconnect)
	}
}

// check complains about a header that is not as LiveKit's agents send it.
func (a *avatar) check(info lksdk.ByteStreamInfo) {
	age := time.Since(time.UnixMilli(info.Timestamp)).Abs()
	name := ""
	if info.Name != nil {
		name = *info.Name
	}
	for problem, bad := range map[string]bool{
		"its topic is " + info.Topic:        info.Topic != "lk.audio_stream",
		"its MIME type is " + info.MimeType: info.MimeType != "application/octet-stream",
		"its id " + info.Id + " is no UUID": !streamID.MatchString(info.Id),
		"its name " + name + " does not begin with AUDIO_": !strings.HasPrefix(name, "AUDIO_") ||
			len(name) < 8,
		"it says how long it will be":        info.Size != nil,
		"its time is off by " + age.String(): age > time.Minute,
		"it has not two attributes":          len(info.Attributes) != 2,
		"its sample_rate is " + info.Attributes["sample_rate"]: !decimal(info.Attributes["sample_rate"],
			8000, 192000),
		"its num_channels is not 1 but " + info.Attributes["num_channels"]: info.Attributes["num_channels"] != "1",
	} {
		if bad {
			a.complain(info.Id, "%s", problem)
		}
	}
}

func decimal(text string, low, high int) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= low && n <= high && strconv.Itoa(n) == text
}

func (p *playback) put(pcm []byte, over, stamped bool) {
	p.mu.Lock()
	if stamped && len(pcm) >= 8 {
		late := time.Since(time.Unix(0, int64(binary.LittleEndian.Uint64(pcm))))
		p.lateness = append(p.lateness, float64(late.Microseconds())/1000)
	}
	p.pcm = append(p.pcm, pcm...)
	p.isOver = p.isOver || over
	p.mu.Unlock()
	p.wake()
}

func (p *playback) clear() {
	p.mu.Lock()
	p.isCleared = true
	p.mu.Unlock()
	p.wake()
}

func (p *playback) wake() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

func (p *playback) length(bytes int) time.Duration {
	return time.Duration(bytes) * time.Second / time.Duration(2*p.channels*p.rate)
}

// play plays the streams one after the other.
func (a *avatar) play(ctx context.Context) {
	for {
		select {
		case p := <-a.streams:
			a.playOne(ctx, p)
		case <-ctx.Done():
			return
		}
	}
}

// playOne plays one stream by the clock: a frame ends when its playing time is over, even if
// nothing else has arrived.
func (a *avatar) playOne(ctx context.Context, p *playback) {
	started := false
	due := time.Time{} // the end of the last frame; zero: nothing plays
	for ctx.Err() == nil {
		n, cleared, over := p.available()
		left := time.Until(due)
		switch {
		case cleared, over && left <= 0:
			a.finish(ctx, p)
			return
		case left > 0:
			p.wait(ctx, left)
			continue
		case n == 0 && !due.IsZero():
			a.report(Report{Event: Underrun, ID: p.id, Received: p.received()})
			due = time.Time{}
			continue
		case n == 0:
			p.wait(ctx, time.Hour)
			continue
		case due.IsZero():
			due = time.Now()
		}
		if !started {
			started = true
			a.start(ctx, p)
		}
		due = due.Add(time.Duration(float64(p.take(n)) / a.Speed))
	}
}

// start reports the first frame of a stream.
func (a *avatar) start(ctx context.Context, p *playback) {
	a.report(Report{Event: Started, ID: p.id})
	if a.UserAt > 0 {
		a.user.Do(func() { a.work.Go(func() { a.userSpeaks(ctx) }) })
	}
	a.sayStarted(ctx)
}

func (a *avatar) sayStarted(ctx context.Context) {
	if !a.NoStarted {
		a.call(ctx, "lk.playback_started", "")
	}
}

// available returns how many bytes the next frame has. cleared says that the rest is dropped,
// and over that nothing is left to play.
func (p *playback) available() (n int, cleared, over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	size := int(frame*time.Duration(p.rate)/time.Second) * 2 * p.channels
	n = min(size, len(p.pcm)-p.at)
	if n < size && !p.isOver {
		n = 0 // only the last frame may be shorter
	}
	return n, p.isCleared, p.isOver && n == 0
}

// received returns how many bytes have arrived.
func (p *playback) received() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pcm)
}

// take marks n bytes as played, and returns their playing time.
func (p *playback) take(n int) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at += n
	return p.length(n)
}

// wait waits for a change, for at most d.
func (p *playback) wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.changed:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// finish reports how far a stream was played, and stores the played audio.
func (a *avatar) finish(ctx context.Context, p *playback) {
	p.mu.Lock()
	r := Report{Event: Finished, ID: p.id, Received: len(p.pcm), Played: p.at, Interrupted: p.isCleared,
		Position: p.length(p.at).Seconds()}
	r.Lateness = p.lateness
	heard := p.pcm[:p.at]
	p.mu.Unlock()
	if len(heard) == 0 && !r.Interrupted {
		a.complain(p.id, "an empty stream")
	}
	if r.Received%(2*p.channels) != 0 {
		a.complain(p.id, "%d bytes are no whole frames", r.Received)
	}
	if a.Folder != "" {
		r.File = filepath.Join(a.Folder, p.id+".s16")
		if err := os.WriteFile(r.File, heard, 0o600); err != nil {
			a.complain(p.id, "cannot keep what was played: %v", err)
		}
	}
	a.mu.Lock()
	a.current = slices.DeleteFunc(a.current, func(other *playback) bool { return other == p })
	a.finished++
	lose := a.finished == a.LoseFinished
	a.mu.Unlock()
	if !lose && sleep.For(ctx, a.ReportAfter) == nil {
		payload, _ := json.Marshal(map[string]any{ // always marshals
			"playback_position": r.Position, "interrupted": r.Interrupted, "synchronized_transcript": nil})
		r.Reply = a.call(ctx, "lk.playback_finished", string(payload))
	}
	a.report(r)
}

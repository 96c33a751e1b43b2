package trace

import (
	"errors"
	"io"
	"math"
	"slices"
	"time"

	"echocast/echo"
)

// Session is one run in a trace, without the messages. All times are seconds since its
// start.
type Session struct {
	Start      time.Time
	Program    string
	Length     float64 // until the last entry, or the end of playback
	Cut        bool    // the recording process was killed
	Missing    int     // lines that the recorder dropped
	Out, In    int     // numbers of messages
	Utterances []Utterance
	Inputs     []Input
	Chunks     []Chunk
	Buffer     []Level // audio held by the replica, estimated
	Underruns  []Span  // when the buffer ran out within an utterance, estimated
	Replica    []Span  // when the replica spoke
	User       []Span  // when a user spoke
	Away       []Span  // when there was no connection
	Marks      []Mark
	Said       []Said // sent texts, and the words of events
}

// Utterance is one utterance and its receipt.
type Utterance struct {
	ID, Name     string
	From, To     float64 // from its start to its receipt
	Rate         int     // Hz
	Samples      int64   // sent
	Chunks       int
	Underruns    int           // estimated from the sent chunks
	Receipt      *echo.Receipt // nil if the trace ends before the receipt
	PCM          []byte        // s16le of the messages, if the trace contains them; limited
	hasInterrupt bool
}

// Input is audio that was read from the source of an utterance.
type Input struct {
	T       float64
	Seconds float64 // playing time
}

// Chunk is a message of audio.
type Chunk struct {
	T         float64 // when the connection accepted it
	Late      float64 // behind its due time; NaN if that is unknown
	Utterance int     // index
	Position  float64 // in the utterance, as playing time
	Seconds   float64 // playing time
	Plays     float64 // when it plays, estimated; NaN: never
	Heard     float64 // seconds of it that play before an interrupt
	Peaks     []int
}

// Level is how much audio the replica held at a time. Between two levels the amount changes
// linearly. Two levels at the same time are a jump.
type Level struct{ T, Seconds float64 }

// Span is a stretch of time.
type Span struct {
	From, To float64
	Text     string
}

// Mark is a moment that the page shows.
type Mark struct {
	T    float64
	Kind Kind
	Text string
}

// Sessions reads a whole trace and returns its runs. If it returns an error, it also
// returns the runs before the damage. An incomplete last line is no error.
func Sessions(r io.Reader) ([]*Session, error) {
	var all []*Session
	var reading *analysis
	room := mostAudio
	finish := func() {
		if reading != nil {
			all = append(all, reading.finish())
		}
	}
	for e, err := range Read(r) {
		if err != nil {
			cut := errors.Is(err, ErrCut)
			if cut {
				reading.s.Cut = true
				err = nil
			}
			finish()
			return all, err
		}
		if e.Kind == KindStart {
			finish()
			reading = newAnalysis(e, &room)
			continue
		}
		reading.add(e)
	}
	finish()
	return all, nil
}

// analysis builds a Session from entries.
type analysis struct {
	s        *Session
	known    map[string]int // index of each utterance, by id
	buffer   buffer
	replica  speakingSpans
	user     speakingSpans
	lost     float64 // when the connection was lost; NaN: connected
	lostText string
	room     *int // bytes of audio that may still be stored
}

func newAnalysis(start Entry, room *int) *analysis {
	s := &Session{Start: start.Start, Program: start.Program}
	return &analysis{
		s: s, known: map[string]int{}, lost: math.NaN(), room: room,
		buffer: buffer{s: s, dry: math.NaN()}, replica: speakingSpans{spans: &s.Replica}, user: speakingSpans{spans: &s.User},
	}
}

// add adds one entry.
func (a *analysis) add(e Entry) {
	a.s.Length = max(a.s.Length, e.T)
	switch e.Kind {
	case KindBegin:
		u := &a.s.Utterances[a.utterance(e)]
		u.Name, u.Rate = e.Text, e.Rate
	case KindInput:
		u := a.s.Utterances[a.utterance(e)]
		a.s.Inputs = append(a.s.Inputs, Input{e.T, u.seconds(int64(e.Samples))})
	case KindChunk:
		a.chunk(e)
	case KindInterrupt:
		a.interrupt(e)
	case KindEvent:
		a.event(e)
	case KindReceipt:
		a.receipt(e)
	case KindLost:
		a.mark(e, e.Text)
		if math.IsNaN(a.lost) {
			a.lost, a.lostText = e.T, e.Text
		}
	case KindConnected:
		if !math.IsNaN(a.lost) { // the first connection is not a mark
			a.mark(e, e.Text)
		}
		a.connected(e.T)
	case KindOut:
		a.s.Out++
		a.sent(e)
	case KindIn:
		a.s.In++
		a.received(e)
	case KindGap:
		a.s.Missing += max(e.Lines, 0)
	}
}

func (a *analysis) mark(e Entry, text string) {
	a.s.Marks = append(a.s.Marks, Mark{e.T, e.Kind, text})
}

// utterance returns the index of the utterance of an entry. It adds an unknown utterance.
func (a *analysis) utterance(e Entry) int {
	i, ok := a.known[e.ID]
	if !ok {
		i = len(a.s.Utterances)
		a.known[e.ID] = i
		a.s.Utterances = append(a.s.Utterances, Utterance{ID: e.ID, From: e.T, To: math.NaN()})
	}
	return i
}

// seconds returns the playing time of a number of samples.
func (u *Utterance) seconds(samples int64) float64 {
	rate := u.Rate
	if rate == 0 {
		rate = echo.DefaultRate
	}
	return float64(samples) / float64(rate)
}

func (a *analysis) chunk(e Entry) {
	i := a.utterance(e)
	u := &a.s.Utterances[i]
	u.Chunks++
	u.Samples += int64(e.Samples)
	c := Chunk{
		T: e.T, Late: math.NaN(), Utterance: i, Position: u.seconds(e.Position),
		Seconds: u.seconds(int64(e.Samples)), Plays: math.NaN(), Peaks: e.Peaks,
	}
	if e.Due != nil {
		c.Late = micro(e.T - *e.Due)
	}
	a.s.Chunks = append(a.s.Chunks, c)
	a.buffer.add(len(a.s.Chunks)-1, e.Last)
}

// interrupt handles an interrupt, which ends all speech.
func (a *analysis) interrupt(e Entry) {
	a.mark(e, e.Text)
	if i, ok := a.known[e.ID]; ok {
		a.s.Utterances[i].hasInterrupt = true
	}
	a.buffer.stop(e.T)
}

func (a *analysis) receipt(e Entry) {
	u := &a.s.Utterances[a.utterance(e)]
	u.Receipt, u.To = e.Receipt, e.T
	if u.Name == "" && e.Receipt != nil {
		u.Name = e.Receipt.Source
	}
	a.buffer.over(a.known[e.ID], e.T)
}

func (a *analysis) event(e Entry) {
	if e.Event == nil {
		return
	}
	who := &a.replica
	if e.Event.Role == echo.RoleUser {
		who = &a.user
	}
	switch e.Event.Kind {
	case echo.StartedSpeaking:
		who.start(e.T, e.Event.InferenceID)
	case echo.StoppedSpeaking:
		if who.stop(e.T) && e.Event.Interrupted {
			a.stopped(e)
		}
	case echo.ReplicaJoined:
		if !slices.ContainsFunc(a.s.Marks, func(m Mark) bool { return m.Text == joinedText }) {
			a.mark(Entry{Kind: KindConnected, T: e.T}, joinedText)
		}
	case echo.Shutdown:
		a.mark(Entry{Kind: KindLost, T: e.T}, "the room was shut down")
	}
}

// stopped handles an interrupted stopped_speaking. It adds a mark, unless the event follows
// our own interrupt.
func (a *analysis) stopped(e Entry) {
	a.buffer.stop(e.T)
	if n := len(a.s.Marks); n == 0 || a.s.Marks[n-1].Kind != KindInterrupt {
		a.mark(e, "the replica was interrupted by another participant")
	}
}

const joinedText = "the replica joined"

func (a *analysis) connected(t float64) {
	if !math.IsNaN(a.lost) {
		a.s.Away = append(a.s.Away, Span{a.lost, t, a.lostText})
		a.lost = math.NaN()
	}
}

// finish closes everything that is still open.
func (a *analysis) finish() *Session {
	s := a.s
	ended := s.Length
	a.buffer.finish(ended)
	a.connected(s.Length)
	a.replica.stop(ended)
	a.user.stop(ended)
	for i := range s.Utterances {
		if math.IsNaN(s.Utterances[i].To) {
			s.Utterances[i].To = ended
		}
	}
	return s
}

// speakingSpans collects when somebody spoke. Repeated events have no effect.
type speakingSpans struct {
	spans  *[]Span
	isOpen bool
}

func (s *speakingSpans) start(t float64, text string) {
	if !s.isOpen {
		*s.spans = append(*s.spans, Span{From: t, Text: text})
	}
	s.isOpen = true
}

func (s *speakingSpans) stop(t float64) bool {
	if !s.isOpen {
		return false
	}
	(*s.spans)[len(*s.spans)-1].To = t
	s.isOpen = false
	return true
}

// preBuffer is how many seconds of audio a replica is assumed to buffer before it plays, as
// in package echo.
const preBuffer = 0.1

// buffer estimates, from when chunks were sent, how much audio the replica holds. The
// replica is assumed to start playing once it has 100 ms, or a whole utterance.
type buffer struct {
	s       *Session
	waiting []int   // chunks that are waiting while the replica does not play
	playing []int   // chunks that may not have finished playing
	held    float64 // seconds of the waiting chunks
	dry     float64 // when the buffer runs out; NaN while the replica does not play
	current int     // utterance of the latest chunk
	isOpen  bool    // that utterance has no last chunk yet
}

// slack is a tolerance, so that times rounded to microseconds do not count as underruns.
const slack = 2e-6

// add adds a chunk.
func (b *buffer) add(i int, last bool) {
	c := &b.s.Chunks[i]
	if b.isOpen && c.Utterance != b.current {
		b.isOpen = false // its last chunk was never sent
	}
	b.runDry(c.T)
	b.current, b.isOpen = c.Utterance, !last
	if math.IsNaN(b.dry) {
		b.level(c.T, b.held)
		b.waiting = append(b.waiting, i)
		b.held += c.Seconds
		b.level(c.T, b.held)
		if b.held >= preBuffer-slack || last {
			b.play(c.T)
		}
		return
	}
	b.level(c.T, b.dry-c.T)
	b.enqueue(c)
	b.playing = append(b.playing, i)
	b.level(c.T, b.dry-c.T)
}

func (b *buffer) level(t, seconds float64) {
	b.s.Buffer = append(b.s.Buffer, Level{t, max(seconds, 0)})
}

// enqueue adds a chunk behind the audio that is playing.
func (b *buffer) enqueue(c *Chunk) {
	c.Plays, c.Heard = b.dry, c.Seconds
	b.dry += c.Seconds
}

// play starts to play the waiting chunks.
func (b *buffer) play(t float64) {
	b.dry = t
	for _, i := range b.waiting {
		b.enqueue(&b.s.Chunks[i])
	}
	b.playing = append(b.playing[:0], b.waiting...)
	b.waiting, b.held = b.waiting[:0], 0
	if n := len(b.s.Underruns); n > 0 && math.IsNaN(b.s.Underruns[n-1].To) {
		b.s.Underruns[n-1].To = t
	}
}

// runDry checks whether the buffer ran out before t. Within an utterance this is an
// underrun that lasts until playback resumes.
func (b *buffer) runDry(t float64) {
	if math.IsNaN(b.dry) || b.dry >= t-slack {
		return
	}
	b.level(b.dry, 0)
	if b.isOpen {
		b.s.Underruns = append(b.s.Underruns, Span{b.dry, math.NaN(), ""})
		b.s.Utterances[b.current].Underruns++
	}
	b.dry, b.playing = math.NaN(), b.playing[:0]
}

// stop drops the audio that has not played by t.
func (b *buffer) stop(t float64) {
	b.runDry(t)
	b.endUnderrun(t)
	left := b.held
	if !math.IsNaN(b.dry) {
		left = b.dry - t
	}
	if left > 0 {
		b.level(t, left)
		b.level(t, 0)
	}
	for _, i := range b.playing {
		c := &b.s.Chunks[i]
		c.Heard = min(max(t-c.Plays, 0), c.Heard)
	}
	b.dry, b.held, b.isOpen = math.NaN(), 0, false
	b.playing, b.waiting = b.playing[:0], b.waiting[:0]
}

func (b *buffer) endUnderrun(t float64) {
	if n := len(b.s.Underruns); n > 0 && math.IsNaN(b.s.Underruns[n-1].To) {
		b.s.Underruns[n-1].To = t
	}
}

// over handles the receipt of an utterance. No more chunks of it follow. If less than the
// pre-buffer has arrived, it is never played.
func (b *buffer) over(utterance int, t float64) {
	if utterance != b.current || len(b.s.Chunks) == 0 {
		return
	}
	b.runDry(t)
	b.endUnderrun(t)
	b.isOpen = false
}

// finish plays the rest, which may take longer than the trace.
func (b *buffer) finish(t float64) {
	b.runDry(t)
	b.endUnderrun(t)
	if math.IsNaN(b.dry) {
		return
	}
	b.level(b.dry, 0)
	b.s.Length = max(b.s.Length, b.dry)
}

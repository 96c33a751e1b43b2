package converse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"echocast/audio"
	"echocast/echo"
	"echocast/internal/sleep"
	"echocast/internal/testwait"
)

func TestMain(m *testing.M) { testwait.RunAndFindLeaks(m) }

// Every state and event has an outcome that keeps the rules of the states.
func TestDecideIsTotal(t *testing.T) {
	for _, p := range []bargeInPolicy{{}, {ignoresUser: true}, {givesUp: true}, {true, true}} {
		for s := range stateCount {
			for e := range eventCount {
				next, actions := p.decide(s, e)
				checkDecision(t, p, s, e, next, actions)
			}
		}
	}
}

func checkDecision(t *testing.T, p bargeInPolicy, s state, e event, next state, actions []action) {
	t.Helper()
	has := func(a action) bool { return slices.Contains(actions, a) }
	drops := has(abandonForSound) || has(abandonForWords)
	for problem, isWrong := range map[string]bool{
		"no such state":                             next < 0 || next >= stateCount,
		"an answer begins beside another":           has(begin) && s != idle && !drops,
		"an answer begins and nothing is prepared":  has(begin) && next != preparing,
		"what the user said is lost":                e == userSaid && !has(begin) && !has(enqueue),
		"an answer is lost, unreported":             s != idle && next == idle && e != answerEnded && !drops,
		"an answer is cut short, which must not be": p.ignoresUser && (drops || has(pause)),
		"speaking without a permit":                 next == speaking && s != speaking && s != heldSpeaking && !has(permit),
		"a permit twice":                            has(permit) && (s == speaking || s == heldSpeaking),
		"paused and not held":                       has(pause) && next != heldSpeaking,
		"held in mid-speech and not paused":         s == speaking && next == heldSpeaking && !has(pause),
		"continues and stays paused":                s == heldSpeaking && next != heldSpeaking && !has(resume) && !drops,
		"held without an end":                       isHeld(next) && !isHeld(s) && !has(awaitStop),
		"a cough ends the answer":                   e == userStarted && drops && !p.givesUp,
	} {
		if isWrong {
			t.Errorf("%+v, state %d, event %d: state %d, actions %v: %s", p, s, e, next, actions, problem)
		}
	}
}

// fakeSession plays in the time of the test what it is given.
type fakeSession struct {
	events chan echo.Event

	mu       sync.Mutex
	lost     chan struct{} // closed by lose; nil: nothing is spoken
	paused   chan struct{} // closed by Resume; nil: not paused
	speaking bool
	heard    map[string]int // samples, by the name of the speech
	problems []string
}

func (s *fakeSession) Events(ctx context.Context) iter.Seq2[echo.Event, error] {
	return func(yield func(echo.Event, error) bool) {
		news := echo.NewEventFilter()
		for {
			select {
			case e := <-s.events:
				e.Stale = !news.IsNews(time.Now(), e)
				if !yield(e, nil) {
					return
				}
			case <-ctx.Done():
				yield(echo.Event{}, context.Cause(ctx))
				return
			}
		}
	}
}

func (s *fakeSession) Pause(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused == nil {
		s.paused = make(chan struct{})
	}
	return nil
}

func (s *fakeSession) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused != nil {
		close(s.paused)
		s.paused = nil
	}
}

// lose ends what is being spoken, as a lost connection does.
func (s *fakeSession) lose() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lost != nil {
		close(s.lost)
		s.lost = nil
	}
}

const piece = 50 * time.Millisecond

func (s *fakeSession) Speak(ctx context.Context, speech echo.Speech) (echo.Receipt, error) {
	s.mu.Lock()
	if s.speaking {
		s.problems = append(s.problems, "two answers are spoken at the same time")
	}
	s.speaking = true
	lost := make(chan struct{})
	s.lost = lost
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.speaking, s.lost = false, nil
	}()
	buf := make([]float32, 1200)
	for {
		s.mu.Lock()
		paused := s.paused
		s.mu.Unlock()
		if paused != nil {
			select {
			case <-paused:
			case <-lost:
			case <-ctx.Done():
			}
		}
		select {
		case <-lost:
			return echo.Receipt{}, echo.ErrLost
		default:
		}
		if !sleepFor(ctx, piece) {
			return echo.Receipt{}, context.Cause(ctx)
		}
		n, err := speech.Samples.ReadSamples(buf)
		if errors.Is(err, io.EOF) {
			return echo.Receipt{}, nil
		}
		if err != nil {
			return echo.Receipt{}, err
		}
		s.mu.Lock()
		s.heard[speech.Name] += n
		s.mu.Unlock()
	}
}

func sleepFor(ctx context.Context, d time.Duration) bool {
	_ = sleep.For(ctx, d)
	return ctx.Err() == nil
}

// silence is silent audio with left samples.
type silence struct{ left int }

func (s *silence) Format() audio.Format { return audio.Format{Rate: audio.DefaultRate, Channels: 1} }
func (s *silence) ReadSamples(p []float32) (int, error) {
	n := min(len(p), s.left)
	s.left -= n
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
func (s *silence) Info() audio.Info   { return audio.Info{} }
func (s *silence) FramesRead() int64  { return 0 }
func (s *silence) Warnings() []string { return nil }

func (s *silence) Words() []audio.Word { return nil }
func (s *silence) Close() error        { return nil }

// fakeAnswers makes an answer of a length that the random numbers decide, after a
// while; some fail.
func fakeAnswers(random *rand.Rand) func(ctx context.Context, r request) (*answerAudio, error) {
	var mu sync.Mutex
	return func(ctx context.Context, r request) (*answerAudio, error) {
		mu.Lock()
		think, length, fails := time.Duration(random.IntN(3000))*time.Millisecond, random.IntN(6*24000), random.IntN(10) == 0
		mu.Unlock()
		if !sleepFor(ctx, think) {
			return nil, context.Cause(ctx)
		}
		if fails {
			return nil, errors.New("a command failed")
		}
		return &answerAudio{
			audio: &silence{length}, abort: func() {}, reply: func() string { return "re: " + r.question },
			finish: func(error) error { return nil },
		}, nil
	}
}

// script is the events of the user in a room, in the order in which they arrive.
type script struct {
	events []echo.Event
	gaps   []time.Duration
	words  []string     // all that arrive, once each, in their order if a recogniser hears them
	losses map[int]bool // the connection is lost before the event of this number
	coughs bool         // nothing but sounds after the first words
}

// newScript makes up what a user does, and how a network changes it: twins,
// losses and another order.
func newScript(random *rand.Rand) script {
	var s script
	seq := int64(0)
	add := func(kind echo.Kind, text string) {
		seq++
		s.events = append(s.events, echo.Event{Kind: kind, Role: echo.RoleUser, Seq: seq, Text: text})
		s.gaps = append(s.gaps, time.Duration(random.IntN(2500))*time.Millisecond)
	}
	add(echo.KindUtterance, "words 0")
	s.coughs = random.IntN(3) == 0
	for i := range 1 + random.IntN(8) {
		add(echo.StartedSpeaking, "")
		add(echo.StoppedSpeaking, "")
		if !s.coughs && random.IntN(2) == 0 {
			add(echo.KindUtterance, fmt.Sprintf("words %d", i+1))
		}
	}
	for i := 1; i < len(s.events); i++ {
		switch random.IntN(10) {
		case 0: // lost
			if s.events[i].Kind != echo.KindUtterance {
				s.events, s.gaps = slices.Delete(s.events, i, i+1), slices.Delete(s.gaps, i, i+1)
				i--
			}
		case 1: // comes twice
			s.events, s.gaps = slices.Insert(s.events, i, s.events[i]), slices.Insert(s.gaps, i, 0)
			i++
		case 2: // comes late
			j := min(i+1+random.IntN(3), len(s.events)-1)
			s.events[i], s.events[j] = s.events[j], s.events[i]
		}
	}
	s.losses = map[int]bool{}
	for i := 1; i < len(s.events); i++ {
		if random.IntN(8) == 0 { // and what happens meanwhile is told by nobody
			gone := min(random.IntN(3), len(s.events)-i-1)
			s.events, s.gaps = slices.Delete(s.events, i, i+gone), slices.Delete(s.gaps, i, i+gone)
			s.losses[i] = true
		}
	}
	for _, e := range s.events {
		if e.Text != "" && !slices.Contains(s.words, e.Text) {
			s.words = append(s.words, e.Text)
		}
	}
	return s
}

// noteCollector collects the notes of a conversation.
type noteCollector struct {
	mu        sync.Mutex
	notes     []Note
	questions map[string]string // the words that an answer is for
}

func (f *noteCollector) add(n Note) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notes = append(f.notes, n)
	if n.Kind == NoteUser {
		f.questions[fmt.Sprintf("answer %d", len(f.questions)+1)] = n.Text
	}
}

// count is how many notes of these kinds an answer, or words, got.
func (f *noteCollector) count(answer, text string, kinds ...NoteKind) (n int) {
	for _, note := range f.notes {
		if slices.Contains(kinds, note.Kind) && note.Answer == answer && (text == "" || note.Text == text) {
			n++
		}
	}
	return n
}

// The user's words are all answered, or reported as not answered. A cancelled answer is
// reported, a cough loses no audio, and every wait is bounded.
func TestGeneratedConversations(t *testing.T) {
	count := testwait.Trials(10_000)
	losses, restarts := 0, 0
	for seed := range count {
		if t.Failed() {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			lost, restarted := generated(t, uint64(seed))
			losses, restarts = losses+lost, restarts+restarted
		})
	}
	if losses < count/20 || restarts < count/20 {
		t.Errorf("%d answers were lost, and the recogniser started again %d times, in %d conversations",
			losses, restarts, count)
	}
}

// generated returns how many answers a loss of the connection ended, and how often the
// recogniser was started again.
func generated(t *testing.T, seed uint64) (losses, restarts int) {
	random := rand.New(rand.NewPCG(seed, 18))
	s := newScript(random)
	session := &fakeSession{events: make(chan echo.Event, 256), heard: map[string]int{}}
	told := &noteCollector{questions: map[string]string{}}
	options := Options{OnNote: told.add, IgnoreUser: random.IntN(4) == 0}
	if random.IntN(5) == 0 {
		options.FalseInterrupt = -1
	}
	said := make(chan string, len(s.words)) // what a recogniser hears
	if random.IntN(3) == 0 {
		slices.Sort(s.words)
		options.Recogniser = "a command"
		options.Listen = func(context.Context, io.Writer) (func() error, error) { return func() error { return nil }, nil }
	}
	finished, lost := map[string]bool{}, map[string]bool{}
	options.Speak = func(ctx context.Context, name string, _ Audio, speech echo.Speech) (echo.Receipt, error) {
		receipt, err := session.Speak(ctx, speech)
		if err == nil {
			told.mu.Lock()
			finished[name] = true
			told.mu.Unlock()
		}
		if errors.Is(err, echo.ErrLost) {
			told.mu.Lock()
			lost[name] = true
			told.mu.Unlock()
		}
		return receipt, err
	}
	c := newConversation(session, options)
	c.make, c.understand = fakeAnswers(random), fakeRecogniser(rand.New(rand.NewPCG(seed, 19)), said)
	began, endsEarly := time.Now(), random.IntN(4) == 0
	unsaid := s.words
	go func() {
		for i, e := range s.events {
			time.Sleep(s.gaps[i])
			if s.losses[i] {
				session.lose()
			}
			session.events <- e
			if e.Text != "" && len(unsaid) > 0 {
				said <- unsaid[0]
				unsaid = unsaid[1:]
			}
		}
		if !endsEarly { // all answers end in this time, or are held for ever
			time.Sleep(time.Duration(len(s.words))*10*time.Second + 2*maxHold)
		}
		session.events <- echo.Event{Kind: echo.Shutdown}
	}()
	if err := c.talk(t.Context()); err != nil {
		t.Errorf("seed %d: %v", seed, err)
	}
	if took := time.Since(began); took > time.Hour {
		t.Errorf("seed %d: the conversation took %v", seed, took)
	}
	checkNotes(t, seed, s, told, finished, lost, endsEarly, options)
	for _, problem := range session.problems {
		t.Errorf("seed %d: %s", seed, problem)
	}
	return len(lost), told.count("recogniser", "", NoteFailed)
}

// fakeRecogniser hears what is said, and ends now and then: after some words, or
// without any.
func fakeRecogniser(random *rand.Rand, said <-chan string) func(context.Context, *switchWriter,
	func(userEvent) bool) (bool, error) {
	failed := 0 // in a row
	return func(ctx context.Context, _ *switchWriter, hand func(userEvent) bool) (isUseful bool, err error) {
		if failed < maxFailedStarts-1 && random.IntN(3) == 0 {
			failed++
			return false, errors.New("ended")
		}
		failed = 0
		for range 1 + random.IntN(3) {
			select {
			case text := <-said:
				if !hand(userEvent{kind: userSaid, text: text}) {
					return true, context.Cause(ctx)
				}
			case <-ctx.Done():
				return true, context.Cause(ctx)
			}
		}
		return true, errors.New("ended")
	}
}

func checkNotes(t *testing.T, seed uint64, s script, told *noteCollector, finished, lost map[string]bool,
	endsEarly bool, o Options) {
	t.Helper()
	begun := map[string]int{}
	for answer, words := range told.questions {
		begun[words]++
		ends := told.count(answer, "", NoteAbandoned, NoteFailed)
		if finished[answer] {
			ends++
		}
		if ends == 0 && lost[answer] { // its receipt tells that
			ends++
		}
		if ends != 1 {
			t.Errorf("seed %d: %s ended %d times: %+v", seed, answer, ends, told.notes)
		}
		wasDropped := told.count(answer, "", NoteAbandoned) > 0
		if wasDropped && !endsEarly && (o.IgnoreUser || s.coughs && o.FalseInterrupt == 0) {
			t.Errorf("seed %d: %s was abandoned without words of the user: %+v", seed, answer, told.notes)
		}
	}
	for _, words := range s.words {
		fates := begun[words] + told.count("", words, NoteUnanswered)
		if fates > 1 || fates == 0 && !endsEarly {
			t.Errorf("seed %d: %q has %d fates: %+v", seed, words, fates, told.notes)
		}
	}
	last := ""
	for _, n := range told.notes {
		if !endsEarly && n.Reason == ErrRoomEnded.Error() {
			t.Errorf("seed %d: it was still going on at the end: %+v", seed, told.notes)
		}
		if n.Kind == NoteUser {
			if n.Text < last {
				t.Errorf("seed %d: %q is answered after %q", seed, n.Text, last)
			}
			last = n.Text
		}
	}
}

// A cough in mid-speech costs the time of the cough, and no sample.
func TestCoughLosesNoAudio(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		session := &fakeSession{events: make(chan echo.Event, 16), heard: map[string]int{}}
		var notes []string
		var mu sync.Mutex
		c := newConversation(session, Options{Count: 1, OnNote: func(n Note) {
			mu.Lock()
			defer mu.Unlock()
			notes = append(notes, fmt.Sprint(n.Kind))
		}})
		c.make = func(context.Context, request) (*answerAudio, error) {
			return &answerAudio{audio: &silence{5 * 24000}, abort: func() {}, reply: func() string { return "x" },
				finish: func(error) error { return nil }}, nil
		}
		user := func(kind echo.Kind, text string) {
			session.events <- echo.Event{Kind: kind, Role: echo.RoleUser, Text: text}
		}
		go func() {
			user(echo.KindUtterance, "Hello?")
			time.Sleep(time.Second + piece/2)
			user(echo.StartedSpeaking, "")
			time.Sleep(time.Second)
			user(echo.StoppedSpeaking, "")
		}()
		began := time.Now()
		if err := c.talk(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); session.heard["answer 1"] != 5*24000 || took < 8*time.Second ||
			took > 8*time.Second+4*piece {
			t.Errorf("%d samples in %v", session.heard["answer 1"], took)
		}
		want := fmt.Sprint(fmt.Sprint(NoteUser), " ", fmt.Sprint(NoteHeld), " ", fmt.Sprint(NoteContinued), " ",
			fmt.Sprint(NoteReply))
		if got := strings.Join(notes, " "); got != want {
			t.Errorf("notes %s, want %s", got, want)
		}
	})
}

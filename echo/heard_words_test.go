package echo

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"echocast/internal/testwait"
)

func TestWordsIn(t *testing.T) {
	for text, want := range map[string][]string{
		"":                  nil,
		"   ":               nil,
		"Hello there, you.": {"Hello", " there,", " you."},
		" two  words ":      {" two", "  words"},
		`<emotion value="happy"/>Hi <break time="1s"/> you`: {`<emotion value="happy"/>Hi`, ` <break time="1s"/> you`},
		"3 < 4 is so": {"3", " <", " 4", " is", " so"},
		"你好 OK":       {"你", "好", " OK"},
		"été déjà":    {"été", " déjà"},
	} {
		var got []string
		start := 0
		for _, end := range wordsIn(text) {
			got = append(got, text[start:end])
			start = end
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// timedVoice is a speech of words with known lengths.
type timedVoice struct {
	text  string
	words []WordTiming
}

// speakWords makes a voice: letters of 40 to 90 ms, with pauses between words and
// longer ones between sentences.
func speakWords(chance *rand.Rand) (v timedVoice) {
	now := time.Duration(chance.IntN(100)) * time.Millisecond
	letter := 50 + 20*chance.Float64() // ms, of this voice
	for i := range 5 + chance.IntN(25) {
		word := strings.Repeat("a", 1+chance.IntN(9))
		length := time.Duration(float64(len(word)) * letter * (0.7 + 0.6*chance.Float64()) * float64(time.Millisecond))
		pause := time.Duration(20+chance.IntN(80)) * time.Millisecond
		if chance.IntN(8) == 0 {
			word += "."
			pause += time.Duration(200+chance.IntN(300)) * time.Millisecond
		}
		if i > 0 {
			v.text += " "
		}
		v.text += word
		v.words = append(v.words, WordTiming{word, now, now + length})
		now += length + pause
	}
	return v
}

func (v timedVoice) length() time.Duration { return v.words[len(v.words)-1].End }

// heardBy is how many of the words were really heard by a time.
func (v timedVoice) heardBy(at time.Duration) int {
	return knownText{words: v.words}.byTimings(at)
}

// obeyInterrupt makes the far end obey an interrupt, and report how long it has spoken.
func (r *room) obeyInterrupt(played *time.Duration) {
	r.playReceived(sameID)
	play := r.hook
	var id string
	var begin time.Time
	r.hook = func(m sentMessage) {
		if m.interrupts() {
			*played = max(time.Since(begin)-100*time.Millisecond, 0)
			r.stopped(id, played.Seconds(), true)
		} else if id != m.Properties.InferenceID {
			id, begin = m.Properties.InferenceID, time.Now()
		}
		play(m)
	}
}

// Over random voices and interrupts, the heard words are right within one if the voice times
// them, and otherwise within the stated error.
func TestHeardWords(t *testing.T) {
	farOff := 0
	trials := testwait.Trials(1000)
	for seed := range uint64(trials) {
		synctest.Test(t, func(t *testing.T) {
			chance := rand.New(rand.NewPCG(seed, 189))
			v := speakWords(chance)
			samples := int(samplesOf(v.length(), testRate))
			speech := Speech{Samples: &silent{samples, io.EOF}, Text: v.text}
			want := ByProportion
			switch chance.IntN(3) {
			case 0:
				speech.Words, want = v.words, ByTimings
			case 1:
				speech.MoreWords, speech.Text, want = func() []WordTiming { return v.words }, "", ByTimings
			}
			r := newRoom()
			// All of it is sent before it is interrupted, so that its length is known.
			s, err := NewSession(NewMessages(r, "c1", 1<<17), &Options{Rate: testRate, Chunk: time.Second,
				Pace: Pace{Mode: BurstMode}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close(); r.hangUp() }()
			r.join()
			var played time.Duration
			r.obeyInterrupt(&played)
			at := 100*time.Millisecond + time.Duration(chance.Int64N(int64(v.length())))
			time.AfterFunc(at, func() { _ = s.Interrupt(t.Context(), nil) })
			receipt, err := s.Speak(t.Context(), speech)
			h := receipt.Words
			if !errors.Is(err, ErrStopped) || h == nil || h.By != want || h.Of != len(v.words) || h.Text+h.Rest != v.text {
				t.Fatalf("seed %d: %v, %+v of %+v", seed, err, h, receipt)
			}
			if got := len(strings.Fields(h.Text)); got != h.Words {
				t.Errorf("seed %d: %d words in %q, not %d", seed, got, h.Text, h.Words)
			}
			off := v.heardBy(played) - h.Words
			if max(off, -off) > h.ErrorWords || want == ByTimings && h.ErrorWords != 1 {
				t.Errorf("seed %d: %d words were heard, and the receipt says %+v", seed, h.Words+off, *h)
			}
			if want == ByProportion && h.ErrorWords > h.Of/2 {
				farOff++
			}
		})
	}
	if farOff > trials/20 {
		t.Errorf("%d of %d stated errors say nothing", farOff, trials)
	}
}

// A finished utterance was heard in full, and one that still plays was not. A text of unknown
// length is taken at a usual rate of speech.
func TestHeardWordsByOutcome(t *testing.T) {
	const text = "One two three, four five six seven eight. Nine ten eleven twelve."
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		r.playReceived(sameID)
		receipt, err := s.Speak(t.Context(), Speech{Samples: silence(4), Text: text})
		if want := (HeardWords{text, "", 12, 12, ByEvent, 0}); err != nil || receipt.Words == nil || *receipt.Words != want {
			t.Errorf("%v, %+v", err, receipt.Words)
		}
		if receipt, _ := s.Speak(t.Context(), Speech{Samples: silence(1)}); receipt.Words != nil {
			t.Errorf("of no text: %+v", *receipt.Words)
		}
		var played time.Duration
		r.obeyInterrupt(&played)
		time.AfterFunc(2*time.Second, func() { _ = s.Interrupt(t.Context(), nil) })
		receipt, _ = s.Speak(t.Context(), Speech{Samples: silence(60), Text: text})
		if h := receipt.Words; h == nil || h.By != ByRate || h.Words < 4 || h.Words > 8 || h.ErrorWords < 2 {
			t.Errorf("of unknown length: %+v", h)
		}
		time.AfterFunc(2*time.Second, func() { _ = s.Interrupt(t.Context(), nil) })
		receipt, _ = s.Speak(t.Context(), Speech{Samples: silence(60), Text: text, Length: 60 * time.Second})
		if h := receipt.Words; h == nil || h.By != ByProportion || h.Words > 2 {
			t.Errorf("of a length that is claimed: %+v", h)
		}
	})
	inRoom(t, &Options{SkipHeard: true}, func(t *testing.T, r *room, s *Session) {
		if receipt, _ := s.Speak(t.Context(), Speech{Samples: silence(1), Text: text}); receipt.Words != nil {
			t.Errorf("of what was only sent: %+v", *receipt.Words)
		}
	})
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		r.hook = func(m sentMessage) {
			if m.interrupts() {
				r.stopped("", 1.5, true)
			} else {
				r.started("")
			}
		}
		time.AfterFunc(2*time.Second, func() { _ = s.Interrupt(t.Context(), nil) })
		receipt, _ := s.Say(t.Context(), Words(text))
		if h := receipt.Words; h == nil || h.By != ByRate || h.Words < 3 || h.Words > 6 || h.Text+h.Rest != text {
			t.Errorf("of a text: %+v", h)
		}
	})
}

// Words count from the beginning of the whole speech, also in the utterance that resumes it.
func TestHeardWordsAfterAPause(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	v := speakWords(chance)
	var receipts []Receipt
	inRoom(t, &Options{OnReceipt: func(r Receipt) { receipts = append(receipts, r) }},
		func(t *testing.T, r *room, s *Session) {
			var played time.Duration
			r.obeyInterrupt(&played)
			for _, at := range []time.Duration{v.length() / 3, 2 * v.length() / 3} {
				time.AfterFunc(at, func() { _ = s.Pause(t.Context()); s.Resume() })
			}
			feed := NewFeed(&silent{int(samplesOf(v.length(), testRate)), io.EOF}, FeedOptions{Keep: time.Minute})
			defer feed.Close()
			if _, err := s.Speak(t.Context(), Speech{Samples: feed, Abort: feed.Abort, Text: v.text,
				Words: v.words}); err != nil {
				t.Fatal(err)
			}
		})
	var words []int
	for _, receipt := range receipts {
		words = append(words, receipt.Words.Words)
	}
	if len(words) != 3 || !slices.IsSorted(words) || words[0] < len(v.words)/6 || words[1] < len(v.words)/3 ||
		words[2] != len(v.words) {
		t.Errorf("of %d words %v were heard: %v", len(v.words), words, fmt.Sprint(receipts))
	}
}

// Silence that a Feed inserts while its source is late contains no words.
func TestHeardWordsAfterFilledSilence(t *testing.T) {
	var words []WordTiming
	for i := range 12 {
		start := time.Duration(i) * 500 * time.Millisecond
		words = append(words, WordTiming{fmt.Sprint("w", i), start, start + 400*time.Millisecond})
	}
	inRoom(t, nil, func(t *testing.T, r *room, s *Session) {
		var played time.Duration
		r.obeyInterrupt(&played)
		p := newPipe()
		feed := NewFeed(p, FeedOptions{OnUnderrun: UnderrunSilence, Abort: func() { close(p.stop) }})
		defer feed.Close()
		go func() {
			p.in <- make([]float32, 2*DefaultRate)
			time.Sleep(4 * time.Second)
			p.in <- make([]float32, 4*DefaultRate)
		}()
		time.AfterFunc(5500*time.Millisecond, func() { _ = s.Interrupt(t.Context(), nil) })
		receipt, _ := s.Speak(t.Context(), Speech{Samples: feed, Abort: feed.Abort, Words: words})
		silence := durationOf(receipt.Input.SilenceSamples, DefaultRate)
		heard := knownText{words: words}.byTimings(played - silence)
		if h := receipt.Words; h == nil || silence < time.Second || h.Words != heard || h.Words < 5 || h.Words > 8 {
			t.Errorf("%v played, of it %v silence: %+v, want %d words", played, silence, h, heard)
		}
	})
}

// If times follow their audio, some are missing when the speech is cut short: the known times
// count as far as they reach. Times of the next speech do not count.
func TestHeardWordsWithPartialTimes(t *testing.T) {
	at := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	words := []WordTiming{{"One,", 0, at(1)}, {"two", at(1), at(2)}, {"three", at(2), at(3)}}
	k := knownText{text: "one, two three four five", words: words}
	for heard, want := range map[float64]HeardWords{
		1.6: {Text: "one, two", Rest: " three four five", Words: 2, Of: 5, By: ByTimings, ErrorWords: 1},
		4:   {Text: k.text, Words: 5, Of: 5, By: ByRate, ErrorWords: 4},
	} {
		if got := k.heard(at(heard), at(heard), at(heard)); *got != want {
			t.Errorf("after %v s: %+v, want %+v", heard, *got, want)
		}
	}
	other := knownText{text: "uno dos tres cuatro", words: words}
	if got := other.heard(at(1.6), at(1.6), at(1.6)); got.Text != "One, two" || got.Of != 3 {
		t.Errorf("of words that are not those of the text: %+v", *got)
	}
	k = knownText{words: words, total: at(2)}
	if k.dropLaterWords(); len(k.words) != 2 {
		t.Errorf("%v", k.words)
	}
}

package echo

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// WordTiming says when a word is said, counted from the first sample.
type WordTiming struct {
	Word       string
	Start, End time.Duration
}

// The sources of the words heard in a receipt. A further one is ByEvent: an event shows
// that the replica said the whole text.
const (
	ByTimings    = "timings"    // the voice gave the time of each word
	ByProportion = "proportion" // assumes that the share of the text heard is that of the audio
	ByRate       = "rate"       // estimated from a usual rate of speech; the length is not known
)

// HeardWords are the words of an utterance that were heard, if its text is known. In an
// utterance that resumes another, they count from the beginning of the whole text.
type HeardWords struct {
	Text string `json:"text"` // the text that was heard
	Rest string `json:"rest"` // the text that was not heard
	// Words is how many of the Of words were heard, according to By, give or take ErrorWords.
	Words      int    `json:"words"`
	Of         int    `json:"of"`
	By         string `json:"by"`
	ErrorWords int    `json:"error_words"`
}

// wordsIn returns where each word of a text ends. Tags are not words. In a script without
// spaces, each character counts as a word.
func wordsIn(text string) (ends []int) {
	inWord, inTag := false, false
	lastEnd := strings.LastIndexByte(text, '>')
	for at, c := range text {
		switch {
		case inTag:
			inTag = c != '>'
			continue
		case c == '<' && at < lastEnd:
			inTag = true
			fallthrough
		case unicode.IsSpace(c):
			if inWord {
				ends = append(ends, at)
			}
			inWord = false
		case unicode.In(c, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai):
			if inWord {
				ends = append(ends, at)
			}
			ends = append(ends, at+utf8.RuneLen(c))
			inWord = false
		default:
			inWord = true
		}
	}
	if inWord {
		ends = append(ends, len(text))
	}
	return ends
}

// knownText is the text of an utterance, with its timing if that is known.
type knownText struct {
	text  string
	words []WordTiming // nil if only the text is known
	// total is the length of the whole audio; 0: not known.
	total time.Duration
	// declared is the length that the caller declared; 0: none.
	declared time.Duration
}

// heard returns the words heard if the audio was likely heard up to likely, certainly
// up to least, and at most up to most.
func (k knownText) heard(least, likely, most time.Duration) *HeardWords {
	text, ends := k.text, wordsIn(k.text)
	at, by := k.byLength(ends)
	if len(k.words) > 0 {
		if len(ends) != len(k.words) && !k.isBeginning(ends) {
			text, ends = joinWords(k.words)
		}
		// While the times of later words are missing, the length serves instead.
		if len(ends) == len(k.words) || most < k.words[len(k.words)-1].End {
			at, by = k.byTimings, ByTimings
		}
	}
	if len(ends) == 0 {
		return nil
	}
	words := at(likely)
	h := newHeardWords(text, ends, words, by)
	h.ErrorWords = 1 + max(words-at(least), at(most)-words)
	switch by {
	case ByProportion: // a voice is faster here and slower there
		h.ErrorWords += int(math.Ceil(0.25 * float64(min(words, len(ends)-words))))
	case ByRate:
		h.ErrorWords += int(math.Ceil(0.5 * float64(words)))
	}
	h.ErrorWords = min(h.ErrorWords, len(ends))
	return h
}

// isBeginning reports whether the words are the first ones of the text.
func (k knownText) isBeginning(ends []int) bool {
	if len(k.words) > len(ends) {
		return false
	}
	start := 0
	for i, w := range k.words {
		if !strings.EqualFold(strings.TrimSpace(k.text[start:ends[i]]), strings.TrimSpace(w.Word)) {
			return false
		}
		start = ends[i]
	}
	return true
}

// dropLaterWords leaves out words that begin after the audio ended: they belong to the
// next utterance.
func (k *knownText) dropLaterWords() {
	for n := len(k.words); k.total > 0 && n > 0 && k.words[n-1].Start >= k.total; n-- {
		k.words = k.words[:n-1]
	}
}

// all returns the whole text as heard.
func (k knownText) all() *HeardWords {
	text, ends := k.text, wordsIn(k.text)
	if len(ends) == 0 {
		text, ends = joinWords(k.words)
	}
	if len(ends) == 0 {
		return nil
	}
	return newHeardWords(text, ends, len(ends), ByEvent)
}

func newHeardWords(text string, ends []int, words int, by string) *HeardWords {
	cut := 0
	if words > 0 {
		cut = ends[words-1]
	}
	if words == len(ends) {
		cut = len(text)
	}
	return &HeardWords{Text: text[:cut], Rest: text[cut:], Words: words, Of: len(ends), By: by}
}

func joinWords(words []WordTiming) (text string, ends []int) {
	for _, w := range words {
		if text != "" {
			text += " "
		}
		text += w.Word
		ends = append(ends, len(text))
	}
	return text, ends
}

// byTimings counts the words that were at least half said after the time heard.
func (k knownText) byTimings(heard time.Duration) int {
	return countWhile(k.words, func(w WordTiming) bool { return w.Start+(w.End-w.Start)/2 <= heard })
}

// usualRate is how much of a text is said in a second, in the weights of
// byLength: 150 words a minute.
const usualRate = 15.5

// byLength returns a function that counts the words said after a given time. It assumes
// that all letters take the same time, and that some punctuation takes time for a pause.
func (k knownText) byLength(ends []int) (at func(time.Duration) int, by string) {
	said := make([]float64, len(ends)) // at the middle of each word
	sum, start := 0.0, 0
	for i, end := range ends {
		weight := wordWeight(k.text[start:end])
		said[i] = sum + weight/2
		sum += weight
		start = end
	}
	rate, by := usualRate, ByRate
	if total := cmp.Or(k.total, k.declared); total > 0 {
		rate, by = sum/total.Seconds(), ByProportion
	}
	return func(heard time.Duration) int {
		return countWhile(said, func(weight float64) bool { return weight <= heard.Seconds()*rate })
	}, by
}

// wordWeight returns how long a word takes, in letters.
func wordWeight(word string) float64 {
	weight := 1.0 + float64(utf8.RuneCountInString(strings.TrimSpace(word)))
	last, _ := utf8.DecodeLastRuneInString(word)
	switch {
	case strings.ContainsRune(".!?。！？", last):
		weight += 6
	case strings.ContainsRune(",;:，；：、", last):
		weight += 3
	}
	return weight
}

func countWhile[T any](all []T, f func(T) bool) int {
	if i := slices.IndexFunc(all, func(v T) bool { return !f(v) }); i >= 0 {
		return i
	}
	return len(all)
}

// describeWords adds the words that were heard to the receipt of an utterance that
// begins at base in a text.
func (k knownText) describeWords(r *Receipt, base int64, rate int) {
	switch {
	case r.Outcome == Finished:
		r.Words = k.all()
	case r.Outcome == Sent || r.Chunks == 0: // it continues, or has not begun
	case r.SpokenBy == ByClock && r.Samples == 0: // not known
	default:
		begin, silence := durationOf(base, rate), filledSilence(r, rate)
		least := begin + durationOf(r.HeardSamples, rate) - silence
		most := begin + time.Duration(r.SpokenSeconds*float64(time.Second))
		likely := most - silence
		switch {
		case r.SpokenAtMost:
			likely = least
		case r.SpokenBy == ByEvent:
			least = likely
		}
		r.Words = k.heard(min(least, likely), likely, most)
	}
}

// filledSilence returns how much silence a Feed inserted: it carries no words.
func filledSilence(r *Receipt, rate int) time.Duration {
	if r.Input == nil {
		return 0
	}
	return durationOf(r.Input.SilenceSamples, rate)
}

// HeardFor estimates which words of a text were heard if it was cut off after d, at a
// usual rate of speech. It returns nil for a text without words.
func HeardFor(text string, d time.Duration) *HeardWords { return knownText{text: text}.heard(d, d, d) }

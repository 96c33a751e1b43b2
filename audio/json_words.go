package audio

import (
	"math"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Word is a word of an input, with the times at which it is said, counted from the first sample.
type Word struct {
	Text       string
	Start, End time.Duration
}

// wordShape says where a service puts the times of its words: paths as in JSONOptions.Field,
// to columns of texts and times, or to rows with a text and its times.
type wordShape struct {
	text, start string
	// Only one of them is set: the path of the time when a text ends, or of its length.
	end, length string
	unit        time.Duration // of the times
	isLetters   bool          // the texts are characters: a word ends at white space
	kind        string        // path of the kind of a row; rows that are not words are left out
}

// wordShapes lists where services put the times of words, the best of each service first,
// according to these pages:
//
//	ElevenLabs    elevenlabs.io/docs/api-reference/text-to-speech/stream-with-timestamps,
//	              and for WebSockets …/v-1-text-to-speech-voice-id-stream-input
//	Cartesia      docs.cartesia.ai/examples/tts-sse-with-timestamps
//	Rime          docs.rime.ai/api-reference/websockets-json
//	Inworld       docs.inworld.ai/tts/capabilities/timestamps
//	Hume          dev.hume.ai/docs/text-to-speech-tts/timestamps
//	Resemble      docs.resemble.ai, and Pipecat's client (services/resembleai/tts.py)
//	LMNT          docs.lmnt.com/build-with-lmnt/word-timestamps
//	Gradium       github.com/gradium-ai/gradium-py, docs/websocket_tts_description.md
//	Speechify     docs.sws.speechify.com/docs/features/speech-marks
//	Kokoro        github.com/remsky/Kokoro-FastAPI, /dev/captioned_speech
var wordShapes = []wordShape{
	{
		text: "alignment.characters.*", start: "alignment.character_start_times_seconds.*",
		end: "alignment.character_end_times_seconds.*", unit: time.Second, isLetters: true,
	},
	{
		text: "normalized_alignment.characters.*", start: "normalized_alignment.character_start_times_seconds.*",
		end: "normalized_alignment.character_end_times_seconds.*", unit: time.Second, isLetters: true,
	},
	{
		text: "alignment.chars.*", start: "alignment.charStartTimesMs.*",
		length: "alignment.charDurationsMs.*", unit: time.Millisecond, isLetters: true,
	},
	{
		text: "normalizedAlignment.chars.*", start: "normalizedAlignment.charStartTimesMs.*",
		length: "normalizedAlignment.charDurationsMs.*", unit: time.Millisecond, isLetters: true,
	},
	{
		text: "word_timestamps.words.*", start: "word_timestamps.start.*",
		end: "word_timestamps.end.*", unit: time.Second,
	},
	{
		text:  "result.timestampInfo.wordAlignment.words.*",
		start: "result.timestampInfo.wordAlignment.wordStartTimeSeconds.*",
		end:   "result.timestampInfo.wordAlignment.wordEndTimeSeconds.*", unit: time.Second,
	},
	{
		text:  "result.timestampInfo.characterAlignment.characters.*",
		start: "result.timestampInfo.characterAlignment.characterStartTimeSeconds.*",
		end:   "result.timestampInfo.characterAlignment.characterEndTimeSeconds.*", unit: time.Second, isLetters: true,
	},
	{
		text: "timestampInfo.wordAlignment.words.*", start: "timestampInfo.wordAlignment.wordStartTimeSeconds.*",
		end: "timestampInfo.wordAlignment.wordEndTimeSeconds.*", unit: time.Second,
	},
	{
		text:  "timestampInfo.characterAlignment.characters.*",
		start: "timestampInfo.characterAlignment.characterStartTimeSeconds.*",
		end:   "timestampInfo.characterAlignment.characterEndTimeSeconds.*", unit: time.Second, isLetters: true,
	},
	{
		text: "timestamp.text", start: "timestamp.time.begin",
		end: "timestamp.time.end", unit: time.Millisecond, kind: "timestamp.type",
	},
	{
		text:  "generations.*.snippets.*.*.timestamps.*.text",
		start: "generations.*.snippets.*.*.timestamps.*.time.begin",
		end:   "generations.*.snippets.*.*.timestamps.*.time.end",
		unit:  time.Millisecond, kind: "generations.*.snippets.*.*.timestamps.*.type",
	},
	{
		text: "audio_timestamps.graph_chars.*", start: "audio_timestamps.graph_times.*.0",
		end: "audio_timestamps.graph_times.*.1", unit: time.Second, isLetters: true,
	},
	{
		text: "timestamps.*.word", start: "timestamps.*.start_time",
		end: "timestamps.*.end_time", unit: time.Second,
	},
	{
		text: "timestamps.*.text", start: "timestamps.*.start",
		length: "timestamps.*.duration", unit: time.Second,
	},
	{
		text: "durations.*.text", start: "durations.*.start",
		length: "durations.*.duration", unit: time.Second,
	},
	{
		text: "speech_marks.chunks.*.value", start: "speech_marks.chunks.*.start_time",
		end: "speech_marks.chunks.*.end_time", unit: time.Millisecond,
	},
	{
		text: "text", start: "start_s",
		end: "stop_s", unit: time.Second,
	},
}

// Limits of the words that are held. For an input that exceeds them, no words are returned.
const (
	maxWordBytes   = 1 << 20 // bytes of all texts: some fifteen hours of speech
	maxObjectTexts = 1 << 16 // texts in one object
)

// wordOverlap is how far words may overlap before their times count as starting again.
const wordOverlap = 100 * time.Millisecond

// wordColumn is a column of a wordShape.
type wordColumn int

const (
	columnText wordColumn = iota
	columnStart
	columnEnd
	columnLength
	columnKind
	wordColumns
)

// wordPaths has the paths of the columns of each shape.
var wordPaths = func() (all [][wordColumns][]string) {
	for _, s := range wordShapes {
		var paths [wordColumns][]string
		for i, path := range []string{s.text, s.start, s.end, s.length, s.kind} {
			if path != "" {
				paths[i] = strings.Split(path, ".")
			}
		}
		all = append(all, paths)
	}
	return all
}()

// jsonWords collects the words of a stream of objects. Only the goroutine that reads the
// stream may call its methods, except for all.
type jsonWords struct {
	shape          int // of the first words; -1 before them
	object         wordObject
	joiner         wordJoiner
	bytesPerSecond int64 // of the audio; 0 if that is not constant

	mu     sync.Mutex
	done   []Word // the complete words
	last   Word   // the last word, which may continue
	bytes  int    // of all texts
	isOver bool   // a limit was exceeded
}

// wordObject has the words and times in one object.
type wordObject struct {
	shape        int // -1: nothing
	texts, kinds []string
	starts, ends []float64 // NaN if there is none
}

func newJSONWords() *jsonWords { return &jsonWords{shape: -1, object: wordObject{shape: -1}} }

// value handles a text or a number in an object.
func (w *jsonWords) value(json *jsonScanner, token jsonToken) {
	shape, column := w.find(json)
	if column == wordColumns {
		return
	}
	o := &w.object
	if shape != o.shape {
		w.clear()
		o.shape = shape
	}
	if len(o.texts)+len(o.starts)+len(o.ends) > maxObjectTexts {
		w.disable()
		return
	}
	switch column {
	case columnText:
		o.texts = append(o.texts, string(token.text))
	case columnKind:
		o.kinds = append(o.kinds, string(token.text))
	case columnStart:
		o.starts = append(o.starts, numberIn(token))
	default:
		o.ends = append(o.ends, numberIn(token))
	}
}

// find returns the column of a shape that the scanner is at. If one object fits several
// shapes, the first in the table counts. Once words were found, only their shape counts.
func (w *jsonWords) find(json *jsonScanner) (shape int, column wordColumn) {
	for shape = range wordShapes {
		if w.shape >= 0 && shape != w.shape || w.object.shape >= 0 && shape > w.object.shape {
			continue
		}
		for column, path := range wordPaths[shape] {
			if path != nil && json.matches(path) {
				return shape, wordColumn(column)
			}
		}
	}
	return 0, wordColumns
}

func numberIn(token jsonToken) float64 {
	n, err := strconv.ParseFloat(string(token.text), 64)
	if err != nil || token.isText || math.Abs(n) > 1e9 {
		return math.NaN()
	}
	return n
}

func (w *jsonWords) clear() {
	o := &w.object
	*o = wordObject{shape: -1, texts: o.texts[:0], kinds: o.kinds[:0], starts: o.starts[:0], ends: o.ends[:0]}
}

// endObject adds the words of an object, and reports whether there were any. begin is how many
// bytes of audio precede the object. hasAudio says whether the object has audio itself.
func (w *jsonWords) endObject(begin int64, hasAudio bool) bool {
	defer w.clear()
	w.joiner.begin = 0
	if w.bytesPerSecond > 0 && hasAudio {
		w.joiner.begin = time.Duration(float64(begin) / float64(w.bytesPerSecond) * float64(time.Second))
	}
	o := &w.object
	n := min(len(o.texts), len(o.starts))
	if n == 0 {
		return false
	}
	w.shape = o.shape
	shape := wordShapes[o.shape]
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, text := range o.texts[:n] {
		if shape.kind != "" && (i >= len(o.kinds) || o.kinds[i] != "word") {
			continue
		}
		start, end := o.starts[i], math.NaN()
		if i < len(o.ends) {
			end = o.ends[i]
		}
		if shape.length != "" {
			end += start
		}
		w.joiner.add(w, text, inUnits(start, shape.unit), inUnits(end, shape.unit), shape.isLetters)
	}
	w.joiner.isFirst = true
	return true
}

// unknownTime is the time of a text without a time.
const unknownTime = time.Duration(-1)

func inUnits(n float64, unit time.Duration) time.Duration {
	if math.IsNaN(n) || n < 0 {
		return unknownTime
	}
	return time.Duration(n * float64(unit))
}

// emit adds the last word, which is complete now.
func (w *jsonWords) emit() {
	if w.last.Text == "" {
		return
	}
	w.bytes += len(w.last.Text)
	w.done = append(w.done, w.last)
	w.last = Word{}
	if w.bytes > maxWordBytes {
		w.isOver, w.done = true, nil
	}
}

func (w *jsonWords) disable() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.isOver, w.done, w.last = true, nil, Word{}
}

// all returns the words so far. It may be called from any goroutine.
func (w *jsonWords) all() []Word {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isOver {
		return nil
	}
	all := append(make([]Word, 0, len(w.done)+1), w.done...)
	if w.last.Text != "" {
		all = append(all, w.last)
	}
	return all
}

// wordJoiner joins texts with times to words. The texts of a service are characters, words, or
// words, spaces and signs. A service that makes the audio in parts may count the times of each
// part from 0. Then a part begins where its audio begins, if the words come with their audio,
// and otherwise where the part before ended. Characters fill all of a part, and may come in
// another object than their audio, so their part always begins where the one before ended.
type wordJoiner struct {
	isFirst   bool          // the next text is the first of an object
	begin     time.Duration // where the audio of the object begins; 0: not known
	base      time.Duration // where the part begins
	lastStart time.Duration // of the last text
	lastEnd   time.Duration
	isSpaced  bool // some texts were spaces, so words end at spaces
	isWhole   bool // the last text was a whole word
	tag       int  // runes read of a tag, which begins with < and a letter or /
}

func (j *wordJoiner) add(w *jsonWords, text string, start, end time.Duration, isLetter bool) {
	start, end = j.shift(start, end, isLetter)
	j.isSpaced = j.isSpaced || isLetter || strings.TrimSpace(text) != text
	if j.isWhole && strings.ContainsFunc(text, isWordRune) {
		w.emit()
		j.isWhole = false
	}
	n := utf8.RuneCountInString(text)
	i := 0
	for _, c := range text {
		at := func(i int) time.Duration { return start + (end-start)*time.Duration(i)/time.Duration(n) }
		j.rune(w, c, at(i), at(i+1))
		i++
	}
	if !j.isSpaced && w.last.Text != "" {
		j.isWhole = true
	}
}

// shift returns the times of a text, counted from the start of the input.
func (j *wordJoiner) shift(start, end time.Duration, isLetter bool) (time.Duration, time.Duration) {
	if start == unknownTime {
		start = j.lastEnd - j.base
	}
	end = max(end, start)
	if j.isFirst && (j.base+start+wordOverlap < j.lastEnd || j.base+start < j.lastStart) {
		if j.base = j.lastEnd; !isLetter {
			j.base = max(j.base, j.begin)
		}
	}
	j.isFirst = false
	start, end = j.base+start, j.base+end
	j.lastStart, j.lastEnd = start, max(end, j.lastEnd)
	return start, end
}

func isWordRune(c rune) bool {
	return !unicode.IsPunct(c) && !unicode.IsSymbol(c) && !unicode.IsSpace(c)
}

// rune adds a character to the words. Tags, such as <break time="1s"/>, are not words. In a
// script without spaces, each character is a word.
func (j *wordJoiner) rune(w *jsonWords, c rune, start, end time.Duration) {
	isTagStart := j.tag == 1 && (c == '/' || unicode.IsLetter(c))
	switch {
	case j.tag > 1 || isTagStart:
		if isTagStart {
			w.last.Text = strings.TrimSuffix(w.last.Text, "<")
		}
		if j.tag++; c == '>' {
			j.tag = 0
		}
		return
	case unicode.IsSpace(c):
		w.emit()
		j.tag, j.isWhole = 0, false
		return
	}
	j.tag = 0
	if c == '<' {
		j.tag = 1
	}
	alone := unicode.In(c, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai)
	if alone {
		w.emit()
	}
	if w.last.Text == "" {
		w.last.Start = start
	}
	if len(w.last.Text) < maxJSONText {
		w.last.Text += string(c)
	}
	w.last.End = end
	if alone {
		w.emit()
	}
}

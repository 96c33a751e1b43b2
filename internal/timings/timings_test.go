package timings_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"echocast/audio"
	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/internal/timings"
	"echocast/room"
	"echocast/room/roomtest"
)

const rate = 24000

// voice is a speech of words with known lengths.
type voice struct {
	words  []audio.Word
	length time.Duration
}

// speak makes a voice: letters at its speed, pauses between words, longer ones
// between sentences.
func speak(chance *rand.Rand) (v voice) {
	letter := 50 + 30*chance.Float64() // ms
	for range 4 + chance.IntN(12) {
		word := strings.Repeat("a", 1+chance.IntN(9))
		length := time.Duration(float64(len(word))*letter*(0.7+0.6*chance.Float64())) * time.Millisecond
		pause := time.Duration(20+chance.IntN(80)) * time.Millisecond
		if chance.IntN(6) == 0 {
			word += "."
			pause += time.Duration(200+chance.IntN(300)) * time.Millisecond
		}
		v.words = append(v.words, audio.Word{Text: word, Start: v.length, End: v.length + length})
		v.length += length + pause
	}
	return v
}

func (v voice) text() string {
	var all []string
	for _, w := range v.words {
		all = append(all, w.Text)
	}
	return strings.Join(all, " ")
}

// saidBy counts the words of which half was said by a time.
func (v voice) saidBy(at time.Duration) (n int) {
	for _, w := range v.words {
		if w.Start+(w.End-w.Start)/2 <= at {
			n++
		}
	}
	return n
}

func sound(length time.Duration) string {
	return base64.StdEncoding.EncodeToString(make([]byte, 2*int(length.Seconds()*rate)))
}

func seconds(d time.Duration) float64 { return d.Seconds() }

// letters are the characters of words, as ElevenLabs times them.
func letters(words []audio.Word, from, until time.Duration) (chars, starts, ends, lengths []string) {
	add := func(c string, start, end time.Duration) {
		chars = append(chars, fmt.Sprintf("%q", c))
		starts = append(starts, fmt.Sprint((start - from).Milliseconds()))
		ends = append(ends, fmt.Sprint(seconds(end)))
		lengths = append(lengths, fmt.Sprint((end - start).Milliseconds()))
	}
	for i, w := range words {
		for k := range len(w.Text) {
			at := func(k int) time.Duration {
				return w.Start + (w.End-w.Start)*time.Duration(k)/time.Duration(len(w.Text))
			}
			add(w.Text[k:k+1], at(k), at(k+1))
		}
		end := until
		if i+1 < len(words) {
			end = words[i+1].Start
		}
		add(" ", w.End, end)
	}
	return chars, starts, ends, lengths
}

// secondsOf are milliseconds as seconds.
func secondsOf(starts []string) (all []string) {
	for _, s := range starts {
		all = append(all, s+"e-3")
	}
	return all
}

// part writes the JSON of one part of a voice: its words, and its audio from one time
// to another.
type part func(words []audio.Word, from, until time.Duration) string

var vendors = map[string]part{
	"elevenlabs http": func(words []audio.Word, from, until time.Duration) string {
		chars, starts, ends, _ := letters(words, 0, until)
		return fmt.Sprintf(`{"audio_base64":"%s","alignment":{"characters":[%s],`+
			`"character_start_times_seconds":[%s],"character_end_times_seconds":[%s]}}`,
			sound(until-from), strings.Join(chars, ","), strings.Join(secondsOf(starts), ","), strings.Join(ends, ","))
	},
	"elevenlabs websocket": func(words []audio.Word, from, until time.Duration) string {
		chars, starts, _, lengths := letters(words, from, until)
		return fmt.Sprintf(`{"audio":"%s","alignment":{"chars":[%s],"charStartTimesMs":[%s],"charDurationsMs":[%s]}}`,
			sound(until-from), strings.Join(chars, ","), strings.Join(starts, ","), strings.Join(lengths, ","))
	},
	"cartesia, times first": func(words []audio.Word, from, until time.Duration) string {
		return timestamps(words) + fmt.Sprintf("data: {\"type\":\"chunk\",\"data\":\"%s\"}\n\n", sound(until-from))
	},
	"rime, times last": func(words []audio.Word, from, until time.Duration) string {
		return fmt.Sprintf("data: {\"type\":\"chunk\",\"data\":\"%s\"}\n\n", sound(until-from)) + timestamps(words)
	},
	"inworld": func(words []audio.Word, from, until time.Duration) string {
		texts, starts, ends := columns(words, from)
		return fmt.Sprintf(`{"result":{"audioContent":"%s","timestampInfo":{"wordAlignment":{"words":[%s],`+
			`"wordStartTimeSeconds":[%s],"wordEndTimeSeconds":[%s]}}}}`+"\n",
			sound(until-from), texts, starts, ends)
	},
	"hume": func(words []audio.Word, from, until time.Duration) string {
		text := fmt.Sprintf(`{"type":"audio","audio":"%s"}`+"\n", sound(until-from))
		for _, w := range words {
			text += fmt.Sprintf(`{"type":"timestamp","timestamp":{"type":"word","text":"%s","time":{"begin":%d,`+
				`"end":%d}}}`+"\n", w.Text, w.Start.Milliseconds(), w.End.Milliseconds())
		}
		return text
	},
}

func columns(words []audio.Word, from time.Duration) (texts, starts, ends string) {
	var all [3][]string
	for _, w := range words {
		all[0] = append(all[0], fmt.Sprintf("%q", w.Text))
		all[1] = append(all[1], fmt.Sprint(seconds(w.Start-from)))
		all[2] = append(all[2], fmt.Sprint(seconds(w.End-from)))
	}
	return strings.Join(all[0], ","), strings.Join(all[1], ","), strings.Join(all[2], ",")
}

// timestamps is an event that Cartesia and Rime send.
func timestamps(words []audio.Word) string {
	texts, starts, ends := columns(words, 0)
	return fmt.Sprintf(`data: {"type":"timestamps","word_timestamps":{"words":[%s],"start":[%s],`+
		`"end":[%s]}}`+"\n\n", texts, starts, ends)
}

// stream is the voice in parts of some words.
func (v voice) stream(write part, chance *rand.Rand) string {
	text := ""
	from := time.Duration(0)
	for words := v.words; len(words) > 0; {
		n := min(1+chance.IntN(4), len(words))
		until := v.length
		if n < len(words) {
			until = words[n].Start
		}
		text += write(words[:n], from, until)
		words, from = words[n:], until
	}
	return text
}

// Over random voices, services and interrupts, the heard words in the receipt are right within
// one if the service gives times, and within the stated error if only the text is known.
func TestWordsHeardOfServices(t *testing.T) {
	names := slices.Sorted(maps.Keys(vendors))
	wrong, vague := 0, 0
	trials := testwait.Trials(1000)
	for seed := range uint64(trials) {
		synctest.Test(t, func(t *testing.T) {
			chance := rand.New(rand.NewPCG(seed, 9))
			v := speak(chance)
			name := names[chance.IntN(len(names))]
			write, isTimed := vendors[name], chance.IntN(3) > 0
			if !isTimed {
				name = "text only"
				write = func(_ []audio.Word, from, until time.Duration) string {
					return fmt.Sprintf(`{"audio":"%s"}`, sound(until-from))
				}
			}
			at := time.Duration(chance.Int64N(int64(v.length)))
			receipt, played := interruptAt(t, v.stream(write, chance), v.text(), at)
			if receipt.Words == nil {
				if played > v.words[0].Start+100*time.Millisecond {
					t.Errorf("seed %d, %s: no words of %v played: %+v", seed, name, played, receipt)
				}
				return
			}
			h := receipt.Words
			off := v.saidBy(played) - h.Words
			switch {
			case h.Text+h.Rest != v.text():
				t.Errorf("seed %d, %s: %q and %q of %q", seed, name, h.Text, h.Rest, v.text())
			case isTimed && h.By == echo.ByTimings && max(off, -off) > 1:
				t.Errorf("seed %d, %s: %d words played, %+v", seed, name, v.saidBy(played), *h)
			case isTimed && h.By != echo.ByTimings && h.By != echo.ByEvent:
				vague++
			}
			if max(off, -off) > h.ErrorWords && h.By != echo.ByTimings {
				wrong++
			}
		})
	}
	if wrong > 0 || vague > trials/20 {
		t.Errorf("of %d receipts %d were off by more than they say, and %d did not use the times", trials, wrong, vague)
	}
}

// interruptAt speaks a stream to a replica and interrupts it at a time after it began
// to speak. It returns the receipt and how much the replica has played.
func interruptAt(t *testing.T, stream, text string, at time.Duration) (receipt echo.Receipt, played time.Duration) {
	t.Helper()
	r := roomtest.Open(nil)
	defer func() {
		for _, report := range r.Close() {
			for _, u := range report.Utterances {
				played += time.Duration(u.PlayedSamples) * time.Second / rate
			}
		}
	}()
	joined, err := room.Join(t.Context(), r.Address, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer joined.Close()
	session, err := echo.NewSession(joined.Stage(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	in, err := audio.Prepare(t.Context(), strings.NewReader(stream), &audio.PrepareOptions{
		Input: &audio.Options{Encoding: "s16le", TrustHeader: true, Raw: audio.Format{Rate: rate, Channels: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	feed := echo.NewFeed(in, echo.FeedOptions{})
	defer feed.Close()
	time.AfterFunc(at, func() { _ = session.Interrupt(t.Context(), nil) })
	receipt, err = session.Speak(t.Context(), echo.Speech{
		Samples: feed, Abort: feed.Abort, Text: text,
		MoreWords: func() []echo.WordTiming { return timings.Of(in.Words(), feed.Begin()) },
	})
	if !errors.Is(err, echo.ErrStopped) {
		t.Fatal(err)
	}
	return receipt, 0
}

// Words of a later utterance count from its beginning, and earlier words are left out.
func TestWordsOfLaterUtterance(t *testing.T) {
	words := []audio.Word{
		{Text: "a", Start: 0, End: time.Second},
		{Text: "b", Start: 2 * time.Second, End: 3 * time.Second},
	}
	got := timings.Of(words, 1900*time.Millisecond)
	want := echo.WordTiming{Word: "b", Start: 100 * time.Millisecond, End: 1100 * time.Millisecond}
	if len(got) != 1 || got[0] != want {
		t.Errorf("%+v", got)
	}
	if got := timings.Of(words, 0); len(got) != 2 {
		t.Errorf("%+v", got)
	}
}

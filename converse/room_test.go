package converse

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/room"
	"echocast/room/roomtest"
)

// With a real session and a stand-in replica, an answer that finished was heard to its last
// sample, however often the user coughed and in whatever order events arrived.
func TestAnswersAreHeardInARoom(t *testing.T) {
	count := testwait.Trials(1000)
	resumed := 0
	for seed := range count {
		if t.Failed() {
			return
		}
		synctest.Test(t, func(t *testing.T) { resumed += heardInARoom(t, uint64(seed)) })
	}
	if resumed < count/10 {
		t.Errorf("only %d answers of %d conversations continued after a cough", resumed, count)
	}
}

// numberedAudio is audio in which the value of each sample is the number of its millisecond,
// counted from base.
type numberedAudio struct {
	silence
	base, at int
}

func (m *numberedAudio) ReadSamples(p []float32) (int, error) {
	n, err := m.silence.ReadSamples(p)
	for i := range n {
		p[i] = float32(m.base+m.at/24) / 32768
		m.at++
	}
	return n, err
}

// memoryFile is a file in memory.
type memoryFile struct {
	data []byte
	at   int64
}

func (r *memoryFile) Write(p []byte) (int, error) {
	if grow := int(r.at) + len(p) - len(r.data); grow > 0 {
		r.data = append(r.data, make([]byte, grow)...)
	}
	copy(r.data[r.at:], p)
	r.at += int64(len(p))
	return len(p), nil
}

func (r *memoryFile) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		r.at = offset
	case io.SeekCurrent:
		r.at += offset
	default:
		r.at = int64(len(r.data)) + offset
	}
	return r.at, nil
}

// milliseconds are the numbers of the milliseconds that were heard.
func (r *memoryFile) milliseconds() map[int]bool {
	heard := map[int]bool{}
	for i := 44; i+1 < len(r.data); i += 2 {
		heard[int(int16(binary.LittleEndian.Uint16(r.data[i:])))] = true
	}
	return heard
}

const answerLength = 4000 // milliseconds at most, so that 8 answers fit into 16 bits

func userLine(after time.Duration, kind, text string) string {
	properties := `{"role":"user"}`
	if text != "" {
		properties = `{"role":"user","speech":"` + text + `"}`
	}
	return fmt.Sprintf(`{"after_ms":%d,"event":{"message_type":"conversation","event_type":"conversation.%s",`+
		`"properties":%s}}`, after.Milliseconds(), kind, properties)
}

// userScript makes up what a user does.
func userScript(random *rand.Rand) (script string, ends time.Duration) {
	lines := []string{userLine(100*time.Millisecond, "utterance", "words 0")}
	at := 100 * time.Millisecond
	for i := range 1 + random.IntN(6) {
		at += time.Duration(random.IntN(4000)) * time.Millisecond
		lines = append(lines, userLine(at, "started_speaking", ""))
		at += time.Duration(50+random.IntN(1500)) * time.Millisecond
		lines = append(lines, userLine(at, "stopped_speaking", ""))
		if random.IntN(3) == 0 {
			at += time.Duration(random.IntN(500)) * time.Millisecond
			lines = append(lines, userLine(at, "utterance", fmt.Sprintf("words %d", i+1)))
		}
	}
	return strings.Join(lines, "\n"), at
}

// heardInARoom returns how many answers continued after a cough.
func heardInARoom(t *testing.T, seed uint64) (resumed int) {
	random := rand.New(rand.NewPCG(seed, 3))
	text, ends := userScript(random)
	script, err := replica.ParseScript(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	heard := &memoryFile{}
	r := roomtest.Open(&replica.Options{Script: script, Record: heard, Faults: replica.Faults{
		Duplicate: random.IntN(2) == 0, HoldBack: time.Duration(random.IntN(400)) * time.Millisecond,
		Jitter: time.Duration(1+random.IntN(100)) * time.Millisecond, Seed: seed,
	}})
	joined, err := room.Join(t.Context(), r.Address, nil)
	if err != nil {
		t.Fatal(err)
	}
	session, err := echo.NewSession(joined.Stage(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	finished, notes := map[string]int{}, []Note{}
	lengths := map[string]int{}
	c := newConversation(session, Options{
		OnNote: func(n Note) {
			mu.Lock()
			defer mu.Unlock()
			notes = append(notes, n)
		},
		Speak: func(ctx context.Context, name string, _ Audio, speech echo.Speech) (echo.Receipt, error) {
			receipt, err := session.Speak(ctx, speech)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				finished[name] = lengths[name]
			}
			return receipt, err
		},
	})
	c.make = func(ctx context.Context, want request) (*answerAudio, error) {
		mu.Lock()
		length, think := 500+random.IntN(answerLength-500), time.Duration(random.IntN(1500))*time.Millisecond
		base := len(lengths)*answerLength + 1
		lengths[want.name] = length
		mu.Unlock()
		if !sleepFor(ctx, think) {
			return nil, context.Cause(ctx)
		}
		return &answerAudio{
			audio: &numberedAudio{silence{24 * length}, base, 0}, abort: func() {},
			reply: func() string { return want.question }, finish: func(error) error { return nil },
		}, nil
	}
	over := errors.New("the test is over")
	ctx, cancel := context.WithTimeoutCause(t.Context(), ends+time.Minute, over)
	defer cancel()
	if err := c.talk(ctx); !errors.Is(err, over) {
		t.Errorf("seed %d: %v", seed, err)
	}
	_ = session.Close()
	_ = joined.Close()
	r.Close()
	milliseconds := heard.milliseconds()
	for name, length := range finished {
		var number int
		if _, err := fmt.Sscanf(name, "answer %d", &number); err != nil {
			t.Fatal(err)
		}
		for ms := range length {
			if !milliseconds[(number-1)*answerLength+1+ms] {
				t.Fatalf("seed %d: %s of %d ms ended well, and millisecond %d was not heard: %+v\n%s", seed, name,
					length, ms, notes, text)
			}
		}
	}
	if len(finished) == 0 {
		t.Errorf("seed %d: no answer ended well: %+v\n%s", seed, notes, text)
	}
	for _, n := range notes {
		if n.Kind == NoteContinued {
			resumed++
		}
	}
	return resumed
}

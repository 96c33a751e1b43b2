package dailytest

import (
	"bufio"
	_ "embed"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

//go:embed library/core.c
var librarySource []byte

// BuildLibrary compiles the stand-in for Daily's library in a folder and returns its path.
// It uses the C compiler $CC, or cc.
func BuildLibrary(folder string) (path string, err error) {
	source := filepath.Join(folder, "core.c")
	if err := os.WriteFile(source, librarySource, 0o600); err != nil {
		return "", err
	}
	compiler := os.Getenv("CC")
	if compiler == "" {
		compiler = "cc"
	}
	path = filepath.Join(folder, "libdaily_core.so")
	out, err := exec.Command(compiler, "-D_GNU_SOURCE", "-shared", "-fPIC", "-pthread", "-O1", "-o", path,
		source).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("dailytest: %w: %s", err, out)
	}
	return path, nil
}

// The kinds of frames between a room and the stand-in library (see core.c).
const (
	callFrame   = 'C'
	eventFrame  = 'E'
	peopleFrame = 'P'
	soundFrame  = 'S'
)

// largestFrame is the maximum size of a frame from the library, in bytes.
const largestFrame = 1 << 20

// guest is a client of the stand-in library that is connected to the room.
type guest struct {
	room *Room
	conn net.Conn
	Person
	hasJoined bool
	taken     int // messages

	mu     sync.Mutex
	people map[string]libraryPerson
	hums   map[string]int // tones in Hz, by session id

	listening sync.WaitGroup
	hear      chan struct{} // closed when the renderer ends
}

// libraryPerson describes a participant in the form that the library uses.
type libraryPerson struct {
	ID   string     `json:"id"`
	Info personInfo `json:"info"`
}

type personInfo struct {
	UserID   string `json:"userId"`
	UserName string `json:"userName"`
	Local    bool   `json:"isLocal"`
}

func described(p Person, local bool) libraryPerson {
	return libraryPerson{p.SessionID, personInfo{p.UserID, p.UserName, local}}
}

// serveLibrary serves the connection of one client of the library.
func (r *Room) serveLibrary(w http.ResponseWriter, _ *http.Request) {
	r.tasks.Add(1)
	defer r.tasks.Done()
	conn, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		r.complain("a client of the library: %v", err)
		return
	}
	defer conn.Close()
	g := &guest{room: r, conn: conn, people: map[string]libraryPerson{}, hums: map[string]int{}}
	g.serve(buffered.Reader)
	g.quiet()
	if g.hasJoined {
		r.dismiss(g.SessionID)
	}
}

// serve carries out the calls of the client until its connection ends.
func (g *guest) serve(from *bufio.Reader) {
	for {
		kind, rest, err := readFrame(from)
		if err != nil {
			return
		}
		words := strings.Split(string(rest), "\t")
		if kind != callFrame || !g.call(words[0], words[1:]) {
			return
		}
	}
}

func readFrame(from io.Reader) (kind byte, rest []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.NativeEndian.Uint32(head[1:])
	if size > largestFrame {
		return 0, nil, fmt.Errorf("a frame of %d bytes", size)
	}
	rest = make([]byte, size)
	_, err = io.ReadFull(from, rest)
	return head[0], rest, err
}

// call carries out one call. It reports whether the client stays connected.
func (g *guest) call(name string, arguments []string) bool {
	known := map[string]int{"set_user_name": 1, "about": 3, "update_subscription_profiles": 1, "join": 4,
		"send_app_message": 3, "set_participant_audio_renderer": 5, "leave": 1}
	if known[name] != len(arguments) {
		g.room.complain("the library is called for %s with %d arguments", name, len(arguments))
		return true
	}
	switch name {
	case "set_user_name":
		g.UserName = arguments[0]
	case "about":
		g.must(name, arguments, "daily-core-sdk\t0.22.0\techocast")
	case "update_subscription_profiles":
		g.must(name, arguments, `{"base":{"camera":"unsubscribed","microphone":"unsubscribed"}}`,
			`{"base":{"camera":"unsubscribed","microphone":"subscribed"}}`)
	case "join":
		return g.join(arguments[0], arguments[1], arguments[2], arguments[3])
	case "send_app_message":
		g.message(arguments[0], arguments[1], arguments[2])
	case "set_participant_audio_renderer":
		g.render(arguments)
	case "leave":
		return g.leave(arguments[0])
	}
	return true
}

// must records a complaint if the arguments differ from all known ones.
func (g *guest) must(name string, arguments []string, known ...string) {
	if got := strings.Join(arguments, "\t"); !slices.Contains(known, got) {
		g.room.complain("%s: %q", name, got)
	}
}

func (g *guest) join(id, url, token, settings string) bool {
	g.must("join", []string{settings}, `{"inputs":{"camera":false,"microphone":false}}`)
	r := g.room
	r.mu.Lock()
	r.joins = append(r.joins, Join{url, g.UserName, token})
	r.mu.Unlock()
	if r.options.Refuse != nil {
		g.failed(id, r.options.Refuse.Message)
		return true
	}
	g.SessionID = r.newSession()
	g.UserID = "user-" + g.SessionID
	g.hasJoined = true
	g.mu.Lock() // the list of participants comes first
	others := r.admit(member{Person: g.Person, deliver: g.deliver, leave: g.putOut})
	g.people["local"] = described(g.Person, true)
	for _, m := range others {
		g.people[m.SessionID] = described(m.Person, false)
		if m.hertz > 0 {
			g.hums[m.SessionID] = m.hertz
		}
	}
	g.tellPeople()
	g.event(map[string]any{"action": "call-state-updated", "state": "joined"})
	// Clients must skip events that only a later release knows.
	g.event(map[string]any{"action": "of-a-later-release", "message": map[string]any{"text": 1}, "participant": "p1"})
	g.completed(id)
	g.mu.Unlock()
	for _, m := range others {
		m.deliver(envelope{Type: "joined", Person: &g.Person})
	}
	return true
}

func (g *guest) message(id, to, text string) {
	if !json.Valid([]byte(text)) || !strings.HasPrefix(text, "{") {
		g.room.complain("an app-message that is no JSON object: %.60q", text)
	}
	g.taken++
	if after := g.room.options.SwallowAfter; after > 0 && g.taken > after && len(g.room.Joins()) == 1 {
		return
	}
	limit := g.room.options.MaxMessage
	if limit == 0 {
		limit = 4096
	}
	if len(text) > limit {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.failed(id, fmt.Sprintf("the message has %d bytes, of at most %d", len(text), limit))
		return
	}
	g.mu.Lock() // before anybody who gets the message can end this call
	g.completed(id)
	g.mu.Unlock()
	g.room.broadcast(envelope{Type: "message", From: g.SessionID, Data: json.RawMessage(text)}, g.SessionID, to)
}

func (g *guest) leave(id string) bool {
	g.room.mu.Lock()
	g.room.leaves++
	g.room.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.event(map[string]any{"action": "call-state-updated", "state": "left"})
	g.completed(id)
	return false
}

// putOut ends the call, as when a room is closed.
func (g *guest) putOut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.event(map[string]any{"action": "call-state-updated", "state": "left"})
	_ = g.conn.(*net.TCPConn).CloseRead()
}

// deliver reports an event of the room to the client.
func (g *guest) deliver(e envelope) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch e.Type {
	case "message":
		g.event(map[string]any{"action": "app-message", "from": e.From, "msgData": e.Data})
	case "joined":
		g.people[e.Person.SessionID] = described(*e.Person, false)
		g.tellPeople()
		g.event(map[string]any{"action": "participant-joined", "participant": described(*e.Person, false)})
	case "left":
		delete(g.people, e.Person.SessionID)
		g.tellPeople()
		g.event(map[string]any{"action": "participant-left", "participant": described(*e.Person, false),
			"leftReason": "leftCall"})
	case "hidden":
		g.event(map[string]any{"action": "participant-left", "participant": described(*e.Person, false),
			"leftReason": "hidden"})
	case "tone":
		g.hums[e.From] = e.Hertz
	case "error":
		g.event(map[string]any{"action": "error", "message": e.Error.Message})
		g.event(map[string]any{"action": "call-state-updated", "state": "left"})
	}
}

// The caller of the following methods holds the lock.

func (g *guest) completed(id string) {
	g.event(map[string]any{"action": "request-completed", "requestId": map[string]any{"id": json.Number(id)},
		"requestSuccess": map[string]any{}})
}

func (g *guest) failed(id, why string) {
	g.event(map[string]any{"action": "request-completed", "requestId": map[string]any{"id": json.Number(id)},
		"requestError": map[string]any{"msg": why}})
}

func (g *guest) event(object map[string]any) {
	text, err := json.Marshal(object)
	if err != nil {
		g.room.complain("an event: %v", err)
	}
	g.frame(eventFrame, text)
}

func (g *guest) tellPeople() {
	text, _ := json.Marshal(g.people) // strings always marshal
	g.frame(peopleFrame, text)
}

// frame sends a frame to the library. Another goroutine notices if the library is gone.
func (g *guest) frame(kind byte, rest []byte) {
	head := binary.NativeEndian.AppendUint32([]byte{kind}, uint32(len(rest)))
	_, _ = g.conn.Write(append(head, rest...))
}

// render starts to play a participant's tone to the client.
func (g *guest) render(arguments []string) {
	renderer, err := strconv.ParseUint(arguments[1], 10, 64)
	rate, failed := strconv.Atoi(arguments[4])
	if err != nil || failed != nil || arguments[3] != "microphone" {
		g.room.complain("a renderer: %q", arguments)
		return
	}
	g.quiet()
	g.hear = make(chan struct{})
	end, who := g.hear, arguments[2]
	g.listening.Go(func() { g.play(end, who, renderer, rate) })
	g.mu.Lock()
	defer g.mu.Unlock()
	g.completed(arguments[0])
}

// quiet ends the renderer, if one is running.
func (g *guest) quiet() {
	if g.hear != nil {
		close(g.hear)
		g.listening.Wait()
		g.hear = nil
	}
}

// soundFrames is how many frames of sound the library delivers per second.
const soundFrames = 100

// play sends the client a participant's tone in real time. A participant without a tone
// sends nothing.
func (g *guest) play(end <-chan struct{}, who string, renderer uint64, rate int) {
	ticker := time.NewTicker(time.Second / soundFrames)
	defer ticker.Stop()
	start, done := time.Now(), 0
	for {
		select {
		case <-end:
			return
		case <-ticker.C:
		}
		for ; done < int(time.Since(start).Seconds()*soundFrames); done++ {
			g.mu.Lock()
			if hertz := g.hums[who]; hertz > 0 {
				g.frame(soundFrame, tone(renderer, rate, hertz, done*rate/soundFrames))
			}
			g.mu.Unlock()
		}
	}
}

// tone returns 10 ms of a tone, from a sample position on.
func tone(renderer uint64, rate, hertz, position int) []byte {
	frame := binary.NativeEndian.AppendUint64(nil, renderer)
	frame = binary.NativeEndian.AppendUint32(frame, uint32(rate))
	frame = binary.NativeEndian.AppendUint32(frame, 1)
	for i := range rate / soundFrames {
		at := float64(position+i) / float64(rate)
		frame = binary.NativeEndian.AppendUint16(frame, uint16(int16(12000*math.Sin(2*math.Pi*float64(hertz)*at))))
	}
	return frame
}

// Package dailytest is a stand-in for a Daily room that runs on this machine only. The
// tests of package daily connect to it.
//
// A page with the real daily-js joins it through the stand-in call machine that a Room
// serves. A participant written in Go joins with Enter, and has Send and Receive like any
// connection. If the room or the call machine gets something that it does not know, the
// Room records a complaint.
//
// The call machine was written from what the public daily-js sends and expects. It shows
// that package daily and daily-js work together. It cannot show what Daily's call machine
// and servers do.
package dailytest

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/pion/rtp"
	"golang.org/x/net/websocket"
)

//go:embed callmachine.js
var callMachine []byte

// Person is a participant of a room.
type Person struct {
	SessionID string `json:"session_id"`
	UserID    string `json:"user_id"`
	UserName  string `json:"user_name"`
}

// Refusal is an error with Daily's type and message.
type Refusal struct {
	Type    string `json:"type"`
	Message string `json:"msg"`
}

// Options configure a Room. The zero value is an ordinary room.
type Options struct {
	// MaxMessage is the limit that the room announces, or none if zero.
	MaxMessage int

	// Viewers admits pages that subscribe to all tracks, unlike the page of package daily.
	Viewers bool

	// Voice receives the audio that the pages publish, packet by packet: Opus, 48 kHz. If
	// it is nil, the Room records a complaint when a page publishes something.
	Voice func(*rtp.Packet)
	// Quiet is how many pages join without a microphone before one may have a microphone.
	Quiet int

	// Refuse, if set, is the error with which every page is refused.
	Refuse *Refusal

	// SwallowAfter is the number of messages after which the first client of the stand-in
	// library silently drops all others. 0 means never.
	SwallowAfter int
}

// Room relays messages between its participants.
type Room struct {
	options Options
	server  http.Server
	address string
	tasks   sync.WaitGroup

	mu         sync.Mutex
	last       int      // the number of the last session id
	members    []member // in order of arrival
	changed    chan struct{}
	complaints []string
	joins      []Join
	leaves     int
	left       map[string]bool // sessions that have left
}

// Join holds the parameters with which a page joined.
type Join struct{ URL, UserName, Token string }

// member is a participant, and how to reach it.
type member struct {
	Person
	hertz   int // of its microphone, or 0
	deliver func(envelope)
	leave   func()
}

// envelope is a message between a room and a page.
type envelope struct {
	Type     string          `json:"type"`
	URL      string          `json:"url,omitempty"`
	UserName string          `json:"user_name,omitempty"`
	Token    string          `json:"token,omitempty"`
	You      *Person         `json:"you,omitempty"`
	Person   *Person         `json:"person,omitempty"`
	People   []Person        `json:"people"`
	Max      int             `json:"max,omitempty"`
	Viewers  bool            `json:"viewers,omitempty"`
	Voice    bool            `json:"microphone,omitempty"`
	From     string          `json:"from,omitempty"`
	To       string          `json:"to,omitempty"`
	Data     json.RawMessage `json:"data,omitempty"`
	Hertz    int             `json:"hertz,omitempty"`
	Error    *Refusal        `json:"error,omitempty"`
	Text     string          `json:"text,omitempty"`
}

// NewRoom opens a room on 127.0.0.1.
func NewRoom(o Options) (*Room, error) {
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("dailytest: %w", err)
	}
	r := &Room{options: o, address: socket.Addr().String(), changed: make(chan struct{}), left: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /machine/call-machine-object-bundle.js", serveMachine)
	mux.Handle("GET /socket", websocket.Handler(r.servePage))
	mux.HandleFunc("GET /library", r.serveLibrary)
	r.server = http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	r.tasks.Go(func() { _ = r.server.Serve(socket) })
	return r, nil
}

// serveMachine serves the stand-in call machine to pages of any origin.
func serveMachine(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Content-Type", "text/javascript")
	_, _ = w.Write(callMachine)
}

// Machine returns the source of the stand-in call machine.
func Machine() []byte { return append([]byte(nil), callMachine...) }

// URL returns the address of the room.
func (r *Room) URL() string { return "http://" + r.address + "/room" }

// CallMachine returns the address from which daily-js loads the stand-in call machine.
func (r *Room) CallMachine() string { return "http://" + r.address + "/machine" }

// Close disconnects everybody and frees the room.
func (r *Room) Close() {
	for _, m := range r.present() {
		m.leave()
	}
	_ = r.server.Close()
	r.tasks.Wait()
}

// Complaints returns what the room and its call machine did not know.
func (r *Room) Complaints() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.complaints...)
}

// Joins returns the parameters of every page that joined, in order.
func (r *Room) Joins() []Join {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Join(nil), r.joins...)
}

// Leaves returns how many pages left properly and did not just disconnect.
func (r *Room) Leaves() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leaves
}

// People returns the participants of the room, and a channel that is closed when they
// change.
func (r *Room) People() ([]Person, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var people []Person
	for _, m := range r.members {
		people = append(people, m.Person)
	}
	return people, r.changed
}

// Hide tells the pages that a participant is hidden but still in the room. Daily does so in
// rooms with many participants.
func (r *Room) Hide(session string) {
	for _, m := range r.present() {
		if m.SessionID == session {
			r.broadcast(envelope{Type: "hidden", Person: &m.Person}, session, "*")
		}
	}
}

// Network tells a participant's page that one of its connections was "interrupted" or is
// "connected" again: the media connection if media is true, otherwise the signalling.
func (r *Room) Network(session, event string, media bool) {
	kind := "signaling"
	if media {
		kind = "sfu"
	}
	for _, m := range r.present() {
		if m.SessionID == session {
			m.deliver(envelope{Type: "network", Text: event, From: kind})
		}
	}
}

// Fail ends a participant's call with a fatal error, as Daily does.
func (r *Room) Fail(session string, reason Refusal) {
	for _, m := range r.present() {
		if m.SessionID == session {
			m.deliver(envelope{Type: "error", Error: &reason})
		}
	}
}

// present returns the participants in the room.
func (r *Room) present() []member {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]member(nil), r.members...)
}

func (r *Room) complain(format string, arguments ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.complaints = append(r.complaints, fmt.Sprintf(format, arguments...))
}

// admit adds a participant and returns those who were already there.
func (r *Room) admit(m member) []member {
	r.mu.Lock()
	defer r.mu.Unlock()
	others := append([]member(nil), r.members...)
	r.members = append(r.members, m)
	r.notify()
	return others
}

// notify wakes everyone who watches the room. The caller holds the lock.
func (r *Room) notify() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// newSession returns a new id for a participant.
func (r *Room) newSession() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	return fmt.Sprintf("session-%d", r.last)
}

// dismiss removes a participant and tells the others.
func (r *Room) dismiss(session string) {
	r.mu.Lock()
	var gone *Person
	kept := r.members[:0:0]
	for _, m := range r.members {
		if m.SessionID == session {
			gone = &m.Person
		} else {
			kept = append(kept, m)
		}
	}
	r.members = kept
	if gone != nil {
		r.left[session] = true
	}
	r.notify()
	r.mu.Unlock()
	if gone != nil {
		r.broadcast(envelope{Type: "left", Person: gone}, session, "*")
	}
}

// broadcast delivers to one participant, or with "*" to all except the sender. A message to
// someone who is leaving at that moment is lost.
func (r *Room) broadcast(e envelope, from, to string) {
	found := to == "*"
	for _, m := range r.present() {
		if m.SessionID != from && (to == "*" || to == m.SessionID) {
			m.deliver(e)
			found = true
		}
	}
	if !found && !r.wasHere(to) {
		r.complain("a message to %q, who is not in the room", to)
	}
}

func (r *Room) wasHere(session string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.left[session]
}

// servePage serves the connection of one page.
func (r *Room) servePage(socket *websocket.Conn) {
	r.tasks.Add(1)
	defer r.tasks.Done()
	socket.MaxPayloadBytes = 4 << 20
	var hello envelope
	if err := websocket.JSON.Receive(socket, &hello); err != nil || hello.Type != "join" {
		r.complain("a page says %q (%v)", hello.Type, err)
		return
	}
	r.mu.Lock()
	r.joins = append(r.joins, Join{hello.URL, hello.UserName, hello.Token})
	r.mu.Unlock()
	if r.options.Refuse != nil {
		_ = websocket.JSON.Send(socket, envelope{Type: "refused", Error: r.options.Refuse})
		_, _ = io.Copy(io.Discard, socket) // until the page closes
		return
	}
	session := r.newSession()
	page := Person{SessionID: session, UserID: "user-" + session, UserName: hello.UserName}
	var sending sync.Mutex
	deliver := func(e envelope) {
		sending.Lock()
		defer sending.Unlock()
		_ = websocket.JSON.Send(socket, e)
	}
	sending.Lock() // the welcome comes first
	others := r.admit(member{Person: page, deliver: deliver, leave: func() { _ = socket.Close() }})
	welcome := envelope{Type: "welcome", You: &page, People: []Person{}, Max: r.options.MaxMessage,
		Viewers: r.options.Viewers, Voice: r.options.Voice != nil && len(r.Joins()) > r.options.Quiet}
	for _, m := range others {
		welcome.People = append(welcome.People, m.Person)
	}
	_ = websocket.JSON.Send(socket, welcome)
	sending.Unlock()
	for _, m := range others {
		m.deliver(envelope{Type: "joined", Person: &page})
		if m.hertz > 0 {
			deliver(envelope{Type: "tone", From: m.SessionID, Hertz: m.hertz})
		}
	}
	r.relay(socket, session, deliver)
	r.dismiss(session)
}

// relay passes on the messages of a page until the page disconnects.
func (r *Room) relay(socket *websocket.Conn, session string, deliver func(envelope)) {
	var heard listeners
	defer heard.close()
	for {
		var e envelope
		if err := websocket.JSON.Receive(socket, &e); err != nil {
			return
		}
		switch e.Type {
		case "message":
			r.broadcast(envelope{Type: "message", From: session, Data: e.Data}, session, e.To)
		case "voice":
			answer, err := heard.listen(e.Text, r.options.Voice)
			if err != nil {
				r.complain("the voice of %s: %v", session, err)
			}
			deliver(envelope{Type: "voice", Text: answer})
		case "leave":
			r.mu.Lock()
			r.leaves++
			r.mu.Unlock()
			return
		case "complaint":
			r.complain("%s", e.Text)
		default:
			r.complain("a page says %q", e.Type)
		}
	}
}

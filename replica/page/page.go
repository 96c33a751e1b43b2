// Package page serves the page of a stand-in replica. The page shows the face, plays the
// sound, and draws what the replica receives and plays. It is a participant of the room: it
// joins by WebRTC like every sender, and interrupts and speaks with the same messages.
// Server-sent events carry what only the replica knows.
package page

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"echocast/replica"
	"echocast/replica/face"
)

//go:embed static
var static embed.FS

// withFace inserts the drawing of the face into the page.
func withFace(html []byte) []byte {
	return bytes.Replace(html, []byte("<!-- face -->\n"), []byte(face.SVG), 1)
}

// backlog is how many events may wait for a browser to read them. A browser that
// reads more slowly is disconnected, and connects again.
const backlog = 512

// Page serves the page and sends it what happens in the room. Its methods may be called
// from any goroutine and do not block.
type Page struct {
	token string
	start time.Time

	mu       sync.Mutex
	browsers map[chan []byte]bool
	people   map[int]bool // connection number → whether it hears
	current  string       // the utterance that plays, or empty
	controls Controls     // nil if there are none
	isClosed bool
}

// Controls are the actions of the page that have no message.
type Controls interface {
	// UserSpeaks reports that the user begins or stops to speak.
	UserSpeaks(speaking bool)
	// SetFaults replaces the faults of the replica by those named in words, with the
	// syntax of --fault.
	SetFaults(words []string) error
}

// SetControls connects the controls of the page.
func (p *Page) SetControls(controls Controls) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.controls = controls
}

// New returns a page with a secret path.
func New() *Page {
	return &Page{token: rand.Text(), start: time.Now(), browsers: map[chan []byte]bool{}, people: map[int]bool{}}
}

// Path returns the secret path of the page.
func (p *Page) Path() string { return "/page/" + p.token + "/" }

// update is an event of the stream. Times are seconds since the page was made.
type update struct {
	Type string  `json:"type"`
	T    float64 `json:"t"`

	Utterance string      `json:"utterance,omitempty"`
	Who       string      `json:"who,omitempty"`
	Seconds   float64     `json:"seconds,omitempty"` // of audio, or of silence
	Text      string      `json:"text,omitempty"`
	Cut       bool        `json:"interrupted,omitempty"`
	Mouth     *face.Mouth `json:"mouth,omitempty"`
	People    []bool      `json:"people,omitempty"`
}

// Event passes on an event of the replica.
func (p *Page) Event(e replica.Event) {
	u := update{Type: string(e.Kind), T: p.now(), Utterance: e.Utterance, Who: e.Participant, Text: e.Text,
		Cut: e.Interrupted}
	switch e.Kind {
	case replica.EventStarted:
		p.setSpeaking(e.Utterance)
	case replica.EventStopped:
		p.setSpeaking("")
		u.Seconds = e.PlayedSeconds
	case replica.EventUnderrun:
		u.Seconds = e.SilenceMS / 1000
	case replica.EventComplaint:
		u.Text = e.Complaint.Text
	}
	p.publish(u)
}

// Chunk reports the time at which audio was received, and its length.
func (p *Page) Chunk(at time.Time, participant, utterance string, length time.Duration) {
	p.publish(update{Type: "chunk", T: p.seconds(at), Who: participant, Utterance: utterance, Seconds: length.Seconds()})
}

// Sound reports the movement of the mouth while samples play. at is when the first of them
// is due.
func (p *Page) Sound(at time.Time, rate int, samples []int16) {
	if rate <= 0 || !p.isWatched() {
		return
	}
	mouth := face.MouthOf(samples, rate)
	p.publish(update{Type: "sound", T: p.seconds(at), Seconds: float64(len(samples)) / float64(rate), Mouth: &mouth})
}

// Join reports that a connection has joined, and whether it hears.
func (p *Page) Join(connection int, hears bool) { p.setPeople(func() { p.people[connection] = hears }) }

// Leave reports that a connection has ended.
func (p *Page) Leave(connection int) { p.setPeople(func() { delete(p.people, connection) }) }

// Close ends the streams of all browsers.
func (p *Page) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isClosed = true
	for browser := range p.browsers {
		p.disconnect(browser)
	}
}

func (p *Page) setSpeaking(utterance string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = utterance
}

func (p *Page) setPeople(change func()) {
	p.mu.Lock()
	change()
	u := p.presenceUpdate()
	p.mu.Unlock()
	p.publish(u)
}

// presenceUpdate returns an update that lists everybody who is connected.
func (p *Page) presenceUpdate() update {
	u := update{Type: "people", T: p.now()}
	for _, hears := range p.people {
		u.People = append(u.People, hears)
	}
	return u
}

func (p *Page) now() float64 { return p.seconds(time.Now()) }

func (p *Page) seconds(at time.Time) float64 { return at.Sub(p.start).Seconds() }

func (p *Page) isWatched() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.browsers) > 0
}

// publish sends an update to all browsers.
func (p *Page) publish(u update) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.browsers) == 0 {
		return
	}
	line, _ := json.Marshal(u) // text and finite numbers always marshal
	for browser := range p.browsers {
		select {
		case browser <- line:
		default:
			p.disconnect(browser)
		}
	}
}

// disconnect ends the stream of a browser.
func (p *Page) disconnect(browser chan []byte) {
	delete(p.browsers, browser)
	close(browser)
}

// add starts the stream of a browser with the current state of the room.
func (p *Page) add() chan []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	browser := make(chan []byte, backlog)
	if p.isClosed {
		close(browser)
		return browser
	}
	p.browsers[browser] = true
	for _, u := range []update{{Type: "hello", T: p.now(), Utterance: p.current}, p.presenceUpdate()} {
		line, _ := json.Marshal(u) // as in publish
		browser <- line
	}
	return browser
}

func (p *Page) remove(browser chan []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.browsers[browser] {
		p.disconnect(browser)
	}
}

// Shared returns a file that other pages of this program share with this one: the style
// sheet page.css, or lanes.js, which draws the lanes.
func Shared(name string) ([]byte, bool) {
	if name != "page.css" && name != "lanes.js" {
		return nil, false
	}
	content, err := static.ReadFile("static/" + name)
	return content, err == nil
}

// policy is the Content-Security-Policy. The page loads only files of this server, and
// connects to nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src " +
	"'self' blob: mediastream:; " +
	"img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// types are the content types of the files.
var types = map[string]string{
	"page.html": "text/html; charset=utf-8", "page.css": "text/css; charset=utf-8",
	"page.js":  "text/javascript; charset=utf-8",
	"lanes.js": "text/javascript; charset=utf-8",
}

// ServeHTTP serves the page to requests with its secret path, and refuses pages of
// other origins.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, isPage := strings.CutPrefix(r.URL.Path, "/page/")
	token, name, _ := strings.Cut(rest, "/")
	if !isPage || subtle.ConstantTimeCompare([]byte(token), []byte(p.token)) != 1 {
		http.NotFound(w, r)
		return
	}
	if !isSameOrigin(r) {
		http.Error(w, "only the page itself may ask", http.StatusForbidden)
		return
	}
	if r.Method == http.MethodPost {
		p.control(w, r, name)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD, POST")
		http.Error(w, "the method is GET or POST", http.StatusMethodNotAllowed)
		return
	}
	header := w.Header()
	header.Set("Content-Security-Policy", policy)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
	if name == "" {
		name = "page.html"
	}
	if name == "events" {
		p.stream(w, r)
		return
	}
	content, err := static.ReadFile("static/" + name)
	if types[name] == "" || err != nil {
		http.NotFound(w, r)
		return
	}
	if name == "page.html" {
		content = withFace(content)
	}
	header.Set("Content-Type", types[name])
	_, _ = w.Write(content) // a browser that has left needs no answer
}

// longestControl is the maximum size of a control's body, in bytes.
const longestControl = 4096

// control performs the action of a control.
func (p *Page) control(w http.ResponseWriter, r *http.Request, name string) {
	p.mu.Lock()
	controls := p.controls
	p.mu.Unlock()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, longestControl))
	switch {
	case controls == nil || name != "user" && name != "faults":
		http.NotFound(w, r)
		return
	case err != nil:
	case name == "user":
		controls.UserSpeaks(string(body) == "true")
	default:
		err = controls.SetFaults(strings.Fields(string(body)))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// isSameOrigin reports whether a request comes from the page or from the address
// bar of the browser.
func isSameOrigin(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return false
	}
	for _, origin := range r.Header.Values("Origin") {
		if origin != "http://"+r.Host && origin != "https://"+r.Host {
			return false
		}
	}
	return true
}

// keepAlive is the longest time without a byte in a stream.
const keepAlive = 10 * time.Second

// stream sends updates as server-sent events until the browser leaves.
func (p *Page) stream(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Time{}) // if unsupported, the browser connects again
	w.Header().Set("Content-Type", "text/event-stream")
	browser := p.add()
	defer p.remove(browser)
	alive := time.NewTicker(keepAlive)
	defer alive.Stop()
	for {
		var err error
		select {
		case line, ok := <-browser:
			if !ok {
				return
			}
			_, err = w.Write([]byte("data: " + string(line) + "\n\n"))
		case <-alive.C:
			_, err = w.Write([]byte(": alive\n\n"))
		case <-r.Context().Done():
			return
		}
		if err != nil || control.Flush() != nil {
			return
		}
	}
}

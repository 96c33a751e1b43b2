// Package tavustest is a stand-in for the Tavus API, for tests. It keeps PALs, faces and
// conversations in memory, simulates faults, and refuses requests that docs.tavus.io does
// not describe. It was written from the documentation and shares no code with the client
// under test.
package tavustest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Server is the stand-in. Set its exported fields before the first request.
type Server struct {
	Key string // the only key that it accepts
	// OldNames makes it know only the old names, persona and replica.
	OldNames bool
	// LongestPage is the maximum number of items in a page, whatever was requested. 0 means
	// 100.
	LongestPage int
	// Extra adds unknown fields to every object in an answer.
	Extra bool
	// RoomURL is the address of every room. Empty means an address on tavus.daily.co.
	RoomURL string
	// FaceStatus is the status of its only face. Empty means "completed".
	FaceStatus string
	// Skew is how far the clock of the service is ahead.
	Skew time.Duration
	// StrictEnd refuses to end a conversation that has already ended.
	StrictEnd bool
	// Watch, if not nil, is called when a request has arrived, and again when it was
	// carried out but not yet answered. It may block.
	Watch func(stage Stage, r *http.Request)
	// AppMessages configures send-app-message. A server that gets messages must be closed.
	AppMessages AppMessages

	mu            sync.Mutex
	pals          []*pal
	conversations []*Conversation
	faults        []*Fault
	requests      []Request
	complaints    []string
	made          int

	live         map[string]*live // by conversation id
	delivered    map[string][][]byte
	ctx          context.Context //nolint:containedctx // for the replicas, which outlive requests
	stop         context.CancelFunc
	messageTimes []time.Time
	accepted     []time.Time // times of messages that count for the rate limit
	retryAfter   int         // seconds, of the current answer; 0: none
}

// Stage is the progress of a request.
type Stage string

// The stages of a request.
const (
	Received Stage = "received"
	Done     Stage = "done"
)

// Conversation is a conversation of the stand-in.
type Conversation struct {
	ID, Name, PAL, Face, Status string
	Body                        map[string]any // the body of its creation
	Created                     time.Time
}

// Request is a request that the server received.
type Request struct {
	Method, Path, Query string
	Body                map[string]any
	Raw                 []byte // of an app-message
}

type pal struct {
	ID, Name, Face, Mode string
	Layers               any // as received
	Created              time.Time
}

// Fault is a simulated failure. The zero Fault matches every request and changes nothing.
type Fault struct {
	Method string // empty: any
	Path   string // prefix of the path
	Skip   int    // how many matching requests to skip first
	Times  int    // how often it happens; 0: always
	After  bool   // carry out the request before failing
	Status int    // 0: the normal status
	Header http.Header
	Body   string
	Mirror bool // echo the request's headers, like a careless proxy
	Reset  bool // break the connection instead of answering
	Cut    int  // break it after this many bytes of the answer
	Delay  time.Duration
}

// Fail adds a fault. If several faults match, the first one happens.
func (s *Server) Fail(fault Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fault.Times == 0 {
		fault.Times = -1
	}
	s.faults = append(s.faults, &fault)
}

// Heal removes all faults.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Open returns the conversations that currently cost money.
func (s *Server) Open() (open []Conversation) {
	for _, c := range s.Conversations() {
		if c.Status == "active" {
			open = append(open, c)
		}
	}
	return open
}

// Conversations returns all conversations that were ever created.
func (s *Server) Conversations() (all []Conversation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conversations {
		all = append(all, *c)
	}
	return all
}

// Requests returns all requests that had the right key.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Count returns how many requests had this method and path prefix.
func (s *Server) Count(method, path string) (n int) {
	for _, r := range s.Requests() {
		if r.Method == method && strings.HasPrefix(r.Path, path) {
			n++
		}
	}
	return n
}

// Complaints returns the requests that deviate from the documentation.
func (s *Server) Complaints() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.complaints)
}

// Add adds an active conversation to the account, as if another program had created it.
func (s *Server) Add(name string) (id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.newConversation(map[string]any{"conversation_name": name, "pal_id": "p0", "face_id": "r0"}).ID
}

// AddPAL adds a PAL to the account, such as a stock one. Its layers may be nil.
func (s *Server) AddPAL(id, face, mode string, layers map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &pal{ID: id, Name: "a PAL", Face: face, Mode: mode, Created: time.Now().UTC()}
	if layers != nil {
		p.Layers = layers
	}
	s.pals = append(s.pals, p)
}

// Client returns an HTTP client that reaches the stand-in without a network, so that fake
// time advances while it waits.
func (s *Server) Client() *http.Client { return &http.Client{Transport: inMemory{s}} }

type inMemory struct{ server *Server }

// RoundTrip serves the request. If a handler breaks the connection, or the client has left,
// it returns no answer.
func (m inMemory) RoundTrip(r *http.Request) (response *http.Response, err error) {
	defer func() {
		if broken := recover(); broken != nil {
			response, err = nil, io.ErrUnexpectedEOF
		}
	}()
	incoming := r.Clone(r.Context())
	incoming.Body = http.NoBody
	if r.Body != nil { // a network would read the body before the server answers
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		incoming.Body = io.NopCloser(bytes.NewReader(text))
	}
	recorder := httptest.NewRecorder()
	m.server.ServeHTTP(recorder, incoming)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return recorder.Result(), nil
}

// answer is the answer to a request.
type answer struct {
	status int
	body   any // nil: none
}

func failed(status int, key, format string, args ...any) answer {
	return answer{status, map[string]any{key: fmt.Sprintf(format, args...)}}
}

// ServeHTTP serves the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", time.Now().Add(s.Skew).UTC().Format(http.TimeFormat))
	fault := s.fault(r)
	if fault != nil && !fault.After {
		fault.answerFaulty(w, r, nil)
		if fault.Status != 0 || fault.Reset || fault.Mirror {
			return
		}
	}
	s.watch(Received, r)
	a := s.serve(r)
	s.watch(Done, r)
	var text []byte
	if a.body != nil {
		text, _ = json.Marshal(a.body) // maps and strings always marshal
	}
	if fault != nil && fault.After {
		fault.answerFaulty(w, r, text)
		if fault.Status != 0 || fault.Reset || fault.Mirror || fault.Cut > 0 {
			return
		}
	}
	if a.status == http.StatusTooManyRequests {
		s.mu.Lock()
		s.retryHeader(w.Header())
		s.mu.Unlock()
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(a.status)
	_, _ = w.Write(text) // the client may have left
}

func (s *Server) watch(stage Stage, r *http.Request) {
	if s.Watch != nil {
		s.Watch(stage, r)
	}
}

func (s *Server) fault(r *http.Request) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		if f.Times != 0 && (f.Method == "" || f.Method == r.Method) && strings.HasPrefix(r.URL.Path, f.Path) {
			if f.Skip > 0 {
				f.Skip--
				continue
			}
			f.Times--
			return f
		}
	}
	return nil
}

// answerFaulty makes the request fail. text is the answer without the fault.
func (f *Fault) answerFaulty(w http.ResponseWriter, r *http.Request, text []byte) {
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
		}
	}
	if f.Reset {
		panic(http.ErrAbortHandler)
	}
	maps.Copy(w.Header(), f.Header)
	switch {
	case f.Cut > 0:
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = w.Write(text[:min(f.Cut, len(text))])
		if flusher, ok := w.(http.Flusher); ok {
			flusher.Flush()
		}
		panic(http.ErrAbortHandler)
	case f.Mirror:
		w.WriteHeader(max(f.Status, 400))
		_ = json.NewEncoder(w).Encode(map[string]string{"error": fmt.Sprintf("%s; headers were %v", f.Body, r.Header)})
	case f.Status != 0:
		w.WriteHeader(f.Status)
		_, _ = io.WriteString(w, f.Body)
	}
}

func (s *Server) complain(format string, args ...any) {
	s.complaints = append(s.complaints, fmt.Sprintf(format, args...))
}

func (s *Server) serve(r *http.Request) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("X-Api-Key") != s.Key {
		return failed(401, "message", "Invalid access token")
	}
	request := Request{Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery}
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return failed(400, "error", "the body broke")
	}
	if strings.HasSuffix(r.URL.Path, "/send-app-message") {
		request.Raw = text
	}
	if len(text) > 0 {
		if r.Header.Get("Content-Type") != "application/json" {
			s.complain("%s %s: the body has the type %q", r.Method, r.URL.Path, r.Header.Get("Content-Type"))
		}
		if err := json.Unmarshal(text, &request.Body); err != nil {
			return failed(400, "error", "Invalid JSON")
		}
	}
	s.requests = append(s.requests, request)
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	if len(parts) < 2 || len(parts) > 4 || parts[0] != "v2" {
		return failed(404, "message", "Not Found")
	}
	return s.route(request, parts[1], parts[2:], r)
}

func (s *Server) route(request Request, collection string, rest []string, r *http.Request) answer {
	newer := collection == "pals" || collection == "faces"
	if newer && s.OldNames {
		return failed(404, "message", "Not Found")
	}
	names := "new"
	if collection == "personas" || collection == "replicas" || s.OldNames {
		names = "old"
	}
	switch call := request.Method + " " + strconv.Itoa(len(rest)); collection {
	case "conversations":
		return s.conversation(request, call, rest, r)
	case "pals", "personas":
		return s.pal(request, call, rest, names, r)
	case "faces", "replicas":
		return s.face(call, rest, names, r)
	}
	return failed(404, "message", "Not Found")
}

// object renames fields to the names of this service.
func (s *Server) object(names string, fields map[string]any) map[string]any {
	old := map[string]string{
		"pal_id": "persona_id", "pal_name": "persona_name", "default_face_id": "default_replica_id",
		"face_id": "replica_id", "face_name": "replica_name",
	}
	all := map[string]any{}
	for name, value := range fields {
		if older := old[name]; older != "" && names == "old" {
			name = older
		}
		all[name] = value
	}
	if s.Extra {
		all["brand_new"] = map[string]any{"deep": []any{1, "two", nil}}
	}
	return all
}

func (s *Server) pal(request Request, call string, rest []string, names string, r *http.Request) answer {
	switch call {
	case "POST 0":
		return s.newPAL(request.Body, names)
	case "GET 0":
		var all []any
		for _, p := range s.pals {
			all = append(all, s.palObject(p, names))
		}
		return s.page(all, r, "persona_type")
	}
	i := -1
	if len(rest) == 1 {
		i = slices.IndexFunc(s.pals, func(p *pal) bool { return p.ID == rest[0] })
	}
	switch {
	case i < 0:
		return failed(404, "error", "Invalid pal_id")
	case request.Method == http.MethodGet:
		return answer{200, s.palObject(s.pals[i], names)}
	case request.Method == http.MethodDelete:
		s.pals = slices.Delete(s.pals, i, i+1)
		return answer{204, nil}
	}
	return failed(405, "message", "Method Not Allowed")
}

func (s *Server) palObject(p *pal, names string) map[string]any {
	fields := map[string]any{"pal_id": p.ID, "pal_name": p.Name, "default_face_id": p.Face, "pipeline_mode": p.Mode,
		"created_at": stamp(p.Created)}
	if p.Layers != nil {
		fields["layers"] = p.Layers
	}
	return s.object(names, fields)
}

func (s *Server) newPAL(body map[string]any, names string) answer {
	known := map[string]kind{"pal_name": text, "default_face_id": text, "pipeline_mode": text, "system_prompt": text,
		"layers.transport.transport_type": text, "layers.transport.input_settings.microphone.isEnabled": boolean}
	if names == "old" {
		known["persona_name"], known["default_replica_id"] = text, text
		delete(known, "pal_name")
		delete(known, "default_face_id")
	}
	if refusal := s.check("a PAL", body, known); refusal != nil {
		return *refusal
	}
	face, _ := firstOf(body, "default_face_id", "default_replica_id").(string)
	if names == "new" && face == "" {
		return failed(400, "error", "Missing required field: default_face_id")
	}
	if body["pipeline_mode"] != "echo" && body["system_prompt"] == nil {
		return failed(400, "error", "Missing required field: system_prompt")
	}
	name, _ := firstOf(body, "pal_name", "persona_name").(string)
	mode, _ := body["pipeline_mode"].(string)
	s.made++
	p := &pal{ID: fmt.Sprintf("p%011x", s.made), Name: name, Face: face, Mode: mode, Layers: body["layers"],
		Created: time.Now().UTC()}
	s.pals = append(s.pals, p)
	return answer{200, s.object(names, map[string]any{"pal_id": p.ID, "pal_name": p.Name, "created_at": stamp(p.Created)})}
}

func (s *Server) face(call string, rest []string, names string, r *http.Request) answer {
	one := s.object(names, map[string]any{"face_id": "r1234567890a", "face_name": "a face",
		"status": cmp.Or(s.FaceStatus, "completed"), "created_at": "2026-01-01T00:00:00Z"})
	switch {
	case call == "GET 0":
		return s.page([]any{one}, r)
	case call == "GET 1" && rest[0] == "r1234567890a":
		return answer{200, one}
	case call == "GET 1":
		return failed(404, "error", "Invalid face_id")
	}
	return failed(405, "message", "Method Not Allowed")
}

func (s *Server) conversation(request Request, call string, rest []string, r *http.Request) answer {
	switch call {
	case "POST 0":
		return s.create(request.Body)
	case "GET 0":
		return s.listConversations(r)
	}
	if len(rest) == 0 {
		return failed(405, "message", "Method Not Allowed")
	}
	i := slices.IndexFunc(s.conversations, func(c *Conversation) bool { return c.ID == rest[0] })
	if i < 0 {
		return failed(400, "error", "Invalid conversation_id")
	}
	c := s.conversations[i]
	switch {
	case call == "GET 1":
		return s.getConversation(c, r)
	case call == "POST 2" && rest[1] == "end":
		if request.Body != nil {
			s.complain("an end has a body")
		}
		if c.Status == "ended" && s.StrictEnd {
			return failed(400, "error", "Conversation has already ended")
		}
		c.Status = "ended"
		return answer{200, nil}
	case call == "POST 2" && rest[1] == "send-app-message":
		return s.appMessage(c, request, r)
	case call == "DELETE 1":
		s.checkQuery(r, "hard")
		s.conversations = slices.Delete(s.conversations, i, i+1)
		return answer{204, nil}
	}
	return failed(405, "message", "Method Not Allowed")
}

func (s *Server) names() string {
	if s.OldNames {
		return "old"
	}
	return "new"
}

func (s *Server) create(body map[string]any) answer {
	known := map[string]kind{
		"persona_id": text, "replica_id": text, "conversation_name": text, "conversational_context": text,
		"custom_greeting": text,
		"callback_url":    text, "audio_only": boolean, "test_mode": boolean, "require_auth": boolean,
		"max_participants": number, "enable_dynamic_greeting": boolean, "properties.daily_room": text,
		"properties.max_call_duration": number, "properties.participant_left_timeout": number,
		"properties.participant_absent_timeout": number,
		"properties.enable_recording":           boolean, "properties.enable_closed_captions": boolean,
		"properties.apply_greenscreen": boolean,
		"properties.language":          text, "properties.livekit_ws_url": text, "properties.livekit_room_token": text,
	}
	if !s.OldNames {
		known["pal_id"], known["face_id"] = text, text
	}
	if refusal := s.check("a conversation", body, known); refusal != nil {
		return *refusal
	}
	c := s.newConversation(body)
	made := map[string]any{
		"conversation_id": c.ID, "conversation_name": c.Name, "conversation_url": s.roomURL(c), "status": c.Status,
		"callback_url": body["callback_url"], "created_at": stamp(c.Created),
	}
	if body["require_auth"] == true {
		made["meeting_token"] = "eyJ.fake." + c.ID
	}
	return answer{200, s.object(s.names(), made)}
}

func (s *Server) newConversation(body map[string]any) *Conversation {
	s.made++
	c := &Conversation{ID: fmt.Sprintf("c0ffee%010x", s.made), Status: "active", Body: body, Created: time.Now().UTC()}
	c.Name, _ = body["conversation_name"].(string)
	c.PAL, _ = firstOf(body, "pal_id", "persona_id").(string)
	c.Face, _ = firstOf(body, "face_id", "replica_id").(string)
	if body["test_mode"] == true {
		c.Status = "ended"
	}
	s.conversations = append(s.conversations, c)
	return c
}

func (s *Server) roomURL(c *Conversation) string {
	if properties, _ := c.Body["properties"].(map[string]any); properties["daily_room"] != nil {
		return fmt.Sprint(properties["daily_room"])
	}
	if s.RoomURL != "" {
		return s.RoomURL
	}
	return "https://tavus.daily.co/" + c.ID
}

func stamp(t time.Time) string { return t.Format("2006-01-02T15:04:05.000000Z") }

func (s *Server) listConversations(r *http.Request) answer {
	status := r.URL.Query().Get("status")
	if status != "" && status != "active" && status != "ended" {
		s.complain("there is no status %q", status)
	}
	var all []any
	for _, c := range slices.Backward(s.conversations) { // newest first
		if status == "" || status == c.Status {
			all = append(all, s.conversationObject(c))
		}
	}
	return s.page(all, r, "status")
}

func (s *Server) conversationObject(c *Conversation) map[string]any {
	return s.object(s.names(), map[string]any{
		"conversation_id": c.ID, "conversation_name": c.Name, "conversation_url": s.roomURL(c), "status": c.Status,
		"callback_url": "",
		"face_id":      c.Face, "pal_id": c.PAL, "created_at": stamp(c.Created), "updated_at": stamp(c.Created),
	})
}

func (s *Server) getConversation(c *Conversation, r *http.Request) answer {
	s.checkQuery(r, "verbose")
	object := s.conversationObject(c)
	if r.URL.Query().Get("verbose") == "true" {
		events := []any{}
		if at := s.joins(c); !time.Now().Before(at) {
			events = append(events, map[string]any{"event_type": "system.replica_joined", "timestamp": stamp(at)})
		}
		if c.Status == "ended" {
			events = append(events, map[string]any{"event_type": "system.shutdown", "timestamp": stamp(c.Created),
				"properties": map[string]any{"reason": "end_conversation_endpoint_hit"}})
		}
		object["events"] = events
	}
	return answer{200, object}
}

// page answers with one page of a list.
func (s *Server) page(all []any, r *http.Request, more ...string) answer {
	s.checkQuery(r, append(more, "limit", "page")...)
	limit, page := 10, 1
	for name, value := range map[string]*int{"limit": &limit, "page": &page} {
		if text := r.URL.Query().Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 {
				return failed(400, "error", "Invalid %s", name)
			}
			*value = n
		}
	}
	longest := s.LongestPage
	if longest == 0 {
		longest = 100
	}
	limit = min(limit, longest)
	from := min((page-1)*limit, len(all))
	data := append([]any{}, all[from:min(from+limit, len(all))]...)
	return answer{200, map[string]any{"data": data, "total_count": len(all)}}
}

func (s *Server) checkQuery(r *http.Request, known ...string) {
	for name := range r.URL.Query() {
		if !slices.Contains(known, name) {
			s.complain("%s %s: there is no parameter %q", r.Method, r.URL.Path, name)
		}
	}
}

// kind is the JSON type of a field.
type kind int

const (
	text kind = iota
	number
	boolean
)

// check returns an error for unknown fields and for fields of the wrong type.
func (s *Server) check(what string, body map[string]any, known map[string]kind) *answer {
	for name, value := range flat("", body) {
		expected, ok := known[name]
		if !ok {
			s.complain("%s has a field %s", what, name)
			refusal := failed(400, "error", "Unknown field: %s", name[strings.LastIndexByte(name, '.')+1:])
			return &refusal
		}
		found := kind(-1)
		switch value.(type) {
		case string:
			found = text
		case float64:
			found = number
		case bool:
			found = boolean
		}
		if found != expected {
			s.complain("%s has in %s: %v", what, name, value)
			refusal := failed(400, "error", "Invalid %s", name)
			return &refusal
		}
	}
	return nil
}

// flat replaces nested objects by dotted names.
func flat(prefix string, body map[string]any) map[string]any {
	all := map[string]any{}
	for name, value := range body {
		if inner, ok := value.(map[string]any); ok {
			maps.Copy(all, flat(prefix+name+".", inner))
		} else {
			all[prefix+name] = value
		}
	}
	return all
}

func firstOf(body map[string]any, names ...string) any {
	for _, name := range names {
		if value := body[name]; value != nil {
			return value
		}
	}
	return nil
}

package tavus

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const conversationsPath = "/v2/conversations"

// Statuses of a conversation.
const (
	Active = "active"
	Ended  = "ended"
)

// What a conversation is created with, unless its Spec says otherwise.
const (
	DefaultMaxDuration   = time.Hour
	DefaultLeftTimeout   = 30 * time.Second
	DefaultAbsentTimeout = 2 * time.Minute
)

// Spec describes a conversation to be created.
type Spec struct {
	PAL  string // id; needed
	Face string // id; empty: the PAL's own
	// Name is the name. Open makes it unique by what it appends.
	Name string
	// Greeting is what the replica says first. Empty: nothing, which is said
	// explicitly, since there is a stock greeting.
	Greeting string
	// Context is told to a PAL that thinks. One in echo mode does not.
	Context string
	// MaxDuration ends the conversation, whatever happens. 0: DefaultMaxDuration.
	MaxDuration time.Duration
	// LeftTimeout ends it when everybody has left; until then the last words can
	// be spoken. 0: DefaultLeftTimeout.
	LeftTimeout time.Duration
	// AbsentTimeout ends it when nobody comes. 0: DefaultAbsentTimeout.
	AbsentTimeout time.Duration
	// TestMode makes one that costs nothing: no replica joins, and it has ended
	// from the beginning.
	TestMode bool
	// Private makes a room that needs the Token that is returned.
	Private bool
	// LiveKitURL and LiveKitToken are the caller's own LiveKit room and the
	// replica's token for it, for a PAL whose transport is LiveKit.
	LiveKitURL, LiveKitToken string
	// StateDir is where Open remembers what it created. Empty: StateDir().
	StateDir string
}

// Check tells whether the description makes sense.
func (s Spec) Check() error {
	if _, err := item(palsPath, s.PAL); err != nil {
		return errors.New("the id of the PAL: " + err.Error())
	}
	if _, err := item(facesPath, s.Face); s.Face != "" && err != nil {
		return errors.New("the id of the face: " + err.Error())
	}
	for _, d := range []time.Duration{s.MaxDuration, s.LeftTimeout, s.AbsentTimeout} {
		if d < 0 || d > 0 && d < time.Second {
			return errors.New("a time limit of a conversation is a second or more")
		}
	}
	return nil
}

// body is the request; the ids stand under the given names.
func (s Spec) body(pal, face string) map[string]any {
	properties := map[string]any{
		"max_call_duration":          seconds(cmp.Or(s.MaxDuration, DefaultMaxDuration)),
		"participant_left_timeout":   seconds(cmp.Or(s.LeftTimeout, DefaultLeftTimeout)),
		"participant_absent_timeout": seconds(cmp.Or(s.AbsentTimeout, DefaultAbsentTimeout)),
	}
	body := map[string]any{pal: s.PAL, "conversation_name": s.Name, "custom_greeting": s.Greeting, "properties": properties}
	for name, text := range map[string]string{face: s.Face, "conversational_context": s.Context} {
		if text != "" {
			body[name] = text
		}
	}
	for name, text := range map[string]string{"livekit_ws_url": s.LiveKitURL, "livekit_room_token": s.LiveKitToken} {
		if text != "" {
			properties[name] = text
		}
	}
	for name, on := range map[string]bool{"test_mode": s.TestMode, "require_auth": s.Private} {
		if on {
			body[name] = true
		}
	}
	return body
}

func seconds(d time.Duration) int64 { return int64(d.Round(time.Second) / time.Second) }

// Info is what the service says of a conversation.
type Info struct {
	ID       string  `json:"conversation_id"`
	Name     string  `json:"conversation_name,omitempty"`
	URL      string  `json:"conversation_url,omitempty"` // of the room
	Status   string  `json:"status,omitempty"`           // Active or Ended
	PAL      string  `json:"pal_id,omitempty"`
	Face     string  `json:"face_id,omitempty"`
	Callback string  `json:"callback_url,omitempty"`
	Token    string  `json:"meeting_token,omitempty"` // for the room, of a private conversation, from its creation only
	Created  string  `json:"created_at,omitempty"`
	Updated  string  `json:"updated_at,omitempty"`
	Shutdown string  `json:"shutdown_reason,omitempty"` // why it ended, where that was asked for and is known
	Events   []Event `json:"events,omitempty"`          // where they were asked for
}

// Event is something that happened in a conversation.
type Event struct {
	Type       string          `json:"event_type"`
	Time       string          `json:"timestamp,omitempty"`
	Properties json.RawMessage `json:"properties,omitempty"`
}

// UnmarshalJSON reads a conversation by its new or old names.
func (i *Info) UnmarshalJSON(text []byte) error {
	var wire struct {
		ID       loose   `json:"conversation_id"`
		Name     loose   `json:"conversation_name"`
		URL      loose   `json:"conversation_url"`
		Status   loose   `json:"status"`
		PAL      loose   `json:"pal_id"`
		Persona  loose   `json:"persona_id"`
		Face     loose   `json:"face_id"`
		Replica  loose   `json:"replica_id"`
		Callback loose   `json:"callback_url"`
		Token    loose   `json:"meeting_token"`
		Created  loose   `json:"created_at"`
		Updated  loose   `json:"updated_at"`
		Shutdown loose   `json:"shutdown_reason"`
		Events   []Event `json:"events"`
	}
	if err := json.Unmarshal(text, &wire); err != nil {
		return err
	}
	*i = Info{
		ID: string(wire.ID), Name: string(wire.Name), URL: string(wire.URL), Status: string(wire.Status),
		PAL: either(wire.PAL, wire.Persona), Face: either(wire.Face, wire.Replica),
		Callback: string(wire.Callback), Token: string(wire.Token),
		Created: string(wire.Created), Updated: string(wire.Updated), Events: wire.Events,
		Shutdown: either(wire.Shutdown, shutdownReason(wire.Events)),
	}
	return nil
}

// shutdownReason is in the event of the shutdown, under one of two names.
func shutdownReason(events []Event) loose {
	for _, event := range events {
		var properties struct {
			New loose `json:"shutdown_reason"`
			Old loose `json:"reason"`
		}
		if event.Type == "system.shutdown" && json.Unmarshal(event.Properties, &properties) == nil {
			return loose(either(properties.New, properties.Old))
		}
	}
	return ""
}

// JoinURL is the address of the room, with the token of a private one.
func (i Info) JoinURL() string {
	if i.Token == "" {
		return i.URL
	}
	separator := "?"
	if strings.Contains(i.URL, "?") {
		separator = "&"
	}
	return i.URL + separator + "t=" + url.QueryEscape(i.Token)
}

// Over reports whether the conversation has ended.
func (i Info) Over() bool { return i.Status == Ended }

// CreateConversation creates a conversation, which costs money until it ends;
// Open sees to that. It is not repeated: a conversation may exist after an error
// other than an APIError with a status from 300 to 499.
func (c *Client) CreateConversation(ctx context.Context, spec Spec) (Info, error) {
	var made Info
	if err := spec.Check(); err != nil {
		return made, err
	}
	create := func(pal, face string) error {
		return c.do(ctx, call{method: http.MethodPost, path: conversationsPath, body: spec.body(pal, face)}, &made)
	}
	err := create("pal_id", "face_id")
	if wantsOldNames(err) {
		err = create("persona_id", "replica_id")
	}
	if err == nil && !anID().MatchString(made.ID) {
		err = &APIError{Method: http.MethodPost, Path: conversationsPath, Status: http.StatusOK, Message: "the answer has no conversation_id"}
	}
	return made, err
}

// Conversation is the conversation with this id; verbose adds its events.
func (c *Client) Conversation(ctx context.Context, id string, verbose bool) (Info, error) {
	var info Info
	path, err := item(conversationsPath, id)
	if err != nil {
		return info, err
	}
	query := url.Values{}
	if verbose {
		query.Set("verbose", "true")
	}
	err = c.do(ctx, call{method: http.MethodGet, path: path, query: query, repeatable: true}, &info)
	if err == nil && info.ID != id {
		err = &APIError{Method: http.MethodGet, Path: path, Status: http.StatusOK, Message: "the answer is about another conversation, or about none"}
	}
	return info, err
}

// Conversations are all conversations of the account that have the status; an
// empty one means all.
func (c *Client) Conversations(ctx context.Context, status string) iter.Seq2[Info, error] {
	query := url.Values{}
	if status != "" {
		query.Set("status", status)
	}
	return list(ctx, c, conversationsPath, query, func(i Info) string { return i.ID })
}

// EndConversation ends a conversation. That it had ended before is no error.
func (c *Client) EndConversation(ctx context.Context, id string) error {
	path, err := item(conversationsPath, id)
	if err != nil {
		return err
	}
	err = c.do(ctx, call{method: http.MethodPost, path: path + "/end", repeatable: true}, nil)
	if err == nil {
		return nil
	}
	switch statusOf(err) {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusGone, http.StatusUnprocessableEntity:
		// How an end that comes too late is answered is not documented.
		if info, look := c.Conversation(ctx, id, false); look == nil && info.Over() {
			return nil
		}
	}
	return err
}

// DeleteConversation deletes the record of a conversation; hard deletes what
// was recorded, too, for ever.
func (c *Client) DeleteConversation(ctx context.Context, id string, hard bool) error {
	path, err := item(conversationsPath, id)
	if err != nil {
		return err
	}
	query := url.Values{}
	if hard {
		query.Set("hard", "true")
	}
	return c.do(ctx, call{method: http.MethodDelete, path: path, query: query, repeatable: true}, nil)
}

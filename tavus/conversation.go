package tavus

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// The defaults of Spec.
const (
	DefaultMaxDuration   = time.Hour
	DefaultLeftTimeout   = 30 * time.Second
	DefaultAbsentTimeout = 2 * time.Minute
)

// Spec describes a conversation to be created.
type Spec struct {
	PAL  string // id; required
	Face string // id; empty: the face of the PAL
	// Name is the name. Open appends a suffix that makes it unique.
	Name string
	// Greeting is what the replica says first. Empty means no greeting. Spec sends an empty
	// greeting explicitly, because the service has a default greeting.
	Greeting string
	// DynamicGreeting lets the PAL's language model compose the greeting.
	DynamicGreeting bool
	// Callback is the URL to which the service posts the events. Empty means no posts.
	Callback string
	// DailyRoom is the URL of a Daily room of the caller, if the account may use one.
	// Several PALs may be in one room. Empty means a room of the service.
	DailyRoom string
	// Context is for a PAL with a language model. A PAL in echo mode does not use it.
	Context string
	// MaxDuration is the time after which the conversation always ends. 0 means
	// DefaultMaxDuration.
	MaxDuration time.Duration
	// LeftTimeout is the time from when everybody has left until the conversation ends, so
	// that the last words can be spoken. 0 means DefaultLeftTimeout.
	LeftTimeout time.Duration
	// AbsentTimeout is the time after which the conversation ends if nobody joins. 0 means
	// DefaultAbsentTimeout.
	AbsentTimeout time.Duration
	// TestMode creates a conversation that costs nothing. No replica joins, and its status
	// is Ended at once.
	TestMode bool
	// Private makes a room that requires the returned Token.
	Private bool
	// LiveKitURL and LiveKitToken are a LiveKit room of the caller and the replica's token
	// for it. They are for a PAL whose transport is LiveKit.
	LiveKitURL, LiveKitToken string
	// StateDir is the folder of Open's journal. Empty means StateDir().
	StateDir string
}

// Check returns an error for an invalid id or time limit, without calling the API.
func (s Spec) Check() error {
	if _, err := item(palsPath, s.PAL); err != nil {
		return fmt.Errorf("the id of the PAL: %w", err)
	}
	if _, err := item(facesPath, s.Face); s.Face != "" && err != nil {
		return fmt.Errorf("the id of the face: %w", err)
	}
	for name, address := range map[string]string{"callback": s.Callback, "Daily room": s.DailyRoom} {
		if u, err := url.Parse(address); address != "" && (err != nil || u.Host == "" || u.Scheme != "https" &&
			u.Scheme != "http") {
			return fmt.Errorf("the address of the %s must begin with https:// or http://", name)
		}
	}
	if s.DynamicGreeting && s.Greeting != "" {
		return errors.New("a greeting is either given or made up, not both")
	}
	for _, d := range []time.Duration{s.MaxDuration, s.LeftTimeout, s.AbsentTimeout} {
		if d < 0 || d > 0 && d < time.Second {
			return errors.New("a time limit of a conversation must be at least a second")
		}
	}
	return nil
}

// body returns the request. pal and face are the names of the fields for the two ids.
func (s Spec) body(pal, face string) map[string]any {
	properties := map[string]any{
		"max_call_duration":          seconds(cmp.Or(s.MaxDuration, DefaultMaxDuration)),
		"participant_left_timeout":   seconds(cmp.Or(s.LeftTimeout, DefaultLeftTimeout)),
		"participant_absent_timeout": seconds(cmp.Or(s.AbsentTimeout, DefaultAbsentTimeout)),
	}
	body := map[string]any{pal: s.PAL, "conversation_name": s.Name, "custom_greeting": s.Greeting,
		"properties": properties}
	for name, text := range map[string]string{face: s.Face, "conversational_context": s.Context,
		"callback_url": s.Callback} {
		if text != "" {
			body[name] = text
		}
	}
	for name, text := range map[string]string{"livekit_ws_url": s.LiveKitURL, "livekit_room_token": s.LiveKitToken,
		"daily_room": s.DailyRoom} {
		if text != "" {
			properties[name] = text
		}
	}
	for name, on := range map[string]bool{"test_mode": s.TestMode, "require_auth": s.Private,
		"enable_dynamic_greeting": s.DynamicGreeting} {
		if on {
			body[name] = true
		}
	}
	if s.DynamicGreeting {
		delete(body, "custom_greeting")
	}
	return body
}

func seconds(d time.Duration) int64 { return int64(d.Round(time.Second) / time.Second) }

// Info is the service's description of a conversation.
type Info struct {
	ID       string  `json:"conversation_id"`
	Name     string  `json:"conversation_name,omitempty"`
	URL      string  `json:"conversation_url,omitempty"` // of the room
	Status   string  `json:"status,omitempty"`           // Active or Ended
	PAL      string  `json:"pal_id,omitempty"`
	Face     string  `json:"face_id,omitempty"`
	Callback string  `json:"callback_url,omitempty"`
	Token    string  `json:"meeting_token,omitempty"` // of a private room; only from its creation
	Created  string  `json:"created_at,omitempty"`
	Updated  string  `json:"updated_at,omitempty"`
	Shutdown string  `json:"shutdown_reason,omitempty"` // why it ended, if requested and known
	Events   []Event `json:"events,omitempty"`          // if requested
}

// Event is something that happened in a conversation.
type Event struct {
	Type       string          `json:"event_type"`
	Time       string          `json:"timestamp,omitempty"`
	Properties json.RawMessage `json:"properties,omitempty"`
}

// UnmarshalJSON reads a conversation with new or old field names.
func (i *Info) UnmarshalJSON(text []byte) error {
	var wire struct {
		ID       lenientText `json:"conversation_id"`
		Name     lenientText `json:"conversation_name"`
		URL      lenientText `json:"conversation_url"`
		Status   lenientText `json:"status"`
		PAL      lenientText `json:"pal_id"`
		Persona  lenientText `json:"persona_id"`
		Face     lenientText `json:"face_id"`
		Replica  lenientText `json:"replica_id"`
		Callback lenientText `json:"callback_url"`
		Token    lenientText `json:"meeting_token"`
		Created  lenientText `json:"created_at"`
		Updated  lenientText `json:"updated_at"`
		Shutdown lenientText `json:"shutdown_reason"`
		Events   []Event     `json:"events"`
	}
	if err := json.Unmarshal(text, &wire); err != nil {
		return err
	}
	*i = Info{
		ID: string(wire.ID), Name: string(wire.Name), URL: string(wire.URL), Status: string(wire.Status),
		PAL: firstText(wire.PAL, wire.Persona), Face: firstText(wire.Face, wire.Replica),
		Callback: string(wire.Callback), Token: string(wire.Token),
		Created: string(wire.Created), Updated: string(wire.Updated), Events: wire.Events,
		Shutdown: firstText(wire.Shutdown, shutdownReason(wire.Events)),
	}
	return nil
}

// shutdownReason finds the reason in the shutdown event, under its new or old name.
func shutdownReason(events []Event) lenientText {
	for _, event := range events {
		var properties struct {
			New lenientText `json:"shutdown_reason"`
			Old lenientText `json:"reason"`
		}
		if event.Type == "system.shutdown" && json.Unmarshal(event.Properties, &properties) == nil {
			return cmp.Or(properties.New, properties.Old)
		}
	}
	return ""
}

// JoinURL returns the address of the room. For a private room it includes the token.
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

// HasEnded reports whether the conversation has ended.
func (i Info) HasEnded() bool { return i.Status == Ended }

// CreateConversation creates a conversation, which costs money until it ends. Prefer Open,
// which makes sure that it ends. The call is not retried. After any error except an
// APIError with a status from 300 to 499, a conversation may exist.
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
	if err == nil && !idPattern().MatchString(made.ID) {
		err = &APIError{Method: http.MethodPost, Path: conversationsPath, Status: http.StatusOK,
			Message: "the answer has no conversation_id"}
	}
	return made, err
}

// Conversation returns the conversation with this id. With verbose it includes the events.
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
	err = c.do(ctx, call{method: http.MethodGet, path: path, query: query, isRepeatable: true}, &info)
	if err == nil && info.ID != id {
		err = &APIError{Method: http.MethodGet, Path: path, Status: http.StatusOK,
			Message: "the answer is about another conversation, or about none"}
	}
	return info, err
}

// Conversations lists the account's conversations with this status. An empty status means
// all.
func (c *Client) Conversations(ctx context.Context, status string) iter.Seq2[Info, error] {
	query := url.Values{}
	if status != "" {
		query.Set("status", status)
	}
	return list(ctx, c, conversationsPath, query, func(i Info) string { return i.ID })
}

// EndConversation ends a conversation. It returns nil for one that has already ended.
func (c *Client) EndConversation(ctx context.Context, id string) error {
	path, err := item(conversationsPath, id)
	if err != nil {
		return err
	}
	err = c.do(ctx, call{method: http.MethodPost, path: path + "/end", isRepeatable: true}, nil)
	if err == nil {
		return nil
	}
	switch statusOf(err) {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusGone, http.StatusUnprocessableEntity:
		// The documentation does not say how the service answers if the conversation has
		// already ended.
		if info, look := c.Conversation(ctx, id, false); look == nil && info.HasEnded() {
			return nil
		}
	}
	return err
}

// DeleteConversation deletes the record of a conversation. hard also permanently deletes
// its recordings.
func (c *Client) DeleteConversation(ctx context.Context, id string, hard bool) error {
	path, err := item(conversationsPath, id)
	if err != nil {
		return err
	}
	query := url.Values{}
	if hard {
		query.Set("hard", "true")
	}
	return c.do(ctx, call{method: http.MethodDelete, path: path, query: query, isRepeatable: true}, nil)
}

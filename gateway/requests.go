package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"echocast/echo"
)

// Interrupted lists what an interrupt ended.
type Interrupted struct {
	Receipts []SpokenPart `json:"receipts"`
}

// SayRequest is a text for the replica to say in its own voice.
type SayRequest struct {
	Text  string           `json:"text"`
	Queue echo.QueuePolicy `json:"queue,omitempty"`
}

// say lets the replica say a text, and answers with the receipt.
func (a *api) say(w http.ResponseWriter, r *http.Request) error {
	c, err := a.conversation(r)
	if err != nil {
		return err
	}
	var in SayRequest
	if err := readJSON(w, r, &in); err != nil {
		return err
	}
	if strings.TrimSpace(in.Text) == "" {
		return echo.ErrNoText
	}
	u, err := c.Say(context.WithoutCancel(r.Context()), in.Text, in.Queue)
	if err != nil {
		return err
	}
	return a.settle(w, r, u, func() bool { return true })
}

// message sends a message of the Interactions Protocol. The service acknowledges none of them.
func (a *api) message(w http.ResponseWriter, r *http.Request) error {
	c, err := a.conversation(r)
	if err != nil {
		return err
	}
	var message json.RawMessage
	if err := readJSON(w, r, &message); err != nil {
		return err
	}
	if err := c.Send(r.Context(), message); err != nil {
		return err
	}
	return answer(w, http.StatusAccepted, map[string]bool{"sent": true})
}

func (a *api) interrupt(w http.ResponseWriter, r *http.Request) error {
	c, err := a.conversation(r)
	if err != nil {
		return err
	}
	receipts, err := c.Interrupt(r.Context())
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, Interrupted{receipts})
}

func (a *api) pause(w http.ResponseWriter, r *http.Request) error {
	return a.change(w, r, func(c *Conversation) error { return c.Pause(r.Context()) })
}

func (a *api) resume(w http.ResponseWriter, r *http.Request) error {
	return a.change(w, r, (*Conversation).Resume)
}

// change changes a conversation, and answers with its state.
func (a *api) change(w http.ResponseWriter, r *http.Request, do func(*Conversation) error) error {
	c, err := a.conversation(r)
	if err == nil {
		err = do(c)
	}
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, c.Info())
}

func (a *api) utterances(w http.ResponseWriter, r *http.Request) error {
	c, err := a.conversation(r)
	if err != nil {
		return err
	}
	c.mu.Lock()
	list := slices.Clone(c.utterances)
	c.mu.Unlock()
	infos := make([]UtteranceInfo, len(list))
	for i, u := range list {
		infos[i] = u.Info()
	}
	return answer(w, http.StatusOK, map[string]any{"utterances": infos})
}

func (a *api) utterance(w http.ResponseWriter, r *http.Request) error {
	c, err := a.conversation(r)
	if err != nil {
		return err
	}
	u, ok := c.Utterance(r.PathValue("utterance"))
	if !ok {
		return errNoUtterance
	}
	return answer(w, http.StatusOK, u.Info())
}

// Send sends a message of the Interactions Protocol to the replica. It refuses audio and text:
// they have to wait for their turn.
func (c *Conversation) Send(ctx context.Context, message json.RawMessage) error {
	session, err := c.openSession()
	if err != nil {
		return err
	}
	raw := echo.Raw(message)
	switch raw.EventType() {
	case "conversation.echo":
		return invalid("event_type", "send audio to speech and text to say: they have to wait for their turn")
	case "conversation.interrupt":
		_, err := c.Interrupt(ctx)
		return err
	}
	if _, err := raw.AppendTo(nil, ""); err != nil {
		return invalid("message", "%v", err)
	}
	return session.Send(ctx, raw)
}

// Pause stops the replica until Resume, which continues from where it was last heard.
func (c *Conversation) Pause(ctx context.Context) error {
	session, err := c.openSession()
	if err != nil {
		return err
	}
	err = session.Pause(ctx)
	c.history.add("state", c.Info())
	return errors.Join(err, c.saveRecord(ctx, nil)) // the next node pauses it too
}

// Resume ends a Pause.
func (c *Conversation) Resume() error {
	session, err := c.openSession()
	if err != nil {
		return err
	}
	session.Resume()
	c.history.add("state", c.Info())
	return c.saveRecord(c.ctx, nil)
}

// openSession returns the session, or an error that says why there is none.
func (c *Conversation) openSession() (*echo.Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == nil || c.state != Open && c.state != Draining {
		return nil, ErrEnded
	}
	return c.session, nil
}

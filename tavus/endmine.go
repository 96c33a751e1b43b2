package tavus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// DefaultSettle is how long after the request the service may still create a conversation.
const DefaultSettle = 2 * time.Minute

// EndOptions select the conversations that EndMine ends.
type EndOptions struct {
	StateDir string // empty: StateDir()
	// All also ends conversations of processes that are still running, and of other
	// machines.
	All bool
	// Keep, if set, reports whether somebody else will end the conversation with this name.
	// EndMine then only removes its entry from the journal.
	Keep func(name string) bool
	// Settle is how long a conversation may still appear if its creation got no answer. 0
	// means DefaultSettle.
	Settle time.Duration
}

// Outcome is the result of EndMine for a conversation.
type Outcome string

// The results of EndMine.
const (
	OutcomeEnded     Outcome = "ended"      // it has ended
	OutcomeNone      Outcome = "none"       // it was never created
	OutcomeUnsettled Outcome = "unsettled"  // it does not exist yet; the journal keeps it
	OutcomeInUse     Outcome = "in use"     // its process is running, or is on another machine
	OutcomeKept      Outcome = "kept"       // another process ends it
	OutcomeForeign   Outcome = "not theirs" // another key or service made it
	OutcomeFailed    Outcome = "failed"     // it may still be open
)

// EndResult is the result of EndMine for one conversation.
type EndResult struct {
	Name    string  `json:"conversation_name"`
	ID      string  `json:"conversation_id,omitempty"`
	Outcome Outcome `json:"outcome"`
	PID     int     `json:"pid"`
	Host    string  `json:"host"`
}

// EndMine ends the conversations that earlier processes created and did not end. It returns
// a result for each entry of the journal. The error lists the conversations that may still
// be open.
func EndMine(ctx context.Context, client *Client, options EndOptions) ([]EndResult, error) {
	if err := client.Check(); err != nil {
		return nil, err
	}
	dir, err := stateDir(options.StateDir)
	if err != nil {
		return nil, err
	}
	all, err := entries(dir)
	failed := []error{err}
	results := make([]EndResult, 0, len(all))
	for _, e := range all {
		outcome, err := client.endEntry(ctx, e, options)
		if err != nil {
			failed = append(failed, fmt.Errorf("conversation %s may still be open: %w", cmp.Or(e.ID, e.Name), err))
		}
		results = append(results, EndResult{Name: e.Name, ID: e.ID, Outcome: outcome, PID: e.PID, Host: e.Host})
	}
	return results, errors.Join(failed...)
}

func (c *Client) endEntry(ctx context.Context, e *entry, options EndOptions) (Outcome, error) {
	base, _ := c.base() // it was checked before
	switch {
	case e.BaseURL != base || e.Key != c.Key.fingerprint():
		return OutcomeForeign, nil
	case !options.All && e.inUse():
		return OutcomeInUse, nil
	case options.Keep != nil && options.Keep(e.Name):
		return OutcomeKept, e.remove()
	}
	outcome, err := OutcomeEnded, error(nil)
	if e.ID != "" {
		err = c.endKnown(ctx, e.ID)
	} else {
		outcome, err = c.endUnanswered(ctx, e, cmp.Or(options.Settle, DefaultSettle))
	}
	if err == nil && outcome != OutcomeUnsettled {
		err = e.remove()
	}
	if err != nil {
		outcome = OutcomeFailed
	}
	return outcome, err
}

// endKnown ends a conversation with a known id. The key is the one that created the
// conversation, so if the service does not know the conversation, it was deleted.
func (c *Client) endKnown(ctx context.Context, id string) error {
	err := c.EndConversation(ctx, id)
	if !isGone(err) {
		return err
	}
	if _, look := c.Conversation(ctx, id, false); isGone(look) {
		return nil
	}
	return err
}

// isGone reports whether an answer says that the conversation does not exist. The status is
// 404 according to HTTP, or 400 according to an example in the documentation.
func isGone(err error) bool {
	answer, ok := errors.AsType[*APIError](err)
	if !ok {
		return false
	}
	return answer.Status == http.StatusNotFound || answer.Status == http.StatusBadRequest &&
		strings.Contains(answer.Message, "conversation_id")
}

// endUnanswered ends the conversation that may exist after a creation without an answer.
func (c *Client) endUnanswered(ctx context.Context, e *entry, settle time.Duration) (Outcome, error) {
	ended, err := c.endByName(ctx, e.Name)
	switch {
	case err != nil:
		return OutcomeFailed, err
	case ended > 0:
		return OutcomeEnded, nil
	case time.Since(e.Asked) < settle:
		return OutcomeUnsettled, nil
	}
	return OutcomeNone, nil
}

// Unended is a conversation in the journal: requested or created, and not ended.
type Unended struct {
	Name string `json:"conversation_name"`
	ID   string `json:"conversation_id,omitempty"` // empty: the conversation may not exist
	PID  int    `json:"pid"`
	Host string `json:"host"`
	// Left is set if the process that created it has ended and will not end it.
	Left bool `json:"left"`
}

// Journal lists the conversations that processes of this user created and have not ended.
// The error reports unreadable files. The other entries are still returned. An empty dir
// means StateDir().
func Journal(dir string) ([]Unended, error) {
	dir, err := stateDir(dir)
	if err != nil {
		return nil, err
	}
	all, err := entries(dir)
	list := make([]Unended, 0, len(all))
	for _, e := range all {
		list = append(list, Unended{Name: e.Name, ID: e.ID, PID: e.PID, Host: e.Host, Left: !e.inUse()})
	}
	return list, err
}

// Forget removes a conversation from the journal after it was ended by its id.
func Forget(dir, id string) error {
	dir, err := stateDir(dir)
	if err != nil {
		return err
	}
	all, _ := entries(dir) // an unreadable file has no id
	for _, e := range all {
		if e.ID == id {
			return e.remove()
		}
	}
	return nil
}

// CountLeft returns how many conversations of Journal were created by processes that have
// ended. It skips unreadable files.
func CountLeft(dir string) int {
	all, _ := Journal(dir)
	left := 0
	for _, conversation := range all {
		if conversation.Left {
			left++
		}
	}
	return left
}

package tavus

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

// How long things may take after the caller's context has ended: together less
// than the 5 s after which a signal ends echocast.
const (
	lastAnswer = 1500 * time.Millisecond // for a creation that is under way
	lastEnd    = 2500 * time.Millisecond // for ending it
	lastTry    = 1200 * time.Millisecond // for one try of that
	// closing is how long Close may take while nobody hurries.
	closing = 20 * time.Second
)

// DefaultSettle is how long after it was asked for a conversation may still
// come into being.
const DefaultSettle = 2 * time.Minute

// Conversation is a conversation that this process created and has to end.
type Conversation struct {
	Info

	client   *Client
	entry    *entry
	repeated bool // it was asked for more than once, so there may be a twin

	mu    sync.Mutex
	ended bool
}

// Open creates a conversation and remembers it until it has ended. The caller
// defers Close. Where the creation was not confirmed, Open finds out under its
// unique name what came of it; where even that fails, the error is an
// *UncertainError, and EndMine will find it later. When ctx ends, a creation
// under way is given a moment to be known, so that it can be ended.
func Open(ctx context.Context, client *Client, spec Spec) (*Conversation, error) {
	if err := cmp.Or(client.Check(), spec.Check(), context.Cause(ctx)); err != nil {
		return nil, err
	}
	spec.Name = uniqueName(spec.Name)
	entry, err := newEntry(client, spec)
	if err != nil {
		return nil, fmt.Errorf("a conversation is not created that cannot be remembered: %w", err)
	}
	c := &Conversation{client: client, entry: entry}
	posting, done := outlive(ctx, lastAnswer)
	defer done()
	if c.Info, err = c.create(posting, spec); err != nil {
		return nil, c.abandon(ctx, err)
	}
	switch {
	case context.Cause(ctx) != nil:
		err = context.Cause(ctx)
	case spec.Private && c.Token == "":
		err = errors.New("the conversation was created, but its token was lost; it is ended again")
	default:
		err = c.entry.complete(c.ID)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close(ctx))
	}
	return c, nil
}

var notInNames = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^A-Za-z0-9._-]+`) })

// uniqueName is a name that no other conversation has, and a file may have.
func uniqueName(name string) string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	name = strings.Trim(notInNames().ReplaceAllString(name, "-"), "-.")
	return beginningOf(cmp.Or(name, "echocast"), 64) + "-" + hex.EncodeToString(random[:])
}

func beginningOf(name string, n int) string { return name[:min(n, len(name))] }

// outlive is a context that ends a while after ctx does.
func outlive(ctx context.Context, while time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if sleep(longer, while) == nil {
			cancel(context.Cause(ctx))
		}
	})
	return longer, func() {
		stop()
		cancel(nil)
	}
}

// create asks for the conversation, and where no answer tells, finds out. It
// asks again only if the service said that it could not, and has none.
func (c *Conversation) create(ctx context.Context, spec Spec) (Info, error) {
	for try := 1; ; try++ {
		info, err := c.client.CreateConversation(ctx, spec)
		if err == nil || !mayHaveHappened(err) {
			return info, err
		}
		found, lookErr := c.client.await(ctx, spec)
		if lookErr != nil {
			return Info{}, &UncertainError{spec.Name, lookErr}
		}
		if found != nil {
			return *found, nil
		}
		answer, ok := errors.AsType[*APIError](err)
		busy := ok && answer.Status == http.StatusServiceUnavailable && answer.RetryAfter > 0
		if !busy || answer.RetryAfter > longestWait || try == tries {
			return Info{}, &UncertainError{spec.Name, err}
		}
		if c.client.OnWait != nil {
			c.client.OnWait(err, answer.RetryAfter)
		}
		if cause := sleep(ctx, answer.RetryAfter); cause != nil {
			return Info{}, &UncertainError{spec.Name, cause}
		}
		c.repeated = true
	}
}

// await looks for a conversation by its unique name, a few times: what was just
// created may not be listed yet. Nil is none.
func (c *Client) await(ctx context.Context, spec Spec) (*Info, error) {
	status := Active
	if spec.TestMode {
		status = "" // they have ended
	}
	for _, wait := range []time.Duration{0, time.Second, 3 * time.Second} {
		if cause := sleep(ctx, wait); cause != nil {
			return nil, cause
		}
		found, err := c.named(ctx, spec.Name, status)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			return &found[0], nil
		}
	}
	return nil, nil
}

// named are the conversations of that name.
func (c *Client) named(ctx context.Context, name, status string) (found []Info, err error) {
	for info, err := range c.Conversations(ctx, status) {
		if err != nil {
			return nil, err
		}
		if info.Name == name && anID().MatchString(info.ID) {
			found = append(found, info)
		}
	}
	return found, nil
}

// abandon is the end of a creation that failed.
func (c *Conversation) abandon(ctx context.Context, err error) error {
	if _, unsure := errors.AsType[*UncertainError](err); !unsure {
		return errors.Join(err, c.entry.forget())
	}
	hurry, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastEnd)
	defer cancel()
	if ended, endErr := c.client.hurried().endNamed(hurry, c.entry.Name); endErr == nil && ended > 0 {
		return errors.Join(cmp.Or(context.Cause(ctx), err), c.entry.forget())
	}
	return err // its entry stays
}

// hurried is the client for when there is little time left.
func (c *Client) hurried() *Client {
	hurried := *c
	hurried.Timeout = min(c.timeout(), lastTry)
	return &hurried
}

// endNamed ends every conversation of that name and counts them.
func (c *Client) endNamed(ctx context.Context, name string) (n int, err error) {
	found, err := c.named(ctx, name, Active)
	if err != nil {
		return 0, err
	}
	for _, info := range found {
		if info.Over() {
			continue
		}
		if err := c.EndConversation(ctx, info.ID); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// Close ends the conversation, also when ctx has ended, and forgets it. It is
// bounded: 20 s at most, and 2.5 s once ctx has ended. It may be called again:
// after a success it does nothing, after an error it tries again.
func (c *Conversation) Close(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil
	}
	client := c.client
	if ctx.Err() != nil {
		client = client.hurried()
	}
	limited, done := outlive(ctx, lastEnd)
	defer done()
	limited, cancel := context.WithTimeout(limited, closing)
	defer cancel()
	if err := c.end(limited, client); err != nil {
		return fmt.Errorf("conversation %s may still be open, and cost money: %w", c.ID, err)
	}
	c.ended = true
	return c.entry.forget()
}

func (c *Conversation) end(ctx context.Context, client *Client) error {
	if !c.Over() {
		if err := client.EndConversation(ctx, c.ID); err != nil {
			return err
		}
	}
	if !c.repeated {
		return nil
	}
	_, err := client.endNamed(ctx, c.Name)
	return err
}

// EndOptions say which conversations EndMine ends.
type EndOptions struct {
	StateDir string // empty: StateDir()
	// All ends those of processes that still run, too, and of other machines.
	All bool
	// Settle is how long a conversation whose creation was never answered may
	// still appear. 0: DefaultSettle.
	Settle time.Duration
}

// Outcome is what EndMine did about a conversation.
type Outcome string

// What EndMine can do about a conversation.
const (
	OutcomeEnded     Outcome = "ended"      // it is over, now or already
	OutcomeNone      Outcome = "none"       // it was never created
	OutcomeUnsettled Outcome = "unsettled"  // there is none yet; it is still remembered
	OutcomeInUse     Outcome = "in use"     // its process still runs, or is elsewhere
	OutcomeForeign   Outcome = "not theirs" // another key or service made it
	OutcomeFailed    Outcome = "failed"     // it may still be open
)

// EndResult is what EndMine did about one conversation.
type EndResult struct {
	Name    string  `json:"conversation_name"`
	ID      string  `json:"conversation_id,omitempty"`
	Outcome Outcome `json:"outcome"`
	PID     int     `json:"pid"`
	Host    string  `json:"host"`
}

// EndMine ends the conversations that earlier processes created and did not
// end. The error is of all that may still be open; the results are of all.
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
	sweep(dir, time.Now().Add(-cmp.Or(options.Settle, DefaultSettle)))
	results := make([]EndResult, 0, len(all))
	for _, e := range all {
		outcome, err := client.endOne(ctx, e, options)
		if err != nil {
			failed = append(failed, fmt.Errorf("conversation %s may still be open: %w", cmp.Or(e.ID, e.Name), err))
		}
		results = append(results, EndResult{Name: e.Name, ID: e.ID, Outcome: outcome, PID: e.PID, Host: e.Host})
	}
	return results, errors.Join(failed...)
}

func (c *Client) endOne(ctx context.Context, e *entry, options EndOptions) (Outcome, error) {
	base, _ := c.base() // checked
	switch {
	case e.BaseURL != base || e.Key != c.Key.fingerprint():
		return OutcomeForeign, nil
	case !options.All && e.inUse():
		return OutcomeInUse, nil
	}
	outcome, err := OutcomeEnded, error(nil)
	if e.ID != "" {
		err = c.endKnown(ctx, e.ID)
	} else {
		outcome, err = c.endUnknown(ctx, e, cmp.Or(options.Settle, DefaultSettle))
	}
	if err == nil && outcome != OutcomeUnsettled {
		err = e.forget()
	}
	if err != nil {
		outcome = OutcomeFailed
	}
	return outcome, err
}

// endKnown ends a conversation. The key is the one that created it, so what the
// service does not have any more was deleted.
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

// isGone reports the answers about a conversation that does not exist: 404 by
// the rules, 400 by the documentation's example.
func isGone(err error) bool {
	answer, ok := errors.AsType[*APIError](err)
	if !ok {
		return false
	}
	return answer.Status == http.StatusNotFound || answer.Status == http.StatusBadRequest && strings.Contains(answer.Message, "conversation_id")
}

// endUnknown ends what a creation without an answer may have left.
func (c *Client) endUnknown(ctx context.Context, e *entry, settle time.Duration) (Outcome, error) {
	ended, err := c.endNamed(ctx, e.Name)
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

// Memory is what is remembered of a conversation that was not ended.
type Memory struct {
	Name string `json:"conversation_name"`
	ID   string `json:"conversation_id,omitempty"` // empty: it is not known whether there is one
	PID  int    `json:"pid"`
	Host string `json:"host"`
	// Left says that the process that created it is gone, so it will not end it.
	Left bool `json:"left"`
}

// Remembered are the conversations that processes created and did not end, yet
// or ever. The error is of what cannot be read; the others are returned beside
// it.
func Remembered(dir string) ([]Memory, error) {
	dir, err := stateDir(dir)
	if err != nil {
		return nil, err
	}
	all, err := entries(dir)
	memories := make([]Memory, 0, len(all))
	for _, e := range all {
		memories = append(memories, Memory{Name: e.Name, ID: e.ID, PID: e.PID, Host: e.Host, Left: !e.inUse()})
	}
	return memories, err
}

// Forget removes from memory what EndMine would end, after a conversation was
// ended by its id.
func Forget(dir, id string) error {
	dir, err := stateDir(dir)
	if err != nil {
		return err
	}
	all, _ := entries(dir) // what cannot be read has no id
	for _, e := range all {
		if e.ID == id {
			return e.forget()
		}
	}
	return nil
}

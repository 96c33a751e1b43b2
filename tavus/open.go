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

	"echocast/internal/sleep"
)

// Timeouts after the caller's context has ended. Together they are shorter than the 5 s
// after which a signal ends echocast.
const (
	creationGrace = 1500 * time.Millisecond // to complete a creation in progress
	endGrace      = 2500 * time.Millisecond // to end the conversation
	endTryTimeout = 1200 * time.Millisecond // for one try to end it
)

// closeTimeout bounds Close while the caller's context lasts.
const closeTimeout = 20 * time.Second

// Conversation is a conversation that this process created and must end.
type Conversation struct {
	Info

	client        *Client
	entry         *entry
	mayExistTwice bool // requested more than once, so two may exist

	mu       sync.Mutex
	hasEnded bool
}

// Open creates a conversation and keeps it in the journal until it has ended. The
// caller must call Close.
//
// If the service did not confirm the creation, Open looks for the conversation by its
// unique name. If that fails too, the error is an *UncertainError. The journal then keeps
// the name, and EndMine ends the conversation later. When ctx ends, Open waits briefly for
// a creation in progress, so that it can end the conversation.
func Open(ctx context.Context, client *Client, spec Spec) (*Conversation, error) {
	if err := cmp.Or(client.Check(), spec.Check(), context.Cause(ctx)); err != nil {
		return nil, err
	}
	spec.Name = uniqueName(spec.Name)
	entry, err := newEntry(client, spec)
	if err != nil {
		return nil, fmt.Errorf("no conversation was created, because the journal cannot be written: %w", err)
	}
	c := &Conversation{client: client, entry: entry}
	extended, stop := extend(ctx, creationGrace)
	defer stop()
	if c.Info, err = c.create(extended, spec); err != nil {
		return nil, c.endUnknown(ctx, err)
	}
	switch {
	case context.Cause(ctx) != nil:
		err = context.Cause(ctx)
	case spec.Private && c.Token == "":
		err = errors.New("the conversation was created, but its token was lost, so it was ended")
	default:
		err = c.entry.complete(c.ID)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close(ctx))
	}
	return c, nil
}

var notInNames = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`[^A-Za-z0-9._-]+`) })

// uniqueName returns a unique name that is valid as a file name.
func uniqueName(name string) string {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	name = strings.Trim(notInNames().ReplaceAllString(name, "-"), "-.")
	name = cmp.Or(name, "echocast")
	return name[:min(len(name), 64)] + "-" + hex.EncodeToString(random[:])
}

// extend returns a context that ends grace after ctx does.
func extend(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if sleep.For(longer, grace) == nil {
			cancel(context.Cause(ctx))
		}
	})
	return longer, func() {
		stop()
		cancel(nil)
	}
}

// create requests the conversation. If it gets no answer, it looks for the conversation by
// name. It repeats the request only if the service said that it is busy and no conversation
// has that name.
func (c *Conversation) create(ctx context.Context, spec Spec) (Info, error) {
	for try := 1; ; try++ {
		info, err := c.client.CreateConversation(ctx, spec)
		if err == nil || !mayHaveHappened(err) {
			return info, err
		}
		found, lookErr := c.client.findNew(ctx, spec)
		if lookErr != nil {
			return Info{}, &UncertainError{spec.Name, lookErr}
		}
		if found != nil {
			return *found, nil
		}
		answer, ok := errors.AsType[*APIError](err)
		busy := ok && answer.Status == http.StatusServiceUnavailable && answer.RetryAfter > 0
		if !busy || answer.RetryAfter > maxRetryAfter || try == maxTries {
			return Info{}, &UncertainError{spec.Name, err}
		}
		if c.client.OnWait != nil {
			c.client.OnWait(err, answer.RetryAfter)
		}
		if cause := sleep.For(ctx, answer.RetryAfter); cause != nil {
			return Info{}, &UncertainError{spec.Name, cause}
		}
		c.mayExistTwice = true
	}
}

// findNew looks for a conversation by its unique name. It tries three times, because the
// service may not list a new conversation at once. It returns nil if it finds none.
func (c *Client) findNew(ctx context.Context, spec Spec) (*Info, error) {
	status := Active
	if spec.TestMode {
		status = "" // these have already ended
	}
	for _, wait := range []time.Duration{0, time.Second, 3 * time.Second} {
		if cause := sleep.For(ctx, wait); cause != nil {
			return nil, cause
		}
		found, err := c.withName(ctx, spec.Name, status)
		if err != nil {
			return nil, err
		}
		if len(found) > 0 {
			return &found[0], nil
		}
	}
	return nil, nil
}

// withName lists the conversations with this name.
func (c *Client) withName(ctx context.Context, name, status string) (found []Info, err error) {
	for info, err := range c.Conversations(ctx, status) {
		if err != nil {
			return nil, err
		}
		if info.Name == name && idPattern().MatchString(info.ID) {
			found = append(found, info)
		}
	}
	return found, nil
}

// endUnknown ends the conversation that may exist after a failed creation, and returns the
// error to report. If it cannot end it, the journal keeps the entry.
func (c *Conversation) endUnknown(ctx context.Context, err error) error {
	if _, unsure := errors.AsType[*UncertainError](err); !unsure {
		return errors.Join(err, c.entry.remove())
	}
	short, cancel := context.WithTimeout(context.WithoutCancel(ctx), endGrace)
	defer cancel()
	if ended, endErr := c.client.withShortTries().endByName(short, c.entry.Name); endErr == nil && ended > 0 {
		return errors.Join(cmp.Or(context.Cause(ctx), err), c.entry.remove())
	}
	return err
}

// withShortTries returns a client with short timeouts.
func (c *Client) withShortTries() *Client {
	short := *c
	short.Timeout = min(c.timeout(), endTryTimeout)
	return &short
}

// endByName ends every conversation with this name. It returns how many it ended.
func (c *Client) endByName(ctx context.Context, name string) (n int, err error) {
	found, err := c.withName(ctx, name, Active)
	if err != nil {
		return 0, err
	}
	for _, info := range found {
		if info.HasEnded() {
			continue
		}
		if err := c.EndConversation(ctx, info.ID); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// Attach returns a conversation that another process created, so that this process can end
// it.
func Attach(client *Client, info Info) *Conversation {
	return &Conversation{Info: info, client: client}
}

// Disown leaves it to another process to end the conversation. After that, Close does
// nothing.
func (c *Conversation) Disown() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hasEnded = true
	return c.entry.remove()
}

// EndNamed ends the conversations that were opened with this name.
func EndNamed(ctx context.Context, client *Client, name string) error {
	for info, err := range client.Conversations(ctx, Active) {
		if err != nil {
			return err
		}
		if strings.HasPrefix(info.Name, name+"-") && idPattern().MatchString(info.ID) && !info.HasEnded() {
			if err := client.EndConversation(ctx, info.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close ends the conversation, even if ctx has ended, and removes it from the journal. It
// takes at most 20 s, and at most 2.5 s after ctx has ended. If it succeeded, further calls
// do nothing. If it failed, the next call tries again.
func (c *Conversation) Close(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hasEnded {
		return nil
	}
	client := c.client
	if ctx.Err() != nil {
		client = client.withShortTries()
	}
	extended, stop := extend(ctx, endGrace)
	defer stop()
	extended, cancel := context.WithTimeout(extended, closeTimeout)
	defer cancel()
	if err := c.end(extended, client); err != nil {
		return fmt.Errorf("conversation %s may still be open, and cost money: %w", c.ID, err)
	}
	c.hasEnded = true
	return c.entry.remove()
}

func (c *Conversation) end(ctx context.Context, client *Client) error {
	if !c.HasEnded() {
		if err := client.EndConversation(ctx, c.ID); err != nil {
			return err
		}
	}
	if !c.mayExistTwice {
		return nil
	}
	_, err := client.endByName(ctx, c.Name)
	return err
}

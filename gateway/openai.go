package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"

	"echocast/echo"
	"echocast/openai"
)

// openAI forwards a request of OpenAI's protocols to the service, and lets the replica of a
// conversation say the audio of the answer. The header Authorization belongs to the service,
// so the token of the conversation is in the path, after a dot.
func (a *api) openAI(w http.ResponseWriter, r *http.Request) error {
	id, secret, hasSecret := strings.Cut(r.PathValue("conversation"), ".")
	c, err := a.conversationOf(r.Context(), id)
	switch {
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	case hasSecret && (err != nil || !c.hasToken(secret)):
		return errToken
	case !hasSecret && a.gateway.options.Tokens != nil:
		return errToken
	case err != nil:
		return err
	}
	proxy, err := c.proxy()
	if err != nil {
		return err
	}
	clear(w.Header()) // the service sets the headers
	r = r.Clone(r.Context())
	_, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/openai/"), "/")
	r.URL.Path = "/v1/" + strings.TrimPrefix(r.PathValue("rest"), "v1/")
	r.URL.RawPath = "/v1/" + strings.TrimPrefix(rest, "v1/") // a name in the path may have a slash, as %2F
	if r.ContentLength != 0 {
		limited := &body{from: r.Body, control: http.NewResponseController(w)}
		defer limited.Close() //nolint:errcheck // it was read
		r.Body = limited
	}
	proxy.ServeHTTP(w, r)
	return nil
}

// proxy returns the proxy of the conversation. The first call makes it.
func (c *Conversation) proxy() (*openai.Proxy, error) {
	session, err := c.openSession()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.openAI != nil || c.isClosing {
		return c.openAI, c.closingError()
	}
	c.openAI, err = openai.New(openai.Options{
		Upstream: c.gateway.options.OpenAI, Speaker: &voice{c: c, session: session}, Cuts: openai.UserCuts(session),
		FFmpeg: c.gateway.options.FFmpeg, FFmpegSlots: c.gateway.ffmpegs, Warn: c.warn,
	})
	return c.openAI, err
}

// closingError returns an error if the conversation begins nothing more. It is locked.
func (c *Conversation) closingError() error {
	if c.isClosing {
		return ErrEnded
	}
	return nil
}

// closeProxy ends what the proxy has begun, and prevents that another is made.
func (c *Conversation) closeProxy() {
	c.mu.Lock()
	proxy := c.openAI
	c.isClosing = true
	c.mu.Unlock()
	if proxy != nil {
		proxy.Close()
	}
}

// voice speaks audio in a conversation that does not arrive as the body of a request. It waits
// for its turn as all utterances do.
type voice struct {
	c       *Conversation
	session *echo.Session
	speaks  atomic.Bool // it is its turn
}

func (v *voice) Speak(ctx context.Context, speech echo.Speech) (echo.Receipt, error) {
	speak := func(u *Utterance) (echo.Receipt, error) {
		if err := u.await(); err != nil {
			return u.unspoken(err), err
		}
		v.speaks.Store(true)
		defer v.speaks.Store(false)
		return v.session.Speak(u.ctx, speech)
	}
	u, err := v.c.speakInTurn(ctx, &Utterance{
		name: speech.Name, text: speech.Text, do: speak,
		header: keptHeader{Kind: keptLive, Name: speech.Name, Text: speech.Text},
	}, func() error { return nil })
	if err != nil {
		return echo.Receipt{Outcome: echo.Failed, Error: err.Error()}, err
	}
	return u.Wait(context.WithoutCancel(ctx)) // there is a receipt even if ctx has ended
}

// Progress returns how far its utterance is, and zero while another one is spoken.
func (v *voice) Progress() echo.Progress {
	if !v.speaks.Load() {
		return echo.Progress{}
	}
	return v.session.Progress()
}

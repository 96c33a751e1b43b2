package gateway

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"

	"echocast/echo"
	"echocast/openai"
)

// openAI passes a request of OpenAI's protocols on to the service, and lets the replica
// of a conversation say the audio of the answer. The header Authorization is the
// service's, so the token of the conversation stands in the path, behind a dot.
func (a *api) openAI(w http.ResponseWriter, r *http.Request) error {
	id, secret, hasSecret := strings.Cut(r.PathValue("conversation"), ".")
	c, err := a.gateway.Get(id)
	switch {
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
	clear(w.Header()) // the answer is the service's
	r = r.Clone(r.Context())
	r.URL.Path, r.URL.RawPath = "/v1/"+strings.TrimPrefix(r.PathValue("rest"), "v1/"), ""
	if r.ContentLength != 0 {
		limited := &body{from: r.Body, control: http.NewResponseController(w)}
		defer limited.Close() //nolint:errcheck // it was read
		r.Body = limited
	}
	proxy.ServeHTTP(w, r)
	return nil
}

// proxy is the conversation's own, made when it is first needed.
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

// closingError says that no more is begun. The conversation is locked.
func (c *Conversation) closingError() error {
	if c.isClosing {
		return ErrEnded
	}
	return nil
}

// closeProxy ends what a proxy has begun, and lets none be made any more.
func (c *Conversation) closeProxy() {
	c.mu.Lock()
	proxy := c.openAI
	c.isClosing = true
	c.mu.Unlock()
	if proxy != nil {
		proxy.Close()
	}
}

// voice speaks in a conversation what does not come as the body of a request. It waits
// for its turn as all utterances do.
type voice struct {
	c       *Conversation
	session *echo.Session
	speaks  atomic.Bool // it has its turn
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
	return u.Wait(context.WithoutCancel(ctx)) // its receipt comes also where ctx has ended
}

// Progress is how far its utterance is, and nothing while another one is spoken.
func (v *voice) Progress() echo.Progress {
	if !v.speaks.Load() {
		return echo.Progress{}
	}
	return v.session.Progress()
}

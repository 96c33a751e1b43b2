package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"echocast/audio"
	"echocast/echo"
	"echocast/internal/text"
)

// speech speaks the body, and answers with the receipt. When the client leaves, an incomplete
// body breaks, and a complete one is interrupted. A client that prefers not to wait gets the
// utterance once the body is complete; see spool.
func (a *api) speech(w http.ResponseWriter, r *http.Request) (err error) {
	c, err := a.conversation(r)
	if err != nil {
		return err
	}
	spoken, err := audioOf(r.URL.Query())
	if err != nil {
		return err
	}
	if spoken.Key, err = idempotencyKey(r); err != nil {
		return err
	}
	a.gateway.allowFFmpeg(&spoken.Prepare)
	tracer, b := a.gateway.options.Tracer, &body{from: r.Body, control: http.NewResponseController(w)}
	ctx, span := tracer.Start(tracer.Below(r.Context(), c.ctx), "upload", slog.String("conversation", c.ID))
	defer func() { span.End(failureOf(err), slog.Int64("bytes", b.read())) }()
	spoken.Body, spoken.Abort = b, b.abort
	isAsync := prefersAsync(r)
	if isAsync {
		if err := spool(spoken, b); err != nil {
			return err
		}
	}
	u, err := c.Speak(context.WithoutCancel(ctx), *spoken)
	if err != nil {
		return err
	}
	if isAsync {
		return accept(w, u)
	}
	return a.settle(w, r, u, b.hasEnded)
}

// allowFFmpeg lets ffmpeg decode an input in a container that echocast cannot read, if there
// is ffmpeg.
func (g *Gateway) allowFFmpeg(o *audio.PrepareOptions) {
	if o.Input == nil {
		o.Input = &audio.Options{}
	}
	o.Input.FFmpeg, o.Input.FFmpegSlots, o.Input.MaxSpool = g.options.FFmpeg, g.ffmpegs, longestSpool
}

// prefersAsync reports whether a client does not want to wait (RFC 7240).
func prefersAsync(r *http.Request) bool {
	for _, line := range r.Header.Values("Prefer") {
		for preference := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(preference), "respond-async") {
				return true
			}
		}
	}
	return false
}

// accept answers with an utterance that is not over, and with the address of its receipt.
func accept(w http.ResponseWriter, u *Utterance) error {
	w.Header().Set("Location", "/v1/conversations/"+u.conversation.ID+"/utterances/"+u.ID)
	w.Header().Set("Preference-Applied", "respond-async")
	w.Header().Set("Echocast-Utterance", u.ID)
	return answer(w, http.StatusAccepted, u.Info())
}

// longestSpool is the largest body in bytes if its client does not wait.
const longestSpool = 64 << 20

// spool reads a whole body into a file without a name, so that what is accepted can be spoken.
func spool(a *Audio, b *body) error {
	file, err := os.CreateTemp("", "echocast-*")
	if err != nil {
		return err
	}
	_ = os.Remove(file.Name()) // if an open file cannot be removed, Release removes it
	a.Release = func() {
		_ = file.Close() // it was only read
		_ = os.Remove(file.Name())
	}
	n, err := io.Copy(file, io.LimitReader(b, longestSpool+1))
	if err == nil && n > longestSpool {
		err = &http.MaxBytesError{Limit: longestSpool}
	}
	if err == nil {
		_, err = file.Seek(0, io.SeekStart)
	}
	if err != nil {
		a.Release()
		return err
	}
	a.Body, a.Whole, a.Abort = file, file, nil
	return nil
}

// idempotencyKey returns the key of a request that may be repeated.
func idempotencyKey(r *http.Request) (string, error) {
	key := r.Header.Get("Idempotency-Key")
	return key, checkKey("Idempotency-Key", key)
}

func checkKey(name, key string) error {
	if len(key) > longestName || key != text.Printable(key) {
		return invalid(name, "it must be printable, and have at most %d bytes", longestName)
	}
	return nil
}

// settle waits for an utterance and answers with its receipt. When the client leaves after its
// body was complete, the utterance is interrupted.
func (a *api) settle(w http.ResponseWriter, r *http.Request, u *Utterance, isWhole func() bool) error {
	defer context.AfterFunc(r.Context(), func() {
		if isWhole() {
			u.Cancel(errLeft)
		}
	})()
	receipt, err := u.Wait(context.WithoutCancel(r.Context())) // the utterance ends when the client leaves
	w.Header().Set("Echocast-Utterance", u.ID)
	if err != nil && !isInterrupt(err) && !errors.Is(err, echo.ErrUnverified) {
		a.failWith(w, err, &receipt)
		return nil
	}
	return answer(w, http.StatusOK, SpokenPart{Utterance: u.ID, Receipt: receipt})
}

// longestName is the longest name of an utterance in bytes.
const longestName = 200

// speechParameters are the query parameters of speech and of a socket.
var speechParameters = []string{"format", "rate", "channels", "queue", "name", "text"}

// audioOf reads the query and returns how to speak a body.
func audioOf(query url.Values) (*Audio, error) {
	for name := range query {
		if !slices.Contains(speechParameters, name) {
			return nil, invalid(name, "there is no such parameter; there are %s", strings.Join(speechParameters, ", "))
		}
	}
	a := &Audio{Name: query.Get("name"), Text: query.Get("text"), Queue: echo.QueuePolicy(query.Get("queue"))}
	a.Prepare.MaxDuration = DefaultMaxDuration
	if len(a.Name) > longestName || a.Name != text.Printable(a.Name) {
		return nil, invalid("name", "it must be printable, and have at most %d bytes", longestName)
	}
	format := query.Get("format")
	if format == "" {
		if query.Has("rate") || query.Has("channels") {
			return nil, invalid("format", "rate and channels describe raw samples: add their format, such as s16le")
		}
		return a, nil
	}
	raw := slices.Contains(audio.RawEncodings(), format)
	if !raw && !slices.Contains([]string{"wav", "aiff", "au", "mp3", "ogg", "flac"}, format) {
		all := strings.Join(audio.RawEncodings(), ", ")
		return nil, invalid("format", "there are %s, and wav, aiff, au, mp3, ogg and flac", all)
	}
	a.Prepare.Input = &audio.Options{Encoding: format, Raw: audio.Format{Rate: echo.DefaultRate, Channels: 1}}
	for name, into := range map[string]*int{"rate": &a.Prepare.Input.Raw.Rate, "channels": &a.Prepare.Input.Raw.Channels} {
		if !query.Has(name) {
			continue
		}
		n, err := strconv.Atoi(query.Get(name))
		if err != nil || !raw {
			return nil, invalid(name, "it is a number, and only raw samples need it")
		}
		*into = n
	}
	if err := a.Prepare.Input.Raw.Check(); err != nil {
		return nil, invalid("format", "%v", err)
	}
	return a, nil
}

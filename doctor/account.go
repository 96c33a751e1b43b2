package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"echocast/internal/text"
	"echocast/tavus"
)

// The timeout for one answer, and the limits of clock skew.
const (
	answerTimeout = 10 * time.Second
	noteSkew      = 5 * time.Second
	failSkew      = 5 * time.Minute
)

// account checks the API key, the clock, the PAL and the face.
func (e *examination) account(ctx context.Context) {
	client, clock := e.client()
	if client == nil || !e.checkKey(ctx, client, clock) {
		e.skip("PAL", "not checked: needs a valid API key", "")
		e.skip("face", "not checked: needs a valid API key", "")
		return
	}
	e.checkFace(ctx, client, e.checkPAL(ctx, client))
	e.skip("own Daily room", "not asked: the service answers that only when it creates a conversation", "")
}

// client returns a client that also reads the clock of the service. Without a key it
// returns nil.
func (e *examination) client() (*tavus.Client, *dateReader) {
	if !e.HasKey && e.PAL == "" && e.Face == "" {
		e.skip("API key", "not set; only Tavus conversations need it",
			"set TAVUS_API_KEY, or name a file with --api-key-file")
		e.skip("clock", "the service was not asked", "")
		return nil, nil
	}
	client, err := e.Client()
	if err != nil {
		e.fail("API key", err, "get one at platform.tavus.io, and put it in TAVUS_API_KEY or in the file of --api-key-file")
		e.skip("clock", "the service was not asked", "")
		return nil, nil
	}
	clock := &dateReader{}
	client.Timeout, client.HTTP = answerTimeout, &http.Client{Transport: clock}
	return client, clock
}

// dateReader measures, from the first answer, how far the service's clock is ahead.
type dateReader struct {
	ahead   time.Duration
	isKnown bool
}

// RoundTrip makes the request. It adds half a second to the Date header, which has whole
// seconds.
func (d *dateReader) RoundTrip(r *http.Request) (*http.Response, error) {
	asked := time.Now()
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || d.isKnown {
		return response, err
	}
	if date, bad := http.ParseTime(response.Header.Get("Date")); bad == nil {
		d.isKnown = true
		d.ahead = date.Add(500 * time.Millisecond).Sub(asked.Add(time.Since(asked) / 2))
	}
	return response, nil
}

// maxCounted is the maximum number of open conversations that are counted.
const maxCounted = 50

// checkKey tests the key with a call that costs nothing.
func (e *examination) checkKey(ctx context.Context, client *tavus.Client, clock *dateReader) bool {
	open := 0
	var failed error
	for _, err := range client.Conversations(ctx, tavus.Active) {
		if failed = err; err != nil {
			break
		}
		if open++; open == maxCounted {
			break
		}
	}
	if failed != nil {
		e.checkService("API key", failed)
	} else {
		e.ok("API key", "valid; %s open in the account", text.Count(open, "conversation"))
	}
	e.clocks(clock)
	return failed == nil
}

// checkService adds a finding for an error of the service.
func (e *examination) checkService(name string, err error) {
	fix := "check the network, and --base-url"
	if refused, ok := errors.AsType[*tavus.APIError](err); ok {
		if fix = refused.Hint(); fix == "" {
			fix = "look at the status of the service"
		}
		err = &withoutHint{refused}
	}
	e.fail(name, err, fix)
}

// withoutHint is an error of the service without its hint, which is in Finding.Fix.
type withoutHint struct{ refused *tavus.APIError }

func (h *withoutHint) Error() string {
	words := fmt.Sprintf("%d %s", h.refused.Status, http.StatusText(h.refused.Status))
	if h.refused.Message != "" {
		words += ": " + h.refused.Message
	}
	return words
}

func (h *withoutHint) Unwrap() error { return h.refused }

// clocks compares this machine's clock with the service's.
func (e *examination) clocks(clock *dateReader) {
	const fix = "set this machine's clock, for example with NTP"
	apart := clock.ahead.Abs().Round(time.Second)
	words := fmt.Sprintf("this machine is %v behind the service", apart)
	if clock.ahead < 0 {
		words = fmt.Sprintf("this machine is %v ahead of the service", apart)
	}
	switch {
	case !clock.isKnown:
		e.skip("clock", "the service sent no Date header", "")
	case apart > failSkew:
		e.fail("clock", errors.New(words+", so tokens and certificates do not work"), fix)
	case apart > noteSkew:
		e.warn("clock", words, fix)
	default:
		e.ok("clock", "within %v of the service", noteSkew)
	}
}

// checkPAL checks that the PAL is in echo mode, and returns the id of its face.
func (e *examination) checkPAL(ctx context.Context, client *tavus.Client) (face string) {
	if e.PAL == "" {
		e.skip("PAL", "none is named", "give --pal, or set TAVUS_PAL_ID; echocast pal create --echo makes one")
		return ""
	}
	pal, err := client.PAL(ctx, e.PAL)
	if err != nil {
		e.checkService("PAL", err)
		return ""
	}
	const another = "use an echo PAL: echocast pal create --echo"
	switch {
	case e.PAL == tavus.StreamPAL:
		e.warn("PAL", e.PAL+" speaks a WebRTC audio track, and not the messages that echocast sends", another)
	case pal.Microphone:
		e.warn("PAL", e.PAL+" has its microphone layer on: it echoes an audio track, and not messages",
			another+", without --microphone")
	case pal.Pipeline == "":
		e.warn("PAL", e.PAL+": the service does not say its mode", another+", if this one stays silent")
	case pal.Pipeline != "echo":
		e.warn("PAL", fmt.Sprintf("%s is in the mode %q: it also answers by itself", e.PAL, pal.Pipeline), another)
	case pal.Transport == "livekit" && !e.isLiveKit():
		e.warn("PAL", e.PAL+" joins LiveKit rooms only", "name one with --to livekit+wss://HOST/ROOM, or "+another)
	default:
		e.ok("PAL", "%s, in echo mode", e.PAL)
	}
	e.checkGreeting(pal)
	return pal.Face
}

// checkGreeting reports whether the PAL can greet by itself. The greeting is composed by a
// language model, which a PAL in echo mode does not have.
func (e *examination) checkGreeting(pal tavus.PAL) {
	switch pal.Pipeline {
	case "":
		e.skip("made-up greeting", "the service does not say the PAL's mode", "")
	case "echo":
		e.ok("made-up greeting", "none: a PAL in echo mode has no language model (enable_dynamic_greeting)")
	default:
		e.ok("made-up greeting", "possible (enable_dynamic_greeting); conversations that echocast creates have none")
	}
}

// checkFace checks that the face is ready: the one in the options, or the PAL's.
func (e *examination) checkFace(ctx context.Context, client *tavus.Client, own string) {
	id, whose := e.Face, ""
	if id == "" {
		id, whose = own, ", of the PAL"
	}
	if id == "" {
		e.skip("face", "none is named", "give --face, or set TAVUS_FACE_ID")
		return
	}
	face, err := client.Face(ctx, id)
	switch {
	case err != nil:
		e.checkService("face", err)
	case face.Status == "error":
		e.fail("face", fmt.Errorf("%s%s: its training failed", id, whose), "use another, or train it again")
	case face.Status != "" && face.Status != "completed":
		e.warn("face", fmt.Sprintf("%s%s: its status is %q", id, whose, face.Status), "wait until it is completed")
	default:
		e.ok("face", "%s%s, ready", id, whose)
	}
}

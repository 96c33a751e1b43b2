package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"echocast/tavus"
)

// How long one answer may take, and how far the clocks may be apart.
const (
	doctorTimeout = 10 * time.Second
	skewNoted     = 5 * time.Second
	skewRefused   = 5 * time.Minute
)

// account checks what the Tavus API knows.
func (d *doctoring) account(ctx context.Context) {
	client, clock := d.doctorsClient()
	if client == nil || !d.keyWorks(ctx, client, clock) {
		d.skip("PAL", "it takes a valid API key", "")
		d.skip("face", "it takes a valid API key", "")
		return
	}
	d.checkFace(ctx, client, d.checkPAL(ctx, client))
}

// doctorsClient is a client that looks at the clock of the service, or nil
// where there is no key.
func (d *doctoring) doctorsClient() (*tavus.Client, *dateReader) {
	_, inEnvironment := os.LookupEnv("TAVUS_API_KEY")
	if !inEnvironment && d.keyFile == "" && d.pal == "" && d.face == "" {
		d.skip("API key", "there is none, which only Tavus conversations need", "set TAVUS_API_KEY, or name a file with --api-key-file")
		d.skip("clock", "the service was not asked", "")
		return nil, nil
	}
	client, err := d.service.client()
	if err != nil {
		d.fail("API key", err, "get one at platform.tavus.io, and put it in TAVUS_API_KEY or in the file of --api-key-file")
		d.skip("clock", "the service was not asked", "")
		return nil, nil
	}
	clock := &dateReader{}
	client.Timeout, client.HTTP = doctorTimeout, &http.Client{Transport: clock}
	return client, clock
}

// dateReader notes how far the service's clock is ahead, by the first answer.
type dateReader struct {
	ahead time.Duration
	known bool
}

// RoundTrip makes the request. A date has whole seconds, so half of one is the
// best guess of what was cut off.
func (d *dateReader) RoundTrip(r *http.Request) (*http.Response, error) {
	asked := time.Now()
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || d.known {
		return response, err
	}
	if date, bad := http.ParseTime(response.Header.Get("Date")); bad == nil {
		d.known = true
		d.ahead = date.Add(500 * time.Millisecond).Sub(asked.Add(time.Since(asked) / 2))
	}
	return response, nil
}

// mostCounted is how many open conversations are counted.
const mostCounted = 50

// keyWorks makes a call that costs nothing.
func (d *doctoring) keyWorks(ctx context.Context, client *tavus.Client, clock *dateReader) bool {
	open := 0
	var failed error
	for _, err := range client.Conversations(ctx, tavus.Active) {
		if failed = err; err != nil {
			break
		}
		if open++; open == mostCounted {
			break
		}
	}
	if failed != nil {
		d.serviceFails("API key", failed)
	} else {
		d.ok("API key", "valid; %s open in the account", counted(open, "conversation"))
	}
	d.clocks(clock)
	return failed == nil
}

// serviceFails notes what the service, or the way to it, has said.
func (d *doctoring) serviceFails(name string, err error) {
	fix := "check the network, and --base-url"
	if refused, ok := errors.AsType[*tavus.APIError](err); ok {
		if fix = refused.Hint(); fix == "" {
			fix = "look at the status of the service"
		}
		err = &hintless{refused}
	}
	d.fail(name, err, fix)
}

// hintless is a refusal without what to do, which is said apart.
type hintless struct{ refused *tavus.APIError }

func (h *hintless) Error() string {
	text := fmt.Sprintf("%d %s", h.refused.Status, http.StatusText(h.refused.Status))
	if h.refused.Message != "" {
		text += ": " + h.refused.Message
	}
	return text
}

func (h *hintless) Unwrap() error { return h.refused }

// clocks compares the clock here with the service's.
func (d *doctoring) clocks(clock *dateReader) {
	const fix = "set this machine's clock, for example with NTP"
	apart := clock.ahead.Abs().Round(time.Second)
	text := fmt.Sprintf("this machine is %v behind the service", apart)
	if clock.ahead < 0 {
		text = fmt.Sprintf("this machine is %v ahead of the service", apart)
	}
	switch {
	case !clock.known:
		d.skip("clock", "the service did not tell the time", "")
	case apart > skewRefused:
		d.fail("clock", errors.New(text+", so tokens and certificates do not work"), fix)
	case apart > skewNoted:
		d.checkup.warn("clock", text, fix)
	default:
		d.ok("clock", "within %v of the service", skewNoted)
	}
}

// checkPAL looks whether the PAL says what it is sent, and returns its face.
func (d *doctoring) checkPAL(ctx context.Context, client *tavus.Client) (face string) {
	if d.pal == "" {
		d.skip("PAL", "none is named", "give --pal, or set TAVUS_PAL_ID; echocast pal create --echo makes one")
		return ""
	}
	pal, err := client.PAL(ctx, d.pal)
	if err != nil {
		d.serviceFails("PAL", err)
		return ""
	}
	const another = "use an echo PAL: echocast pal create --echo"
	switch {
	case d.pal == tavus.StreamPAL:
		d.checkup.warn("PAL", d.pal+" speaks a WebRTC audio track, and not the messages that echocast sends", another)
	case pal.Microphone:
		d.checkup.warn("PAL", d.pal+" has its microphone layer on: it echoes an audio track, and not messages", another+", without --microphone")
	case pal.Pipeline == "":
		d.checkup.warn("PAL", d.pal+": the service does not say its mode", another+", if this one stays silent")
	case pal.Pipeline != "echo":
		d.checkup.warn("PAL", fmt.Sprintf("%s is in the mode %q: it also answers by itself", d.pal, pal.Pipeline), another)
	case pal.Transport == "livekit" && !isLiveKit(d.to):
		d.checkup.warn("PAL", d.pal+" comes to LiveKit rooms only", "name one with --to livekit+wss://HOST/ROOM, or "+another)
	default:
		d.ok("PAL", "%s, in echo mode", d.pal)
	}
	return pal.Face
}

// checkFace looks whether the face can be used: the named one, or the PAL's.
func (d *doctoring) checkFace(ctx context.Context, client *tavus.Client, own string) {
	id, whose := d.face, ""
	if id == "" {
		id, whose = own, ", of the PAL"
	}
	if id == "" {
		d.skip("face", "none is named", "give --face, or set TAVUS_FACE_ID")
		return
	}
	face, err := client.Face(ctx, id)
	switch {
	case err != nil:
		d.serviceFails("face", err)
	case face.Status == "error":
		d.fail("face", fmt.Errorf("%s%s: its training failed", id, whose), "use another, or train it again")
	case face.Status != "" && face.Status != "completed":
		d.checkup.warn("face", fmt.Sprintf("%s%s: its status is %q", id, whose, face.Status), "wait until it is completed")
	default:
		d.ok("face", "%s%s, ready", id, whose)
	}
}

package rest_test

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"echocast/echo"
	"echocast/internal/testwait"
	"echocast/replica"
	"echocast/room/rest"
	"echocast/tavus"
	"echocast/tavus/tavustest"
)

// received is what the replica was given of one utterance.
type received struct {
	id      string
	samples []int16
	done    bool
}

// whatArrived decodes the audio that reached the replica, apart from the code
// that sent it.
func whatArrived(t *testing.T, messages [][]byte) (all []received) {
	t.Helper()
	for _, raw := range messages {
		var message struct {
			Type       string `json:"event_type"`
			Properties struct {
				Audio string `json:"audio"`
				ID    string `json:"inference_id"`
				Done  bool   `json:"done"`
			} `json:"properties"`
		}
		if err := json.Unmarshal(raw, &message); err != nil {
			t.Fatal(err)
		}
		if message.Type != "conversation.echo" {
			continue
		}
		audio, err := base64.StdEncoding.DecodeString(message.Properties.Audio)
		if err != nil {
			t.Fatal(err)
		}
		pcm := make([]int16, len(audio)/2)
		_, _ = binary.Decode(audio, binary.LittleEndian, pcm)
		i := slices.IndexFunc(all, func(r received) bool { return r.id == message.Properties.ID })
		if i < 0 {
			i = len(all)
			all = append(all, received{id: message.Properties.ID})
		}
		all[i].samples = append(all[i].samples, pcm...)
		all[i].done = message.Properties.Done
	}
	return all
}

// matches reports whether what arrived is the source from a position on: no
// sample missing, twice or out of order.
func (r received) matches(from int) error {
	for i, v := range r.samples {
		if v != sampleAt(from+i) {
			return fmt.Errorf("utterance %s from %d: another sample at %d", r.id, from, i)
		}
	}
	return nil
}

// accounts checks that the receipt covers what arrived.
func accounts(r echo.Receipt, arrived int64) error {
	if arrived < r.Samples || arrived > r.Samples+r.UncertainSamples {
		return fmt.Errorf("%d samples arrived; the receipt says %d, and %d uncertain", arrived, r.Samples, r.UncertainSamples)
	}
	if r.AcknowledgedSamples != r.Samples && r.Chunks > 0 {
		return fmt.Errorf("%d samples acknowledged of %d", r.AcknowledgedSamples, r.Samples)
	}
	return nil
}

// The chunks of an utterance of four seconds.
const (
	firstOfSix  = 0
	middleOfSix = 2
	lastOfSix   = 5
	fourSeconds = 4 * sampleRate
)

// expectation is what a fault at a chunk means for its utterance.
type expectation struct {
	finishes  bool // it is repeated, and the utterance is delivered whole
	refused   bool // a *tavus.APIError
	uncertain bool // a *rest.DeliveryError that is uncertain
}

// At every chunk, a certain refusal is retried or reported, an uncertain answer ends the
// utterance, and the receipt says which samples are uncertain.
func TestEveryAnswerAtEveryChunk(t *testing.T) {
	expected := map[int]expectation{}
	for _, status := range []int{200, 201, 204, 429, 502} {
		expected[status] = expectation{finishes: true}
	}
	for _, status := range []int{301, 307, 400, 401, 402, 403, 404, 405, 408, 409, 410, 413, 415, 422, 425, 451} {
		expected[status] = expectation{refused: true}
	}
	for _, status := range []int{500, 501, 503, 504, 505, 520, 599} {
		expected[status] = expectation{uncertain: true}
	}
	for status, want := range expected {
		for _, chunk := range []int{firstOfSix, middleOfSix, lastOfSix} {
			for _, after := range []bool{false, true} { // the message has its effect in spite of the answer
				if after && !want.uncertain || !after && status < 300 {
					continue
				}
				fault := tavustest.Fault{Status: status, After: after, Skip: chunk, Times: 1}
				synctest.Test(t, func(t *testing.T) { faultAt(t, fmt.Sprint(status), fault, want) })
			}
		}
	}
}

// After a broken connection or a missing answer, it is uncertain whether the message was
// delivered.
func TestEveryBreakAtEveryChunk(t *testing.T) {
	for _, chunk := range []int{firstOfSix, middleOfSix, lastOfSix} {
		for _, after := range []bool{false, true} {
			for name, fault := range map[string]tavustest.Fault{
				"reset":     {Reset: true, After: after, Skip: chunk, Times: 1},
				"no answer": {Delay: time.Hour, Reset: true, After: after, Skip: chunk, Times: 1},
			} {
				synctest.Test(t, func(t *testing.T) { faultAt(t, name, fault, expectation{uncertain: true}) })
			}
		}
	}
}

func faultAt(t *testing.T, name string, fault tavustest.Fault, want expectation) {
	name = fmt.Sprintf("%s, chunk %d, delivered %v", name, fault.Skip, fault.After)
	w := newWorld(t, jitter(6, 20*time.Millisecond, 200*time.Millisecond))
	fault.Path = messagePath(w.id)
	w.server.Fail(fault)
	session := w.session(nil)
	receipt, err := session.Speak(t.Context(), echo.Speech{Samples: &noise{end: fourSeconds}})
	_ = session.Close()
	arrived := whatArrived(t, w.server.Delivered(w.id))
	report := w.close()
	lost, isLost := errors.AsType[*rest.DeliveryError](err)
	if (err == nil) != want.finishes || isA[*tavus.APIError](err) != want.refused ||
		(isLost && lost.Uncertain) != want.uncertain {
		t.Errorf("%s: %v", name, err)
	}
	samples := int64(0)
	for _, r := range arrived {
		if err := r.matches(0); err != nil || len(arrived) > 1 {
			t.Errorf("%s: %v; %d utterances", name, err, len(arrived))
		}
		samples = int64(len(r.samples))
	}
	if err := accounts(receipt, samples); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	if want.finishes && samples != fourSeconds || want.uncertain != (receipt.UncertainSamples > 0) {
		t.Errorf("%s: %d samples; %+v", name, samples, receipt)
	}
	if interrupts := len(report.Interrupts); want.finishes != (interrupts == 0) && samples > 0 {
		t.Errorf("%s: %d interrupts", name, interrupts)
	}
}

// The stage stops retrying a request that keeps failing, and the receipt says what was not
// delivered.
func TestRetriesAreBounded(t *testing.T) {
	for name, fault := range map[string]tavustest.Fault{
		"502":                   {Status: 502},
		"429":                   {Status: 429},
		"429 that asks":         {Status: 429, Header: retryAfter("7")},
		"429 that asks for all": {Status: 429, Header: retryAfter("3600")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				fault.Path, fault.Skip = messagePath(w.id), 3
				w.server.Fail(fault)
				session := w.session(nil)
				start := time.Now()
				receipt, err := session.Speak(t.Context(), echo.Speech{Samples: &noise{end: fourSeconds}})
				lost, ok := errors.AsType[*rest.DeliveryError](err)
				if !ok || lost.Uncertain || !errors.Is(err, echo.ErrLost) || receipt.UncertainSamples != 0 {
					t.Errorf("%+v, %v", receipt, err)
				}
				if took := time.Since(start); took > 45*time.Second {
					t.Errorf("gave up after %v", took)
				}
				_ = session.Close()
				arrived := whatArrived(t, w.server.Delivered(w.id))
				w.close()
				if len(arrived) != 1 || arrived[0].done || accounts(receipt, int64(len(arrived[0].samples))) != nil {
					t.Errorf("%d utterances; %+v", len(arrived), receipt)
				}
			})
		})
	}
}

// Retry-After is obeyed, even if it asks for most of a minute.
func TestRetryAfterIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.server.Fail(tavustest.Fault{Path: messagePath(w.id), Skip: 2, Times: 1, Status: 429, Header: retryAfter("40")})
		refusing := &refusals{RoundTripper: w.backend.Client.HTTP.Transport, status: 429}
		w.backend.Client.HTTP.Transport = refusing
		session := w.session(nil)
		if _, err := session.Speak(t.Context(), echo.Speech{Samples: &noise{end: fourSeconds}}); err != nil {
			t.Error(err)
		}
		_ = session.Close()
		w.close()
		if refusing.next.Sub(refusing.at) < 40*time.Second {
			t.Errorf("again after %v", refusing.next.Sub(refusing.at))
		}
	})
}

// refusals notes when an answer of that status came, and when the next message
// was sent.
type refusals struct {
	http.RoundTripper
	status   int
	at, next time.Time
}

func (r *refusals) RoundTrip(request *http.Request) (*http.Response, error) {
	if !r.at.IsZero() && r.next.IsZero() && request.Method == http.MethodPost {
		r.next = time.Now()
	}
	response, err := r.RoundTripper.RoundTrip(request)
	if err == nil && response.StatusCode == r.status {
		r.at = time.Now()
	}
	return response, err
}

// A request that was never sent is retried.
func TestUnsentRequestIsRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.backend.Client.HTTP.Transport = &unreachable{RoundTripper: w.backend.Client.HTTP.Transport, every: 3}
		session := w.session(nil)
		receipt, err := session.Speak(t.Context(), echo.Speech{Samples: &noise{end: fourSeconds}})
		if err != nil || receipt.Samples != fourSeconds {
			t.Errorf("%+v, %v", receipt, err)
		}
		_ = session.Close()
		w.close()
		if err := isWhole(w.recording.samples(), fourSeconds); err != nil {
			t.Error(err)
		}
	})
}

// unreachable lets every n-th message fail before it is sent.
type unreachable struct {
	http.RoundTripper
	every, n int
}

func (u *unreachable) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost {
		if u.n++; u.n%u.every == 0 {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("network is unreachable")}
		}
	}
	return u.RoundTripper.RoundTrip(r)
}

// In random runs no word is spoken twice, and if words are lost, the receipt says which
// samples: 200 runs, or 2,000 if ECHOCAST_LONG is set.
func TestRandomRuns(t *testing.T) {
	runs := testwait.Trials(1000)
	var sum tally
	for seed := range uint64(runs) {
		synctest.Test(t, func(t *testing.T) { randomRun(t, seed, &sum) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d runs: %+v", runs, sum)
	for name, n := range map[string]int{"finished": sum.Finished, "lost": sum.Lost, "refused": sum.Refused,
		"interrupted": sum.Interrupted, "resumed": sum.Resumed, "restarted": sum.Restarted, "uncertain": sum.Uncertain,
		"uncertain and delivered": sum.UncertainArrived} {
		if n < runs/100 {
			t.Errorf("%s in only %d runs", name, n)
		}
	}
}

// tally counts what happened, so that a test of nothing is seen.
type tally struct {
	Finished, Lost, Refused, Interrupted, Resumed, Restarted, Uncertain, UncertainArrived int

	Again int // samples that were heard a second time after a resume, at most
}

// rewindRecorder records where an utterance continues.
type rewindRecorder struct {
	noise
	from []int // of each utterance after the first
}

func (r *rewindRecorder) Rewind(position int64) (int64, error) {
	base := 0
	if n := len(r.from); n > 0 {
		base = r.from[n-1]
	}
	r.at = base + int(position)
	r.from = append(r.from, r.at)
	return position, nil
}

// randomFault is a random failure of a message, or none.
func randomFault(random *rand.Rand) (f tavustest.Fault, ok bool) {
	statuses := []int{200, 400, 401, 413, 429, 429, 500, 502, 502, 502, 503, 504, 504}
	f = tavustest.Fault{Times: 1, Skip: random.IntN(9), After: random.IntN(2) == 0}
	switch random.IntN(5) {
	case 0:
		return f, false
	case 1:
		f.Reset = true
	case 2:
		f.Delay = time.Duration(random.Int64N(int64(15 * time.Second)))
	default:
		f.Status = statuses[random.IntN(len(statuses))]
		// The documentation promises that these were not delivered.
		f.After = f.After && (f.Status < 400 || f.Status >= 500 && f.Status != 502)
		if f.Status < 300 && !f.After {
			f.Status = 504
		}
		if f.Status == 429 && random.IntN(2) == 0 {
			f.Header = retryAfter(fmt.Sprint(1 + random.IntN(20)))
		}
	}
	return f, true
}

func randomRun(t *testing.T, seed uint64, sum *tally) {
	random := rand.New(rand.NewPCG(seed, 2))
	latest := time.Duration(20+random.IntN(380)) * time.Millisecond
	w := newWorld(t, jitter(seed, 20*time.Millisecond, latest))
	withEvents := random.IntN(2) == 0
	if withEvents {
		received := &events{all: make(chan []byte, 1000), twice: random.IntN(2) == 0}
		w.server.AppMessages.Webhook, w.backend.Events = received.hook, received
	}
	for range 3 {
		if fault, ok := randomFault(random); ok {
			fault.Path = messagePath(w.id)
			w.server.Fail(fault)
		}
	}
	joined := w.join(nil)
	policy := []echo.ReconnectPolicy{"abandon", "restart", "resume"}[random.IntN(3)]
	var receipts []echo.Receipt
	session, err := echo.NewSession(joined.Stage(), &echo.Options{
		SendTimeout: rest.SendTimeout, OnLoss: policy, Redial: joined.Rejoin,
		OnReceipt: func(r echo.Receipt) { receipts = append(receipts, r) },
	})
	if err != nil {
		t.Fatal(err)
	}
	source := &rewindRecorder{noise: noise{end: 1 + random.IntN(9*sampleRate)}}
	if random.IntN(3) == 0 {
		source.stalls = map[int]time.Duration{random.IntN(source.end): time.Duration(random.Int64N(int64(5 * time.Second)))}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if random.IntN(4) == 0 {
		stop := time.AfterFunc(time.Duration(random.Int64N(int64(8*time.Second))), func() { _ = session.Interrupt(ctx, nil) })
		defer stop.Stop()
	}
	_, err = session.Speak(ctx, echo.Speech{Samples: source})
	if ctx.Err() != nil {
		t.Errorf("seed %d: still speaking after 5 minutes", seed)
	}
	_ = session.Close()
	synctest.Wait()
	arrived := whatArrived(t, w.server.Delivered(w.id))
	report := w.close()
	complete := len(arrived) > 0 && arrived[len(arrived)-1].done
	played := map[string]int{}
	for _, u := range report.Utterances {
		played[u.ID] = int(u.PlayedSamples)
	}
	judge(t, seed, source, receipts, arrived, played, policy, sum)
	switch {
	case err == nil:
		sum.Finished++
		if !complete {
			t.Errorf("seed %d: no done", seed)
		}
	case isA[*tavus.APIError](err):
		sum.Refused++
	case errors.Is(err, echo.ErrLost):
		sum.Lost++
	case errors.Is(err, echo.ErrStopped):
		sum.Interrupted++
	case !errors.Is(err, io.EOF) && !errors.Is(err, echo.ErrUnverified):
		t.Errorf("seed %d: %v", seed, err)
	}
	for _, c := range report.Complaints {
		// An interrupt that meets a fault itself may not arrive in time.
		if c.Kind != replica.KindNeverDone || err == nil {
			t.Errorf("seed %d: %+v", seed, c)
		}
	}
	if c := w.server.Complaints(); len(c) > 0 {
		t.Errorf("seed %d: %v", seed, c)
	}
	if most := mostInAnyMinute(w.server.MessageTimes()); most > tavus.AppMessages {
		t.Errorf("seed %d: %d requests in a minute", seed, most)
	}
}

// judge compares what arrived with the source and with the receipts.
func judge(t *testing.T, seed uint64, source *rewindRecorder, receipts []echo.Receipt, arrived []received,
	played map[string]int, policy echo.ReconnectPolicy, sum *tally) {
	t.Helper()
	from, end, heard := 0, 0, 0 // where the utterance at hand begins; what arrived, and was heard, up to there
	for i, r := range receipts {
		if i > 0 {
			from = source.from[i-1]
			if from > end {
				t.Errorf("seed %d: %d to %d were never sent", seed, end, from)
			}
			if policy == "resume" {
				sum.Resumed++
				if skipped := from - heard; skipped > 0 {
					t.Errorf("seed %d: %d samples were never heard: resumed at %d; %+v", seed, skipped, from, receipts[i-1])
				}
				sum.Again = max(sum.Again, heard-from)
			} else {
				sum.Restarted++
			}
		}
		at := slices.IndexFunc(arrived, func(a received) bool { return a.id == r.InferenceID })
		var got received
		if at >= 0 {
			got = arrived[at]
			arrived = slices.Delete(arrived, at, at+1)
		}
		if err := got.matches(from); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
		if err := accounts(r, int64(len(got.samples))); err != nil {
			t.Errorf("seed %d: %v; %+v", seed, err, r)
		}
		if r.UncertainSamples > 0 {
			sum.Uncertain++
			if int64(len(got.samples)) > r.Samples {
				sum.UncertainArrived++
			}
		}
		end, heard = from+len(got.samples), from+played[r.InferenceID]
	}
	if len(arrived) > 0 {
		t.Errorf("seed %d: %d utterances without a receipt", seed, len(arrived))
	}
}

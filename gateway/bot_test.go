package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"echocast/carrier"
	"echocast/echo"
	"echocast/internal/pcm"
)

// botLine is a connection to a bot in memory, with the bot's end of it.
type botLine struct {
	t       *testing.T
	toBot   chan []byte
	fromBot chan []byte
	closed  chan struct{}
	close   func()
	code    websocket.StatusCode // with which the bot closes
}

func newBotLine(t *testing.T) *botLine {
	l := &botLine{t: t, toBot: make(chan []byte, 1<<16), fromBot: make(chan []byte), closed: make(chan struct{}),
		code: websocket.StatusNormalClosure}
	l.close = sync.OnceFunc(func() { close(l.closed) })
	return l
}

func (l *botLine) Read(context.Context) (websocket.MessageType, []byte, error) {
	select {
	case data := <-l.fromBot:
		return websocket.MessageText, data, nil
	case <-l.closed:
		return 0, nil, websocket.CloseError{Code: l.code}
	}
}

func (l *botLine) Write(_ context.Context, _ websocket.MessageType, data []byte) error {
	select {
	case <-l.closed:
		return websocket.CloseError{Code: l.code}
	default:
		l.toBot <- slices.Clone(data)
		return nil
	}
}

func (l *botLine) Close(websocket.StatusCode, string) error {
	l.close()
	return nil
}

// twilioMessage is a message of a Media Stream in either direction.
type twilioMessage struct {
	Event string `json:"event"`
	Start *struct {
		StreamSID        string            `json:"streamSid"`
		CustomParameters map[string]string `json:"customParameters"`
	} `json:"start,omitempty"`
	Media *struct {
		Payload []byte `json:"payload"`
	} `json:"media,omitempty"`
	Mark *struct {
		Name string `json:"name"`
	} `json:"mark,omitempty"`
}

// fakeBot is a bot for Twilio on a botLine.
type fakeBot struct {
	*botLine
	streamSID  string
	parameters map[string]string
	heard      []int16 // the user, without the silence before and after
	marks      []string
	markedAt   []time.Time
	stopped    bool
}

// read reads what the carrier has sent so far.
func (b *fakeBot) read() {
	b.t.Helper()
	for len(b.toBot) > 0 {
		var m twilioMessage
		if err := json.Unmarshal(<-b.toBot, &m); err != nil {
			b.t.Fatal(err)
		}
		switch m.Event {
		case "start":
			b.streamSID, b.parameters = m.Start.StreamSID, m.Start.CustomParameters
		case "media":
			samples := pcm.Decode(m.Media.Payload, pcm.DecodeMuLaw)
			if slices.ContainsFunc(samples, func(s int16) bool { return s > 1000 }) {
				b.heard = append(b.heard, samples...)
			}
		case "mark":
			b.marks, b.markedAt = append(b.marks, m.Mark.Name), append(b.markedAt, time.Now())
		case "stop":
			b.stopped = true
		}
	}
}

func (b *fakeBot) send(format string, args ...any) {
	b.fromBot <- fmt.Appendf(nil, `{"streamSid":%q,`+format+`}`, append([]any{b.streamSID}, args...)...)
}

// say sends audio, and a mark after it.
func (b *fakeBot) say(length time.Duration, mark string) {
	payload, _ := json.Marshal(make([]byte, 8*length.Milliseconds())) // loud, in mu-law
	b.send(`"event":"media","media":{"payload":%s}`, payload)
	b.send(`"event":"mark","mark":{"name":%q}`, mark)
}

// withBot runs f with a conversation that has a bot, in fake time.
func withBot(t *testing.T, bot string, f func(t *testing.T, c *client, path string, b *fakeBot)) {
	t.Helper()
	inBubble(t, &Options{Rehearse: true}, func(t *testing.T, c *client) {
		b := &fakeBot{botLine: newBotLine(t)}
		c.gateway.dialBot = func(_ context.Context, address string, _ http.Header) (carrier.Conn, error) {
			if address != "ws://127.0.0.1:9000/media?key=secret" {
				t.Errorf("%s is dialled", address)
			}
			return b.botLine, nil
		}
		var info Info
		c.do("POST", "/v1/conversations", strings.NewReader(`{"bot":{"url":"ws://127.0.0.1:9000/media?key=secret"`+bot+`}}`),
			http.StatusCreated, &info)
		if info.Bot == nil || info.Bot.State != BotConnected || info.Bot.Carrier != Twilio {
			t.Fatalf("created %+v", info)
		}
		synctest.Wait()
		b.read()
		f(t, c, "/v1/conversations/"+info.ID, b)
		b.close()
	})
}

// sine returns raw samples at 24 kHz of a tone of this length.
func sine(hertz, seconds float64) *strings.Reader {
	var b strings.Builder
	for i := range int(seconds * echo.DefaultRate) {
		sample := int16(8000 * math.Sin(2*math.Pi*hertz*float64(i)/echo.DefaultRate))
		b.Write([]byte{byte(sample), byte(sample >> 8)})
	}
	return strings.NewReader(b.String())
}

// hertzOf returns a frequency, by counting the upward crossings of zero.
func hertzOf(samples []int16, rate float64) float64 {
	crossings := 0
	for i := 1; i < len(samples); i++ {
		if samples[i-1] < 0 && samples[i] >= 0 {
			crossings++
		}
	}
	return float64(crossings) * rate / float64(max(len(samples), 1))
}

// A bot in a conversation hears the user, speaks through the replica, gets its marks in order
// when they were heard, interrupts by a clear, and ends the conversation by hanging up. Events
// report all of it.
func TestBotConversation(t *testing.T) {
	withBot(t, `,"parameters":{"name":"Jane"}`, func(t *testing.T, c *client, path string, b *fakeBot) {
		if b.streamSID == "" || b.parameters["name"] != "Jane" {
			t.Errorf("the bot was told %+v", b)
		}
		b.say(500*time.Millisecond, "one")
		b.say(500*time.Millisecond, "two")
		var said UserSaid
		c.do("POST", path+"/user?format=s16le&rate=24000", sine(300, 2), http.StatusOK, &said)
		time.Sleep(time.Second)
		b.read()
		if hertz := hertzOf(b.heard, 8000); said.Seconds != 2 || hertz < 290 || hertz > 310 || len(b.heard) < 15000 ||
			len(b.heard) > 17000 {
			t.Errorf("the bot has heard %d samples of %.0f Hz, and the user has said %v", len(b.heard), hertz, said)
		}
		if !slices.Equal(b.marks, []string{"one", "two"}) {
			t.Errorf("the marks came back as %v", b.marks)
		}
		b.say(8*time.Second, "long")
		time.Sleep(3 * time.Second)
		b.read() // what came late would be taken for a mark of the clear
		cleared := time.Now()
		b.send(`"event":"clear"`)
		synctest.Wait()
		b.read()
		b.say(time.Second, "bye")
		time.Sleep(3 * time.Second)
		b.read()
		if !slices.Equal(b.marks, []string{"one", "two", "long", "bye"}) || b.markedAt[2] != cleared {
			t.Errorf("the marks came back as %v at %v, and the bot cleared at %v", b.marks, b.markedAt, cleared)
		}
		b.close()
		synctest.Wait()
		var info Info
		c.do("GET", path, nil, http.StatusOK, &info)
		if info.State != Ended || info.Error != "" || info.Bot.State != BotHungUp || info.Utterances != 3 ||
			info.Interrupted != 1 || info.Failed != 0 {
			t.Errorf("in the end the conversation is %+v, %+v", info, info.Bot)
		}
		var all struct{ Utterances []UtteranceInfo }
		c.do("GET", path+"/utterances", nil, http.StatusOK, &all)
		for i, want := range []struct {
			outcome         echo.Outcome
			least, mostSaid float64
		}{{echo.Finished, 0.99, 1.01}, {echo.Interrupted, 2, 3.1}, {echo.Finished, 0.99, 1.01}} {
			r := all.Utterances[i].Receipt
			if r.Outcome != want.outcome || r.SpokenSeconds < want.least || r.SpokenSeconds > want.mostSaid {
				t.Errorf("utterance %d: %+v", i, r)
			}
		}
		events := c.events(path, "")
		for want, times := range map[string]int{
			`event: bot` + "\n": 2, `data: {"carrier":"twilio","state":"hung_up"}`: 1, "event: bot_mark": 4,
			`{"name":"long","heard":false}`: 1,
			"event: bot_clear":              1, "event: receipt": 3, `"role":"user"`: 2,
		} {
			if n := strings.Count(events, want); n != times {
				t.Errorf("%s is there %d times in the events, want %d", want, n, times)
			}
		}
		if strings.Contains(events, "secret") {
			t.Error("the events tell the bot's key")
		}
		const counted = `echocast_bot_calls_total{carrier="twilio",outcome="hung_up"} 1`
		if metrics := c.text("/metrics"); !strings.Contains(metrics, counted) {
			t.Errorf("the metrics are\n%s", metrics)
		}
	})
}

// text returns the text at a path.
func (c *client) text(path string) string {
	c.t.Helper()
	w := httptest.NewRecorder()
	c.handler.ServeHTTP(w, httptest.NewRequestWithContext(c.t.Context(), "GET", "http://127.0.0.1:8880"+path, nil))
	return w.Body.String()
}

// The end of a conversation ends the call of its bot.
func TestEndOfConversationStopsBot(t *testing.T) {
	withBot(t, "", func(t *testing.T, c *client, path string, b *fakeBot) {
		b.say(5*time.Second, "never")
		time.Sleep(time.Second)
		var info Info
		c.do("DELETE", path, nil, http.StatusOK, &info)
		synctest.Wait()
		b.read()
		if !b.stopped || info.Bot.State != BotStopped || info.State != Ended || info.Interrupted != 1 {
			t.Errorf("the bot was told %+v, and the conversation is %+v", b, info)
		}
	})
}

// A gateway that ends lets a bot finish its answer, and then ends the call.
func TestDrainLetsBotFinish(t *testing.T) {
	withBot(t, "", func(t *testing.T, c *client, path string, b *fakeBot) {
		b.say(5*time.Second, "last")
		time.Sleep(time.Second)
		c.gateway.Close(t.Context())
		b.read()
		var all struct{ Utterances []UtteranceInfo }
		c.do("GET", path+"/utterances", nil, http.StatusOK, &all)
		if r := all.Utterances[0].Receipt; r.Outcome != echo.Finished || !b.stopped ||
			!slices.Equal(b.marks, []string{"last"}) {
			t.Errorf("the receipt is %+v, and the bot was told %v, stopped: %t", r, b.marks, b.stopped)
		}
	})
}

// With on_hangup keep, a conversation continues without its bot, and reports how the bot was
// lost.
func TestBotConnectionLost(t *testing.T) {
	for onHangup, state := range map[string]State{KeepOnHangup: Open, EndOnHangup: Ended} {
		withBot(t, `,"on_hangup":"`+onHangup+`"`, func(t *testing.T, c *client, path string, b *fakeBot) {
			b.code = websocket.StatusInternalError
			b.close()
			synctest.Wait()
			var info Info
			c.do("GET", path, nil, http.StatusOK, &info)
			if info.State != state || info.Bot.State != BotLost || info.Bot.Error == "" ||
				(info.Error == "") != (state == Open) {
				t.Errorf("%s: the conversation is %+v, %+v", onHangup, info, info.Bot)
			}
			if state == Open {
				c.do("POST", path+raw, tone(0.1), http.StatusOK, nil)
			}
		})
	}
}

// A bot is called in an existing conversation, and hung up in mid-answer, which is
// interrupted. Then another bot is called. The conversation continues.
func TestBotIsCalledAndHungUp(t *testing.T) {
	inBubble(t, &Options{Rehearse: true}, func(t *testing.T, c *client) {
		lines := make(chan *botLine, 2)
		c.gateway.dialBot = func(context.Context, string, http.Header) (carrier.Conn, error) { return <-lines, nil }
		path := c.create(`,"hear":"user"`)
		c.do("DELETE", path+"/bot", nil, http.StatusNotFound, nil)
		bot := func(more string) *strings.Reader {
			return strings.NewReader(`{"url":"ws://127.0.0.1:9000/media?key=hush"` + more + `}`)
		}
		for _, mark := range []string{"one", "two"} {
			b := &fakeBot{botLine: newBotLine(t)}
			lines <- b.botLine
			var info BotInfo
			c.do("POST", path+"/bot", bot(`,"parameters":{"n":"`+mark+`"}`), http.StatusCreated, &info)
			c.do("POST", path+"/bot", bot(""), http.StatusConflict, nil)
			synctest.Wait()
			if b.read(); info != (BotInfo{Carrier: Twilio, State: BotConnected}) || b.parameters["n"] != mark {
				t.Errorf("called %+v, and the bot was told %v", info, b.parameters)
			}
			b.say(time.Second, mark)
			c.do("POST", path+"/user?format=s16le&rate=24000", sine(300, 2), http.StatusOK, nil)
			b.say(9*time.Second, "never")
			time.Sleep(2 * time.Second)
			c.do("DELETE", path+"/bot", nil, http.StatusOK, &info)
			if b.read(); !b.stopped || info.State != BotStopped || len(b.heard) < 15000 || b.marks[0] != mark {
				t.Errorf("hung up %+v: stopped %t, %d samples heard, marks %v", info, b.stopped, len(b.heard), b.marks)
			}
		}
		var info Info
		c.do("GET", path, nil, http.StatusOK, &info)
		if info.State != Open || info.Bot.State != BotStopped || info.Utterances != 4 || info.Interrupted != 2 {
			t.Errorf("in the end the conversation is %+v, %+v", info, info.Bot)
		}
		c.do("POST", path+raw, tone(0.1), http.StatusOK, nil)
		if events := c.events(path, ""); strings.Contains(events, "hush") || strings.Count(events, "event: bot\n") != 4 {
			t.Errorf("the events are\n%s", events)
		}
	})
}

// A call in an existing conversation is refused if the user is not heard or the host is not
// allowed. If the bot cannot be reached, or the caller has left, the conversation stays as it
// was.
func TestBotCallRefusals(t *testing.T) {
	inBubble(t, &Options{Rehearse: true}, func(t *testing.T, c *client) {
		unreachable := &carrier.DialError{Err: errors.New("nobody listens")}
		c.gateway.dialBot = func(ctx context.Context, address string, _ http.Header) (carrier.Conn, error) {
			if strings.HasSuffix(address, "locked") {
				return nil, &carrier.DialError{Status: http.StatusUnauthorized, Err: errors.New("401 Unauthorized")}
			}
			if !strings.HasSuffix(address, "slow") {
				return nil, unreachable
			}
			<-ctx.Done()
			return nil, &carrier.DialError{Err: context.Cause(ctx)}
		}
		deaf, heard := c.create(""), c.create(`,"hear":"all"`)
		for _, refused := range []struct {
			path, body string
			status     int
			says       string // in the detail or the kind
		}{
			{deaf, `{"url":"ws://127.0.0.1/"}`, http.StatusUnprocessableEntity, "hear"},
			{heard, `{"url":"ws://10.0.0.5/"}`, http.StatusUnprocessableEntity, "--bot-host 10.0.0.5"},
			{heard, `{"url":"ws://127.0.0.1/","carrier":"pigeon"}`, http.StatusUnprocessableEntity, "twilio or vonage"},
			{heard, `{"url":"ws://127.0.0.1/"}`, http.StatusBadGateway, "nobody listens"},
			{heard, `{"url":"ws://127.0.0.1/"}`, http.StatusBadGateway, "not_ready"},
			{heard, `{"url":"ws://127.0.0.1/locked"}`, http.StatusBadGateway, "401 Unauthorized"},
			{heard, `{"url":"ws://127.0.0.1/locked"}`, http.StatusBadGateway, "refused"},
		} {
			var p Problem
			c.do("POST", refused.path+"/bot", strings.NewReader(refused.body), refused.status, &p)
			if !strings.Contains(p.Detail, refused.says) && p.Kind != refused.says {
				t.Errorf("%s is refused with %s: %q", refused.body, p.Kind, p.Detail)
			}
		}
		for range 100 { // a failed call is over when its caller is told
			c.do("POST", heard+"/bot", strings.NewReader(`{"url":"ws://127.0.0.1/"}`), http.StatusBadGateway, nil)
		}
		ctx, leave := context.WithTimeout(t.Context(), time.Second)
		defer leave()
		conversation, err := c.gateway.Get(strings.TrimPrefix(heard, "/v1/conversations/"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conversation.CallBot(ctx, Bot{URL: "ws://127.0.0.1/slow"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		synctest.Wait()
		c.do("DELETE", heard+"/bot", nil, http.StatusNotFound, nil)
		c.do("DELETE", heard, nil, http.StatusOK, nil)
		c.do("POST", heard+"/bot", strings.NewReader(`{"url":"ws://127.0.0.1/"}`), http.StatusGone, nil)
	})
}

// Once it is recorded that a call has ended, another bot can be called.
func TestNoCallRemainsAfterItsEnd(t *testing.T) {
	c := newConversation(New(&Options{Rehearse: true}), Spec{To: Rehearsal})
	c.call = &botCall{bot: &Bot{OnHangup: KeepOnHangup}, ctx: t.Context()}
	c.wanted = c.call.bot
	c.botLeft(c.call, nil)
	if c.call != nil || c.wanted != nil || c.bot.State != BotHungUp {
		t.Errorf("after %+v there is still a call %+v, or a bot for the next node %+v", c.bot, c.call, c.wanted)
	}
}

// The record for the next node names the current bot.
func TestRecordNamesCurrentBot(t *testing.T) {
	first, second := &Bot{URL: "wss://bots.example/1"}, &Bot{URL: "wss://bots.example/2?key=hush"}
	for _, change := range []struct{ was, is *Bot }{
		{nil, nil}, {first, first}, {nil, second}, {first, second}, {second, nil},
	} {
		c := newConversation(New(nil), Spec{To: Rehearsal, Hear: "user", Bot: change.was})
		c.setWanted(change.is)
		var r record
		if text := fmtJSON(c.recordOf()); json.Unmarshal(text, &r) != nil || strings.Contains(string(text), "hush") {
			t.Fatalf("%s is kept", text)
		}
		now := r.bot()
		if (now == nil) != (change.is == nil) || now != nil && !strings.HasPrefix(change.is.URL, now.URL) ||
			r.HasSecret != (change.is == second) {
			t.Errorf("of %+v after %+v is kept %+v, secret: %t", change.is, change.was, now, r.HasSecret)
		}
	}
}

// While a program speaks in the conversation, the bot's speech and its marks wait for their
// turn.
func TestBotWaitsInQueue(t *testing.T) {
	withBot(t, "", func(t *testing.T, c *client, path string, b *fakeBot) {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "http://127.0.0.1:8880"+path+raw, tone(4))
		r.Header.Set("Prefer", "respond-async")
		c.request(r, http.StatusAccepted, nil)
		b.say(time.Second, "mine")
		time.Sleep(3 * time.Second)
		if b.read(); len(b.marks) > 0 {
			t.Error("the mark came back before the bot was heard")
		}
		time.Sleep(4 * time.Second)
		if b.read(); len(b.marks) != 1 {
			t.Errorf("the marks are %v", b.marks)
		}
	})
}

// A bot that cannot be reached fails the creation, and nothing remains.
func TestUnreachableBot(t *testing.T) {
	inBubble(t, &Options{Rehearse: true}, func(t *testing.T, c *client) {
		c.gateway.dialBot = func(context.Context, string, http.Header) (carrier.Conn, error) {
			return nil, &carrier.DialError{Err: errors.New("nobody listens")}
		}
		var p Problem
		body := strings.NewReader(`{"bot":{"url":"ws://127.0.0.1:9000/"}}`)
		c.do("POST", "/v1/conversations", body, http.StatusBadGateway, &p)
		if p.Kind != "not_ready" || !strings.Contains(p.Detail, "nobody listens") {
			t.Errorf("the problem is %+v", p)
		}
		synctest.Wait()
		if len(c.gateway.List()) > 0 {
			t.Error("the conversation is left")
		}
	})
}

// The record for other nodes has no secrets of a bot, and says that it left some out.
func TestStoredBotHasNoSecrets(t *testing.T) {
	for _, bot := range []Bot{
		{URL: "wss://bots.example/media?key=hush"},
		{URL: "wss://bots.example/", Parameters: map[string]string{"k": "hush"}},
		{URL: "wss://bots.example/media"},
	} {
		c := newConversation(New(nil), Spec{To: Rehearsal, Bot: &bot})
		r := c.recordOf()
		text, _ := json.Marshal(r)
		if hasSecret := strings.Contains(fmt.Sprint(bot), "hush"); r.HasSecret != hasSecret ||
			strings.Contains(string(text), "hush") || !strings.Contains(string(text), "wss://bots.example/") {
			t.Errorf("of %+v is kept %s", bot, text)
		}
		if c.Spec.Bot.URL != bot.URL || len(c.Spec.Bot.Parameters) != len(bot.Parameters) {
			t.Errorf("the conversation itself has %+v", c.Spec.Bot)
		}
	}
}

// Only bots that the operator allows are called; in a rehearsal also bots on this machine.
func TestBotHosts(t *testing.T) {
	listed := []string{"bots.example", "*.fleet.example", "10.0.0.5:9000", "[2001:db8::1]", "127.0.0.1"}
	for address, want := range map[string]bool{
		"wss://bots.example/media": true, "wss://BOTS.example:8443/": true, "wss://a.fleet.example/": true,
		"wss://10.0.0.5:9000/": true, "wss://[2001:db8::1]/": true, "ws://127.0.0.1:80/": true,
		"ws://bots.example/": false, "wss://fleet.example/": false, "wss://afleet.example/": false,
		"wss://bots.example.evil/": false, "wss://bots.example@evil/": false, "wss://10.0.0.5/": false,
		"wss://10.0.0.5:9001/": false, "wss://169.254.169.254/": false, "ws://localhost/": false, "wss://[::1]/": false,
		"wss://2130706433/": false, "https://bots.example/": false, "wss:///": false, "wss://bots.example/#x": false,
	} {
		b := &Bot{URL: address}
		o := &Options{BotHosts: listed}
		err := b.check()
		if err == nil {
			err = o.checkBotHost(b)
		}
		if (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
	}
	for address, want := range map[string]bool{
		"ws://127.0.0.1:9000/": true, "ws://localhost:9000/": true, "ws://[::1]:9000/": true, "wss://bots.example/": false,
		"ws://127.1/": false, "ws://localhost.evil/": false,
	} {
		if err := (&Options{Rehearse: true}).checkBotHost(&Bot{URL: address}); (err == nil) != want {
			t.Errorf("a rehearsal: %s: %v", address, err)
		}
	}
	if err := (&Options{BotHosts: []string{"b"}, Insecure: true}).checkBotHost(&Bot{URL: "ws://b/"}); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{
		`{"bot":{"url":"wss://x/"}}`, `{"bot":{"url":"ws://127.0.0.1/","carrier":"pigeon"}}`, `{"bot":{}}`,
		`{"bot":{"url":"ws://127.0.0.1/","rate":8000}}`, `{"bot":{"url":"ws://127.0.0.1/","on_hangup":"cry"}}`,
		`{"to":"rest:c1","bot":{"url":"ws://127.0.0.1/"}}`, `{"hear":"nobody"}`,
	} {
		inBubble(t, &Options{Rehearse: !strings.Contains(bad, "rest")}, func(t *testing.T, c *client) {
			c.do("POST", "/v1/conversations", strings.NewReader(bad), http.StatusUnprocessableEntity, nil)
		})
	}
}

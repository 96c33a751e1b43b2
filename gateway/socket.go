package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"echocast/echo"
	"echocast/gateway/token"
)

// socketProtocol is the subprotocol of a conversation's WebSocket.
const socketProtocol = "echocast.v1"

// The largest message in bytes, and the timeouts and interval of writes and pings.
const (
	maxFrame     = 1 << 20
	pingInterval = 30 * time.Second
	pingTimeout  = time.Second
)

// OrderType is the type of an Order.
type OrderType string

// OrderTypes are the types of orders.
var OrderTypes = []OrderType{"start", "end", "continue", "mark", "say", "message", "interrupt", "pause", "resume",
	"listen", "unlisten"}

// namesOf lists the types of orders in a sentence.
func namesOf(all []OrderType) string {
	var names []string
	for _, one := range all {
		names = append(names, string(one))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// Order is a command that a client sends as a text message.
type Order struct {
	Type OrderType `json:"type"`
	// Key identifies a start: it begins an utterance once, however often it is sent. After its
	// connection was lost, the utterance waits for another start with the key, or for a continue.
	// In an interrupt that is sent again, it is the key of the next start: if that has begun its
	// utterance, the interrupt was obeyed before, and has no effect.
	Key string `json:"key,omitempty"`
	// Name is the name of an utterance (start, say) or of a mark.
	Name string `json:"name,omitempty"`
	// Text is the text of an utterance's audio, or the text that the replica should say.
	Text string `json:"text,omitempty"`
	// Format, Rate and Channels describe the audio that follows a start. Missing ones are
	// taken from the query of the socket's address.
	Format   string           `json:"format,omitempty"`
	Rate     int              `json:"rate,omitempty"`
	Channels int              `json:"channels,omitempty"`
	Queue    echo.QueuePolicy `json:"queue,omitempty"`
	// Utterance is the id of the utterance to continue.
	Utterance string `json:"utterance,omitempty"`
	// From is whose voice is sent: user, replica or all. Rate is then the rate of what comes
	// back.
	From string `json:"from,omitempty"`
	// Message is a message of the Interactions Protocol.
	Message json.RawMessage `json:"message,omitempty"`
}

// socket serves one client on a WebSocket.
type socket struct {
	api          *api
	conversation *Conversation
	conn         *websocket.Conn
	query        url.Values // of the address
	mayHear      error      // why the client may not listen; nil: it may
	intake       *intake    // of the utterance that takes audio; nil: none

	listening func() // ends the listening and waits for its end; nil: nobody listens

	answers chan Entry    // to commands
	written chan struct{} // closed when nothing is written any more
}

// socket lets a client speak and follow by one WebSocket. Text messages are commands, and
// binary ones the audio of the utterance that was started last. Events come back as in the
// event stream, one in each message. Backpressure of the connection holds back audio that is
// not taken yet. A client that reads slowly receives a message "gap" with the number of
// entries it missed.
//
// If the connection is lost, an utterance that was not ended is cut off, or waits for its client
// if it has a key. Others continue.
func (a *api) socket(w http.ResponseWriter, r *http.Request) error {
	c, err := a.conversation(r)
	if err != nil {
		return err
	}
	if !slices.Contains(callerOf(r).scopes, token.Listen) {
		return &scopeError{token.Listen}
	}
	query := r.URL.Query()
	after, err := lastEventID(r, c.history)
	if err != nil {
		return err
	}
	query.Del("after")
	if _, err := audioOf(query); err != nil {
		return err
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		return invalid("Upgrade", "this is a WebSocket")
	}
	// The origin was checked for every request.
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols: []string{socketProtocol}, InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return nil //nolint:nilerr // websocket.Accept has answered
	}
	conn.SetReadLimit(maxFrame)
	s := &socket{api: a, conversation: c, conn: conn, query: query, mayHear: a.mayHear(r)}
	s.answers, s.written = make(chan Entry), make(chan struct{})
	s.run(r.Context(), after)
	return nil
}

// run serves the client until it leaves or the conversation ends.
func (s *socket) run(ctx context.Context, after int64) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // reads and writes notice the end of the connection
	go func() {
		defer close(s.written)
		s.writeEvents(ctx, after)
		code, why := websocket.StatusNormalClosure, "the conversation has ended"
		if s.conversation.isMoving() {
			code, why = websocket.StatusServiceRestart, "another node holds the conversation: connect again"
		}
		_ = s.conn.Close(code, why) // ends the reading
	}()
	err := s.read(ctx)
	s.unlisten()
	s.leave(err)
	cancel()
	<-s.written
	_ = s.conn.CloseNow() // it is closed, or lost
}

// Connected is the first message on a WebSocket. A client that connects again names the last
// event that it has seen, or else this one.
type Connected struct {
	After int64 `json:"after"` // id of the event before the first one that follows
}

// leave ends the utterance that takes audio when the connection has ended. If the connection
// was lost, an utterance with a key waits for its client. What another node continues is left to
// that one.
func (s *socket) leave(cause error) {
	in := s.intake
	hasLeft := slices.Contains([]websocket.StatusCode{websocket.StatusNormalClosure, websocket.StatusGoingAway},
		websocket.CloseStatus(cause))
	switch {
	case in == nil || s.conversation.isMoving():
	case in.utterance != nil && in.utterance.key != "" && !hasLeft:
		in.release(s)
	default:
		_ = in.end(s, &CutError{cause}) // nobody can be told
	}
}

// writeEvents sends events, and the answers to commands after the events before them.
func (s *socket) writeEvents(ctx context.Context, after int64) {
	ping := time.NewTicker(pingInterval)
	defer ping.Stop()
	if s.write(ctx, Entry{Type: "connected", Data: fmtJSON(Connected{after})}) != nil {
		return
	}
	var answer *Entry
	for {
		entries, missed, changed := s.conversation.history.since(after)
		if missed > 0 && s.write(ctx, Entry{Type: "gap", Data: fmtJSON(map[string]int64{"missed": missed})}) != nil {
			return
		}
		for _, e := range entries {
			if s.write(ctx, e) != nil {
				return
			}
			after = e.ID
		}
		if answer != nil && s.write(ctx, *answer) != nil || changed == nil {
			return
		}
		answer = nil
		select {
		case <-changed:
		case e := <-s.answers:
			answer = &e
		case <-ping.C:
			alive, cancel := context.WithTimeout(ctx, pingTimeout)
			_ = s.conn.Ping(alive) // a client that is held back answers later
			cancel()
		case <-ctx.Done():
			return
		}
	}
}

// write sends one message. If the client does not take it within writeTimeout, the connection
// is lost.
func (s *socket) write(ctx context.Context, e Entry) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return s.conn.Write(ctx, websocket.MessageText, text)
}

func fmtJSON(value any) json.RawMessage {
	text, _ := json.Marshal(value) // never fails for plain values
	return text
}

// answer sends a message that is not an entry of the history.
func (s *socket) answer(kind string, value any) error {
	select {
	case s.answers <- Entry{Type: kind, Data: fmtJSON(value)}:
		return nil
	case <-s.written:
		return net.ErrClosed
	}
}

// read obeys the client's messages until the connection ends, and returns why it ended.
func (s *socket) read(ctx context.Context) error {
	var message bytes.Buffer // reused: whoever keeps the bytes copies them
	for {
		kind, err := s.receive(&message)
		if err != nil {
			return err
		}
		if kind == websocket.MessageBinary {
			err = s.audio(ctx, message.Bytes())
		} else {
			err = s.obey(ctx, message.Bytes())
		}
		if err == nil {
			continue
		}
		if errors.Is(err, errMoved) { // the connection ends with that reason
			s.conversation.checkOwnership()
			continue
		}
		if err := s.answer("error", problemOf(s.api.gateway.secrets.Secrets().Error(err))); err != nil {
			return err
		}
	}
}

// receive reads one message. It ends with the connection and takes no cancellable context:
// that would be watched for each frame.
func (s *socket) receive(message *bytes.Buffer) (websocket.MessageType, error) {
	kind, from, err := s.conn.Reader(context.Background())
	if err != nil {
		return 0, err
	}
	if message.Reset(); message.Cap() > pipeKept {
		*message = bytes.Buffer{}
	}
	_, err = message.ReadFrom(from)
	return kind, err
}

// audio adds audio to the utterance, and starts one if there is none. Audio that was on its
// way to a refused utterance is dropped until the next end, start or interrupt, so that its
// rest is not spoken as another utterance.
func (s *socket) audio(ctx context.Context, data []byte) error {
	if s.intake == nil {
		if err := s.start(ctx, &Order{}); err != nil {
			return err
		}
	}
	received, err := s.intake.add(s, data)
	if received != nil {
		err = s.answer("received", received)
	}
	s.intake.pipe.wait()
	return err
}

// obey carries out a text message.
func (s *socket) obey(ctx context.Context, data []byte) error {
	var o Order
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&o); err != nil {
		return invalid("message", "it must be one JSON object: %s", whyNoObject(err))
	}
	c := s.conversation
	switch o.Type {
	case "start":
		return errors.Join(s.finish(io.EOF), s.start(ctx, &o))
	case "end":
		if s.intake == nil {
			return invalid("end", "no utterance was started")
		}
		return s.finish(io.EOF)
	case "continue":
		return errors.Join(s.finish(io.EOF), s.resume(o.Utterance))
	case "mark":
		return s.mark(&o)
	case "say":
		if strings.TrimSpace(o.Text) == "" {
			return echo.ErrNoText
		}
		u, err := c.Say(context.WithoutCancel(ctx), o.Text, o.Queue)
		if err != nil {
			return err
		}
		return s.answer("accepted", u.Info())
	case "message":
		return c.Send(ctx, o.Message)
	case "interrupt":
		_ = s.finish(io.EOF) // the utterance is interrupted anyway
		if c.hasKey(o.Key) { // the client has not seen the answer
			return s.answer("interrupted", Interrupted{[]SpokenPart{}})
		}
		receipts, err := c.Interrupt(ctx)
		if err != nil {
			return err
		}
		return s.answer("interrupted", Interrupted{receipts})
	case "pause":
		return c.Pause(ctx)
	case "resume":
		return c.Resume()
	case "listen":
		return s.listen(ctx, &o)
	case "unlisten":
		s.unlisten()
		return nil
	}
	return invalid("type", "it must be %s", namesOf(OrderTypes))
}

// start begins an utterance, or continues the one with the same key. Its audio follows.
func (s *socket) start(ctx context.Context, o *Order) error {
	in := &intake{pipe: newPipe(), from: s}
	s.intake = in
	u, err := s.speak(ctx, o, in)
	if err == nil && u.intake == in {
		return s.answer("accepted", in.info())
	}
	in.utterance = nil
	in.pipe.abort()
	if err != nil {
		return err
	}
	return s.attach(u)
}

// resume continues an utterance whose connection was lost.
func (s *socket) resume(id string) error {
	u, ok := s.conversation.Utterance(id)
	if !ok {
		return errNoUtterance
	}
	return s.attach(u)
}

// attach continues an utterance, if it takes more audio. The answer says how much of it has
// arrived.
func (s *socket) attach(u *Utterance) error {
	isOpen := u.intake != nil && u.intake.claim(s)
	if !isOpen && u.key == "" {
		return invalid("utterance", "this utterance does not wait for audio")
	}
	if !isOpen {
		s.intake = &intake{pipe: newPipe(), from: s}
		s.intake.pipe.abort()
		return s.answer("accepted", u.Info())
	}
	s.intake = u.intake
	return s.answer("accepted", u.intake.info())
}

// speak speaks the audio that an intake takes as a command says. If an utterance has the same
// key, speak returns that one.
func (s *socket) speak(ctx context.Context, o *Order, in *intake) (*Utterance, error) {
	query := url.Values{}
	for name, values := range s.query {
		query[name] = values
	}
	for name, value := range map[string]string{
		"format": o.Format, "name": o.Name, "text": o.Text, "queue": string(o.Queue),
		"rate": number(o.Rate), "channels": number(o.Channels),
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if !query.Has("format") {
		query.Set("format", "s16le")
	}
	audio, err := audioOf(query)
	if err != nil {
		return nil, err
	}
	if err := checkKey("key", o.Key); err != nil {
		return nil, err
	}
	audio.Key, audio.intake, in.perSecond = o.Key, in, bytesPerSecond(audio)
	audio.Body, audio.Abort = in.pipe, in.pipe.abort
	return s.conversation.Speak(context.WithoutCancel(ctx), *audio)
}

// bytesPerSecond returns how many bytes a second of 16-bit samples has, or 0 for other audio.
func bytesPerSecond(a *Audio) int64 {
	in := a.Prepare.Input
	if in == nil || in.Encoding != "s16le" && in.Encoding != "s16be" {
		return 0
	}
	return int64(2 * in.Raw.Rate * in.Raw.Channels)
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// finish ends the utterance that takes audio.
func (s *socket) finish(why error) (err error) {
	if s.intake != nil {
		err = s.intake.end(s, why)
	}
	s.intake = nil
	return err
}

// mark marks the end of the audio so far.
func (s *socket) mark(o *Order) error {
	switch {
	case s.intake == nil || s.intake.utterance == nil:
		return invalid("mark", "no utterance takes audio: send start or audio before, and end after")
	case s.intake.perSecond == 0:
		return invalid("mark", "marks need raw 16-bit samples: in other formats a position in bytes has no time")
	case o.Name == "" || len(o.Name) > longestName:
		return invalid("name", "a mark has a name of at most %d bytes", longestName)
	}
	return s.intake.mark(s, o.Name)
}

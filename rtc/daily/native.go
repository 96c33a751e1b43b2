package daily

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"echocast/internal/lifetime"
)

// Library is Daily's own library, which joins rooms without a browser.
type Library interface {
	// Open creates a client. The client calls event with each event, a JSON object, and
	// sound with the sound that it receives. It calls both from threads of the library,
	// which must not be blocked. Neither function may keep its slice.
	Open(event func(object []byte), sound func(s Sound)) (Client, error)
}

// Client is one participant that is not in a room yet. The calls return at once. Each call
// ends with an event that has the id of the call, a number above 0 that is unique in this
// client:
//
//	{"action":"request-completed","requestId":{"id":7},"requestError":{"msg":"…"}}
type Client interface {
	SetUserName(id uint64, name string)
	// UpdateSubscriptionProfiles takes JSON.
	UpdateSubscriptionProfiles(id uint64, profiles string)
	// Join joins a room. settings is JSON, and token may be empty.
	Join(id uint64, url, token, settings string)
	// SendAppMessage sends a JSON object to a participant, or to all.
	SendAppMessage(id uint64, message, to string)
	// SetParticipantAudioRenderer asks for the audio of a participant's microphone. Its
	// Sounds carry the number renderer.
	SetParticipantAudioRenderer(id, renderer uint64, participant string, rate uint32)
	Leave(id uint64)
	// Participants returns a JSON object with everyone in the room, by session id, and with
	// this client as "local".
	Participants() []byte
	// Close frees the client. After it has returned, no more events arrive, and other
	// calls do nothing.
	Close()
}

// Sound is a piece of a participant's audio.
type Sound struct {
	Renderer uint64
	Rate     int // Hz
	Channels int
	PCM      []byte // interleaved samples of 16 bits in the byte order of the machine
}

// PayloadL16 is the payload type of packets with samples instead of Opus. RTP assigns this
// fixed number to such samples, so no room uses it for Opus.
const PayloadL16 = 11

// opusRate is the clock rate of Opus in Hz. All packets have timestamps at this rate.
const opusRate = 48000

// sendWindow is how many messages the library may hold. It is not documented when the
// library completes a call: if that takes a round trip to Daily, one message at a time
// would be too slow for speech.
const sendWindow = 16

// sentMessage is a message that was passed to the library.
type sentMessage struct {
	id   uint64
	text string
}

// Media settings for the library. It publishes nothing, and subscribes only to the sound
// that is asked for.
const (
	noInputs   = `{"inputs":{"camera":false,"microphone":false}}`
	noTracks   = `{"base":{"camera":"unsubscribed","microphone":"unsubscribed"}}`
	soundTrack = `{"base":{"camera":"unsubscribed","microphone":"subscribed"}}`
)

// native is the transport that uses Daily's library.
type native struct {
	client Client
	rate   int           // Hz, of what it hears
	limit  int           // bytes of a message
	window chan struct{} // a slot for each message that is being sent
	handle func(transport, frame)

	mu          sync.Mutex
	calls       map[uint64]chan error // calls that wait to be completed
	sent        []sentMessage         // messages not completed yet, in order
	refused     error                 // of a message; the next Send returns it
	last        uint64                // the id of the last call
	isLeaving   bool
	hasEntered  bool           // the participants were reported
	earlyEvents []libraryEvent // events that came before hasEntered
	audio       *Audio         // the current listener, or nil
	renderer    uint64         // the number of its renderer
	packets     packets

	*lifetime.Lifetime
}

// libraryEvent has the fields of a library event that this package uses.
type libraryEvent struct {
	Action       string             `json:"action"`
	RequestID    requestID          `json:"requestId"`
	RequestError *requestError      `json:"requestError"`
	From         string             `json:"from"`
	Data         json.RawMessage    `json:"msgData"`
	Participant  libraryParticipant `json:"participant"`
	LeftReason   string             `json:"leftReason"`
	State        string             `json:"state"`
	Message      string             `json:"message"`
}

// libraryEvents are the events that this package uses.
var libraryEvents = []string{"request-completed", "app-message", "participant-joined", "participant-left",
	"call-state-updated", "error"}

type requestID struct {
	ID uint64 `json:"id"`
}

type requestError struct {
	Message string `json:"msg"`
}

type libraryParticipant struct {
	ID   string `json:"id"`
	Info struct {
		UserID   string `json:"userId"`
		UserName string `json:"userName"`
		Local    bool   `json:"isLocal"`
	} `json:"info"`
}

func (p *libraryParticipant) participant() participant {
	return participant{SessionID: p.ID, UserID: p.Info.UserID, UserName: p.Info.UserName}
}

// openNative creates a client. It calls handle for each event, one at a time.
func openNative(o *Options, handle func(transport, frame)) (*native, error) {
	n := &native{
		rate: o.SoundRate, limit: o.MaxMessage, window: make(chan struct{}, sendWindow),
		handle: handle, calls: make(map[uint64]chan error), Lifetime: lifetime.New(),
	}
	client, err := o.Library.Open(n.event, n.sound)
	if err != nil {
		return nil, err
	}
	n.client = client
	return n, nil
}

// call makes one call of the client, and waits until it is completed.
func (n *native) call(ctx context.Context, do func(id uint64)) error {
	completed := make(chan error, 1)
	n.mu.Lock()
	n.last++
	id := n.last
	n.calls[id] = completed
	n.mu.Unlock()
	do(id)
	select {
	case err := <-completed:
		return err
	case <-n.Ended():
		return n.Cause()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// callSoon is call for calls that need no network.
func (n *native) callSoon(do func(id uint64)) error {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	err := n.call(ctx, do)
	if ctx.Err() != nil {
		return n.End(fmt.Errorf("%w: Daily's library has not answered within %v", ErrLost, answerTimeout))
	}
	return err
}

func (n *native) join(ctx context.Context, as *joinParams) (limit int, err error) {
	if err := n.callSoon(func(id uint64) { n.client.SetUserName(id, as.userName) }); err != nil {
		return 0, err
	}
	if err := n.callSoon(func(id uint64) { n.client.UpdateSubscriptionProfiles(id, noTracks) }); err != nil {
		return 0, err
	}
	if err := n.call(ctx, func(id uint64) { n.client.Join(id, as.address, as.token, noInputs) }); err != nil {
		if r, ok := err.(*reason); ok {
			r.Type = "join" // the library does not report a type
		}
		return 0, err
	}
	n.enter(n.client.Participants())
	return 0, nil
}

// enter reports who is in the room, from the list and from the events that arrived
// meanwhile, and then reports the other events. The list is fetched without the lock,
// because the library may first wait for an event callback to return.
func (n *native) enter(list []byte) {
	there := map[string]libraryParticipant{}
	_ = json.Unmarshal(list, &there) // without a list, nobody is there
	n.mu.Lock()
	defer n.mu.Unlock()
	people := []participant{}
	gone := map[string]bool{}
	for _, e := range n.earlyEvents {
		gone[e.Participant.ID] = e.Action == "participant-left" && e.LeftReason != "hidden"
	}
	for _, p := range there {
		if !p.Info.Local && !gone[p.ID] {
			people = append(people, p.participant())
		}
	}
	n.handle(n, frame{Event: "people", People: people})
	for _, e := range n.earlyEvents {
		n.deliver(e)
	}
	n.earlyEvents, n.hasEntered = nil, true
}

// event handles an event of the library. Unknown events may have other fields, so they
// are not parsed.
func (n *native) event(object []byte) {
	var e libraryEvent
	var kind struct{ Action string }
	if err := json.Unmarshal(object, &kind); err == nil && !slices.Contains(libraryEvents, kind.Action) {
		return
	}
	if err := json.Unmarshal(object, &e); err != nil {
		n.End(fmt.Errorf("%w: Daily's library says %.60q", ErrLost, object))
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case e.Action == "request-completed":
		n.complete(e)
	case n.hasEntered:
		n.deliver(e)
	default:
		n.earlyEvents = append(n.earlyEvents, e)
	}
}

// complete passes the outcome of a call to its waiter. The caller holds the lock.
func (n *native) complete(e libraryEvent) {
	waiting, found := n.calls[e.RequestID.ID]
	if !found {
		n.completeSent(e)
		return
	}
	delete(n.calls, e.RequestID.ID)
	if e.RequestError != nil {
		waiting <- &reason{Message: e.RequestError.Message}
		return
	}
	waiting <- nil
}

// completeSent removes a message from those that are being sent. The caller holds the lock.
func (n *native) completeSent(e libraryEvent) {
	i := slices.IndexFunc(n.sent, func(m sentMessage) bool { return m.id == e.RequestID.ID })
	if i < 0 {
		return
	}
	n.sent = slices.Delete(n.sent, i, i+1)
	<-n.window
	if e.RequestError != nil {
		n.refused = &reason{Message: e.RequestError.Message}
	}
}

// deliver passes on an event of the room. The caller holds the lock.
func (n *native) deliver(e libraryEvent) {
	switch e.Action {
	case "app-message":
		n.handle(n, frame{Event: "message", From: e.From, Data: e.Data})
	case "participant-joined":
		if !e.Participant.Info.Local {
			n.handle(n, frame{Event: "joined", Person: e.Participant.participant()})
		}
	case "participant-left":
		if e.LeftReason == "hidden" {
			return // it is still there
		}
		n.handle(n, frame{Event: "left", Person: e.Participant.participant()})
	case "call-state-updated":
		if e.State == "left" && !n.isLeaving {
			n.handle(n, frame{Event: "over"})
		}
	case "error":
		n.handle(n, frame{Event: "over", Error: &reason{Type: errorType(e.Message), Message: e.Message}})
	}
}

// errorType returns the type of a library error. The library reports errors only as text.
// Unless the participant was ejected, joining again may help.
func errorType(message string) string {
	if strings.Contains(strings.ToLower(message), "eject") {
		return "ejected"
	}
	return connectionError
}

// send passes a message to the library. If the library refuses the message, the next send,
// or leave, reports that.
func (n *native) send(ctx context.Context, to string, msg []byte) error {
	if len(msg) > n.limit {
		return fmt.Errorf("%w: %d bytes, the room takes %d", ErrTooLarge, len(msg), n.limit)
	}
	if err := n.takeSlot(ctx); err != nil {
		return err
	}
	text := string(msg)
	n.mu.Lock()
	if err := n.refusal(); err != nil {
		n.mu.Unlock()
		<-n.window
		return err
	}
	n.last++
	id := n.last
	n.sent = append(n.sent, sentMessage{id, text})
	n.mu.Unlock()
	if to == everyone {
		to = ""
	}
	n.client.SendAppMessage(id, text, to)
	return nil
}

// takeSlot waits until the library can hold another message.
func (n *native) takeSlot(ctx context.Context) error {
	deadline := time.NewTimer(answerTimeout)
	defer deadline.Stop()
	select {
	case <-n.Ended():
		return n.Cause()
	default:
	}
	select {
	case n.window <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-n.Ended():
	case <-deadline.C:
		n.End(fmt.Errorf("%w: Daily's library has sent nothing within %v", ErrLost, answerTimeout))
	}
	return n.Cause()
}

// refusal returns, once, why a message was refused. The caller holds the lock.
func (n *native) refusal() error {
	err := n.refused
	n.refused = nil
	return err
}

// unsent returns the messages that may not have been sent.
func (n *native) unsent() (messages [][]byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, m := range n.sent {
		messages = append(messages, []byte(m.text))
	}
	return messages
}

// flush waits until every message is sent.
func (n *native) flush(ctx context.Context) error {
	for range cap(n.window) {
		select {
		case n.window <- struct{}{}:
		case <-n.Ended():
			return n.Cause()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.refusal()
}

func (n *native) listen(ctx context.Context, session string, a *Audio) error {
	renderer := n.use(a)
	if err := n.call(ctx, func(id uint64) { n.client.UpdateSubscriptionProfiles(id, soundTrack) }); err != nil {
		return err
	}
	return n.call(ctx, func(id uint64) { n.client.SetParticipantAudioRenderer(id, renderer, session, uint32(n.rate)) })
}

// use makes an Audio the listener and ends the previous one. It returns the number of the
// new renderer.
func (n *native) use(a *Audio) (renderer uint64) {
	n.mu.Lock()
	last := n.audio
	n.renderer++
	n.audio, n.packets, renderer = a, packets{start: time.Now(), source: uint32(n.renderer)}, n.renderer
	n.mu.Unlock()
	if last != nil {
		_ = last.Close()
	}
	return renderer
}

// sound receives a piece of a participant's audio.
func (n *native) sound(s Sound) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.audio != nil && s.Renderer == n.renderer && s.Rate == n.rate && s.Channels > 0 {
		n.audio.put(n.packets.next(s, time.Now()))
	}
}

func (n *native) leave(ctx context.Context) error {
	flushed := n.flush(ctx)
	n.mu.Lock()
	n.isLeaving = true
	n.mu.Unlock()
	if err := n.call(ctx, n.client.Leave); err != nil {
		return err
	}
	return flushed
}

// close leaves the room if leave was not called, and frees the client. The library requires
// that order.
func (n *native) close() {
	n.mu.Lock()
	left := n.isLeaving
	n.mu.Unlock()
	if !left {
		ctx, cancel := context.WithTimeout(context.Background(), linkCloseTimeout)
		_ = n.leave(ctx)
		cancel()
	}
	n.use(nil)
	n.End(fmt.Errorf("%w: the room was left", ErrLost)) // nothing can be completed after this
	n.client.Close()
}

package openai

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"echocast/internal/pcm"
	"echocast/playout"
)

// Voice speaks the audio of one Realtime session through a replica. Call HandleServiceEvent
// with each event of the service. When the user interrupts, the Voice tells the service how
// much was heard. Each part of audio is an utterance.
type Voice struct {
	options VoiceOptions
	prefix  string // prefix of the ids of our own events

	mu      sync.Mutex
	player  *playout.Player
	running sync.WaitGroup
	stop    context.CancelCauseFunc
	ctx     context.Context //nolint:containedctx // of the session
	format  format
	keeps   bool   // the service does not stop for the user's speech
	answers string // the response that is being made; empty: none
	cutOff  string // the last response that the user interrupted
	parts   []*part
	events  int   // number of our own events so far
	failed  error // why nothing is spoken any more
}

// VoiceOptions say who speaks.
type VoiceOptions struct {
	Speaker     playout.Speaker
	SpeakerRate int // Hz that it takes; 0: echo.DefaultRate
	// Send sends an event to the service. It must not block.
	Send func(event []byte)
	// OnHeard, if it is set, is called with each utterance that has ended.
	OnHeard func(playout.Heard)
	// OnFailed, if it is set, is called once, when the replica can no longer speak.
	OnFailed func(error)
}

// part is the audio of one content part of an item.
type part struct {
	response    string
	item        string
	index       int
	from, to    int64 // positions in the stream
	isDone      bool  // all of its audio has arrived
	isEnded     bool  // its utterance was ended
	isTruncated bool  // the service knows how much was heard
}

// format is the encoding of audio.
type format struct {
	rate   int
	decode func(data []byte) []int16
}

// NewVoice begins a session. Close ends it.
func NewVoice(ctx context.Context, o VoiceOptions) *Voice {
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	v := &Voice{options: o, prefix: "echocast_" + hex.EncodeToString(random[:]) + "_", format: format{24000, pcm.Samples}}
	v.ctx, v.stop = context.WithCancelCause(ctx)
	return v
}

// errUnfinished says that the session ended in the middle of a part.
var errUnfinished = errors.New("the session ended before the answer did")

// Drain waits until everything that arrived was heard or dropped, or the context of the Voice
// has ended.
func (v *Voice) Drain() {
	v.mu.Lock()
	for _, p := range v.parts {
		if p.isDone {
			v.endPart(p, nil)
		} else {
			v.endPart(p, errUnfinished)
		}
	}
	player := v.player
	v.mu.Unlock()
	if player != nil {
		_ = player.Drain(v.ctx) // the caller asked for its end
	}
}

// Close ends what is spoken, and waits for its end.
func (v *Voice) Close() {
	v.stop(nil)
	v.running.Wait()
}

// serverEvent has the fields of the service's events that matter here.
type serverEvent struct {
	Type       string  `json:"type"`
	ResponseID string  `json:"response_id"`
	ItemID     string  `json:"item_id"`
	Content    int     `json:"content_index"`
	Delta      []byte  `json:"delta"` // base64
	Session    session `json:"session"`
	Item       struct {
		ID     string `json:"id"`
		Status string `json:"status"`
	} `json:"item"`
	Response Response `json:"response"`
	Error    struct {
		EventID string `json:"event_id"`
	} `json:"error"`
}

// Response reports how a response of the service has ended, from the event response.done.
type Response struct {
	ID      string `json:"id"`
	Status  string `json:"status"` // completed, cancelled, failed or incomplete
	Details struct {
		Reason string `json:"reason"`
		Error  struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	} `json:"status_details"`
}

// Problem returns why a response is incomplete, or nil if it is complete. It is nil too for
// servers that send no status.
func (r *Response) Problem() error {
	if r.Status == "" || r.Status == "completed" {
		return nil
	}
	why := cmp.Or(r.Details.Error.Message, r.Details.Reason, r.Details.Error.Code, "no reason given")
	return fmt.Errorf("the response is %s: %s", r.Status, why)
}

// session holds the formats and the turn detection of a session, by their current and their
// earlier names.
type session struct {
	Audio struct {
		Input struct {
			TurnDetection *turnDetection `json:"turn_detection"`
		} `json:"input"`
		Output struct {
			Format struct {
				Type string `json:"type"`
				Rate int    `json:"rate"`
			} `json:"format"`
		} `json:"output"`
	} `json:"audio"`
	OutputFormat  string         `json:"output_audio_format"`
	TurnDetection *turnDetection `json:"turn_detection"`
}

type turnDetection struct {
	InterruptResponse *bool `json:"interrupt_response"`
}

// isAudioDelta reports whether events of a type carry audio.
func isAudioDelta(kind string) bool {
	return kind == "response.output_audio.delta" || kind == "response.audio.delta"
}

// matters lists the events that a Voice parses. In others the same fields may have another
// meaning: a delta of text is not base64.
var matters = []string{
	"error", "session.created", "session.updated", "response.created", "response.done", "response.output_audio.delta",
	"response.audio.delta", "response.output_audio.done", "response.audio.done",
	"response.output_item.done", "input_audio_buffer.speech_started",
}

// HandleServiceEvent speaks, ends or interrupts, as an event of the service asks for. It
// reports whether the event is an error about one of the Voice's own events: the client does
// not know those, and must not get the error.
func (v *Voice) HandleServiceEvent(event []byte) (isOurs bool) {
	var head struct {
		Type string `json:"type"`
	}
	var e serverEvent
	if json.Unmarshal(event, &head) != nil || !slices.Contains(matters, head.Type) || json.Unmarshal(event, &e) != nil {
		return false
	}
	switch e.Type {
	case "error":
		return strings.HasPrefix(e.Error.EventID, v.prefix)
	case "session.created", "session.updated":
		v.configure(&e.Session)
	case "response.created":
		v.setAnswers(e.Response.ID)
	case "response.output_audio.delta", "response.audio.delta":
		v.add(&e)
	case "response.output_audio.done", "response.audio.done":
		v.setDone(e.ItemID, e.Content)
	case "response.output_item.done":
		if e.Item.Status == "completed" {
			v.endParts(func(p *part) bool { return p.item == e.Item.ID }, nil)
		}
	case "response.done":
		v.setAnswers("")
		v.endParts(func(p *part) bool { return p.response == e.Response.ID }, e.Response.Problem())
	case "input_audio_buffer.speech_started":
		if !v.keepsSpeaking() {
			v.Cut()
		}
	}
	return false
}

// configure records how audio is encoded, and whether the user's speech stops a response.
func (v *Voice) configure(s *session) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.keeps = false
	for _, t := range []*turnDetection{s.TurnDetection, s.Audio.Input.TurnDetection} {
		if t != nil && t.InterruptResponse != nil {
			v.keeps = !*t.InterruptResponse
		}
	}
	if v.player != nil {
		return // it can no longer change
	}
	kind := s.Audio.Output.Format.Type
	switch {
	case kind == "audio/pcmu" || s.OutputFormat == "g711_ulaw":
		v.format = format{8000, decoded(pcm.DecodeMuLaw)}
	case kind == "audio/pcma" || s.OutputFormat == "g711_alaw":
		v.format = format{8000, decoded(pcm.DecodeALaw)}
	case kind == "audio/pcm" && s.Audio.Output.Format.Rate > 0:
		v.format = format{s.Audio.Output.Format.Rate, pcm.Samples}
	default:
		v.format = format{24000, pcm.Samples}
	}
}

func (v *Voice) setAnswers(response string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answers = response
}

func (v *Voice) keepsSpeaking() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.keeps
}

// add speaks a piece of audio.
func (v *Voice) add(e *serverEvent) {
	v.mu.Lock()
	defer v.mu.Unlock()
	p := v.part(e.ItemID, e.Content)
	p.response = e.ResponseID
	switch {
	case p.isTruncated, p.isDone, v.failed != nil: // it was on its way when the user interrupted
		return
	case p.response != "" && p.response == v.cutOff && p.to == p.from:
		v.truncatePart(p, 0)
		return
	}
	if err := v.open(); err != nil {
		v.fail(err)
		return
	}
	to, err := v.player.Add(v.format.decode(e.Delta))
	if err != nil {
		v.fail(err)
		return
	}
	p.to = to
}

// open creates the player for the first audio: its format is known by then. The Voice is
// locked.
func (v *Voice) open() (err error) {
	if v.player != nil {
		return nil
	}
	v.player, err = playout.New(v.options.Speaker, playout.Options{
		Rate: v.format.rate, SpeakerRate: v.options.SpeakerRate, Idle: -1, Name: "OpenAI Realtime", OnHeard: v.heard,
	})
	if err != nil {
		return err
	}
	v.running.Go(func() {
		if err := v.player.Run(v.ctx); v.ctx.Err() == nil {
			v.mu.Lock()
			defer v.mu.Unlock()
			v.fail(err)
		}
	})
	return nil
}

// fail records that nothing is spoken any more. The Voice is locked.
func (v *Voice) fail(err error) {
	if v.failed == nil {
		v.failed = err
		if v.options.OnFailed != nil {
			v.options.OnFailed(err)
		}
	}
}

// part finds a part, or appends it. The Voice is locked.
func (v *Voice) part(item string, index int) *part {
	for _, p := range v.parts {
		if p.item == item && p.index == index {
			return p
		}
	}
	end := int64(0)
	if n := len(v.parts); n > 0 {
		end = v.parts[n-1].to
	}
	for _, p := range v.parts { // what follows is another utterance
		v.endPart(p, nil)
	}
	if len(v.parts) == maxParts {
		v.parts = slices.Delete(v.parts, 0, 1)
	}
	p := &part{item: item, index: index, from: end, to: end}
	v.parts = append(v.parts, p)
	return p
}

// maxParts limits the parts that are remembered.
const maxParts = 100

// setDone records that a part has all its audio. The service also says so for audio that it
// has cut short, so the utterance continues until the item or the response says how it ended.
func (v *Voice) setDone(item string, index int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.part(item, index).isDone = true
}

// endParts ends the utterances of some parts. err says why they are incomplete.
func (v *Voice) endParts(are func(*part) bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.parts {
		if are(p) {
			v.endPart(p, err)
		}
	}
}

// endPart ends the utterance of a part. err says why it is incomplete. The Voice is locked.
func (v *Voice) endPart(p *part, err error) {
	if p.isEnded {
		return
	}
	p.isDone, p.isEnded = true, true
	switch {
	case v.player == nil || p.isTruncated:
	case err != nil:
		v.player.Break(err)
	default:
		v.player.End()
	}
}

// Cut interrupts the replica because the user began to speak, and tells the service how much
// was heard as soon as that is known.
func (v *Voice) Cut() {
	v.mu.Lock()
	v.cutOff = cmp.Or(v.answers, v.cutOff)
	for _, p := range v.parts {
		p.isDone, p.isEnded = true, true
	}
	player := v.player
	v.mu.Unlock()
	if player == nil {
		return
	}
	if heard, end, isSpeaking := player.Clear(); !isSpeaking {
		v.truncate(heard, end)
	}
}

// Cancel asks the service to stop its current response, if there is one.
func (v *Voice) Cancel() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.answers != "" {
		v.send(map[string]any{"type": "response.cancel"})
	}
}

// heard handles an utterance that has ended. The player calls it.
func (v *Voice) heard(h playout.Heard) {
	if h.Heard < h.End {
		v.truncate(h.Heard, h.End)
	}
	if v.options.OnHeard != nil {
		v.options.OnHeard(h)
	}
}

// truncate tells the service what was heard of the parts between two positions.
func (v *Voice) truncate(heard, end int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, p := range v.parts {
		if !p.isTruncated && p.to > heard && p.from < end {
			v.truncatePart(p, max(heard-p.from, 0))
		}
	}
}

// truncatePart tells the service how many samples of a part were heard. The Voice is
// locked.
func (v *Voice) truncatePart(p *part, heard int64) {
	p.isTruncated = true
	v.send(map[string]any{
		"type": "conversation.item.truncate", "item_id": p.item, "content_index": p.index,
		"audio_end_ms": heard * 1000 / int64(v.format.rate),
	})
}

// send sends an event of our own. The Voice is locked.
func (v *Voice) send(event map[string]any) {
	v.events++
	event["event_id"] = fmt.Sprint(v.prefix, v.events)
	data, _ := json.Marshal(event) // strings and numbers
	v.options.Send(data)
}

// HandleClientEvent interrupts the replica if an event of the client cancels the response, or
// truncates or clears its audio.
func (v *Voice) HandleClientEvent(event []byte) {
	var e struct {
		Type    string `json:"type"`
		ItemID  string `json:"item_id"`
		Content int    `json:"content_index"`
	}
	if json.Unmarshal(event, &e) != nil {
		return
	}
	switch e.Type {
	case "conversation.item.truncate": // the client knows better what should count as heard
		v.mu.Lock()
		v.part(e.ItemID, e.Content).isTruncated = true
		v.mu.Unlock()
		v.Cut()
	case "response.cancel", "output_audio_buffer.clear":
		v.Cut()
	}
}

// decoded returns a decoder of one-byte samples.
func decoded(decode func(byte) int16) func(data []byte) []int16 {
	return func(data []byte) []int16 { return pcm.Decode(data, decode) }
}

package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"echocast/audio"
	"echocast/echo"
	"echocast/internal/timings"
)

// SpeakInput is the input of the tool speak.
type SpeakInput struct {
	Path   string `json:"path" jsonschema:"the audio file to speak"`
	NoWait bool   `json:"no_wait,omitempty" jsonschema:"return as soon as the utterance is accepted; ask heard for its receipt"`
}

// SayInput is the input of the tool say.
type SayInput struct {
	Text   string `json:"text" jsonschema:"the words to say"`
	NoWait bool   `json:"no_wait,omitempty" jsonschema:"return as soon as the utterance is accepted; ask heard for its receipt"`
}

// SpokenOutput is the output of the tools speak and say.
type SpokenOutput struct {
	// Receipt is the receipt of the utterance. It is nil with NoWait.
	Receipt *echo.Receipt `json:"receipt,omitempty"`
	Summary string        `json:"summary"`
}

// InterruptInput is the empty input of the tool interrupt.
type InterruptInput struct{}

// ListenInput is the input of the tool listen.
type ListenInput struct {
	Cursor  int     `json:"cursor,omitempty" jsonschema:"the cursor that the last call returned; 0 for all that is kept"`
	Seconds float64 `json:"seconds,omitempty" jsonschema:"wait at most so long for the first event; 0: do not wait; at most 50"`
}

// ListenOutput is the output of the tool listen.
type ListenOutput struct {
	Events []any  `json:"events"`           // as echocast listen prints them
	Cursor int    `json:"cursor"`           // for the next call
	Missed int    `json:"missed,omitempty"` // number of old events that were dropped
	Ended  string `json:"ended,omitempty"`  // why there are no more events
}

// HeardInput is the input of the tool heard.
type HeardInput struct {
	Last int `json:"last,omitempty" jsonschema:"how many receipts to return; 0 for all that are kept"`
}

// HeardOutput is the output of the tools heard and interrupt.
type HeardOutput struct {
	State    echo.State     `json:"state"`
	Waiting  int            `json:"waiting"` // utterances that wait to be spoken
	Receipts []echo.Receipt `json:"receipts"`
}

// speak opens the file before it queues the utterance, so that it can refuse an unreadable
// file at once.
func (s *Server) speak(ctx context.Context, _ *sdk.CallToolRequest, in SpeakInput) (*sdk.CallToolResult,
	SpokenOutput, error) {
	file, err := os.Open(in.Path)
	if err != nil {
		return nil, SpokenOutput{}, err
	}
	samples, err := audio.Prepare(ctx, file, &audio.PrepareOptions{MaxDuration: maxDuration})
	if err != nil {
		_ = file.Close() // it was only read
		return nil, SpokenOutput{}, fmt.Errorf("%s: %w", in.Path, err)
	}
	return s.speakJob(ctx, in.NoWait, &job{
		speak: func(ctx context.Context) (echo.Receipt, error) {
			words := func() []echo.WordTiming { return timings.Of(samples.Words(), 0) }
			return s.session.Speak(ctx, echo.Speech{
				Samples: samples, Name: in.Path, MoreWords: words, Abort: func() { _ = file.Close() },
			})
		},
		free: func() {
			_ = file.Close() // first, because a decoder may be blocked reading it
			_ = samples.Close()
		},
	})
}

func (s *Server) say(ctx context.Context, _ *sdk.CallToolRequest, in SayInput) (*sdk.CallToolResult,
	SpokenOutput, error) {
	if strings.TrimSpace(in.Text) == "" {
		return nil, SpokenOutput{}, echo.ErrNoText
	}
	return s.speakJob(ctx, in.NoWait, &job{
		speak: func(ctx context.Context) (echo.Receipt, error) { return s.session.Say(ctx, echo.Words(in.Text)) },
		free:  func() {},
	})
}

// job is one utterance to speak.
type job struct {
	speak func(context.Context) (echo.Receipt, error)
	free  func() // called when it has ended or was refused
}

// speakJob speaks one utterance. It waits for its end unless noWait is set. The utterance
// ends when the server closes and, unless noWait is set, when the call ends.
func (s *Server) speakJob(ctx context.Context, noWait bool, j *job) (*sdk.CallToolResult, SpokenOutput, error) {
	bound, cancel := context.WithCancelCause(s.ctx)
	over, err := s.begin(cancel)
	if err != nil {
		cancel(nil)
		j.free()
		return nil, SpokenOutput{}, err
	}
	var receipt echo.Receipt
	var failed error
	go func() { // Close waits for end
		defer cancel(nil)
		receipt, failed = j.speak(bound)
		j.free()
		s.end(over, receipt)
	}()
	if noWait {
		return nil, SpokenOutput{Summary: "accepted; heard returns the receipt once it is over"}, nil
	}
	defer context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })()
	<-over
	if failed != nil && receipt.Outcome != echo.Interrupted {
		return nil, SpokenOutput{}, failed
	}
	return nil, SpokenOutput{Receipt: &receipt, Summary: summary(receipt)}, nil // an interrupt is no error
}

// begin registers an utterance, which cancel ends. end closes the returned channel.
func (s *Server) begin(cancel context.CancelCauseFunc) (over chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosed {
		return nil, echo.ErrClosed
	}
	if len(s.active) >= maxSpeaking {
		return nil, fmt.Errorf("%d utterances wait already; interrupt them, or wait until they are heard", maxSpeaking)
	}
	over = make(chan struct{})
	s.active[over] = cancel
	s.running.Add(1)
	return over, nil
}

// end stores the receipt of an utterance for the tool heard, and unregisters the utterance.
func (s *Server) end(over chan struct{}, receipt echo.Receipt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.running.Done()
	s.receipts = append(s.receipts, receipt)
	s.receipts = s.receipts[max(0, len(s.receipts)-maxReceipts):]
	delete(s.active, over)
	close(over)
}

// summary describes a receipt in one sentence.
func summary(r echo.Receipt) string {
	return fmt.Sprintf("%s: %.3f s heard (known by %s)", r.Outcome, r.SpokenSeconds, r.SpokenBy)
}

func (s *Server) interrupt(ctx context.Context, _ *sdk.CallToolRequest, _ InterruptInput) (*sdk.CallToolResult,
	HeardOutput, error) {
	s.mu.Lock()
	active := maps.Clone(s.active)
	s.mu.Unlock()
	for _, cancel := range active { // also those that the session does not know yet
		cancel(echo.ErrStopped)
	}
	if err := s.session.Interrupt(ctx, nil); err != nil {
		return nil, HeardOutput{}, err
	}
	for over := range active { // their sources end soon
		select {
		case <-over:
		case <-ctx.Done():
			return nil, HeardOutput{}, context.Cause(ctx)
		}
	}
	return nil, s.state(len(active)), nil
}

func (s *Server) heard(_ context.Context, _ *sdk.CallToolRequest, in HeardInput) (*sdk.CallToolResult,
	HeardOutput, error) {
	if in.Last < 0 {
		return nil, HeardOutput{}, errors.New("last must not be negative")
	}
	last := in.Last
	if last == 0 {
		last = maxReceipts
	}
	return nil, s.state(last), nil
}

// state returns the state of the replica and the latest receipts.
func (s *Server) state(last int) HeardOutput {
	progress := s.session.Progress()
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := s.receipts[max(0, len(s.receipts)-last):]
	return HeardOutput{State: progress.State, Waiting: progress.Waiting, Receipts: append([]echo.Receipt{}, kept...)}
}

func (s *Server) listen(ctx context.Context, _ *sdk.CallToolRequest, in ListenInput) (*sdk.CallToolResult,
	ListenOutput, error) {
	wait := time.Duration(in.Seconds * float64(time.Second))
	if in.Cursor < 0 || wait < 0 || wait > maxListen {
		return nil, ListenOutput{}, fmt.Errorf("cursor must not be negative, and seconds are 0 to %g", maxListen.Seconds())
	}
	limit := time.NewTimer(wait)
	defer limit.Stop()
	for expired := wait == 0; ; {
		out, due, changed, err := s.since(in.Cursor)
		if err != nil || len(out.Events) > 0 || out.Ended != "" || expired {
			return nil, out, err
		}
		select {
		case <-changed:
		case <-due:
		case <-limit.C:
			expired = true
		case <-ctx.Done():
			return nil, out, context.Cause(ctx)
		}
	}
}

// since returns the events from a cursor on. If there are none, it also returns channels to
// wait for. due fires when an event was held back long enough.
func (s *Server) since(cursor int) (out ListenOutput, due <-chan time.Time, changed <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.sort(now)
	if at, held := s.order.Due(); held {
		due = time.After(at.Sub(now))
	}
	end := s.first + len(s.events)
	from := min(max(cursor, s.first), end)
	out = ListenOutput{Events: []any{}, Cursor: end, Missed: max(s.first-cursor, 0)}
	for _, event := range s.events[from-s.first:] {
		text, err := json.Marshal(event)
		if err != nil {
			return out, nil, nil, fmt.Errorf("mcp: event %s: %w", event.Type, err)
		}
		out.Events = append(out.Events, json.RawMessage(text))
	}
	if s.ended != nil {
		out.Ended = s.ended.Error()
	}
	return out, due, s.changed, nil
}

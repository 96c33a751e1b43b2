package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"echocast/echo"
)

// Tracer makes spans of what a gateway does, for a service that collects traces: of each
// conversation, utterance, upload and interrupt. Spans hold ids, counts, times and words
// such as finished; no audio, no text, no names, no addresses. Its methods may be called
// from any goroutine.
type Tracer interface {
	// Join returns ctx with the span that the headers of a request name (W3C Trace
	// Context), below which others are started.
	Join(ctx context.Context, header http.Header) context.Context
	// Below returns ctx with the span of parent, if ctx has none of its own.
	Below(ctx, parent context.Context) context.Context
	// Start starts a span below that of ctx, and returns ctx with it.
	Start(ctx context.Context, name string, attributes ...slog.Attr) (context.Context, Span)
}

// Span is one thing that takes time.
type Span interface {
	// Event adds what happened meanwhile.
	Event(at time.Time, name string)
	// End ends it. failure is the word for why it failed (Problem.Kind); empty: it did
	// not.
	End(failure string, attributes ...slog.Attr)
}

// noTracer makes no spans.
type noTracer struct{}

func (noTracer) Join(ctx context.Context, _ http.Header) context.Context { return ctx }

func (noTracer) Below(ctx, _ context.Context) context.Context { return ctx }

func (noTracer) Start(ctx context.Context, _ string, _ ...slog.Attr) (context.Context, Span) {
	return ctx, noSpan{}
}

type noSpan struct{}

func (noSpan) Event(time.Time, string)  {}
func (noSpan) End(string, ...slog.Attr) {}

// failureOf is the word for an error in spans; empty for none, and for what somebody
// wanted.
func failureOf(err error) string {
	if err == nil || isOrdinary(err) || isInterrupt(err) {
		return ""
	}
	return problemOf(err).Kind
}

// traceSent keeps when the first chunk of an utterance was sent, and tells of its last.
func (c *Conversation) traceSent(m *echo.Moment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.queue[0]
	if m.Position == 0 {
		u.begun = m.At
	}
	if m.Last {
		u.span.Event(m.At, "sent")
	}
}

// traceHeard tells when the replica began to speak an utterance, or a part of one, and that
// it was heard to its end. The conversation is locked.
func (u *Utterance) traceHeard(r *echo.Receipt) {
	if r.FirstAudioSeconds >= 0 && !u.begun.IsZero() {
		u.span.Event(u.begun.Add(seconds(r.FirstAudioSeconds)), "first_audio")
	}
	if r.Outcome == echo.Finished {
		u.span.Event(time.Now(), "heard")
	}
}

// endSpan ends the span of an utterance, which is over.
func (u *Utterance) endSpan() {
	r := &u.receipt
	u.span.End(failureOf(u.err), slog.String("outcome", string(r.Outcome)), slog.Int64("samples", r.Samples),
		slog.Int64("heard_samples", r.HeardSamples), slog.Float64("first_audio_seconds", r.FirstAudioSeconds),
		slog.Float64("spoken_seconds", r.SpokenSeconds), slog.Int("underruns", r.Underruns))
}

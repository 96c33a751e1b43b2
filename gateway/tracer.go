package gateway

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"echocast/echo"
)

// Tracer makes spans of what a gateway does, for a collector of traces: of each conversation,
// utterance, upload and interrupt. Spans hold ids, counts, times and words such as finished;
// no audio, no text, no names, no addresses. Its methods may be called from any goroutine.
type Tracer interface {
	// Join returns ctx with the span that the headers of a request name (W3C Trace Context).
	// Spans that are started with it are children of that span.
	Join(ctx context.Context, header http.Header) context.Context
	// Below returns ctx with the span of parent, unless ctx already has a span.
	Below(ctx, parent context.Context) context.Context
	// Start starts a child of the span of ctx, and returns ctx with it.
	Start(ctx context.Context, name string, attributes ...slog.Attr) (context.Context, Span)
}

// Span is the span of one operation.
type Span interface {
	// Event adds something that happened during the operation.
	Event(at time.Time, name string)
	// End ends the span. failure is the word for why the operation failed (Problem.Kind), or
	// empty if it did not.
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

// failureOf returns the word for an error in spans. It is empty for no error, and for one that
// somebody asked for.
func failureOf(err error) string {
	if err == nil || isExpectedEnd(err) || isInterrupt(err) {
		return ""
	}
	return problemOf(err).Kind
}

// traceSent records when the first chunk of an utterance was sent, and adds an event when the
// last was.
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

// traceHeard adds events for when the replica began to speak an utterance or a part of one,
// and that it was heard in full. The conversation is locked.
func (u *Utterance) traceHeard(r *echo.Receipt) {
	if r.FirstAudioSeconds >= 0 && !u.begun.IsZero() {
		u.span.Event(u.begun.Add(seconds(r.FirstAudioSeconds)), "first_audio")
	}
	if r.Outcome == echo.Finished {
		u.span.Event(time.Now(), "heard")
	}
}

// endSpan ends the span of an utterance.
func (u *Utterance) endSpan() {
	r := &u.receipt
	u.span.End(failureOf(u.err), slog.String("outcome", string(r.Outcome)), slog.Int64("samples", r.Samples),
		slog.Int64("heard_samples", r.HeardSamples), slog.Float64("first_audio_seconds", r.FirstAudioSeconds),
		slog.Float64("spoken_seconds", r.SpokenSeconds), slog.Int("underruns", r.Underruns))
}

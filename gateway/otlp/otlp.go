// Package otlp sends the spans of a gateway to a collector of traces, by the OpenTelemetry
// protocol over HTTP (OTLP/HTTP, protobuf).
//
// Without a URL, the environment variables that OpenTelemetry specifies name the collector:
// OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME,
// OTEL_TRACES_SAMPLER and so on.
//
// https://opentelemetry.io/docs/specs/otel/protocol/exporter/
package otlp

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"echocast/gateway"
)

// closeTimeout bounds how long Close tries to send the remaining spans.
const closeTimeout = 5 * time.Second

// IsAsked reports whether this URL or the environment asks for spans.
func IsAsked(url string) bool {
	named := url + os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") + os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	return named != "" && os.Getenv("OTEL_SDK_DISABLED") != "true"
}

// Options say where spans are sent.
type Options struct {
	// URL is that of the collector, such as http://127.0.0.1:4318; /v1/traces is appended. If
	// it is empty, the environment names it.
	URL string
	// Version is the version of the program.
	Version string
	// Warn is called when spans could not be sent.
	Warn func(error)
}

// Tracer implements gateway.Tracer.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	headers  propagation.TraceContext
}

// Open returns a tracer. Close ends it. Open does not connect: Warn reports a collector that
// cannot be reached.
func Open(ctx context.Context, o *Options) (*Tracer, error) {
	var options []otlptracehttp.Option
	if o.URL != "" {
		address, err := url.JoinPath(o.URL, "v1", "traces")
		if err != nil {
			return nil, err
		}
		options = append(options, otlptracehttp.WithEndpointURL(address))
	}
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, err
	}
	program := resource.WithAttributes(
		attribute.String("service.name", "echocast"), attribute.String("service.version", o.Version))
	resources, err := resource.New(ctx, program, resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, err
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(o.Warn))
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(resources))
	return &Tracer{provider: provider, tracer: provider.Tracer("echocast/gateway")}, nil
}

// Close sends the remaining spans, for at most five seconds.
func (t *Tracer) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return t.provider.Shutdown(ctx)
}

// Join implements gateway.Tracer.
func (t *Tracer) Join(ctx context.Context, header http.Header) context.Context {
	return t.headers.Extract(ctx, propagation.HeaderCarrier(header))
}

// Below implements gateway.Tracer.
func (t *Tracer) Below(ctx, parent context.Context) context.Context {
	if trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	return trace.ContextWithSpan(ctx, trace.SpanFromContext(parent))
}

// Start implements gateway.Tracer.
func (t *Tracer) Start(ctx context.Context, name string, all ...slog.Attr) (context.Context, gateway.Span) {
	ctx, s := t.tracer.Start(ctx, name, trace.WithAttributes(attributes(all)...))
	return ctx, span{s}
}

type span struct{ trace.Span }

// Event implements gateway.Span.
func (s span) Event(at time.Time, name string) { s.AddEvent(name, trace.WithTimestamp(at)) }

// End implements gateway.Span.
func (s span) End(failure string, all ...slog.Attr) {
	s.SetAttributes(attributes(all)...)
	if failure != "" {
		s.SetStatus(codes.Error, failure)
	}
	s.Span.End()
}

// attributes prefixes the keys with the name of the program, as OpenTelemetry recommends.
func attributes(all []slog.Attr) []attribute.KeyValue {
	converted := make([]attribute.KeyValue, len(all))
	for i, a := range all {
		key := attribute.Key("echocast." + a.Key)
		switch v := a.Value.Resolve(); v.Kind() {
		case slog.KindInt64:
			converted[i] = key.Int64(v.Int64())
		case slog.KindFloat64:
			converted[i] = key.Float64(v.Float64())
		case slog.KindBool:
			converted[i] = key.Bool(v.Bool())
		default:
			converted[i] = key.String(v.String())
		}
	}
	return converted
}

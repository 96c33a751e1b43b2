// Package otlp sends the spans of a gateway to a service that collects traces, by the
// OpenTelemetry protocol over HTTP (OTLP/HTTP, protobuf).
//
// Where nobody names the service, the variables of the environment that OpenTelemetry
// specifies do: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS,
// OTEL_SERVICE_NAME, OTEL_TRACES_SAMPLER and so on.
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

// closeTimeout bounds how long Close tries to send what is left.
const closeTimeout = 5 * time.Second

// IsAsked reports whether spans are to be sent: to a service at this URL, or at that of
// the environment.
func IsAsked(url string) bool {
	named := url + os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") + os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	return named != "" && os.Getenv("OTEL_SDK_DISABLED") != "true"
}

// Options say where spans go.
type Options struct {
	// URL is that of the service, such as http://127.0.0.1:4318; /v1/traces is added.
	// Empty: the environment names it.
	URL string
	// Version is that of the program.
	Version string
	// Warn is called where spans could not be sent.
	Warn func(error)
}

// Tracer is a gateway.Tracer.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	headers  propagation.TraceContext
}

// Open returns a tracer. Close ends it. It does not connect: a service that cannot be
// reached is reported by Warn.
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

// Close sends what is left, for at most five seconds.
func (t *Tracer) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return t.provider.Shutdown(ctx)
}

// Join is that of gateway.Tracer.
func (t *Tracer) Join(ctx context.Context, header http.Header) context.Context {
	return t.headers.Extract(ctx, propagation.HeaderCarrier(header))
}

// Below is that of gateway.Tracer.
func (t *Tracer) Below(ctx, parent context.Context) context.Context {
	if trace.SpanContextFromContext(ctx).IsValid() {
		return ctx
	}
	return trace.ContextWithSpan(ctx, trace.SpanFromContext(parent))
}

// Start is that of gateway.Tracer.
func (t *Tracer) Start(ctx context.Context, name string, all ...slog.Attr) (context.Context, gateway.Span) {
	ctx, s := t.tracer.Start(ctx, name, trace.WithAttributes(attributes(all)...))
	return ctx, span{s}
}

type span struct{ trace.Span }

// Event is that of gateway.Span.
func (s span) Event(at time.Time, name string) { s.AddEvent(name, trace.WithTimestamp(at)) }

// End is that of gateway.Span.
func (s span) End(failure string, all ...slog.Attr) {
	s.SetAttributes(attributes(all)...)
	if failure != "" {
		s.SetStatus(codes.Error, failure)
	}
	s.Span.End()
}

// attributes are named as OpenTelemetry wants them: below the name of the program.
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

// Package tracing begins spans of OpenTelemetry for the parts of a request. It has no
// state and no configuration: whoever accepts a request begins a trace with
// [Accept] or [Begin], and everything below that goes on with [Start] in the context that it was
// given. Where nothing is traced, a context has no span that records, and Start costs
// a look at it.
//
// What is said of a span is for people who may read the log as well: ids of payments
// and users, addresses and codes. Never a key, a token, a signature, an email, or the
// text of an error.
package tracing

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// scope names who makes the spans.
const scope = "github.com/events-concierge/concierge"

// Span is a part of a trace. A nil Span is none: its methods do nothing.
type Span struct{ span trace.Span }

// Accept begins the span of a request that came in, below the one that its headers
// name (W3C Trace Context), if they name one.
func Accept(ctx context.Context, from trace.TracerProvider, r *http.Request) (context.Context, *Span) {
	return Begin(propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(r.Header)), from, "request")
}

// Begin begins the span of a request that came in another way.
func Begin(ctx context.Context, from trace.TracerProvider, name string) (context.Context, *Span) {
	if from == nil {
		return ctx, nil
	}
	ctx, span := from.Tracer(scope).Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer))
	if !span.IsRecording() {
		return ctx, nil
	}
	return ctx, &Span{span}
}

// Start begins a span below that of ctx, if it has one that records.
func Start(ctx context.Context, name string) (context.Context, *Span) {
	return start(ctx, name, trace.SpanKindInternal)
}

// Call begins the span of a request to another server. See [Pass].
func Call(ctx context.Context, name string) (context.Context, *Span) {
	return start(ctx, name, trace.SpanKindClient)
}

func start(ctx context.Context, name string, kind trace.SpanKind) (context.Context, *Span) {
	above := trace.SpanFromContext(ctx)
	if !above.SpanContext().IsSampled() || !above.SpanContext().IsValid() {
		return ctx, nil
	}
	ctx, span := above.TracerProvider().Tracer(scope).Start(ctx, name, trace.WithSpanKind(kind))
	return ctx, &Span{span}
}

// Pass tells another server, in the headers of a request to it, what it is part of.
func Pass(ctx context.Context, h http.Header) {
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(h))
}

// Active reports whether what ctx is for is traced.
func Active(ctx context.Context) bool { return trace.SpanFromContext(ctx).SpanContext().IsSampled() }

// Of returns the span of ctx for [Under]; nil if nothing is traced.
func Of(ctx context.Context) *Span {
	if s := trace.SpanFromContext(ctx); s.SpanContext().IsSampled() {
		return &Span{s}
	}
	return nil
}

// Under returns a context in which spans begin below s, which may have ended: what is
// done later for the same cause is in the same trace.
func Under(ctx context.Context, s *Span) context.Context {
	if s == nil {
		return ctx
	}
	return trace.ContextWithSpan(ctx, s.span)
}

// Name names a span anew.
func (s *Span) Name(name string) {
	if s != nil {
		s.span.SetName(name)
	}
}

// Set says something of a span; nothing, if value is empty.
func (s *Span) Set(key, value string) {
	if s != nil && value != "" {
		s.span.SetAttributes(attribute.String(key, value))
	}
}

// SetInt says a number of a span.
func (s *Span) SetInt(key string, value int) {
	if s != nil {
		s.span.SetAttributes(attribute.Int(key, value))
	}
}

// Fail says that what a span is of has failed, for a reason in a word.
func (s *Span) Fail(reason string) {
	if s != nil {
		s.span.SetStatus(codes.Error, reason)
		s.span.SetAttributes(attribute.String("error.type", reason))
	}
}

// End ends a span.
func (s *Span) End() {
	if s != nil {
		s.span.End()
	}
}

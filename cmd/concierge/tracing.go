package main

import (
	"context"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// flushFor is how long what was traced last is waited for at the end.
const flushFor = 5 * time.Second

// wantsTraces reports whether the variables of OpenTelemetry ask for traces: they name
// where these go, or the exporter. Errors: [*usageError] for what this program has not.
func wantsTraces() (bool, error) {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	exporter := os.Getenv("OTEL_TRACES_EXPORTER")
	switch exporter {
	case "none":
		return false, nil
	case "", "otlp":
	default:
		return false, misuse("OTEL_TRACES_EXPORTER %q: want otlp or none", exporter)
	}
	endpoint := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	if endpoint == "" {
		endpoint = os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")
	}
	if endpoint == "" && exporter == "" {
		return false, nil
	}
	if u, err := url.Parse(endpoint); endpoint != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
		return false, misuse("OTEL_EXPORTER_OTLP_ENDPOINT: want a URL such as http://127.0.0.1:4318")
	}
	protocol := os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		protocol = os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	if protocol == "grpc" {
		return false, misuse("OTEL_EXPORTER_OTLP_PROTOCOL grpc: want http/protobuf or http/json, at the collector's port for HTTP, which is 4318 as a rule")
	}
	return true, nil
}

// openTracing returns who makes the traces, or nil if nobody asks for any. What can't
// be exported is lost, and slows nothing. stop exports the rest.
func openTracing(ctx context.Context, log *slog.Logger) (_ trace.TracerProvider, stop func(), err error) {
	if wanted, err := wantsTraces(); err != nil || !wanted {
		return nil, func() {}, err
	}
	tellOnce(log)
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, nil, misuse("the variables OTEL_EXPORTER_OTLP_… can't be used") // the text may have what is in them
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", "concierge"), attribute.String("service.version", versionName())), resource.WithFromEnv())
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, nil, misuse("OTEL_RESOURCE_ATTRIBUTES: want NAME=VALUE, and more of them after commas")
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	return provider, func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushFor)
		defer cancel()
		if err := provider.Shutdown(last); err != nil {
			log.Warn("the last traces could not be exported", "err", exportProblem(err))
		}
	}, nil
}

// tellOnce has the log told once when traces can't be exported, however long that is.
func tellOnce(log *slog.Logger) {
	otel.SetLogger(logr.Discard())
	var once sync.Once
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		once.Do(func() {
			log.Warn("traces can't be exported; they are lost, and everything else goes on", "err", exportProblem(err))
		})
	}))
}

// exportProblem is what went wrong without the collector's URL and words.
func exportProblem(err error) string {
	var request *url.Error
	switch {
	case errors.As(err, &request):
		return request.Err.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	}
	return "the collector does not take them"
}

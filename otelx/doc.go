// Package otelx shows OpenTelemetry what is received and what is sent: server
// spans and metrics around the gates, a client span for each request of the
// delivery engine.
//
//	gates := middleware.Chain(
//		otelx.Middleware(),
//		middleware.Method{}.Handler,
//		middleware.Query{}.Handler,
//		middleware.Body{}.Handler,
//		middleware.Signature{Verifier: signed}.Handler,
//	)
//	mux.Handle("POST /hooks/{app}", gates(handler))
//
//	client, err := egress.New(egress.Config{})
//	if err != nil {
//		return err
//	}
//	sender := &delivery.Sender{Client: otelx.Transport(client), Dialects: dialects}
//
// # Order
//
// [Middleware] stands outside of all gates, so that refusals are seen too.
// It stands inside of an [http.ServeMux], as above, or directly around one:
// with a gate between it and the mux, the mux fills in a copy of the request,
// and the span keeps the plain method as its name. [Transport] goes around
// the guarded client, once, before the engine or the Sender gets it.
//
// # Providers
//
// Without options everything goes to OpenTelemetry's globals, which may be set
// later than these functions are called. As long as none are set nothing is
// recorded, and a request passes [Transport] as it is, for a microsecond or so;
// [Middleware] costs some microseconds and a few dozen small allocations, as
// otelhttp collects attributes all the same. This package imports the API only;
// the SDK and its exporters are the application's.
//
// # What is recorded, and what is not
//
// Names have low cardinality: the method and the pattern of the mux, or the
// method alone. Identities, payloads, headers other than User-Agent, queries
// and the text of errors are never recorded. A receiver's span has the path as
// it was called; an endpoint's span has no path at all, because endpoints
// carry tokens there.
//
// What strangers send is not believed: a receiver's span is the root of a
// trace of its own with a link to the sender's span, the sender's baggage is
// dropped, and client.address is r.RemoteAddr, not X-Forwarded-For. Third
// parties get traceparent and nothing else, neither tracestate nor baggage.
//
// # Concurrency
//
// What this package returns is safe for concurrent use, and neither starts
// goroutines nor needs closing.
//
// # Not here, because
//
// Metrics of the client: the conventions want the server's address in each,
// which is one time series for each endpoint. Sampling, exporting and views:
// they belong to the SDK.
package otelx

// Package otelx shows OpenTelemetry what is received and what is sent: spans of
// requests, publishes and attempts, and metrics of gates, deliveries and stores.
//
//	gates := middleware.Chain(
//		otelx.Middleware(),
//		middleware.Method{}.Handler,
//		middleware.Body{}.Handler,
//		middleware.Signature{Verifier: verifier}.Handler,
//	)
//	mux.Handle("POST /hooks/{app}", gates(handler))
//
//	engine, err := delivery.New(delivery.Config{
//		Store: store, Registry: subscriptions, Dialects: dialects,
//		Client: guarded,
//		Trace:  otelx.Trace(),
//	})
//	if err != nil {
//		return err
//	}
//	stop, err := otelx.Observe(otelx.Backlog{Store: store, Registry: subscriptions})
//	if err != nil {
//		return err
//	}
//	defer stop()
//	_, err = engine.Publish(ctx, delivery.Event{Dialect: "standard", Tenant: "acme", Type: "order.paid", Data: data})
//
// # Order
//
// [Middleware] stands outside of all gates, so that refusals are seen too.
// It stands inside of an [http.ServeMux], as above, or directly around one:
// with a gate between it and the mux, the mux fills in a copy of the request,
// and the span keeps the plain method as its name. [Transport] goes around
// the guarded client of a Sender, and of an engine whose client makes requests of
// its own, as for a token; what [Trace] sees needs none.
//
// # From publish to attempt
//
// A publish is a producer span. An attempt is a client span, the root of a
// trace of its own and linked to the producer span, over restarts and however
// many days later: the producer's traceparent is kept with the deliveries. An
// event that has a TraceParent of its own, as of the request that caused it in
// another system, keeps that: the attempts and the producer span are linked to
// it. Each request carries the traceparent of its attempt.
//
// # Metrics
//
// These names, units and attributes are stable.
//
//	callback.delivery.attempts            counter        {attempt}   callback.dialect callback.outcome error.type
//	callback.delivery.attempt.duration    histogram      s           callback.dialect callback.outcome error.type
//	callback.delivery.duration            histogram      s           callback.dialect
//	callback.delivery.in_flight           updowncounter  {attempt}
//	callback.delivery.dead_letters        counter        {delivery}  callback.reason
//	callback.delivery.waiting             gauge          {delivery}
//	callback.delivery.waiting.oldest_age  gauge          s
//	callback.endpoints                    gauge          {endpoint}  callback.endpoint.state
//	callback.store.lease.duration         histogram      s           error.type
//	callback.store.lease.size             histogram      {delivery}
//	callback.store.settle.duration        histogram      s           error.type
//	callback.store.settle.size            histogram      {delivery}
//	callback.requests.denied              counter        {request}   callback.gate callback.reason
//
// callback.outcome is accepted, retry, dead or released. error.type is absent
// where nothing went wrong; of an attempt it is [delivery.Attempt].Class, of a
// store it is "store". callback.delivery.duration goes from publish until
// accepted, by the clock of [delivery.Config].Now. callback.reason of a dead
// letter is failed, expired, gone, removed, disabled or failing; what dies as
// its lane is closed, or is canceled, passes no engine and is not counted. A lease
// that found nothing is in callback.store.lease.duration alone. Gauges
// are of [Observe], the rest of [Trace], and the last of [Middleware] and [Deny],
// where callback.gate is the gate's type, such as Signature, and callback.reason
// the class of the error. [Middleware] also has otelhttp's
// http.server.request.duration and http.server.*.body.size. The folder dashboards
// has a Grafana dashboard and rules for Prometheus made of these names.
//
// # Providers
//
// Without options everything goes to OpenTelemetry's globals, which may be set
// later than these functions are called. As long as none are set nothing is
// recorded, and a request or an attempt costs less than 200 ns and allocates
// nothing. This package imports the API only; the SDK and its exporters are the
// application's.
//
// # What is recorded, and what is not
//
// Names have low cardinality: the method and the pattern of the mux, or the
// method alone; the type of an event. Ids of events, deliveries and subscriptions
// are on spans only. Tenants, identities, payloads, headers other than
// User-Agent, queries and the text of errors are never recorded. A receiver's
// span has the path as it was called, or the route where that has wildcards; an
// endpoint's span has no path at all: tokens stand there. Long paths and
// User-Agents are cut.
//
// What strangers send is not believed: a receiver's span is the root of a
// trace of its own with a link to the sender's span, the sender's baggage is
// dropped, and client.address is r.RemoteAddr, not X-Forwarded-For. Third
// parties get traceparent and nothing else, neither tracestate nor baggage.
//
// # Concurrency
//
// What this package returns is safe for concurrent use. Nothing starts
// goroutines, and only Observe needs to be stopped.
//
// # Not here, because
//
// Metrics by endpoint or tenant: that is one time series for each. Sampling,
// exporting and views: they belong to the SDK.
package otelx

// Package delivery posts events to those who asked for them, until they accept
// them or the schedule ends.
//
//	engine, err := delivery.New(delivery.Config{
//		Store:    store,    // memstore, sqlitestore, …
//		Registry: registry, // who wants what
//		Client:   client,   // egress.New: judges every address it dials
//		Dialects: map[string]delivery.Dialect{"standard": &standardwebhooks.Dialect{}},
//	})
//	go engine.Run(ctx) // until ctx is canceled, then it drains
//
//	sub, secret := standardwebhooks.NewSubscription("acme", url, "order.paid")
//	stored, err := engine.Subscribe(ctx, sub) // stored[0].ID is what Pause and the others take
//	_, err = engine.Publish(ctx, delivery.Event{Dialect: "standard", Tenant: "acme", Type: "order.paid", Data: data})
//
// # Order of use
//
// [New] needs a [Store], a [registry.Registry], a [Client] and the [Dialect] of
// each platform; it does no I/O and starts nothing. [Engine.Publish] matches an
// event with the subscriptions, has the dialect encode it once for each and
// returns when the deliveries are durable. [Engine.Run] leases what is due,
// makes one [Attempt] after another, and settles each by the dialect's
// [Verdict]: delivered, tried again by its [Backoff], or dead. When its context
// ends it drains, for [Config.DrainTimeout] at most. Subscriptions are changed
// through the engine, so that what waits for them is served accordingly:
// [Engine.Subscribe], [Engine.Pause], [Engine.Resume], [Engine.Enable],
// [Engine.Unsubscribe]. A process that only publishes need not Run.
//
// Who has a queue already, River, Temporal or Kafka, needs none of this but
// [Sender.Attempt]: one request, judged.
//
// # Guarantees
//
// What Publish returned for is attempted at least once, over restarts and kills
// as far as the store is durable, with the same webhook-id and the same body
// bytes each time. An attempt whose outcome could not be stored is repeated: so
// many as [Config.MaxInFlight] after a kill, and receivers recognize them by
// the ID. Publishing an event again under its ID stores nothing new while the
// store remembers it.
//
// Endpoints share fairly: none waits for another's time-outs, and a quarter of
// the slots is kept for first tries. URL, secrets and state are those of the
// moment of the attempt; a change made past the engine counts within a second.
//
// Answers are obeyed: Retry-After on any that is tried again, for the whole
// endpoint on 429 and 503; 410 ends a subscription. An endpoint that fails
// [ThrottleAfter] times in a row gets one attempt at a time until it accepts
// again, and is disabled after [Config.DisableAfter] of nothing but failure.
// The application is told through [Config.Notify].
//
// What is settled is remembered for [Config.Retention], with every attempt and
// the beginning of its answer. Meanwhile [Engine.Redrive] and [Engine.Replay]
// send it again under the same IDs.
//
// Order is opt-in: deliveries of one endpoint with the same [Event.Key] go out
// one after another, a failing one before those behind it. Without a key, and
// between keys and endpoints, there is no order.
//
// Not guaranteed: exactly once, since an answer can be lost; that an event of
// more than [MaxBatch] subscriptions is stored all or none, though publishing it
// again completes it; that nothing is sent after Unsubscribe by another engine,
// which may begin, for a second, what it had leased.
//
// # Concurrency
//
// An [Engine] and a [Sender] are safe for concurrent use; one Run at a time.
// How many engines may share a store is the store's to say ([Traits]). A dialect
// is called by many goroutines at once, and what panics in it while an attempt
// is made is a failed attempt. A panic in its Encode is one of Publish.
//
// # Not here, because
//
//   - an address guard: registry/egress is the one client for all requests;
//   - signatures and wire formats: each platform has its own, in dialect/;
//   - storage: rows differ, see delivery/lanes for writing a store in a day;
//   - a transaction over your tables and the event: a SQL store's own method,
//     after which [Engine.Wake] saves the wait for the next poll.
package delivery

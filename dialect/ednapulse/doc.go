// Package ednapulse speaks edna Pulse: the call that sets callback URLs, the
// callbacks themselves, and a receiver for them.
//
//	tenants, err := ednapulse.NewTenants(ednapulse.Tenant{
//		ID: "acme", APIKey: registry.NewSecret("A-1"),
//		WebhookKey: registry.NewSecret("K-1"), Channels: []int64{234},
//	})
//	if err != nil {
//		return err
//	}
//	engine, err := delivery.New(delivery.Config{
//		Store: store, Registry: subscriptions, Client: client,
//		Dialects: map[string]delivery.Dialect{
//			ednapulse.Name: ednapulse.Dialect{Keys: tenants.WebhookKey},
//		},
//	})
//	if err != nil {
//		return err
//	}
//	api, err := ednapulse.NewAPI(ednapulse.APIConfig{Tenants: tenants, Subscriber: engine, Prober: client})
//	if err != nil {
//		return err
//	}
//	http.Handle("/api/callback/set", api)
//
// # Order
//
// Tenants call [API]; events are published to the engine with [Name] as their
// dialect, the tenant's id, the subjectId as text as scope, and one of the
// three types; [Dialect] posts them. On the other side a [Receiver] answers
// the HEAD request of the registration, takes the callbacks and hands them
// over as typed [Event] values.
//
// # Guarantees
//
// A call stores all of its URLs or none. An event goes to the channel's row,
// else to the tenant's, never to both. Its bytes are sent as they are. Only
// status 200 is accepted, and nothing disables a subscription. Keys are
// compared in constant time, stand in no log and no error, and the answer for
// a refused URL does not tell why.
//
// # Concurrency
//
// All types are safe for concurrent use once made. Calls of one tenant store
// their URLs one after another; between several processes on one registry a
// tenant-wide call and a first call for a channel at the same moment may both
// win, each for its own row.
//
// # Not here, because
//
// Sending messages and managing channels is the platform's business, not that
// of callbacks. A limit by peer address belongs in front of the API: wire
// middleware.RateLimit with [Deny].
package ednapulse

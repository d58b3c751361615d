// Package registry keeps who wants which events, posted where: subscriptions.
//
//	var reg registry.Registry = registry.NewCache(&registry.Memory{}, 0)
//	_, err := reg.Set(ctx, registry.Subscription{
//		Dialect: "standard",
//		Tenant:  "acme",
//		URL:     "https://example.com/hook",
//		Types:   []string{"invoice.paid"},
//		Secrets: []registry.Secret{registry.NewSecret(secret)},
//	})
//	if err != nil {
//		return err
//	}
//	subs, err := reg.Match(ctx, registry.Topic{
//		Dialect: "standard", Tenant: "acme", Type: "invoice.paid",
//	})
//
// A [Subscription] says that a tenant wants events of some types, perhaps of
// one scope (a group, a channel) only, posted to a URL. One that fills a slot
// is found by its natural key (dialect, tenant, scope, slot): setting it again
// replaces it and keeps its ID. A slot filled in a scope hides the tenant's
// same slot for events of that scope.
//
// # Order of use
//
// Judge the URL by package egress, probe it, then Set. The delivery engine
// calls Match when an event is published and Get before every attempt, so that
// a new URL or secret counts for what already waits. To end a subscription,
// let the engine remove it: the state becomes [Removed] for ever, and Delete
// is for when nothing refers to the ID any more.
//
// An endpoint may have TLS material of its own, [TLS], and ask each caller for
// headers, [Header]; both are kept as secrets are.
//
// # Implementations
//
// [Memory] forgets at exit; sqlregistry is durable. A [Cache] stands before
// either in a sender. To write another, keep rows, let [Next] decide what Set
// stores and [Matching] what Match returns, protect secrets by [SealSecrets]
// and [SealConnection], and have registrytest check the result.
//
// # Guarantees
//
// Set stores all or none of what one call gives it, and a Revision makes it a
// compare-and-set. Times are in UTC and in microseconds. A [Secret] prints as
// "***" everywhere; only [Secret.Reveal] shows it. Implementations that
// store secrets outside the process seal them by a [Sealer], whose key
// [Reseal] helps to change.
//
// # Concurrency
//
// Every Registry and Sealer is safe for concurrent use. Subscriptions are plain
// values: what goes in and comes out is copied, except from a Cache, whose
// results must not be modified.
//
// Not here, because other packages do it: judging and reaching URLs (egress),
// how a platform registers (dialect), delivering (delivery).
package registry

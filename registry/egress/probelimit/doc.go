// Package probelimit keeps a registration API from being used to flood or to scan: it bounds the probes
// that callback URLs are judged by, and has their refusals take a fixed slot of time.
//
//	limiter, err := probelimit.New(probelimit.Config{PerTenant: 30, PerHost: 30, Concurrent: 64})
//	if err != nil {
//		return err
//	}
//	prober := probelimit.Client{Client: client, Limiter: limiter} // in place of the *egress.Client
//	ctx = egress.WithTenant(ctx, tenant)
//	if err := prober.Probe(ctx, url); err != nil {
//		if wait, limited := egress.TooMany(err); limited {
//			// 429 and Retry-After: wait
//		}
//		// one and the same answer for everything else
//	}
//
// # Order
//
// The URL is judged as text; a refusal then is answered at once and counts nowhere. Then a token of
// the tenant and one of the host are spent, or none of them. A tenant's probes go one after another;
// when its turn has come, the probe needs one of the slots of all tenants, and once the name is
// resolved a token of every address it may connect to.
//
// # Guarantees
//
//   - A tenant has one probe under way at most, and no more than eight calls wait for it.
//   - What a name's owner points at somebody's address counts for that address, whatever the name.
//   - Each refusal that needed a look-up or a connection comes a multiple of [Config.Slot] after the
//     call, so that its time does not tell a closed port from a silent one. The tenant's next
//     probe does not begin before.
//   - At most 10,000 keys of each kind are held. Those beyond share one bucket until others are idle.
//   - No goroutine is started.
//
// # Concurrency
//
// A [Limiter] is safe for concurrent use; share one among all registration APIs of a process. Several
// processes count each for itself.
//
// Not here, because a gate does it: limits by peer and by API key (middleware.RateLimit). How many URLs
// a tenant may have is for the application to say.
package probelimit

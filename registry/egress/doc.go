// Package egress decides which callback URLs may be called and is the only way out to them:
// a URL policy, a guard for the addresses that are really dialed, and one HTTP client that
// registration, probe, test send and delivery share.
//
//	client, err := egress.New(egress.Config{})
//	if err != nil {
//		return err
//	}
//	u, err := client.Check(raw) // pure: https, port 443 or 8443, a public name or address
//	if err != nil {
//		return err // *egress.Error: Reason is the word for the customer
//	}
//	if err := client.Resolve(ctx, u.String()); err != nil {
//		return err // a name that does not resolve, or resolves to an inside address
//	}
//	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), body)
//	if err != nil {
//		return err
//	}
//	response, err := client.Do(request)
//	if err != nil {
//		return err
//	}
//	kept, truncated := egress.ReadBounded(response.Body, egress.KeepBytes, egress.DrainBytes)
//
// # Order
//
// [Policy.Check] (or [Client.Check], the same behind a cache) when a URL is registered, and
// what is stored is [URL.String], the canonical spelling. [Client.Resolve] judges all addresses
// of the name at registration; [Client.Probe] does that and asks the endpoint with HEAD.
// [Client.Do] judges the URL again before every request and every address before it is dialed,
// so a row edited in the database and a name that moved inside are both caught.
//
// An endpoint with a client certificate or roots of its own is called under [WithIdentity], by
// registration's probes as by deliveries.
//
// # Guarantees
//
//   - No byte goes to an address that [Policy.CheckAddr] refuses: addresses are judged after
//     resolution, unmapped and without zone, once before the dial and once more on the socket.
//   - Look-ups are absolute: the machine's search list never turns a public name into an inside one.
//   - No proxy is used but [Config.Proxy], whatever the environment says; no redirect is followed; no
//     cookie, no credentials are sent; Idempotency-Key is never sent.
//   - A client certificate is sent for the endpoint of its [Identity] only, and a connection made with
//     one serves no other endpoint. TLS is of version 1.2 at least, and certificates are always verified.
//   - Connection (10 s), TLS handshake (5 s), answer's head ([Config.HeaderTimeout]) and whole attempt
//     (15 s) have time-outs; answer headers are at most 16 KiB; nothing is inflated.
//   - Error texts hold no URL, no query, no answer bytes and no address of the resolver.
//
// # Behind a proxy
//
// Where the only way out is an egress proxy, [Config.Proxy] names it. The guard then judges the URL and
// literal addresses, and nothing else: what a name leads to is for the proxy to find out and to refuse. It
// must resolve each name once, judge that very address, for each connection, and refuse what
// [Policy.CheckAddr] refuses: loopback, link-local and metadata, private, shared and reserved blocks of
// IPv4 and IPv6, and addresses that embed one of them. Without a proxy, filter below the network as a
// second layer.
//
// # Final and passing failures
//
// [ErrURL] (with [ErrLiteral] in it) stays until the URL changes. [ErrResolvedAddress] and
// [ErrResolve] may pass, because DNS can be repaired: they count as a failed attempt.
//
// # Concurrency
//
// A [Policy] is data and may be copied; a [Client] is immutable after [New] but for its caches
// and pools, and safe for concurrent use. New starts no goroutine and does no I/O.
//
// # Not here, because
//
// Retrying, judging an answer and limits per endpoint belong to package delivery, which knows
// the schedule. Length limits in characters are the dialects' ([Characters] counts for them).
package egress

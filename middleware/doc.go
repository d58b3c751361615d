// Package middleware holds the gates in front of a handler that receives
// callbacks: each refuses one kind of bad request before the handler sees it.
//
//	signed, err := verify.NewStandard(0, verify.Key{Secret: []byte(secret)})
//	if err != nil {
//		return err
//	}
//	gates := middleware.Chain(
//		middleware.Recover{}.Handler,
//		middleware.RateLimit{Key: middleware.ByPeer, Requests: 600, Per: time.Minute}.Handler,
//		middleware.Method{}.Handler,
//		middleware.Query{}.Handler,
//		middleware.Body{}.Handler,
//		middleware.Signature{Verifier: signed}.Handler,
//		middleware.Dedup{Store: &middleware.MemoryDedup{}, ID: middleware.ByMessage}.Handler,
//	)
//	http.Handle("/hooks", gates(middleware.Handle(func(ctx context.Context, e Event) (middleware.NoContent, error) {
//		return middleware.NoContent{}, store(ctx, e)
//	})))
//
// # Shape
//
// A gate is a struct with two methods, as [http.CrossOriginProtection] is:
// Check decides and writes nothing, Handler enforces. The fields are its
// configuration; Handler takes a copy of them, later changes have no effect.
// The doc of each gate says what its zero value does. Gates are safe for
// concurrent use. No gate starts a goroutine.
//
// # Order
//
// The first gate of a [Chain] is the outermost. The order is
//
//	Recover → RateLimit(ByPeer) → Handshake, Probe → Method → Query → Body
//	→ AppID → Signature or Secret → RateLimit(ByIdentity) → BodyChallenge
//	→ Dedup → Payload → handler, or Handle, which has Payload in it
//
// so that cheap refusals come first, nothing is hashed for a flood, and
// nothing is parsed that is not authenticated. A refusal is accordingly 429,
// 405, 400, 413, 401, 429, 409 or 503, 415, 400 or 422, whichever comes first.
// A gate's Handler panics when a gate that belongs outside of it stands
// directly inside, and at other misconfigurations, with a sentence that says
// what to do. What cannot be seen at wiring, such as a foreign middleware
// between two gates, is refused per request with status 500: never an open
// door.
//
// # Refusals
//
// A [DenyFunc] is the only place that writes a refusal, and is called exactly
// once; [Problem] is the default. The headers Allow, Retry-After, RateLimit
// and RateLimit-Policy have been set before it is called. The answer says
// nothing about the cause; the cause goes to the gate's Logger, refusals on
// level debug and failures of our own (5xx) on level error. [Status] tells
// the status of an error. Gates pass the ResponseWriter on as it is, but for
// [Recover] and [Dedup], which watch what is written; [http.ResponseController]
// works in the handler behind all of them.
//
// # A gate of your own
//
// Any func(http.Handler) http.Handler is one, and may stand where it needs no more
// than what the gates outside of it found. It refuses with [Problem], or whatever
// DenyFunc the others have, and an [Error] whose Code is the status; see the
// example of [Middleware]. The gates' log and [WithRefusals] do not know of it.
//
// # State
//
// [RawBody], [IdentityFrom] and [PayloadFrom] read what the gates found. It
// is kept in one value of the request's context.
//
// # Several machines
//
// [LocalLimiter] and [MemoryDedup] are of one process. Package pglimit limits
// rates over all machines on one PostgreSQL, package sqldedup remembers ids in
// PostgreSQL or SQLite; both stand behind the same fields of the gates.
//
// # Not here, because
//
// A default for X-Forwarded-For: none is safe; say by [Proxies] which hops are
// yours. Time-outs and header limits: they belong to [http.Server].
package middleware

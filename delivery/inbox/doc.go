// Package inbox takes a callback, stores it, answers, and does the work
// afterwards.
//
// A platform waits two seconds, or ten; the work takes longer, or what it needs
// is away. An [Inbox] stands where the handler stood, behind the gates that
// verify:
//
//	in, err := inbox.New(inbox.Config{
//		Store:   store, // sqlitestore or pgstore: one of its own
//		Handler: work,
//		ID: func(r *http.Request) (string, bool) {
//			id, _ := middleware.IdentityFrom(r.Context())
//			return id.MessageID, id.MessageID != ""
//		},
//	})
//	…
//	mux.Handle("POST /hooks", gates(in))
//	go in.Run(ctx)
//
// What was answered was stored before: a crash between the answer and the
// handling loses nothing. The handler is called in the same process with the
// request as it came, at least once, in order where there is a key, again by the
// schedule where it fails, and what fails for good is a dead letter, which the
// store's [delivery.Operator] and [delivery.Browser] show and redrive. A repeat
// from the platform is answered and not handled again, whatever its body: put a
// middleware.Dedup gate outside where the same id with another body shall be seen.
// A receiver that decodes and answers itself stores by [Inbox.Keep].
//
// # Not here
//
// Verification, because gates do that before anything is stored. Identity and
// payload that gates left in the request's context, because a context is not
// stored: take what the work needs from the request again.
package inbox

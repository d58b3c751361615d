// Package standardwebhooks is the dialect of applications without a protocol
// of their own: Standard Webhooks, https://www.standardwebhooks.com.
//
//	engine, err := delivery.New(delivery.Config{
//		Store: store, Registry: reg, Client: client,
//		Dialects: map[string]delivery.Dialect{standardwebhooks.Name: &standardwebhooks.Dialect{}},
//	})
//	if err != nil {
//		return err
//	}
//	u, err := client.Check(rawURL) // the canonical spelling, or why not
//	if err != nil {
//		return err
//	}
//	sub, secret := standardwebhooks.NewSubscription("acme", u.String(), "invoice.paid")
//	if _, err := engine.Subscribe(ctx, sub); err != nil {
//		return err
//	}
//	fmt.Println(secret) // shown to the customer this once
//	_, err = engine.Publish(ctx, delivery.Event{
//		Dialect: standardwebhooks.Name, Tenant: "acme", Type: "invoice.paid", Data: []byte(`{"id":7}`),
//	})
//
// # On the wire
//
// POST with the body {"type":…,"timestamp":…,"data":…}, made once when the
// event is published, and the headers webhook-id, webhook-timestamp and
// webhook-signature. The id is the event's, the same over all attempts; the
// time is that of the attempt; there is one signature for each secret of the
// subscription, the first secret first. To rotate a secret, put the new one in
// front and drop the old one when the receiver knows the new one; see the
// example.
//
// To receive, put middleware.Body, middleware.Signature with a
// verify.Standard, and middleware.Payload of [Message] in front of a handler;
// see the example.
//
// # Guarantees
//
// Nothing is ever sent unsigned. Answers and retries are those of
// [delivery.Judge] and [delivery.Standard]. Data reaches the receiver as it
// was given, but for white space between its tokens.
//
// # Concurrency
//
// A Dialect is safe for concurrent use and starts no goroutine.
//
// Not here, because other packages do it: verifying (verify), judging URLs
// (registry/egress), asymmetric signatures (they come with verify's).
package standardwebhooks

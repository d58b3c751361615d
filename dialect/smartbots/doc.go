// Package smartbots speaks the SmartBots group API
// (https://www.mysmartbots.com/dev/docs/Simple_Groups_API/set_http_callback):
// developers register a URL for a customer's group with the group's security
// code, and the group's events are posted there.
//
//	codes, err := verify.NewSecretChecker(serverKey)
//	if err != nil {
//		return err
//	}
//	developers, err := smartbots.NewDeveloperKeys(smartbots.Developer{ID: "dev1", APIKey: registry.NewSecret(key)})
//	if err != nil {
//		return err
//	}
//	engine, err := delivery.New(delivery.Config{
//		Store: store, Registry: reg, Client: client,
//		Dialects: map[string]delivery.Dialect{smartbots.Name: &smartbots.Dialect{Groups: groups}},
//	})
//	if err != nil {
//		return err
//	}
//	api, err := smartbots.NewAPI(smartbots.APIConfig{
//		Engine: engine, Groups: groups, Developers: developers, Codes: codes, URLs: client,
//	})
//	if err != nil {
//		return err
//	}
//	http.Handle("/api/simple.html", api)
//
// # Order of use
//
// The application keeps its groups and tells them through [Groups], with the
// code as a digest ([verify.CodeDigest]). [API] takes the calls of developers;
// put a rate limit by peer in front of it, with [Deny] as its refusal.
// [NewGroupChat] makes events for the engine to publish. When a customer
// changes the code, store the new digest and call [CodeChanged]; [Apps] and
// [Remove] are for the page on which the customer sees who is connected.
//
// The other side, the developer's, is [Receiver], and [Decode] without HTTP.
//
// # Registrations
//
// Group, developer and app_uuid are one registration, a second call replaces
// its URL and name. It is a [registry.Subscription] with the dialect [Name],
// the developer's id as its tenant, the group's id as its scope, app_uuid in
// lower case as its slot, app_name as its label, and the group's name, UUID and
// the code's fingerprint in its Meta. Each call that is answered with OK sends
// callback_set to the URL before all that waits.
//
// # Guarantees
//
// From the moment a group has another code nothing is sent to a registration
// that was made under the old one, whether or not CodeChanged was called, but
// callback_removed. What waited for it never revives. A caller cannot find out
// which groups exist: a bad key, an unknown group and a wrong code get the
// same answer for the same work. Neither codes nor keys are stored or logged.
// What the API's documentation leaves open stands in one file, wire.go.
//
// # Concurrency
//
// Everything is safe for concurrent use, and nothing starts a goroutine.
//
// Not here, because the documentation has no way to sign a callback: proof of
// the sender. See [Receiver].
package smartbots

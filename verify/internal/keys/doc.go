// Package keys holds what the packages verify and verify/httpsig share about
// keys: pooled HMAC states, the span of time in which a key counts, and the
// checks that keep a public key from being used as a secret.
//
//	macs := keys.NewMACs(secret)
//	st := macs.Start()
//	st.Text("1614265330.")
//	st.Bytes(body)
//	sum := macs.Finish(st)
//
// Every state that Start hands out goes back through Finish, once. A MACs is
// safe for concurrent use, a state is not.
//
// # Not here, because
//
// Parsing keys is the matter of each scheme: their texts differ.
package keys

// Package httpsig checks and makes HTTP Message Signatures (RFC 9421) of
// requests, with the Content-Digest of RFC 9530, as pure functions of data.
//
//	v, err := httpsig.NewVerifier(httpsig.Policy{}, httpsig.Key{
//		ID: "sender-2026", Algorithm: httpsig.Ed25519, Public: public,
//	})
//	if err != nil {
//		return err
//	}
//	id, err := v.Verify(ctx, verify.FromRequest(r, body, time.Now()))
//	if err != nil {
//		return err // errors.Is(err, verify.ErrExpired), …
//	}
//	log.Print("message ", id.MessageID, " by key ", id.Key)
//
// Make a [Verifier] or a [Signer] once and use it for every message. A
// Verifier is a [verify.Verifier]; its errors are [*verify.Error].
//
// # What is supported
//
// Algorithms: hmac-sha256, ed25519, ecdsa-p256-sha256. Components: @method,
// @target-uri, @authority, @scheme, @request-target, @path, @query,
// @query-param, and fields, plain, with ;bs, with ;key, and with ;sf where the
// field is known to be a dictionary (such as content-digest). Parameters:
// created, expires, nonce, alg, keyid, tag. A signature with anything else is
// refused, because it may mean something else than we think.
//
// # Guarantees
//
// The key chooses the algorithm, never the message. By default the method, the
// whole URL and the body are covered. created is required and judged to both
// sides. Wherever content-digest is covered, it must fit the body. The headers
// Signature-Input and Signature stand there exactly once, and so do a covered
// Content-Digest and the header of [Policy.IDField]. Work is bounded: 16 KiB
// and 16 members a dictionary, 8 signatures a message, 32 components and 8
// parameters a signature. No error text contains key material, signatures or
// parts of the body. The zero value of every type refuses or signs nothing.
// All values are safe for concurrent use.
//
// # Not here, because
//
// Responses are not signed: callbacks are answered with a status. RSA is left
// out, because new senders have ed25519. Accept-Signature is not answered. A
// replay inside the tolerance is not detected: that needs memory; the nonce, or
// the header named by [Policy.IDField], is handed out as
// [verify.Identity.MessageID] for a gate that has some.
package httpsig

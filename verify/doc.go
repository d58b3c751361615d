// Package verify decides whether a message comes from whom it claims to come
// from. Each scheme is a pure function of data: there is no ResponseWriter, no
// clock and no I/O but the look-up of keys.
//
//	v, err := verify.NewStandard(0, verify.Key{ID: "2026", Secret: []byte(secret)})
//	if err != nil {
//		return err // an empty or short secret is refused here, never "no check"
//	}
//	id, err := v.Verify(ctx, verify.FromRequest(r, body, time.Now()))
//	if err != nil {
//		return err // errors.Is(err, verify.ErrExpired), …
//	}
//	log.Print("message ", id.MessageID, " by key ", id.Key)
//
// Make a verifier once, with its constructor, and use it for every message.
// The body must be the raw bytes as they came; JSON that was decoded and
// encoded again is another message. Inside net/http, the gates of package
// middleware read the body under a limit and call the verifier.
//
// # Schemes
//
//   - [Standard]: Standard Webhooks v1 and v1a. Covers the id, the time and
//     the body.
//   - [HMAC]: platforms that sign with HMAC-SHA256, described by an
//     [HMACFormat]: [GitHub], [Stripe], [Slack], [Shopify] or your own. Covers
//     the body, and what the platform adds to it.
//   - Package verify/httpsig: HTTP Message Signatures, RFC 9421. Covers the
//     method, the URL, headers and the body.
//   - [TencentSign]: Tencent Cloud Chat. Covers the time, and NOT the body.
//   - [AppID]: one of our Tencent SdkAppids. A claim, not a proof.
//   - [Secret]: the SmartBots group code. A password, covers nothing.
//   - [Token]: a fixed key in a header. A password, covers nothing.
//   - [AnyOf] and [AllOf] combine them.
//
// Standard, HMAC, TencentSign and httpsig sign too.
//
// # Guarantees
//
// Every security input is looked for in exactly one place and must be there
// exactly once. Secrets and signatures are compared in constant time, on
// decoded bytes of fixed length. The request never chooses the algorithm. The
// zero value of every scheme refuses everything. Wherever a message has a
// time, it is judged to both sides, and a window of zero is a default. Several
// keys are valid at once, each with an optional beginning and end, so that
// keys can be rotated. No error text
// contains key material, signatures or body bytes. All values are safe for
// concurrent use.
//
// # Not here, because
//
// Replays inside the time window are not detected: that needs memory, and is
// the matter of a gate that has some.
package verify

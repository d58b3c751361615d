// Package http1 sends small requests over HTTP/1.1 in the goroutine of the
// caller. net/http's Transport has two goroutines a connection, and hands each
// request to one and its answer from the other: most of what a callback costs,
// where all that is wanted is to write one packet and to read one.
//
//	t := &http1.Transport{Dial: dialer.DialContext, MaxHeaderBytes: 16 << 10}
//	if t.Takes(request) {
//		response, err := t.RoundTrip(request, time.Now().Add(15*time.Second))
//		…
//	}
//
// # Guarantees
//
//   - One request is written per call, but to a connection that turns out to be
//     dead before a byte of it was taken.
//   - A connection is used again only if its answer was read to the end, nothing
//     follows it, neither side wants to close it, and it is still open and
//     silent when it is taken again.
//   - Answers are read by net/http's own parser. Their headers, those of all 1xx
//     answers included, are bounded.
//
// # Not here, because
//
// HTTP/2, bodies that may fill the peer's window, 100-continue, upgrades and
// trailers are net/http's: Takes says no, and a server that chooses HTTP/2 is
// [ErrHTTP2] once and not taken for a while.
package http1

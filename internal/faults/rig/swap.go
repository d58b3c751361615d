package rig

import (
	"crypto/tls"
	"sync/atomic"
	"testing"
)

// Certificates chooses what a receiver of [ListenSwap] shows.
type Certificates struct {
	good, bad tls.Certificate
	shown     atomic.Pointer[tls.Certificate]
}

// Good has the one shown that [Receiver.PEM] vouches for.
func (c *Certificates) Good() { c.shown.Store(&c.good) }

// Bad has one shown that nobody vouches for.
func (c *Certificates) Bad() { c.shown.Store(&c.bad) }

// ListenSwap is [ListenTLS] with a certificate that can be changed. No
// handshake resumes an earlier one.
func ListenSwap(tb testing.TB) (*Receiver, *Certificates) {
	tb.Helper()
	good, pem, err := certificate()
	if err != nil {
		tb.Fatal(err)
	}
	bad, _, err := certificate()
	if err != nil {
		tb.Fatal(err)
	}
	c := &Certificates{good: good, bad: bad}
	c.Good()
	return listen(tb, &tls.Config{
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.shown.Load(), nil },
		SessionTicketsDisabled: true, MinVersion: tls.VersionTLS12,
	}, pem), c
}

package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"time"

	"github.com/ringback-go/ringback/registry/egress/internal/http1"
)

// newDirect makes what sends ordinary callbacks in the caller's goroutine, nil if
// the configuration asks for what only net/http can do.
func (c *Client) newDirect(config *Config, t *tls.Config) *http1.Transport {
	if config.MaxConnsPerHost > 0 { // requests would have to wait for each other
		return nil
	}
	return &http1.Transport{
		Dial: c.dialer.DialContext, TLS: t, NoHTTP2: config.HTTP1Only, Handshake: handshakeTimeout, Idle: idleTimeout,
		MaxIdle: orDefault(config.MaxIdleConns, 1024), MaxIdlePerHost: orDefault(config.MaxIdleConnsPerHost, 64), MaxHeaderBytes: maxHeaderBytes,
	}
}

// doDirect sends a request in the caller's goroutine, unless done is false: then
// it is as it was, and net/http's to send.
func (c *Client) doDirect(request *http.Request) (response *http.Response, done bool, err error) {
	if c.direct == nil || !c.direct.Takes(request) {
		return nil, false, nil
	}
	ctx := request.Context()
	end := time.Now().Add(c.timeout)
	if sooner, ok := ctx.Deadline(); ok && sooner.Before(end) {
		end = sooner
	}
	var asked askedFor
	sent := request
	if request.URL.Scheme == "https" {
		sent = request.WithContext(context.WithValue(ctx, askedKey{}, &asked))
	}
	response, err = c.direct.RoundTrip(sent, end)
	switch {
	case errors.Is(err, http1.ErrHTTP2):
		return nil, false, nil
	case err != nil:
		return nil, true, clean(refusedAsked(err, &asked))
	}
	response.Request = request
	return response, true, nil
}

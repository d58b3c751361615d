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
	if config.MaxConnsPerHost > 0 || config.Proxy != nil { // requests would have to wait for each other, or to be spelled otherwise
		return nil
	}
	return &http1.Transport{
		Dial: c.dialer.DialContext, TLS: t, NoHTTP2: config.HTTP1Only, Handshake: handshakeTimeout, Head: config.HeaderTimeout, Idle: idleTimeout,
		MaxIdle: orDefault(config.MaxIdleConns, 1024), MaxIdlePerHost: orDefault(config.MaxIdleConnsPerHost, 64), MaxHeaderBytes: maxHeaderBytes,
	}
}

// doDirect sends a request in the caller's goroutine, unless rest is not nil:
// then that is net/http's to send, and nothing of it was sent.
func (c *Client) doDirect(request *http.Request) (response *http.Response, rest *http.Request, err error) {
	if c.direct == nil || !c.direct.Takes(request) {
		return nil, request, nil
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
		late, cancel := context.WithDeadline(ctx, end) // finding out took of the attempt's time
		context.AfterFunc(late, cancel)
		return nil, request.WithContext(late), nil
	case err != nil:
		return nil, nil, clean(refusedAsked(err, &asked))
	}
	response.Request = request
	return response, nil, nil
}

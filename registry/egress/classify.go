package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"strings"

	"github.com/ringback-go/ringback/registry/egress/internal/http1"
)

// Classify gives the word for the attempt log that says what kind of failure err is, "" for nil:
//
//	addr_denied   the guard refused an address, literal or resolved, or its port
//	bad_url       the request was refused before anything was sent
//	dns           the name gave no address
//	tls           handshake or certificate, of either side
//	timeout       time ran out
//	bad_response  the answer was not HTTP or over the bounds, or not the one a probe wants
//	conn          everything else: refused, reset, closed without an answer
func Classify(err error) string {
	if err == nil {
		return ""
	}
	switch {
	case errors.Is(err, ErrAddress), errors.Is(err, ErrResolvedAddress):
		return "addr_denied"
	case errors.Is(err, ErrURL), errors.Is(err, ErrIdempotencyKey), errors.Is(err, ErrFraming):
		return "bad_url"
	case errors.Is(err, ErrResolve), isType[*net.DNSError](err):
		return "dns"
	case errors.Is(err, ErrResponse), errors.Is(err, ErrProbe), errors.Is(err, http1.ErrHeaders):
		return "bad_response"
	case errors.Is(err, ErrIdentity), errors.Is(err, errAsked), isTLS(err):
		return "tls"
	case isTimeout(err):
		return "timeout"
	case isBadResponse(err):
		return "bad_response"
	}
	return "conn"
}

func isType[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	timed, ok := errors.AsType[net.Error](err)
	return ok && timed.Timeout()
}

func isTLS(err error) bool {
	if isType[*tls.CertificateVerificationError](err) || isType[tls.RecordHeaderError](err) || isType[tls.AlertError](err) ||
		isType[x509.UnknownAuthorityError](err) || isType[x509.HostnameError](err) || isType[x509.CertificateInvalidError](err) ||
		errors.Is(err, http.ErrSchemeMismatch) {
		return true
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "remote error" || op.Op == "local error") {
		return true // an alert, whose type crypto/tls does not export
	}
	// The rest of crypto/tls has no types. Its texts stand at the start, where no peer can write.
	text := err.Error()
	return strings.HasPrefix(text, "tls: ") || text == "net/http: TLS handshake timeout"
}

// isBadResponse recognizes net/http's complaints about what it read, which have no types either.
func isBadResponse(err error) bool {
	if isType[textproto.ProtocolError](err) {
		return true
	}
	if isType[*net.OpError](err) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return false
	}
	text := strings.TrimPrefix(err.Error(), "net/http: HTTP/1.x transport connection broken: ")
	if strings.HasPrefix(text, "stream error: ") { // HTTP/2: by the server's wish, or for what it sent
		return !strings.HasSuffix(text, "; received from peer")
	}
	for _, start := range [...]string{
		"malformed ", "net/http: server response headers exceeded", "http2: response header list larger",
		"connection error: ", // HTTP/2: the server broke the protocol, or the bound on headers
		"http: message cannot contain multiple Content-Length", "bad Content-Length", "invalid empty Content-Length",
		"unsupported transfer encoding", "too many transfer encodings", "invalid Trailer key", "bad trailer key",
		"http: suspiciously long trailer", "http: invalid Content-Length",
	} {
		if strings.HasPrefix(text, start) {
			return true
		}
	}
	return false
}

// clean takes the URL and the answer's bytes out of an error of the transport.
func clean(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	if Classify(err) != "bad_response" || errors.Is(err, ErrResponse) {
		return err
	}
	if errors.Is(err, http1.ErrHeaders) || strings.Contains(err.Error(), "headers exceeded") || strings.Contains(err.Error(), "header list larger") {
		return fmt.Errorf("%w: headers over %d bytes", ErrResponse, maxHeaderBytes)
	}
	return fmt.Errorf("%w: malformed", ErrResponse)
}

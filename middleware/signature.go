package middleware

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/ringback-go/ringback/verify"
)

// AppID refuses, with 401, requests whose SdkAppid is none of ours. The
// SdkAppid becomes the subject of [IdentityFrom]. It is a claim: put
// [Signature] inside.
//
// The zero value refuses everything; its Handler panics.
type AppID struct {
	// Apps are ours, from verify.NewAppID. Required.
	Apps verify.AppID
	// Deny writes refusals. Nil is [Problem].
	Deny DenyFunc
	// Logger gets the causes. Nil is slog.Default().
	Logger *slog.Logger
}

// Check returns the claimed identity, or an error of package verify.
func (g AppID) Check(r *http.Request) (verify.Identity, error) {
	return g.Apps.Verify(r.Context(), verify.Message{RawQuery: r.URL.RawQuery})
}

// Handler returns the gate in front of next. It panics when next is nil, when
// there are no Apps, and when the order is wrong.
func (g AppID) Handler(next http.Handler) http.Handler {
	h := wire("AppID", rankAppID, next, func(w http.ResponseWriter, r *http.Request) {
		id, err := g.Check(r)
		if err != nil {
			refuse(w, r, "AppID", err, g.Deny, g.Logger)
			return
		}
		r, s := withState(r)
		s.identify(id)
		next.ServeHTTP(w, r)
	})
	if isZero(g.Apps) {
		panic("middleware: AppID: no Apps, set them to the result of verify.NewAppID")
	}
	return h
}

// Signature refuses, with 401, requests that its verifier does not accept,
// and with 503 those about which it could not find out. Who sent the request
// becomes [IdentityFrom].
//
// A [Body] gate must stand outside: without the raw bytes every request is
// refused with 500, also where the scheme does not cover the body.
//
// The zero value refuses everything; its Handler panics.
type Signature struct {
	// Verifier decides. Required.
	Verifier verify.Verifier
	// Now is the wall clock. Nil is time.Now.
	Now func() time.Time
	// Deny writes refusals. Nil is [Problem].
	Deny DenyFunc
	// Logger gets the causes. Nil is slog.Default().
	Logger *slog.Logger
}

// Check returns who sent r, or an error of the verifier, or an [*Error] of
// class [ErrConfig]. The body must have been read by a [Body] gate.
func (g Signature) Check(r *http.Request) (verify.Identity, error) {
	if g.Verifier == nil {
		return verify.Identity{}, &Error{Err: wrap(ErrConfig, errNoVerifier)}
	}
	raw, ok := RawBody(r)
	if !ok {
		return verify.Identity{}, &Error{Err: wrap(ErrConfig, errNoBody)}
	}
	id, err := g.Verifier.Verify(r.Context(), verify.FromRequest(r, raw, clock(g.Now)))
	if err != nil {
		return verify.Identity{}, foreign(err)
	}
	return id, nil
}

// foreign gives an error of somebody else's verifier a class: a request that
// was not accepted is 401, and 503 where its time ran out.
func foreign(err error) error {
	if _, ok := errors.AsType[*verify.Error](err); ok || Status(err) != http.StatusInternalServerError {
		return err
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &verify.Error{Scheme: "verifier", Err: wrap(verify.ErrLookup, err)}
	}
	return &verify.Error{Scheme: "verifier", Err: err}
}

// Handler returns the gate in front of next. It panics when next or the
// verifier is nil, when the verifier is a zero value of package verify or
// httpsig, and when the order is wrong.
func (g Signature) Handler(next http.Handler) http.Handler {
	if isNil(g.Verifier) {
		panic("middleware: Signature: the verifier is nil, set it to one of package verify")
	}
	return g.wire("Signature", next)
}

func (g Signature) wire(name string, next http.Handler) http.Handler {
	h := wire(name, rankSignature, next, func(w http.ResponseWriter, r *http.Request) {
		id, err := g.Check(r)
		if err != nil {
			refuse(w, r, name, err, g.Deny, g.Logger)
			return
		}
		r, s := withState(r)
		s.identify(id)
		next.ServeHTTP(w, r)
	})
	if isZero(g.Verifier) {
		panic("middleware: " + name + ": the verifier has no keys, set it to what its constructor returned, and look at the error")
	}
	return h
}

// Secret refuses, with 401, requests without the right secret or secret_sha1
// of the SmartBots group API. It is a [Signature] gate with that one scheme:
// the same rules hold.
//
// The zero value refuses everything; its Handler panics.
type Secret struct {
	// Secret decides, from verify.NewSecret. Required.
	Secret verify.Secret
	// Deny writes refusals. Nil is [Problem].
	Deny DenyFunc
	// Logger gets the causes. Nil is slog.Default().
	Logger *slog.Logger
}

// Check returns the group, or an error of package verify, or an [*Error] of
// class [ErrConfig]. The body must have been read by a [Body] gate.
func (g Secret) Check(r *http.Request) (verify.Identity, error) { return g.gate().Check(r) }

// Handler returns the gate in front of next. It panics when next is nil, when
// there is no Secret, and when the order is wrong.
func (g Secret) Handler(next http.Handler) http.Handler { return g.gate().wire("Secret", next) }

func (g Secret) gate() Signature {
	return Signature{Verifier: g.Secret, Deny: g.Deny, Logger: g.Logger}
}

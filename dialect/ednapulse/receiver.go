package ednapulse

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/verify"
)

// A Handler takes the events of one callback, in their order. An error makes
// the platform send the callback again.
type Handler func(ctx context.Context, events []Event) error

// ReceiverConfig makes a [Receiver].
type ReceiverConfig struct {
	// Keys are the webhook keys that count, several while one is replaced.
	// Needed.
	Keys []registry.Secret
	// Handler takes the events. Needed.
	Handler Handler
	// BodyLimit is the largest body in bytes. 0 is delivery.MaxData.
	BodyLimit int64
	// Now is the wall clock. Nil is time.Now.
	Now func() time.Time
	// Deny writes refusals, of which the platform reads the status alone. Nil
	// is middleware.Problem.
	Deny middleware.DenyFunc
	// Logger gets the causes of refusals and failures. Nil is slog.Default().
	Logger *slog.Logger
}

// A Receiver serves a callback URL. HEAD and GET are answered with 200 without
// credentials, because the registration asks so; POST wants the webhook key,
// as "Authorization: Token KEY" or bare, and JSON. Refusals come in the order
// 405, 413, 401, 415, 400; a failed handler is 503.
//
// The zero value answers 503 to every POST. Make one with [NewReceiver]. It is
// safe for concurrent use.
type Receiver struct {
	cfg   ReceiverConfig
	gates http.Handler
}

// NewReceiver makes the handler. Missing fields, no key and keys that cannot
// stand in a header are [ErrConfig] or verify's errors.
func NewReceiver(cfg ReceiverConfig) (*Receiver, error) {
	switch {
	case cfg.Handler == nil:
		return nil, fmt.Errorf("%w: ReceiverConfig.Handler is needed", ErrConfig)
	case cfg.BodyLimit < 0:
		return nil, fmt.Errorf("%w: ReceiverConfig.BodyLimit is negative", ErrConfig)
	}
	keys := make([]verify.Key, len(cfg.Keys))
	for i, k := range cfg.Keys {
		keys[i] = verify.Key{ID: strconv.Itoa(i), Secret: []byte(k.Reveal())}
	}
	token, err := verify.NewToken("Authorization", "Token", true, keys...)
	if err != nil {
		return nil, err
	}
	if cfg.BodyLimit == 0 {
		cfg.BodyLimit = delivery.MaxData
	}
	if cfg.Deny == nil {
		cfg.Deny = middleware.Problem
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	rc := &Receiver{cfg: cfg}
	rc.gates = middleware.Chain(
		middleware.Method{Allow: []string{http.MethodPost, http.MethodHead, http.MethodGet}, Deny: cfg.Deny, Logger: cfg.Logger}.Handler,
		middleware.Body{Limit: cfg.BodyLimit, Deny: cfg.Deny, Logger: cfg.Logger}.Handler,
		middleware.Signature{Verifier: token, Now: cfg.Now, Deny: cfg.Deny, Logger: cfg.Logger}.Handler,
		middleware.Payload[json.RawMessage]{AllowNoContentType: true, Deny: cfg.Deny, Logger: cfg.Logger}.Handler,
	)(http.HandlerFunc(rc.receive))
	return rc, nil
}

// ServeHTTP implements [http.Handler].
func (rc *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodHead || r.Method == http.MethodGet:
		w.WriteHeader(http.StatusOK)
	case rc.gates == nil:
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		rc.gates.ServeHTTP(w, r)
	}
}

// receive is the innermost handler: the key is proven and the body is JSON.
func (rc *Receiver) receive(w http.ResponseWriter, r *http.Request) {
	body, _ := middleware.PayloadFrom[json.RawMessage](r.Context())
	events, err := decode(body)
	if err != nil {
		rc.cfg.Logger.LogAttrs(r.Context(), slog.LevelDebug, "ednapulse: callback refused", slog.Any("cause", err))
		rc.cfg.Deny(w, r, &middleware.Error{Err: fmt.Errorf("%w: %w", middleware.ErrSyntax, err)})
		return
	}
	if err := rc.cfg.Handler(r.Context(), events); err != nil {
		rc.cfg.Logger.LogAttrs(r.Context(), slog.LevelError, "ednapulse: callback not handled", slog.Any("error", err))
		rc.cfg.Deny(w, r, &middleware.Error{Err: fmt.Errorf("%w: %w", middleware.ErrUnavailable, err)})
		return
	}
	w.WriteHeader(http.StatusOK)
}

package tencentchat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/ringback-go/ringback/internal/rawquery"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/verify"
)

// A Handler takes a packet and says what to answer. An error that is
// [ErrPacket] is answered with 400, any other with 503.
//
// WARNING: the platform takes a refused or failed before-command for allowed,
// unless the app is configured otherwise; to refuse what is asked, reply.
type Handler func(ctx context.Context, ev Event) (Reply, error)

// ReceiverConfig makes a [Receiver].
type ReceiverConfig struct {
	// Apps are ours, with their tokens. Needed.
	Apps []App
	// Handler takes what was accepted, such as [Mux.Handle]. Nil is [AllowAll].
	Handler Handler
	// AppLimiter limits the requests of an app, by its SdkAppid, once the
	// signature is proven. Nil is no limit. A limit by peer belongs in front of
	// the receiver, with [Deny].
	AppLimiter middleware.Limiter
	// BodyLimit is the largest packet in bytes. 0 is
	// middleware.DefaultBodyLimit, 64 KiB.
	BodyLimit int64
	// Now is the wall clock that RequestTime is judged by. Nil is time.Now.
	Now func() time.Time
	// Logger gets the causes of refusals and failures. Nil is slog.Default().
	Logger *slog.Logger
}

// A Receiver serves the callback URL of all apps: it checks SdkAppid, Sign and
// packet, and answers with the platform's packet. Refusals come in the order
// 405, 400 (query), 413, 401, 429, 415, 400 (body); everything that is wrong
// with SdkAppid or Sign is one and the same 401.
//
// WARNING: Sign does not cover the body; see verify.TencentSign. For an app
// without tokens nothing is proven at all.
//
// The zero value answers 503. Make one with [NewReceiver]. It is safe for
// concurrent use.
type Receiver struct {
	cfg   ReceiverConfig
	gates http.Handler
}

// NewReceiver makes the handler. Errors are those of [NewApps], and
// [ErrConfig] for a negative limit.
func NewReceiver(cfg ReceiverConfig) (*Receiver, error) {
	apps, err := NewApps(cfg.Apps...)
	if err != nil {
		return nil, err
	}
	if cfg.BodyLimit < 0 {
		return nil, fmt.Errorf("%w: ReceiverConfig.BodyLimit is negative", ErrConfig)
	}
	if cfg.Handler == nil {
		cfg.Handler = AllowAll
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	rc := &Receiver{cfg: cfg}
	gates := []middleware.Middleware{
		middleware.Method{Deny: Deny, Logger: cfg.Logger}.Handler,
		middleware.Query{Deny: Deny, Logger: cfg.Logger}.Handler,
		middleware.Body{Limit: cfg.BodyLimit, Deny: Deny, Logger: cfg.Logger}.Handler,
		middleware.AppID{Apps: apps.ids, Deny: Deny, Logger: cfg.Logger}.Handler,
		middleware.Signature{Verifier: signOf{apps}, Now: cfg.Now, Deny: Deny, Logger: cfg.Logger}.Handler,
	}
	if cfg.AppLimiter != nil {
		gates = append(gates, middleware.RateLimit{
			Key: middleware.ByIdentity, Limiter: cfg.AppLimiter, Name: "app", Deny: Deny, Logger: cfg.Logger,
		}.Handler)
	}
	gates = append(gates, middleware.Payload[json.RawMessage]{AllowNoContentType: true, Deny: Deny, Logger: cfg.Logger}.Handler)
	rc.gates = middleware.Chain(gates...)(http.HandlerFunc(rc.receive))
	return rc, nil
}

// ServeHTTP implements [http.Handler].
func (rc *Receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if rc.gates == nil {
		Deny(w, r, middleware.ErrUnavailable)
		return
	}
	rc.gates.ServeHTTP(w, r)
}

// receive is the innermost handler: the sender is proven and the body is JSON.
func (rc *Receiver) receive(w http.ResponseWriter, r *http.Request) {
	body, _ := middleware.PayloadFrom[json.RawMessage](r.Context())
	ev, err := decode(r.URL.RawQuery, body)
	if err != nil {
		rc.refuse(w, r, err)
		return
	}
	reply, err := rc.cfg.Handler(r.Context(), ev)
	if err == nil && len(reply.packet.Items) == 0 && wantsItems(ev.Command) {
		reply, err = AllowAll(r.Context(), ev)
	}
	if err != nil {
		rc.refuse(w, r, err)
		return
	}
	answer, err := reply.MarshalJSON()
	if err != nil {
		rc.refuse(w, r, errReply)
		return
	}
	write(w, http.StatusOK, answer)
}

// errReply is not ErrPacket: the fault is the handler's.
var errReply = errors.New("tencentchat: the reply holds what is not JSON")

// refuse answers 400 for what is wrong with the packet and 503 for the rest.
func (rc *Receiver) refuse(w http.ResponseWriter, r *http.Request, err error) {
	class, level, said := middleware.ErrUnavailable, slog.LevelError, "tencentchat: packet not handled"
	if errors.Is(err, ErrPacket) {
		class, level, said = middleware.ErrSyntax, slog.LevelDebug, "tencentchat: packet refused"
	}
	rc.cfg.Logger.LogAttrs(r.Context(), level, said, slog.Any("error", err))
	Deny(w, r, &middleware.Error{Err: fmt.Errorf("%w: %w", class, err)})
}

// signOf checks the Sign of the app that the query names.
type signOf struct{ apps *Apps }

// Verify implements [verify.Verifier].
func (s signOf) Verify(ctx context.Context, m verify.Message) (verify.Identity, error) {
	id, n, err := rawquery.Values(m.RawQuery, "SdkAppid")
	signs, known := s.apps.known[id]
	switch {
	case err != nil || n != 1 || !known: // the AppID gate outside says so first
		return verify.Identity{}, &verify.Error{Scheme: "tencent", Field: "SdkAppid", Err: verify.ErrUnknown}
	case !signs:
		return verify.Identity{Scheme: "appid", Subject: id}, nil
	}
	return s.apps.signs[id].Verify(ctx, m)
}

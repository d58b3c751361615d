package main

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"github.com/ringback-go/ringback/dialect/ednapulse"
	"github.com/ringback-go/ringback/dialect/smartbots"
	"github.com/ringback-go/ringback/dialect/tencentchat"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/verify"
)

// routes is the gateway's whole HTTP surface.
func (g *gateway) routes(codes verify.SecretChecker) (http.Handler, error) {
	var limiter middleware.Limiter
	peers := func(middleware.DenyFunc) middleware.Middleware { return middleware.Chain() }
	if l := g.cfg.limit; l != nil {
		byPeer, err := l.limiter()
		if err != nil {
			return nil, err
		}
		if limiter, err = l.limiter(); err != nil {
			return nil, err
		}
		peers = func(deny middleware.DenyFunc) middleware.Middleware {
			return middleware.RateLimit{Key: middleware.ByPeer, Limiter: byPeer, Name: "peer", Deny: deny, Logger: g.log}.Handler
		}
	}
	developers, err := smartbots.NewDeveloperKeys(g.cfg.developers...)
	if err != nil {
		return nil, err
	}
	group, err := smartbots.NewAPI(smartbots.APIConfig{
		Engine: g.engine, Groups: g.groups, Developers: developers, Codes: codes, URLs: g.prober, Limiter: limiter, Logger: g.log,
	})
	if err != nil {
		return nil, err
	}
	edna, err := ednapulse.NewAPI(ednapulse.APIConfig{
		Tenants: g.tenants, Subscriber: g.engine, Prober: g.prober, AllowHTTP: g.cfg.policy.AllowHTTP, KeyLimiter: prefixed(limiter, "edna:"), Logger: g.log,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/api/simple.html", peers(smartbots.Deny)(group))
	mux.Handle("/api/callback/set", peers(ednapulse.Deny)(edna))
	if len(g.cfg.apps) > 0 {
		receiver, err := tencentchat.NewReceiver(tencentchat.ReceiverConfig{
			Apps: g.cfg.apps, Handler: g.received.take, AppLimiter: prefixed(limiter, "tencentchat:"), Logger: g.log,
		})
		if err != nil {
			return nil, err
		}
		mux.Handle("/tencent/callback", peers(tencentchat.Deny)(receiver))
	}
	mux.HandleFunc("GET /healthz", g.health)
	admin := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { problem(w, http.StatusNotFound, "") }))
	if !g.cfg.adminToken.IsZero() {
		admin = g.authorized(g.admin())
	}
	mux.Handle("/admin", admin)
	mux.Handle("/admin/", admin)
	return mux, nil
}

// prefixed keeps the keys of several APIs apart in one limiter.
func prefixed(l middleware.Limiter, prefix string) middleware.Limiter {
	if l == nil {
		return nil
	}
	return prefixLimiter{l, prefix}
}

type prefixLimiter struct {
	middleware.Limiter

	prefix string
}

func (l prefixLimiter) Allow(ctx context.Context, key string, now time.Time) (middleware.Decision, error) {
	return l.Limiter.Allow(ctx, l.prefix+key, now)
}

// authorized lets the bearer of the admin token pass.
func (g *gateway) authorized(next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(g.cfg.adminToken.Reveal()))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		values := r.Header["Authorization"]
		if len(values) == 1 {
			scheme, token, _ := strings.Cut(values[0], " ")
			got := sha256.Sum256([]byte(token))
			if strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
				next.ServeHTTP(w, r)
				return
			}
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="admin"`)
		problem(w, http.StatusUnauthorized, "")
	})
}

// health says whether the store answers and the gateway takes work.
func (g *gateway) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if _, err := g.store.Counts(ctx); err != nil || g.draining.Load() {
		http.Error(w, "unavailable", http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // who asked may be gone
}

func (g *gateway) admin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /admin/received", g.listReceived)
	mux.HandleFunc("POST /admin/events", g.postEvents)
	mux.HandleFunc("GET /admin/subscriptions", g.listSubscriptions)
	mux.HandleFunc("POST /admin/subscriptions", g.postSubscription)
	mux.HandleFunc("DELETE /admin/subscriptions/{id}", g.deleteSubscription)
	mux.HandleFunc("POST /admin/subscriptions/{id}/pause", g.changeState(g.engine.Pause))
	mux.HandleFunc("POST /admin/subscriptions/{id}/resume", g.changeState(g.engine.Resume))
	mux.HandleFunc("POST /admin/subscriptions/{id}/enable", g.changeState(g.engine.Enable))
	mux.HandleFunc("GET /admin/smartbots/apps", g.listApps)
	mux.HandleFunc("POST /admin/smartbots/security-code", g.postCode)
	mux.HandleFunc("GET /admin/deliveries", g.listDeliveries)
	mux.HandleFunc("GET /admin/deliveries/{id}/attempts", g.listAttempts)
	mux.HandleFunc("POST /admin/deliveries/{id}/retry", g.retryDelivery)
	mux.HandleFunc("POST /admin/deliveries/{id}/cancel", g.cancelDelivery)
	mux.HandleFunc("POST /admin/redrive", g.again(false))
	mux.HandleFunc("POST /admin/replay", g.again(true))
	mux.HandleFunc("GET /admin/stats", g.stats)
	return problems(mux)
}

// problems has the mux's own refusals (404, 405) written as problem+json.
func problems(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		seen := &statusOnly{header: http.Header{}}
		mux.ServeHTTP(seen, r)
		if allow := seen.header.Get("Allow"); allow != "" {
			w.Header().Set("Allow", allow)
		}
		problem(w, seen.status, "")
	})
}

type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header         { return s.header }
func (s *statusOnly) Write(b []byte) (int, error) { return len(b), nil }
func (s *statusOnly) WriteHeader(status int)      { s.status = status }

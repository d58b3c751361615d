package smartbots

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/registry/egress"
	"github.com/ringback-go/ringback/verify"
)

// A URLJudge says which callback URLs may be registered. *egress.Client is the
// one to use: it judges deliveries by the same rules.
type URLJudge interface {
	// Check judges the text of a URL, without any I/O.
	Check(raw string) (egress.URL, error)
	// Resolve judges the addresses that the URL's name has now. The context
	// names the developer, see egress.WithTenant; an error that is
	// egress.TooMany is answered with 429.
	Resolve(ctx context.Context, rawURL string) error
}

// APIConfig makes an [API].
type APIConfig struct {
	// Engine stores the registrations and sends the events; its
	// delivery.Config.Dialects must hold a [Dialect] under [Name]. Needed.
	Engine *delivery.Engine
	// Groups are the customers' groups, the same as the Dialect's. Needed.
	Groups Groups
	// Developers are those who may register. Needed.
	Developers Developers
	// Codes checks security codes under the server's key, that of
	// [Group.Code]. Its zero value refuses every call with the status 503.
	Codes verify.SecretChecker
	// URLs judges callback URLs. Needed.
	URLs URLJudge
	// Limiter counts the calls of each developer, once the API key is proven
	// and before the code is judged; the key is "smartbots:" and the
	// developer's id. If it cannot decide, the call is refused with the status
	// 503. Nil is no limit.
	Limiter middleware.Limiter
	// Logger takes what operators should know: refusals on level debug,
	// failures of our own on level error. Nil is slog.Default().
	Logger *slog.Logger
	// Now is the clock for the Limiter. Nil is time.Now.
	Now func() time.Time
}

// API is the handler of /api/simple.html, by which developers register a
// callback URL: https://www.mysmartbots.com/dev/docs/Simple_Groups_API. Make
// it with [NewAPI]; the zero value panics. It is safe for concurrent use. It
// bounds what it reads; time-outs are http.Server's.
type API struct{ cfg APIConfig }

var _ http.Handler = (*API)(nil)

// ErrConfig says that a needed field of [APIConfig] is nil.
var ErrConfig = errors.New("smartbots: Engine, Groups, Developers and URLs are needed")

var errGroupID = errors.New("smartbots: Groups returned a group without an ID")

// NewAPI makes an API. It does no I/O.
func NewAPI(cfg APIConfig) (*API, error) {
	if cfg.Engine == nil || cfg.Groups == nil || cfg.Developers == nil || cfg.URLs == nil {
		return nil, ErrConfig
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &API{cfg}, nil
}

// ServeHTTP answers a call with {"result":"OK","group_uuid":…,"group_id":…} or
// {"result":"FAIL","resulttext":…}. OK is written only after the registration
// and its callback_set are durable.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g, f := a.serve(w, r)
	if f == nil {
		writeOK(w, g)
		return
	}
	level := slog.LevelDebug
	if f.status == http.StatusServiceUnavailable {
		level = slog.LevelError
	}
	a.cfg.Logger.LogAttrs(r.Context(), level, "smartbots: call refused", f.attrs()...)
	f.write(w)
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) (Group, *refusal) {
	form, f := raw(w, r)
	if f != nil {
		return Group{}, f
	}
	c, f := parse(form)
	if f != nil {
		return Group{}, f
	}
	ctx := r.Context()
	developer, g, f := a.admit(ctx, c)
	if f != nil {
		return Group{}, f
	}
	if f := c.check(); f != nil {
		return Group{}, f
	}
	u, f := a.judge(egress.WithTenant(ctx, Name+":"+developer), c.url)
	if f != nil {
		return Group{}, f
	}
	return g, a.register(ctx, developer, g, c, u)
}

// admit finds out who calls for which group. A bad key, an unknown group and a
// wrong code take the same way and get the same answer.
func (a *API) admit(ctx context.Context, c call) (developer string, g Group, f *refusal) {
	developer, proven, err := a.cfg.Developers.Developer(ctx, c.apiKey)
	if err != nil {
		return "", Group{}, unavailable(err)
	}
	if proven && a.cfg.Limiter != nil {
		d, err := a.cfg.Limiter.Allow(ctx, Name+":"+developer, a.cfg.Now())
		if err != nil {
			return "", Group{}, unavailable(err)
		}
		if !d.Allowed {
			f := failStatus(http.StatusTooManyRequests, nil)
			f.wait = d.RetryAfter
			return "", Group{}, f
		}
	}
	known := false
	if isGroupName(c.group) {
		if g, known, err = a.cfg.Groups.GroupByName(ctx, c.group); err != nil {
			return "", Group{}, unavailable(err)
		}
	}
	if known && g.ID == "" { // as a scope it would stand for every group
		return "", Group{}, unavailable(errGroupID)
	}
	err = a.cfg.Codes.Check(c.secret, c.secretSHA1, g.Code, known)
	if errors.Is(err, verify.ErrConfig) {
		return "", Group{}, unavailable(err)
	}
	if err != nil || !proven || !known {
		return "", Group{}, fail(textAccessDenied)
	}
	return developer, g, nil
}

// judge judges the callback URL as text and by the addresses of its name.
func (a *API) judge(ctx context.Context, raw string) (egress.URL, *refusal) {
	if egress.Characters(raw) > maxURL {
		return egress.URL{}, fail(textBadURL + string(egress.ReasonLength))
	}
	u, err := a.cfg.URLs.Check(raw)
	if err != nil {
		reason := egress.ReasonSyntax
		if e, ok := errors.AsType[*egress.Error](err); ok {
			reason = e.Reason
		}
		f := fail(textBadURL + string(reason))
		f.cause = err
		return egress.URL{}, f
	}
	if err := a.cfg.URLs.Resolve(ctx, u.String()); err != nil {
		if f := tooMany(err); f != nil {
			return egress.URL{}, f
		}
		f := fail(textNotAvailable)
		f.cause = err
		return egress.URL{}, f
	}
	return u, nil
}

// tooMany is the refusal of a call that met a limit after it was proven, nil for
// another error.
func tooMany(cause error) *refusal {
	wait, limited := egress.TooMany(cause)
	if !limited {
		return nil
	}
	f := failStatus(http.StatusTooManyRequests, cause)
	f.wait = wait
	return f
}

func unavailable(cause error) *refusal {
	return failStatus(http.StatusServiceUnavailable, cause)
}

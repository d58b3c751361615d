package ednapulse

import (
	"context"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"sync"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
)

// MaxURL is how many characters, not bytes, a callback URL may have.
const MaxURL = 500

// call is the body of POST /api/callback/set. Null counts as absent.
type call struct {
	Status         *string `json:"statusCallbackUrl"`
	InMessage      *string `json:"inMessageCallbackUrl"`
	MessageMatcher *string `json:"messageMatcherCallbackUrl"`
	SubjectID      *int64  `json:"subjectId"`
}

// target is one URL of a call.
type target struct{ typ, url string }

// targets returns what was given, in a fixed order.
func (c call) targets() []target {
	var out []target
	for _, f := range []struct {
		typ string
		url *string
	}{{TypeStatus, c.Status}, {TypeInMessage, c.InMessage}, {TypeMessageMatcher, c.MessageMatcher}} {
		if f.url != nil && *f.url != "" {
			out = append(out, target{f.typ, *f.url})
		}
	}
	return out
}

// set is the innermost handler: the tenant is proven and the body is read.
func (a *API) set(w http.ResponseWriter, r *http.Request) {
	c, _ := middleware.PayloadFrom[call](r.Context())
	t, targets := tenantOf(r), c.targets()
	code := a.judge(t, c, targets)
	if code == CodeOK {
		err := a.available(egress.WithTenant(r.Context(), Name+":"+t.ID), targets)
		if _, limited := egress.TooMany(err); limited {
			tooMany(w, err)
			return
		}
		if err != nil {
			a.log.LogAttrs(r.Context(), slog.LevelInfo, "ednapulse: callback URL refused", slog.String("tenant", t.ID),
				slog.String("error_class", egress.Classify(err)), slog.Any("cause", err))
			code = CodeNotAvailable
		}
	}
	if code != CodeOK {
		reply(w, http.StatusOK, code)
		return
	}
	scope := ""
	if c.SubjectID != nil {
		scope = strconv.FormatInt(*c.SubjectID, 10)
	}
	if err := a.store(r.Context(), t.ID, scope, targets); err != nil {
		if _, limited := egress.TooMany(err); limited {
			tooMany(w, err)
			return
		}
		a.log.LogAttrs(r.Context(), slog.LevelError, "ednapulse: callbacks not stored", slog.String("tenant", t.ID), slog.Any("error", err))
		reply(w, http.StatusServiceUnavailable, CodeSystem)
		return
	}
	reply(w, http.StatusOK, CodeOK)
}

// tooMany refuses a call that met a limit after it was proven.
func tooMany(w http.ResponseWriter, limit error) {
	wait, _ := egress.TooMany(limit)
	w.Header().Set("Retry-After", strconv.FormatInt(int64(math.Ceil(wait.Seconds())), 10))
	reply(w, http.StatusTooManyRequests, CodeTooManyRequests)
}

// judge makes the checks that need nobody else, in their order.
func (a *API) judge(t Tenant, c call, targets []target) Code {
	if len(targets) == 0 {
		return CodeNotSpecified
	}
	for _, g := range targets {
		if egress.Characters(g.url) > MaxURL {
			return CodeMaxLength
		}
	}
	for _, g := range targets {
		if hasScheme(g.url, "https://") || a.cfg.AllowHTTP && hasScheme(g.url, "http://") {
			continue
		}
		return CodeNotHTTPS
	}
	if c.SubjectID != nil && !t.Owns(*c.SubjectID) {
		return CodeSubjectUnknown
	}
	return CodeOK
}

// hasScheme reports whether raw begins with prefix, ASCII letters in any case.
func hasScheme(raw, prefix string) bool {
	if len(raw) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := raw[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}

// available judges every URL as text and brings it into canonical form, and only
// then asks each distinct one with HEAD, all at once.
func (a *API) available(ctx context.Context, targets []target) error {
	distinct := make(map[string]bool, len(targets))
	for i := range targets {
		u, err := a.cfg.Prober.Check(targets[i].url)
		if err != nil {
			return err
		}
		targets[i].url = u.String()
		distinct[targets[i].url] = true
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		probes sync.WaitGroup
		once   sync.Once
		first  error
	)
	for url := range distinct {
		probes.Go(func() {
			if err := a.cfg.Prober.Probe(ctx, url); err != nil {
				once.Do(func() { first = err })
				cancel() // one bad URL refuses the call
			}
		})
	}
	probes.Wait()
	return first
}

// store writes the rows of a call, all or none. Without a scope these are the
// tenant's rows and those that channels have already; their ids stay, so that
// what waits goes to the new URL.
func (a *API) store(ctx context.Context, tenant, scope string, targets []target) error {
	leave, err := a.enter(ctx, tenant)
	if err != nil {
		return err
	}
	defer leave()
	subs := make([]registry.Subscription, 0, len(targets))
	for _, g := range targets {
		subs = append(subs, NewSubscription(tenant, scope, g.typ, g.url))
	}
	own := len(subs) // and behind them, the channels'
	reg := a.cfg.Subscriber.Registry()
	alive := []registry.State{registry.Active, registry.Paused, registry.Disabled}
	for row, err := range reg.List(ctx, registry.Filter{Dialect: Name, Tenant: tenant, Scope: scope, States: alive}) {
		if err != nil {
			return err
		}
		for i := range own {
			switch {
			case row.Slot != subs[i].Slot:
			case row.Scope == scope:
				subs[i] = renewed(row, subs[i].URL)
			case scope == "":
				subs = append(subs, renewed(row, subs[i].URL))
			}
		}
	}
	_, err = a.cfg.Subscriber.Subscribe(ctx, subs...)
	return err
}

// renewed is row with another URL. What an operator set stays, a pause too; a
// row that was disabled counts again. The slot names the row: an id or a
// revision would make the call fail where somebody was faster.
func renewed(row registry.Subscription, url string) registry.Subscription {
	next := row.Clone()
	next.ID, next.Revision, next.URL = "", 0, url
	if next.State != registry.Paused {
		next.State, next.Reason = registry.Active, ""
	}
	return next
}

// enter waits until no other call of the tenant lists and writes its rows.
func (a *API) enter(ctx context.Context, tenant string) (leave func(), err error) {
	v, _ := a.turns.LoadOrStore(tenant, make(chan struct{}, 1))
	turn, ok := v.(chan struct{})
	if !ok { // unreachable, nothing else is stored
		return nil, ErrConfig
	}
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

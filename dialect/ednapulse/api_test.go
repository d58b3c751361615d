package ednapulse_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/dialect/ednapulse"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
)

// probes records what is asked; URLs that hold "bad" do not answer 200.
type probes struct {
	mu    sync.Mutex
	asked []string
	pause time.Duration
}

func (p *probes) Check(raw string) (egress.URL, error) {
	return egress.Policy{AllowHTTP: true}.Check(raw)
}

func (p *probes) Probe(_ context.Context, url string) error {
	time.Sleep(p.pause) // in a bubble alone
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, url)
	if strings.Contains(url, "bad") {
		return egress.ErrProbe
	}
	return nil
}

func newAPI(t *testing.T, cfg ednapulse.APIConfig) *ednapulse.API {
	t.Helper()
	if cfg.Tenants == nil {
		cfg.Tenants = acme(t)
	}
	if cfg.Prober == nil {
		cfg.Prober = &probes{}
	}
	if cfg.Subscriber == nil {
		cfg.Subscriber = engine(t, &registry.Memory{}, nil)
	}
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	api, err := ednapulse.NewAPI(cfg)
	return must(t, api, err)
}

// call posts a body with acme's key and returns status and code.
func call(t *testing.T, h http.Handler, body string, edit ...func(*http.Request)) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/callback/set", strings.NewReader(body))
	r.Header.Set("X-API-KEY", "A-1")
	r.Header.Set("Content-Type", "application/json")
	for _, f := range edit {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	code, ok := strings.CutPrefix(strings.TrimSuffix(w.Body.String(), `"}`), `{"code":"`)
	if !ok || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("answer %q of type %q", w.Body, w.Header().Get("Content-Type"))
	}
	return w.Code, code
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		if r.Header.Del(name); value != "" {
			r.Header.Set(name, value)
		}
	}
}

func method(m string) func(*http.Request) { return func(r *http.Request) { r.Method = m } }

var refuseAll = limiterFunc(func(string) (middleware.Decision, error) {
	return middleware.Decision{RetryAfter: 3 * time.Second}, nil
})

// TestOrder breaks two neighboring rules at once: the first one answers.
func TestOrder(t *testing.T) {
	t.Parallel()
	const (
		long  = `"https://hooks.example.com/` // and 475 letters
		plain = `"http://hooks.example.com/"`
	)
	huge := `{"statusCallbackUrl":"` + strings.Repeat("a", 70_000) + `"}`
	tooLong := long + strings.Repeat("a", 475) + `"`
	tests := []struct {
		name, body string
		edit       []func(*http.Request)
		limiter    middleware.Limiter
		status     int
		code       string
	}{
		{"method before size", huge, []func(*http.Request){method(http.MethodPut)}, nil, 405, "error-syntax"},
		{"size before key", huge, []func(*http.Request){header("X-API-KEY", "A-9")}, nil, 413, "error-syntax"},
		{"encoding before key", `{}`, []func(*http.Request){header("X-API-KEY", ""), header("Content-Encoding", "gzip")}, nil, 415, "error-syntax"},
		{"key before limit", `{}`, []func(*http.Request){header("X-API-KEY", "A-9")}, refuseAll, 401, "error-unauthorized"},
		{"limit before media type", `{}`, []func(*http.Request){header("Content-Type", "text/plain")}, refuseAll, 429, "error-too-many-requests"},
		{"media type before syntax", `{`, []func(*http.Request){header("Content-Type", "text/plain")}, nil, 415, "error-syntax"},
		{"syntax before all URLs", `{"subjectId":"234"}`, nil, nil, 400, "error-syntax"},
		{"given before subject", `{"subjectId":9}`, nil, nil, 200, "url-not-specified"},
		{"length before scheme", `{"statusCallbackUrl":` + plain + `,"inMessageCallbackUrl":` + tooLong + `}`, nil, nil, 200, "error-callback-url-max-length"},
		{"scheme before subject", `{"messageMatcherCallbackUrl":` + plain + `,"subjectId":9}`, nil, nil, 200, "error-callback-url-not-https"},
		{"subject before probe", `{"statusCallbackUrl":"https://bad.example.com/","subjectId":9}`, nil, nil, 200, "error-subject-unknown"},
		{"policy", `{"statusCallbackUrl":"https://127.0.0.1/"}`, nil, nil, 200, "error-callback-url-not-available"},
		{"probe", `{"statusCallbackUrl":"https://a.example.com/","inMessageCallbackUrl":"https://bad.example.com/"}`, nil, nil, 200, "error-callback-url-not-available"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			reg := &registry.Memory{}
			api := newAPI(t, ednapulse.APIConfig{KeyLimiter: tt.limiter, Subscriber: engine(t, reg, nil)})
			status, code := call(t, api, tt.body, tt.edit...)
			if status != tt.status || code != tt.code {
				t.Errorf("%d %s, want %d %s", status, code, tt.status, tt.code)
			}
			if n := len(list(t, reg)); n != 0 {
				t.Errorf("%d rows stored", n)
			}
		})
	}
}

func TestCall(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		edit       []func(*http.Request)
		status     int
		code       string
	}{
		{"matcher alone", `{"messageMatcherCallbackUrl":"https://a.example.com"}`, nil, 200, "ok"},
		{"no Content-Type", `{"statusCallbackUrl":"https://a.example.com"}`, []func(*http.Request){header("Content-Type", "")}, 200, "ok"},
		{"charset", `{"statusCallbackUrl":"https://a.example.com"}`, []func(*http.Request){header("Content-Type", "application/json; charset=UTF-8")}, 200, "ok"},
		{"scheme in capitals", `{"statusCallbackUrl":"HTTPS://a.example.com/"}`, nil, 200, "ok"},
		{"unknown members", `{"statusCallbackUrl":"https://a.example.com/","x":{"subjectId":9}}`, nil, 200, "ok"},
		{"null subject", `{"statusCallbackUrl":"https://a.example.com/","subjectId":null}`, nil, 200, "ok"},
		{"500 characters", `{"statusCallbackUrl":"https://a.example.com/` + strings.Repeat("a", 478) + `"}`, nil, 200, "ok"},
		{"501 characters", `{"statusCallbackUrl":"https://a.example.com/` + strings.Repeat("a", 479) + `"}`, nil, 200, "error-callback-url-max-length"},
		{"500 characters of two bytes", `{"statusCallbackUrl":"https://a.example.com/` + strings.Repeat("ж", 478) + `"}`, nil, 200, "error-callback-url-not-available"},
		{"no scheme", `{"statusCallbackUrl":"a.example.com"}`, nil, 200, "error-callback-url-not-https"},
		{"half a scheme", `{"statusCallbackUrl":"https:/a.example.com"}`, nil, 200, "error-callback-url-not-https"},
		{"channel of another tenant", `{"statusCallbackUrl":"https://a.example.com/","subjectId":7}`, nil, 200, "error-subject-unknown"},
		{"member in other letters", `{"statusCallbackUrl":"https://a.example.com/","SubjectID":9}`, nil, 200, "ok"},
		{"exponent", `{"statusCallbackUrl":"https://a.example.com/","subjectId":2.34e2}`, nil, 400, "error-syntax"},
		{"null", `null`, nil, 400, "error-syntax"},
		{"empty", ``, nil, 400, "error-syntax"},
		{"URL as a number", `{"messageMatcherCallbackUrl":1}`, nil, 400, "error-syntax"},
		{"key missing", `{}`, []func(*http.Request){header("X-API-KEY", "")}, 401, "error-unauthorized"},
		{"key of other letters", `{}`, []func(*http.Request){header("X-API-KEY", "a-1")}, 401, "error-unauthorized"},
		{"key in the query alone", `{}`, []func(*http.Request){header("X-API-KEY", ""), func(r *http.Request) { r.URL.RawQuery = "X-API-KEY=A-1" }}, 401, "error-unauthorized"},
		{"GET", ``, []func(*http.Request){method(http.MethodGet)}, 405, "error-syntax"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			status, code := call(t, newAPI(t, ednapulse.APIConfig{}), tt.body, tt.edit...)
			if status != tt.status || code != tt.code {
				t.Errorf("%d %s, want %d %s", status, code, tt.status, tt.code)
			}
		})
	}
}

func TestAllowHTTP(t *testing.T) {
	t.Parallel()
	status, code := call(t, newAPI(t, ednapulse.APIConfig{AllowHTTP: true}), `{"statusCallbackUrl":"http://a.example.com/"}`)
	if status != 200 || code != "ok" {
		t.Errorf("%d %s", status, code)
	}
}

// TestLastCallWins follows the rows of one tenant through several calls.
func TestLastCallWins(t *testing.T) {
	t.Parallel()
	reg := &registry.Memory{}
	e := engine(t, reg, nil)
	api := newAPI(t, ednapulse.APIConfig{Subscriber: e})
	set := func(body string) map[string]string {
		t.Helper()
		if status, code := call(t, api, body); status != 200 || code != "ok" {
			t.Fatalf("%d %s", status, code)
		}
		urls := map[string]string{}
		for k, s := range list(t, reg) {
			urls[k] = s.URL
			if s.Slot == "" || !slices.Equal(s.Types, []string{s.Slot}) || s.State != registry.Active {
				t.Errorf("row %s: slot %q, types %q, %s", k, s.Slot, s.Types, s.State)
			}
		}
		return urls
	}
	want := func(got, want map[string]string) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	want(set(`{"statusCallbackUrl":"https://a.example.com/1","subjectId":234}`), map[string]string{"acme 234 status": "https://a.example.com/1"})
	id := list(t, reg)["acme 234 status"].ID
	want(set(`{"inMessageCallbackUrl":"https://a.example.com/2","subjectId":235}`), map[string]string{
		"acme 234 status": "https://a.example.com/1", "acme 235 inMessage": "https://a.example.com/2",
	})
	if err := e.Pause(t.Context(), list(t, reg)["acme 235 inMessage"].ID); err != nil {
		t.Fatal(err)
	}
	if status, code := call(t, api, `{"statusCallbackUrl":"https://c.example.com/"}`, header("X-API-KEY", "A-3")); status != 200 || code != "ok" {
		t.Fatalf("the other tenant: %d %s", status, code)
	}
	if err := e.Resume(t.Context(), list(t, reg)["acme 235 inMessage"].ID); err != nil {
		t.Fatal(err)
	}
	want(set(`{"statusCallbackUrl":"https://a.example.com/3"}`), map[string]string{
		"acme 234 status": "https://a.example.com/3", "acme 235 inMessage": "https://a.example.com/2",
		"acme  status": "https://a.example.com/3", "other  status": "https://c.example.com/",
	})
	if now := list(t, reg)["acme 234 status"].ID; now != id {
		t.Errorf("id %s became %s", id, now)
	}
	want(set(`{"statusCallbackUrl":"https://a.example.com/4","subjectId":234}`), map[string]string{
		"acme 234 status": "https://a.example.com/4", "acme 235 inMessage": "https://a.example.com/2",
		"acme  status": "https://a.example.com/3", "other  status": "https://c.example.com/",
	})
}

// TestStatesAreKept: a pause is the operator's, a disabled row counts again.
func TestStatesAreKept(t *testing.T) {
	t.Parallel()
	reg := &registry.Memory{}
	paused := ednapulse.NewSubscription("acme", "234", ednapulse.TypeStatus, "https://a.example.com/1")
	paused.State, paused.Label, paused.Limits.PerSecond = registry.Paused, "kept", 5
	disabled := ednapulse.NewSubscription("acme", "235", ednapulse.TypeStatus, "https://a.example.com/1")
	disabled.State, disabled.Reason = registry.Disabled, "failing"
	if _, err := reg.Set(t.Context(), paused, disabled); err != nil {
		t.Fatal(err)
	}
	api := newAPI(t, ednapulse.APIConfig{Subscriber: engine(t, reg, nil)})
	if _, code := call(t, api, `{"statusCallbackUrl":"https://a.example.com/2"}`); code != "ok" {
		t.Fatal(code)
	}
	rows := list(t, reg)
	if s := rows["acme 234 status"]; s.State != registry.Paused || s.URL != "https://a.example.com/2" || s.Label != "kept" || s.Limits.PerSecond != 5 {
		t.Errorf("paused row: %s %s %q %v", s.State, s.URL, s.Label, s.Limits)
	}
	if s := rows["acme 235 status"]; s.State != registry.Active || s.Reason != "" || s.URL != "https://a.example.com/2" {
		t.Errorf("disabled row: %s %q %s", s.State, s.Reason, s.URL)
	}
}

func TestProbesInParallel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &probes{pause: 5 * time.Second}
		api := newAPI(t, ednapulse.APIConfig{Prober: p})
		begin := time.Now()
		_, code := call(t, api, `{"statusCallbackUrl":"https://a.example.com/x","inMessageCallbackUrl":"HTTPS://A.example.com/x","messageMatcherCallbackUrl":"https://b.example.com"}`)
		if code != "ok" || time.Since(begin) != 5*time.Second {
			t.Errorf("%s after %v, want ok after 5s", code, time.Since(begin))
		}
		slices.Sort(p.asked)
		if want := []string{"https://a.example.com/x", "https://b.example.com/"}; !slices.Equal(p.asked, want) {
			t.Errorf("asked %q, want each distinct URL once", p.asked)
		}
	})
}

// TestRealProbe uses the client of the deliveries.
func TestRealProbe(t *testing.T) {
	t.Parallel()
	client := guarded(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead || r.Header.Get("Authorization") != "" || r.Header.Get("X-Api-Key") != "" {
			t.Errorf("%s %q", r.Method, r.Header)
		}
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/", http.StatusFound)
		}
	})
	api := newAPI(t, ednapulse.APIConfig{Prober: client})
	for body, want := range map[string]string{
		`{"statusCallbackUrl":"https://hooks.example.com/s"}`:     "ok",
		`{"statusCallbackUrl":"https://hooks.example.com/moved"}`: "error-callback-url-not-available",
	} {
		if status, code := call(t, api, body); status != 200 || code != want {
			t.Errorf("%d %s, want %s", status, code, want)
		}
	}
}

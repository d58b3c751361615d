package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/dialect/tencentchat"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/verify"
)

// What the work says of a callback decides whether it is tried again.
func TestWork(t *testing.T) {
	t.Parallel()
	status := http.StatusOK
	desk := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
	t.Cleanup(desk.Close)
	s := &site{cfg: config{Forward: desk.URL}, log: slog.New(slog.DiscardHandler)}
	work := s.work()
	const state = "/tencent?SdkAppid=1400000001&CallbackCommand=State.StateChange"
	const attrs = "/tencent?SdkAppid=1400000001&CallbackCommand=Group.CallbackAfterGroupAttrChanged"
	for _, tt := range []struct {
		name, target, body string
		desk, want         int
	}{
		{"told", "/standard", `{"type":"a"}`, 200, 200},
		{"not accepted", "/standard", `{"type":"a"}`, 404, 503},
		{"not at the moment", "/github", `{}`, 503, 503},
		{"no object", "/slack", `[]`, 200, 422},
		{"no form", "/smartbots", `{}`, 200, 422},
		{"no event", "/edna", `[1]`, 200, 422},
		{"tencent", state, `{"CallbackCommand":"State.StateChange"}`, 200, 200},
		{"tencent, not now", state, `{"CallbackCommand":"State.StateChange"}`, 500, 503},
		{"tencent, another", attrs, `{"CallbackCommand":"State.StateChange"}`, 200, 422},
		{"tencent, its members", attrs, `{"CallbackCommand":"Group.CallbackAfterGroupAttrChanged","GroupAttr":1}`, 200, 422},
		{"no such path", "/elsewhere", `{}`, 200, 404},
	} {
		status = tt.desk
		w := httptest.NewRecorder()
		if work.ServeHTTP(w, httptest.NewRequest(http.MethodPost, tt.target, strings.NewReader(tt.body))); w.Code != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, w.Code, tt.want)
		}
	}
	desk.Close()
	w := httptest.NewRecorder()
	if work.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/shopify", strings.NewReader("{}"))); w.Code != 503 {
		t.Errorf("nobody there: %d", w.Code)
	}
}

// A panic ends one request, in the words of the platform.
func TestPanics(t *testing.T) {
	t.Parallel()
	peers, err := middleware.NewLocalLimiter(middleware.LocalLimiterConfig{Requests: 10, Per: patience})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{log: slog.New(slog.DiscardHandler), peers: peers}
	for want, deny := range map[string]middleware.DenyFunc{`"status":500`: middleware.Problem, `"ActionStatus":"FAIL"`: tencentchat.Deny} {
		front, err := s.front(deny)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		front(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("no") })).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
		if w.Code < 500 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%d %s, want %s", w.Code, w.Body, want)
		}
	}
}

// Two platforms may use the same id, and heads are bounded.
func TestApart(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	s := newSecrets(t, uuid)
	base, stop := start(t, s.file(t, d.URL, nil))
	// The digest of a body is the same everywhere.
	other := byPlatform(verify.Slack())
	for _, r := range []*http.Request{byEdna(t, s, base, "", `{"a":1}`), other(t, s, base, "", `{"a":1}`)} {
		if got := send(t, r); got.status != 204 || got.header.Get("Idempotent-Replayed") != "" {
			t.Errorf("%s: %d %v", r.URL.Path, got.status, got.header)
		}
	}
	d.await(t, "both notes", func(_ int, notes []note) bool { return len(notes) == 2 })
	broken := unsigned(t, base+"/github?a=%25zz", "{}")
	broken.URL.RawQuery = "a=%zz"
	if got := send(t, broken); got.status != 400 {
		t.Errorf("a broken query: %d", got.status)
	}
	long := unsigned(t, base+"/github", "{}")
	long.Header.Set("X-Long", strings.Repeat("x", 24<<10))
	if got := send(t, long); got.status != 431 {
		t.Errorf("a long head: %d", got.status)
	}
	stop()
	if notes := d.all(); notes[0].ID == notes[1].ID {
		t.Errorf("%+v", notes)
	}
}

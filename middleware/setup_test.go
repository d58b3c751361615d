package middleware_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/verify"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	tencentNow  = 1669872112
	tencentSign = "17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061"
	tencentURL  = "/tencent?SdkAppid=1400000001&Sign=" + tencentSign + "&RequestTime=1669872112"
)

var quiet = slog.New(slog.DiscardHandler)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func tencent() verify.TencentSign {
	return must(verify.NewTencentSign(0, verify.Key{ID: "console", Secret: []byte("xxxxyyyy")}))
}

func apps() verify.AppID { return must(verify.NewAppID("1400000001", "1400000002")) }

const formType = "application/x-www-form-urlencoded"

// secretForTests knows the group g, whose code is DEMO-CODE.
func secretForTests() (verify.Secret, error) {
	serverKey := []byte("0123456789abcdef")
	want := verify.CodeDigest(serverKey, "DEMO-CODE")
	return verify.NewSecret(serverKey, func(_ context.Context, params url.Values) (string, verify.Digest, bool, error) {
		return "g", want, params.Get("group") == "g", nil
	})
}

func then() time.Time { return time.Unix(tencentNow, 0) }

// onceWriter fails the test when a second answer is begun, and when an answer
// is written in two parts, as by two who do not know of each other.
type onceWriter struct {
	*httptest.ResponseRecorder
	t      *testing.T
	heads  int
	writes int
}

func (w *onceWriter) Write(b []byte) (int, error) {
	if w.writes++; w.writes > 1 {
		w.t.Errorf("Write is call %d", w.writes)
	}
	return w.ResponseRecorder.Write(b)
}

func (w *onceWriter) WriteHeader(status int) {
	if w.heads++; w.heads > 1 {
		w.t.Errorf("WriteHeader(%d) is call %d", status, w.heads)
	}
	w.ResponseRecorder.WriteHeader(status)
}

// serve runs one request, and checks what holds for all refusals: one answer,
// the default form, nothing of the cause.
func serve(t *testing.T, h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := &onceWriter{ResponseRecorder: httptest.NewRecorder(), t: t}
	h.ServeHTTP(w, r)
	if w.Code >= 400 {
		if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
			t.Errorf("refusal has Content-Type %q", got)
		}
		if body := w.Body.String(); strings.Contains(body, "middleware") || strings.Contains(body, "verify") {
			t.Errorf("refusal tells the cause: %s", body)
		}
	}
	return w.ResponseRecorder
}

// ok answers 200 with the body that it read.
var ok = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
		return
	}
	_, _ = w.Write(body)
})

func post(target, contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

// mustPanic runs f and wants a panic with a sentence of this package that
// contains the text.
func mustPanic(t *testing.T, text string, f func()) {
	t.Helper()
	defer func() {
		t.Helper()
		why, _ := recover().(string)
		if !strings.HasPrefix(why, "middleware: ") || !strings.Contains(why, text) {
			t.Errorf("panic %q, want a sentence about %q", why, text)
		}
	}()
	f()
}

// captured returns a logger and what it logged.
func captured() (*slog.Logger, *bytes.Buffer) {
	var b bytes.Buffer
	return slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug})), &b
}

type event struct {
	Type  string          `json:"type" validate:"required,max=10"`
	Count int             `json:"count" validate:"gte=0"`
	Items []item          `json:"items" validate:"dive"`
	By    map[string]item `json:"by" validate:"dive"`
}

type item struct {
	Name string `json:"name" validate:"required"`
}

// tencentStack is the documented order in full.
func tencentStack(logger *slog.Logger) middleware.Middleware {
	return middleware.Chain(
		middleware.RateLimit{Key: middleware.ByPeer, Requests: 1_000_000, Per: time.Second, Logger: logger}.Handler,
		middleware.Method{Logger: logger}.Handler,
		middleware.Query{Logger: logger}.Handler,
		middleware.Body{Logger: logger}.Handler,
		middleware.AppID{Apps: apps(), Logger: logger}.Handler,
		middleware.Signature{Verifier: tencent(), Now: then, Logger: logger}.Handler,
		middleware.RateLimit{Key: middleware.ByIdentity, Requests: 1_000_000, Per: time.Second, Logger: logger}.Handler,
		middleware.Payload[event]{AllowNoContentType: true, Logger: logger}.Handler,
	)
}

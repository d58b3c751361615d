package tencentchat_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/dialect/tencentchat"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/registry"
)

const (
	appID = "1400000001"
	token = "xxxxyyyy" // of the documented vector
)

var quiet = slog.New(slog.DiscardHandler)

// documented is the time of the vector, sign its signature.
var documented = time.Unix(1669872112, 0)

const sign = "17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061"

func must[T any](t testing.TB, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// app is the app of the corpus.
func app(tokens ...string) tencentchat.App {
	a := tencentchat.App{SDKAppID: appID}
	for _, token := range tokens {
		a.Tokens = append(a.Tokens, registry.NewSecret(token))
	}
	return a
}

func receiver(t testing.TB, cfg tencentchat.ReceiverConfig) *tencentchat.Receiver {
	t.Helper()
	if cfg.Apps == nil {
		cfg.Apps = []tencentchat.App{app(token)}
	}
	if cfg.Now == nil {
		cfg.Now = func() time.Time { return documented }
	}
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	rc, err := tencentchat.NewReceiver(cfg)
	return must(t, rc, err)
}

// query is a signed one of a command.
func query(command string) string {
	return "SdkAppid=" + appID + "&CallbackCommand=" + command + "&contenttype=json&ClientIP=203.0.113.7&OptPlatform=Web&Sign=" + sign + "&RequestTime=1669872112"
}

func post(t testing.TB, h http.Handler, query, body string, edit ...func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/tencent?"+query, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for _, f := range edit {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		if r.Header.Del(name); value != "" {
			r.Header.Set(name, value)
		}
	}
}

type limiterFunc func(key string) (middleware.Decision, error)

func (f limiterFunc) Allow(_ context.Context, key string, _ time.Time) (middleware.Decision, error) {
	return f(key)
}

// A row of testdata/inbound.tsv.
type row struct {
	id, cfg, method, target, expect, why string
	header                               http.Header
	body                                 string
	now                                  time.Time
}

func rows(t *testing.T, prefix string) []row {
	t.Helper()
	raw, err := os.ReadFile("testdata/inbound.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var out []row
	for line := range strings.Lines(string(raw)) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if !strings.HasPrefix(f[0], prefix) || len(f) != 9 || f[0] == "id" {
			continue
		}
		n, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		r := row{id: f[0], cfg: f[1], method: f[3], target: literal(t, f[4]), expect: f[7], why: f[8], now: time.Unix(n, 0), header: http.Header{}}
		for h := range strings.SplitSeq(literal(t, f[5]), " || ") {
			if name, value, ok := strings.Cut(h, ": "); ok {
				r.header.Add(name, value)
			}
		}
		r.body = generate(t, f[6])
		out = append(out, r)
	}
	return out
}

// literal decodes the escapes of a Go string literal's body, in which quotes
// stand as they are.
func literal(t *testing.T, s string) string {
	t.Helper()
	var b strings.Builder
	for s != "" {
		r, wide, tail, err := strconv.UnquoteChar(s, 0)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if wide {
			b.WriteRune(r)
		} else {
			b.WriteByte(byte(r))
		}
		s = tail
	}
	return b.String()
}

func generate(t *testing.T, field string) string {
	t.Helper()
	if !strings.HasPrefix(field, "@") {
		return literal(t, field)
	}
	var b strings.Builder
	for part := range strings.SplitSeq(field[1:], "<+>") {
		if inner, ok := strings.CutPrefix(part, "rep("); ok {
			count, s, _ := strings.Cut(strings.TrimSuffix(inner, ")"), ",")
			n, err := strconv.Atoi(count)
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString(strings.Repeat(literal(t, s), n))
			continue
		}
		b.WriteString(literal(t, part))
	}
	return b.String()
}

// vector reads a sample packet that lies beside the repository.
func vector(t *testing.T, name string) []byte {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		for _, at := range []string{"../shared/vectors", "shared/vectors"} {
			if raw, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(at), filepath.FromSlash(name))); err == nil {
				return raw
			}
		}
		if filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("the sample packets are not beside the repository: %s", name)
	}
	t.Skipf("the sample packets are not beside the repository, nothing to compare with: %s", name)
	return nil
}

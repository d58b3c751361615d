package inbox_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/inbox"
)

// outgoing is a request that was put together, not received.
func outgoing(t *testing.T, target, body string) *http.Request {
	t.Helper()
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, from)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestKeep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c calls
		b := open(t, inbox.Config{Store: memory(t), MaxBody: 10, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			c.add(r.RequestURI + " " + string(body))
		})})
		stop := run(t, b)
		r := outgoing(t, "/a?b=c", "1234567890")
		if err := b.Keep(r, "\xff1"); err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(r.Body); err != nil || string(body) != "1234567890" {
			t.Errorf("the body is %q afterwards, %v", body, err)
		}
		for _, r := range []*http.Request{outgoing(t, "/again", ""), outgoing(t, "/without", "")} {
			if err := b.Keep(r, "\xff"+r.URL.Path[1:2]); err != nil {
				t.Error(err)
			}
		}
		if err := b.Keep(outgoing(t, "/repeat", "x"), "\xff1"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		stop()
		if got := c.all(); !slices.Equal(slices.Sorted(slices.Values(got)), []string{"/a?b=c 1234567890", "/again ", "/without "}) {
			t.Errorf("handled %q", got)
		}
	})
}

func TestKeepRefuses(t *testing.T) {
	t.Parallel()
	none := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	b := open(t, inbox.Config{Store: memory(t), MaxBody: 10, Handler: none})
	for name, tt := range map[string]struct {
		target, body string
		edit         func(*http.Request)
		id           string
		status       int
	}{
		"no id":       {"/", "", nil, "", http.StatusBadRequest},
		"too large":   {"/", "s3cret s3cret", nil, "1", http.StatusRequestEntityTooLarge},
		"broken off":  {"/", "", func(r *http.Request) { r.Body = io.NopCloser(broken{}) }, "1", http.StatusBadRequest},
		"no path":     {"/", "", func(r *http.Request) { r.URL = &url.URL{Scheme: "a", Opaque: "b"} }, "1", http.StatusBadRequest},
		"long target": {"/?" + strings.Repeat("s3cret", 10_000), "", nil, "1", http.StatusRequestHeaderFieldsTooLarge},
	} {
		request := func() *http.Request {
			r := outgoing(t, tt.target, tt.body)
			r.Header.Set("X-Id", tt.id)
			if tt.edit != nil {
				tt.edit(r)
			}
			return r
		}
		if err := b.Keep(request(), tt.id); !errors.Is(err, inbox.ErrRefused) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
		w := httptest.NewRecorder()
		if b.ServeHTTP(w, request()); w.Code != tt.status {
			t.Errorf("%s: %d, want %d", name, w.Code, tt.status)
		}
	}
	if err := open(t, inbox.Config{Store: full{memory(t)}, Handler: none}).Keep(outgoing(t, "/", ""), "1"); !errors.Is(err, delivery.ErrFull) || errors.Is(err, inbox.ErrRefused) {
		t.Errorf("a store that is full: %v", err)
	}
}

// A key that not every store takes is stood for by one that all do, and keeps the
// order.
func TestKeysThatAreNoText(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"\xff", "a\x00b", "plain", strings.Repeat("k", delivery.MaxKey), strings.Repeat("k", delivery.MaxKey+1)} {
		s := memory(t)
		b := open(t, inbox.Config{Store: s, Handler: http.NotFoundHandler(), Key: func(*http.Request) string { return key }})
		if w := call(b, "1", "{}"); w.Code != http.StatusNoContent {
			t.Fatalf("%q: %d", key, w.Code)
		}
		leases, err := s.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: 1, TTL: time.Minute})
		if err != nil || len(leases) != 1 {
			t.Fatalf("%d leases, %v", len(leases), err)
		}
		stays := key[0] == 'p' || key[0] == 'k' && len(key) == delivery.MaxKey
		if got := leases[0].Key; (got == key) != stays || got == "" || len(got) > delivery.MaxKey || strings.ContainsRune(got, 0) || !utf8.ValidString(got) {
			t.Errorf("%q became %q", key, got)
		}
	}
}

// A status that is none must not end a callback, and a panic not flood the log.
func TestStatusesThatAreNone(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		handle func(w http.ResponseWriter)
		state  delivery.State
	}{
		"zero":       {func(w http.ResponseWriter) { w.WriteHeader(0) }, delivery.Pending},
		"two digits": {func(w http.ResponseWriter) { w.WriteHeader(99) }, delivery.Pending},
		"too large":  {func(w http.ResponseWriter) { w.WriteHeader(1000) }, delivery.Pending},
		"the least":  {func(w http.ResponseWriter) { w.WriteHeader(http.StatusContinue); w.WriteHeader(999) }, delivery.Pending},
		"switching":  {func(w http.ResponseWriter) { w.WriteHeader(http.StatusSwitchingProtocols) }, delivery.Dead},
		"much":       {func(http.ResponseWriter) { panic(strings.Repeat("x", 1<<20)) }, delivery.Pending},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := memory(t)
				var log bytes.Buffer
				b := open(t, inbox.Config{
					Store: s, Logger: slog.New(slog.NewTextHandler(&log, nil)), Schedule: delivery.Standard(),
					Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { tt.handle(w) }),
				})
				stop := run(t, b)
				call(b, "1", "{}")
				synctest.Wait()
				stop()
				for st, err := range s.Deliveries(t.Context(), delivery.Filter{}) {
					if err != nil || st.State != tt.state || st.Attempts != 1 {
						t.Errorf("%s after %d attempts, %v", st.State, st.Attempts, err)
					}
				}
				if log.Len() > 32<<10 {
					t.Errorf("%d bytes in the log: %.500s", log.Len(), log.String())
				}
			})
		})
	}
}

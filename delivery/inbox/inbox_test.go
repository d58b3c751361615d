package inbox_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	_ "modernc.org/sqlite"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/inbox"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
)

func byHeader(r *http.Request) (string, bool) {
	id := r.Header.Get("X-Id")
	return id, id != ""
}

func memory(t *testing.T) *memstore.Store {
	t.Helper()
	s, err := memstore.Open(t.Context(), memstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func open(t *testing.T, cfg inbox.Config) *inbox.Inbox {
	t.Helper()
	if cfg.ID == nil {
		cfg.ID = byHeader
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	b, err := inbox.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// run has callbacks handled until the test or the returned function ends it.
func run(t *testing.T, b *inbox.Inbox) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func call(h http.Handler, id, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/hooks/a?b=c%20d", strings.NewReader(body))
	if id != "" {
		r.Header.Set("X-Id", id)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// calls records what a handler was given.
type calls struct {
	mu   sync.Mutex
	list []string
}

func (c *calls) add(s string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list = append(c.list, s)
}

func (c *calls) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.list)
}

func TestTheRequestComesAsItWas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var got *http.Request
		var body []byte
		var cb inbox.Callback
		b := open(t, inbox.Config{Store: memory(t), Drop: []string{"x-token"}, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			got = r
			body, _ = io.ReadAll(r.Body)
			cb, _ = inbox.CallbackFrom(r.Context())
		})})
		stop := run(t, b)
		w := call(b, "1", "\x00body", "Authorization", "Bearer s3cret", "X-Token", "s3cret", "X-Many", "a", "X-Many", "b", "Content-Type", "text/x")
		if w.Code != http.StatusNoContent || w.Body.Len() > 0 {
			t.Fatalf("answered %d %q", w.Code, w.Body)
		}
		synctest.Wait()
		stop()
		switch {
		case got == nil:
			t.Fatal("it was not handled")
		case got.Method != http.MethodPost || got.RequestURI != "/hooks/a?b=c%20d" || got.URL.Path != "/hooks/a" || got.URL.Query().Get("b") != "c d",
			got.Host != "example.com", got.RemoteAddr == "", string(body) != "\x00body", got.Header.Get("Content-Type") != "text/x",
			!slices.Equal(got.Header.Values("X-Many"), []string{"a", "b"}):
			t.Errorf("%s %s %q %v", got.Method, got.RequestURI, body, got.Header)
		case got.Header.Get("Authorization") != "" || got.Header.Get("X-Token") != "":
			t.Errorf("a secret was stored: %v", got.Header)
		case cb.Attempt != 1 || !strings.HasPrefix(cb.ID, "in_") || cb.ReceivedAt.IsZero():
			t.Errorf("%+v", cb)
		}
	})
}

func TestRepeatsAreHandledOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c calls
		b := open(t, inbox.Config{Store: memory(t), Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			c.add(r.Header.Get("X-Id"))
		})})
		stop := run(t, b)
		for _, id := range []string{"1", "1", "2", "a b.c\xff", "1", "a b.c\xff"} {
			if w := call(b, id, "{}"); w.Code != http.StatusNoContent {
				t.Errorf("%q: %d", id, w.Code)
			}
			synctest.Wait()
		}
		stop()
		if got := c.all(); !slices.Equal(got, []string{"1", "2", "a b.c\xff"}) {
			t.Errorf("handled %q", got)
		}
	})
}

func TestFailuresAreTriedAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		first func(w http.ResponseWriter, r *http.Request)
		again bool
		state delivery.State
	}{
		"503":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, true, delivery.Delivered},
		"429":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, true, delivery.Delivered},
		"a panic":    {func(http.ResponseWriter, *http.Request) { panic("no") }, true, delivery.Delivered},
		"an abort":   {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true, delivery.Delivered},
		"late panic": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK); panic("no") }, true, delivery.Delivered},
		"no end":     {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, true, delivery.Delivered},
		"400":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) }, false, delivery.Dead},
		"410":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }, false, delivery.Dead},
		"302":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusFound) }, false, delivery.Dead},
		"nothing":    {func(http.ResponseWriter, *http.Request) {}, false, delivery.Delivered},
		"a body":     {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(bytes.Repeat([]byte("x"), 10_000)) }, false, delivery.Delivered},
		"hints, then 5": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusInternalServerError)
		}, true, delivery.Delivered},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := memory(t)
				n := 0
				b := open(t, inbox.Config{Store: s, Timeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if n++; n == 1 {
						tt.first(w, r)
					}
				})})
				stop := run(t, b)
				call(b, "1", "{}")
				time.Sleep(time.Minute) // virtual
				stop()
				if (n == 2) != tt.again || n < 1 || n > 2 {
					t.Errorf("called %d times", n)
				}
				for st, err := range s.Deliveries(t.Context(), delivery.Filter{}) {
					if err != nil || st.State != tt.state {
						t.Errorf("%s (%s), %v", st.State, st.Reason, err)
					}
				}
			})
		})
	}
}

func TestOrderByKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c calls
		failed := false
		b := open(t, inbox.Config{
			Store: memory(t), Key: func(r *http.Request) string { return strings.Repeat(r.Header.Get("X-Key"), 1000) },
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				id := r.Header.Get("X-Id")
				if id == "a1" && !failed {
					failed = true
					w.WriteHeader(http.StatusInternalServerError)
					return
				}
				c.add(id)
			}),
		})
		for _, id := range []string{"a1", "a2", "b1", "a3"} {
			call(b, id, "{}", "X-Key", id[:1])
		}
		stop := run(t, b)
		time.Sleep(time.Minute) // virtual
		stop()
		if got := c.all(); !slices.Equal(got, []string{"b1", "a1", "a2", "a3"}) {
			t.Errorf("handled %q", got)
		}
	})
}

// What was answered is handled by the next process.
func TestACrashAfterTheAnswer(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "inbox.db")
	handled := make(chan string, 10)
	life := func() (*inbox.Inbox, *sqlitestore.Store) {
		s, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		return open(t, inbox.Config{Store: s, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			handled <- r.Header.Get("X-Id")
		})}), s
	}
	b, s := life()
	if w := call(b, "1", "{}"); w.Code != http.StatusNoContent {
		t.Fatal(w.Code)
	}
	if err := s.Close(); err != nil { // nobody handled it
		t.Fatal(err)
	}
	b, s = life()
	t.Cleanup(func() { s.Close() })
	run(t, b)
	select {
	case id := <-handled:
		if id != "1" {
			t.Errorf("handled %q", id)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("what was answered is lost")
	}
}

type full struct{ *memstore.Store }

func (full) Enqueue(context.Context, time.Time, ...delivery.Delivery) error { return delivery.ErrFull }

func TestRefused(t *testing.T) {
	t.Parallel()
	none := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	b := open(t, inbox.Config{Store: memory(t), Handler: none, MaxBody: 10})
	for name, tt := range map[string]struct {
		id, body string
		header   []string
		status   int
	}{
		"no id":      {"", "{}", nil, http.StatusBadRequest},
		"too large":  {"1", "12345678901", nil, http.StatusRequestEntityTooLarge},
		"many words": {"1", "{}", []string{"X-A", strings.Repeat("a", 40_000)}, http.StatusRequestHeaderFieldsTooLarge},
		"as large":   {"1", "1234567890", nil, http.StatusNoContent},
	} {
		if w := call(b, tt.id, tt.body, tt.header...); w.Code != tt.status {
			t.Errorf("%s: %d, want %d", name, w.Code, tt.status)
		}
	}
	w := call(open(t, inbox.Config{Store: full{memory(t)}, Handler: none}), "1", "{}")
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || strings.Contains(w.Body.String(), "full") {
		t.Errorf("a store that is full: %d %v %q", w.Code, w.Header(), w.Body)
	}
	r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader("a"), broken{}))
	r.Header.Set("X-Id", "2")
	rec := httptest.NewRecorder()
	if b.ServeHTTP(rec, r); rec.Code != http.StatusBadRequest {
		t.Errorf("a body that breaks off: %d", rec.Code)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("reset") }

func TestNewSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	whole := func() inbox.Config {
		return inbox.Config{Store: memory(t), Handler: http.NotFoundHandler(), ID: byHeader}
	}
	for name, tt := range map[string]struct {
		edit func(*inbox.Config)
		want string
	}{
		"store":   {func(c *inbox.Config) { c.Store = nil }, "Config.Store"},
		"handler": {func(c *inbox.Config) { c.Handler = nil }, "Config.Handler"},
		"id":      {func(c *inbox.Config) { c.ID = nil }, "Config.ID"},
		"body":    {func(c *inbox.Config) { c.MaxBody = 1 << 20 }, "too large"},
		"timeout": {func(c *inbox.Config) { c.Timeout = -1 }, "negative"},
	} {
		cfg := whole()
		tt.edit(&cfg)
		if _, err := inbox.New(cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

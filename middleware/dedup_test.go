package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/middleware"
)

// byHeader is an id for tests.
func byHeader(r *http.Request) string { return r.Header.Get("Id") }

func dedup(store middleware.DedupStore) middleware.Dedup {
	return middleware.Dedup{Store: store, ID: byHeader, Logger: quiet}
}

func withID(id, body string) *http.Request {
	r := post("/", "text/plain", body)
	r.Header.Set("Id", id)
	return r
}

func guarded(g middleware.Dedup, h http.HandlerFunc) http.Handler {
	return middleware.Body{Logger: quiet}.Handler(g.Handler(h))
}

func TestDedupReplays(t *testing.T) {
	t.Parallel()
	runs := 0
	g := dedup(&middleware.MemoryDedup{})
	g.Header = []string{"content-type", "X-Kept"}
	h := guarded(g, func(w http.ResponseWriter, _ *http.Request) {
		runs++
		w.Header().Set("Content-Type", "text/x-test")
		w.Header().Set("X-Kept", "kept")
		w.Header().Set("Set-Cookie", "not kept")
		w.WriteHeader(http.StatusAccepted)
		w.Header().Set("X-Kept", "too late")
		fmt.Fprintf(w, "run %d", runs)
	})
	first := serve(t, h, withID("1", "a"))
	again := serve(t, h, withID("1", "a"))
	for _, w := range []*httptest.ResponseRecorder{first, again} {
		got := w.Result().Header
		if w.Code != 202 || w.Body.String() != "run 1" || got.Get("Content-Type") != "text/x-test" || got.Get("X-Kept") != "kept" {
			t.Errorf("%d %q %v", w.Code, w.Body, got)
		}
	}
	if first.Header().Get(middleware.ReplayedHeader) != "" || again.Header().Get(middleware.ReplayedHeader) != "true" || again.Header().Get("Set-Cookie") != "" {
		t.Errorf("marked %v and %v", first.Header(), again.Header())
	}
	if w := serve(t, h, withID("1", "b")); w.Code != 409 {
		t.Errorf("another body: status %d", w.Code)
	}
	if w := serve(t, h, withID("2", "a")); w.Code != 202 || runs != 2 {
		t.Errorf("another id: status %d, %d runs", w.Code, runs)
	}
	// One store, two names: apart, however the parts are cut.
	g.Name, g.ID = "x", func(*http.Request) string { return "1" }
	serve(t, guarded(g, func(http.ResponseWriter, *http.Request) { runs++ }), withID("", "a"))
	if g.Name, g.ID = "", func(*http.Request) string { return "x1" }; runs == 3 {
		serve(t, guarded(g, func(http.ResponseWriter, *http.Request) { runs++ }), withID("", "a"))
	}
	if runs != 4 {
		t.Errorf("%d runs", runs)
	}
}

// TestDedupSettles: which answers are kept, and which release the id.
func TestDedupSettles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		again   bool // the handler runs for the second request, too
		status  int  // of the second answer
		mark    string
	}{
		{"silent", func(http.ResponseWriter, *http.Request) {}, false, 200, "true"},
		{"204", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, false, 204, "true"},
		{"422", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnprocessableEntity) }, false, 422, "true"},
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, true, 500, ""},
		{"429", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, true, 429, ""},
		{"408", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusRequestTimeout) }, true, 408, ""},
		{"425", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooEarly) }, true, 425, ""},
		{"101", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusSwitchingProtocols) }, true, 101, ""},
		{"too long", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 101)) }, false, 200, "status-only"},
		{"long header", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", strings.Repeat("x", 101))
		}, false, 200, "status-only"},
		{"as long as can be", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "x/y")
			_, _ = io.WriteString(w, strings.Repeat("x", 100-len("Content-Typex/y")))
		}, false, 200, "true"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			runs := 0
			g := dedup(&middleware.MemoryDedup{})
			g.MaxAnswer = 100
			h := guarded(g, func(w http.ResponseWriter, r *http.Request) { runs++; tt.handler(w, r) })
			var first, second string
			for i, body := range []*string{&first, &second} {
				w := httptest.NewRecorder()
				h.ServeHTTP(&onceWriter{ResponseRecorder: w, t: t}, withID("1", "a"))
				if *body = w.Body.String(); i == 1 && (w.Code != tt.status || w.Header().Get(middleware.ReplayedHeader) != tt.mark) {
					t.Errorf("status %d, mark %q", w.Code, w.Header().Get(middleware.ReplayedHeader))
				}
			}
			if (runs == 2) != tt.again {
				t.Errorf("%d runs", runs)
			}
			if tt.mark == "true" && second != first || tt.mark == "status-only" && second != "" {
				t.Errorf("second body has %d bytes, first %d", len(second), len(first))
			}
		})
	}
}

func TestDedupPanicReleases(t *testing.T) {
	t.Parallel()
	runs := 0
	inner := guarded(dedup(&middleware.MemoryDedup{}), func(http.ResponseWriter, *http.Request) {
		if runs++; runs == 1 {
			panic("boom")
		}
	})
	h := middleware.Recover{Logger: quiet}.Handler(inner)
	if w := serve(t, h, withID("1", "a")); w.Code != 500 {
		t.Errorf("status %d", w.Code)
	}
	if w := serve(t, h, withID("1", "a")); w.Code != 200 || runs != 2 {
		t.Errorf("status %d, %d runs", w.Code, runs)
	}
}

// TestDedupInProgress: one of 500 requests at once runs, the others are told
// to come back, and then get its answer.
func TestDedupInProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var runs, busy atomic.Int32
		h := guarded(dedup(&middleware.MemoryDedup{}), func(w http.ResponseWriter, _ *http.Request) {
			runs.Add(1)
			time.Sleep(10 * time.Second)
			_, _ = io.WriteString(w, "done")
		})
		var all sync.WaitGroup
		for range 500 {
			all.Go(func() {
				w := serve(t, h, withID("1", "a"))
				if w.Code == 503 && w.Header().Get("Retry-After") == "1" {
					busy.Add(1)
				} else if w.Body.String() != "done" {
					t.Errorf("%d %s", w.Code, w.Body)
				}
			})
		}
		synctest.Wait()
		if w := serve(t, h, withID("1", "b")); w.Code != 409 {
			t.Errorf("another body meanwhile: status %d", w.Code)
		}
		all.Wait()
		if runs.Load() != 1 || busy.Load() != 499 {
			t.Errorf("%d runs, %d busy", runs.Load(), busy.Load())
		}
		if w := serve(t, h, withID("1", "a")); w.Body.String() != "done" || runs.Load() != 1 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// TestDedupLease: a handler's context ends with its lease; a handler that
// goes on all the same cannot replace what its successor answered.
func TestDedupLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		logger, log := captured()
		var runs atomic.Int32
		g := dedup(&middleware.MemoryDedup{})
		g.Lease, g.Logger = 5*time.Second, logger
		h := guarded(g, func(w http.ResponseWriter, r *http.Request) {
			if runs.Add(1) == 1 {
				start := time.Now()
				<-r.Context().Done()
				if took := time.Since(start); took != 5*time.Second {
					t.Errorf("the context ends after %v", took)
				}
				time.Sleep(10 * time.Second)
			}
			fmt.Fprintf(w, "run %d", runs.Load())
		})
		var all sync.WaitGroup
		all.Go(func() { serve(t, h, withID("1", "a")) })
		time.Sleep(6 * time.Second)
		for range 2 {
			if w := serve(t, h, withID("1", "a")); w.Body.String() != "run 2" {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		}
		all.Wait()
		if w := serve(t, h, withID("1", "a")); w.Body.String() != "run 2" || runs.Load() != 2 {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		if !strings.Contains(log.String(), "claim lost") {
			t.Errorf("log %q", log)
		}
	})
}

// TestDedupClientLeaves: what was handled is remembered although nobody waits
// for the answer.
func TestDedupClientLeaves(t *testing.T) {
	t.Parallel()
	ctx, leave := context.WithCancel(t.Context())
	runs := 0
	h := guarded(dedup(&brokenStore{}), func(w http.ResponseWriter, _ *http.Request) {
		runs++
		leave()
		_, _ = io.WriteString(w, "done")
	})
	serve(t, h, withID("1", "a").WithContext(ctx))
	if w := serve(t, h, withID("1", "a")); w.Body.String() != "done" || runs != 1 {
		t.Errorf("%d %s, %d runs", w.Code, w.Body, runs)
	}
}

// leftWriter fails after some bytes, as when the client has left.
type leftWriter struct{ discard }

func (leftWriter) Write(b []byte) (int, error) { return len(b) / 2, io.ErrClosedPipe }

// TestDedupBrokenAnswer: half an answer is not given out as a whole one.
func TestDedupBrokenAnswer(t *testing.T) {
	t.Parallel()
	h := guarded(dedup(&middleware.MemoryDedup{}), func(w http.ResponseWriter, _ *http.Request) {
		if _, err := io.WriteString(w, "half"); err == nil {
			_, _ = io.WriteString(w, " of it")
		}
	})
	h.ServeHTTP(leftWriter{discard{http.Header{}}}, withID("1", "a"))
	if w := serve(t, h, withID("1", "a")); w.Code != 200 || w.Body.Len() != 0 || w.Header().Get(middleware.ReplayedHeader) != "status-only" {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
}

// brokenStore fails what it is told to.
type brokenStore struct {
	middleware.MemoryDedup

	claim, settle error
}

func (s *brokenStore) Claim(ctx context.Context, c middleware.DedupClaim) (middleware.DedupResult, error) {
	if s.claim != nil {
		return middleware.DedupResult{State: middleware.DedupClaimed}, s.claim
	}
	return s.MemoryDedup.Claim(ctx, c)
}

func (s *brokenStore) Commit(ctx context.Context, key middleware.DedupKey, token middleware.DedupToken, a middleware.DedupAnswer, r middleware.DedupRetention) error {
	if err := errors.Join(s.settle, ctx.Err()); err != nil {
		return err
	}
	return s.MemoryDedup.Commit(ctx, key, token, a, r)
}

func TestDedupFailure(t *testing.T) {
	t.Parallel()
	broken := errors.New("no connection")
	open := dedup(&brokenStore{claim: broken})
	open.FailOpen = true
	fullAndOpen := dedup(&brokenStore{claim: middleware.ErrFull})
	fullAndOpen.FailOpen, fullAndOpen.RetryAfter = true, 7*time.Second
	logger, log := captured()
	open.Logger = logger
	noID := dedup(&middleware.MemoryDedup{})
	noID.ID = middleware.ByMessage
	noID.FailOpen = true
	for _, tt := range []struct {
		name   string
		gate   middleware.Dedup
		status int
		retry  string
	}{
		{"closed", dedup(&brokenStore{claim: broken}), 503, ""},
		{"open on request", open, 200, ""},
		{"full", dedup(&brokenStore{claim: middleware.ErrFull}), 503, "1"},
		{"full, open on request", fullAndOpen, 503, "7"},
		{"the outcome is lost", dedup(&brokenStore{settle: broken}), 200, ""},
		{"no identity", noID, 500, ""},
	} {
		runs := 0
		w := serve(t, guarded(tt.gate, func(http.ResponseWriter, *http.Request) { runs++ }), withID("1", "a"))
		if w.Code != tt.status || w.Header().Get("Retry-After") != tt.retry || (runs == 1) != (tt.status == 200) {
			t.Errorf("%s: status %d, Retry-After %q, %d runs", tt.name, w.Code, w.Header().Get("Retry-After"), runs)
		}
	}
	if !strings.Contains(log.String(), "the request passes") {
		t.Errorf("log %q", log)
	}
	if w := serve(t, dedup(&middleware.MemoryDedup{}).Handler(ok), withID("1", "a")); w.Code != 500 {
		t.Errorf("no Body gate: status %d", w.Code)
	}
	if _, _, err := (middleware.Dedup{}).Check(withID("1", "a")); !errors.Is(err, middleware.ErrConfig) {
		t.Errorf("zero value: %v", err)
	}
}

// TestDedupCutBody: a client that leaves in the middle of its body claims
// nothing.
func TestDedupCutBody(t *testing.T) {
	t.Parallel()
	store := &middleware.MemoryDedup{}
	r := httptest.NewRequest(http.MethodPost, "/", io.MultiReader(strings.NewReader("ab"), errReader{}))
	r.Header.Set("Id", "1")
	if w := serve(t, guarded(dedup(store), ok), r); w.Code != 400 || store.Len() != 0 {
		t.Errorf("status %d, %d ids", w.Code, store.Len())
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

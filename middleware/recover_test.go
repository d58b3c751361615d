package middleware_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringback-go/ringback/middleware"
)

func TestRecover(t *testing.T) {
	t.Parallel()
	logger, text := captured()
	calls := 0
	h := middleware.Recover{Logger: logger, Deny: func(w http.ResponseWriter, r *http.Request, err error) {
		if calls++; !errors.Is(err, middleware.ErrPanic) || strings.Contains(err.Error(), "boom") {
			t.Errorf("cause %v", err)
		}
		middleware.Problem(w, r, err)
	}}.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Set-Cookie", "of the answer")
		w.Header().Set("Content-Length", "5")
		w.Header().Set("X-Request", "1")
		w.WriteHeader(http.StatusEarlyHints) // no answer yet
		panic(fmt.Errorf("boom\n%s", strings.Repeat("x", 5000)))
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(&hints{w}, post("/", "", ""))
	if w.Code != 500 || calls != 1 || w.Header().Get("Set-Cookie") != "" || w.Header().Get("X-Request") != "1" || strings.Contains(w.Body.String(), "boom") {
		t.Errorf("%d %s, %d calls, %v", w.Code, w.Body, calls, w.Header())
	}
	line := text.String()
	if strings.Count(line, "\n") != 1 || !strings.Contains(line, "boom") || !strings.Contains(line, "recover_test.go") || strings.Contains(line, strings.Repeat("x", 2000)) {
		t.Errorf("log %q", line)
	}
	if w := serve(t, middleware.Recover{}.Handler(ok), post("/", "", "x")); w.Body.String() != "x" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// framesWhoseNamesAreSoLongThatAHundredOfThemDoNotFitIntoTheBoundOfWhatIsLoggedOfAStackThatWasLeft recurses.
type framesWhoseNamesAreSoLongThatAHundredOfThemDoNotFitIntoTheBoundOfWhatIsLoggedOfAStackThatWasLeft int

func (f framesWhoseNamesAreSoLongThatAHundredOfThemDoNotFitIntoTheBoundOfWhatIsLoggedOfAStackThatWasLeft) fall() {
	if f == 0 {
		panic("deep")
	}
	(f - 1).fall()
}

// TestRecoverBoundsTheStack: a deep recursion is one line of a bounded length.
func TestRecoverBoundsTheStack(t *testing.T) {
	t.Parallel()
	logger, text := captured()
	h := middleware.Recover{Logger: logger}.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		framesWhoseNamesAreSoLongThatAHundredOfThemDoNotFitIntoTheBoundOfWhatIsLoggedOfAStackThatWasLeft(1000).fall()
	}))
	if w := serve(t, h, post("/", "", "")); w.Code != 500 || text.Len() < 16<<10 || text.Len() > 18<<10 {
		t.Errorf("status %d, %d bytes were logged", w.Code, text.Len())
	}
}

// hints is a ResponseWriter that knows informational answers, as the server's
// does.
type hints struct{ *httptest.ResponseRecorder }

func (h *hints) WriteHeader(status int) {
	if status >= 200 {
		h.ResponseRecorder.WriteHeader(status)
	}
}

// TestRecoverOnTheWire: the server lives; an answer that had begun is seen to
// be broken.
func TestRecoverOnTheWire(t *testing.T) {
	t.Parallel()
	logger, text := captured()
	var ended sync.WaitGroup // with what is logged behind the client's back
	inner := middleware.Recover{Logger: logger}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		switch r.URL.Path {
		case "/deadline":
			if err := rc.SetReadDeadline(time.Now().Add(time.Hour)); err != nil {
				t.Errorf("SetReadDeadline: %v", err)
			}
		case "/written":
			_, _ = io.WriteString(w, "half")
		case "/flushed":
			if err := rc.Flush(); err != nil {
				t.Errorf("Flush: %v", err)
			}
		case "/flusher":
			w.(http.Flusher).Flush()
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/hijacked":
			conn, _, err := rc.Hijack()
			if err != nil {
				t.Errorf("Hijack: %v", err)
				return
			}
			defer conn.Close()
		case "/fine":
			return
		}
		panic("boom")
	}))
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer ended.Done()
		inner.ServeHTTP(w, r)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	defer srv.Close()
	srv.Client().Transport.(*http.Transport).DisableKeepAlives = true // each request has a fresh connection
	for path, status := range map[string]int{"/": 500, "/deadline": 500, "/written": 0, "/flushed": 0, "/flusher": 0, "/abort": 0, "/hijacked": 0, "/fine": 200} {
		got := 0
		ended.Add(1)
		resp, err := srv.Client().Do(must(http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+path, nil)))
		if err == nil {
			if _, err = io.Copy(io.Discard, resp.Body); err == nil {
				got = resp.StatusCode
			}
			resp.Body.Close()
		}
		if got != status {
			t.Errorf("%s: status %d, want %d (0: broken)", path, got, status)
		}
	}
	ended.Wait()
	if n := strings.Count(text.String(), "the handler panicked"); n != 6 {
		t.Errorf("%d panics in the log, want 6", n)
	}
}

// TestRecoverOutsideBody: the server still closes the connection behind a body
// that is too long, although it could read a short one to its end.
func TestRecoverOutsideBody(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(middleware.Recover{}.Handler(middleware.Body{Limit: 10, Logger: quiet}.Handler(ok)))
	defer srv.Close()
	body := io.MultiReader(strings.NewReader(strings.Repeat("a", 100)))
	resp, err := srv.Client().Do(must(http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, body)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge || !resp.Close {
		t.Errorf("status %d, close %v", resp.StatusCode, resp.Close)
	}
}

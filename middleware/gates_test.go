package middleware_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/verify"
)

func TestMethod(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		gate   middleware.Method
		method string
		status int
		allow  string
	}{
		{"zero value, POST", middleware.Method{Logger: quiet}, "POST", 200, ""},
		{"zero value, GET", middleware.Method{Logger: quiet}, "GET", 405, "POST"},
		{"listed", middleware.Method{Allow: []string{"GET", "POST"}, Logger: quiet}, "GET", 200, ""},
		{"not listed", middleware.Method{Allow: []string{"GET", "POST"}, Logger: quiet}, "DELETE", 405, "GET, POST"},
		{"lower case", middleware.Method{Logger: quiet}, "post", 405, "POST"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(tt.method, "/", nil)
			r.Header.Set("X-HTTP-Method-Override", "POST")
			w := serve(t, tt.gate.Handler(ok), r)
			if w.Code != tt.status || w.Header().Get("Allow") != tt.allow {
				t.Errorf("status %d, Allow %q", w.Code, w.Header().Get("Allow"))
			}
			if err := tt.gate.Check(r); middleware.Status(err) != tt.status {
				t.Errorf("Check: %v", err)
			}
		})
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	for query, status := range map[string]int{"": 200, "a=1&b=%20": 200, "a=1;b=2": 400, "a=%zz": 400, "a=%4": 400, "a=%3B": 200} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.URL.RawQuery = query
		if w := serve(t, middleware.Query{Logger: quiet}.Handler(ok), r); w.Code != status {
			t.Errorf("%q: status %d, want %d", query, w.Code, status)
		}
	}
}

func TestBody(t *testing.T) {
	t.Parallel()
	gate := middleware.Body{Limit: 10, Logger: quiet}
	unread := iotest.ErrReader(errors.New("the body was read"))
	tests := []struct {
		name     string
		length   int64
		body     io.Reader
		encoding []string
		status   int
		want     string
	}{
		{"short", 3, strings.NewReader("abc"), nil, 200, "abc"},
		{"exact", 10, strings.NewReader("0123456789"), nil, 200, "0123456789"},
		{"exact, chunked", -1, strings.NewReader("0123456789"), nil, 200, "0123456789"},
		{"byte by byte", -1, iotest.OneByteReader(strings.NewReader("0123456789")), nil, 200, "0123456789"},
		{"data with the end", -1, iotest.DataErrReader(strings.NewReader("abc")), nil, 200, "abc"},
		{"empty", 0, http.NoBody, nil, 200, ""},
		{"announced over the limit", 11, unread, nil, 413, ""},
		{"chunked over the limit", -1, strings.NewReader("0123456789a"), nil, 413, ""},
		{"longer than announced", 3, strings.NewReader("0123456789a"), nil, 413, ""},
		{"broken off", -1, iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("abc"))), nil, 400, ""},
		{"cut short", 5, io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(io.ErrUnexpectedEOF)), nil, 400, ""},
		{"identity", 3, strings.NewReader("abc"), []string{"Identity"}, 200, "abc"},
		{"gzip", 3, unread, []string{"gzip"}, 415, ""},
		{"two codings", 3, unread, []string{"identity, br"}, 415, ""},
		{"two lines", 3, unread, []string{"identity", "gzip"}, 415, ""},
		{"empty coding", 3, unread, []string{""}, 415, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodPost, "/", tt.body)
			r.ContentLength = tt.length
			r.Header["Content-Encoding"] = tt.encoding
			before := r.Body
			h := gate.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if raw, found := middleware.RawBody(r); !found || string(raw) != tt.want || r.ContentLength != int64(len(raw)) {
					t.Errorf("RawBody %q, %v", raw, found)
				}
				ok(w, r)
			}))
			w := serve(t, h, r)
			if w.Code != tt.status || tt.status == 200 && w.Body.String() != tt.want {
				t.Errorf("status %d, body %q", w.Code, w.Body)
			}
			if r.Body != before || r.ContentLength != tt.length {
				t.Error("the gate changed the request of the caller")
			}
		})
	}
	if _, found := middleware.RawBody(httptest.NewRequest(http.MethodPost, "/", nil)); found {
		t.Error("RawBody without a gate")
	}
}

func TestBodyTwice(t *testing.T) {
	t.Parallel()
	var outer []byte
	inner := middleware.Body{Limit: 4, Logger: quiet}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if raw, _ := middleware.RawBody(r); &raw[0] != &outer[0] {
			t.Error("there are two buffers")
		}
		ok(w, r)
	}))
	h := middleware.Body{Logger: quiet}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		outer, _ = middleware.RawBody(r)
		inner.ServeHTTP(w, r)
	}))
	if w := serve(t, h, post("/", "", "abcd")); w.Code != 200 || w.Body.String() != "abcd" {
		t.Errorf("status %d, body %q", w.Code, w.Body)
	}
	if w := serve(t, h, post("/", "", "abcde")); w.Code != 413 {
		t.Errorf("status %d, want the inner limit", w.Code)
	}
}

// TestBodyOfAnotherRequest: a request that has the context of one whose body
// was read is not taken for it.
func TestBodyOfAnotherRequest(t *testing.T) {
	t.Parallel()
	inner := middleware.Body{Logger: quiet}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if raw, _ := middleware.RawBody(r); string(raw) != "inner" {
			t.Errorf("RawBody is %q", raw)
		}
		if id, found := middleware.IdentityFrom(r.Context()); found {
			t.Errorf("the other's identity is %+v", id)
		}
		ok(w, r)
	}))
	h := middleware.Chain(middleware.Body{}.Handler, middleware.AppID{Apps: apps()}.Handler)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner.ServeHTTP(w, post("/", "", "inner").WithContext(r.Context()))
		if raw, _ := middleware.RawBody(r); string(raw) != "outer" {
			t.Errorf("RawBody became %q", raw)
		}
	}))
	if w := serve(t, h, post("/?SdkAppid=1400000001", "", "outer")); w.Code != 200 || w.Body.String() != "inner" {
		t.Errorf("%d %q", w.Code, w.Body)
	}
}

// countingReader is endless, and knows how much of it was taken.
type countingReader struct{ n int }

func (c *countingReader) Read(p []byte) (int, error) {
	c.n += len(p)
	return len(p), nil
}

// TestBodyReadsNoMoreThanItsLimit: one byte over the limit is enough to know.
func TestBodyReadsNoMoreThanItsLimit(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{1, 511, 512, 513, 70_001} {
		for _, announced := range []int64{-1, 1} {
			src := &countingReader{}
			r := httptest.NewRequest(http.MethodPost, "/", src)
			r.ContentLength = announced
			if w := serve(t, middleware.Body{Limit: limit, Logger: quiet}.Handler(ok), r); w.Code != 413 || int64(src.n) != limit+1 {
				t.Errorf("limit %d, announced %d: status %d, %d bytes were read", limit, announced, w.Code, src.n)
			}
		}
	}
	huge := middleware.Body{Limit: math.MaxInt64, Logger: quiet}.Handler(ok)
	if w := serve(t, huge, post("/", "", "abc")); w.Code != 200 || w.Body.String() != "abc" {
		t.Errorf("without a limit: %d %q", w.Code, w.Body)
	}
}

// TestBodyAgain: the second r.Body is as good as the first.
func TestBodyAgain(t *testing.T) {
	t.Parallel()
	h := middleware.Body{}.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := iotest.TestReader(r.Body, []byte("the whole body")); err != nil {
			t.Error(err)
		}
		if n, err := io.Copy(io.Discard, r.Body); n != 0 || err != nil {
			t.Errorf("behind its end: %d, %v", n, err)
		}
	}))
	serve(t, h, post("/", "", "the whole body"))
	h = middleware.Body{}.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var head [4]byte
		var rest strings.Builder
		_, err := io.ReadFull(r.Body, head[:])
		n, copyErr := io.Copy(&rest, r.Body)
		if err != nil || copyErr != nil || n != 10 || string(head[:])+rest.String() != "the whole body" || r.Body.Close() != nil {
			t.Errorf("%q, %q, %d, %v, %v", head, rest.String(), n, err, copyErr)
		}
	}))
	serve(t, h, post("/", "", "the whole body"))
}

// TestBodyOverNetwork: the limit holds for real chunked bodies, and the
// server closes the connection instead of reading on.
func TestBodyOverNetwork(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(middleware.Body{Logger: quiet}.Handler(ok))
	defer srv.Close()
	for size, status := range map[int]int{65536: 200, 65537: 413, 1 << 20: 413} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, io.MultiReader(strings.NewReader(strings.Repeat("a", size))))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		n, _ := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != status || status == 200 && n != int64(size) || status == 413 && !resp.Close {
			t.Errorf("%d bytes: status %d, %d bytes back, close %v", size, resp.StatusCode, n, resp.Close)
		}
	}
}

func TestAppID(t *testing.T) {
	t.Parallel()
	h := middleware.AppID{Apps: apps(), Logger: quiet}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := middleware.IdentityFrom(r.Context())
		_, _ = io.WriteString(w, id.Subject)
	}))
	if w := serve(t, h, post("/?SdkAppid=1400000002", "", "")); w.Code != 200 || w.Body.String() != "1400000002" {
		t.Errorf("status %d, identity %q", w.Code, w.Body)
	}
	for _, query := range []string{"", "SdkAppid=1", "SdkAppid=1400000001&SdkAppid=1400000001", "sdkappid=1400000001"} {
		if w := serve(t, h, post("/?"+query, "", "")); w.Code != 401 {
			t.Errorf("%q: status %d", query, w.Code)
		}
	}
	mustPanic(t, "AppID: no Apps", func() { middleware.AppID{Logger: quiet}.Handler(ok) })
	if _, err := (middleware.AppID{}).Check(post("/?SdkAppid=1400000001", "", "")); middleware.Status(err) != 500 {
		t.Errorf("zero value: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Verify(context.Context, verify.Message) (verify.Identity, error) {
	return verify.Identity{}, f.err
}

func TestSignature(t *testing.T) {
	t.Parallel()
	body := middleware.Body{Logger: quiet}.Handler
	good := middleware.Signature{Verifier: tencent(), Now: then, Logger: quiet}
	for _, tt := range []struct {
		name   string
		h      http.Handler
		target string
		status int
	}{
		{"good", body(good.Handler(ok)), tencentURL, 200},
		{"bad", body(good.Handler(ok)), strings.Replace(tencentURL, "1777", "1778", 1), 401},
		{"own clock is late", body(middleware.Signature{Verifier: tencent(), Logger: quiet}.Handler(ok)), tencentURL, 401},
		{"no Body gate", good.Handler(ok), tencentURL, 500},
		{"look-up failed", body(middleware.Signature{Verifier: failing{verify.ErrLookup}, Logger: quiet}.Handler(ok)), "/", 503},
		{"foreign error", body(middleware.Signature{Verifier: failing{errors.New("no")}, Logger: quiet}.Handler(ok)), "/", 401},
		{"time ran out", body(middleware.Signature{Verifier: failing{context.DeadlineExceeded}, Logger: quiet}.Handler(ok)), "/", 503},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if w := serve(t, tt.h, post(tt.target, "", "x")); w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
		})
	}
	if _, err := (middleware.Signature{}).Check(post("/", "", "")); !errors.Is(err, middleware.ErrConfig) {
		t.Errorf("zero value: %v", err)
	}
	logger, text := captured()
	serve(t, middleware.Signature{Verifier: tencent(), Now: then, Logger: logger}.Handler(ok), post(tencentURL, "", ""))
	if !strings.Contains(text.String(), "put a Body gate outside") {
		t.Errorf("log %q", text)
	}
}

func TestSignatureMergesIdentity(t *testing.T) {
	t.Parallel()
	if _, found := middleware.IdentityFrom(t.Context()); found {
		t.Error("an identity out of nothing")
	}
	h := middleware.Chain(middleware.Body{}.Handler, middleware.AppID{Apps: apps()}.Handler, middleware.Signature{Verifier: tencent(), Now: then}.Handler)
	serve(t, h(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id, found := middleware.IdentityFrom(r.Context())
		if want := (verify.Identity{Scheme: "tencent-sign", Subject: "1400000001", Key: "console"}); !found || id != want {
			t.Errorf("identity %+v, want %+v", id, want)
		}
		if key := middleware.ByIdentity(r); key != "1400000001" {
			t.Errorf("ByIdentity = %q", key)
		}
	})), post(tencentURL, "", ""))
}

type fixed verify.Identity

func (f fixed) Verify(context.Context, verify.Message) (verify.Identity, error) {
	return verify.Identity(f), nil
}

// TestIdentityKeepsWhatIsKnown: a scheme that does not know a part leaves what
// an outer one proved; the last one that knows it counts.
func TestIdentityKeepsWhatIsKnown(t *testing.T) {
	t.Parallel()
	sign := func(id verify.Identity) middleware.Middleware {
		return middleware.Signature{Verifier: fixed(id)}.Handler
	}
	h := middleware.Chain(middleware.Body{}.Handler,
		sign(verify.Identity{Scheme: "a", Subject: "s", Key: "k", MessageID: "m"}), sign(verify.Identity{Scheme: "b"}),
		sign(verify.Identity{Scheme: "c", Key: "k2"}))
	serve(t, h(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		id, _ := middleware.IdentityFrom(r.Context())
		if want := (verify.Identity{Scheme: "c", Subject: "s", Key: "k2", MessageID: "m"}); id != want {
			t.Errorf("identity %+v, want %+v", id, want)
		}
	})), post("/", "", ""))
}

func TestSecret(t *testing.T) {
	t.Parallel()
	serverKey := []byte("0123456789abcdef")
	secret := must(verify.NewSecret(serverKey, func(_ context.Context, params url.Values) (string, verify.Digest, bool, error) {
		return params.Get("group"), verify.CodeDigest(serverKey, "DEMO-CODE"), params.Get("group") == "g", nil
	}))
	h := middleware.Body{Logger: quiet}.Handler(middleware.Secret{Secret: secret, Logger: quiet}.Handler(ok))
	const form = "application/x-www-form-urlencoded"
	for body, status := range map[string]int{
		"group=g&secret=DEMO-CODE": 200, "group=g&secret=x": 401, "group=h&secret=DEMO-CODE": 401, "group=g": 401,
		"group=g&secret=DEMO-CODE&secret=DEMO-CODE": 401, "group=g&secret_sha1=3AF691611D1FD4CCF7947B077F2E660513E2AEBB": 200,
	} {
		if w := serve(t, h, post("/", form, body)); w.Code != status {
			t.Errorf("%q: status %d, want %d", body, w.Code, status)
		}
	}
	mustPanic(t, "Secret: the verifier has no keys", func() { middleware.Secret{Logger: quiet}.Handler(ok) })
	zero := middleware.Body{Logger: quiet}.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, err := (middleware.Secret{}).Check(r); middleware.Status(err) != 500 {
			t.Errorf("zero value: %v", err)
		}
	}))
	serve(t, zero, post("/", form, "group=g&secret=DEMO-CODE"))
	if w := serve(t, middleware.Secret{Secret: secret, Logger: quiet}.Handler(ok), post("/", form, "")); w.Code != 500 {
		t.Errorf("no Body gate: status %d", w.Code)
	}
	if _, err := (middleware.Secret{Secret: secret}).Check(post("/", form, "")); !errors.Is(err, middleware.ErrConfig) {
		t.Errorf("Check without a Body gate: %v", err)
	}
}

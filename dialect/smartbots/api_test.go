package smartbots_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/dialect/smartbots"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/verify"
)

// attemptedCall is a POST that can be broken in several ways at once.
type attemptedCall struct {
	method, contentType string
	form                url.Values
	tail                string
}

// breaks are all ways to break a call, in the order in which they are
// answered.
var breaks = []struct {
	name   string
	status int
	text   string
	do     func(*world, *attemptedCall)
}{
	{"method", 405, "METHOD NOT ALLOWED", func(_ *world, c *attemptedCall) { c.method = http.MethodPut }},
	{"media type", 415, "UNSUPPORTED MEDIA TYPE", func(_ *world, c *attemptedCall) { c.contentType = "text/plain" }},
	{"size", 413, "REQUEST ENTITY TOO LARGE", func(_ *world, c *attemptedCall) { c.tail += "&x=" + strings.Repeat("x", 64<<10) }},
	{"escape", 400, "BAD REQUEST", func(_ *world, c *attemptedCall) { c.tail += "&x=%zz" }},
	{"action twice", 200, "BAD PARAMETER action", func(_ *world, c *attemptedCall) { c.tail += "&action=a&action=a" }},
	{"apikey twice", 200, "ACCESS DENIED", func(_ *world, c *attemptedCall) { c.tail += "&apikey=a&apikey=a" }},
	{"secret twice", 200, "ACCESS DENIED", func(_ *world, c *attemptedCall) { c.tail += "&secret=&secret=" }},
	{"secret_sha1 twice", 200, "ACCESS DENIED", func(_ *world, c *attemptedCall) { c.tail += "&%73ecret_sha1=&secret_sha1=" }},
	{"group twice", 200, "BAD PARAMETER group", func(_ *world, c *attemptedCall) { c.tail += "&group=a&group=a" }},
	{"app_name twice", 200, "BAD PARAMETER app_name", func(_ *world, c *attemptedCall) { c.tail += "&app_name=a&app_name=a" }},
	{"app_uuid twice", 200, "BAD PARAMETER app_uuid", func(_ *world, c *attemptedCall) { c.tail += "&app_uuid=a&app_uuid=a" }},
	{"url twice", 200, "BAD PARAMETER url", func(_ *world, c *attemptedCall) { c.tail += "&url=a&url=a" }},
	{"unknown parameter twice", 200, "BAD PARAMETER foo", func(_ *world, c *attemptedCall) { c.tail += "&foo=1&bar=1&f%6fo=2" }},
	{"no action", 200, "MISSING PARAMETER action", func(_ *world, c *attemptedCall) { c.form.Del("action") }},
	{"unknown action", 200, "UNKNOWN ACTION", func(_ *world, c *attemptedCall) { c.form.Set("action", "invite") }},
	{"no apikey", 200, "MISSING PARAMETER apikey", func(_ *world, c *attemptedCall) { c.form.Set("apikey", "") }},
	{"no code", 200, "ACCESS DENIED", func(_ *world, c *attemptedCall) { c.form.Del("secret") }},
	{"no group", 200, "MISSING PARAMETER group", func(_ *world, c *attemptedCall) { c.form.Del("group") }},
	{"no app_name", 200, "MISSING PARAMETER app_name", func(_ *world, c *attemptedCall) { c.form.Del("app_name") }},
	{"no app_uuid", 200, "MISSING PARAMETER app_uuid", func(_ *world, c *attemptedCall) { c.form.Del("app_uuid") }},
	{"no url", 200, "MISSING PARAMETER url", func(_ *world, c *attemptedCall) { c.form.Set("url", "") }},
	{"wrong code", 200, "ACCESS DENIED", func(_ *world, c *attemptedCall) { c.form.Set("secret", "x") }},
	{"bad app_name", 200, "BAD PARAMETER app_name", func(_ *world, c *attemptedCall) { c.form.Set("app_name", "a\tb") }},
	{"bad app_uuid", 200, "BAD PARAMETER app_uuid", func(_ *world, c *attemptedCall) { c.form.Set("app_uuid", "x") }},
	{"long url", 200, "BAD URL length", func(_ *world, c *attemptedCall) {
		c.form.Set("url", "http://inside.example.com/"+strings.Repeat("x", 2000))
	}},
	{"bad url", 200, "BAD URL scheme", func(_ *world, c *attemptedCall) { c.form.Set("url", "http://inside.example.com/") }},
	{"refused address", 200, "URL NOT AVAILABLE", func(_ *world, c *attemptedCall) { c.form.Set("url", "https://inside.example.com/") }},
	{"store away", 503, "SERVICE UNAVAILABLE", func(w *world, _ *attemptedCall) { w.registry.err = errors.New("away") }},
}

// TestOrder breaks a call in every way, and in every two ways at once: the
// first in order is answered.
func TestOrder(t *testing.T) {
	t.Parallel()
	for i, first := range breaks {
		for _, second := range breaks[i:] {
			t.Run(first.name+", "+second.name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, nil)
				c := attemptedCall{http.MethodPost, "application/x-www-form-urlencoded", demoCall(), ""}
				second.do(w, &c)
				if second.name != first.name {
					first.do(w, &c)
				}
				r := httptest.NewRequestWithContext(t.Context(), c.method, "/api/simple.html", strings.NewReader(c.form.Encode()+c.tail))
				r.Header.Set("Content-Type", c.contentType)
				got := w.serve(r)
				if got.status != first.status || got.body != failReply(first.text) {
					t.Errorf("%d %s, want %d %s", got.status, got.body, first.status, first.text)
				}
				if n := len(w.subscriptions(t)); n != 0 {
					t.Errorf("%d subscriptions stored", n)
				}
				if first.status == 405 && got.header.Get("Allow") != "GET, POST" {
					t.Errorf("Allow %q", got.header.Get("Allow"))
				}
			})
		}
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	long := "https://hooks.example.com/" + strings.Repeat("x", 2000-len("https://hooks.example.com/"))
	tests := []struct {
		name    string
		changes []string
		want    string // resulttext, "" is OK
	}{
		{"the usual", nil, ""},
		{"code by SHA-1", []string{"secret", "", "secret_sha1", demoSHA1}, ""},
		{"code by SHA-1 in capitals", []string{"secret", "", "secret_sha1", strings.ToUpper(demoSHA1)}, ""},
		{"both", []string{"secret_sha1", demoSHA1}, ""},
		{"an empty SHA-1 beside the code", []string{"secret_sha1", ""}, ""},
		{"both, one wrong", []string{"secret", "x", "secret_sha1", demoSHA1}, "ACCESS DENIED"},
		{"SHA-1 as code", []string{"secret", demoSHA1}, "ACCESS DENIED"},
		{"another group's code", []string{"group", "Tea Club"}, "ACCESS DENIED"},
		{"unknown group", []string{"group", "Nobody"}, "ACCESS DENIED"},
		{"group by its ID", []string{"group", "my-group"}, "ACCESS DENIED"},
		{"group name of 1,000 bytes", []string{"group", strings.Repeat("g", 1000)}, "ACCESS DENIED"},
		{"group name with NUL", []string{"group", "My Group Name\x00"}, "ACCESS DENIED"},
		{"wrong key", []string{"apikey", "DEMO-APIKE"}, "ACCESS DENIED"},
		{"action in capitals", []string{"action", "SET_HTTP_CALLBACK"}, "UNKNOWN ACTION"},
		{"unknown parameters", []string{"x", "1", "result", "2"}, ""},
		{"name of 100 characters", []string{"app_name", strings.Repeat("й", 100)}, ""},
		{"name of 101 characters", []string{"app_name", strings.Repeat("й", 101)}, "BAD PARAMETER app_name"},
		{"name with DEL", []string{"app_name", "a\x7f"}, "BAD PARAMETER app_name"},
		{"name with a C1 control", []string{"app_name", "a\u0085"}, "BAD PARAMETER app_name"},
		{"name not UTF-8", []string{"app_name", "a\xff"}, "BAD PARAMETER app_name"},
		{"UUID in capitals", []string{"app_uuid", strings.ToUpper(demoUUID)}, ""},
		{"UUID in braces", []string{"app_uuid", "{" + demoUUID + "}"}, "BAD PARAMETER app_uuid"},
		{"UUID without dashes", []string{"app_uuid", strings.ReplaceAll(demoUUID, "-", "")}, "BAD PARAMETER app_uuid"},
		{"UUID with another letter", []string{"app_uuid", "g" + demoUUID[1:]}, "BAD PARAMETER app_uuid"},
		{"UUID with a control character", []string{"app_uuid", "\x19" + demoUUID[1:]}, "BAD PARAMETER app_uuid"},
		{"UUID with CR for a dash", []string{"app_uuid", strings.Replace(demoUUID, "-", "\r", 1)}, "BAD PARAMETER app_uuid"},
		{"UUID with dashes elsewhere", []string{"app_uuid", "3c52594-9fdb7-4ab6-b5c2-bf3b4c5145be"}, "BAD PARAMETER app_uuid"},
		{"URL of 2,000 characters", []string{"url", long}, ""},
		{"URL of 2,001 characters", []string{"url", long + "x"}, "BAD URL length"},
		{"userinfo", []string{"url", "https://a@hooks.example.com/"}, "BAD URL userinfo"},
		{"no host", []string{"url", "https:///"}, "BAD URL host"},
		{"zone", []string{"url", "https://[fe80::1%25eth0]/"}, "BAD URL host"},
		{"port", []string{"url", "https://hooks.example.com:22/"}, "BAD URL port"},
		{"address", []string{"url", "https://10.0.0.1/"}, "BAD URL address"},
		{"fragment", []string{"url", "https://hooks.example.com/#x"}, "BAD URL syntax"},
		{"escape in the URL", []string{"url", "https://hooks.example.com/%zz"}, "BAD URL syntax"},
		{"no such name", []string{"url", "https://nobody.example.com/"}, "URL NOT AVAILABLE"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			want := okReply
			if tt.want != "" {
				want = failReply(tt.want)
			}
			got := w.register(t, tt.changes...)
			if got.status != http.StatusOK || got.body != want {
				t.Errorf("%d %s, want %s", got.status, got.body, want)
			}
			if ct, cc := got.header.Get("Content-Type"), got.header.Get("Cache-Control"); ct != "application/json" || cc != "no-store" {
				t.Errorf("Content-Type %q, Cache-Control %q", ct, cc)
			}
			if stored := len(w.subscriptions(t)) == 1; stored != (tt.want == "") {
				t.Errorf("stored: %v", stored)
			}
			for _, secret := range []string{demoCode, demoSHA1, strings.ToUpper(demoSHA1), "DEMO-APIKE"} {
				if strings.Contains(w.log.String(), secret) {
					t.Errorf("the log shows %q: %s", secret, w.log)
				}
			}
		})
	}
}

func TestTransport(t *testing.T) {
	t.Parallel()
	form := demoCall().Encode()
	const path = "/api/simple.html"
	tests := []struct {
		name                          string
		method, target, media, coding string
		body                          string
		chunked                       bool
		wantStatus                    int
		want                          string
	}{
		{"GET", "GET", path + "?" + form, "", "", "", false, 200, okReply},
		{"GET, %20 and +", "GET", path + "?" + strings.Replace(form, "+", "%20", 1), "", "", "", false, 200, okReply},
		{"GET reads no body", "GET", path + "?action=set_http_callback", "application/x-www-form-urlencoded", "", form, false, 200, failReply("MISSING PARAMETER apikey")},
		{"GET with a semicolon", "GET", path + "?" + form + ";x", "", "", "", false, 400, failReply("BAD REQUEST")},
		{"GET over the bound", "GET", path + "?" + form + "&x=" + strings.Repeat("x", 64<<10), "", "", "", false, 413, failReply("REQUEST ENTITY TOO LARGE")},
		{"GET without a query", "GET", path, "", "", "", false, 200, failReply("MISSING PARAMETER action")},
		{"POST with a charset", "POST", path, "application/x-www-form-urlencoded; charset=UTF-8", "", form, false, 200, okReply},
		{"POST in another charset", "POST", path, "application/x-www-form-urlencoded; charset=windows-1251", "", form, false, 415, failReply("UNSUPPORTED MEDIA TYPE")},
		{"POST without a type", "POST", path, "", "", form, false, 415, failReply("UNSUPPORTED MEDIA TYPE")},
		{"POST packed", "POST", path, "application/x-www-form-urlencoded", "gzip", form, false, 415, failReply("UNSUPPORTED MEDIA TYPE")},
		{"POST reads no query", "POST", path + "?" + form, "application/x-www-form-urlencoded", "", "", false, 200, failReply("MISSING PARAMETER action")},
		{"POST with a broken query", "POST", path + "?action=x;%zz", "application/x-www-form-urlencoded", "", form, false, 200, okReply},
		{"POST chunked", "POST", path, "application/x-www-form-urlencoded", "", form, true, 200, okReply},
		{"POST chunked over the bound", "POST", path, "application/x-www-form-urlencoded", "", form + "&x=" + strings.Repeat("x", 64<<10), true, 413, failReply("REQUEST ENTITY TOO LARGE")},
		{"POST with 10,000 parameters", "POST", path, "application/x-www-form-urlencoded", "", form + distinct(9_993), false, 200, okReply},
		{"POST with 10,001 parameters", "POST", path, "application/x-www-form-urlencoded", "", form + distinct(9_994), false, 400, failReply("BAD REQUEST")},
		{"unknown parameter twice", "GET", path + "?" + form + "&foo=1&foo=1", "", "", "", false, 200, failReply("BAD PARAMETER foo")},
		{"long unknown parameter twice", "GET", path + "?" + form + strings.Repeat("&"+strings.Repeat("x", 101), 2), "", "", "", false, 200, failReply("BAD PARAMETER")},
		{"HEAD", "HEAD", path + "?" + form, "", "", "", false, 405, failReply("METHOD NOT ALLOWED")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), tt.method, tt.target, strings.NewReader(tt.body))
			if tt.chunked {
				r.ContentLength, r.Body = -1, io.NopCloser(strings.NewReader(tt.body))
			}
			if tt.media != "" {
				r.Header.Set("Content-Type", tt.media)
			}
			if tt.coding != "" {
				r.Header.Set("Content-Encoding", tt.coding)
			}
			if got := newWorld(t, nil).serve(r); got.status != tt.wantStatus || got.body != tt.want {
				t.Errorf("%d %s, want %d %s", got.status, got.body, tt.wantStatus, tt.want)
			}
		})
	}
}

// unreadable fails the test when it is read.
type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestBodies(t *testing.T) {
	t.Parallel()
	r := postForm(t, "")
	r.Body, r.ContentLength = io.NopCloser(unreadable{t}), 64<<10+1
	if got := newWorld(t, nil).serve(r); got.status != http.StatusRequestEntityTooLarge {
		t.Errorf("by its length: %d", got.status)
	}
	r = postForm(t, demoCall().Encode())
	r.Header.Add("Content-Type", "application/x-www-form-urlencoded")
	if got := newWorld(t, nil).serve(r); got.status != http.StatusUnsupportedMediaType {
		t.Errorf("with two types: %d", got.status)
	}
	r = postForm(t, "")
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader("action="), errReader{}))
	if got := newWorld(t, nil).serve(r); got.status != http.StatusBadRequest || got.body != failReply("BAD REQUEST") {
		t.Errorf("broken off: %d %s", got.status, got.body)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestSameWork: an unknown group costs the look-up that a wrong code costs,
// also for a key that is wrong.
func TestSameWork(t *testing.T) {
	t.Parallel()
	for _, changes := range [][]string{{"group", "Nobody"}, {"secret", "x"}, {"apikey", "x"}, {"apikey", "x", "group", "Nobody"}} {
		w := newWorld(t, nil)
		got := w.register(t, changes...)
		if got.body != failReply("ACCESS DENIED") || w.groups.names != 1 {
			t.Errorf("%v: %s after %d look-ups", changes, got.body, w.groups.names)
		}
	}
}

// limits is a middleware.Limiter.
type limits struct {
	decision middleware.Decision
	err      error
	keys     []string
}

func (l *limits) Allow(_ context.Context, key string, _ time.Time) (middleware.Decision, error) {
	l.keys = append(l.keys, key)
	return l.decision, l.err
}

func TestLimiter(t *testing.T) {
	t.Parallel()
	over := middleware.Decision{RetryAfter: 1500 * time.Millisecond}
	tests := []struct {
		name    string
		limiter *limits
		changes []string
		status  int
		text    string
		keys    []string
	}{
		{"allowed", &limits{decision: middleware.Decision{Allowed: true}}, nil, 200, "", []string{"smartbots:dev1"}},
		{"over", &limits{decision: over}, nil, 429, "TOO MANY REQUESTS", []string{"smartbots:dev1"}},
		{"over, wrong code", &limits{decision: over}, []string{"secret", "x"}, 429, "TOO MANY REQUESTS", []string{"smartbots:dev1"}},
		{"over, wrong key", &limits{decision: over}, []string{"apikey", "x"}, 200, "ACCESS DENIED", nil},
		{"cannot decide", &limits{err: errors.New("away")}, nil, 503, "SERVICE UNAVAILABLE", []string{"smartbots:dev1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := okReply
			if tt.text != "" {
				want = failReply(tt.text)
			}
			got := newWorld(t, tt.limiter).register(t, tt.changes...)
			if got.status != tt.status || got.body != want || !slices.Equal(tt.limiter.keys, tt.keys) {
				t.Errorf("%d %s for the keys %q", got.status, got.body, tt.limiter.keys)
			}
			if wait := got.header.Get("Retry-After"); (wait == "2") != (tt.status == 429) {
				t.Errorf("Retry-After %q", wait)
			}
		})
	}
}

// TestDeny has gates of package middleware refuse in the API's words.
func TestDeny(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	gate := middleware.RateLimit{Key: middleware.ByPeer, Requests: 1, Per: time.Minute, Deny: smartbots.Deny}.Handler(w.api)
	var got []string
	for range 2 {
		rec := httptest.NewRecorder()
		gate.ServeHTTP(rec, postForm(t, demoCall().Encode()))
		got = append(got, rec.Body.String()+rec.Header().Get("Retry-After"))
	}
	if diff := cmp.Diff([]string{okReply, failReply("TOO MANY REQUESTS") + "60"}, got); diff != "" {
		t.Error(diff)
	}
	for _, tt := range []struct {
		err    error
		status int
		text   string
	}{
		{&middleware.Error{Err: middleware.ErrBodySize}, 413, "REQUEST ENTITY TOO LARGE"},
		{&middleware.Error{Err: middleware.ErrUnavailable}, 503, "SERVICE UNAVAILABLE"},
		{&verify.Error{Scheme: "secret", Err: verify.ErrMismatch}, 200, "ACCESS DENIED"},
		{errors.New("secret"), 500, "INTERNAL SERVER ERROR"},
	} {
		rec := httptest.NewRecorder()
		smartbots.Deny(rec, postForm(t, ""), tt.err)
		if rec.Code != tt.status || rec.Body.String() != failReply(tt.text) {
			t.Errorf("%v: %d %s", tt.err, rec.Code, rec.Body)
		}
	}
}

// distinct makes n parameters with different names.
func distinct(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("&" + strconv.FormatInt(int64(i), 36))
	}
	return b.String()
}

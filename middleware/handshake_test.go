package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/middleware"
)

func options(header http.Header) *http.Request {
	r := httptest.NewRequest(http.MethodOptions, "/", nil)
	for name, values := range header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	return r
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	const ours = "eventemitter.example.com"
	gate := middleware.Handshake{Origins: []string{"other.example.com", ours}, Rate: 100, Logger: quiet}
	free := gate
	free.Rate = 0
	one := func(v string) []string { return []string{v} }
	for _, tt := range []struct {
		name         string
		gate         middleware.Handshake
		origin, rate []string
		status       int
		allowed      string
	}{
		{"no rate asked", gate, one(ours), nil, 200, "100"},
		{"less asked", gate, one(ours), one("60"), 200, "60"},
		{"more asked", gate, one(ours), one("120"), 200, "100"},
		{"as much as never", gate, one(ours), one("99999999999999999999"), 200, "100"},
		{"any rate", free, one(ours), nil, 200, "*"},
		{"any rate, some asked", free, one(ours), one("120"), 200, "120"},
		{"another origin", gate, one("evil.example.com"), nil, 403, ""},
		{"prefix", gate, one(ours + ".evil.com"), nil, 403, ""},
		{"suffix", gate, one("example.com"), nil, 403, ""},
		{"other case", gate, one("EventEmitter.example.com"), nil, 403, ""},
		{"asterisk", gate, one("*"), nil, 403, ""},
		{"null", gate, one("null"), nil, 403, ""},
		{"twice", gate, []string{ours, ours}, nil, 400, ""},
		{"list", gate, one(ours + ", " + ours), nil, 400, ""},
		{"list without blanks", gate, one(ours + "," + ours), nil, 400, ""},
		{"empty", gate, one(""), nil, 400, ""},
		{"blank", gate, one(ours + " "), nil, 400, ""},
		{"long", gate, one(strings.Repeat("a", 254)), nil, 400, ""},
		{"rate zero", gate, one(ours), one("0"), 400, ""},
		{"rate signed", gate, one(ours), one("+1"), 400, ""},
		{"rate with leading zero", gate, one(ours), one("01"), 400, ""},
		{"rate broken", gate, one(ours), one("1.5"), 400, ""},
		{"rate empty", gate, one(ours), one(""), 400, ""},
		{"rate long", gate, one(ours), one(strings.Repeat("9", 21)), 400, ""},
		{"rate twice", gate, one(ours), []string{"1", "1"}, 400, ""},
		{"broken and foreign", gate, one("evil.example.com"), one("x"), 400, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := tt.gate.Handler(middleware.Method{Logger: quiet}.Handler(ok))
			w := serve(t, h, options(http.Header{"WebHook-Request-Origin": tt.origin, "WebHook-Request-Rate": tt.rate}))
			want := tt.origin[0]
			if tt.status != 200 {
				want = ""
			}
			got := w.Header()
			if w.Code != tt.status || got.Get("WebHook-Allowed-Origin") != want || got.Get("WebHook-Allowed-Rate") != tt.allowed || got.Get("Allow") != "POST" {
				t.Errorf("%d %v", w.Code, got)
			}
			if w.Code == 200 && w.Body.Len() != 0 {
				t.Errorf("body %q", w.Body)
			}
		})
	}
	h := gate.Handler(middleware.Method{Logger: quiet}.Handler(ok))
	if w := serve(t, h, options(nil)); w.Code != 405 || w.Header().Get("WebHook-Allowed-Origin") != "" {
		t.Errorf("OPTIONS without an origin: %d %v", w.Code, w.Header())
	}
	r := post("/", "", "x")
	r.Header.Set("WebHook-Request-Origin", ours)
	if w := serve(t, h, r); w.Code != 200 || w.Body.String() != "x" || w.Header().Get("WebHook-Allowed-Origin") != "" {
		t.Errorf("a delivery: %d %v", w.Code, w.Header())
	}
	if _, err := (middleware.Handshake{}).Check(options(http.Header{"WebHook-Request-Origin": one(ours)})); middleware.Status(err) != 403 {
		t.Errorf("zero value: %v", err)
	}
}

func FuzzHandshake(f *testing.F) {
	for _, seed := range []string{"", "0", "1", "120", "+1", "99999999999999999999", "a.example.com"} {
		f.Add("a.example.com", seed)
		f.Add(seed, "1")
	}
	gate := middleware.Handshake{Origins: []string{"a.example.com"}, Rate: 50}
	f.Fuzz(func(t *testing.T, origin, rate string) {
		grant, err := gate.Check(options(http.Header{"WebHook-Request-Origin": {origin}, "WebHook-Request-Rate": {rate}}))
		if err != nil {
			if status := middleware.Status(err); grant != (middleware.Grant{}) || status != 400 && status != 403 {
				t.Errorf("%+v, %v", grant, err)
			}
			return
		}
		n, bad := strconv.ParseUint(rate, 10, 64)
		if origin != "a.example.com" || grant.Origin != origin || grant.Rate < 1 || grant.Rate > 50 {
			t.Errorf("%q %q: %+v", origin, rate, grant)
		}
		if bad == nil && n < 50 && uint64(grant.Rate) != n {
			t.Errorf("%q: %+v", rate, grant)
		}
	})
}

func TestProbe(t *testing.T) {
	t.Parallel()
	plain := middleware.Probe{Logger: quiet}
	echo := middleware.Probe{Challenge: "challenge", Logger: quiet}
	graph := middleware.Probe{Challenge: "validationToken", Post: true, Logger: quiet}
	meta := middleware.Probe{Challenge: "hub.challenge", Token: "hub.verify_token", Tokens: []string{"new", "old"}, Logger: quiet}
	for _, tt := range []struct {
		name, method, target string
		gate                 middleware.Probe
		status               int
		body                 string
	}{
		{"HEAD", "HEAD", "/", plain, 200, ""},
		{"GET", "GET", "/?challenge=x", plain, 200, ""},
		{"GET, broken query", "GET", "/?%zz", plain, 200, ""},
		{"POST", "POST", "/", plain, 200, "handler"},
		{"PUT", "PUT", "/", plain, 405, "problem"},
		{"challenge", "GET", "/?challenge=a%20b", echo, 200, "a b"},
		{"no challenge", "GET", "/", echo, 200, ""},
		{"challenge by POST", "POST", "/?challenge=x", echo, 200, "handler"},
		{"twice", "GET", "/?challenge=x&challenge=x", echo, 400, "problem"},
		{"empty", "GET", "/?challenge=", echo, 400, "problem"},
		{"a page", "GET", "/?challenge=%3Cscript%3E", echo, 200, "<script>"},
		{"control character", "GET", "/?challenge=a%0d%0ab", echo, 400, "problem"},
		{"not ASCII", "GET", "/?challenge=%C3%A9", echo, 400, "problem"},
		{"1024", "GET", "/?challenge=" + strings.Repeat("x", 1024), echo, 200, strings.Repeat("x", 1024)},
		{"1025", "GET", "/?challenge=" + strings.Repeat("x", 1025), echo, 400, "problem"},
		{"broken query", "GET", "/?challenge=x;y", echo, 400, "problem"},
		{"Graph", "POST", "/?validationToken=x%3Ay", graph, 200, "x:y"},
		{"Graph, no challenge", "POST", "/?a=b", graph, 200, "handler"},
		{"Graph, broken query", "POST", "/?validationToken=x;y", graph, 200, "handler"},
		{"right token", "GET", "/?hub.mode=subscribe&hub.verify_token=old&hub.challenge=1", meta, 200, "1"},
		{"wrong token", "GET", "/?hub.verify_token=ol&hub.challenge=1", meta, 403, "problem"},
		{"no token", "GET", "/?hub.challenge=1", meta, 403, "problem"},
		{"empty token", "GET", "/?hub.verify_token=&hub.challenge=1", meta, 403, "problem"},
		{"token twice", "GET", "/?hub.verify_token=old&hub.verify_token=old&hub.challenge=1", meta, 403, "problem"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inner := middleware.Method{Logger: quiet}.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("handler")) }))
			w := serve(t, tt.gate.Handler(inner), httptest.NewRequest(tt.method, tt.target, nil))
			if w.Code != tt.status || tt.body != "problem" && w.Body.String() != tt.body {
				t.Errorf("%d %q", w.Code, w.Body)
			}
			if kind := w.Header().Get("Content-Type"); tt.status == 200 && tt.body != "" && tt.body != "handler" &&
				(kind != "text/plain; charset=utf-8" || w.Header().Get("X-Content-Type-Options") != "nosniff") {
				t.Errorf("%v", w.Header())
			}
		})
	}
}

// TestProbeEmptyToken: an empty token proves nothing, not even to Check.
func TestProbeEmptyToken(t *testing.T) {
	t.Parallel()
	gate := middleware.Probe{Challenge: "c", Token: "t", Tokens: []string{""}}
	if challenge, _, err := gate.Check(httptest.NewRequest(http.MethodGet, "/?t=&c=1", nil)); challenge != "" || middleware.Status(err) != 403 {
		t.Errorf("%q, %v", challenge, err)
	}
}

func FuzzProbe(f *testing.F) {
	for _, seed := range []string{"", "c=1", "c=1&t=secret", "c=%zz", "c=a;b", "t=secret&t=secret&c=1", "c=%00&t=secret"} {
		f.Add(seed)
	}
	gate := middleware.Probe{Challenge: "c", Token: "t", Tokens: []string{"secret"}}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.RawQuery = query
		challenge, probe, err := gate.Check(r)
		if !probe || err != nil && challenge != "" {
			t.Errorf("%q %v %v", challenge, probe, err)
		}
		if challenge != "" && (len(challenge) > 1024 || !strings.Contains(query, "t=") && !strings.Contains(query, "%74=")) {
			t.Errorf("%q sent back for %q", challenge, query)
		}
	})
}

func TestBodyChallenge(t *testing.T) {
	t.Parallel()
	gate := middleware.BodyChallenge{Logger: quiet}
	h := middleware.Body{Logger: quiet}.Handler(gate.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("handler")) })))
	for body, want := range map[string]string{
		`{"token":"t","challenge":"3eZbrw1aB","type":"url_verification"}`: "3eZbrw1aB",
		`{"type":"event_callback","text":"url_verification"}`:             "handler",
		`{"type":["url_verification"],"challenge":"x"}`:                   "handler",
		`{"TYPE":"url_verification","challenge":"x"}`:                     "handler",
		`{"type":"url_verification","challenge":"x"`:                      "handler",
		`{"type":"url_verification","type":"x","challenge":"x"}`:          "handler",
		`url_verification`:            "handler",
		``:                            "handler",
		`{"type":"url_verification"}`: "400",
		`{"type":"url_verification","challenge":""}`:   "400",
		`{"type":"url_verification","challenge":5}`:    "400",
		`{"type":"url_verification","challenge":"\n"}`: "400",
	} {
		w := serve(t, h, post("/", "application/json", body))
		got := w.Body.String()
		if w.Code != 200 {
			got = strconv.Itoa(w.Code)
		}
		if got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
	if w := serve(t, gate.Handler(ok), post("/", "", "")); w.Code != 500 {
		t.Errorf("no Body gate: status %d", w.Code)
	}
	other := middleware.Body{}.Handler(middleware.BodyChallenge{Type: "ping"}.Handler(http.NotFoundHandler()))
	if w := serve(t, other, post("/", "", `{"type":"ping","challenge":"x"}`)); w.Body.String() != "x" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

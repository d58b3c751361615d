package main_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// edna makes a call of the edna API and returns status and code.
func (p *process) edna(t *testing.T, key, body string) string {
	t.Helper()
	r := p.call(t, "POST", "/api/callback/set", jsonType, body, "x-Api-kEy", key)
	if ct := r.header.Get("Content-Type"); ct != jsonType {
		t.Errorf("Content-Type %q", ct)
	}
	return fmt.Sprintf("%d %s", r.status, strings.TrimSpace(r.body))
}

const ednaOK = `200 {"code":"ok"}`

func TestEdnaCodes(t *testing.T) {
	t.Parallel()
	p := serve(t, memory)
	good, moved, created := receive(t, nil), receive(t, with(302)), receive(t, with(201))
	pad := func(n int) string { return good.url + "/" + strings.Repeat("ä", n-len(good.url)-1) }
	ascii := func(n int) string { return good.url + "/" + strings.Repeat("a", n-len(good.url)-1) }
	code := func(c string) string { return `200 {"code":"` + c + `"}` }
	const syntax, denied = `400 {"code":"error-syntax"}`, `401 {"code":"error-unauthorized"}`
	tests := []struct{ name, key, body, want string }{
		{"no URL", acmeKey, `{}`, code("url-not-specified")},
		{"no URL, unknown subject", acmeKey, `{"subjectId":999}`, code("url-not-specified")},
		{"null and empty", acmeKey, `{"statusCallbackUrl":null,"inMessageCallbackUrl":""}`, code("url-not-specified")},
		{"501 characters, not https", acmeKey, `{"statusCallbackUrl":"http:` + strings.Repeat("x", 496) + `"}`, code("error-callback-url-max-length")},
		{"length of the second before scheme of the first", acmeKey, `{"statusCallbackUrl":"http://x/","inMessageCallbackUrl":"` + pad(501) + `"}`, code("error-callback-url-max-length")},
		{"500 characters are fine, non-ASCII is not", acmeKey, `{"statusCallbackUrl":"` + pad(500) + `"}`, code("error-callback-url-not-available")},
		{"not https, unknown subject", acmeKey, `{"statusCallbackUrl":"http://example.com/","subjectId":999}`, code("error-callback-url-not-https")},
		{"unknown subject, bad URL", acmeKey, `{"statusCallbackUrl":"https://10.0.0.1/","subjectId":999}`, code("error-subject-unknown")},
		{"another tenant's subject", acmeKey, `{"statusCallbackUrl":"` + good.url + `","subjectId":7}`, code("error-subject-unknown")},
		{"private address", acmeKey, `{"statusCallbackUrl":"https://10.0.0.1/"}`, code("error-callback-url-not-available")},
		{"metadata address", acmeKey, `{"statusCallbackUrl":"https://169.254.169.254/"}`, code("error-callback-url-not-available")},
		{"userinfo", acmeKey, `{"statusCallbackUrl":"https://u:p@127.0.0.1/"}`, code("error-callback-url-not-available")},
		{"does not resolve", acmeKey, `{"statusCallbackUrl":"https://no-such-host.example.com/"}`, code("error-callback-url-not-available")},
		{"probe redirected", acmeKey, `{"statusCallbackUrl":"` + moved.url + `"}`, code("error-callback-url-not-available")},
		{"probe answered 201", acmeKey, `{"statusCallbackUrl":"` + created.url + `"}`, code("error-callback-url-not-available")},
		{"nobody listens", acmeKey, `{"statusCallbackUrl":"https://127.0.0.1:1/"}`, code("error-callback-url-not-available")},
		{"one of two is bad", acmeKey, `{"statusCallbackUrl":"` + good.url + `","inMessageCallbackUrl":"` + created.url + `"}`, code("error-callback-url-not-available")},

		{"wrong key", "x", `{"statusCallbackUrl":"` + good.url + `"}`, denied},
		{"no key", "", `{}`, denied},
		{"array", acmeKey, `[]`, syntax},
		{"not JSON", acmeKey, `{`, syntax},
		{"wrong type", acmeKey, `{"statusCallbackUrl":1}`, syntax},
		{"subject as text", acmeKey, `{"statusCallbackUrl":"` + good.url + `","subjectId":"234"}`, syntax},
		{"subject a fraction", acmeKey, `{"statusCallbackUrl":"` + good.url + `","subjectId":234.5}`, syntax},
		{"key twice", acmeKey, `{"subjectId":234,"subjectId":235}`, syntax},
		{"trailing data", acmeKey, `{} {}`, syntax},
		{"oversized", acmeKey, `{"x":"` + strings.Repeat("x", 2<<20) + `"}`, `413 {"code":"error-syntax"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := p.edna(t, tt.key, tt.body); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
		})
	}
	if s := p.subscriptions(t); len(s) != 0 {
		t.Fatalf("a refused call stored %+v", s)
	}
	for _, body := range []string{
		`{"messageMatcherCallbackUrl":"` + good.url + `"}`,
		`{"statusCallbackUrl":"HTTPS://` + strings.TrimPrefix(good.url, "https://") + `/","later":{}}`,
		`{"statusCallbackUrl":"` + ascii(500) + `","subjectId":null}`,
	} {
		if got := p.edna(t, acmeKey, body); got != ednaOK {
			t.Errorf("%s, want ok: %s", got, body)
		}
	}
	r := p.call(t, "PUT", "/api/callback/set", jsonType, `{}`, "X-API-KEY", acmeKey)
	if r.status != 405 || strings.TrimSpace(r.body) != `{"code":"error-syntax"}` {
		t.Errorf("PUT: %d %s", r.status, r.body)
	}
	r = p.call(t, "POST", "/api/callback/set", "text/plain", `{}`, "X-API-KEY", acmeKey)
	if r.status != 415 || strings.TrimSpace(r.body) != `{"code":"error-syntax"}` {
		t.Errorf("text/plain: %d %s", r.status, r.body)
	}
	r = p.call(t, "POST", "/api/callback/set", "", `{}`, "X-API-KEY", acmeKey)
	if r.status != 200 || strings.TrimSpace(r.body) != `{"code":"url-not-specified"}` {
		t.Errorf("no type: %d %s", r.status, r.body)
	}
}

// heads counts the probes among the requests; the others are callbacks.
func heads(posts []post) (probes int, callbacks []post) {
	for _, p := range posts {
		if p.method == http.MethodHead {
			probes++
		} else {
			callbacks = append(callbacks, p)
		}
	}
	return probes, callbacks
}

func (r *receiver) callbacks(t *testing.T, n int) []post {
	t.Helper()
	eventually(t, "callbacks at the receiver", func() bool {
		_, c := heads(r.all())
		return len(c) >= n
	})
	_, c := heads(r.all())
	if len(c) != n {
		t.Fatalf("%d callbacks, want %d", len(c), n)
	}
	return c
}

func ednaEvent(tenant, scope, kind, data string) string {
	return fmt.Sprintf(`{"dialect":"edna","tenant":%q,"scope":%q,"type":%q,"data":%s}`, tenant, scope, kind, data)
}

// Tenant-wide rows and rows of a channel; the last call wins.
func TestEdnaRows(t *testing.T) {
	t.Parallel()
	p := serve(t)
	wide, own, later := receive(t, nil), receive(t, nil), receive(t, nil)
	set := func(body string) {
		t.Helper()
		if got := p.edna(t, acmeKey, body); got != ednaOK {
			t.Fatalf("%s: %s", got, body)
		}
	}
	set(`{"statusCallbackUrl":"` + wide.url + `/s","inMessageCallbackUrl":"` + wide.url + `/s"}`)
	for _, r := range wide.all() {
		if ua := r.header.Get("User-Agent"); !strings.HasPrefix(ua, "ringback/") || r.header.Get("Accept-Encoding") != "" || r.header.Get("Authorization") != "" && r.method == http.MethodHead {
			t.Errorf("%s with User-Agent %q, Accept-Encoding %q", r.method, ua, r.header.Get("Accept-Encoding"))
		}
	}
	if probes, _ := heads(wide.all()); probes != 1 {
		t.Errorf("%d probes of one URL in two slots, want 1", probes)
	}
	h := wide.all()[0]
	if h.uri != "/s" || h.header["Authorization"] != nil || h.header["Cookie"] != nil || h.header["Accept-Encoding"] != nil {
		t.Errorf("the probe is %+v", h)
	}
	set(`{"statusCallbackUrl":"` + own.url + `","subjectId":234}`)
	subs := p.subscriptions(t)
	slots := []string{}
	ids := map[string]string{}
	for _, s := range subs {
		if s.Dialect != "edna" || s.Tenant != "acme" || !slices.Equal(s.Types, []string{s.Slot}) || s.State != "active" {
			t.Errorf("%+v", s)
		}
		slots = append(slots, s.Scope+"/"+s.Slot)
		ids[s.Scope+"/"+s.Slot] = s.ID
	}
	slices.Sort(slots)
	if want := []string{"/inMessage", "/status", "234/status"}; !slices.Equal(slots, want) {
		t.Errorf("rows %q, want %q", slots, want)
	}
	body := `{ "requestId" :"r-1","x":1.0e3, "t":"a\u003cb/" }`
	p.publish(t, ednaEvent("acme", "234", "status", body)) // the channel's row alone
	if got := own.callbacks(t, 1)[0]; got.body != body || got.header.Get("Content-Type") != jsonType ||
		got.header.Get("Authorization") != "Token "+acmeHook || got.id() == "" || got.header["Accept-Encoding"] != nil || got.length != int64(len(body)) {
		t.Errorf("%+v", got)
	}
	p.publish(t, ednaEvent("acme", "235", "status", `{"n":235}`), ednaEvent("acme", "234", "inMessage", `[{"n":234}]`))
	wide.callbacks(t, 2)
	if ev := p.publish(t, ednaEvent("acme", "234", "messageMatcher", `{}`))[0]; ev.Deliveries != 0 {
		t.Errorf("%d deliveries of what nobody wants", ev.Deliveries)
	}
	// A tenant-wide call takes the channel's row along, its id and what waits.
	p.admin(t, "POST", "/admin/subscriptions/"+ids["234/status"]+"/pause", "").want(t, 204)
	p.publish(t, ednaEvent("acme", "234", "status", `{"waits":true}`))
	set(`{"statusCallbackUrl":"` + later.url + `/all"}`)
	for _, s := range p.subscriptions(t) {
		want := map[string]string{"status": later.url + "/all", "inMessage": wide.url + "/s"}[s.Slot]
		if s.URL != want || s.ID != ids[s.Scope+"/"+s.Slot] {
			t.Errorf("%+v, want the URL %s and the id %s", s, want, ids[s.Scope+"/"+s.Slot])
		}
	}
	p.admin(t, "POST", "/admin/subscriptions/"+ids["234/status"]+"/resume", "").want(t, 204)
	if got := later.callbacks(t, 1)[0]; got.body != `{"waits":true}` || got.uri != "/all" {
		t.Errorf("%+v", got)
	}
	own.callbacks(t, 1)
	// A tenant without a webhook key sends no Authorization.
	if got := p.edna(t, zetaKey, `{"statusCallbackUrl":"`+own.url+`/z"}`); got != ednaOK {
		t.Fatal(got)
	}
	p.publish(t, ednaEvent("zeta", "7", "status", `{}`))
	if got := own.callbacks(t, 2)[1]; got.header["Authorization"] != nil || got.uri != "/z" {
		t.Errorf("%+v", got)
	}
}

// Only 200 is accepted; everything else comes again after 4 s, and nothing
// disables.
func TestEdnaResends(t *testing.T) {
	t.Parallel()
	statuses := map[string]int{"/201": 201, "/204": 204, "/302": 302, "/404": 404, "/410": 410, "/500": 500}
	for path, status := range statuses {
		t.Run(path[1:], func(t *testing.T) {
			t.Parallel()
			var posts atomic.Int32
			rc := receive(t, func(_ int, q post, w http.ResponseWriter) {
				if q.method == http.MethodPost && posts.Add(1) == 1 {
					w.Header().Set("Location", "/elsewhere")
					w.WriteHeader(status)
				}
			})
			g := serve(t, memory)
			if got := g.edna(t, acmeKey, `{"statusCallbackUrl":"`+rc.url+`"}`); got != ednaOK {
				t.Fatal(got)
			}
			ev := g.publish(t, ednaEvent("acme", "234", "status", `{"a":1}`))[0]
			g.deliveryOf(t, ev.EventID, "delivered", func(d deliveryRow) bool { return d.State == "delivered" && d.Attempts == 2 })
			got := rc.callbacks(t, 2)
			if gap := got[1].at.Sub(got[0].at); gap < 3990*time.Millisecond || gap > 7*time.Second {
				t.Errorf("resent after %s, want 4 s", gap)
			}
			if got[0].id() != got[1].id() || got[0].body != got[1].body || got[1].uri != "/" {
				t.Errorf("the repeat differs: %+v %+v", got[0], got[1])
			}
			if s := g.subscriptions(t)[0]; s.State != "active" {
				t.Errorf("state %s", s.State)
			}
		})
	}
}

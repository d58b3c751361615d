package main_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

var adminPaths = []string{
	"GET /admin/received", "POST /admin/events", "POST /admin/subscriptions", "GET /admin/subscriptions", "DELETE /admin/subscriptions/x",
	"POST /admin/subscriptions/x/pause", "POST /admin/subscriptions/x/resume", "POST /admin/subscriptions/x/enable",
	"GET /admin/smartbots/apps?group_id=tea-club", "POST /admin/smartbots/security-code", "GET /admin/deliveries", "GET /admin/deliveries/x/attempts",
	"POST /admin/deliveries/x/retry", "POST /admin/deliveries/x/cancel", "POST /admin/redrive", "POST /admin/replay", "GET /admin/stats", "GET /admin/none", "GET /admin",
}

func TestAdminToken(t *testing.T) {
	t.Parallel()
	p := serve(t, memory)
	wrong := [][]string{
		nil,
		{"Authorization", ""},
		{"Authorization", adminToken},
		{"Authorization", "Bearer"},
		{"Authorization", "Bearer "},
		{"Authorization", "Bearer x" + adminToken},
		{"Authorization", "Bearer " + adminToken + "x"},
		{"Authorization", "Bearer " + strings.ToLower(adminToken)},
		{"Authorization", "Basic " + adminToken},
		{"Authorization", "Bearer " + adminToken, "Authorization", "Bearer " + adminToken},
		{"X-Token", adminToken},
	}
	for _, path := range adminPaths {
		method, path, _ := strings.Cut(path, " ")
		for _, header := range wrong {
			r := p.call(t, method, path, "", "", header...)
			if r.status != 401 || r.header.Get("Content-Type") != "application/problem+json" || r.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s with %q: %d %v", method, path, header, r.status, r.header)
			}
		}
	}
	if r := p.call(t, "GET", "/admin/stats", "", "", "Authorization", "bearer "+adminToken); r.status != 200 {
		t.Errorf("the scheme in lower case: %d", r.status)
	}
	if r := p.call(t, "GET", "/admin/stats?token="+adminToken, "", ""); r.status != 401 {
		t.Errorf("token in the query: %d", r.status)
	}
}

func TestAdminOff(t *testing.T) {
	t.Parallel()
	p := serve(t, memory, func(s settings) { delete(s, "admin_token") })
	for _, path := range append(adminPaths, "GET /console/", "GET /admin/") {
		method, path, _ := strings.Cut(path, " ")
		for _, token := range []string{adminToken, ""} {
			r := p.call(t, method, path, "", "", "Authorization", "Bearer "+token)
			if r.status != 404 || strings.HasPrefix(path, "/admin") && r.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s: %d %v, want 404", method, path, r.status, r.header)
			}
		}
	}
	if r := p.call(t, "GET", "/healthz", "", ""); r.status != 200 {
		t.Errorf("/healthz: %d", r.status)
	}
}

func TestAdminProblems(t *testing.T) {
	t.Parallel()
	p := serve(t, memory)
	for _, tt := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/admin/none", "", 404},
		{"GET", "/admin/", "", 404},
		{"PUT", "/admin/events", `{}`, 405},
		{"GET", "/admin/events", "", 405},
		{"DELETE", "/admin/subscriptions", "", 405},
		{"GET", "/admin/subscriptions/x/pause", "", 405},
		{"POST", "/admin/redrive", `{"subscription_id":"x"}`, 404},
		{"POST", "/admin/redrive", `{"subscription":"x"}`, 400},
		{"POST", "/admin/replay", `{"subscription_id":"x"}`, 404},
		{"POST", "/admin/replay", `{}`, 400},
		{"POST", "/admin/replay", `{"subscription_id":"x","from":"yesterday"}`, 400},
		{"POST", "/admin/replay", `{"subscription_id":"x","from":"2026-01-02T00:00:00Z","to":"2026-01-01T00:00:00Z"}`, 400},
		{"POST", "/admin/events", `{`, 400},
	} {
		r := p.admin(t, tt.method, tt.path, tt.body)
		var problem struct {
			Type, Title, Detail string
			Status              int
		}
		r.into(t, &problem)
		if r.status != tt.status || problem.Status != tt.status || problem.Title != http.StatusText(tt.status) || problem.Type == "" {
			t.Errorf("%s %s: %d %s", tt.method, tt.path, r.status, r.body)
		}
		if (tt.status == 405) != (r.header.Get("Allow") != "") {
			t.Errorf("%s %s: Allow %q", tt.method, tt.path, r.header.Get("Allow"))
		}
	}
	if r := p.call(t, "GET", "/console/", "", ""); r.status != 404 {
		t.Errorf("/console/: %d", r.status)
	}
	if r := p.call(t, "GET", "/elsewhere", "", ""); r.status != 404 {
		t.Errorf("/elsewhere: %d", r.status)
	}
}

// Every object has every member that GATEWAY.md names, null or not.
func TestAdminShapes(t *testing.T) {
	t.Parallel()
	rc := receive(t, nil)
	p := serve(t, memory, sending(rc.url, false, attrCmd))
	p.bots(t, botsForm(rc.url), teaOK)
	id, _ := p.subscribe(t, "t1", rc.url, "a")
	ev := p.publish(t, event("t1", "a", `1`))[0]
	d := p.deliveryOf(t, ev.EventID, "delivered", inState("delivered"))
	p.call(t, "POST", "/tencent/callback?"+signed(chatApp, attrCmd, chatToken, 0), jsonType, attr).want(t, 200)
	for path, want := range map[string]string{
		"/admin/deliveries":                       "id event_id type subscription_id url state attempts last_status last_error next_attempt_at",
		"/admin/deliveries/" + d.ID + "/attempts": "number at duration_ms status error response",
		"/admin/subscriptions":                    "id dialect tenant scope slot label url types state created_at",
		"/admin/smartbots/apps?group_id=tea-club": "subscription_id app_name url_host since last_success_at",
		"/admin/received":                         "sdk_app_id command opt_platform client_ip event_time_ms body",
		"/admin/stats":                            "pending delivered dead endpoints",
	} {
		r := p.admin(t, "GET", path, "").want(t, 200)
		if ct := r.header.Get("Content-Type"); ct != jsonType {
			t.Errorf("%s: Content-Type %q", path, ct)
		}
		body := r.body
		if path == "/admin/stats" {
			body = "[" + body + "]"
		}
		var rows []map[string]any
		if err := json.Unmarshal([]byte(body), &rows); err != nil || len(rows) == 0 {
			t.Fatalf("%s: %v %s", path, err, body)
		}
		for _, row := range rows {
			for name := range strings.FieldsSeq(want) {
				if _, ok := row[name]; !ok {
					t.Errorf("%s: %s is missing", path, name)
				}
			}
			if len(row) != len(strings.Fields(want)) {
				t.Errorf("%s: %v", path, row)
			}
		}
	}
	subs := p.subscriptions(t)
	if len(subs) != 3 || subs[0].ID != id || subs[0].Dialect != "standard" || subs[0].Tenant != "t1" || subs[0].Slot != "" || !slices.Equal(subs[0].Types, []string{"a"}) {
		t.Errorf("newest first: %+v", subs)
	}
	if r := p.call(t, "GET", "/admin/deliveries?state=dead", "", "", "Authorization", "Bearer "+adminToken); strings.TrimSpace(r.body) != "[]" {
		t.Errorf("an empty list is %s", r.body)
	}
}

func TestSubscriptionsRefused(t *testing.T) {
	t.Parallel()
	p := serve(t, memory)
	for name, body := range map[string]string{
		"not JSON":         `{`,
		"nothing":          `{}`,
		"unknown member":   `{"dialect":"standard","tenant":"t","url":"https://127.0.0.1/","types":["a"],"secret":"x"}`,
		"another dialect":  `{"dialect":"edna","tenant":"t","url":"https://127.0.0.1/","types":["a"]}`,
		"no tenant":        `{"dialect":"standard","url":"https://127.0.0.1/","types":["a"]}`,
		"no url":           `{"dialect":"standard","tenant":"t","types":["a"]}`,
		"no types":         `{"dialect":"standard","tenant":"t","url":"https://127.0.0.1/"}`,
		"empty types":      `{"dialect":"standard","tenant":"t","url":"https://127.0.0.1/","types":[]}`,
		"empty type":       `{"dialect":"standard","tenant":"t","url":"https://127.0.0.1/","types":[""]}`,
		"types a string":   `{"dialect":"standard","tenant":"t","url":"https://127.0.0.1/","types":"a"}`,
		"http":             `{"dialect":"standard","tenant":"t","url":"http://127.0.0.1/","types":["a"]}`,
		"private address":  `{"dialect":"standard","tenant":"t","url":"https://192.168.1.1/","types":["a"]}`,
		"mapped address":   `{"dialect":"standard","tenant":"t","url":"https://[::ffff:10.0.0.1]/","types":["a"]}`,
		"metadata":         `{"dialect":"standard","tenant":"t","url":"https://168.63.129.16/","types":["a"]}`,
		"loopback in hex":  `{"dialect":"standard","tenant":"t","url":"https://0x7f000001/","types":["a"]}`,
		"localhost":        `{"dialect":"standard","tenant":"t","url":"https://localhost/","types":["a"]}`,
		"userinfo":         `{"dialect":"standard","tenant":"t","url":"https://u:p@127.0.0.1/","types":["a"]}`,
		"does not resolve": `{"dialect":"standard","tenant":"t","url":"https://no-such-host.example.com/","types":["a"]}`,
		"oversized types":  `{"dialect":"standard","tenant":"t","url":"https://127.0.0.1/","types":["` + strings.Repeat("x", 10_000) + `"]}`,
	} {
		if r := p.admin(t, "POST", "/admin/subscriptions", body); r.status != 400 {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	if r := p.admin(t, "POST", "/admin/subscriptions", `"`+strings.Repeat("x", 1<<20)+`"`); r.status != 413 {
		t.Errorf("1 MiB: %d", r.status)
	}
	if n := len(p.subscriptions(t)); n != 0 {
		t.Errorf("%d subscriptions were stored", n)
	}
}

// allow_http accepts http:// URLs; without it they are refused everywhere.
func TestAllowHTTP(t *testing.T) {
	t.Parallel()
	p := serve(t, memory, func(s settings) { s.section("outbound")["allow_http"] = true })
	got := plainReceiver(t)
	p.subscribe(t, "t1", got.url, "a")
	p.bots(t, botsForm(got.url), teaOK)
	if code := p.edna(t, acmeKey, `{"statusCallbackUrl":"`+got.url+`"}`); code != ednaOK {
		t.Errorf("edna: %s", code)
	}
	p.publish(t, event("t1", "a", `1`))
	got.wait(t, 3)
	if r := p.admin(t, "POST", "/admin/subscriptions", `{"dialect":"standard","tenant":"t","url":"http://10.0.0.1/","types":["a"]}`); r.status != 400 {
		t.Errorf("a private address by http: %d", r.status)
	}
}

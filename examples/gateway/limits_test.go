package main_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// registering makes one call to register a URL, in each of the three ways.
var registering = []struct {
	name, done, limited string
	call                func(t *testing.T, p *process, tenant int, n int, url string) reply
}{
	{"smartbots", `"result":"OK"`, failed("TOO MANY REQUESTS"), func(t *testing.T, p *process, tenant, n int, url string) reply {
		key := []string{botsKey, otherBotsKey}[tenant]
		uuid := fmt.Sprintf("1d9f0a52-8f57-4c0e-9d0b-%012d", n)
		return p.call(t, "POST", "/api/simple.html", formType, botsForm(url, "apikey", key, "app_uuid", uuid).Encode())
	}},
	{"edna", `"code":"ok"`, `{"code":"error-too-many-requests"}`, func(t *testing.T, p *process, tenant, n int, url string) reply {
		slot := []string{"statusCallbackUrl", "inMessageCallbackUrl", "messageMatcherCallbackUrl"}[n%3]
		return p.call(t, "POST", "/api/callback/set", jsonType, `{"`+slot+`":"`+url+`"}`, "X-API-KEY", []string{acmeKey, zetaKey}[tenant])
	}},
	{"standard", `"id":"`, `{"type":"about:blank","title":"Too Many Requests","status":429}`, func(t *testing.T, p *process, tenant, _ int, url string) reply {
		return p.admin(t, "POST", "/admin/subscriptions", fmt.Sprintf(`{"dialect":"standard","tenant":"t%d","url":"%s","types":["a"]}`, tenant, url))
	}},
}

func (p *process) wantLimited(t *testing.T, what string, r reply, body string) {
	t.Helper()
	wait, err := strconv.Atoi(r.header.Get("Retry-After"))
	if r.status != http.StatusTooManyRequests || strings.TrimSpace(r.body) != body || err != nil || wait < 1 || wait > 61 {
		t.Errorf("%s: %d %s, Retry-After %q", what, r.status, r.body, r.header.Get("Retry-After"))
	}
}

// A-FLOOD-17, A-FLOOD-18: over the limit each API answers 429 in its own packet,
// and stores nothing; what is refused as text costs nothing.
func TestProbeLimit(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"per_tenant", "per_host"} {
		for _, way := range registering {
			t.Run(kind+" "+way.name, func(t *testing.T) {
				t.Parallel()
				rc := receive(t, nil)
				p := serve(t, memory, func(s settings) { s.section("outbound")["probe_limit"] = settings{kind: 2} })
				for range 5 {
					way.call(t, p, 0, 0, "https://10.0.0.1/")
				}
				for i := range 2 {
					if r := way.call(t, p, 0, i, fmt.Sprintf("%s/%d", rc.url, i)); r.status >= 300 || !strings.Contains(r.body, way.done) {
						t.Fatalf("call %d: %d %s", i, r.status, r.body)
					}
				}
				stored := len(p.subscriptions(t))
				p.wantLimited(t, "the third call", way.call(t, p, 0, 2, rc.url+"/2"), way.limited)
				other := way.call(t, p, 1, 5, rc.url+"/5")
				if kind == "per_host" {
					p.wantLimited(t, "another tenant's", other, way.limited)
				} else if !strings.Contains(other.body, way.done) {
					t.Errorf("another tenant: %d %s", other.status, other.body)
				}
				if n := len(p.subscriptions(t)); kind == "per_host" && n != stored {
					t.Errorf("%d subscriptions, had %d", n, stored)
				}
			})
		}
	}
}

// A-FLOOD-16: a tenant has so many different URLs; he may replace one of them,
// and has a place again once one is gone.
func TestURLsPerTenant(t *testing.T) {
	t.Parallel()
	for _, way := range registering {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			rc := receive(t, nil)
			p := serve(t, memory, func(s settings) { s.section("outbound")["urls_per_tenant"] = 2 })
			set := func(tenant, n int, path string) reply { t.Helper(); return way.call(t, p, tenant, n, rc.url+path) }
			accepted := func(r reply) {
				t.Helper()
				if r.status >= 300 || !strings.Contains(r.body, way.done) {
					t.Errorf("%d %s", r.status, r.body)
				}
			}
			accepted(set(0, 0, "/a"))
			accepted(set(0, 1, "/b"))
			p.wantLimited(t, "a third URL", set(0, 2, "/c"), way.limited)
			accepted(set(0, 2, "/a")) // one that is there
			accepted(set(1, 0, "/c"))
			if way.name != "standard" { // which has nothing to replace
				accepted(set(0, 1, "/d"))
				p.wantLimited(t, "a third URL again", set(0, 3, "/e"), way.limited)
			}
			for _, s := range p.subscriptions(t) {
				if strings.HasSuffix(s.URL, "/a") {
					p.admin(t, "DELETE", "/admin/subscriptions/"+s.ID, "").want(t, 204)
				}
			}
			accepted(set(0, 3, "/f"))
		})
	}
}

// A bound that was lowered takes nothing away, and what is there can be changed.
func TestURLsPerTenantLowered(t *testing.T) {
	t.Parallel()
	rc := receive(t, nil)
	p := serve(t)
	p.subscribe(t, "t1", rc.url+"/a", "a")
	p.subscribe(t, "t1", rc.url+"/b", "a")
	p.stop(t)
	again := start(t, configure(t, p.dir, func(s settings) { s.section("outbound")["urls_per_tenant"] = 1 }))
	for _, s := range again.subscriptions(t) {
		again.admin(t, "POST", "/admin/subscriptions/"+s.ID+"/pause", "").want(t, 204)
		again.admin(t, "POST", "/admin/subscriptions/"+s.ID+"/resume", "").want(t, 204)
	}
	again.publish(t, event("t1", "a", `1`))
	rc.only(t, 2)
	r := again.admin(t, "POST", "/admin/subscriptions", `{"dialect":"standard","tenant":"t1","url":"`+rc.url+`/c","types":["a"]}`)
	again.wantLimited(t, "a third URL", r, registering[2].limited)
}

// A-FLOOD-17: a refusal takes its slot, whatever was found; as text it is at once.
func TestRefusalSlot(t *testing.T) {
	t.Parallel()
	const slot = 2 * time.Second
	p := serve(t, memory, func(s settings) {
		s.section("outbound")["probe_limit"] = settings{"per_tenant": 100, "slot": slot.String()}
	})
	missing := receive(t, with(404))
	for _, tt := range []struct {
		url  string
		slow bool
	}{
		{"https://127.0.0.1:1/", true},
		{missing.url, true},
		{"https://10.0.0.1/", false},
	} {
		begin := time.Now()
		if got := p.edna(t, acmeKey, `{"statusCallbackUrl":"`+tt.url+`"}`); got != `200 {"code":"error-callback-url-not-available"}` {
			t.Errorf("%s: %s", tt.url, got)
		}
		if took := time.Since(begin); tt.slow != (took >= slot) {
			t.Errorf("%s: answered after %s", tt.url, took)
		}
	}
}

func TestProbeLimitConfig(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ outbound, key, takes string }{
		"not an object":   {`"probe_limit":30`, "outbound.probe_limit", "object"},
		"empty":           {`"probe_limit":{}`, "outbound.probe_limit", "at least one"},
		"slot alone":      {`"probe_limit":{"slot":"1s"}`, "outbound.probe_limit", "at least one"},
		"unknown key":     {`"probe_limit":{"per_minute":1}`, "outbound.probe_limit.per_minute", "not a key"},
		"none per tenant": {`"probe_limit":{"per_tenant":0}`, "outbound.probe_limit.per_tenant", "whole number"},
		"a fraction":      {`"probe_limit":{"per_host":0.5}`, "outbound.probe_limit.per_host", "whole number"},
		"slot":            {`"probe_limit":{"per_host":1,"slot":5}`, "outbound.probe_limit.slot", "string"},
		"no URLs":         {`"urls_per_tenant":0`, "outbound.urls_per_tenant", "whole number"},
	} {
		err := checkConfig(t, `{`+least+`,"outbound":{`+tt.outbound+`}}`)
		if err == nil || !strings.Contains(err.Error(), tt.key+":") || !strings.Contains(err.Error(), tt.takes) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := checkConfig(t, `{`+least+`,"outbound":{"probe_limit":{"per_tenant":30,"per_host":60,"per_address":300,"concurrent":64,"slot":"6s"},"urls_per_tenant":100}}`); err != nil {
		t.Error(err)
	}
}

package main_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// actions lists what a receiver got, a chat by its message.
func actions(t *testing.T, posts []post) []string {
	t.Helper()
	var out []string
	for _, p := range posts {
		f := p.form(t)
		name := f.Get("action")
		if name == "group_chat" {
			name += " " + f.Get("message")
		}
		out = append(out, name)
	}
	return out
}

// The bodies and headers of group_chat and callback_removed.
func TestSmartBotsBodies(t *testing.T) {
	t.Parallel()
	p := serve(t)
	rc := receive(t, with(204)) // 2xx is accepted
	p.bots(t, botsForm(rc.url+"/cb"), teaOK)
	rc.wait(t, 1)
	message := "Tea & <cake>\n+ 100 % ☕\x7f"
	ev := p.publish(t, chat("tea-club", message))[0]
	rc.wait(t, 2)
	sub := p.subscriptions(t)[0]
	p.admin(t, "DELETE", "/admin/subscriptions/"+sub.ID, "").want(t, 204)
	got := rc.wait(t, 3)
	common := "&app_uuid=" + kettleUUID + "&group_id=tea-club&group_name=Tea+Club&group_uuid=" + teaUUID
	want := []string{
		"action=callback_set" + common + "&url=" + url.QueryEscape(rc.url+"/cb"),
		"action=group_chat" + common + "&message=" + url.QueryEscape(message) + "&speaker_name=Ada+Lovelace&speaker_uuid=66666666-7777-8888-9999-000000000000",
		"action=callback_removed" + common + "&reason=removed_by_user",
	}
	ids := map[string]bool{}
	for i, w := range want {
		if got[i].body != w {
			t.Errorf("body\n%s, want\n%s", got[i].body, w)
		}
		h := got[i].header
		if got[i].method != "POST" || got[i].uri != "/cb" || h.Get("Content-Type") != "application/x-www-form-urlencoded; charset=utf-8" ||
			!strings.HasPrefix(h.Get("User-Agent"), "ringback/") || h["Accept-Encoding"] != nil || got[i].length != int64(len(w)) || len(h["Webhook-Id"]) != 1 {
			t.Errorf("%s %s %v, length %d", got[i].method, got[i].uri, h, got[i].length)
		}
		ids[got[i].id()] = true
	}
	if len(ids) != 3 || got[1].id() != ev.EventID {
		t.Errorf("webhook-ids %v, the event's is %s", ids, ev.EventID)
	}
	p.admin(t, "DELETE", "/admin/subscriptions/"+sub.ID, "").want(t, 404)
	if n := len(p.subscriptions(t)); n != 0 {
		t.Errorf("%d registrations are left", n)
	}
}

// callback_set goes ahead of what waits, which waits for its first attempt and
// not for its success.
func TestSmartBotsReplacement(t *testing.T) {
	t.Parallel()
	p := serve(t)
	old, fresh := receive(t, nil), receive(t, firstly(500))
	p.bots(t, botsForm(old.url+"/old"), teaOK)
	old.only(t, 1)
	sub := p.subscriptions(t)[0]
	p.admin(t, "POST", "/admin/subscriptions/"+sub.ID+"/pause", "").want(t, 204)
	p.publish(t, chat("tea-club", "one"), chat("tea-club", "two"))
	p.bots(t, botsForm(fresh.url+"/new", "app_name", "Kettle 2"), teaOK)
	if s := p.subscriptions(t); len(s) != 1 || s[0].ID != sub.ID || s[0].State != "paused" || s[0].Label != "Kettle 2" || s[0].URL != fresh.url+"/new" {
		t.Fatalf("after the second call: %+v", s)
	}
	p.admin(t, "POST", "/admin/subscriptions/"+sub.ID+"/resume", "").want(t, 204)
	got := actions(t, fresh.wait(t, 4)) // callback_set is refused once
	if got[0] != "callback_set" || !slices.Contains(got, "group_chat one") || !slices.Contains(got, "group_chat two") || got[3] != "callback_set" {
		t.Errorf("the new URL got %q", got)
	}
	if f := fresh.all()[0].form(t); f.Get("url") != fresh.url+"/new" {
		t.Errorf("callback_set says %q", f.Get("url"))
	}
	old.only(t, 1)
}

// Several apps of one group, the list of them, and what becomes of last_success_at.
func TestSmartBotsApps(t *testing.T) {
	t.Parallel()
	p := serve(t)
	good, bad := receive(t, nil), receive(t, with(500))
	p.bots(t, botsForm(good.url), teaOK)
	p.bots(t, botsForm(good.url+"/pot", "app_uuid", potUUID, "app_name", "Pot"), teaOK)
	// Another developer's registration of the same app_uuid is one of its own.
	p.bots(t, botsForm(bad.url, "apikey", otherBotsKey, "app_name", "Taker"), teaOK)
	p.bots(t, botsForm(good.url+"/chess", "group", "Schach & Go", "secret", chessCode), chessOK)
	var apps []appRow
	eventually(t, "two successes", func() bool {
		apps = nil
		p.admin(t, "GET", "/admin/smartbots/apps?group_id=tea-club", "").want(t, 200).into(t, &apps)
		n := 0
		for _, a := range apps {
			if a.LastSuccessAt != nil {
				n++
			}
		}
		return n == 2
	})
	if len(apps) != 3 {
		t.Fatalf("%d apps: %+v", len(apps), apps)
	}
	for _, a := range apps {
		host := strings.TrimPrefix(good.url, "https://")
		if a.AppName == "Taker" {
			host = strings.TrimPrefix(bad.url, "https://")
		}
		if a.URLHost != host && a.URLHost != "127.0.0.1" {
			t.Errorf("%s: url_host %q", a.AppName, a.URLHost)
		}
		if a.Since == nil || time.Since(*a.Since).Abs() > time.Minute || a.Since.Location() != time.UTC {
			t.Errorf("%s: since %v", a.AppName, a.Since)
		}
		if ok := a.LastSuccessAt != nil; ok == (a.AppName == "Taker") {
			t.Errorf("%s: last_success_at %v", a.AppName, a.LastSuccessAt)
		}
	}
	if ev := p.publish(t, chat("tea-club", "hello"))[0]; ev.Deliveries != 3 {
		t.Errorf("%d deliveries, want 3", ev.Deliveries)
	}
	good.wait(t, 5)
	p.admin(t, "GET", "/admin/smartbots/apps?group_id=none", "").want(t, 404)
	p.admin(t, "GET", "/admin/smartbots/apps", "").want(t, 400)
}

// The listing of registrations names things as GATEWAY.md has it.
func TestSmartBotsListing(t *testing.T) {
	t.Parallel()
	p := serve(t, memory)
	rc := receive(t, nil)
	p.bots(t, botsForm(rc.url+"/a", "apikey", otherBotsKey, "app_uuid", strings.ToUpper(kettleUUID)), teaOK)
	s := p.subscriptions(t)[0]
	if s.Dialect != "smartbots" || s.Tenant != "dev2" || s.Scope != "tea-club" || s.Slot != kettleUUID || s.Label != "Kettle" ||
		s.URL != rc.url+"/a" || !slices.Equal(s.Types, []string{"group_chat"}) || s.State != "active" {
		t.Errorf("%+v", s)
	}
}

// What the receiver refuses with 500 comes again, by the standard schedule.
func TestSmartBotsRetry(t *testing.T) {
	t.Parallel()
	p := serve(t, memory)
	rc := receive(t, func(n int, _ post, w http.ResponseWriter) {
		if n == 2 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	p.bots(t, botsForm(rc.url), teaOK)
	rc.wait(t, 1)
	p.publish(t, chat("tea-club", "again"))
	got := rc.wait(t, 3)
	if got[1].id() != got[2].id() || got[1].body != got[2].body {
		t.Errorf("the repeat differs: %+v %+v", got[1], got[2])
	}
	if gap := got[2].at.Sub(got[1].at); gap < 890*time.Millisecond || gap > 3500*time.Millisecond {
		t.Errorf("the repeat came after %s", gap)
	}
}

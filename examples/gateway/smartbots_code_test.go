package main_test

import (
	"net/http"
	"slices"
	"testing"
)

const (
	newCode   = "NEWCODE-k29Xy"
	fileCode2 = "FILECODE2-m77Qs"
)

func (p *process) changeCode(t *testing.T, groupID, code string) int {
	t.Helper()
	p.secrets.addCode(code)
	var out struct{ Removed int }
	p.admin(t, "POST", "/admin/smartbots/security-code", text(map[string]string{"group_id": groupID, "security_code": code})).want(t, 200).into(t, &out)
	return out.Removed
}

// teaFile changes the code that the file has for the group.
func teaFile(code string) func(settings) {
	return func(s settings) {
		groups := s.section("smartbots")["groups"].([]any)
		groups[0].(settings)["security_code"] = code
	}
}

func TestSmartBotsCodeChange(t *testing.T) {
	t.Parallel()
	p := serve(t)
	rc, chess := receive(t, nil), receive(t, nil)
	p.bots(t, botsForm(rc.url+"/kettle"), teaOK)
	p.bots(t, botsForm(rc.url+"/pot", "app_uuid", potUUID), teaOK)
	p.bots(t, botsForm(chess.url, "group", "Schach & Go", "secret", chessCode), chessOK)
	rc.wait(t, 2)
	old := map[string]bool{}
	for _, s := range p.subscriptions(t) {
		if s.Scope == "tea-club" {
			old[s.ID] = true
			p.admin(t, "POST", "/admin/subscriptions/"+s.ID+"/pause", "").want(t, 204)
		}
	}
	waiting := p.publish(t, chat("tea-club", "one"), chat("tea-club", "two"))
	if n := p.changeCode(t, "tea-club", newCode); n != 2 {
		t.Errorf("removed %d, want 2", n)
	}
	// When the call returned, all that waited is dead.
	dead := 0
	for _, d := range p.deliveries(t, "state=dead") {
		if slices.ContainsFunc(waiting, func(e eventRow) bool { return e.EventID == d.EventID }) {
			dead++
			if d.LastError == nil || *d.LastError != "registration removed" || !old[d.SubscriptionID] {
				t.Errorf("dead delivery %+v", d)
			}
			p.admin(t, "POST", "/admin/deliveries/"+d.ID+"/retry", "").want(t, 409)
		}
	}
	if dead != 4 {
		t.Errorf("%d deliveries are dead, want 4", dead)
	}
	farewells := rc.wait(t, 4)[2:]
	for _, f := range farewells {
		if v := f.form(t); v.Get("action") != "callback_removed" || v.Get("reason") != "security_code_changed" || v.Get("group_id") != "tea-club" {
			t.Errorf("instead of a farewell came %v", v)
		}
	}
	if farewells[0].uri == farewells[1].uri || farewells[0].form(t).Get("app_uuid") == farewells[1].form(t).Get("app_uuid") {
		t.Error("both farewells went to one app")
	}
	p.bots(t, botsForm(rc.url+"/kettle"), failed("ACCESS DENIED"))
	p.bots(t, botsForm(rc.url+"/kettle", "secret", "", "secret_sha1", sha1Hex(teaCode)), failed("ACCESS DENIED"))
	p.bots(t, botsForm(rc.url+"/kettle", "secret", newCode), teaOK)
	p.bots(t, botsForm(rc.url+"/pot", "secret", "", "secret_sha1", sha1Hex(newCode), "app_uuid", potUUID), teaOK)
	for _, s := range p.subscriptions(t) {
		if old[s.ID] {
			t.Errorf("registration %s came to life again", s.ID)
		}
	}
	p.publish(t, chat("tea-club", "three"))
	got := actions(t, rc.wait(t, 8))[4:]
	slices.Sort(got)
	if !slices.Equal(got, []string{"callback_set", "callback_set", "group_chat three", "group_chat three"}) {
		t.Errorf("after registering again came %q", got)
	}
	chess.only(t, 1) // the other group has not heard of it

	p.admin(t, "POST", "/admin/smartbots/security-code", `{"group_id":"none","security_code":"x"}`).want(t, 404)
	p.admin(t, "POST", "/admin/smartbots/security-code", `{"group_id":"tea-club","security_code":""}`).want(t, 400)
	p.admin(t, "POST", "/admin/smartbots/security-code", `{"group_id":"tea-club"}`).want(t, 400)
	p.admin(t, "POST", "/admin/smartbots/security-code", `{"group_id":"tea-club","security_code":7}`).want(t, 400)
	if n := p.changeCode(t, "chess", newCode+"2"); n != 1 {
		t.Errorf("removed %d of chess, want 1", n)
	}
	chess.wait(t, 2)
}

// A code set through /admin survives restarts until the file's value changes.
func TestSmartBotsCodeOverRestarts(t *testing.T) {
	t.Parallel()
	rc := receive(t, nil)
	p := serve(t)
	p.changeCode(t, "tea-club", newCode)
	p.bots(t, botsForm(rc.url, "secret", newCode), teaOK)
	rc.wait(t, 1)
	eventually(t, "callback_set settled", func() bool { return p.stats(t).Pending == 0 })
	p.stop(t)

	p = start(t, p.dir)
	p.secrets.addCode(newCode)
	p.bots(t, botsForm(rc.url), failed("ACCESS DENIED"))
	if n := len(p.subscriptions(t)); n != 1 {
		t.Errorf("%d registrations after a restart, want 1", n)
	}
	p.publish(t, chat("tea-club", "still here"))
	rc.only(t, 2)
	// What waits when the file changes is dropped at the start.
	sub := p.subscriptions(t)[0]
	p.admin(t, "POST", "/admin/subscriptions/"+sub.ID+"/pause", "").want(t, 204)
	ev := p.publish(t, chat("tea-club", "too late"))[0]
	p.stop(t)

	p = start(t, configure(t, p.dir, teaFile(fileCode2)))
	p.secrets.addCode(newCode, fileCode2)
	p.deliveryOf(t, ev.EventID, "registration removed", func(d deliveryRow) bool {
		return d.State == "dead" && d.LastError != nil && *d.LastError == "registration removed"
	})
	got := rc.wait(t, 3)
	if v := got[2].form(t); v.Get("action") != "callback_removed" || v.Get("reason") != "security_code_changed" {
		t.Errorf("after the file changed came %v", v)
	}
	p.bots(t, botsForm(rc.url, "secret", newCode), failed("ACCESS DENIED"))
	p.bots(t, botsForm(rc.url), failed("ACCESS DENIED"))
	p.bots(t, botsForm(rc.url, "secret", fileCode2), teaOK)
	if s := p.subscriptions(t); len(s) != 1 || s[0].ID == sub.ID {
		t.Errorf("registrations %+v, the old one was %s", s, sub.ID)
	}
	rc.only(t, 4)
}

// Whoever refuses the farewell gets it again.
func TestSmartBotsFarewellIsRetried(t *testing.T) {
	t.Parallel()
	p := serve(t)
	rc := receive(t, func(n int, _ post, w http.ResponseWriter) {
		if n == 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	p.bots(t, botsForm(rc.url), teaOK)
	rc.wait(t, 1)
	if n := p.changeCode(t, "tea-club", newCode); n != 1 {
		t.Errorf("removed %d, want 1", n)
	}
	got := rc.wait(t, 3)
	if got[1].id() != got[2].id() || got[1].body != got[2].body || got[2].form(t).Get("action") != "callback_removed" {
		t.Errorf("the repeat differs: %+v %+v", got[1], got[2])
	}
}

package main_test

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// sending switches commands of the app on.
func sending(to string, retry bool, commands ...any) func(settings) {
	return func(s settings) {
		app := s.section("tencentchat")["apps"].([]any)[0].(settings)
		app["url"], app["commands"], app["retry"] = to, commands, retry
	}
}

func accept(_ int, _ post, w http.ResponseWriter) { _, _ = io.WriteString(w, chatOK) }

const attrData = `{"GroupId":"@TGS#1", "Type":"Public","Operator_Account":"a<b>&\u00e4","OptionType":"set","GroupAttr":[ {"key":"k","value":"v"} ]}`

func tencentEvent(rest, data string) string {
	return `{"dialect":"tencentchat","tenant":"` + chatApp + `","type":"` + attrCmd + `"` + rest + `,"data":` + data + `}`
}

func TestTencentSends(t *testing.T) {
	t.Parallel()
	rc := receive(t, accept)
	p := serve(t, memory, sending(rc.url+"/im?v=1", false, attrCmd))
	begin := time.Now().UnixMilli()
	p.publish(t, tencentEvent("", attrData))
	p.publish(t, tencentEvent(`,"client_ip":"203.0.113.9","opt_platform":"iOS"`, `{"EventTime":1670574414123,"GroupId":"g"}`))
	got := rc.only(t, 2)
	slices.SortFunc(got, func(a, b post) int { return strings.Compare(b.uri, a.uri) }) // OptPlatform=RESTAPI first: "O" > "C"
	tail := `&Sign=([0-9a-f]{64})&RequestTime=([0-9]{10})$`
	for i, form := range []string{
		`^/im\?v=1&SdkAppid=1400000001&CallbackCommand=Group\.CallbackAfterGroupAttrChanged&contenttype=json&OptPlatform=RESTAPI` + tail,
		`^/im\?v=1&SdkAppid=1400000001&CallbackCommand=Group\.CallbackAfterGroupAttrChanged&contenttype=json&ClientIP=203\.0\.113\.9&OptPlatform=iOS` + tail,
	} {
		m := regexp.MustCompile(form).FindStringSubmatch(got[i].uri)
		if m == nil {
			t.Errorf("URL %s", got[i].uri)
		} else if m[1] != chatSign(chatToken, m[2]) {
			t.Errorf("Sign of %s is %s", m[2], m[1])
		}
		if got[i].method != "POST" || got[i].header.Get("Content-Type") != jsonType || got[i].id() == "" || !strings.HasPrefix(got[i].header.Get("User-Agent"), "ringback/") {
			t.Errorf("%s %v", got[i].method, got[i].header)
		}
	}
	body := regexp.MustCompile(`^` + regexp.QuoteMeta(`{"CallbackCommand":"`+attrCmd+`","GroupId":"@TGS#1","Type":"Public","Operator_Account":"a<b>&`) + `(?:ä|\\u00e4)` +
		regexp.QuoteMeta(`","OptionType":"set","GroupAttr":[{"key":"k","value":"v"}],"EventTime":`) + `([0-9]{13})}$`)
	if m := body.FindStringSubmatch(got[0].body); m == nil || m[1] < text(begin-1000) || m[1] > text(time.Now().UnixMilli()+1000) {
		t.Errorf("body %s", got[0].body)
	}
	if want := `{"CallbackCommand":"` + attrCmd + `","EventTime":1670574414123,"GroupId":"g"}`; got[1].body != want {
		t.Errorf("body %s, want %s", got[1].body, want)
	}
	if s := p.subscriptions(t); len(s) != 1 || s[0].Dialect != "tencentchat" || s[0].Tenant != chatApp || s[0].Slot != "" || s[0].State != "active" ||
		s[0].URL != rc.url+"/im?v=1" || !slices.Equal(s[0].Types, []string{attrCmd}) {
		t.Errorf("%+v", s)
	}
	// A command that is not switched on, and an app that has none.
	off := p.publish(t, `{"dialect":"tencentchat","tenant":"`+chatApp+`","type":"Group.CallbackAfterGroupDestroyed","data":{}}`,
		`{"dialect":"tencentchat","tenant":"`+openApp+`","type":"`+attrCmd+`","data":{}}`)
	if off[0].Deliveries != 0 || off[1].Deliveries != 0 {
		t.Errorf("%+v", off)
	}
	for name, bad := range map[string]string{
		"CallbackCommand in the data": tencentEvent("", `{"CallbackCommand":"`+attrCmd+`"}`),
		"before-command":              `{"dialect":"tencentchat","tenant":"` + chatApp + `","type":"C2C.CallbackBeforeSendMsg","data":{}}`,
		"Push":                        `{"dialect":"tencentchat","tenant":"` + chatApp + `","type":"Push.AllMemberPush","data":{}}`,
		"data not an object":          tencentEvent("", `[]`),
	} {
		if r := p.admin(t, "POST", "/admin/events", bad); r.status != 400 {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	rc.only(t, 2)
}

// retry false: one attempt, whatever comes, and then dead.
func TestTencentOneAttempt(t *testing.T) {
	t.Parallel()
	answers := []struct {
		name   string
		status int
		body   string
		ok     bool
	}{
		{"OK", 200, chatOK, true},
		{"OK with a code", 200, `{"ActionStatus":"OK","ErrorCode":120001,"ErrorInfo":"x"}`, true},
		{"FAIL", 200, `{"ActionStatus":"FAIL","ErrorCode":1,"ErrorInfo":"x"}`, false},
		{"not JSON", 200, `OK`, false},
		{"nothing", 200, ``, false},
		{"201", 201, chatOK, false},
		{"410", 410, chatOK, false},
		{"500", 500, chatOK, false},
	}
	rc := receive(t, func(n int, _ post, w http.ResponseWriter) {
		w.WriteHeader(answers[n-1].status)
		_, _ = io.WriteString(w, answers[n-1].body)
	})
	p := serve(t, memory, sending(rc.url, false, attrCmd))
	for i, a := range answers {
		ev := p.publish(t, tencentEvent("", attrData))[0]
		d := p.deliveryOf(t, ev.EventID, "settled", func(d deliveryRow) bool { return d.State != "pending" })
		if (d.State == "delivered") != a.ok || d.Attempts != 1 {
			t.Errorf("%s: %+v", a.name, d)
		}
		if !a.ok && (d.LastError == nil || *d.LastError == "") {
			t.Errorf("%s: dead without last_error", a.name)
		}
		rc.only(t, i+1)
	}
	if s := p.subscriptions(t); s[0].State != "active" {
		t.Errorf("state %s: nothing disables the app", s[0].State)
	}
}

// A backend that does not answer within 2 s has failed, outbound.timeout or no.
func TestTencentTimeout(t *testing.T) {
	t.Parallel()
	slow := hold(t)
	rc := receive(t, func(int, post, http.ResponseWriter) { slow.pass() })
	p := serve(t, memory, sending(rc.url, false, attrCmd))
	ev := p.publish(t, tencentEvent("", attrData))[0]
	d := p.deliveryOf(t, ev.EventID, "dead", inState("dead"))
	a := p.attempts(t, d.ID)
	if len(a) != 1 || a[0].DurationMS < 1900 || a[0].DurationMS > 4000 || a[0].Status != nil || a[0].Error == nil {
		t.Errorf("%+v", a)
	}
}

// retry true: the standard schedule, signed afresh.
func TestTencentRetry(t *testing.T) {
	t.Parallel()
	rc := receive(t, func(n int, q post, w http.ResponseWriter) {
		if n > 1 {
			accept(n, q, w)
		}
	})
	p := serve(t, memory, sending(rc.url, true, attrCmd))
	ev := p.publish(t, tencentEvent("", attrData))[0]
	if d := p.deliveryOf(t, ev.EventID, "delivered", inState("delivered")); d.Attempts != 2 {
		t.Errorf("%+v", d)
	}
	got := rc.only(t, 2)
	if gap := got[1].at.Sub(got[0].at); gap < 890*time.Millisecond || gap > 3500*time.Millisecond {
		t.Errorf("the repeat came after %s", gap)
	}
	if got[0].body != got[1].body || got[0].id() != got[1].id() {
		t.Errorf("%+v %+v", got[0], got[1])
	}
	for _, q := range got { // each is signed anew
		u, err := url.Parse(q.uri)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := strconv.ParseInt(u.Query().Get("RequestTime"), 10, 64)
		if late := q.at.Unix() - signed; err != nil || late < 0 || late > 1 {
			t.Errorf("signed at %d, received at %s: %v", signed, q.at, err)
		}
	}
}

// The registration follows the file over restarts.
func TestTencentReconfigured(t *testing.T) {
	t.Parallel()
	rc := receive(t, accept)
	p := serve(t, sending(rc.url+"/one", false, attrCmd))
	id := p.subscriptions(t)[0].ID
	p.stop(t)
	p = start(t, configure(t, p.dir, sending(rc.url+"/two", false, attrCmd)))
	if s := p.subscriptions(t); len(s) != 1 || s[0].ID != id || s[0].URL != rc.url+"/two" {
		t.Errorf("after the URL changed: %+v", s)
	}
	p.publish(t, tencentEvent("", attrData))
	if got := rc.only(t, 1)[0]; !strings.HasPrefix(got.uri, "/two?") {
		t.Errorf("URL %s", got.uri)
	}
	eventually(t, "settled", func() bool { return p.stats(t).Delivered == 1 })
	p.stop(t)
	p = start(t, configure(t, p.dir))
	if s := p.subscriptions(t); len(s) != 0 {
		t.Errorf("after the app lost its commands: %+v", s)
	}
	if ev := p.publish(t, tencentEvent("", attrData))[0]; ev.Deliveries != 0 {
		t.Errorf("%+v", ev)
	}
}

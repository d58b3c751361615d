package tencentchat_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/dialect/tencentchat"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/verify"
)

const okPacket = `{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}`

// TestCorpus runs the T and J rows, each against a fresh receiver.
func TestCorpus(t *testing.T) {
	t.Parallel()
	all := append(rows(t, "T"), rows(t, "J")...)
	if len(all) < 91 {
		t.Fatalf("%d rows", len(all))
	}
	for _, r := range all {
		t.Run(r.id+" "+r.why, func(t *testing.T) {
			t.Parallel()
			own := token
			if _, option, ok := strings.Cut(r.cfg, ":token="); ok {
				own = option
			}
			handled := 0
			rc, err := tencentchat.NewReceiver(tencentchat.ReceiverConfig{
				Apps: []tencentchat.App{app(own)},
				Handler: func(context.Context, tencentchat.Event) (tencentchat.Reply, error) {
					handled++
					return tencentchat.OK(), nil
				},
				Now: func() time.Time { return r.now }, Logger: quiet,
			})
			if r.expect == "config_error" {
				if err == nil {
					t.Error("accepted")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			w := post(t, rc, strings.TrimPrefix(r.target, "/tencent?"), r.body, func(q *http.Request) { q.Method, q.Header = r.method, r.header })
			if got := strconv.Itoa(w.Code); got != r.expect {
				t.Errorf("status %s, want %s: %s", got, r.expect, w.Body)
			}
			if accepted := handled == 1; accepted != (r.expect == "200") {
				t.Errorf("handled %d times", handled)
			}
			checkPacket(t, w.Code, w.Body.String())
		})
	}
}

// checkPacket wants the platform's form, key order included.
func checkPacket(t *testing.T, status int, body string) {
	t.Helper()
	if status == 200 {
		if body != okPacket {
			t.Errorf("packet %s", body)
		}
		return
	}
	var p struct {
		ActionStatus, ErrorInfo string
		ErrorCode               int
	}
	if err := json.Unmarshal([]byte(body), &p); err != nil {
		t.Fatal(err)
	}
	want := `{"ActionStatus":"FAIL","ErrorInfo":"` + p.ErrorInfo + `","ErrorCode":` + strconv.Itoa(p.ErrorCode) + `}`
	if body != want || p.ErrorInfo == "" || p.ErrorCode == 0 {
		t.Errorf("packet %s", body)
	}
}

var refuseAll = limiterFunc(func(string) (middleware.Decision, error) {
	return middleware.Decision{RetryAfter: 3 * time.Second}, nil
})

// TestOrder breaks two neighboring rules at once: the first one answers.
func TestOrder(t *testing.T) {
	t.Parallel()
	const command = "Group.CallbackAfterGroupDestroyed"
	good := query(command)
	huge := `"` + strings.Repeat("a", 70_000) + `"`
	foreign := strings.Replace(good, appID, "1400000009", 1)
	stale := strings.Replace(good, sign, strings.Repeat("0", 64), 1)
	method := func(r *http.Request) { r.Method = http.MethodGet }
	tests := []struct {
		name, query, body string
		edit              []func(*http.Request)
		limiter           middleware.Limiter
		status            int
	}{
		{"method before query", "a;b", `{}`, []func(*http.Request){method}, nil, 405},
		{"query before size", "a=%zz", huge, nil, nil, 400},
		{"size before app", foreign, huge, nil, nil, 413},
		{"app before limit", foreign, `{}`, nil, refuseAll, 401},
		{"sign before limit", stale, `{}`, nil, refuseAll, 401},
		{"limit before media type", good, `{}`, []func(*http.Request){header("Content-Type", "text/plain")}, refuseAll, 429},
		{"sign before media type", stale, `{}`, []func(*http.Request){header("Content-Type", "text/plain")}, nil, 401},
		{"media type before body", good, `{`, []func(*http.Request){header("Content-Type", "text/plain")}, nil, 415},
		{"body", good, `{`, nil, nil, 400},
		{"encoding", good, `{}`, []func(*http.Request){header("Content-Encoding", "gzip")}, nil, 415},
		{"two encodings", good, `{}`, []func(*http.Request){header("Content-Encoding", "identity, gzip")}, nil, 415},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := post(t, receiver(t, tencentchat.ReceiverConfig{AppLimiter: tt.limiter}), tt.query, tt.body, tt.edit...)
			if w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
			checkPacket(t, w.Code, w.Body.String())
			if limited := w.Header().Get("Retry-After") == "3"; limited != (tt.status == 429) {
				t.Errorf("Retry-After %q", w.Header().Get("Retry-After"))
			}
		})
	}
}

// TestOneUnauthorized: whatever is wrong, the answer is the same.
func TestOneUnauthorized(t *testing.T) {
	t.Parallel()
	rc := receiver(t, tencentchat.ReceiverConfig{})
	good := query("State.StateChange")
	answers := map[string]bool{}
	for _, q := range []string{
		"", "SdkAppid=" + appID, "SdkAppid=1", good + "&SdkAppid=" + appID, good + "&Sign=" + sign, good + "&RequestTime=1669872112",
		strings.Replace(good, appID, "1", 1), strings.Replace(good, "Sign=", "sign=", 1), strings.Replace(good, "1777", "0777", 1),
	} {
		w := post(t, rc, q, `{"CallbackCommand":"State.StateChange"}`)
		answers[strconv.Itoa(w.Code)+w.Body.String()] = true
	}
	if len(answers) != 1 || !answers[`401{"ActionStatus":"FAIL","ErrorInfo":"unauthorized","ErrorCode":401}`] {
		t.Errorf("answers %v", answers)
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	const command = "State.StateChange"
	unsigned := "SdkAppid=" + appID + "&CallbackCommand=" + command
	rotated := app("newer", token)
	other := tencentchat.App{SDKAppID: "1400000002", Tokens: app("another").Tokens}
	wide := app(token)
	wide.Window = time.Hour
	tests := []struct {
		name   string
		apps   []tencentchat.App
		now    time.Time
		query  string
		status int
	}{
		{"the older token", []tencentchat.App{rotated}, documented, query(command), 200},
		{"unsigned with a token", []tencentchat.App{rotated}, documented, unsigned, 401},
		{"unsigned without a token", []tencentchat.App{app(), other}, documented, unsigned, 200},
		{"the other app's signature", []tencentchat.App{other, app("x")}, documented, query(command), 401},
		{"its own window", []tencentchat.App{wide}, documented.Add(time.Hour), query(command), 200},
		{"behind its window", []tencentchat.App{wide}, documented.Add(time.Hour + time.Second), query(command), 401},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rc := receiver(t, tencentchat.ReceiverConfig{Apps: tt.apps, Now: func() time.Time { return tt.now }})
			if w := post(t, rc, tt.query, `{"CallbackCommand":"`+command+`"}`); w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
		})
	}
}

func TestEvent(t *testing.T) {
	t.Parallel()
	var got tencentchat.Event
	rc := receiver(t, tencentchat.ReceiverConfig{Handler: func(_ context.Context, ev tencentchat.Event) (tencentchat.Reply, error) {
		got = ev
		return tencentchat.OK(), nil
	}})
	q := strings.Replace(query("Group.CallbackFromTheFuture"), "OptPlatform=Web", "OptPlatform=macOS&RequestID=x", 1)
	body := `{"CallbackCommand":"Group.CallbackFromTheFuture","EventTime":"1657389765743","GroupId":5}`
	if w := post(t, rc, q, body); w.Code != 200 || w.Body.String() != okPacket || w.Header().Get("Content-Type") != "application/json" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	want := tencentchat.Event{
		Command: "Group.CallbackFromTheFuture", SDKAppID: appID, ClientIP: "203.0.113.7", Platform: "macOS",
		EventTime: time.UnixMilli(1657389765743).UTC(), Body: json.RawMessage(body),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestPush: the command stands in each event.
func TestPush(t *testing.T) {
	t.Parallel()
	const command = "Push.AllMemberPush"
	for body, status := range map[string]int{
		`{"Events":[{"CallbackCommand":"Push.AllMemberPush"},{"CallbackCommand":"Push.AllMemberPush","x":1}]}`: 200,
		`{"CallbackCommand":"Push.AllMemberPush","Events":[{"CallbackCommand":"Push.AllMemberPush"}]}`:         200,
		`{"Events":[{"CallbackCommand":"Push.AllMemberPush"},{"CallbackCommand":"Push.Other"}]}`:               400,
		`{"CallbackCommand":"Push.Other","Events":[{"CallbackCommand":"Push.AllMemberPush"}]}`:                 400,
		`{"CallbackCommand":"Push.AllMemberPush"}`:                                                             400,
		`{"Events":[]}`:                                   400,
		`{"Events":[{}]}`:                                 400,
		`{"Events":["Push.AllMemberPush"]}`:               400,
		`{"Events":{"CallbackCommand":"Push.AllMember"}}`: 400,
	} {
		if w := post(t, receiver(t, tencentchat.ReceiverConfig{}), query(command), body); w.Code != status {
			t.Errorf("%s: %d, want %d", body, w.Code, status)
		}
	}
}

func TestAllowAll(t *testing.T) {
	t.Parallel()
	item := func(id string) string { return `{"To_Account":"` + id + `","ResultCode":0,"ResultInfo":""}` }
	tests := []struct {
		name, command, members string
		status                 int
		want                   string
	}{
		{"add", "Sns.CallbackPrevFriendAdd", `"FriendItem":[{"To_Account":"id1","Remark":"r"},{"To_Account":"<2>"}]`, 200, `,"ResultItem":[` + item("id1") + `,` + item("<2>") + `]`},
		{"response", "Sns.CallbackPrevFriendResponse", `"ResponseFriendItem":[{"To_Account":"id1"}]`, 200, `,"ResultItem":[` + item("id1") + `]`},
		{"another list", "Sns.CallbackFriendAdd", `"FriendItem":[{"To_Account":"id1"}]`, 200, ``},
		{"before-command", "Group.CallbackBeforeSendMsg", `"x":1`, 200, ``},
		{"no list", "Sns.CallbackPrevFriendAdd", `"FriendItem":5`, 400, ``},
		{"no account", "Sns.CallbackPrevFriendAdd", `"FriendItem":[{}]`, 400, ``},
	}
	for _, tt := range tests {
		for name, h := range map[string]tencentchat.Handler{
			"default": nil,
			"OK":      func(context.Context, tencentchat.Event) (tencentchat.Reply, error) { return tencentchat.OK(), nil },
		} {
			t.Run(tt.name+" "+name, func(t *testing.T) {
				t.Parallel()
				w := post(t, receiver(t, tencentchat.ReceiverConfig{Handler: h}), query(tt.command), `{"CallbackCommand":"`+tt.command+`",`+tt.members+`}`)
				want := strings.TrimSuffix(okPacket, "}") + tt.want + "}"
				if w.Code != tt.status || tt.status == 200 && w.Body.String() != want {
					t.Errorf("%d %s, want %d %s", w.Code, w.Body, tt.status, want)
				}
			})
		}
	}
	reply, err := tencentchat.AllowAll(t.Context(), tencentchat.Event{Command: "Sns.CallbackPrevFriendAdd", Body: []byte(`{"FriendItem":[{"To_Account":"a"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := json.Marshal(reply); err != nil || string(raw) != strings.TrimSuffix(okPacket, "}")+`,"ResultItem":[`+item("a")+`]}` {
		t.Errorf("%s %v", raw, err)
	}
}

func TestHandlerErrors(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err    error
		status int
	}{
		"own":    {errors.New("disk on fire"), 503},
		"packet": {tencentchat.ErrPacket, 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logged strings.Builder
			rc := receiver(t, tencentchat.ReceiverConfig{
				Handler: func(context.Context, tencentchat.Event) (tencentchat.Reply, error) {
					return tencentchat.Reply{}, tt.err
				},
				Logger: slog.New(slog.NewTextHandler(&logged, nil)),
			})
			w := post(t, rc, query("State.StateChange"), `{"CallbackCommand":"State.StateChange"}`)
			if w.Code != tt.status || strings.Contains(w.Body.String(), "disk") {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if (logged.Len() > 0) != (tt.status == 503) {
				t.Errorf("log %q", logged.String())
			}
			checkPacket(t, w.Code, w.Body.String())
		})
	}
	broken := limiterFunc(func(string) (middleware.Decision, error) { return middleware.Decision{}, errors.New("broken") })
	w := post(t, receiver(t, tencentchat.ReceiverConfig{AppLimiter: broken}), query("State.StateChange"), `{}`)
	if w.Code != 503 {
		t.Errorf("broken limiter: %d", w.Code)
	}
	checkPacket(t, w.Code, w.Body.String())
	if w := post(t, &tencentchat.Receiver{}, query("State.StateChange"), `{}`); w.Code != 503 {
		t.Errorf("zero value: %d", w.Code)
	}
}

func TestAppLimiterGetsTheApp(t *testing.T) {
	t.Parallel()
	for _, a := range []tencentchat.App{app(token), app()} {
		var keys []string
		limiter := limiterFunc(func(key string) (middleware.Decision, error) {
			keys = append(keys, key)
			return middleware.Decision{Allowed: true}, nil
		})
		rc := receiver(t, tencentchat.ReceiverConfig{Apps: []tencentchat.App{a}, AppLimiter: limiter})
		w := post(t, rc, query("State.StateChange"), `{"CallbackCommand":"State.StateChange"}`)
		if w.Code != 200 || len(keys) != 1 || keys[0] != appID {
			t.Errorf("%d, keys %q", w.Code, keys)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	negative := app(token)
	negative.Window = -1
	for name, tt := range map[string]struct {
		cfg  tencentchat.ReceiverConfig
		want error
	}{
		"no app":          {tencentchat.ReceiverConfig{}, verify.ErrConfig},
		"no id":           {tencentchat.ReceiverConfig{Apps: []tencentchat.App{{}}}, verify.ErrConfig},
		"id not decimal":  {tencentchat.ReceiverConfig{Apps: []tencentchat.App{{SDKAppID: "0x1"}}}, verify.ErrConfig},
		"id twice":        {tencentchat.ReceiverConfig{Apps: []tencentchat.App{app(), app()}}, tencentchat.ErrConfig},
		"empty token":     {tencentchat.ReceiverConfig{Apps: []tencentchat.App{app("good", "")}}, verify.ErrEmptyKey},
		"negative window": {tencentchat.ReceiverConfig{Apps: []tencentchat.App{negative}}, tencentchat.ErrConfig},
		"negative limit":  {tencentchat.ReceiverConfig{Apps: []tencentchat.App{app()}, BodyLimit: -1}, tencentchat.ErrConfig},
	} {
		if _, err := tencentchat.NewReceiver(tt.cfg); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

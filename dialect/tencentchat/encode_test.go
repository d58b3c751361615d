package tencentchat_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/tencentchat"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/verify"
)

func TestEncode(t *testing.T) {
	t.Parallel()
	const head = `{"CallbackCommand":"` + command + `"`
	at := time.UnixMilli(1670574414999)
	tests := []struct {
		name, data string
		quoted     bool
		want       string
	}{
		{"empty", `{}`, false, head + `,"EventTime":1670574414999}`},
		{"order and spelling are kept", " {\n\"b\" : \"\\u003c<\\/\u2028\" , \"a\":[1.50, 1E2] }", false, head + ",\"b\":\"\\u003c<\\/\u2028\",\"a\":[1.50,1E2],\"EventTime\":1670574414999}"},
		{"its own time", `{"EventTime":7,"a":1}`, false, head + `,"EventTime":7,"a":1}`},
		{"a quoted time", `{"a":"EventTime","EventTime" : "7","b":{"EventTime":"8"}}`, false, head + `,"a":"EventTime","EventTime":7,"b":{"EventTime":"8"}}`},
		{"a null time", `{"EventTime":null}`, false, head + `,"EventTime":1670574414999}`},
		{"an escaped name", `{"\u0045ventTime":"7"}`, false, head + `,"\u0045ventTime":7}`},
		{"quoted form", `{"EventTime":7,"a":1}`, true, head + `,"EventTime":"7","a":1}`},
		{"quoted form added", `{"a":1}`, true, head + `,"a":1,"EventTime":"1670574414999"}`},
		{"other letters", `{"eventtime":7,"callbackcommand":1}`, false, head + `,"eventtime":7,"callbackcommand":1,"EventTime":1670574414999}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ev := published(tt.data)
			ev.At = at
			p, err := tencentchat.Dialect{QuotedEventTime: tt.quoted}.Encode(ev, registry.Subscription{Tenant: appID})
			if err != nil || string(p.Body) != tt.want || p.ContentType != "application/json" || p.Meta != nil {
				t.Errorf("%s %v, want %s", p.Body, err, tt.want)
			}
			if string(ev.Data) != tt.data {
				t.Errorf("the data was written to: %s", ev.Data)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*delivery.Event){
		"dialect":                 func(e *delivery.Event) { e.Dialect = "edna" },
		"tenant":                  func(e *delivery.Event) { e.Tenant = "" },
		"before":                  func(e *delivery.Event) { e.Type = "Group.CallbackBeforeSendMsg" },
		"prev":                    func(e *delivery.Event) { e.Type = "Sns.CallbackPrevFriendAdd" },
		"push":                    func(e *delivery.Event) { e.Type = "Push.AllMemberPush" },
		"no command":              func(e *delivery.Event) { e.Type = "" },
		"odd command":             func(e *delivery.Event) { e.Type = `a","b":"` },
		"command":                 func(e *delivery.Event) { e.Data = []byte(`{"CallbackCommand":null}`) },
		"command escaped":         func(e *delivery.Event) { e.Data = []byte(`{"\u0043allbackCommand":"x"}`) },
		"array":                   func(e *delivery.Event) { e.Data = []byte(`[]`) },
		"nothing":                 func(e *delivery.Event) { e.Data = nil },
		"trailing":                func(e *delivery.Event) { e.Data = []byte(`{} {}`) },
		"duplicate":               func(e *delivery.Event) { e.Data = []byte(`{"a":1,"a":2}`) },
		"NUL":                     func(e *delivery.Event) { e.Data = []byte(`{"a":"\u0000"}`) },
		"time":                    func(e *delivery.Event) { e.Data = []byte(`{"EventTime":1.5}`) },
		"number":                  func(e *delivery.Event) { e.Data = []byte(`{"MsgSeq":-1}`) },
		"long command":            func(e *delivery.Event) { e.Type = strings.Repeat("a", 129) },
		"client_ip of two lines":  func(e *delivery.Event) { e.Meta = map[string]string{"client_ip": "1.2\n3"} },
		"NUL as opt_platform":     func(e *delivery.Event) { e.Meta = map[string]string{"opt_platform": "\x00"} },
		"opt_platform in Latin-1": func(e *delivery.Event) { e.Meta = map[string]string{"opt_platform": "\xe9"} },
		"long client_ip":          func(e *delivery.Event) { e.Meta = map[string]string{"client_ip": strings.Repeat("1", 257)} },
		"long opt_platform":       func(e *delivery.Event) { e.Meta = map[string]string{"opt_platform": strings.Repeat("1", 257)} },
	} {
		ev := published(`{}`)
		edit(&ev)
		if err := (tencentchat.Dialect{}).Check(ev); !errors.Is(err, delivery.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (tencentchat.Dialect{}).Check(published(`{}`)); err != nil {
		t.Error(err)
	}
	if _, err := (tencentchat.Dialect{}).Encode(published(`{}`), registry.Subscription{Tenant: "1"}); !errors.Is(err, delivery.ErrInvalid) {
		t.Errorf("another app's subscription: %v", err)
	}
}

func TestRequestURL(t *testing.T) {
	t.Parallel()
	const params = "SdkAppid=1400000001&CallbackCommand=C&contenttype=json&OptPlatform=a+%26b"
	for url, want := range map[string]string{
		"https://im.example.com/":       "https://im.example.com/?" + params,
		"https://im.example.com/?":      "https://im.example.com/?" + params,
		"https://im.example.com/?a=1":   "https://im.example.com/?a=1&" + params,
		"https://im.example.com/?a=1&":  "https://im.example.com/?a=1&" + params,
		"https://im.example.com/a%2Fb?": "https://im.example.com/a%2Fb?" + params,
	} {
		d := delivery.Delivery{EventID: "evt", Type: "C", Meta: map[string]string{"opt_platform": "a &b"}, Body: []byte("{}")}
		r, err := tencentchat.Dialect{}.Request(t.Context(), d, registry.Subscription{URL: url, Tenant: appID}, documented)
		if err != nil || r.URL.String() != want {
			t.Errorf("%s: %v %v, want %s", url, r, err, want)
		}
	}
}

// TestSignVector: the documented vector and the misprint of older pages.
func TestSignVector(t *testing.T) {
	t.Parallel()
	var vectors struct {
		Vectors []struct {
			Token string `json:"token"`
			Sign  string `json:"sign"`
		} `json:"vectors"`
		Suffix string `json:"url_suffix"`
	}
	if err := json.Unmarshal(vector(t, "tencent/sign.json"), &vectors); err != nil || len(vectors.Vectors) == 0 {
		t.Fatal(err)
	}
	for i, v := range vectors.Vectors {
		apps, err := tencentchat.NewApps(app(v.Token))
		if err != nil {
			t.Fatal(err)
		}
		r, err := tencentchat.Dialect{Signer: apps.Signer}.Request(t.Context(), delivery.Delivery{EventID: "e", Type: "C"},
			registry.Subscription{URL: "https://im.example.com/", Tenant: appID}, documented)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(r.URL.String(), "&Sign="+v.Sign+"&RequestTime=1669872112") || i == 0 && !strings.HasSuffix(r.URL.String(), vectors.Suffix) {
			t.Errorf("token %q: %s", v.Token, r.URL)
		}
	}
}

// TestNeverUnsigned: a token that cannot sign fails the attempt.
func TestNeverUnsigned(t *testing.T) {
	t.Parallel()
	d := tencentchat.Dialect{Signer: func(string) (verify.TencentSign, bool) { return verify.TencentSign{}, true }}
	_, err := d.Request(t.Context(), delivery.Delivery{EventID: "e", Type: "C"}, registry.Subscription{URL: "https://im.example.com/", Tenant: appID}, documented)
	if err == nil {
		t.Error("a request without Sign")
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	const ok = `{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}`
	for _, tt := range []struct {
		status int
		body   string
		want   delivery.Verdict
	}{
		{200, ok, delivery.VerdictAccepted},
		{200, ` {"ErrorCode":1,"ActionStatus":"OK"}`, delivery.VerdictAccepted},
		{200, `{"ActionStatus":"FAIL"}`, delivery.VerdictRetry},
		{200, `{"ActionStatus":"ok"}`, delivery.VerdictRetry},
		{200, `{"actionstatus":"OK"}`, delivery.VerdictRetry},
		{200, `{"ActionStatus":1}`, delivery.VerdictRetry},
		{200, `["OK"]`, delivery.VerdictRetry},
		{200, `OK`, delivery.VerdictRetry},
		{200, ``, delivery.VerdictRetry},
		{200, ok + `x`, delivery.VerdictRetry},
		{201, ok, delivery.VerdictRetry},
		{302, ok, delivery.VerdictRetry},
		{404, ok, delivery.VerdictRetry},
		{410, ok, delivery.VerdictRetry},
		{500, ok, delivery.VerdictRetry},
	} {
		if got := (tencentchat.Dialect{}).Judge(tt.status, nil, []byte(tt.body)); got != tt.want {
			t.Errorf("%d %s: %v, want %v", tt.status, tt.body, got, tt.want)
		}
	}
}

func TestNewSubscription(t *testing.T) {
	t.Parallel()
	good := tencentchat.App{SDKAppID: appID, URL: "https://im.example.com/", Commands: []string{"State.StateChange", command}, Retry: true}
	sub, err := tencentchat.NewSubscription(good)
	if err != nil {
		t.Fatal(err)
	}
	want := registry.Subscription{
		ID: sub.ID, Dialect: "tencentchat", Tenant: appID, URL: good.URL, Types: good.Commands,
		Limits: registry.Limits{Timeout: 2 * time.Second}, Meta: map[string]string{"retry": "on"},
	}
	secrets := cmp.Comparer(func(a, b registry.Secret) bool { return a.Reveal() == b.Reveal() })
	if diff := cmp.Diff(want, sub, secrets); diff != "" || registry.Validate(sub) != nil {
		t.Errorf("%v -want +got:\n%s", registry.Validate(sub), diff)
	}
	if again, err := tencentchat.NewSubscription(good); err != nil || again.ID != sub.ID || sub.ID == "" {
		t.Errorf("ids %q and %q", sub.ID, again.ID)
	}
	for name, edit := range map[string]func(*tencentchat.App){
		"id":       func(a *tencentchat.App) { a.SDKAppID = "01" },
		"url":      func(a *tencentchat.App) { a.URL = "" },
		"nothing":  func(a *tencentchat.App) { a.Commands = nil },
		"before":   func(a *tencentchat.App) { a.Commands = []string{command, "C2C.CallbackBeforeSendMsg"} },
		"push":     func(a *tencentchat.App) { a.Commands = []string{"Push.AllMemberPush"} },
		"spelling": func(a *tencentchat.App) { a.Commands = []string{"a b"} },
	} {
		bad := good
		edit(&bad)
		if _, err := tencentchat.NewSubscription(bad); !errors.Is(err, tencentchat.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

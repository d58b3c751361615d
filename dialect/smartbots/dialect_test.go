package smartbots_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/smartbots"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/verify"
)

const formType = "application/x-www-form-urlencoded; charset=utf-8"

// demoSubscription is what the API stores for the demo call.
func demoSubscription() registry.Subscription {
	code := verify.CodeDigest(serverKey, demoCode)
	return registry.Subscription{
		ID: "sub_1", Dialect: smartbots.Name, Tenant: "dev1", Scope: "my-group", Slot: demoUUID,
		URL: "https://hooks.example.com/cb", Types: []string{smartbots.ActionGroupChat}, State: registry.Active,
		Meta: map[string]string{"code": hexOf(code), "group_uuid": groupUUID, "group_name": "My Group & Name"},
	}
}

func hexOf(d verify.Digest) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for _, c := range d {
		b.WriteByte(digits[c>>4])
		b.WriteByte(digits[c&15])
	}
	return b.String()
}

func TestEncode(t *testing.T) {
	t.Parallel()
	const head = "&app_uuid=" + demoUUID + "&group_id=my-group&group_name=My+Group+%26+Name&group_uuid=" + groupUUID
	d := &smartbots.Dialect{Groups: newGroups()}
	removed := func(reason string) registry.Subscription {
		sub := demoSubscription()
		sub.State, sub.Reason = registry.Removed, reason
		return sub
	}
	chat := func(data string) delivery.Event {
		return delivery.Event{Type: "group_chat", Scope: "my-group", Data: []byte(data)}
	}
	farewell, ok := d.Farewell(removed("x"))
	if !ok || farewell.To != "sub_1" {
		t.Fatalf("farewell %+v, %v", farewell, ok)
	}
	tests := []struct {
		name string
		ev   delivery.Event
		sub  registry.Subscription
		want string // "" is delivery.ErrInvalid
	}{
		{"callback_set", delivery.Event{Type: "callback_set", To: "sub_1"}, demoSubscription(), "action=callback_set" + head + "&url=https%3A%2F%2Fhooks.example.com%2Fcb"},
		{"removed, code changed", farewell, removed("security_code_changed"), "action=callback_removed" + head + "&reason=security_code_changed"},
		{"removed by user", farewell, removed("removed_by_user"), "action=callback_removed" + head + "&reason=removed_by_user"},
		{"removed, another reason", farewell, removed("gone"), "action=callback_removed" + head + "&reason=removed_by_user"},
		{
			"group_chat", chat(`{"speaker_name":"fashion firethorn","speaker_uuid":"66666666-7777-8888-9999-000000000000","message":"Привет <b>&\n"}`), demoSubscription(),
			"action=group_chat" + head + "&message=%D0%9F%D1%80%D0%B8%D0%B2%D0%B5%D1%82+%3Cb%3E%26%0A&speaker_name=fashion+firethorn&speaker_uuid=66666666-7777-8888-9999-000000000000",
		},
		{"empty strings", chat(` {"message":"","speaker_uuid":"","speaker_name":""} `), demoSubscription(), "action=group_chat" + head + "&message=&speaker_name=&speaker_uuid="},
		{"no data", chat(``), demoSubscription(), ""},
		{"null", chat(`null`), demoSubscription(), ""},
		{"an array", chat(`["a","b","c"]`), demoSubscription(), ""},
		{"a member missing", chat(`{"speaker_name":"a","message":"b"}`), demoSubscription(), ""},
		{"a member more", chat(`{"speaker_name":"a","speaker_uuid":"b","message":"c","x":"d"}`), demoSubscription(), ""},
		{"a member in capitals", chat(`{"speaker_name":"a","speaker_uuid":"b","Message":"c"}`), demoSubscription(), ""},
		{"a null member", chat(`{"speaker_name":"a","speaker_uuid":"b","message":null}`), demoSubscription(), ""},
		{"a number", chat(`{"speaker_name":"a","speaker_uuid":1,"message":"c"}`), demoSubscription(), ""},
		{"a member twice", chat(`{"speaker_name":"a","speaker_uuid":"b","message":"c","message":"c"}`), demoSubscription(), ""},
		{"data behind", chat(`{"speaker_name":"a","speaker_uuid":"b","message":"c"}x`), demoSubscription(), ""},
		{"no group", delivery.Event{Type: "group_chat", Data: []byte(`{}`)}, demoSubscription(), ""},
		{"callback_set to all", delivery.Event{Type: "callback_set"}, demoSubscription(), ""},
		{"callback_set with data", delivery.Event{Type: "callback_set", To: "sub_1", Data: []byte("{}")}, demoSubscription(), ""},
		{"callback_removed of one that stands", delivery.Event{Type: "callback_removed", To: "sub_1"}, demoSubscription(), ""},
		{"another event", delivery.Event{Type: "group_notice", Scope: "my-group"}, demoSubscription(), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := d.Encode(tt.ev, tt.sub)
			if (tt.want == "") != errors.Is(err, delivery.ErrInvalid) || string(p.Body) != tt.want {
				t.Errorf("%s, %v\nwant %s", p.Body, err, tt.want)
			}
			if err == nil && p.ContentType != formType {
				t.Errorf("content type %q", p.ContentType)
			}
			if tt.ev.Type == "group_chat" && (d.Check(tt.ev) == nil) != (tt.want != "") {
				t.Errorf("Check: %v", d.Check(tt.ev))
			}
		})
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	away := errors.New("away")
	set := delivery.Delivery{EventID: "msg_1", Type: "callback_set", ContentType: formType, Body: []byte("action=callback_set&url=https%3A%2F%2Fhooks.example.com%2Fcb")}
	old := set
	old.Body = []byte("action=callback_set&url=https%3A%2F%2Fhooks.example.com%2Fold")
	chat := delivery.Delivery{EventID: "msg_2", Type: "group_chat", ContentType: formType, Body: []byte("action=group_chat")}
	bye := delivery.Delivery{EventID: "msg_3", Type: "callback_removed", ContentType: formType, Body: []byte("action=callback_removed")}
	changed := func(g *groupTable) { g.setCode("my-group", "other") }
	tests := []struct {
		name    string
		d       delivery.Delivery
		groups  func(*groupTable)
		sub     func(*registry.Subscription)
		verdict delivery.Verdict
		text    string
	}{
		{"callback_set", set, nil, nil, delivery.VerdictAccepted, ""},
		{"group_chat", chat, nil, nil, delivery.VerdictAccepted, ""},
		{"callback_set of an old URL", old, nil, nil, delivery.VerdictDead, "superseded by a newer registration"},
		{"another code", chat, changed, nil, delivery.VerdictDead, delivery.ReasonRemoved},
		{"another code, callback_set", set, changed, nil, delivery.VerdictDead, delivery.ReasonRemoved},
		{"another code, old URL", old, changed, nil, delivery.VerdictDead, delivery.ReasonRemoved},
		{"another code, farewell", bye, changed, nil, delivery.VerdictAccepted, ""},
		{"no fingerprint", chat, nil, func(s *registry.Subscription) { s.Meta = nil }, delivery.VerdictDead, delivery.ReasonRemoved},
		{"group is gone", chat, nil, func(s *registry.Subscription) { s.Scope = "x" }, delivery.VerdictDead, delivery.ReasonRemoved},
		{"groups do not answer", chat, func(g *groupTable) { g.err = away }, nil, delivery.VerdictRetry, "smartbots: look-up of the group: away"},
		{"groups do not answer, farewell", bye, func(g *groupTable) { g.err = away }, nil, delivery.VerdictAccepted, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			if tt.groups != nil {
				tt.groups(w.groups)
			}
			sub := demoSubscription()
			if tt.sub != nil {
				tt.sub(&sub)
			}
			s := delivery.Sender{Client: w, Dialects: map[string]delivery.Dialect{smartbots.Name: &smartbots.Dialect{Groups: w.groups}}}
			tt.d.Dialect = smartbots.Name
			a := s.Attempt(t.Context(), tt.d, sub)
			if a.Verdict != tt.verdict || a.Error != tt.text {
				t.Fatalf("%v %q", a.Verdict, a.Error)
			}
			if accepted := tt.verdict == delivery.VerdictAccepted; accepted != (len(w.posts) == 1) {
				t.Fatalf("%d requests", len(w.posts))
			} else if accepted {
				want := post{w.posts[0].at, "https://hooks.example.com/cb", tt.d.EventID, formType, string(tt.d.Body)}
				if w.posts[0] != want {
					t.Errorf("%+v", w.posts[0])
				}
			}
		})
	}
}

func TestZeroDialect(t *testing.T) {
	t.Parallel()
	var d smartbots.Dialect
	_, err := d.Request(t.Context(), delivery.Delivery{Type: "group_chat"}, demoSubscription(), time.Time{})
	if err == nil {
		t.Error("sends without knowing the code")
	}
}

func TestJudgeAndSchedule(t *testing.T) {
	t.Parallel()
	var d smartbots.Dialect
	for status, want := range map[int]delivery.Verdict{
		200: delivery.VerdictAccepted, 299: delivery.VerdictAccepted, 302: delivery.VerdictRetry, 404: delivery.VerdictDead,
		410: delivery.VerdictDisable, 429: delivery.VerdictRetry, 500: delivery.VerdictRetry,
	} {
		if got := d.Judge(status, http.Header{}, nil); got != want {
			t.Errorf("%d: %v, want %v", status, got, want)
		}
	}
	s := d.Schedule(registry.Subscription{})
	if _, again := s.Delay(9); !again {
		t.Error("gives up after 9 attempts")
	}
	if _, again := s.Delay(10); again {
		t.Error("goes on after 10 attempts")
	}
}

func TestDeveloperKeys(t *testing.T) {
	t.Parallel()
	dev := func(id, key string) smartbots.Developer {
		return smartbots.Developer{ID: id, APIKey: registry.NewSecret(key)}
	}
	keys := must(smartbots.NewDeveloperKeys(dev("a", "1"), dev("a", "2"), dev("b", "3"), dev("b", "3")))
	for key, want := range map[string]string{"1": "a", "2": "a", "3": "b", "": "", "4": "", "12": ""} {
		if id, known, err := keys.Developer(context.Background(), key); id != want || known != (want != "") || err != nil {
			t.Errorf("%q: %q, %v, %v", key, id, known, err)
		}
	}
	for name, list := range map[string][]smartbots.Developer{
		"no id": {dev("", "1")}, "no key": {dev("a", "")}, "one key of two": {dev("a", "1"), dev("b", "1")},
	} {
		if _, err := smartbots.NewDeveloperKeys(list...); !errors.Is(err, smartbots.ErrDevelopers) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var nobody smartbots.DeveloperKeys
	if _, known, err := nobody.Developer(t.Context(), ""); known || err != nil {
		t.Errorf("the zero value: %v, %v", known, err)
	}
}

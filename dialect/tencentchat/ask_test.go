package tencentchat_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/tencentchat"
	"github.com/ringback-go/ringback/dialect/tencentchat/event"
)

// TestQuestionOnTheWire compares a question byte for byte.
func TestQuestionOnTheWire(t *testing.T) {
	t.Parallel()
	unsigned := app()
	unsigned.SDKAppID, unsigned.URL, unsigned.Before = "1400000002", "http://im.example.com/", allBefore
	signed := app(token)
	signed.URL, signed.Before = "http://im.example.com/cb?k=v", allBefore
	const head = "SdkAppid=1400000001&CallbackCommand=Group.CallbackBeforeCreateTopic&contenttype=json"
	packet := event.BeforeCreateTopic{Operator: "a", Type: "Community", Name: "<&>"}
	if err := packet.Extra.Set("x", []byte(`[1, 2]`)); err != nil {
		t.Fatal(err)
	}
	const body = `{"CallbackCommand":"Group.CallbackBeforeCreateTopic","Operator_Account":"a","Type":"Community","Name":"<&>","x":[1,2],"EventTime":`
	for name, tt := range map[string]struct {
		q          tencentchat.Question
		quoted     bool
		url, body  string
		id, prefix string
	}{
		"signed": {
			q: tencentchat.Question{SDKAppID: appID, Packet: packet, ClientIP: "2001:db8::7", Platform: "iOS", ID: "evt"}, id: "evt",
			url:  "http://im.example.com/cb?k=v&" + head + "&ClientIP=2001%3Adb8%3A%3A7&OptPlatform=iOS&Sign=" + sign + "&RequestTime=1669872112",
			body: body + `1669872112000}`,
		},
		"unsigned, little given": {
			q: tencentchat.Question{SDKAppID: "1400000002", Packet: &packet}, quoted: true, prefix: "msg_",
			url:  "http://im.example.com/?" + strings.Replace(head, "0001", "0002", 1) + "&OptPlatform=RESTAPI",
			body: body + `"1669872112000"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := asking(t, tencentchat.ClientConfig{
				Apps: []tencentchat.App{unsigned, signed}, QuotedEventTime: tt.quoted,
				HTTP: doFunc(func(r *http.Request) (*http.Response, error) {
					got, err := io.ReadAll(r.Body)
					if err != nil || r.Method != http.MethodPost || r.URL.String() != tt.url || string(got) != tt.body || r.GetBody != nil {
						t.Errorf("%s %s\n%s, want\n%s\n%s", r.Method, r.URL, got, tt.url, tt.body)
					}
					id := r.Header[delivery.HeaderID][0]
					if id != tt.id && (tt.prefix == "" || !strings.HasPrefix(id, tt.prefix)) {
						t.Errorf("webhook-id %s", id)
					}
					want := http.Header{"Content-Type": {"application/json"}, "User-Agent": r.Header["User-Agent"], delivery.HeaderID: {id}}
					if diff := cmp.Diff(want, r.Header); diff != "" || r.UserAgent() == "" {
						t.Errorf("-want +got:\n%s", diff)
					}
					return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(okPacket))}, nil
				}),
			})
			if d, err := c.Ask(t.Context(), tt.q); err != nil || d.Source != tencentchat.Answered || !d.Allowed() {
				t.Errorf("%+v %v", d, err)
			}
		})
	}
}

// TestAskAReceiver puts both sides of this package together: what handlers
// reply is what the other side decides.
func TestAskAReceiver(t *testing.T) {
	t.Parallel()
	var m tencentchat.Mux
	custom := "c"
	rewritten := []event.MsgElem{event.TextElem("better")}
	m.OnC2CBeforeSendMsg(func(_ context.Context, e event.C2CBeforeSendMsg) (tencentchat.C2CMsgReply, error) {
		if e.From == "rude" {
			return tencentchat.C2CMsgReply{}.Rewrite(rewritten, &custom), nil
		}
		return tencentchat.C2CMsgReply{}.Refuse(130000, "why")
	})
	m.OnGroupBeforeSendMsg(func(context.Context, event.GroupBeforeSendMsg) (tencentchat.GroupMsgReply, error) {
		return tencentchat.GroupMsgReply{}.Drop(), nil
	})
	m.OnBeforeCreateGroup(func(context.Context, event.BeforeCreateGroup) (tencentchat.GroupReply, error) {
		return tencentchat.GroupReply{}.Forbid(), nil
	})
	m.OnBeforeInviteJoinGroup(func(_ context.Context, e event.BeforeInviteJoinGroup) (tencentchat.InviteReply, error) {
		if e.GroupID == "full" {
			return tencentchat.InviteReply{}.Refuse(10100, "full")
		}
		return tencentchat.InviteReply{}.RefuseMembers("jared"), nil
	})
	m.OnPrevFriendAdd(func(context.Context, event.PrevFriendAdd) (tencentchat.FriendReply, error) {
		return tencentchat.FriendReply{}.Refuse("b", 38000, "no")
	})
	server := httptest.NewServer(receiver(t, tencentchat.ReceiverConfig{Handler: m.Handle}))
	t.Cleanup(server.Close)
	a := app(token)
	a.URL, a.Before = server.URL, allBefore
	c := asking(t, tencentchat.ClientConfig{Apps: []tencentchat.App{a}, HTTP: server.Client(), OnFault: tencentchat.ErrorOnFault})

	friends := event.PrevFriendAdd{FriendItems: []event.FriendItem{{To: "a"}, {To: "b"}}}
	responses := event.PrevFriendResponse{FriendItems: []event.ResponseFriendItem{{To: "a"}}}
	tests := []struct {
		name    string
		packet  event.Before
		want    tencentchat.Decision
		allowed string // whom, of a, b and jared; no one for nothing
	}{
		{"rewrite", event.C2CBeforeSendMsg{From: "rude"}, tencentchat.Decision{MsgBody: rewritten, CloudCustomData: &custom}, "a b jared"},
		{"refuse", event.C2CBeforeSendMsg{}, tencentchat.Decision{Code: 130000, Info: "why"}, ""},
		{"drop", event.GroupBeforeSendMsg{}, tencentchat.Decision{Code: 2}, ""},
		{"forbid", event.BeforeCreateGroup{}, tencentchat.Decision{Code: 1}, ""},
		{"no handler", event.BeforeCreateTopic{}, tencentchat.Decision{}, "a b jared"},
		{"no handler either", event.BeforeApplyJoinGroup{}, tencentchat.Decision{}, "a b jared"},
		{"some stay out", event.BeforeInviteJoinGroup{}, tencentchat.Decision{RefusedMembers: []string{"jared"}}, "a b"},
		{"all stay out", event.BeforeInviteJoinGroup{GroupID: "full"}, tencentchat.Decision{Code: 10100, Info: "full"}, ""},
		{"friends", friends, tencentchat.Decision{Results: []tencentchat.FriendResult{{Account: "a"}, {"b", 38000, "no"}}}, "a"},
		{"all friends", &responses, tencentchat.Decision{Results: []tencentchat.FriendResult{{Account: "a"}}}, "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, err := c.Ask(t.Context(), tencentchat.Question{SDKAppID: appID, Packet: tt.packet})
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Source = tencentchat.Answered
			if diff := cmp.Diff(tt.want, d, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if d.Allowed() != (tt.allowed != "") {
				t.Errorf("Allowed is %v", d.Allowed())
			}
			for _, account := range []string{"a", "b", "jared"} {
				if d.AllowedFor(account) != strings.Contains(" "+tt.allowed+" ", " "+account+" ") {
					t.Errorf("AllowedFor(%s) is %v", account, d.AllowedFor(account))
				}
			}
		})
	}
}

// TestMeaninglessParts: what a command's answer has no use for changes nothing.
func TestMeaninglessParts(t *testing.T) {
	t.Parallel()
	const rest = `,"MsgBody":[{"MsgType":"x"}],"CloudCustomData":"c","RefusedMembers_Account":["a"],"ResultItem":[{"To_Account":"a","ResultCode":38000}],"more":1}`
	for name, tt := range map[string]struct {
		packet event.Before
		code   string
		want   tencentchat.Decision
	}{
		"group":           {event.BeforeCreateGroup{}, "0", tencentchat.Decision{}},
		"refused message": {event.C2CBeforeSendMsg{}, "1", tencentchat.Decision{Code: 1}},
		"refused invite":  {event.BeforeInviteJoinGroup{}, "1", tencentchat.Decision{Code: 1}},
		"friends":         {event.PrevFriendAdd{}, "0", tencentchat.Decision{}},
	} {
		c := asking(t, tencentchat.ClientConfig{HTTP: doFunc(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(`{"ActionStatus":"OK","ErrorCode":` + tt.code + rest))}, nil
		})})
		d, err := c.Ask(t.Context(), tencentchat.Question{SDKAppID: appID, Packet: tt.packet})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		tt.want.Source = tencentchat.Answered
		if diff := cmp.Diff(tt.want, d); diff != "" {
			t.Errorf("%s, -want +got:\n%s", name, diff)
		}
	}
}

// TestRefusedOnFault: the policy refuses for whatever was asked, also where no
// account is named that could be refused.
func TestRefusedOnFault(t *testing.T) {
	t.Parallel()
	c := asking(t, tencentchat.ClientConfig{OnFault: tencentchat.RefuseOnFault, HTTP: doFunc(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("reset")
	})})
	for _, p := range []event.Before{
		event.C2CBeforeSendMsg{},
		event.BeforeInviteJoinGroup{},
		event.PrevFriendAdd{},
		event.PrevFriendResponse{},
		event.PrevFriendAdd{FriendItems: []event.FriendItem{{To: "a"}}},
	} {
		d, err := c.Ask(t.Context(), tencentchat.Question{SDKAppID: appID, Packet: p})
		if err != nil || d.Source != tencentchat.RefusedOnFault || d.Allowed() || d.AllowedFor("a") || !errors.Is(d.Fault, tencentchat.ErrUnreachable) {
			t.Errorf("%s: %+v, %v", p.Command(), d, err)
		}
	}
}

func TestSource(t *testing.T) {
	t.Parallel()
	for s, want := range map[tencentchat.Source]string{
		tencentchat.Undecided: "undecided", tencentchat.Answered: "answered",
		tencentchat.AllowedOnFault: "allowed on fault", tencentchat.RefusedOnFault: "refused on fault", 4: "unknown",
	} {
		if s.String() != want {
			t.Errorf("%d is %q", s, s)
		}
	}
	if d := (tencentchat.Decision{}); d.Allowed() || d.AllowedFor("a") {
		t.Error("the zero value allows")
	}
}

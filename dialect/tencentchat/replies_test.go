package tencentchat_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/dialect/tencentchat"
	"github.com/ringback-go/ringback/dialect/tencentchat/event"
)

// TestCodes tries the edges of each range.
func TestCodes(t *testing.T) {
	t.Parallel()
	refuse := map[string]func(int) (any, error){
		"c2c":    func(code int) (any, error) { return tencentchat.C2CMsgReply{}.Refuse(code, "x") },
		"group":  func(code int) (any, error) { return tencentchat.GroupMsgReply{}.Refuse(code, "x") },
		"create": func(code int) (any, error) { return tencentchat.GroupReply{}.Refuse(code, "x") },
		"invite": func(code int) (any, error) { return tencentchat.InviteReply{}.Refuse(code, "x") },
		"friend": func(code int) (any, error) { return tencentchat.FriendReply{}.Refuse("a", code, "x") },
	}
	friend, err := tencentchat.FriendReply{}.Refuse("a", 38000, "")
	if err != nil {
		t.Fatal(err)
	}
	forbids := map[string]any{ // also who overlooks the error
		"c2c": tencentchat.C2CMsgReply{}.Forbid(), "group": tencentchat.GroupMsgReply{}.Forbid(), "create": tencentchat.GroupReply{}.Forbid(),
		"invite": tencentchat.InviteReply{}.Forbid(), "friend": friend,
	}
	accepted := map[string][]int{
		"c2c": {120001, 130000}, "group": {10100, 10200}, "create": {10100, 10200}, "invite": {10100, 10200}, "friend": {38000, 39000},
	}
	exporter := cmp.Exporter(func(reflect.Type) bool { return true })
	for name, f := range refuse {
		in := map[int]bool{}
		for _, code := range accepted[name] {
			in[code] = true
		}
		for _, code := range []int{-1, 0, 1, 2, 3, 10099, 10100, 10200, 10201, 37999, 38000, 39000, 39001, 120000, 120001, 130000, 130001} {
			r, err := f(code)
			switch {
			case in[code] && err != nil:
				t.Errorf("%s: %d: %v", name, code, err)
			case !in[code] && (!errors.Is(err, tencentchat.ErrCode) || !cmp.Equal(r, forbids[name], exporter)):
				t.Errorf("%s: %d: %+v %v", name, code, r, err)
			}
		}
	}
}

// TestDocumentedReplies answers as the samples of the documentation do.
func TestDocumentedReplies(t *testing.T) {
	t.Parallel()
	var samples map[string]json.RawMessage
	if err := json.Unmarshal(vector(t, "tencent/responses.json"), &samples); err != nil {
		t.Fatal(err)
	}
	rewritten := func(desc, data string) []event.MsgElem {
		return []event.MsgElem{event.TextElem("red packet"), {MsgType: event.ElemCustom, MsgContent: json.RawMessage(`{"Desc":"` + desc + `","Data":"` + data + `"}`)}}
	}
	c2cCustom, groupCustom := "your new cloud custom data", "your cloud custom data"
	var m, forbid, drop tencentchat.Mux
	m.OnC2CBeforeSendMsg(func(context.Context, event.C2CBeforeSendMsg) (tencentchat.C2CMsgReply, error) {
		return tencentchat.C2CMsgReply{}.Rewrite(rewritten(" CustomElement.MemberLevel ", " LV1"), &c2cCustom), nil
	})
	m.OnGroupBeforeSendMsg(func(context.Context, event.GroupBeforeSendMsg) (tencentchat.GroupMsgReply, error) {
		return tencentchat.GroupMsgReply{}.Rewrite(rewritten("CustomElement.MemberLevel", "LV1"), &groupCustom), nil
	})
	m.OnBeforeInviteJoinGroup(func(context.Context, event.BeforeInviteJoinGroup) (tencentchat.InviteReply, error) {
		return tencentchat.InviteReply{}.RefuseMembers("jared"), nil
	})
	m.OnPrevFriendAdd(func(context.Context, event.PrevFriendAdd) (tencentchat.FriendReply, error) {
		return tencentchat.FriendReply{}, nil
	})
	forbid.OnC2CBeforeSendMsg(func(context.Context, event.C2CBeforeSendMsg) (tencentchat.C2CMsgReply, error) {
		return tencentchat.C2CMsgReply{}.Forbid(), nil
	})
	forbid.OnGroupBeforeSendMsg(func(context.Context, event.GroupBeforeSendMsg) (tencentchat.GroupMsgReply, error) {
		return tencentchat.GroupMsgReply{}.Forbid(), nil
	})
	forbid.OnBeforeCreateGroup(func(context.Context, event.BeforeCreateGroup) (tencentchat.GroupReply, error) {
		return tencentchat.GroupReply{}.Forbid(), nil
	})
	forbid.OnBeforeInviteJoinGroup(func(context.Context, event.BeforeInviteJoinGroup) (tencentchat.InviteReply, error) {
		return tencentchat.InviteReply{}.Forbid(), nil
	})
	drop.OnC2CBeforeSendMsg(func(context.Context, event.C2CBeforeSendMsg) (tencentchat.C2CMsgReply, error) {
		return tencentchat.C2CMsgReply{}.Drop(), nil
	})
	drop.OnGroupBeforeSendMsg(func(context.Context, event.GroupBeforeSendMsg) (tencentchat.GroupMsgReply, error) {
		return tencentchat.GroupMsgReply{}.Drop(), nil
	})
	for _, tt := range []struct {
		sample  string
		mux     *tencentchat.Mux
		command string
	}{
		{"generic_ok", &m, event.CommandGroupFull},
		{"before_send_reject", &forbid, event.CommandC2CBeforeSendMsg},
		{"before_send_reject", &forbid, event.CommandGroupBeforeSendMsg},
		{"before_send_reject", &forbid, event.CommandBeforeCreateGroup},
		{"before_send_reject", &forbid, event.CommandBeforeInviteJoinGroup},
		{"before_send_drop_silently", &drop, event.CommandC2CBeforeSendMsg},
		{"before_send_drop_silently", &drop, event.CommandGroupBeforeSendMsg},
		{"c2c_before_send_modified", &m, event.CommandC2CBeforeSendMsg},
		{"group_before_send_modified", &m, event.CommandGroupBeforeSendMsg},
		{"before_invite_partial_refusal", &m, event.CommandBeforeInviteJoinGroup},
		{"prev_friend_add", &m, event.CommandPrevFriendAdd},
	} {
		t.Run(tt.sample+" "+tt.command, func(t *testing.T) {
			t.Parallel()
			w := post(t, receiver(t, tencentchat.ReceiverConfig{Handler: tt.mux.Handle}), query(tt.command),
				`{"CallbackCommand":"`+tt.command+`","FriendItem":[{"To_Account":"id1"},{"To_Account":"id2"}]}`)
			if diff := cmp.Diff(object(t, samples[tt.sample]), object(t, w.Body.Bytes())); diff != "" || w.Code != 200 {
				t.Errorf("%d, -want +got:\n%s", w.Code, diff)
			}
		})
	}
}

// TestFriendReply: an answer for each account, in the order of the question.
func TestFriendReply(t *testing.T) {
	t.Parallel()
	base, err := tencentchat.FriendReply{}.Refuse("c", 39000, "<no>")
	if err != nil {
		t.Fatal(err)
	}
	for _, account := range []string{"d", "e"} { // append leaves room behind the third
		if base, err = base.Refuse(account, 38500, ""); err != nil {
			t.Fatal(err)
		}
	}
	if base, err = base.Refuse("c", 38000, ""); !errors.Is(err, tencentchat.ErrCode) { // and all stay refused
		t.Errorf("refused twice: %v", err)
	}
	first, err := base.Refuse("a", 38000, "one")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := base.Refuse("b", 38001, "two"); err != nil { // must not write into first
		t.Fatal(err)
	}
	var m tencentchat.Mux
	m.OnPrevFriendResponse(func(context.Context, event.PrevFriendResponse) (tencentchat.FriendReply, error) { return first, nil })
	w := post(t, receiver(t, tencentchat.ReceiverConfig{Handler: m.Handle}), query(event.CommandPrevFriendResponse),
		`{"CallbackCommand":"Sns.CallbackPrevFriendResponse","ResponseFriendItem":[{"To_Account":"a"},{"To_Account":"b"},{"To_Account":"c"},{"To_Account":"d"},{"To_Account":"e"}]}`)
	want := `{"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0,"ResultItem":[{"To_Account":"a","ResultCode":38000,"ResultInfo":"one"},` +
		`{"To_Account":"b","ResultCode":0,"ResultInfo":""},{"To_Account":"c","ResultCode":39000,"ResultInfo":"<no>"},` +
		`{"To_Account":"d","ResultCode":38500,"ResultInfo":""},{"To_Account":"e","ResultCode":38500,"ResultInfo":""}]}`
	if w.Body.String() != want {
		t.Errorf("%s, want %s", w.Body, want)
	}
}

package tencentchat_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/dialect/tencentchat"
	"github.com/ringback-go/ringback/dialect/tencentchat/event"
)

// methods returns the typed registrations of a Mux by the name of the event.
func methods(m *tencentchat.Mux) map[string]reflect.Value {
	v, out := reflect.ValueOf(m), map[string]reflect.Value{}
	for method, bound := range v.Methods() {
		if name, ok := strings.CutPrefix(method.Name, "On"); ok && name != "Other" {
			out[name] = bound
		}
	}
	return out
}

// TestMuxDispatches: every command has a method, which registers a handler for
// it, once; the handler gets the decoded packet.
func TestMuxDispatches(t *testing.T) {
	t.Parallel()
	var m tencentchat.Mux
	var got any
	registered := map[string]bool{}
	for name, on := range methods(&m) {
		f := on.Type().In(0)
		if eventType := f.In(1); eventType.Name() != name {
			t.Errorf("On%s takes %s", name, eventType)
		}
		handler := reflect.MakeFunc(f, func(args []reflect.Value) []reflect.Value {
			if ev, ok := tencentchat.EventFrom(args[0].Interface().(context.Context)); !ok || ev.ClientIP != "203.0.113.7" {
				t.Errorf("%s: EventFrom gives %+v", name, ev)
			}
			got = args[1].Interface()
			results := make([]reflect.Value, f.NumOut())
			for i := range results {
				results[i] = reflect.Zero(f.Out(i))
			}
			return results
		})
		on.Call([]reflect.Value{handler})
		checkPanics(t, name+" twice", func() { on.Call([]reflect.Value{handler}) })
		p := reflect.Zero(f.In(1)).Interface().(event.Packet)
		registered[p.Command()] = true
		if _, asks := p.(event.Before); asks != (f.NumOut() == 2) || asks != tencentchat.IsBefore(p.Command()) {
			t.Errorf("%s: before-command %v, results %d", name, asks, f.NumOut())
		}
	}
	for _, command := range event.Commands() {
		if !registered[command] {
			t.Errorf("no method for %s", command)
			continue
		}
		got = nil
		w := post(t, receiver(t, tencentchat.ReceiverConfig{Handler: m.Handle}), query(command), `{"CallbackCommand":"`+command+`","x":1}`)
		if w.Code != 200 || w.Body.String() != okPacket || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %s %v", command, w.Code, w.Body, w.Header())
		}
		if p, ok := got.(event.Packet); !ok || p.Command() != command {
			t.Errorf("%s went to the handler of %T", command, got)
		} else if out, err := json.Marshal(p); err != nil || string(out) != `{"CallbackCommand":"`+command+`","x":1}` {
			t.Errorf("%s: the handler got %s, %v", command, out, err)
		}
	}
}

func TestMuxNilHandlers(t *testing.T) {
	t.Parallel()
	var m tencentchat.Mux
	for name, on := range methods(&m) {
		checkPanics(t, name, func() { on.Call([]reflect.Value{reflect.Zero(on.Type().In(0))}) })
	}
	checkPanics(t, "Other", func() { m.OnOther(nil) })
	m.OnOther(tencentchat.AllowAll)
	checkPanics(t, "Other twice", func() { m.OnOther(tencentchat.AllowAll) })
	if _, ok := tencentchat.EventFrom(t.Context()); ok {
		t.Error("an event outside of a handler")
	}
}

func checkPanics(t *testing.T, name string, f func()) {
	t.Helper()
	defer func() {
		if s, _ := recover().(string); !strings.HasPrefix(s, "tencentchat: Mux: ") {
			t.Errorf("%s: panic %q", name, s)
		}
	}()
	f()
}

func TestMuxOther(t *testing.T) {
	t.Parallel()
	const future = "Group.CallbackFromTheFuture"
	var zero, set tencentchat.Mux
	var other []string
	set.OnOther(func(_ context.Context, ev tencentchat.Event) (tencentchat.Reply, error) {
		other = append(other, ev.Command)
		return tencentchat.OK(), nil
	})
	set.OnGroupFull(func(context.Context, event.GroupFull) error { return nil })
	for _, command := range []string{future, event.CommandStateChange, event.CommandGroupFull} {
		for name, m := range map[string]*tencentchat.Mux{"zero": &zero, "set": &set} {
			w := post(t, receiver(t, tencentchat.ReceiverConfig{Handler: m.Handle}), query(command), `{"CallbackCommand":"`+command+`","Info":[]}`)
			if w.Code != 200 || w.Body.String() != okPacket {
				t.Errorf("%s, %s: %d %s", name, command, w.Code, w.Body)
			}
		}
	}
	if diff := cmp.Diff([]string{future, event.CommandStateChange}, other); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	w := post(t, receiver(t, tencentchat.ReceiverConfig{Handler: zero.Handle}), query(event.CommandPrevFriendAdd),
		`{"CallbackCommand":"Sns.CallbackPrevFriendAdd","FriendItem":[{"To_Account":"a"}]}`)
	if want := strings.TrimSuffix(okPacket, "}") + `,"ResultItem":[{"To_Account":"a","ResultCode":0,"ResultInfo":""}]}`; w.Body.String() != want {
		t.Errorf("%s, want %s", w.Body, want)
	}
}

func TestMuxErrors(t *testing.T) {
	t.Parallel()
	var m tencentchat.Mux
	m.OnStateChange(func(context.Context, event.StateChange) error { return errors.New("disk on fire") })
	m.OnBeforeCreateTopic(func(_ context.Context, e event.BeforeCreateTopic) (tencentchat.GroupReply, error) {
		return tencentchat.GroupReply{}.Refuse(99, "x")
	})
	m.OnPrevFriendAdd(func(context.Context, event.PrevFriendAdd) (tencentchat.FriendReply, error) {
		return tencentchat.FriendReply{}.Refuse("a stranger", 38000, "")
	})
	m.OnPrevFriendResponse(func(context.Context, event.PrevFriendResponse) (tencentchat.FriendReply, error) {
		return tencentchat.FriendReply{}, errors.New("disk on fire")
	})
	m.OnGroupBeforeSendMsg(func(context.Context, event.GroupBeforeSendMsg) (tencentchat.GroupMsgReply, error) {
		return tencentchat.GroupMsgReply{}.Rewrite([]event.MsgElem{{MsgContent: json.RawMessage(`{`)}}, nil), nil
	})
	rc := receiver(t, tencentchat.ReceiverConfig{Handler: m.Handle})
	for name, tt := range map[string]struct {
		command, members string
		status           int
	}{
		"handler":              {event.CommandStateChange, ``, 503},
		"a member's type":      {event.CommandStateChange, `,"Info":[]`, 400},
		"code out of range":    {event.CommandBeforeCreateTopic, ``, 503},
		"account not asked":    {event.CommandPrevFriendAdd, `,"FriendItem":[{"To_Account":"a"}]`, 503},
		"no account":           {event.CommandPrevFriendAdd, `,"FriendItem":[{}]`, 400},
		"handler for friends":  {event.CommandPrevFriendResponse, ``, 503},
		"body that is no JSON": {event.CommandGroupBeforeSendMsg, ``, 503},
	} {
		w := post(t, rc, query(tt.command), `{"CallbackCommand":"`+tt.command+`"`+tt.members+`}`)
		if w.Code != tt.status || strings.Contains(w.Body.String(), "fire") {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, tt.status)
		}
		checkPacket(t, w.Code, w.Body.String())
	}
}

func TestEventPacket(t *testing.T) {
	t.Parallel()
	ev := tencentchat.Event{Body: []byte(`{"CallbackCommand":"Group.CallbackAfterGroupFull","GroupId":"g"}`)}
	if p, err := ev.Packet(); err != nil || p.(*event.GroupFull).GroupID != "g" {
		t.Errorf("%v %v", p, err)
	}
	ev.Body = []byte(`[]`)
	if p, err := ev.Packet(); !errors.Is(err, tencentchat.ErrPacket) {
		t.Errorf("%v %v", p, err)
	}
}

package event_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/dialect/tencentchat/event"
)

// TestParts: the objects inside of packets keep what they do not know on their
// own as well.
func TestParts(t *testing.T) {
	t.Parallel()
	for _, part := range []any{
		new(event.MsgElem), new(event.MsgSeq), new(event.MsgReceipt), new(event.Member), new(event.KeyValue), new(event.FriendItem),
		new(event.ResponseFriendItem), new(event.Pair), new(event.StateInfo), new(event.Device), new(event.ProfileItem), new(event.GroupAttr),
	} {
		name := reflect.TypeOf(part).Elem().Name()
		const in = `{"unknown":[9007199254740993,"1"]}`
		if err := json.Unmarshal([]byte(in), part); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if out, err := json.Marshal(part); err != nil || string(out) != in {
			t.Errorf("%s: %s %v", name, out, err)
		}
		if out, err := json.Marshal(reflect.ValueOf(part).Elem().Interface()); err != nil || string(out) != in {
			t.Errorf("%s as a value: %s %v", name, out, err)
		}
		if err := part.(json.Unmarshaler).UnmarshalJSON([]byte(`{"a":1,"a":2}`)); !errors.Is(err, event.ErrPacket) {
			t.Errorf("%s takes a name twice: %v", name, err)
		}
		if err := part.(json.Unmarshaler).UnmarshalJSON([]byte(`[]`)); !errors.Is(err, event.ErrPacket) {
			t.Errorf("%s takes a list: %v", name, err)
		}
	}
	if out, err := json.Marshal(event.MsgElem{MsgType: "x"}); err != nil || string(out) != `{"MsgType":"x","MsgContent":null}` {
		t.Errorf("no content: %s %v", out, err)
	}
}

// TestEqual: events are compared by what they say, not by where they come from.
func TestEqual(t *testing.T) {
	t.Parallel()
	decoded := func(in string) event.GroupFull {
		var e event.GroupFull
		if err := json.Unmarshal([]byte(in), &e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	const head = `{"CallbackCommand":"Group.CallbackAfterGroupFull","GroupId":"g"`
	built := event.GroupFull{GroupID: "g"}
	for name, value := range map[string]string{"x": `1`, "y": `[2]`} {
		if err := built.Extra.Set(name, json.RawMessage(value)); err != nil {
			t.Fatal(err)
		}
	}
	for in, want := range map[string]bool{
		head + `,"y":[2],"x":1}`:       true,
		head + `,"x":1,"y":[2]}`:       true,
		head + `,"x":1}`:               false,
		head + `,"x":1,"y":2}`:         false,
		head + `,"x":1,"z":[2]}`:       false,
		head + `,"x":1,"y":[2],"z":0}`: false,
	} {
		if got := cmp.Equal(decoded(in), built); got != want {
			t.Errorf("%s: %v", in, got)
		}
	}
	for range built.Extra.All() {
		break // must not panic
	}
}

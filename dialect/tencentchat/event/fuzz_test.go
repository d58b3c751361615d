package event_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/dialect/tencentchat/event"
)

// FuzzParse: no input panics, and what decodes encodes to an equal value, from
// which the same event is decoded.
func FuzzParse(f *testing.F) {
	for _, command := range event.Commands() {
		f.Add([]byte(`{"CallbackCommand":"` + command + `","EventTime":"1670574414123","MsgSeq":4294967295,"MsgBody":[{"MsgContent":{"a":null},"b":1}],` +
			`"MemberList":[{}],"Info":{"Action":"\u0041"},"ProfileItem":[{"Value":1.0},{"Value":"x"}],"GroupAttr":[{"key":"k","value":null}],"PairList":null}`))
	}
	f.Add([]byte(`{"CallbackCommand":"x","EventTime":-0}`))
	f.Add([]byte(` {"Events":[] , "EventTime" : null } `))
	f.Fuzz(func(t *testing.T, in []byte) {
		p, err := event.Parse(in)
		if err != nil {
			if !errors.Is(err, event.ErrPacket) {
				t.Fatal(err)
			}
			return
		}
		out, err := json.Marshal(p)
		if err != nil {
			t.Fatalf("%q: %v", in, err)
		}
		if diff := cmp.Diff(canonical(t, in), canonical(t, out)); diff != "" {
			t.Fatalf("%q became %q:\n%s", in, out, diff)
		}
		again, err := event.Parse(out)
		if err != nil {
			t.Fatalf("%q became %q: %v", in, out, err)
		}
		if reflect.TypeOf(p) != reflect.TypeOf(again) {
			t.Fatalf("%T became %T", p, again)
		}
	})
}

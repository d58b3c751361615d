package event_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/dialect/tencentchat/event"
)

const sendMsg = `{"CallbackCommand":"Group.CallbackAfterSendMsg"`

// TestKept: what no field has, or a field cannot tell from nothing, comes back.
func TestKept(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, in string }{
		{"only the command", sendMsg + `}`},
		{"zeros", sendMsg + `,"GroupId":"","Random":0,"MsgTime":0,"MsgBody":[],"CloudCustomData":"","EventTime":0}`},
		{"nulls", sendMsg + `,"GroupId":null,"Random":null,"MsgTime":null,"MsgBody":null,"EventTime":null,"x":null}`},
		{"time as a number", sendMsg + `,"EventTime":1670574414123}`},
		{"time in quotes", sendMsg + `,"EventTime":"1670574414123"}`},
		{"unknown at the top", sendMsg + `,"a":12345678901234567890123,"b":-1.50e3,"c":[{"d":null}],"e":{}}`},
		{"unknown in an element", sendMsg + `,"MsgBody":[{"MsgType":"x","MsgContent":{"q":1e2},"More":[1]},{}]}`},
		{"content that is no object", sendMsg + `,"MsgBody":[{"MsgContent":5},{"MsgContent":null},{"MsgContent":"a"}]}`},
		{"unknown two levels down", `{"CallbackCommand":"Group.CallbackAfterReadReceipt","GroupMsgReceiptList":[{"ReadReceiptMembers":[{"Member_Account":"a","n":9007199254740993}],"z":true}]}`},
		{"unknown in an object", `{"CallbackCommand":"State.StateChange","Info":{"Action":"x","At":1},"KickedDevice":[{"Platform":"Linux","Id":"5"}]}`},
		{"empty object", `{"CallbackCommand":"State.StateChange","Info":{}}`},
		{"names in other letters", sendMsg + `,"GroupId":"a","groupid":"b","callbackcommand":"c","GROUPID":1}`},
		{"escapes", sendMsg + `,"Group\u0049d":"\ud83d\ude00\u0000\n\"\\","\u00e9\"":"<&>` + "\u2028" + `"}`},
		{"white space", " {\n\"CallbackCommand\" : \"Group.CallbackAfterSendMsg\" ,\t\"MsgBody\" : [ { \"MsgContent\" : { \"a\" : [ 1 , 2 ] } } , { } ] , \"x\" : [ ] } \r\n"},
		{"command last", `{"x":1,"GroupId":"g","CallbackCommand":"Group.CallbackAfterSendMsg"}`},
		{"fields in another order", `{"TopicId":"t","MsgSeq":4294967295,"GroupId":"g","CallbackCommand":"Group.CallbackAfterSendMsg","From_Account":"f"}`},
		{"largest number", sendMsg + `,"MsgTime":9223372036854775807,"OnlineOnlyFlag":-9223372036854775808}`},
		{"values of both kinds", `{"CallbackCommand":"Profile.CallbackPortraitSet","ProfileItem":[{"Tag":"a","Value":18446744073709551616},{"Value":"1"},{"Value":1.50},{"Value":null},{"Value":""},{"Value":0},{}]}`},
		{"no value, empty value, null", `{"CallbackCommand":"Group.CallbackAfterGroupAttrChanged","GroupAttr":[{"key":"a"},{"key":"b","value":""},{"key":"c","value":null}]}`},
		{"list of strings", `{"CallbackCommand":"Group.CallbackAfterTopicDestroyed","TopicIdList":["","a\u0062"]}`},
		{"unknown command", `{"CallbackCommand":"Group.FromTheFuture","GroupId":5,"EventTime":"7","x":{"y":[]}}`},
		{"pushes", `{"Events":[{"CallbackCommand":"Push.AllMemberPush"}]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, err := event.Parse([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			out, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(canonical(t, []byte(tt.in)), canonical(t, out)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	deep := func(n int) string {
		return sendMsg + `,"x":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}"
	}
	if _, err := event.Parse([]byte(deep(63))); err != nil {
		t.Errorf("64 levels: %v", err)
	}
	for name, in := range map[string]string{
		"nothing":                 ``,
		"array":                   `[]`,
		"null":                    `null`,
		"string":                  `"x"`,
		"65 levels":               deep(64),
		"name twice":              sendMsg + `,"x":1,"x":1}`,
		"name twice in an escape": sendMsg + `,"GroupId":"a","Group\u0049d":"b"}`,
		"name twice in an object": sendMsg + `,"MsgBody":[{"MsgContent":{"a":1,"a":2}}]}`,
		"command twice":           sendMsg + `,"CallbackCommand":"Group.CallbackAfterSendMsg"}`,
		"invalid UTF-8":           sendMsg + ",\"x\":\"\xff\"}",
		"half a pair":             sendMsg + `,"x":"\ud800"}`,
		"trailing data":           sendMsg + `}{}`,
		"byte order mark":         "\ufeff" + sendMsg + `}`,
		"comment":                 sendMsg + `} // c`,
		"command is a number":     `{"CallbackCommand":1}`,
		"command is null":         `{"CallbackCommand":null}`,
		"text is a number":        sendMsg + `,"GroupId":1}`,
		"text is an object":       sendMsg + `,"GroupId":{}}`,
		"over 32 bits":            sendMsg + `,"MsgSeq":4294967296}`,
		"negative":                sendMsg + `,"Random":-1}`,
		"fraction":                sendMsg + `,"Random":1.0}`,
		"quoted number":           sendMsg + `,"MsgSeq":"1"}`,
		"over 64 bits":            sendMsg + `,"MsgTime":9223372036854775808}`,
		"number is true":          sendMsg + `,"MsgTime":true}`,
		"time with a fraction":    sendMsg + `,"EventTime":1.5}`,
		"time is negative":        sendMsg + `,"EventTime":-1}`,
		"time is empty":           sendMsg + `,"EventTime":""}`,
		"time has a zero more":    sendMsg + `,"EventTime":"01"}`,
		"time after 9999":         sendMsg + `,"EventTime":253402300800000}`,
		"time is a list":          sendMsg + `,"EventTime":[]}`,
		"time of an unknown one":  `{"CallbackCommand":"x","EventTime":"y"}`,
		"list is an object":       sendMsg + `,"MsgBody":{}}`,
		"element is null":         sendMsg + `,"MsgBody":[null]}`,
		"element is a number":     sendMsg + `,"MsgBody":[{},1]}`,
		"object is a list":        `{"CallbackCommand":"State.StateChange","Info":[]}`,
		"value is a list":         `{"CallbackCommand":"Profile.CallbackPortraitSet","ProfileItem":[{"Value":[]}]}`,
		"value is true":           `{"CallbackCommand":"Profile.CallbackPortraitSet","ProfileItem":[{"Value":true}]}`,
		"text in a list is null":  `{"CallbackCommand":"Group.CallbackAfterTopicDestroyed","TopicIdList":[null]}`,
	} {
		p, err := event.Parse([]byte(in))
		if !errors.Is(err, event.ErrPacket) || p != nil {
			t.Errorf("%s: %v %v", name, p, err)
		}
	}
	for name, in := range map[string]string{
		"no command":               `{"GroupId":"g"}`,
		"another":                  `{"CallbackCommand":"Group.CallbackAfterGroupFull"}`,
		"command in other letters": `{"callbackcommand":"Group.CallbackAfterSendMsg"}`,
		"two objects":              sendMsg + `}{}`,
	} {
		var e event.GroupSendMsg
		if err := e.UnmarshalJSON([]byte(in)); !errors.Is(err, event.ErrPacket) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestErrorsQuoteNothing: a packet may hold secrets.
func TestErrorsQuoteNothing(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		sendMsg + `,"GroupId":5551234}`, sendMsg + `,"MsgSeq":"5551234"}`, sendMsg + `,"MsgTime":5551234.5}`, sendMsg + `,"EventTime":"x5551234"}`,
		sendMsg + `,"5551234":1,"5551234":2}`, `{"CallbackCommand":5551234}`, `5551234`,
	} {
		if _, err := event.Parse([]byte(in)); err == nil || strings.Contains(err.Error(), "5551234") {
			t.Errorf("%s: %v", in, err)
		}
	}
}

// TestBuilt: events that were not decoded are encoded by their tags.
func TestBuilt(t *testing.T) {
	t.Parallel()
	at := event.At(time.UnixMilli(1670574414123))
	empty := ""
	var e event.GroupFull
	if err := e.Extra.Set("x", json.RawMessage(` [ 1 ] `)); err != nil {
		t.Fatal(err)
	}
	two := json.RawMessage(`2`)
	err := e.Extra.Set("x", two)
	if two[0] = '9'; err != nil { // what the caller does with it afterwards is his
		t.Fatal(err)
	}
	for want, p := range map[string]event.Packet{
		`{"CallbackCommand":"Group.CallbackAfterGroupFull","GroupId":"","x":2}`:                                                          e,
		`{"CallbackCommand":"Group.CallbackAfterGroupFull","GroupId":"<&>","EventTime":1670574414123}`:                                   &event.GroupFull{GroupID: "<&>", EventTime: at},
		`{"CallbackCommand":"Group.CallbackAfterGroupFull","GroupId":"\ufffd\u0001"}`:                                                    event.GroupFull{GroupID: "\xff\x01"},
		`{"CallbackCommand":"Profile.CallbackPortraitSet","Operator_Account":"","From_Account":"","ProfileItem":[{"Tag":"","Value":5}]}`: event.PortraitSet{Items: []event.ProfileItem{{Value: event.Scalar{Text: "5", Number: true}}}},
		`{"CallbackCommand":"Group.CallbackAfterGroupAttrChanged","GroupId":"","Type":"","Operator_Account":"","OptionType":"set","GroupAttr":[{"key":"k","value":""},{"key":"l"}]}`: event.GroupAttrChanged{
			Option: event.OptionSet, Attrs: []event.GroupAttr{{Key: "k", Value: &empty}, {Key: "l"}},
		},
		`{"CallbackCommand":"C","EventTime":"1670574414123"}`: event.Unknown{Name: "C", EventTime: event.Time{Time: at.Time, Quoted: true}},
	} {
		out, err := p.(json.Marshaler).MarshalJSON()
		if err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		if diff := cmp.Diff(canonical(t, []byte(want)), canonical(t, out)); diff != "" || !strings.HasPrefix(string(out), `{"CallbackCommand":`) {
			t.Errorf("%s, want %s", out, want)
		}
	}
	raw, err := event.GroupFull{GroupID: "<&>\u2028\n"}.MarshalJSON()
	if want := `{"CallbackCommand":"Group.CallbackAfterGroupFull","GroupId":"<&>` + "\u2028" + `\u000a"}`; err != nil || string(raw) != want {
		t.Errorf("%s %v, want %s", raw, err, want)
	}
}

// TestChanged: a decoded event that is changed is encoded with the change.
func TestChanged(t *testing.T) {
	t.Parallel()
	var e event.GroupInfoChanged
	in := `{"CallbackCommand":"Group.CallbackAfterGroupInfoChanged","GroupId":"g","Name":null,"x":1}`
	if err := json.Unmarshal([]byte(in), &e); err != nil {
		t.Fatal(err)
	}
	e.GroupID, e.Name, e.FaceURL = "", "n", "f"
	before := e
	if err := e.Extra.Set("x", json.RawMessage(`2`)); err != nil {
		t.Fatal(err)
	}
	for want, e := range map[string]event.GroupInfoChanged{
		`{"CallbackCommand":"Group.CallbackAfterGroupInfoChanged","GroupId":"","Name":"n","FaceUrl":"f","x":2}`: e,
		`{"CallbackCommand":"Group.CallbackAfterGroupInfoChanged","GroupId":"","Name":"n","FaceUrl":"f","x":1}`: before,
	} {
		if out, err := e.MarshalJSON(); err != nil || string(out) != want {
			t.Errorf("%s %v, want %s", out, err, want)
		}
	}
	if x, ok := e.Extra.Get("x"); !ok || string(x) != "2" {
		t.Errorf("x is %s", x)
	}
	if x, ok := e.Extra.Get("y"); ok {
		t.Errorf("y is %s", x)
	}
	if err := json.Unmarshal([]byte(`{"CallbackCommand":"Group.CallbackAfterGroupInfoChanged"}`), &e); err != nil || e.Name != "" {
		t.Errorf("decoding anew leaves %+v, %v", e, err)
	}
}

func TestBadValues(t *testing.T) {
	t.Parallel()
	field := event.GroupFull{}
	command := event.GroupFull{}
	for name, err := range map[string]error{
		"field":   field.Extra.Set("GroupId", json.RawMessage(`1`)),
		"command": command.Extra.Set("CallbackCommand", json.RawMessage(`"x"`)),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, p := range map[string]event.Packet{
		"a member that has a field": field,
		"the command":               command,
		"time before 1970":          event.GroupFull{EventTime: event.At(time.Unix(-1, 0))},
		"time after 9999":           event.GroupFull{EventTime: event.At(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))},
		"a number that is none":     event.PortraitSet{Items: []event.ProfileItem{{Value: event.Scalar{Text: "x", Number: true}}}},
		"a number and a blank":      event.PortraitSet{Items: []event.ProfileItem{{Value: event.Scalar{Text: "1 ", Number: true}}}},
		"raw that is no JSON":       event.GroupSendMsg{MsgBody: []event.MsgElem{{MsgContent: json.RawMessage(`{`)}}},
	} {
		if out, err := json.Marshal(p); !errors.Is(err, event.ErrPacket) {
			t.Errorf("%s: %s %v", name, out, err)
		}
	}
	for _, bad := range []string{``, `{`, `1 2`, `{"a":1,"a":2}`, "\"\xff\""} {
		if err := field.Extra.Set("x", json.RawMessage(bad)); err == nil {
			t.Errorf("Extra takes %q", bad)
		}
	}
	for _, p := range []event.Packet{nil, foreign{}, (*event.GroupFull)(nil), (*event.Unknown)(nil)} {
		if out, err := event.Data(p); !errors.Is(err, event.ErrPacket) {
			t.Errorf("%T: %s %v", p, out, err)
		}
	}
}

type foreign struct{}

func (foreign) Command() string { return "x" }

func TestData(t *testing.T) {
	t.Parallel()
	unknown, err := event.Parse([]byte(`{"CallbackCommand":"C","x":"<"}`))
	if err != nil {
		t.Fatal(err)
	}
	for want, p := range map[string]event.Packet{
		`{"GroupId":"<"}`: event.GroupFull{GroupID: "<"},
		`{"GroupId":">"}`: &event.GroupFull{GroupID: ">"},
		`{"x":"<"}`:       unknown,
		`{"EventTime":5}`: event.Unknown{Name: "C", EventTime: event.At(time.UnixMilli(5))},
	} {
		if out, err := event.Data(p); err != nil || string(out) != want {
			t.Errorf("%s %v, want %s", out, err, want)
		}
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	if text, ok := event.TextElem("a\"<").Text(); !ok || text != "a\"<" {
		t.Errorf("%q %v", text, ok)
	}
	for _, e := range []event.MsgElem{
		{},
		{MsgType: event.ElemText},
		{MsgType: event.ElemText, MsgContent: []byte(`{}`)},
		{MsgType: event.ElemText, MsgContent: []byte(`{"text":"x"}`)},
		{MsgType: event.ElemText, MsgContent: []byte(`{"Text":5}`)},
		{MsgType: event.ElemCustom, MsgContent: []byte(`{"Text":"x"}`)},
	} {
		if text, ok := e.Text(); ok {
			t.Errorf("%s has the text %q", e.MsgContent, text)
		}
	}
	if n, ok := (event.Scalar{Text: "-5", Number: true}).Int64(); n != -5 || !ok {
		t.Error(n, ok)
	}
	for _, s := range []event.Scalar{{Text: "5"}, {Text: "1.5", Number: true}, {}} {
		if n, ok := s.Int64(); ok {
			t.Errorf("%+v is %d", s, n)
		}
	}
	if s := fmt.Sprint(event.Scalar{Text: "x"}); s != "x" {
		t.Error(s)
	}
	if event.Known("Group.FromTheFuture") || !event.Known(event.CommandGroupSendMsg) {
		t.Error("Known")
	}
	for name, v := range map[string]json.Unmarshaler{"time": new(event.Time), "scalar": new(event.Scalar)} {
		if err := v.UnmarshalJSON(nil); !errors.Is(err, event.ErrPacket) {
			t.Errorf("%s of nothing: %v", name, err)
		}
	}
}

// TestNothingShared: the event does not point into the text.
func TestNothingShared(t *testing.T) {
	t.Parallel()
	in := []byte(sendMsg + `,"GroupId":"g","MsgBody":[{"MsgContent":{"a":1},"x":2}],"y":[3]}`)
	p, err := event.Parse(in)
	if err != nil {
		t.Fatal(err)
	}
	want := canonical(t, in)
	clear(in)
	out, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, canonical(t, out)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

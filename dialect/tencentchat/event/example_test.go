package event_test

import (
	"encoding/json"
	"fmt"

	"github.com/ringback-go/ringback/dialect/tencentchat/event"
)

func ExampleGroupSendMsg() {
	var e event.GroupSendMsg
	err := json.Unmarshal([]byte(`{"CallbackCommand":"Group.CallbackAfterSendMsg","GroupId":"g","From_Account":"jared","MsgSeq":123,
		"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"red packet"}}],"EventTime":"1670574414123","NewIn2030":[1]}`), &e)
	if err != nil {
		fmt.Println(err)
		return
	}
	text, _ := e.MsgBody[0].Text()
	fmt.Println(e.From, text, e.EventTime.Format("2006-01-02"))
	for name, value := range e.Extra.All() {
		fmt.Println(name, string(value))
	}
	e.From = "somebody"
	again, err := json.Marshal(e)
	fmt.Println(string(again), err)
	// Output:
	// jared red packet 2022-12-09
	// NewIn2030 [1]
	// {"CallbackCommand":"Group.CallbackAfterSendMsg","GroupId":"g","From_Account":"somebody","MsgSeq":123,"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"red packet"}}],"EventTime":"1670574414123","NewIn2030":[1]} <nil>
}

func ExampleGroupAttrChanged() {
	var e event.GroupAttrChanged
	err := json.Unmarshal([]byte(`{"CallbackCommand":"Group.CallbackAfterGroupAttrChanged","OptionType":"delete","GroupAttr":[{"key":"k"}]}`), &e)
	fmt.Println(e.Option, e.Attrs[0].Key, e.Attrs[0].Value == nil, err)
	// Output: delete k true <nil>
}

func ExampleParse() {
	for _, body := range []string{
		`{"CallbackCommand":"Profile.CallbackPortraitSet","From_Account":"id1","ProfileItem":[{"Tag":"Tag_Profile_IM_Level","Value":7}]}`,
		`{"CallbackCommand":"Group.CallbackFromTheFuture","GroupId":"g"}`,
		`{"CallbackCommand":"State.StateChange","Info":5}`,
	} {
		packet, err := event.Parse([]byte(body))
		switch e := packet.(type) {
		case *event.PortraitSet:
			level, ok := e.Items[0].Value.Int64()
			fmt.Println(e.From, level, ok)
		case *event.Unknown:
			group, _ := e.Extra.Get("GroupId")
			fmt.Println(e.Name, string(group))
		default:
			fmt.Println(err)
		}
	}
	// Output:
	// id1 7 true
	// Group.CallbackFromTheFuture "g"
	// tencentchat: not a packet: Info is not an object, or holds something else
}

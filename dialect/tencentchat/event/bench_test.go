package event_test

import (
	"encoding/json"
	"testing"

	"github.com/ringback-go/ringback/dialect/tencentchat/event"
)

var sent = []byte(`{"CallbackCommand":"Group.CallbackAfterSendMsg","EventTime":1657612269059,"From_Account":"@TLS#NOT_FOUND","GroupId":"e6a954aa-2419-4743-b968-a971f8077bf1","MsgBody":[{"MsgContent":{"Text":"Hello World"},"MsgType":"TIMTextElem"}],"MsgPriority":"Normal","MsgSeq":4,"MsgTime":1657612269,"OnlineOnlyFlag":0,"Operator_Account":"@TLS#NOT_FOUND","Random":26804506,"Type":"AVChatRoom"}`)

// plainSendMsg is what one would write without this package.
type plainSendMsg struct {
	CallbackCommand string
	EventTime       int64
	GroupID         string `json:"GroupId"`
	Type            string
	From            string `json:"From_Account"`
	Operator        string `json:"Operator_Account"`
	Random          uint32
	MsgSeq          uint32
	MsgTime         int64
	OnlineOnlyFlag  int64
	MsgPriority     string
	MsgBody         []struct {
		MsgType    string
		MsgContent json.RawMessage
	}
}

func BenchmarkDecode(b *testing.B) {
	b.Run("typed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var e event.GroupSendMsg
			if err := e.UnmarshalJSON(sent); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := event.Parse(sent); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var e plainSendMsg
			if err := json.Unmarshal(sent, &e); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	var e event.GroupSendMsg
	if err := e.UnmarshalJSON(sent); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.MarshalJSON(); err != nil {
			b.Fatal(err)
		}
	}
}

package tencentchat_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/tencentchat"
	"github.com/ringback-go/ringback/dialect/tencentchat/event"
	"github.com/ringback-go/ringback/registry"
)

func ExampleNewReceiver() {
	var mux tencentchat.Mux
	mux.OnGroupAttrChanged(func(ctx context.Context, changed event.GroupAttrChanged) error {
		packet, _ := tencentchat.EventFrom(ctx)
		fmt.Println(changed.Operator, changed.Option, len(changed.Attrs), "from", packet.Platform)
		return nil
	})
	receiver, err := tencentchat.NewReceiver(tencentchat.ReceiverConfig{
		Apps:    []tencentchat.App{{SDKAppID: "1400000001", Tokens: []registry.Secret{registry.NewSecret("xxxxyyyy")}}},
		Handler: mux.Handle,
		Now:     func() time.Time { return time.Unix(1669872112, 0) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	const query = "?SdkAppid=1400000001&CallbackCommand=Group.CallbackAfterGroupAttrChanged&contenttype=json&OptPlatform=Web"
	const sign = "&Sign=17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061&RequestTime=1669872112"
	body := `{"CallbackCommand":"Group.CallbackAfterGroupAttrChanged","Operator_Account":"leckie","OptionType":"clear"}`
	for _, url := range []string{query + sign, query} {
		w := httptest.NewRecorder()
		receiver.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/tencent/callback"+url, strings.NewReader(body)))
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// leckie clear 0 from Web
	// 200 {"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0}
	// 401 {"ActionStatus":"FAIL","ErrorInfo":"unauthorized","ErrorCode":401}
}

func ExampleMux() {
	var mux tencentchat.Mux
	mux.OnGroupBeforeSendMsg(func(_ context.Context, asked event.GroupBeforeSendMsg) (tencentchat.GroupMsgReply, error) {
		var reply tencentchat.GroupMsgReply // allows
		for _, elem := range asked.MsgBody {
			switch text, _ := elem.Text(); {
			case strings.Contains(text, "spam"):
				return reply.Drop(), nil
			case strings.Contains(text, "lottery"):
				return reply.Refuse(10123, "no lotteries here") // 123 would be an error
			}
		}
		return reply, nil
	})
	mux.OnGroupFull(func(_ context.Context, full event.GroupFull) error {
		fmt.Println("full:", full.GroupID)
		return nil
	})
	for _, body := range []string{
		`{"CallbackCommand":"Group.CallbackBeforeSendMsg","MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"lottery"}}]}`,
		`{"CallbackCommand":"Group.CallbackAfterGroupFull","GroupId":"g"}`,
		`{"CallbackCommand":"Group.CallbackFromTheFuture"}`,
	} {
		// What a receiver with Handler: mux.Handle does with a packet.
		var named struct{ CallbackCommand string }
		if err := json.Unmarshal([]byte(body), &named); err != nil {
			fmt.Println(err)
			return
		}
		reply, err := mux.Handle(context.Background(), tencentchat.Event{Command: named.CallbackCommand, Body: []byte(body)})
		if err != nil {
			fmt.Println(err)
			return
		}
		answer, err := json.Marshal(reply)
		fmt.Println(string(answer), err)
	}
	// Output:
	// {"ActionStatus":"OK","ErrorInfo":"no lotteries here","ErrorCode":10123} <nil>
	// full: g
	// {"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0} <nil>
	// {"ActionStatus":"OK","ErrorInfo":"","ErrorCode":0} <nil>
}

func ExampleNewClient() {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Println(r.URL.Query().Get("OptPlatform"), string(body))
		fmt.Fprint(w, `{"ActionStatus":"OK","ErrorInfo":"full on Sundays","ErrorCode":10100}`)
	}))
	defer app.Close()
	client, err := tencentchat.NewClient(tencentchat.ClientConfig{
		Apps:    []tencentchat.App{{SDKAppID: "1400000001", URL: app.URL, Before: []string{event.CommandBeforeApplyJoinGroup}}},
		HTTP:    app.Client(), // in earnest the one of registry/egress
		OnFault: tencentchat.RefuseOnFault,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	question := tencentchat.Question{
		SDKAppID: "1400000001", Platform: tencentchat.PlatformIOS,
		Packet: event.BeforeApplyJoinGroup{GroupID: "g", Type: "Public", Requestor: "jared", EventTime: event.At(time.UnixMilli(1670574414123))},
	}
	for range 2 {
		decision, err := client.Ask(context.Background(), question)
		fmt.Println(decision.Allowed(), decision.Source, decision.Code, decision.Info, errors.Is(decision.Fault, tencentchat.ErrUnreachable), err)
		app.Close()
	}
	// Output:
	// iOS {"CallbackCommand":"Group.CallbackBeforeApplyJoinGroup","GroupId":"g","Type":"Public","Requestor_Account":"jared","EventTime":1670574414123}
	// false answered 10100 full on Sundays false <nil>
	// false refused on fault 1  true <nil>
}

func ExampleNewEvent() {
	ev, err := tencentchat.NewEvent("1400000001", event.GroupFull{GroupID: "@TGS#2J4SZEAEL"})
	fmt.Println(ev.Dialect, ev.Tenant, ev.Type, string(ev.Data), err)
	_, err = tencentchat.NewEvent("1400000001", event.BeforeCreateTopic{})
	fmt.Println(errors.Is(err, delivery.ErrInvalid))
	// Output:
	// tencentchat 1400000001 Group.CallbackAfterGroupFull {"GroupId":"@TGS#2J4SZEAEL"} <nil>
	// true
}

func ExampleDialect() {
	app := tencentchat.App{
		SDKAppID: "1400000001", Tokens: []registry.Secret{registry.NewSecret("xxxxyyyy")},
		URL: "https://im.example.com/cb", Commands: []string{"Group.CallbackAfterGroupDestroyed"},
	}
	apps, err := tencentchat.NewApps(app)
	if err != nil {
		fmt.Println(err)
		return
	}
	sub, err := tencentchat.NewSubscription(app)
	if err != nil {
		fmt.Println(err)
		return
	}
	// What the engine does with an event.
	dialect, at := tencentchat.Dialect{Signer: apps.Signer}, time.Unix(1669872112, 0)
	payload, err := dialect.Encode(delivery.Event{
		Dialect: tencentchat.Name, Tenant: "1400000001", Type: "Group.CallbackAfterGroupDestroyed",
		Data: []byte(`{"GroupId": "@TGS#2J4SZEAEL"}`), Meta: map[string]string{"client_ip": "203.0.113.7"}, At: at,
	}, sub)
	if err != nil {
		fmt.Println(err)
		return
	}
	request, err := dialect.Request(context.Background(), delivery.Delivery{
		EventID: "msg_1", Type: "Group.CallbackAfterGroupDestroyed", Body: payload.Body, Meta: payload.Meta,
	}, sub, at)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.ReplaceAll(request.URL.String(), "&", "\n  &"))
	fmt.Println(string(payload.Body))
	// Output:
	// https://im.example.com/cb?SdkAppid=1400000001
	//   &CallbackCommand=Group.CallbackAfterGroupDestroyed
	//   &contenttype=json
	//   &ClientIP=203.0.113.7
	//   &OptPlatform=RESTAPI
	//   &Sign=17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061
	//   &RequestTime=1669872112
	// {"CallbackCommand":"Group.CallbackAfterGroupDestroyed","GroupId":"@TGS#2J4SZEAEL","EventTime":1669872112000}
}

func ExampleNewApps() {
	apps, err := tencentchat.NewApps(
		tencentchat.App{SDKAppID: "1400000001", Tokens: []registry.Secret{registry.NewSecret("xxxxyyyy")}},
		tencentchat.App{SDKAppID: "1400000002"},
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, id := range []string{"1400000001", "1400000002"} {
		_, signs := apps.Signer(id)
		fmt.Println(id, signs)
	}
	// Output:
	// 1400000001 true
	// 1400000002 false
}

func ExampleNewSubscription() {
	sub, err := tencentchat.NewSubscription(tencentchat.App{
		SDKAppID: "1400000001", URL: "https://im.example.com/cb", Commands: []string{"State.StateChange"}, Retry: true,
	})
	fmt.Println(sub.Tenant, sub.Types, sub.Limits.Timeout, sub.Meta, err)
	_, err = tencentchat.NewSubscription(tencentchat.App{
		SDKAppID: "1400000001", URL: "https://im.example.com/cb", Commands: []string{"C2C.CallbackBeforeSendMsg"},
	})
	fmt.Println(err != nil)
	// Output:
	// 1400000001 [State.StateChange] 2s map[retry:on] <nil>
	// true
}

package tencentchat_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/tencentchat"
	"github.com/ringback-go/ringback/registry"
)

func ExampleNewReceiver() {
	receiver, err := tencentchat.NewReceiver(tencentchat.ReceiverConfig{
		Apps: []tencentchat.App{{SDKAppID: "1400000001", Tokens: []registry.Secret{registry.NewSecret("xxxxyyyy")}}},
		Handler: func(_ context.Context, ev tencentchat.Event) (tencentchat.Reply, error) {
			var changed tencentchat.GroupAttrChanged
			if ev.Command == tencentchat.CommandGroupAttrChanged {
				if err := ev.Decode(&changed); err != nil {
					return tencentchat.Reply{}, err
				}
				fmt.Println(changed.Operator, changed.Option, len(changed.Attrs), "from", ev.Platform)
			}
			return tencentchat.OK(), nil
		},
		Now: func() time.Time { return time.Unix(1669872112, 0) },
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

func ExampleGroupAttrChanged() {
	var g tencentchat.GroupAttrChanged
	err := json.Unmarshal([]byte(`{"CallbackCommand":"Group.CallbackAfterGroupAttrChanged","GroupId":"g","OptionType":"delete","GroupAttr":[{"key":"k"}],"EventTime":"1670574414123","New":1}`), &g)
	fmt.Println(g.Option, g.Attrs[0].Key, g.Attrs[0].Value == nil, g.EventTime.UnixMilli(), err)
	again, err := json.Marshal(g)
	fmt.Println(string(again), err)
	// Output:
	// delete k true 1670574414123 <nil>
	// {"CallbackCommand":"Group.CallbackAfterGroupAttrChanged","GroupId":"g","OptionType":"delete","GroupAttr":[{"key":"k"}],"EventTime":1670574414123,"New":1} <nil>
}

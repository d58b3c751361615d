package smartbots_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/dialect/smartbots"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
	"github.com/ringback-go/ringback/verify"
)

func ExampleNewAPI() {
	ctx := context.Background()
	codes, err := verify.NewSecretChecker(serverKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	developers, err := smartbots.NewDeveloperKeys(smartbots.Developer{ID: "dev1", APIKey: registry.NewSecret("DEMO-APIKEY")})
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := egress.New(egress.Config{Resolver: names{"hooks.example.com": "8.8.8.8"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	store, err := memstore.Open(ctx, memstore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	groups := newGroups() // implements smartbots.Groups
	engine, err := delivery.New(delivery.Config{
		Store: store, Registry: &registry.Memory{}, Client: client,
		Dialects: map[string]delivery.Dialect{smartbots.Name: &smartbots.Dialect{Groups: groups}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	api, err := smartbots.NewAPI(smartbots.APIConfig{
		Engine: engine, Groups: groups, Developers: developers, Codes: codes, URLs: client,
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	call := url.Values{
		"action": {"set_http_callback"}, "apikey": {"DEMO-APIKEY"}, "secret": {"DEMO-CODE"}, "group": {"My Group Name"},
		"app_name": {"Demo App"}, "app_uuid": {demoUUID}, "url": {"https://hooks.example.com/cb"},
	}
	for _, code := range []string{"DEMO-CODE", "another"} {
		call.Set("secret", code)
		r := httptest.NewRequest(http.MethodPost, "/api/simple.html", strings.NewReader(call.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		fmt.Println(w.Body)
	}
	apps, err := smartbots.Apps(ctx, engine.Registry(), "my-group")
	fmt.Println(len(apps), apps[0].Name, apps[0].URLHost, err)

	groups.setCode("my-group", "NEW-CODE")
	fmt.Println(smartbots.CodeChanged(ctx, engine, groups, "my-group"))
	// Output:
	// {"result":"OK","group_uuid":"11111111-2222-3333-4444-555555555555","group_id":"my-group"}
	// {"result":"FAIL","resulttext":"ACCESS DENIED"}
	// 1 Demo App hooks.example.com <nil>
	// 1 <nil>
}

func ExampleNewDeveloperKeys() {
	developers, err := smartbots.NewDeveloperKeys(smartbots.Developer{ID: "dev1", APIKey: registry.NewSecret("DEMO-APIKEY")})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(developers.Developer(context.Background(), "DEMO-APIKEY"))
	fmt.Println(developers.Developer(context.Background(), "demo-apikey"))
	// Output:
	// dev1 true <nil>
	//  false <nil>
}

func ExampleNewGroupChat() {
	ev, err := smartbots.NewGroupChat("my-group", smartbots.GroupChat{SpeakerName: "Ann Example", SpeakerUUID: "7", Message: "Hello <all>!"})
	fmt.Println(ev.Dialect, ev.Scope, ev.Type, err)
	fmt.Printf("%s\n", ev.Data)
	// Output:
	// smartbots my-group group_chat <nil>
	// {"speaker_name":"Ann Example","speaker_uuid":"7","message":"Hello <all>!"}
}

func ExampleReceiver() {
	receiver := smartbots.Receiver{
		AppUUID: "3c525949-fdb7-4ab6-b5c2-bf3b4c5145be",
		Handle: func(_ context.Context, cb smartbots.Callback) error {
			switch ev := cb.Event.(type) {
			case smartbots.GroupChat:
				fmt.Printf("%s in %s: %s\n", ev.SpeakerName, cb.GroupName, ev.Message)
			case smartbots.CallbackRemoved:
				fmt.Println("removed:", ev.Reason)
			}
			return nil
		},
	}
	for _, body := range []string{
		"action=group_chat&app_uuid=3c525949-fdb7-4ab6-b5c2-bf3b4c5145be&group_name=Tea+Club&message=Hi&speaker_name=Ann",
		"action=group_chat&app_uuid=00000000-fdb7-4ab6-b5c2-bf3b4c5145be&message=Hi",
	} {
		r := httptest.NewRequest(http.MethodPost, "/callback", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		receiver.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// Ann in Tea Club: Hi
	// 200
	// 403
}

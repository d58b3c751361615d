package ednapulse_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/dialect/ednapulse"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
)

// available stands for *egress.Client, which would ask the real endpoint.
type available struct{ egress.Policy }

func (available) Probe(context.Context, string) error { return nil }

func ExampleNewAPI() {
	tenants, err := ednapulse.NewTenants(ednapulse.Tenant{
		ID: "acme", APIKey: registry.NewSecret("A-1"), Channels: []int64{234},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	store, err := memstore.Open(context.Background(), memstore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	engine, err := delivery.New(delivery.Config{
		Store: store, Registry: &registry.Memory{}, Client: http.DefaultClient, // *egress.Client in a program
		Dialects: map[string]delivery.Dialect{ednapulse.Name: ednapulse.Dialect{Keys: tenants.WebhookKey}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	api, err := ednapulse.NewAPI(ednapulse.APIConfig{Tenants: tenants, Subscriber: engine, Prober: available{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, body := range []string{
		`{"statusCallbackUrl":"https://hooks.example.com/status","subjectId":234}`,
		`{"statusCallbackUrl":"https://hooks.example.com/status","subjectId":235}`,
		`{"statusCallbackUrl":"http://hooks.example.com/status"}`,
		`{}`,
	} {
		r := httptest.NewRequest(http.MethodPost, "/api/callback/set", strings.NewReader(body))
		r.Header.Set("X-API-KEY", "A-1")
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 {"code":"ok"}
	// 200 {"code":"error-subject-unknown"}
	// 200 {"code":"error-callback-url-not-https"}
	// 200 {"code":"url-not-specified"}
}

func ExampleNewReceiver() {
	receiver, err := ednapulse.NewReceiver(ednapulse.ReceiverConfig{
		Keys: []registry.Secret{registry.NewSecret("K-1")},
		Handler: func(_ context.Context, events []ednapulse.Event) error {
			for _, ev := range events {
				switch ev := ev.(type) {
				case *ednapulse.Status:
					fmt.Println(ev.RequestID, "is", ev.Status)
				default:
					fmt.Printf("%T\n", ev)
				}
			}
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, auth := range []string{"Token K-1", "Token K-2"} {
		r := httptest.NewRequest(http.MethodPost, "/edna", strings.NewReader(`{"requestId":"r-7","status":"read","statusAt":"2026-01-01T00:00:00Z"}`))
		r.Header.Set("Authorization", auth)
		w := httptest.NewRecorder()
		receiver.ServeHTTP(w, r)
		fmt.Println(w.Code)
	}
	// Output:
	// r-7 is READ
	// 200
	// 401
}

func ExampleNewTenants() {
	tenants, err := ednapulse.NewTenants(ednapulse.Tenant{
		ID: "acme", APIKey: registry.NewSecret("A-1"), WebhookKey: registry.NewSecret("K-1"), Channels: []int64{234},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	tenant, err := tenants.ByAPIKey(context.Background(), "A-1")
	fmt.Println(tenant.ID, tenant.Owns(234), tenant.WebhookKey, err)
	_, err = tenants.ByAPIKey(context.Background(), "A-2")
	fmt.Println(err)
	// Output:
	// acme true *** <nil>
	// ednapulse: unknown API key
}

func ExampleDocumented() {
	for attempt := 1; ; attempt++ {
		pause, again := ednapulse.Documented().Delay(attempt)
		if !again {
			break
		}
		fmt.Print(pause.Seconds(), " ")
	}
	fmt.Println("and no more")
	// Output: 4 8 16 32 64 128 256 512 1024 2048 and no more
}

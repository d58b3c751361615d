package inbox_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/ringback-go/ringback/delivery/inbox"
	"github.com/ringback-go/ringback/delivery/memstore"
)

func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	store, _ := memstore.Open(ctx, memstore.Config{}) // sqlitestore, so that a crash loses nothing
	done := make(chan struct{})
	in, err := inbox.New(inbox.Config{
		Store: store,
		ID:    func(r *http.Request) (string, bool) { return r.Header.Get("webhook-id"), true },
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Printf("handled: %s\n", body)
			close(done)
		}),
	})
	if err != nil {
		panic(err)
	}

	r := httptest.NewRequest(http.MethodPost, "/hooks", strings.NewReader(`{"type":"order.paid"}`))
	r.Header.Set("webhook-id", "msg_1")
	w := httptest.NewRecorder()
	in.ServeHTTP(w, r) // behind gates that verify
	fmt.Println("answered:", w.Code)

	ended := make(chan error)
	go func() { ended <- in.Run(ctx) }()
	<-done
	cancel()
	fmt.Println(<-ended)
	// Output:
	// answered: 204
	// handled: {"type":"order.paid"}
	// <nil>
}

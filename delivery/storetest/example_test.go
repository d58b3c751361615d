package storetest_test

import (
	"fmt"
	"testing"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/delivery/storetest"
)

// A store's own test is one call. Reopen is nil here because memory has
// nothing to open again.
func Example() {
	testMyStore := func(t *testing.T) {
		storetest.Run(t, storetest.Config{
			Traits: delivery.Traits{NotDurable: true},
			Open: func(t *testing.T) delivery.Store {
				s, err := memstore.Open(t.Context(), memstore.Config{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(s.Close)
				return s
			},
		})
	}
	fmt.Printf("%T\n", testMyStore)
	// Output:
	// func(*testing.T)
}

package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ringback-go/ringback/registry"
)

func ExampleMemory() {
	var reg registry.Memory
	ctx := context.Background()
	for _, url := range []string{"https://example.com/old", "https://example.com/new"} {
		// The slot is the same, so the second call replaces the first.
		_, err := reg.Set(ctx, registry.Subscription{
			Dialect: "edna", Tenant: "acme", Slot: "status",
			URL:     url,
			Types:   []string{"status"},
			Secrets: []registry.Secret{registry.NewSecret("hunter2")},
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	subs, err := reg.Match(ctx, registry.Topic{Dialect: "edna", Tenant: "acme", Scope: "channel 7", Type: "status"})
	if err != nil {
		fmt.Println(err)
	}
	for _, s := range subs {
		fmt.Println(s.URL, s.State, s.Revision, s.Secrets)
	}
	_, err = reg.Set(ctx, registry.Subscription{Dialect: "edna", URL: "https://example.com/"})
	fmt.Println(err, errors.Is(err, registry.ErrInvalid))
	// Output:
	// https://example.com/new active 2 [***]
	// registry: invalid subscription: Types: takes 1 to 256 types true
}

func ExampleNewCache() {
	ctx := context.Background()
	cache := registry.NewCache(new(registry.Memory), 500*time.Millisecond)
	s := registry.Subscription{Dialect: "standard", URL: "https://example.com/1", Types: []string{"a"}}
	for _, url := range []string{"https://example.com/1", "https://example.com/2"} {
		s.URL = url
		stored, err := cache.Set(ctx, s)
		if err != nil {
			fmt.Println(err)
			return
		}
		s = stored[0]
		got, err := cache.Get(ctx, s.ID) // never what was there before Set
		fmt.Println(got.URL, err)
	}
	// Output:
	// https://example.com/1 <nil>
	// https://example.com/2 <nil>
}

func ExampleNewAESGCM() {
	oldKey, newKey := bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32) // from a vault, in earnest
	before, err := registry.NewAESGCM(oldKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	sealed, err := before.Seal([]byte("hunter2"), []byte("sub_1"))
	if err != nil {
		fmt.Println(err)
		return
	}
	after, err := registry.NewAESGCM(newKey, oldKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	plain, err := after.Open(sealed, []byte("sub_1"))
	fmt.Printf("%s %v\n", plain, err)
	_, err = after.Open(sealed, []byte("sub_2"))
	fmt.Println(err)
	// Output:
	// hunter2 <nil>
	// registry: sealed secret cannot be opened
}

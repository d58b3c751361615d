package registry_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/ringback-go/ringback/registry"
)

// An endpoint that asks each caller for a key gets it with every request, and
// nobody may set what a request needs for itself.
func ExampleHeader() {
	var reg registry.Memory
	sub := registry.Subscription{
		Dialect: "standard", URL: "https://example.com/hook", Types: []string{"paid"},
		Headers: []registry.Header{{Name: "X-Api-Key", Value: registry.NewSecret("hunter2")}},
	}
	stored, err := reg.Set(context.Background(), sub)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(stored[0].Headers)

	sub.Headers = append(sub.Headers, registry.Header{Name: "Host", Value: registry.NewSecret("inside.example")})
	_, err = reg.Set(context.Background(), sub)
	fmt.Println(errors.Is(err, registry.ErrInvalid), err)
	// Output:
	// [{X-Api-Key ***}]
	// true registry: invalid subscription: Headers: the name is reserved
}

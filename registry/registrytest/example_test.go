package registrytest_test

import (
	"fmt"
	"testing"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/registrytest"
)

// A registry's own test is one call.
func Example() {
	testMyRegistry := func(t *testing.T) {
		registrytest.Run(t, func(*testing.T) registry.Registry { return &registry.Memory{} })
	}
	fmt.Printf("%T\n", testMyRegistry)
	// Output:
	// func(*testing.T)
}

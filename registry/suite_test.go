package registry_test

import (
	"testing"
	"time"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/registrytest"
)

func TestMemoryRules(t *testing.T) {
	t.Parallel()
	registrytest.Run(t, func(*testing.T) registry.Registry { return new(registry.Memory) })
}

func TestCacheRules(t *testing.T) {
	t.Parallel()
	registrytest.Config{
		Open:          func(*testing.T) registry.Registry { return registry.NewCache(new(registry.Memory), time.Second) },
		SharedResults: true,
	}.Run(t)
}

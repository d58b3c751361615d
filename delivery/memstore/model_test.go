package memstore_test

import (
	"testing"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/delivery/storetest"
)

func TestModel(t *testing.T) {
	t.Parallel()
	storetest.Model(t, storetest.Config{
		Open:   func(t *testing.T) delivery.Store { return open(t, memstore.Config{}) },
		Traits: (*memstore.Store)(nil).Traits(),
	})
}

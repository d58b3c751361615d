package pgstore_test

import (
	"testing"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/delivery/storetest"
	"github.com/ringback-go/ringback/internal/pgtest"
)

func TestModel(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]lanes.Config{
		"default":       {},
		"little memory": {HoldBytes: 8 << 10, Straggle: 4, BatchRows: 4}, // a dozen rows
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &cluster{url: pgtest.New(t).Database(t), lanes: cfg}
			storetest.Model(t, storetest.Config{Open: f.open, Reopen: f.reopen, Traits: delivery.Traits{SharedByEngines: true}})
		})
	}
}

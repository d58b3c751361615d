package ednapulse_test

import (
	"testing"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/ednapulse"
	"github.com/ringback-go/ringback/registry"
)

func TestSubscriptionsAreNeverDisabledForFailing(t *testing.T) {
	t.Parallel()
	var d delivery.Dialect = ednapulse.Dialect{}
	if e, ok := d.(delivery.Enduring); !ok || !e.Endures(registry.Subscription{}) {
		t.Error("a failing subscription would be disabled")
	}
}

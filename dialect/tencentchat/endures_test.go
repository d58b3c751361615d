package tencentchat_test

import (
	"testing"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/tencentchat"
	"github.com/ringback-go/ringback/registry"
)

func TestSubscriptionsAreNeverDisabledForFailing(t *testing.T) {
	t.Parallel()
	var d delivery.Dialect = tencentchat.Dialect{}
	if e, ok := d.(delivery.Enduring); !ok || !e.Endures(registry.Subscription{}) {
		t.Error("a failing subscription would be disabled")
	}
}
